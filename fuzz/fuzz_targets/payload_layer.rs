//! The last layer of a release: any bytes, as an archive, compressed, or as an archive whose headers are made whole.

#![no_main]

use bootc_embed::prune::{Compression, Payload};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;

const BLOCK: usize = 512;

fuzz_target!(|data: &[u8]| {
    let Some((how, rest)) = data.split_first() else { return };
    let repaired = repaired(rest);
    let (bytes, compression) = match how % 4 {
        0 => (rest, Compression::Gzip),
        1 => (rest, Compression::Zstd),
        2 => (rest, Compression::Plain),
        _ => (repaired.as_slice(), Compression::Plain),
    };
    let Ok(payload) = Payload::read(bytes, compression) else { return };
    let mut paths = BTreeSet::new();
    for entry in payload.entries() {
        let path = entry.path();
        assert!(path == "release-manifests" || path.starts_with("release-manifests/"), "{path}");
        assert!(path.split('/').all(|part| !["", ".", ".."].contains(&part)), "{path}");
        assert!(paths.insert(path), "{path} twice");
    }
    let archive = payload.archive();
    if compression == Compression::Plain {
        assert_eq!(archive, bytes);
    }
    let written = payload.write().expect("memory");
    assert_eq!(written.diff_id, *payload.diff_id());
    let again = Payload::read(written.bytes.as_slice(), Compression::Gzip).expect("what was written can be read");
    assert_eq!(again, payload);
});

/// An archive whose headers have the checksums that they should have.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + BLOCK) {
        at += BLOCK;
        if header.iter().all(|byte| *byte == 0) {
            continue;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let size: String = header[124..136].iter().map(|byte| char::from(*byte)).collect();
        let size = usize::from_str_radix(size.trim_matches([' ', '\0']), 8).unwrap_or(0);
        at = at.saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK)).min(bytes.len());
    }
    bytes
}
