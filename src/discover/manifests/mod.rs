//! Kubernetes manifests: every image that they name, in image fields or anywhere else.
//!
//! Image fields (`containers[].image` and its like) must be references. Everything else is looked
//! through as text, because operators are told of their operands in annotations, environments and
//! settings. Kustomizations are not rendered; what they say of `images` is applied.

mod kustomize;
mod node;
mod scan;
#[cfg(test)]
mod tests;
mod tokens;

use super::is_for;
use super::walk::{Entry, walk};
use crate::model::{Platforms, Release, Tree};
pub use kustomize::is_kustomization;
use kustomize::{Kustomization, Transforms};
use node::{Budget, Node, documents};
use scan::Scanner;
use std::collections::{BTreeMap, BTreeSet};

/// The most places that one kustomization may take in, with those that it takes in by others.
const MAX_PLACES: usize = 10_000;
/// The most transforms for one file.
const MAX_TRANSFORMS: usize = 1_000;

/// Whether the name of a file is one of a manifest.
pub fn is_manifest(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    matches!(extension, Some("yaml" | "yml" | "json")) || is_kustomization(name)
}

/// Finds the images of one stream of documents, for example what `helm template` prints. `file` is
/// how the user knows it; a file that is named for an architecture that is not wanted gives nothing.
pub fn scan_file(file: &str, bytes: &[u8], platforms: &Platforms) -> Release {
    let name = file.rsplit('/').next().unwrap_or(file);
    if !is_for(name, platforms) {
        return Release::default();
    }
    if !is_kustomization(name) {
        return scan(file, bytes, Transforms::default());
    }
    let kustomization = Kustomization::read(file, "", &readable(&String::from_utf8_lossy(bytes)));
    scan_kustomization(file, bytes, &kustomization)
}

fn scan(file: &str, bytes: &[u8], transforms: Transforms<'_>) -> Release {
    Scanner::new(file, bytes.len(), transforms).file(&String::from_utf8_lossy(bytes), None)
}

fn scan_kustomization(file: &str, bytes: &[u8], kustomization: &Kustomization) -> Release {
    let mut release =
        Scanner::new(file, bytes.len(), Transforms::default()).file(&String::from_utf8_lossy(bytes), Some("images"));
    kustomization.transforms.iter().for_each(|transform| transform.add_to(&mut release));
    let fetched = |resource: &String| format!("it takes in `{resource}`, which is fetched from a network");
    release.unreadable.extend(kustomization.remote.iter().map(|resource| (file.to_owned(), fetched(resource))));
    release
}

fn readable(text: &str) -> Vec<Node> {
    documents(text, &Budget::new(text.len())).into_iter().filter_map(Result::ok).collect()
}

/// Finds the images of all manifests in a folder of a tree, and of what its kustomizations take in
/// from elsewhere in the tree. Paths in origins have `prefix` before them.
pub fn discover_tree(tree: &Tree, dir: &str, prefix: &str, platforms: &Platforms) -> Release {
    let mut release = Release::default();
    let mut manifests = Manifests::default();
    let mut open = vec![dir.trim_matches('/').to_owned()];
    while let Some(place) = open.pop() {
        let is_file = || tree.resolve(&place).is_some_and(|(_, node)| node.file().is_some());
        let is_new_file = || !manifests.entries.contains_key(&place) && is_file();
        if manifests.walked(&place) && !is_new_file() {
            continue;
        }
        for entry in walk(tree, &place) {
            let name = entry.path.rsplit('/').next().unwrap_or(&entry.path);
            // What a kustomization names counts whatever it is called.
            let is_wanted = entry.path == place || (is_manifest(name) && is_for(name, platforms));
            if !is_wanted || manifests.entries.contains_key(&entry.path) {
                continue;
            }
            if is_kustomization(name) {
                let file = format!("{prefix}{}", entry.path);
                let dir = entry.path.rsplit_once('/').map_or("", |(dir, _)| dir);
                let text = String::from_utf8_lossy(entry.bytes.unwrap_or_default());
                let kustomization = Kustomization::read(&file, dir, &readable(&text));
                open.extend(kustomization.places.iter().cloned());
                manifests.kustomizations.insert(entry.path.clone(), kustomization);
            }
            manifests.entries.insert(entry.path.clone(), entry);
        }
        manifests.places.insert(place);
    }
    let (covering, applied) = (manifests.covering(), manifests.applied());
    for (path, entry) in &manifests.entries {
        let file = format!("{prefix}{path}");
        let Some(bytes) = entry.bytes else {
            release.unreadable.push((file, "it is too large".to_owned()));
            continue;
        };
        let Some(kustomization) = manifests.kustomizations.get(path) else {
            let mut found = scan(&file, bytes, covering.of(path));
            if !is_applied(&applied, path) {
                // Its images are kept for safety; what is wrong with it hurts nobody.
                found.invalid.clear();
                found.pulls.clear();
                found.unreadable.clear();
            }
            release.merge(found);
            continue;
        };
        release.merge(scan_kustomization(&file, bytes, kustomization));
        for place in kustomization.places.iter().skip(1).filter(|place| tree.resolve(place).is_none()) {
            release.unreadable.push((file.clone(), format!("it names `{place}`, which is missing")));
        }
    }
    release
}

