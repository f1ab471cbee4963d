//! A whole directory tree as a value, so that two trees can be compared and a difference be named.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What stands at a path.
#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    /// A folder with its mode.
    Folder(u32),
    /// A file with its mode and content.
    File(u32, Vec<u8>),
    /// A symbolic link with its target.
    Link(PathBuf),
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Folder(mode) => write!(f, "folder {mode:o}"),
            Node::File(mode, bytes) if bytes.len() > 400 => write!(f, "file {mode:o} of {} bytes", bytes.len()),
            Node::File(mode, bytes) => write!(f, "file {mode:o} {:?}", String::from_utf8_lossy(bytes)),
            Node::Link(target) => write!(f, "link to {}", target.display()),
        }
    }
}

/// Paths below a folder and what stands there, with modification times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree(pub BTreeMap<PathBuf, (Node, i64)>);

impl Tree {
    /// Reads everything below a folder; links are not followed.
    ///
    /// # Panics
    /// If something cannot be read.
    #[track_caller]
    pub fn read(root: &Path) -> Self {
        let mut tree = Self::default();
        tree.read_below(root, Path::new(""));
        tree
    }

    fn read_below(&mut self, root: &Path, below: &Path) {
        let folder = root.join(below);
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("reading folder {}: {e}", folder.display()));
        for entry in entries {
            let entry = entry.unwrap_or_else(|e| panic!("reading folder {}: {e}", folder.display()));
            let path = below.join(entry.file_name());
            let full = entry.path();
            let broken = |e: std::io::Error| -> ! { panic!("reading {}: {e}", full.display()) };
            let metadata = fs::symlink_metadata(&full).unwrap_or_else(|e| broken(e));
            let mode = metadata.permissions().mode() & 0o7777;
            let node = if metadata.is_symlink() {
                Node::Link(fs::read_link(&full).unwrap_or_else(|e| broken(e)))
            } else if metadata.is_dir() {
                self.read_below(root, &path);
                Node::Folder(mode)
            } else {
                Node::File(mode, fs::read(&full).unwrap_or_else(|e| broken(e)))
            };
            self.0.insert(path, (node, metadata.mtime()));
        }
    }

    /// The paths.
    pub fn paths(&self) -> Vec<&Path> {
        self.0.keys().map(PathBuf::as_path).collect()
    }

    /// Says what another tree has differently; empty if nothing.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, node) in &self.0 {
            match other.0.get(path) {
                None => found.push(format!("{} is only on the left: {node:?}", path.display())),
                Some(right) if right != node => {
                    found.push(format!("{} differs: {node:?} and {right:?}", path.display()));
                }
                Some(_) => {}
            }
        }
        let only_right = other.0.iter().filter(|(path, _)| !self.0.contains_key(*path));
        found.extend(only_right.map(|(path, node)| format!("{} is only on the right: {node:?}", path.display())));
        found
    }

    /// Fails where another tree is not the same.
    ///
    /// # Panics
    /// If they differ, with every difference.
    #[track_caller]
    pub fn assert_same(&self, other: &Self, what: &str) {
        let found = self.differences(other);
        assert!(found.is_empty(), "{what}: the trees differ\n  {}", found.join("\n  "));
    }
}
