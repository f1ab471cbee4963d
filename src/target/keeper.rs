//! `Keeper`: reads a file as far as it is wanted, and keeps the same bytes once.

use super::{Error, Keep, io_error};
use crate::model::tree::File;
use crate::model::{Digest, Hasher};
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

/// How much of a file is read at once.
const BUFFER: usize = 128 * 1024;
/// The most bytes of one file that are kept; larger than any manifest, list or unit.
const MAX_KEPT_FILE: u64 = 16 * 1024 * 1024;
/// The most JSON that is kept of a file that is named by a digest: manifests and configs.
const MAX_KEPT_BLOB: u64 = crate::model::manifest::MAX_MANIFEST_SIZE;
/// The most bytes of an OpenPGP message that is kept. They have some hundreds, layers that begin so many more.
const MAX_OPENPGP: u64 = 64 * 1024;
/// The most bytes that are kept in all.
const MAX_KEPT: usize = 64 * 1024 * 1024;

/// Reads files.
#[derive(Default)]
pub struct Keeper {
    kept: HashMap<Digest, Arc<[u8]>>,
    total: usize,
    buffer: Vec<u8>,
}

impl Keeper {
    /// Reads a file of `size` bytes to its end. `path` decides with `keep` how much of it is kept.
    pub fn read(&mut self, path: &str, size: u64, keep: Keep, mut from: impl Read) -> Result<File, Error> {
        if keep == Keep::Name {
            return Ok(File { size, digest: None, bytes: None });
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_named_by_digest = Digest::from_hex(name.split('.').next().unwrap_or(name)).is_ok();
        let limit = if keep == Keep::Blob && is_named_by_digest { MAX_KEPT_BLOB } else { MAX_KEPT_FILE };
        let json_only = keep == Keep::Blob && is_named_by_digest;
        let (mut hasher, mut kept, mut read) = (Hasher::default(), Vec::new(), 0);
        let mut keeping = size <= limit;
        self.buffer.resize(BUFFER, 0);
        loop {
            let count = match from.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(io_error(path)(e)),
            };
            let bytes = &self.buffer[..count];
            if read == 0 && json_only {
                keeping &= bytes.trim_ascii_start().starts_with(b"{") || may_be_signature(bytes, size);
            }
            read += count as u64;
            hasher.update(bytes);
            keeping &= read <= limit;
            if keeping {
                kept.extend_from_slice(bytes);
            }
        }
        let digest = hasher.finish();
        let bytes = if keeping { Some(self.keep(&digest, kept)?) } else { None };
        Ok(File { size: read, digest: Some(digest), bytes })
    }

    fn keep(&mut self, digest: &Digest, bytes: Vec<u8>) -> Result<Arc<[u8]>, Error> {
        if let Some(kept) = self.kept.get(digest) {
            return Ok(kept.clone());
        }
        self.total += bytes.len();
        if self.total > MAX_KEPT {
            return Err(Error::TooMuch(MAX_KEPT >> 20));
        }
        let kept: Arc<[u8]> = bytes.into();
        self.kept.insert(digest.clone(), kept.clone());
        Ok(kept)
    }
}

/// Whether a file may be one that a view has as `signature-N`: of sigstore, or OpenPGP, mostly with its first bit set.
fn may_be_signature(beginning: &[u8], size: u64) -> bool {
    let is_openpgp = beginning.first().is_some_and(|byte| *byte >= 0x80 || *byte == b'=') && size <= MAX_OPENPGP;
    beginning.starts_with(b"\0sigstore-json\n") || beginning.starts_with(b"\0simple-signing\n") || is_openpgp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_blobs_only_json_is_kept() {
        let mut keeper = Keeper::default();
        let hex = "0".repeat(64);
        for (name, keep, text, kept) in [
            (hex.as_str(), Keep::Blob, "\u{1f}layer", false),
            (hex.as_str(), Keep::Blob, "\n {}", true),
            (hex.as_str(), Keep::Blob, "\0sigstore-json\n{}", true),
            (hex.as_str(), Keep::Blob, "\u{a3} OpenPGP", true),
            ("image-list.txt", Keep::Blob, "a,b", true),
            (hex.as_str(), Keep::Text, "layer", true),
        ] {
            let file = keeper.read(&format!("x/{name}"), text.len() as u64, keep, text.as_bytes()).unwrap();
            assert_eq!(file.bytes.as_deref().is_some_and(|bytes| bytes == text.as_bytes()), kept, "{name} {text}");
            assert_eq!(file.digest, Some(Digest::of(text.as_bytes())));
        }
        let nothing = keeper.read("x", 7, Keep::Name, &b"unread"[..]).unwrap();
        assert_eq!(nothing, File { size: 7, digest: None, bytes: None });
    }

    #[test]
    fn what_is_kept_has_an_end() {
        let mut keeper = Keeper::default();
        let large = |n: u8| vec![n; 15 * 1024 * 1024];
        for n in 0..4 {
            keeper.read("x", 15 << 20, Keep::Text, large(n).as_slice()).unwrap();
            keeper.read("again", 15 << 20, Keep::Text, large(n).as_slice()).unwrap();
        }
        assert!(matches!(keeper.read("x", 15 << 20, Keep::Text, large(4).as_slice()), Err(Error::TooMuch(_))));
    }
}
