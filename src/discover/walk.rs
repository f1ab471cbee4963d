//! Walks a folder of a [`Tree`] the way programs on the device do: links are followed.

use crate::model::Tree;
use std::collections::BTreeSet;

/// The most files of one folder that are looked at.
const MAX_FILES: usize = 100_000;

/// A file that was come upon.
#[derive(Debug)]
pub struct Entry<'t> {
    /// The path by which it was come upon, not where links lead to.
    pub path: String,
    /// Its bytes; `None` where they were not kept.
    pub bytes: Option<&'t [u8]>,
}

/// The files at or below a path, by name; each folder once, whatever links lead to it.
pub fn walk<'t>(tree: &'t Tree, path: &str) -> Vec<Entry<'t>> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_empty() {
            // The tree itself is no node.
            let names: BTreeSet<&str> = tree.iter().map(|(path, _)| path.split('/').next().unwrap_or(path)).collect();
            open.extend(names.into_iter().rev().map(str::to_owned));
            continue;
        }
        let Some((real, node)) = tree.resolve(&path) else { continue };
        if let Some(file) = node.file() {
            found.push(Entry { path, bytes: file.bytes.as_deref() });
            if found.len() >= MAX_FILES {
                break;
            }
        } else if node.is_dir() && seen.insert(real) {
            open.extend(tree.names(&path).into_iter().rev().map(|name| format!("{path}/{name}")));
        }
    }
    found
}
