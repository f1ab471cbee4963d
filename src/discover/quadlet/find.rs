//! Which units a tree has: by precedence of folders, each with its drop-ins.

use crate::discover::walk::{Entry, walk};
use crate::model::Tree;
use crate::model::tree::NodeKind;
use crate::model::unit::{Unit, drop_in_folders, parse};
use std::collections::BTreeMap;

/// Extensions of units.
const EXTENSIONS: [&str; 7] = ["container", "image", "kube", "volume", "pod", "build", "network"];

/// The extension of a unit's name; `None` for other names.
pub fn extension(name: &str) -> Option<&'static str> {
    let (stem, extension) = name.rsplit_once('.')?;
    EXTENSIONS.into_iter().find(|known| *known == extension && !stem.is_empty() && !stem.ends_with('/'))
}

/// Namespace and name.
type Key = (String, String);

/// A unit and where it is.
#[derive(Debug, Clone)]
pub struct Named {
    /// Whose unit it is: the system's (empty), all users', or one user's. Names hide only within.
    pub namespace: String,
    /// In the tree.
    pub path: String,
    /// With its drop-ins.
    pub unit: Unit,
}

/// The units of some folders.
#[derive(Default)]
pub struct Units {
    /// By namespace and name.
    pub named: Vec<Named>,
    /// Files that were too large.
    pub unread: Vec<String>,
    /// What `Image=` says in image units, by namespace and name.
    images: BTreeMap<Key, String>,
}

impl Units {
    /// Finds units; those in earlier folders hide those of the same name in later ones.
    pub fn new(tree: &Tree, dirs: &[&str]) -> Self {
        let mut units = Self::default();
        // `None` where a link to /dev/null takes a unit of a later folder away.
        let mut files: BTreeMap<Key, Option<(String, &[u8])>> = BTreeMap::new();
        let mut drop_ins: BTreeMap<Key, BTreeMap<String, &[u8]>> = BTreeMap::new();
        for dir in dirs {
            let links =
                tree.below(dir).filter(|(_, node)| matches!(&node.kind, NodeKind::Link(to) if to == "/dev/null"));
            for (path, _) in links {
                let below = path.strip_prefix(dir).unwrap_or(path).trim_start_matches('/');
                let name = below.rsplit('/').next().unwrap_or(below);
                files.entry((namespace(below), name.to_owned())).or_insert(None);
            }
            for Entry { path, bytes } in walk(tree, dir) {
                let below = path.strip_prefix(dir).unwrap_or(&path).trim_start_matches('/');
                let (folder, name) = below.rsplit_once('/').unwrap_or(("", below));
                let folder = folder.rsplit('/').next().unwrap_or(folder);
                let is_drop_in = folder.rsplit('.').next() == Some("d") && name.rsplit('.').next() == Some("conf");
                if !is_drop_in && extension(name).is_none() {
                    continue;
                }
                let Some(bytes) = bytes else {
                    units.unread.push(path);
                    continue;
                };
                let namespace = namespace(below);
                if is_drop_in {
                    let of = drop_ins.entry((namespace, folder.to_owned())).or_default();
                    of.entry(name.to_owned()).or_insert(bytes);
                } else {
                    let name = name.to_owned();
                    files.entry((namespace, name)).or_insert_with(|| Some((path.clone(), bytes)));
                }
            }
        }
        for ((namespace, name), file) in files {
            let Some((path, bytes)) = file else { continue };
            let mut unit = parse(bytes);
            // The same file in a folder that is more to the point counts alone.
            let mut own: BTreeMap<&str, &[u8]> = BTreeMap::new();
            for folder in drop_in_folders(&name) {
                let of = drop_ins.get(&(namespace.clone(), folder));
                own.extend(of.into_iter().flatten().map(|(name, bytes)| (name.as_str(), *bytes)));
            }
            for bytes in own.values() {
                unit.merge(parse(bytes));
            }
            units.named.push(Named { namespace, path, unit });
        }
        units
    }

    /// Remembers what image units name.
    pub fn index(&mut self) {
        for unit in &self.named {
            let name = unit.path.rsplit('/').next().unwrap_or(&unit.path);
            if extension(name) == Some("image")
                && let Some(image) = unit.unit.last("Image", "Image")
            {
                self.images.insert((unit.namespace.clone(), name.to_owned()), image.to_owned());
            }
        }
    }

    /// What an image unit names, and whose unit it is: the asker's own, or one of all users.
    pub fn image_of(&self, namespace: &str, name: &str) -> Option<(String, String)> {
        [namespace, "users"].into_iter().take(if namespace.is_empty() { 1 } else { 2 }).find_map(|namespace| {
            let image = self.images.get(&(namespace.to_owned(), name.to_owned()))?;
            Some((image.clone(), namespace.to_owned()))
        })
    }
}

/// Whose a unit is, by its path below a folder of units.
fn namespace(path: &str) -> String {
    let mut parts = path.split('/');
    match (parts.next(), parts.next()) {
        (Some("users"), Some(user)) if user.bytes().all(|b| b.is_ascii_digit()) => format!("users/{user}"),
        (Some("users"), Some(_)) => "users".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_goes_where() {
        for (name, is) in [("a.container", true), (".container", false), ("x/a.kube", true), ("a.conf", false)] {
            assert_eq!(extension(name).is_some(), is, "{name}");
        }
        for (path, whose) in [
            ("a.container", ""),
            ("sub/a.container", ""),
            ("users/a.container", "users"),
            ("users/1000/a.container", "users/1000"),
            ("users/x/a.container", "users"),
        ] {
            assert_eq!(namespace(path), whose, "{path}");
        }
    }
}
