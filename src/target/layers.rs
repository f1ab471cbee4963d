//! `Layers`: the tree that the layers of an image make, of what is wanted of it.
//!
//! Layers are read one after the other, each from its first to its last byte, and nothing is unpacked.
//! What a layer changes is kept by itself and put together at the end, so that a layer can be read again:
//! links may lead to files that nobody knew to be wanted. In the base images that ostree writes, every
//! file is a hard link to an object that stands before it in the archive.
//!
//! Formats: image-spec (layer.md, "Applying Changesets"), tar with the extensions of GNU and PAX.

use super::error::foreign;
use super::stream::Passage;
use super::{Error, Keep, Keeper, Wanted};
use crate::model::tree::{File, Node, NodeKind, normal, parents};
use crate::model::{Descriptor, Digest, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// How often layers are read because of where links lead.
const MAX_ROUNDS: usize = 8;
/// The most files, folders, links and whiteouts that are kept. Large images have some 500,000 files.
const MAX_NODES: usize = 2_000_000;
/// The most bytes of their paths, and of what links say.
const MAX_PATH_BYTES: usize = 256 * 1024 * 1024;
/// The longest path of Linux.
const MAX_PATH: usize = 4096;
/// The largest file with holes; reading a hole costs the writer of the archive nothing.
const MAX_SPARSE: u64 = 64 << 30;
/// What marks a file of a lower layer as gone.
const WHITEOUT: &str = ".wh.";
/// What marks all lower content of a folder as gone.
const OPAQUE: &str = ".wh..wh..opq";
/// What aufs kept for itself.
const AUFS: &str = ".wh..wh.";

/// A layer, by what is promised of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Digest and size of the bytes as they come, where a manifest names them.
    pub descriptor: Option<Descriptor>,
    /// Of the uncompressed archive, where the image's config names it.
    pub diff_id: Option<Digest>,
}

impl Layer {
    /// For messages.
    pub fn name(&self) -> String {
        match self.descriptor.as_ref().map(|descriptor| &descriptor.digest).or(self.diff_id.as_ref()) {
            Some(digest) => format!("layer {digest}"),
            None => "a layer".to_owned(),
        }
    }
}

/// The layers of one image. Ask [`Layers::todo`] what to read, [`Layers::read`] that, and ask again.
pub struct Layers {
    wanted: Wanted,
    /// What hard links lead to, and how much of it they want.
    linked: BTreeMap<String, Keep>,
    /// Files that are wanted wherever they are; an upper file above one hides it.
    named: BTreeSet<String>,
    keeper: Keeper,
    changes: Vec<Change>,
    todo: BTreeSet<usize>,
    rounds: usize,
    buffer: Vec<u8>,
}

/// What one layer does to the lower ones.
#[derive(Default)]
struct Change {
    nodes: BTreeMap<String, Node>,
    /// Hard links to what this layer does not have: path and target.
    links: BTreeMap<String, String>,
    hidden: BTreeSet<String>,
    opaque: BTreeSet<String>,
    /// Folders, by what stands in them.
    implied: BTreeSet<String>,
    room: Room,
}

/// How much has been kept.
#[derive(Default, Clone, Copy)]
struct Room {
    nodes: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), Error> {
        self.nodes += 1;
        self.bytes += bytes;
        if self.nodes > MAX_NODES || self.bytes > MAX_PATH_BYTES {
            return Err(Error::Malformed(format!(
                "the image has more than {MAX_NODES} files that matter, or paths of more than {} MiB",
                MAX_PATH_BYTES >> 20
            )));
        }
        Ok(())
    }
}

impl Layers {
    /// As many layers, of which this is wanted.
    pub fn new(wanted: &Wanted, count: usize) -> Self {
        Self {
            wanted: wanted.clone(),
            linked: BTreeMap::new(),
            named: BTreeSet::new(),
            keeper: Keeper::default(),
            changes: (0..count).map(|_| Change::default()).collect(),
            todo: (0..count).collect(),
            rounds: 0,
            buffer: vec![0; 128 * 1024],
        }
    }

