//! `Archive`: a tar file whose members are read where they lie. Nothing is extracted.

use super::Error;
use super::error::foreign;
use crate::model::tree::{link_target, normal};
use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// The most members of an archive of images: some for each layer.
const MAX_MEMBERS: usize = 100_000;
/// The most bytes of a header with its long names.
const MAX_HEADER: u64 = 64 * 1024;
/// How many links are followed on the way to a member.
const MAX_LINKS: usize = 16;

/// An uncompressed tar archive in a file.
pub(super) struct Archive {
    name: String,
    file: Arc<File>,
    size: u64,
    members: HashMap<String, Member>,
}

enum Member {
    Slice {
        offset: u64,
        size: u64,
    },
    /// Where it leads to.
    Link(String),
}

impl Archive {
    /// Looks through a file once for where its members lie.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let failed = |source| Error::Source { object: name.clone(), source };
        // A pipe would be waited for.
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            return Err(Error::Malformed(format!("`{name}` is no file")));
        }
        let file = File::open(path).map_err(failed)?;
        let mut magic = [0; 4];
        let count = file.read_at(&mut magic, 0).map_err(failed)?;
        if magic[..count].starts_with(&[0x1f, 0x8b]) || magic[..count] == [0x28, 0xb5, 0x2f, 0xfd] {
            return Err(Error::NoImage {
                message: format!("`{name}` is compressed"),
                hint: "decompress it first, with `gunzip` or `unzstd`: its layers are compressed already".to_owned(),
            });
        }
        let members =
            scan(&file).map_err(|e| Error::Malformed(format!("`{name}` is no archive that can be read: {e}")))?;
        Ok(Self { name, file: Arc::new(file), size: metadata.len(), members })
    }

    /// A member and its size, links followed; `None` where there is none.
    pub(super) fn member(&self, path: &str) -> Result<Option<(Slice, u64)>, Error> {
        let mut path = normal(path);
        for _ in 0..MAX_LINKS {
            match path.as_ref().and_then(|path| Some((path, self.members.get(path)?))) {
                None => return Ok(None),
                Some((_, Member::Link(target))) => path = Some(target.clone()),
                Some((path, Member::Slice { offset, size })) => {
                    let end = offset.checked_add(*size);
                    if end.is_none_or(|end| end > self.size) {
                        let object = format!("`{}` in {}", foreign(path), self.name);
                        return Err(Error::damaged(object, "the archive ends before it"));
                    }
                    return Ok(Some((Slice { file: self.file.clone(), offset: *offset, left: *size }, *size)));
                }
            }
        }
        Ok(None)
    }
}

/// A part of a file. Each has its own place in it.
pub(super) struct Slice {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..length], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

fn scan(file: &File) -> io::Result<HashMap<String, Member>> {
    let left = Rc::new(Cell::new(MAX_HEADER));
    let mut archive = tar::Archive::new(Headers { file, left: left.clone() });
    let mut members = HashMap::new();
    let mut entries = archive.entries_with_seek()?;
    loop {
        left.set(MAX_HEADER);
        let Some(entry) = entries.next() else { return Ok(members) };
        let entry = entry?;
        let Ok(path) = String::from_utf8(entry.path_bytes().into_owned()) else { continue };
        let Some(path) = normal(&path) else { continue };
        let link = || entry.link_name_bytes().and_then(|target| String::from_utf8(target.into_owned()).ok());
        let member = match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                Member::Slice { offset: entry.raw_file_position(), size: entry.size() }
            }
            // The target of a hard link is written from the root of the archive.
            tar::EntryType::Link => Member::Link(link_target("", &link().unwrap_or_default())),
            tar::EntryType::Symlink => Member::Link(link_target(&path, &link().unwrap_or_default())),
            _ => continue,
        };
        members.insert(path, member);
        if members.len() > MAX_MEMBERS {
            return Err(io::Error::other(format!("it has more than {MAX_MEMBERS} members")));
        }
    }
}

/// What the scan reads: headers, of which only so much.
struct Headers<'f> {
    file: &'f File,
    left: Rc<Cell<u64>>,
}

impl Read for Headers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let left = self.left.get().checked_sub(count as u64);
        self.left.set(left.ok_or_else(|| io::Error::other("a header is too long"))?);
        Ok(count)
    }
}

impl Seek for Headers<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            if kind.is_file() {
                header.set_size(text.len() as u64);
                builder.append_data(&mut header, path, text.as_bytes()).unwrap();
            } else {
                header.set_size(0);
                builder.append_link(&mut header, path, text).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    fn open(bytes: &[u8]) -> Result<Archive, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Archive::open(file.path())
    }

    #[test]
    fn members_are_read_where_they_lie() {
        use tar::EntryType::{Link, Regular, Symlink};
        let bytes = archive(&[
            ("a/file", Regular, "text"),
            ("./b/second", Regular, ""),
            ("b/link", Symlink, "../a/file"),
            ("b/hard", Link, "a/file"),
            ("b/circle", Symlink, "circle"),
            ("b/out", Symlink, "../../../../etc/passwd"),
        ]);
        let members = open(&bytes).unwrap();
        for (path, content) in [
            ("a/file", Some("text")),
            ("b/second", Some("")),
            ("b/link", Some("text")),
            ("b/hard", Some("text")),
            ("b/circle", None),
            ("b/out", None),
            ("../a/file", None),
        ] {
            let found = members.member(path).unwrap().map(|(slice, _)| io::read_to_string(slice).unwrap());
            assert_eq!(found.as_deref(), content, "{path}");
        }
        let cut = open(&bytes[..514]).unwrap();
        assert!(matches!(cut.member("a/file"), Err(Error::Damaged { .. })));
        assert!(matches!(open(&[0x1f, 0x8b, 8, 0]), Err(Error::NoImage { .. })));
        assert!(matches!(open(&[7; 4096]), Err(Error::Malformed(_))));
    }
}
