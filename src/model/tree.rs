//! `Tree`: what is known of the files of a root, by path. What reads it from a folder, or from the
//! layers of an image, is in `crate::target`; everything that judges a root works on this value.

use super::digest::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many links are followed on the way to one file; Linux has the same limit.
const MAX_LINKS: usize = 40;

/// Files of a root. Paths have no leading slash and no `.` or `..`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
    unread: Vec<(String, String)>,
}

/// One file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Permission bits with setuid, setgid and sticky: `mode & 0o7777`.
    pub mode: u32,
    /// What it is.
    pub kind: NodeKind,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A folder.
    Dir,
    /// A symbolic link and its target as it is written.
    Link(String),
    /// A regular file.
    File(File),
    /// A device, socket or pipe.
    Special,
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// In bytes.
    pub size: u64,
    /// Of its bytes, where they were read.
    pub digest: Option<Digest>,
    /// Its bytes, where they were kept.
    pub bytes: Option<Arc<[u8]>>,
}

impl Node {
    /// A folder of mode 0755.
    pub fn dir() -> Self {
        Self { mode: 0o755, kind: NodeKind::Dir }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&File> {
        match &self.kind {
            NodeKind::File(file) => Some(file),
            _ => None,
        }
    }

    /// Whether it is a folder.
    pub fn is_dir(&self) -> bool {
        self.kind == NodeKind::Dir
    }
}

/// A path as [`Tree`] writes it, or `None` where it leads above the root.
pub fn normal(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Where a link at `path` leads, as if the root were `/`: what would lead above it stays in it.
pub fn link_target(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { path.split('/').collect() };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The folders above a path, highest first, without the root itself.
pub fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

impl Tree {
    /// Puts a node at a path, replacing what is there. Folders above it are made, and take the place
    /// of what is no folder, as an upper layer does; a folder over a folder keeps what is in it.
    pub fn insert(&mut self, path: &str, node: Node) {
        for parent in parents(path) {
            if !self.nodes.get(parent).is_some_and(Node::is_dir) {
                self.nodes.insert(parent.to_owned(), Node::dir());
            }
        }
        if !node.is_dir() {
            self.remove_below(path);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// Removes a path and everything below it.
    pub fn remove(&mut self, path: &str) {
        self.nodes.remove(path);
        self.remove_below(path);
    }

    /// Removes everything below a path.
    pub fn remove_below(&mut self, path: &str) {
        let gone: Vec<String> = self.below(path).map(|(path, _)| path.to_owned()).collect();
        for path in gone {
            self.nodes.remove(&path);
        }
    }

    /// Notes that something could not be read, and why.
    pub fn note_unread(&mut self, path: &str, cause: &str) {
        self.unread.push((path.to_owned(), cause.to_owned()));
    }

    /// What could not be read, and why.
    pub fn unread(&self) -> &[(String, String)] {
        &self.unread
    }

    /// What stands at a path itself; links are not followed.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Every path and its node, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Everything below a folder, sorted; links are not followed. `""` is the root.
    pub fn below(&self, path: &str) -> impl Iterator<Item = (&str, &Node)> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let range = self.nodes.range(prefix.clone()..);
        range.take_while(move |(path, _)| path.starts_with(&prefix)).map(|(path, node)| (path.as_str(), node))
    }

    /// The path that a path leads to when every link is followed, as if the root were `/`, and the
    /// node there. `None` where there is nothing, or links go in a circle.
    pub fn resolve(&self, path: &str) -> Option<(String, &Node)> {
        let mut links = 0;
        let mut path = normal(path)?;
        'again: loop {
            let whole = path.clone();
            for part in parents(&whole).chain([whole.as_str()]) {
                let NodeKind::Link(target) = &self.nodes.get(part)?.kind else { continue };
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                let led = format!("{}{}", link_target(part, target), &whole[part.len()..]);
                led.trim_start_matches('/').clone_into(&mut path);
                continue 'again;
            }
            return self.nodes.get(&path).map(|node| (path, node));
        }
    }

    /// The file at a path, links followed.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.resolve(path).and_then(|(_, node)| node.file())
    }

    /// The bytes of a file, links followed; `None` where there is none, or they were not kept.
    pub fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.file(path)?.bytes.as_deref()
    }

    /// The names in a folder, sorted; the path to it may have links. None where there is no folder.
    pub fn names(&self, dir: &str) -> Vec<&str> {
        let Some((dir, _)) = self.resolve(dir).filter(|(_, node)| node.is_dir()) else { return Vec::new() };
        let names = self.below(&dir).map(|(path, _)| &path[dir.len() + 1..]);
        names.filter(|name| !name.contains('/')).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Node {
        let bytes: Arc<[u8]> = text.as_bytes().into();
        let kind = NodeKind::File(File { size: bytes.len() as u64, digest: None, bytes: Some(bytes) });
        Node { mode: 0o644, kind }
    }

    fn link(target: &str) -> Node {
        Node { mode: 0o777, kind: NodeKind::Link(target.to_owned()) }
    }

    #[test]
    fn links_are_followed_as_if_the_root_were_the_root() {
        let mut tree = Tree::default();
        tree.insert("usr/lib/a/file", file("x"));
        tree.insert("lib", link("usr/lib"));
        tree.insert("etc/out", link("../../../../usr/lib/a/file"));
        tree.insert("etc/absolute", link("/lib/a"));
        tree.insert("etc/self", link("self"));
        tree.insert("etc/gone", link("/nowhere"));
        tree.insert("etc/root", link("/"));
        for (path, found) in [
            ("lib/a/file", Some("usr/lib/a/file")),
            ("/etc/out", Some("usr/lib/a/file")),
            ("etc/absolute/file", Some("usr/lib/a/file")),
            ("etc/root/lib/a/file", Some("usr/lib/a/file")),
            ("etc/self", None),
            ("etc/gone", None),
            ("usr/lib/a/file/x", None),
            ("../x", None),
        ] {
            assert_eq!(tree.resolve(path).map(|(path, _)| path).as_deref(), found, "{path}");
        }
        assert_eq!(tree.bytes("lib/a/file"), Some(&b"x"[..]));
        assert_eq!(tree.names("etc/absolute"), ["file"]);
        assert_eq!(tree.names("lib"), ["a"]);
    }

    #[test]
    fn an_upper_layer_replaces() {
        let mut tree = Tree::default();
        tree.insert("a/b", file("x"));
        tree.insert("a-b", file("beside"));
        tree.insert("a", link("c"));
        assert!(tree.get("a/b").is_none() && tree.get("a-b").is_some());
        tree.insert("a/d", file("y"));
        assert!(tree.get("a").is_some_and(Node::is_dir));
        tree.remove("a");
        assert_eq!(tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["a-b"]);
    }
}