/// The files of a tree of manifests.
#[derive(Default)]
struct Manifests<'t> {
    entries: BTreeMap<String, Entry<'t>>,
    kustomizations: BTreeMap<String, Kustomization>,
    /// The folders that were walked.
    places: BTreeSet<String>,
}

impl Manifests<'_> {
    fn walked(&self, place: &str) -> bool {
        self.places.contains("") || above(place).any(|at| self.places.contains(at))
    }

    /// What kustomizations take in; where none names any file, all count.
    fn applied(&self) -> BTreeSet<&str> {
        let named = self.kustomizations.values().flat_map(|found| found.places.iter().skip(1));
        named.map(String::as_str).collect()
    }

    /// Which kustomizations are for which places.
    fn covering(&self) -> Covering<'_> {
        let mut by_dir: BTreeMap<&str, Vec<&Kustomization>> = BTreeMap::new();
        for (path, kustomization) in &self.kustomizations {
            by_dir.entry(path.rsplit_once('/').map_or("", |(dir, _)| dir)).or_default().push(kustomization);
        }
        let mut covering = Covering::default();
        for kustomization in self.kustomizations.values().filter(|found| !found.transforms.is_empty()) {
            let mut places: BTreeSet<&str> = BTreeSet::new();
            let mut open: Vec<&str> = kustomization.places.iter().map(String::as_str).collect();
            while let Some(place) = open.pop() {
                if places.len() >= MAX_PLACES || !places.insert(place) {
                    continue;
                }
                // What it takes in may be a kustomization that takes in more.
                let prefix = if place.is_empty() { String::new() } else { format!("{place}/") };
                let below = by_dir.range(prefix.as_str()..).take_while(|(dir, _)| dir.starts_with(&prefix));
                let within = below.map(|(_, found)| found).chain(by_dir.get(place));
                open.extend(within.flatten().flat_map(|found| &found.places).map(String::as_str));
            }
            for place in places {
                covering.0.entry(place).or_default().push(kustomization);
            }
        }
        covering
    }
}

/// The kustomizations for all that is at or below a place.
#[derive(Default)]
struct Covering<'k>(BTreeMap<&'k str, Vec<&'k Kustomization>>);

impl<'k> Covering<'k> {
    fn of(&self, path: &str) -> Transforms<'k> {
        let mut found: Vec<&Kustomization> = Vec::new();
        for kustomization in above(path).chain([""]).filter_map(|at| self.0.get(at)).flatten().copied() {
            if found.len() < MAX_TRANSFORMS && !found.iter().any(|known| std::ptr::eq(*known, kustomization)) {
                found.push(kustomization);
            }
        }
        found.into_iter().flat_map(|kustomization| &kustomization.transforms).take(MAX_TRANSFORMS).collect()
    }
}

/// Whether a file is among what kustomizations take in.
fn is_applied(applied: &BTreeSet<&str>, path: &str) -> bool {
    applied.is_empty() || above(path).any(|at| applied.contains(at))
}

/// A path and the folders above it, without the root.
fn above(path: &str) -> impl Iterator<Item = &str> {
    crate::model::tree::parents(path).chain([path])
}
