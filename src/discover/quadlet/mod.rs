//! Quadlets: the units that podman turns into services, and bootc's logically bound images, which are
//! such units too. Format: podman-systemd.unit(5); places and precedence are those of that page.

mod find;
#[cfg(test)]
mod tests;

pub use crate::model::unit::{Unit, parse};
pub use find::extension;

use super::manifests;
use crate::model::tree::normal;
use crate::model::{Invalid, Origin, Platforms, Pull, Reference, Release, Tree};
use find::{Named, Units};

/// Where units are, those that win first.
pub const DIRS: [&str; 2] = ["etc/containers/systemd", "usr/share/containers/systemd"];
/// Where bootc looks for logically bound images: links to units.
pub const BOUND_DIR: &str = "usr/lib/bootc/bound-images.d";
/// How often a unit may lead to another.
const MAX_STEPS: usize = 8;

/// Finds the images of all units in folders of a tree, those that win first. Paths in origins have
/// `prefix` before them.
pub fn discover_tree(tree: &Tree, dirs: &[&str], prefix: &str, platforms: &Platforms) -> Release {
    let mut finder = Finder::new(tree, dirs, prefix, platforms);
    let units = std::mem::take(&mut finder.units.named);
    for unit in &units {
        finder.unit(unit);
    }
    finder.release
}

/// Finds the images of one unit of a folder, which may name others beside it.
pub fn discover_file(tree: &Tree, path: &str, prefix: &str, platforms: &Platforms) -> Release {
    let mut finder = Finder::new(tree, &[""], prefix, platforms);
    let units = std::mem::take(&mut finder.units.named);
    for unit in units.iter().filter(|unit| unit.path == path) {
        finder.unit(unit);
    }
    finder.release
}

/// Finds bootc's logically bound images.
pub fn discover_bound(tree: &Tree, prefix: &str, platforms: &Platforms) -> Release {
    let mut finder = Finder::new(tree, &DIRS, prefix, platforms);
    for name in tree.names(BOUND_DIR) {
        let path = format!("{BOUND_DIR}/{name}");
        let Some(section @ ("Image" | "Container")) = extension(name).and_then(section) else { continue };
        match tree.bytes(&path) {
            Some(bytes) => {
                let unit = Named { namespace: String::new(), path, unit: parse(bytes) };
                if let Some(image) = unit.unit.last(section, "Image") {
                    finder.image(&unit, &format!("[{section}] Image"), image);
                }
            }
            None => finder.unreadable(&path, "it leads to no file that was read"),
        }
    }
    finder.release
}

/// The files that `Yaml=` names and that the tree does not hold: to be read, then looked for again.
pub fn missing(tree: &Tree, dirs: &[&str]) -> Vec<String> {
    let units = Units::new(tree, dirs);
    let named = units.named.iter().flat_map(|unit| yaml(unit).into_iter().filter_map(|(_, path)| path));
    named.filter(|path| tree.resolve(path).is_none()).collect()
}

/// The section of a unit that is podman's.
fn section(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "container" => "Container",
        "image" => "Image",
        "volume" => "Volume",
        "kube" => "Kube",
        _ => return None,
    })
}

/// What `Yaml=` says and which file that is; `None` where it depends on the device.
fn yaml(unit: &Named) -> Vec<(&str, Option<String>)> {
    let dir = unit.path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let path = |text: &str| match (text.contains('%'), text.starts_with('/')) {
        (true, _) => None,
        (false, true) => normal(text),
        (false, false) => normal(&format!("{dir}/{text}")),
    };
    let values = unit.unit.all("Kube", "Yaml").into_iter().map(|text| text.trim_matches(['"', '\'']));
    if extension(&unit.path) == Some("kube") { values.map(|text| (text, path(text))).collect() } else { Vec::new() }
}

struct Finder<'t> {
    tree: &'t Tree,
    prefix: &'t str,
    platforms: &'t Platforms,
    units: Units,
    release: Release,
}

impl<'t> Finder<'t> {
    fn new(tree: &'t Tree, dirs: &[&str], prefix: &'t str, platforms: &'t Platforms) -> Self {
        let units = Units::new(tree, dirs);
        let mut finder = Self { tree, prefix, platforms, units, release: Release::default() };
        for path in std::mem::take(&mut finder.units.unread) {
            finder.unreadable(&path, "it is too large");
        }
        // Units are looked up by name once they have been taken out to be walked.
        finder.units.index();
        finder
    }

    fn unreadable(&mut self, path: &str, cause: &str) {
        self.release.unreadable.push((format!("{}{path}", self.prefix), cause.to_owned()));
    }