    /// The numbers of the layers that have to be read, or read again, lowest first. None at the end.
    pub fn todo(&mut self) -> Result<Vec<usize>, Error> {
        if self.todo.is_empty() && self.rounds > 0 && self.rounds < MAX_ROUNDS {
            let tree = self.tree()?;
            if self.wanted.follow(&tree) {
                self.todo = (0..self.changes.len()).collect();
            }
        }
        self.rounds += 1;
        // What leads on and on after so many rounds is played with, and left as it is.
        let todo = std::mem::take(&mut self.todo);
        Ok(if self.rounds <= MAX_ROUNDS { todo.into_iter().collect() } else { Vec::new() })
    }

    /// Reads a layer to its end and checks that it is the one that was promised.
    pub fn read(&mut self, number: usize, layer: &Layer, from: impl Read) -> Result<(), Error> {
        let mut change = Change::default();
        for (_, other) in self.changes.iter().enumerate().filter(|(other, _)| *other != number) {
            change.room.nodes += other.room.nodes;
            change.room.bytes += other.room.bytes;
        }
        let others = change.room;
        let passage = Passage::new(layer, from);
        let result = self.archive(number, &mut change, layer, &passage);
        passage.finish(result)?;
        change.room.nodes -= others.nodes;
        change.room.bytes -= others.bytes;
        if let Some(old) = self.changes.get_mut(number) {
            *old = change;
        }
        Ok(())
    }

    /// The tree, when there is nothing more to do.
    pub fn tree(&self) -> Result<Tree, Error> {
        let (mut tree, mut room) = (Tree::default(), Room::default());
        for (number, change) in self.changes.iter().enumerate() {
            let mut nodes: Vec<(&str, Node)> = Vec::with_capacity(change.nodes.len() + change.links.len());
            nodes.extend(change.nodes.iter().map(|(path, node)| (path.as_str(), node.clone())));
            for (path, target) in &change.links {
                let lower = || self.changes[..number].iter().rev().find_map(|change| change.nodes.get(target));
                match tree.get(target).or_else(lower) {
                    Some(node) if !node.is_dir() => nodes.push((path, node.clone())),
                    _ => return Err(Error::Malformed(dangling(path, target))),
                }
            }
            change.opaque.iter().for_each(|path| tree.remove_below(path));
            change.hidden.iter().for_each(|path| tree.remove(path));
            for path in &change.implied {
                if tree.get(path).is_some_and(|lower| !lower.is_dir()) {
                    tree.insert(path, Node::dir());
                }
            }
            for (path, node) in nodes {
                if self.wanted.keep(path).is_none() {
                    // Only hard links lead here.
                    continue;
                }
                if self.wanted.is_only_named(path) && node.file().is_none() {
                    if !node.is_dir() || tree.get(path).is_some_and(|lower| !lower.is_dir()) {
                        tree.remove(path);
                    }
                    continue;
                }
                for path in parents(path).chain([path]).filter(|path| tree.get(path).is_none()) {
                    room.take(path.len())?;
                }
                tree.insert(path, node);
            }
        }
        Ok(tree)
    }

    fn archive<R: Read>(
        &mut self,
        number: usize,
        change: &mut Change,
        layer: &Layer,
        passage: &Passage<'_, R>,
    ) -> Result<(), Error> {
        let name = layer.name();
        let unusable = |e: std::io::Error| Error::Malformed(format!("{name} is no archive that can be read: {e}"));
        let mut archive = tar::Archive::new(passage.unpack().map_err(unusable)?);
        let mut entries = archive.entries().map_err(unusable)?;
        let mut last = String::new();
        loop {
            passage.expect_header();
            let Some(entry) = entries.next() else { break };
            let after = if last.is_empty() { String::new() } else { format!(" after `{}`", foreign(&last)) };
            let mut entry = entry.map_err(|e| Error::Malformed(format!("{name} cannot be read{after}: {e}")))?;
            passage.expect_content();
            last = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let failed = |detail: String| Error::Malformed(format!("{name}: entry `{}` {detail}", foreign(&last)));
            self.entry(number, change, &mut entry, &failed)?;
            self.skip(&mut entry).map_err(|e| failed(format!("cannot be read: {e}")))?;
        }
        passage.expect_content();
        // What pads the archive belongs to its digest.
        self.skip(&mut archive.into_inner()).map_err(|e| Error::Malformed(format!("{name} cannot be read: {e}")))
    }

