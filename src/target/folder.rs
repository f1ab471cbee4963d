//! A root or a store as a folder. Links are kept as links and never followed while reading.

use super::{Error, Keep, Keeper, Wanted, io_error};
use crate::model::tree::{File, Node, NodeKind, parents};
use crate::model::{Progress, Tree};
use cap_std_ext::cap_std::fs::{Dir, FileType, Metadata, MetadataExt as _};
use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read};

/// How often links may lead on to files that were not wanted before.
const MAX_ROUNDS: usize = 8;

/// How deep folders may be; those of systems are far from it.
const MAX_DEPTH: usize = 256;

/// Reads a folder.
pub fn read(dir: &Dir, wanted: &Wanted, progress: &dyn Progress) -> Result<Tree, Error> {
    let blobs: u64 = wanted.blobs().map(|place| bytes_below(dir, place, 0)).sum();
    if blobs > 0 {
        progress.start("Hashing", blobs, true);
    }
    let mut wanted = wanted.clone();
    let mut reader = Reader { keeper: Keeper::default(), tree: Tree::default(), seen: HashMap::new(), progress };
    for _ in 0..MAX_ROUNDS {
        for place in wanted.places().map(str::to_owned).collect::<Vec<_>>() {
            reader.place(dir, &place, &wanted)?;
        }
        if wanted.wants_names() {
            reader.everything(dir, "", &wanted)?;
        }
        if !wanted.follow(&reader.tree) {
            break;
        }
    }
    progress.finish();
    Ok(reader.tree)
}

/// How many bytes there are to hash, about: what cannot be looked at counts nothing.
fn bytes_below(dir: &Dir, path: &str, depth: usize) -> u64 {
    let place = if path.is_empty() { "." } else { path };
    let Ok(entries) = dir.read_dir(place) else { return 0 };
    let mut bytes = 0;
    for entry in entries.filter_map(Result::ok) {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            bytes += metadata.len();
        } else if metadata.is_dir() && depth < MAX_DEPTH {
            let name = entry.file_name();
            bytes += bytes_below(dir, &format!("{place}/{}", name.to_string_lossy()), depth + 1);
        }
    }
    bytes
}

struct Reader<'p> {
    keeper: Keeper,
    tree: Tree,
    progress: &'p dyn Progress,
    /// Places that were read, and how much of their files was kept.
    seen: HashMap<String, Keep>,
}

impl Reader<'_> {
    /// Reads what is at a place and below it, and the folders on the way.
    fn place(&mut self, root: &Dir, place: &str, wanted: &Wanted) -> Result<(), Error> {
        let keep = wanted.keep(place).unwrap_or(Keep::Name);
        let mut around = parents(place).chain([place, ""]);
        if around.any(|path| self.seen.get(path).is_some_and(|seen| *seen >= keep)) {
            return Ok(());
        }
        self.seen.insert(place.to_owned(), keep);
        if place.is_empty() {
            return self.below(root, "", wanted);
        }
        let mut dir = root.try_clone().map_err(io_error(place))?;
        for path in parents(place).chain([place]) {
            let name = path.rsplit('/').next().unwrap_or(path);
            let Some(node) = self.node(&dir, OsStr::new(name), path, wanted)? else { return Ok(()) };
            let is_dir = node.is_dir();
            self.tree.insert(path, node);
            if !is_dir {
                return Ok(());
            }
            dir = match dir.open_dir(name) {
                Ok(dir) => dir,
                Err(e) => return self.denied(path, e),
            };
        }
        self.below(&dir, place, wanted)
    }

    fn below(&mut self, dir: &Dir, path: &str, wanted: &Wanted) -> Result<(), Error> {
        require_depth(path)?;
        let entries = match dir.entries() {
            Ok(entries) => entries,
            Err(e) => return self.denied(path, e),
        };
        for entry in entries {
            let entry = entry.map_err(io_error(path))?;
            let name = entry.file_name();
            // What is no text in a name is replaced in the tree.
            let path = below_path(path, &name.to_string_lossy());
            let Some(node) = self.node(dir, &name, &path, wanted)? else { continue };
            let is_dir = node.is_dir();
            self.tree.insert(&path, node);
            if is_dir {
                match dir.open_dir(&name) {
                    Ok(below) => self.below(&below, &path, wanted)?,
                    Err(e) => self.denied(&path, e)?,
                }
            }
        }
        Ok(())
    }

    /// What this user may not read is noted: only checks that need it cannot be made.
    fn denied(&mut self, path: &str, error: io::Error) -> Result<(), Error> {
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Err(io_error(path)(error));
        }
        self.tree.note_unread(path, &error.to_string());
        Ok(())
    }

    /// Looks through a whole root for files that are wanted by name. What is mounted into it, such as
    /// the secrets of a build, is not part of it.
    fn everything(&mut self, dir: &Dir, path: &str, wanted: &Wanted) -> Result<(), Error> {
        require_depth(path)?;
        let entries = match dir.entries() {
            Ok(entries) => entries,
            Err(e) => return self.denied(path, e),
        };
        for entry in entries {
            let entry = entry.map_err(io_error(path))?;
            let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else { continue };
            let path = below_path(path, &name.to_string_lossy());
            if kind.is_dir() && !is_mounted(dir, &name) {
                match dir.open_dir(&name) {
                    Ok(below) => self.everything(&below, &path, wanted)?,
                    Err(e) => self.denied(&path, e)?,
                }
            } else if kind.is_file()
                && self.tree.get(&path).is_none()
                && wanted.keep(&path).is_some()
                && !is_mounted(dir, &name)
                && let Some(node) = self.node(dir, &name, &path, wanted)?
            {
                self.tree.insert(&path, node);
            }
        }
        Ok(())
    }

    /// What stands at a name; `None` where there is nothing.
    fn node(&mut self, dir: &Dir, name: &OsStr, path: &str, wanted: &Wanted) -> Result<Option<Node>, Error> {
        let metadata = match dir.symlink_metadata(name) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return self.denied(path, e).map(|()| None),
        };
        let kind = self.kind(dir, name, path, &metadata, wanted)?;
        Ok(Some(Node { mode: metadata.mode() & 0o7777, kind }))
    }

    fn kind(&mut self, dir: &Dir, name: &OsStr, path: &str, of: &Metadata, wanted: &Wanted) -> Result<NodeKind, Error> {
        let kind: FileType = of.file_type();
        if kind.is_dir() {
            return Ok(NodeKind::Dir);
        }
        if kind.is_symlink() {
            let target = dir.read_link_contents(name).map_err(io_error(path))?;
            return Ok(NodeKind::Link(target.to_string_lossy().into_owned()));
        }
        if !kind.is_file() {
            return Ok(NodeKind::Special);
        }
        let keep = wanted.keep(path).unwrap_or(Keep::Name);
        if keep == Keep::Name {
            return self.keeper.read(path, of.len(), keep, std::io::empty()).map(NodeKind::File);
        }
        let file = match dir.open(name) {
            Ok(file) => file,
            Err(e) => {
                self.denied(path, e)?;
                return Ok(NodeKind::File(File { size: of.len(), digest: None, bytes: None }));
            }
        };
        let told = if keep == Keep::Blob { Some(self.progress) } else { None };
        self.keeper.read(path, of.len(), keep, Told { file, told }).map(NodeKind::File)
    }
}

