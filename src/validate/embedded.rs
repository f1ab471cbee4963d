//! What a target carries: stores of this program, and the folders of the recipes that users know.
//!
//! * this program's: `image-list.txt`, the lock and the alias map beside views and pool;
//! * MicroShift's documented recipe: `image-list.txt` with `<reference>,<folder>` lines;
//! * the second convention, `mapping.txt` with `<reference>,<folder>[,<user>]` lines.

use super::Problem;
use crate::model::plan::AliasMap;
use crate::model::tree::File;
use crate::model::{Digest, Plan, PlannedImage, Reference, Tree};
use crate::store::{ALIASES, IMAGE_LIST, LOCK, parse_lock};
use std::collections::BTreeSet;

/// Where sets are looked for unless said otherwise: this program's default, the documented recipe's
/// folder, and that of the second convention.
pub const DEFAULT_PLACES: [&str; 3] =
    [crate::store::DEFAULT_PATH, "usr/lib/containers/storage", "usr/lib/containers-image-cache"];
/// The list of the second convention.
pub const MAPPING: &str = "mapping.txt";

/// A folder with embedded images.
pub struct Set {
    /// Without leading slash; empty where the target is the folder itself.
    pub place: String,
    /// The list that the import reads.
    pub list: Option<String>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// The lock, where it can be read.
    pub lock: Option<Plan>,
    /// Whether there is a lock, readable or not: this program made the set.
    pub has_lock: bool,
    /// The alias map, where it can be read.
    pub aliases: Option<AliasMap>,
    /// What is wrong with the lists.
    pub problems: Vec<Problem>,
}

/// One line of the list.
pub struct Line {
    /// For messages: the file and the number of the line.
    pub at: String,
    /// The name, as it is written.
    pub name: String,
    /// The name, if it is a reference.
    pub reference: Option<Reference>,
    /// The folder of its view inside of the set.
    pub folder: String,
}

impl Set {
    /// A set without lists.
    pub fn empty(place: &str) -> Self {
        Self {
            place: place.to_owned(),
            list: None,
            lines: Vec::new(),
            lock: None,
            has_lock: false,
            aliases: None,
            problems: Vec::new(),
        }
    }

    /// A path inside of the set.
    pub fn path(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}/{name}", self.place) }
    }

    /// The set as messages call it.
    pub fn shown(&self) -> String {
        format!("/{}", self.place)
    }

    /// What the lock says of a name.
    pub fn locked(&self, name: &str) -> Option<&PlannedImage> {
        self.lock.as_ref()?.images.iter().find(|image| image.reference.as_str() == name)
    }

    /// The references that the set is made for: those of the lock, or without one those of the list.
    pub fn references(&self) -> Vec<&Reference> {
        match &self.lock {
            Some(plan) => plan.images.iter().map(|image| &image.reference).collect(),
            None => self.lines.iter().filter_map(|line| line.reference.as_ref()).collect(),
        }
    }

    /// The names that the list or the lock has.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let locked = self.lock.iter().flat_map(|plan| &plan.images).map(|image| image.reference.as_str());
        self.lines.iter().map(|line| line.name.as_str()).chain(locked)
    }
}

/// Finds the sets at some places.
pub fn find(tree: &Tree, places: &[String]) -> Vec<Set> {
    let mut seen = BTreeSet::new();
    let mut sets = Vec::new();
    for place in places {
        // One folder under two names is one set.
        let real =
            if place.is_empty() { String::new() } else { tree.resolve(place).map_or(place.clone(), |(at, _)| at) };
        if seen.insert(real) {
            sets.extend(read(tree, place));
        }
    }
    sets
}

