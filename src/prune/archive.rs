//! The archive of a payload: entries with their headers as they came, so that what is not changed is written back
//! byte for byte.
//!
//! Format: ustar, with the long names of PAX and GNU; what Go's `archive/tar` writes is what releases have.

use crate::model::Failure;
use std::collections::BTreeMap;

const BLOCK: usize = 512;
/// Where a header has its size and its checksum.
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
/// The folder that everything stands in.
pub const FOLDER: &str = "release-manifests";
/// The most entries; releases have some 1,000.
pub const MAX_ENTRIES: usize = 20_000;
/// The largest file. A cluster takes no manifest above some 3 MiB.
pub const MAX_FILE: u64 = 16 * 1024 * 1024;
/// The largest header extension: a long name.
const MAX_EXTENSION: u64 = 64 * 1024;
/// What marks a file of a lower layer as gone.
const WHITEOUT: &str = ".wh.";

/// One file or folder, with its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Blocks that stand before the header: a long name.
    extensions: Vec<u8>,
    header: [u8; BLOCK],
    path: String,
    content: Option<Vec<u8>>,
}

impl Entry {
    /// For example `release-manifests/image-references`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path below `release-manifests`; empty for the folder itself.
    pub fn name(&self) -> &str {
        self.path.strip_prefix(FOLDER).map_or("", |rest| rest.trim_start_matches('/'))
    }

    /// The bytes of a file; `None` is a folder.
    pub fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    /// `mode & 0o7777`.
    pub fn mode(&self) -> u32 {
        self.tar().mode().unwrap_or_default() & 0o7777
    }

    /// Owner and group.
    pub fn owner(&self) -> (u64, u64) {
        (self.tar().uid().unwrap_or_default(), self.tar().gid().unwrap_or_default())
    }

    /// Seconds since 1970.
    pub fn mtime(&self) -> u64 {
        self.tar().mtime().unwrap_or_default()
    }

    /// Other content for a file; mode, owner and time stay. A folder has none.
    pub(super) fn set_content(&mut self, content: Vec<u8>) {
        if self.content.as_ref().is_none_or(|old| *old == content) {
            return;
        }
        // As Go writes them: octal digits, and a NUL; behind those of the checksum a NUL and a space.
        self.header[SIZE].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        let sum = checksum(&self.header);
        self.header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.content = Some(content);
    }

    fn tar(&self) -> &tar::Header {
        tar::Header::from_byte_slice(&self.header)
    }

    /// Its blocks.
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.extensions);
        to.extend_from_slice(&self.header);
        to.extend_from_slice(self.content().unwrap_or_default());
        to.resize(to.len().next_multiple_of(BLOCK), 0);
    }
}

/// All entries, and how many zero bytes stand behind them.
pub(super) fn read(archive: &[u8]) -> Result<(Vec<Entry>, usize), Failure> {
    let wrong = |detail: String| {
        Failure::check(format!("reading the release's last layer: {detail}"))
            .hint("the last layer of a release image has `release-manifests/` and nothing else; is this a release?")
    };
    let (mut entries, mut extensions, mut name) = (Vec::new(), Vec::new(), None::<String>);
    let mut rest = archive;
    loop {
        let header: [u8; BLOCK] = *rest.first_chunk().ok_or_else(|| wrong("the archive breaks off".to_owned()))?;
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        let blocks = rest;
        rest = &rest[BLOCK..];
        let tar = tar::Header::from_byte_slice(&header);
        if tar.cksum().ok() != Some(checksum(&header)) {
            let after = entries.last().map_or("its start", Entry::path);
            return Err(wrong(format!("what stands after `{after}` is no header of an archive")));
        }
        let shown = name.clone().unwrap_or_else(|| String::from_utf8_lossy(&tar.path_bytes()).into_owned());
        let failed = |detail: &str| wrong(format!("entry `{}` {detail}", shown.escape_debug()));
        let size = tar.entry_size().map_err(|_| failed("has no size"))?;
        let kind = tar.entry_type();
        let is_extension = kind.is_pax_local_extensions() || kind.is_gnu_longname();
        let most = if is_extension { MAX_EXTENSION } else { MAX_FILE };
        if size > most {
            return Err(failed(&format!("has {size} bytes, more than the {most} that are read")));
        }
        let content = usize::try_from(size).ok().and_then(|size| rest.get(..size));
        let content = content.ok_or_else(|| failed("breaks off"))?;
        let blocks_of_content = content.len().next_multiple_of(BLOCK);
        let padding = rest.get(content.len()..blocks_of_content).ok_or_else(|| failed("breaks off"))?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(failed("has something behind its content"));
        }
        rest = &rest[blocks_of_content..];
        if is_extension {
            name = long_name(kind, content).map_err(|detail| failed(&detail))?.or(name);
            extensions.extend_from_slice(&blocks[..blocks.len() - rest.len()]);
            if extensions.len() as u64 > 2 * MAX_EXTENSION {
                return Err(failed("has too long a name"));
            }
            continue;
        }
        if entries.len() == MAX_ENTRIES {
            return Err(wrong(format!("it has more than {MAX_ENTRIES} entries")));
        }
        let path = match name.take() {
            Some(name) => name,
            None => {
                String::from_utf8(tar.path_bytes().into_owned()).map_err(|_| failed("has a name that is no text"))?
            }
        };
        let content = match kind {
            tar::EntryType::Regular if !path.ends_with('/') => Some(content.to_vec()),
            tar::EntryType::Directory if content.is_empty() => None,
            kind => return Err(failed(&format!("is {}, neither a file nor a folder", kind_name(kind)))),
        };
        let path = inside(&path).map_err(|detail| failed(&detail))?;
        entries.push(Entry { extensions: std::mem::take(&mut extensions), header, path, content });
    }
    if !extensions.is_empty() {
        return Err(wrong("it ends with a name of nothing".to_owned()));
    }
    if rest.iter().any(|byte| *byte != 0) {
        return Err(wrong("something stands behind the end of the archive".to_owned()));
    }
    check(&entries).map_err(wrong)?;
    Ok((entries, rest.len()))
}