    fn unit(&mut self, unit: &Named) {
        let Some(section) = extension(&unit.path).and_then(section) else { return };
        if section == "Kube" {
            return self.kube(unit);
        }
        let driver = unit.unit.last(section, "Driver").unwrap_or_default();
        let has_image = section != "Volume" || driver == "image";
        if let Some(image) = unit.unit.last(section, "Image").filter(|_| has_image) {
            let key = format!("[{section}] Image");
            let reference = self.image(unit, &key, image);
            if let (Some(reference), Some(because)) = (reference, pulls(section, &unit.unit, image)) {
                self.release.pulls.push(Pull { reference, origin: self.origin(unit, &key), because });
            }
        }
        if section == "Container" {
            for mount in unit.unit.all(section, "Mount") {
                let fields: Vec<(&str, &str)> = mount.split(',').filter_map(|field| field.split_once('=')).collect();
                let field = |names: &[&str]| fields.iter().find(|(name, _)| names.contains(&name.trim()));
                if field(&["type"]).is_some_and(|(_, kind)| *kind == "image")
                    && let Some((_, source)) = field(&["source", "src"])
                {
                    self.image(unit, "[Container] Mount", source);
                }
            }
        }
    }

    fn kube(&mut self, unit: &Named) {
        for (text, path) in yaml(unit) {
            match path.and_then(|path| Some((self.tree.bytes(&path)?, path))) {
                Some((bytes, path)) => {
                    let file = format!("{}{path}", self.prefix);
                    self.release.merge(manifests::scan_file(&file, bytes, self.platforms));
                }
                None => self.unreadable(&unit.path, &format!("`Yaml={text}` leads to no file that was read")),
            }
        }
    }

    /// Notes the image that a unit names; by another unit, if need be.
    fn image(&mut self, unit: &Named, key: &str, text: &str) -> Option<Reference> {
        let (mut image, mut key, mut via) = (text.to_owned(), key.to_owned(), unit.namespace.clone());
        for _ in 0..MAX_STEPS {
            match extension(&image) {
                Some("build") => {
                    let cause = format!("`{image}` is built on the device, which takes a network");
                    self.invalid(unit, &key, &image, cause, "build it beforehand, push it, and name that image");
                    return None;
                }
                Some("image") if !image.contains('/') => {
                    let Some((next, namespace)) = self.units.image_of(&via, &image) else {
                        let cause = format!("there is no unit `{image}` with an image");
                        self.invalid(unit, &key, &image, cause, "add the unit, or name the image");
                        return None;
                    };
                    key += &format!(" → {image}");
                    (image, via) = (next, namespace);
                }
                _ => break,
            }
        }
        if image.replace("%%", "").contains('%') {
            let cause = format!("`{image}` has a specifier, which only systemd on the device can fill in");
            self.invalid(unit, &key, &image, cause, "write the image out");
            return None;
        }
        match image.parse::<Reference>() {
            Ok(reference) => {
                self.release.add(reference.clone(), self.origin(unit, &key), None);
                Some(reference)
            }
            Err(e) => {
                self.invalid(unit, &key, &image, e.to_string(), &e.hint());
                None
            }
        }
    }

    fn invalid(&mut self, unit: &Named, key: &str, text: &str, cause: String, hint: &str) {
        let origin = self.origin(unit, key);
        self.release.invalid.push(Invalid { text: text.to_owned(), origin, cause, hint: hint.to_owned() });
    }

    fn origin(&self, unit: &Named, key: &str) -> Origin {
        Origin { file: format!("{}{}", self.prefix, unit.path), key: key.to_owned() }
    }
}

/// What makes podman ask a registry although the image is there. `podman run` does not of its own
/// accord, `podman image pull` does.
fn pulls(section: &str, unit: &Unit, image: &str) -> Option<String> {
    let (key, option) = match section {
        "Container" => ("Pull", "--pull"),
        "Image" => ("Policy", "--policy"),
        _ => return None,
    };
    let asks = |policy: &str| matches!(policy, "always" | "newer");
    let mut words: Vec<&str> = unit.all(section, "PodmanArgs").into_iter().flat_map(str::split_whitespace).collect();
    words.push("");
    let argument = words.windows(2).rev().find_map(|pair| match pair {
        [word, next] if *word == option => Some(*next),
        [word, _] => word.strip_prefix(option)?.strip_prefix('='),
        _ => None,
    });
    match (argument, unit.last(section, key)) {
        (Some(policy), _) => asks(policy).then(|| format!("PodmanArgs={option}={policy}")),
        (None, Some(policy)) => asks(policy).then(|| format!("{key}={policy}")),
        // By another unit: that one is told of.
        (None, None) if section == "Image" && extension(image).is_none() => {
            Some("an image unit without Policy=missing".to_owned())
        }
        (None, None) => None,
    }
}
