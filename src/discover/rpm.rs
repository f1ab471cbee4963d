//! RPM files: the release-info files in their payload. The package need not be installed.

use super::release_info::Files;
use crate::model::{Failure, Platforms, Release};
use anyhow::Result;
use std::io::{self, BufRead, Read};

/// The first bytes of every RPM.
pub const MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];

/// Finds the images of all release-info files of an RPM; `name` is the file name of the RPM.
pub fn discover(mut input: impl BufRead + 'static, name: &str, platforms: &Platforms) -> Result<Release> {
    let broken = |e: rpm::Error| {
        Failure::usage(format!("`{name}` is not a usable RPM"))
            .because(describe(e))
            .hint("get the file again: it may have been cut short")
    };
    if !input.fill_buf()?.starts_with(&MAGIC) {
        return Err(Failure::usage(format!("`{name}` is not an RPM"))
            .hint("let bootc-embed find out what it is: leave `rpm:` away")
            .into());
    }
    let mut headers = Vec::new();
    check_headers(&mut input, &mut headers).map_err(|e| broken(rpm::Error::Io(e)))?;
    let whole = io::Cursor::new(headers).chain(input);
    let mut package = rpm::PackageReader::parse(whole).map_err(broken)?;
    let mut files = Files::default();
    while let Some(mut file) = package.next_file().map_err(broken)? {
        let path = file.metadata.path().clone();
        let in_place = path.parent().is_some_and(|dir| dir.ends_with("usr/share/microshift/release"));
        let own_name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        if in_place && file.metadata.mode().file_type() == rpm::FileType::Regular {
            files.offer(&own_name, &format!("{name}:{}", path.display()), platforms, || {
                let mut bytes = Vec::new();
                (&mut file).take(super::MAX_INPUT_SIZE).read_to_end(&mut bytes)?;
                Ok(bytes)
            })?;
        }
    }
    files.release(platforms, &format!("`{name}`"))
}

/// The library's error without the bytes of the file, which it would print whole.
fn describe(error: rpm::Error) -> String {
    match error {
        rpm::Error::InvalidMagic { .. } => "a header does not begin as it must".to_owned(),
        other => other.to_string().chars().take(200).collect(),
    }
}

/// Bytes before the first header: the lead, which says nothing any more.
const LEAD_SIZE: usize = 96;
/// How every header begins: magic, version, four reserved bytes.
const HEADER_MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];
/// rpm itself takes no more entries and no more bytes of a header.
const MAX_ENTRIES: usize = 0xffff;
const MAX_HEADER_DATA: usize = 16 * 1024 * 1024;
const ENTRY_SIZE: usize = 16;

/// Reads the lead and both headers into `read` and checks that no entry points out of its header.
///
/// The library believes offsets and counts, and would panic or ask for memory without end. Format:
/// rpm's manual, "RPM v4 file format".
fn check_headers(input: &mut impl Read, read: &mut Vec<u8>) -> io::Result<()> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut take = |read: &mut Vec<u8>, size: usize| -> io::Result<usize> {
        let start = read.len();
        input.by_ref().take(size as u64).read_to_end(read)?;
        if read.len() - start == size { Ok(start) } else { Err(wrong("it ends within its headers")) }
    };
    take(read, LEAD_SIZE)?;
    for is_signature in [true, false] {
        let at = take(read, 16)?;
        if read[at..at + 8] != HEADER_MAGIC {
            return Err(wrong("a header does not begin as it must"));
        }
        let (entries, data) = (number(read, at + 8), number(read, at + 12));
        if entries > MAX_ENTRIES || data > MAX_HEADER_DATA {
            return Err(wrong("a header is too large"));
        }
        let index = take(read, entries * ENTRY_SIZE)?;
        for entry in (index..read.len()).step_by(ENTRY_SIZE) {
            let (kind, offset, count) = (number(read, entry + 4), number(read, entry + 8), number(read, entry + 12));
            // A string has at least its final zero.
            let size = match kind {
                0 => 0,
                3 => 2,
                4 => 4,
                5 => 8,
                _ => 1,
            };
            if offset > data || count > MAX_HEADER_DATA || count * size > data - offset {
                return Err(wrong("an entry of a header points out of it"));
            }
        }
        take(read, data)?;
        if is_signature {
            take(read, data.next_multiple_of(8) - data)?;
        }
    }
    Ok(())
}

/// A big-endian number of 32 bits; the caller has read that far.
fn number(bytes: &[u8], at: usize) -> usize {
    bytes[at..at + 4].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn package() -> Vec<u8> {
        let mut builder = rpm::PackageBuilder::new("release-info", "1.0", "MIT", "noarch", "For a test");
        for architecture in ["x86_64", "aarch64"] {
            let path = format!("/usr/share/microshift/release/release-{architecture}.json");
            let text = r#"{"images":{"a":"quay.io/a/b:1"}}"#;
            builder.with_file_contents(text, rpm::FileOptions::new(path)).unwrap();
        }
        let mut bytes = Vec::new();
        builder.build().unwrap().write(&mut bytes).unwrap();
        bytes
    }

    fn read(bytes: Vec<u8>) -> Result<Release> {
        let platforms = Platforms::Some(vec!["linux/amd64".parse().unwrap()]);
        discover(io::Cursor::new(bytes), "test.rpm", &platforms)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn damaged_packages_are_errors_and_nothing_worse(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
            end in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = package();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(end) = end {
                bytes.truncate(end.index(bytes.len()));
            }
            // Either way is fine; a panic or an abort is not.
            let _ = read(bytes);
        }
    }

    #[test]
    fn entries_that_point_out_of_their_header_are_refused() {
        assert_eq!(read(package()).unwrap().components.len(), 1);
        // Type, offset and count of the first entry of the signature header.
        for (at, value) in [(8, [0, 0, 0xff, 0]), (12, [0x7f, 0xff, 0xff, 0xff]), (8, [0xff; 4])] {
            let mut bytes = package();
            bytes[LEAD_SIZE + 16 + at..LEAD_SIZE + 16 + at + 4].copy_from_slice(&value);
            let error = format!("{:#}", read(bytes).unwrap_err());
            assert!(error.contains("points out of it"), "{error}");
        }
    }
}