/// The archive of these entries.
pub(super) fn write(entries: &[Entry], padding: usize) -> Vec<u8> {
    let mut archive = Vec::new();
    for entry in entries {
        entry.write(&mut archive);
    }
    archive.resize(archive.len() + padding, 0);
    archive
}

/// The sum of a header's bytes, with spaces where the sum is.
fn checksum(header: &[u8; BLOCK]) -> u32 {
    let byte = |(at, byte): (usize, &u8)| u32::from(if CHECKSUM.contains(&at) { b' ' } else { *byte });
    header.iter().enumerate().map(byte).sum()
}

/// The name in an extension. One that changes anything else about the file is refused.
fn long_name(kind: tar::EntryType, content: &[u8]) -> Result<Option<String>, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| "has a name that is no text".to_owned());
    if kind.is_gnu_longname() {
        return text(content.strip_suffix(b"\0").unwrap_or(content)).map(Some);
    }
    let mut name = None;
    for record in tar::PaxExtensions::new(content) {
        let record = record.map_err(|_| "has records that cannot be read".to_owned())?;
        match record.key_bytes() {
            b"path" => name = Some(text(record.value_bytes())?),
            b"size" | b"linkpath" => return Err("has a size or a target elsewhere than in its header".to_owned()),
            key if key.starts_with(b"GNU.sparse") => return Err("has holes".to_owned()),
            _ => {}
        }
    }
    Ok(name)
}

/// A path without what says nothing, if it is in the release's folder.
fn inside(path: &str) -> Result<String, String> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let odd = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(['\0', '\n', '\\']);
    if path.split('/').any(odd) {
        return Err("has a path that leads elsewhere".to_owned());
    }
    if path.split('/').next() != Some(FOLDER) {
        return Err(format!("stands outside of `{FOLDER}/`"));
    }
    if path.split('/').any(|part| part.starts_with(WHITEOUT)) {
        return Err("removes a file of a lower layer".to_owned());
    }
    Ok(path.to_owned())
}

/// What is wrong with the entries together.
fn check(entries: &[Entry]) -> Result<(), String> {
    let mut kinds = BTreeMap::new();
    for entry in entries {
        if kinds.insert(entry.path(), entry.content.is_none()).is_some() {
            return Err(format!("entry `{}` stands there twice", entry.path()));
        }
    }
    for entry in entries {
        let above = entry.path().match_indices('/').map(|(at, _)| &entry.path()[..at]);
        if let Some(file) = above.into_iter().find(|path| kinds.get(path) == Some(&false)) {
            return Err(format!("entry `{}` stands in `{file}`, which is no folder", entry.path()));
        }
    }
    if kinds.get(FOLDER) == Some(&false) || kinds.is_empty() {
        return Err(format!("it has no folder `{FOLDER}`"));
    }
    Ok(())
}

fn kind_name(kind: tar::EntryType) -> &'static str {
    match kind {
        tar::EntryType::Symlink => "a link",
        tar::EntryType::Link => "a hard link",
        tar::EntryType::Block | tar::EntryType::Char | tar::EntryType::Fifo => "a device",
        tar::EntryType::Directory => "a folder with content",
        tar::EntryType::Regular => "a file with the name of a folder",
        _ => "of an unusual type",
    }
}
