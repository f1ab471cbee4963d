//! RPM files: the release-info files in their payload. The package need not be installed.

use super::release_info::Files;
use crate::model::{Failure, Platforms, Release};
use anyhow::Result;
use std::io::{BufRead, Read as _};

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
    let mut package = rpm::PackageReader::parse(input).map_err(broken)?;
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