    fn skip(&mut self, from: &mut dyn Read) -> std::io::Result<()> {
        loop {
            match from.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Err(e) if e.kind() != std::io::ErrorKind::Interrupted => return Err(e),
                _ => {}
            }
        }
    }

    fn entry<R: Read>(
        &mut self,
        number: usize,
        change: &mut Change,
        entry: &mut tar::Entry<'_, R>,
        failed: &dyn Fn(String) -> Error,
    ) -> Result<(), Error> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        if kind.is_gnu_sparse() && entry.size() > MAX_SPARSE {
            return Err(failed(format!("has holes and more than {} GiB", MAX_SPARSE >> 30)));
        }
        // What is not UTF-8 is no file that any check knows.
        let Ok(text) = String::from_utf8(entry.path_bytes().into_owned()) else { return Ok(()) };
        let path = inside(&text).map_err(failed)?;
        let name = path.rsplit('/').next().unwrap_or(&path);
        if name.starts_with(WHITEOUT) {
            return change.whiteout(&path, name, failed);
        }
        if path.is_empty() {
            return Ok(());
        }
        if !kind.is_dir() && self.wanted.keep(&path).is_none() {
            let below = format!("{path}/");
            if self.named.range(below.clone()..).next().is_some_and(|named| named.starts_with(&below)) {
                change.room.take(path.len())?;
                change.hidden.insert(path.clone());
            }
        }
        let Some(keep) = self.keep(&path) else { return self.imply(change, &path) };
        if kind.is_hard_link() {
            return self.link(number, change, entry, path, keep, failed);
        }
        let mode = entry.header().mode().map_err(|e| failed(format!("has no mode: {e}")))? & 0o7777;
        let kind = match kind {
            // Old archives have no other sign of a folder.
            tar::EntryType::Regular if text.ends_with('/') => NodeKind::Dir,
            tar::EntryType::Directory => NodeKind::Dir,
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                NodeKind::File(self.file(&path, keep, entry, failed)?)
            }
            tar::EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                if target.len() > MAX_PATH {
                    return Err(failed("links to a path longer than Linux has any".to_owned()));
                }
                NodeKind::Link(String::from_utf8_lossy(&target).into_owned())
            }
            // Overlay's own sign of a whiteout; image-spec does not know it.
            tar::EntryType::Char if is_zero_device(entry.header()) => return Ok(()),
            _ => NodeKind::Special,
        };
        change.put(path, Node { mode, kind })
    }

    /// The folders that a file which is not wanted stands in: a link of a lower layer at such a place is
    /// one no more.
    fn imply(&self, change: &mut Change, path: &str) -> Result<(), Error> {
        for parent in parents(path).filter(|parent| self.wanted.keep(parent).is_some()) {
            if !change.nodes.contains_key(parent) && !change.implied.contains(parent) {
                change.room.take(parent.len())?;
                change.implied.insert(parent.to_owned());
            }
        }
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        path: &str,
        keep: Keep,
        entry: &mut tar::Entry<'_, R>,
        failed: &dyn Fn(String) -> Error,
    ) -> Result<File, Error> {
        if self.wanted.is_named(path) {
            self.named.insert(path.to_owned());
        }
        let size = entry.size();
        let file = self.keeper.read(path, size, keep, entry).map_err(|e| match e {
            Error::Io { source, .. } => failed(format!("cannot be read: {source}")),
            e => e,
        })?;
        if file.size == size { Ok(file) } else { Err(failed(format!("has {} of {size} bytes", file.size))) }
    }

    fn link<R: Read>(
        &mut self,
        number: usize,
        change: &mut Change,
        entry: &tar::Entry<'_, R>,
        path: String,
        keep: Keep,
        failed: &dyn Fn(String) -> Error,
    ) -> Result<(), Error> {
        let target = entry.link_name_bytes().unwrap_or_default();
        let target = std::str::from_utf8(&target).map_err(|e| failed(format!("is a hard link to no text: {e}")))?;
        let target = inside(target).map_err(|detail| failed(format!("is a hard link, whose target {detail}")))?;
        if self.wanted.is_named(&path) {
            self.named.insert(path.clone());
        }
        if self.keep(&target).is_none_or(|known| known < keep) {
            change.room.take(target.len())?;
            self.linked.insert(target.clone(), keep);
            self.todo.insert(number);
        }
        match change.nodes.get(&target) {
            Some(node) if node.is_dir() => Err(failed("is a hard link to a folder".to_owned())),
            Some(node) => {
                let node = node.clone();
                change.put(path, node)
            }
            None => {
                change.room.take(path.len() + target.len())?;
                change.clear(&path);
                change.links.insert(path, target);
                Ok(())
            }
        }
    }

    fn keep(&self, path: &str) -> Option<Keep> {
        self.wanted.keep(path).max(self.linked.get(path).copied())
    }
}

