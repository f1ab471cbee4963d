//! `Wanted`: which files of a target are read, and how much of them is kept.

use crate::model::Tree;
use crate::model::tree::{NodeKind, link_target, parents};
use std::collections::BTreeMap;

/// How much of a file is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// Its kind, mode and size.
    Name,
    /// Its digest too; its bytes if they are small JSON, or if it is not named by a digest.
    Blob,
    /// Its bytes too.
    Text,
}

/// Which files are of interest. Paths are as in [`Tree`].
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    places: BTreeMap<String, Keep>,
    names: Vec<&'static str>,
}

/// The most places that links may add; a root with more is playing tricks.
const MAX_PLACES: usize = 100_000;

impl Wanted {
    /// Wants a file, or everything in a folder.
    #[must_use]
    pub fn place(mut self, path: &str, keep: Keep) -> Self {
        self.add(path.trim_matches('/').to_owned(), keep);
        self
    }

    /// Wants every file whose path ends with this name, or these names, wherever it is.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.names.push(name);
        self
    }

    fn add(&mut self, path: String, keep: Keep) -> bool {
        let known = self.places.get(&path).is_some_and(|known| *known >= keep);
        if !known {
            self.places.insert(path, keep);
        }
        !known
    }

    /// The places that were asked for.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// The places whose files are hashed.
    pub fn blobs(&self) -> impl Iterator<Item = &str> {
        self.places.iter().filter(|(_, keep)| **keep == Keep::Blob).map(|(place, _)| place.as_str())
    }

    /// Whether files are wanted wherever they are.
    pub fn wants_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether a file here is wanted for its name, wherever it is.
    pub(super) fn is_named(&self, path: &str) -> bool {
        let ends = |name: &&str| path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        self.names.iter().any(ends)
    }

    /// How much is kept of what stands at a path; `None` where it is of no interest. The folders and
    /// links on the way to a place are kept by name.
    pub fn keep(&self, path: &str) -> Option<Keep> {
        let by_name = || self.is_named(path).then_some(Keep::Text);
        self.within(path).or_else(by_name).or_else(|| self.on_the_way(path))
    }

    /// Whether what stands at a path is of interest only if it is a file of a wanted name.
    pub(super) fn is_only_named(&self, path: &str) -> bool {
        self.is_named(path) && self.within(path).is_none() && self.on_the_way(path).is_none()
    }

    fn within(&self, path: &str) -> Option<Keep> {
        [path].into_iter().chain(parents(path)).chain([""]).filter_map(|at| self.places.get(at)).max().copied()
    }

    fn on_the_way(&self, path: &str) -> Option<Keep> {
        let prefix = format!("{path}/");
        let next = self.places.range(prefix.clone()..).next();
        next.is_some_and(|(place, _)| place.starts_with(&prefix)).then_some(Keep::Name)
    }

    /// Also wants what the links of `tree` lead to. Whether that is anything new: then the target has
    /// to be read once more.
    pub fn follow(&mut self, tree: &Tree) -> bool {
        let mut new = Vec::new();
        for (path, node) in tree.iter() {
            let NodeKind::Link(target) = &node.kind else { continue };
            let target = link_target(path, target);
            if target.is_empty() {
                // The whole root is never read for a link's sake.
                continue;
            }
            let prefix = format!("{path}/");
            for (place, keep) in self.places.range(prefix.clone()..).take_while(|(place, _)| place.starts_with(&prefix))
            {
                new.push((format!("{target}/{}", &place[prefix.len()..]), *keep));
            }
            if let Some(keep) = self.keep(path).filter(|keep| *keep > Keep::Name) {
                new.push((target, keep));
            }
        }
        let mut added = false;
        for (path, keep) in new {
            if self.places.len() < MAX_PLACES && self.keep(&path).is_none_or(|known| known < keep) {
                added |= self.add(path, keep);
            }
        }
        added
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tree::Node;

    fn link(target: &str) -> Node {
        Node { mode: 0o777, kind: NodeKind::Link(target.to_owned()) }
    }

    #[test]
    fn the_most_that_is_asked_for_is_kept() {
        let wanted = Wanted::default().place("/usr/lib/store/", Keep::Blob).place("usr/lib/store/lock", Keep::Text);
        let wanted = wanted.place("etc", Keep::Text).name("auth.json");
        for (path, keep) in [
            ("usr/lib/store/blobs/x", Some(Keep::Blob)),
            ("usr/lib/store/lock", Some(Keep::Text)),
            ("usr/lib/store", Some(Keep::Blob)),
            ("usr/lib", Some(Keep::Name)),
            ("usr/lib/store-2/x", None),
            ("etc/a/b", Some(Keep::Text)),
            ("root/.x/auth.json", Some(Keep::Text)),
            ("root/.x/auth.json.bak", None),
        ] {
            assert_eq!(wanted.keep(path), keep, "{path}");
        }
    }

    #[test]
    fn links_lead_on() {
        let mut wanted = Wanted::default().place("etc/crio/conf", Keep::Text).place("opt/names", Keep::Name);
        let mut tree = Tree::default();
        tree.insert("etc", link("usr/etc"));
        tree.insert("opt/names/x", link("/srv/x"));
        assert!(wanted.follow(&tree));
        assert_eq!(wanted.keep("usr/etc/crio/conf/a"), Some(Keep::Text));
        assert_eq!(wanted.keep("srv/x"), None);
        assert!(!wanted.follow(&tree));
        let mut everything = Tree::default();
        everything.insert("etc/crio/conf", link("/"));
        assert!(!wanted.follow(&everything));
    }
}