/// Reads the lists of a folder; `None` where it has none.
fn read(tree: &Tree, place: &str) -> Option<Set> {
    let mut set = Set::empty(place);
    let list = [IMAGE_LIST, MAPPING].into_iter().find(|name| tree.file(&set.path(name)).is_some());
    let lock = tree.file(&set.path(LOCK));
    if list.is_none() && lock.is_none() {
        return None;
    }
    set.has_lock = lock.is_some();
    if let Some(file) = lock {
        let parsed = bytes(file).and_then(|bytes| parse_lock(bytes).map_err(|e| e.to_string()));
        set.lock = set.take(LOCK, parsed);
        let aliases = match tree.file(&set.path(ALIASES)) {
            None => Err("it is missing".to_owned()),
            Some(file) => bytes(file).and_then(|bytes| serde_json::from_slice(bytes).map_err(|e| e.to_string())),
        };
        set.aliases = set.take(ALIASES, aliases);
    }
    match list {
        None => {
            let names: Vec<String> = set.names().map(str::to_owned).collect();
            let missing = "it is missing: nothing is imported at boot".to_owned();
            set.problems.push(problem(&set, IMAGE_LIST, missing).stops(names));
        }
        Some(name) => {
            let text = tree.file(&set.path(name)).map_or(Err("it is missing".to_owned()), bytes);
            let text = text.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            if let Some(text) = set.take(name, text) {
                set.list(name, &text);
            }
            set.list = Some(name.to_owned());
        }
    }
    Some(set)
}

fn bytes(file: &File) -> Result<&[u8], String> {
    file.bytes.as_deref().ok_or_else(|| format!("it has {} bytes, too many for such a file", file.size))
}

fn problem(set: &Set, name: &str, message: String) -> Problem {
    let hint = if set.has_lock {
        "embed the set again: `bootc-embed embed`, or `fetch --locked` with a good lock"
    } else {
        "write the list again, one `<reference>,<folder>` line for each image"
    };
    Problem::new(format!("/{}", set.path(name)), message).hint(hint)
}

impl Set {
    /// The value, or a problem with the file.
    fn take<T>(&mut self, name: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|cause| self.problems.push(problem(self, name, format!("it cannot be read: {cause}")))).ok()
    }

    fn list(&mut self, name: &str, text: &str) {
        let mut seen = BTreeSet::new();
        if !text.is_empty() && !text.ends_with('\n') {
            let last = text.lines().next_back().and_then(|line| line.split(',').next()).unwrap_or_default();
            let message = "its last line has no end, so scripts pass it over".to_owned();
            self.problems.push(problem(self, name, message).stops([last]));
        }
        // What scripts read with `IFS=, read`: a line is taken as it is, spaces and carriage returns too.
        for (number, line) in text.split('\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            let at = format!("/{}:{}", self.path(name), number + 1);
            let fields: Vec<&str> = line.split(',').collect();
            let (reference, folder) = (fields[0], fields.get(1).copied().unwrap_or_default());
            let is_plain =
                |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
            let is_name = is_plain(folder) && !folder.contains('/') && folder != ".." && folder != ".";
            let most = if name == MAPPING { 3 } else { 2 };
            if !is_plain(reference) || !is_name || fields.len() > most {
                let message = format!("the line is not exactly `<reference>,<folder>`: `{}`", shortened(line));
                let mut wrong = problem(self, name, message).stops([reference.trim().to_owned()]);
                wrong.subject = at;
                self.problems.push(wrong);
                continue;
            }
            if !seen.insert(reference.to_owned()) {
                let mut twice = problem(self, name, format!("`{reference}` is listed twice"));
                twice.subject = at;
                self.problems.push(twice);
                continue;
            }
            let parsed = reference.parse().ok();
            let (name, folder) = (reference.to_owned(), folder.to_owned());
            self.lines.push(Line { at, name, reference: parsed, folder });
        }
    }
}

/// So much of a foreign text as helps to find it.
fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The digest that a view's or pool's file is named by.
pub fn named_digest(path: &str) -> Option<Digest> {
    let name = path.rsplit('/').next().unwrap_or(path);
    Digest::from_hex(name.strip_suffix(".manifest.json").unwrap_or(name)).ok()
}