impl Change {
    fn whiteout(&mut self, path: &str, name: &str, failed: &dyn Fn(String) -> Error) -> Result<(), Error> {
        let folder = path[..path.len() - name.len()].trim_end_matches('/');
        self.room.take(path.len())?;
        if name == OPAQUE {
            self.opaque.insert(folder.to_owned());
        } else if !name.starts_with(AUFS) {
            let hidden = &name[WHITEOUT.len()..];
            if ["", ".", ".."].contains(&hidden) {
                return Err(failed("is a whiteout of nothing".to_owned()));
            }
            self.hidden.insert(if folder.is_empty() { hidden.to_owned() } else { format!("{folder}/{hidden}") });
        }
        Ok(())
    }

    fn put(&mut self, path: String, node: Node) -> Result<(), Error> {
        let text = if let NodeKind::Link(target) = &node.kind { target.len() } else { 0 };
        self.room.take(path.len() + text)?;
        if node.is_dir() {
            self.links.remove(&path);
        } else {
            self.clear(&path);
        }
        self.nodes.insert(path, node);
        Ok(())
    }

    /// Forgets what this layer had at a path before, and below it.
    fn clear(&mut self, path: &str) {
        fn below<T>(map: &BTreeMap<String, T>, path: &str) -> Vec<String> {
            let prefix = format!("{path}/");
            map.range(prefix.clone()..).map(|(path, _)| path.clone()).take_while(|p| p.starts_with(&prefix)).collect()
        }
        for gone in below(&self.nodes, path) {
            self.nodes.remove(&gone);
        }
        for gone in below(&self.links, path) {
            self.links.remove(&gone);
        }
        self.nodes.remove(path);
        self.links.remove(path);
    }
}

/// A path of an entry as [`Tree`] writes it, or what is wrong with it.
fn inside(text: &str) -> Result<String, String> {
    if text.len() > MAX_PATH {
        return Err("has a longer path than Linux can have".to_owned());
    }
    normal(text).ok_or_else(|| "leads out of the root".to_owned())
}

fn is_zero_device(header: &tar::Header) -> bool {
    let zero = |number: std::io::Result<Option<u32>>| matches!(number, Ok(None | Some(0)));
    zero(header.device_major()) && zero(header.device_minor())
}

fn dangling(path: &str, target: &str) -> String {
    format!("`/{}` is a hard link to `/{}`, which is not there", foreign(path), foreign(target))
}

#[cfg(test)]
mod tests;