/// The path of a name in a folder.
fn below_path(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn require_depth(path: &str) -> Result<(), Error> {
    if parents(path).count() < MAX_DEPTH {
        return Ok(());
    }
    let start: String = path.chars().take(100).collect();
    Err(Error::Malformed(format!("folders are more than {MAX_DEPTH} deep below `/{start}…`")))
}

/// A file whose reading is told of.
struct Told<'p, F> {
    file: F,
    told: Option<&'p dyn Progress>,
}

impl<F: Read> Read for Told<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if let Some(progress) = self.told {
            progress.advance(count as u64);
        }
        Ok(count)
    }
}

/// Whether another file system begins at a name.
fn is_mounted(dir: &Dir, name: &OsStr) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let known = rustix::fs::statx(dir, name, flags, StatxFlags::empty());
    known.is_ok_and(|known| known.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::progress::Silent;
    use cap_std_ext::cap_std::ambient_authority;
    use cap_std_ext::cap_tempfile::tempdir;

    #[test]
    fn only_what_is_wanted_is_read_and_links_never_lead_out() {
        let root = tempdir(ambient_authority()).unwrap();
        for (path, text) in [
            ("usr/etc/crio/a.conf", "a"),
            ("usr/lib/store/x", "blob"),
            ("usr/lib/other/y", "other"),
            ("home/user/auth.json", "{}"),
            ("srv/z", "led to"),
        ] {
            root.create_dir_all(path.rsplit_once('/').unwrap().0).unwrap();
            root.write(path, text).unwrap();
        }
        root.symlink_contents("usr/etc", "etc").unwrap();
        root.symlink_contents("/../../srv/z", "usr/lib/store/link").unwrap();
        root.symlink_contents("../../../../../../../../etc/passwd", "usr/lib/store/out").unwrap();
        let wanted = Wanted::default().place("etc/crio", Keep::Text).place("usr/lib/store", Keep::Blob);
        let tree = read(&root, &wanted.name("auth.json"), &Silent).unwrap();
        assert_eq!(tree.bytes("etc/crio/a.conf"), Some(&b"a"[..]));
        assert_eq!(tree.bytes("usr/lib/store/link"), Some(&b"led to"[..]));
        assert_eq!(tree.bytes("home/user/auth.json"), Some(&b"{}"[..]));
        assert!(tree.resolve("usr/lib/store/out").is_none());
        assert!(tree.get("usr/lib/other").is_none() && tree.get("usr/lib/other/y").is_none());
    }
}
