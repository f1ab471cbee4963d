//! systemd units of a root: main file and drop-ins, as far as the checks need them (systemd.unit(5)).

use crate::model::tree::NodeKind;
use crate::model::{Tree, unit};
use std::collections::BTreeMap;

/// Where units stand, the ones that win first.
pub const PLACES: [&str; 4] =
    ["etc/systemd/system.control", "etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system"];

/// What a boot starts, of which units may be part.
const EVERY_BOOT: [&str; 8] = [
    "multi-user.target",
    "graphical.target",
    "default.target",
    "basic.target",
    "sysinit.target",
    "local-fs.target",
    "crio.service",
    "microshift.service",
];

/// A unit with its drop-ins.
pub struct Unit {
    /// For example `crio.service`.
    pub name: String,
    /// Whether it is switched off for good: a link to `/dev/null`, or an empty file.
    pub is_masked: bool,
    /// Its settings, those of drop-ins last.
    pub file: unit::Unit,
}

impl Unit {
    /// Reads a unit; `None` where neither it nor a drop-in for it is there.
    pub fn read(tree: &Tree, name: &str) -> Option<Self> {
        let is_mask = |path: &String| match tree.get(path).map(|node| &node.kind) {
            Some(NodeKind::Link(target)) => target == "/dev/null",
            Some(NodeKind::File(file)) => file.size == 0,
            _ => false,
        };
        let files: Vec<String> = PLACES.iter().map(|place| format!("{place}/{name}")).collect();
        let is_masked = files.iter().find(|path| tree.get(path).is_some()).is_some_and(is_mask);
        // What is masked is read nevertheless: it tells what is switched off.
        let main = files.iter().find(|path| tree.get(path).is_some() && !is_mask(path)).cloned();
        // By name, whatever folder they are in; the folder that comes first hides the others' namesakes.
        let mut drop_ins: BTreeMap<String, String> = BTreeMap::new();
        let folders = unit::drop_in_folders(name).into_iter().rev();
        for folder in folders.flat_map(|folder| PLACES.map(|place| format!("{place}/{folder}"))) {
            for file in tree.names(&folder).into_iter().filter(|file| file.strip_suffix(".conf").is_some()) {
                drop_ins.entry(file.to_owned()).or_insert(format!("{folder}/{file}"));
            }
        }
        if main.is_none() && drop_ins.is_empty() && !is_masked {
            return None;
        }
        let mut file = unit::Unit::default();
        for path in main.iter().chain(drop_ins.values()) {
            file.merge(unit::parse(tree.bytes(path).unwrap_or_default()));
        }
        Some(Self { name: name.to_owned(), is_masked, file })
    }

    /// The units that it comes after, or before: the words of all settings of the key in `[Unit]`. An
    /// empty setting does not take back what others say (systemd.unit(5)).
    pub fn ordered(&self, key: &str) -> Vec<&str> {
        let lines = self.file.section("Unit").filter(|(of, _)| *of == key);
        lines.flat_map(|(_, value)| value.split_whitespace()).collect()
    }

    /// The programs that it starts, without systemd's prefixes, and the files that it gives to them.
    pub fn programs(&self) -> Vec<String> {
        let lines = ["ExecStartPre", "ExecStart"].into_iter().flat_map(|key| self.file.all("Service", key));
        let words = lines.flat_map(str::split_whitespace);
        let programs = words.map(|word| word.trim_start_matches(['@', '-', ':', '+', '!']));
        programs.filter(|word| word.starts_with('/')).map(str::to_owned).collect()
    }

    /// Whether any setting has a text in it.
    pub fn mentions(&self, text: &str) -> bool {
        self.file.mentions(text)
    }

    /// The conditions that a boot of this root does not meet for certain. Paths that are there do; what
    /// is missing of the set itself is told by other checks.
    pub fn conditions(&self, tree: &Tree, set: &str) -> Vec<String> {
        let is_met = |key: &str, value: &str| {
            let is_there = value.starts_with('/') && (tree.resolve(value).is_some() || value.starts_with(set));
            ["ConditionPathExists", "AssertPathExists"].contains(&key) && is_there
        };
        let open = self.file.section("Unit").filter(|(key, value)| {
            let is_condition = key.starts_with("Condition") || key.starts_with("Assert");
            is_condition && !value.is_empty() && !is_met(key, value)
        });
        open.map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// Whether a link enables it, for something that every boot starts.
    pub fn is_enabled(&self, tree: &Tree) -> bool {
        let folders = PLACES.iter().flat_map(|place| {
            let wanting = |name: &&str| {
                let (of, kind) = name.rsplit_once('.').unwrap_or_default();
                ["wants", "requires"].contains(&kind) && EVERY_BOOT.contains(&of)
            };
            tree.names(place).into_iter().filter(wanting).map(move |name| format!("{place}/{name}"))
        });
        let mut links = folders.map(|folder| format!("{folder}/{}", self.name)).filter(|link| tree.get(link).is_some());
        // A link to /dev/null in a folder that comes first takes the others back.
        links.next().is_some_and(
            |link| !matches!(tree.get(&link).map(|node| &node.kind), Some(NodeKind::Link(to)) if to == "/dev/null"),
        )
    }
}

/// The names of all services that have a file or a drop-in.
pub fn services(tree: &Tree) -> Vec<String> {
    let names = PLACES.iter().flat_map(|place| tree.names(place));
    let services = names.map(|name| name.strip_suffix(".d").unwrap_or(name)).filter(|name| name.ends_with(".service"));
    let mut services: Vec<String> = services.map(str::to_owned).collect();
    services.sort();
    services.dedup();
    services
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tree::{File, Node};

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            let kind = match text.strip_prefix("-> ") {
                Some(target) => NodeKind::Link(target.to_owned()),
                None => {
                    NodeKind::File(File { size: text.len() as u64, digest: None, bytes: Some(text.as_bytes().into()) })
                }
            };
            tree.insert(path, Node { mode: 0o644, kind });
        }
        tree
    }

    #[test]
    fn drop_ins_add_and_clear() {
        let tree = tree(&[
            (
                "usr/lib/systemd/system/a.service",
                "[Unit]\nAfter=x.service \\\n  y.service\n# c\n[Service]\nExecStart=-/bin/a b\n",
            ),
            ("usr/lib/systemd/system/a.service.d/10.conf", "[Unit]\nAfter=\nAfter=hidden.service\n"),
            ("etc/systemd/system/a.service.d/10.conf", "[Unit]\nAfter=z.service\n"),
            (
                "etc/systemd/system/a.service.d/20.conf",
                "[Service]\nExecStart=\nExecStart=!/bin/c\nExecStartPre=/bin/d\n",
            ),
            ("etc/systemd/system/b.service", "-> /dev/null"),
            ("usr/lib/systemd/system/b.service", "[Unit]\n"),
            ("etc/systemd/system/multi-user.target.wants/a.service", "-> ../a.service"),
        ]);
        let a = Unit::read(&tree, "a.service").unwrap();
        assert_eq!(a.ordered("After"), ["x.service", "y.service", "z.service"]);
        assert_eq!(a.programs(), ["/bin/d", "/bin/c"]);
        assert!(a.is_enabled(&tree) && !a.is_masked);
        assert!(Unit::read(&tree, "b.service").unwrap().is_masked);
        assert!(Unit::read(&tree, "c.service").is_none());
        assert_eq!(services(&tree), ["a.service", "b.service"]);
    }
}
