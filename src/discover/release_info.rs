//! MicroShift's release-info: `{ "release": { "base": "…" }, "images": { "<key>": "<reference>" } }`.
//!
//! `release` is optional, keys keep their order, several keys may name one image. Files are called
//! `release[-<component>]-<x86_64|aarch64>.json`.

use super::{add, reference};
use crate::model::{Failure, Platforms, Release};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use std::fmt;
use std::io::Read as _;
use std::path::Path;

/// The architectures in the names of release-info files.
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];
/// The most bytes of a release-info file; real ones have 3 kB.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

#[derive(Deserialize)]
struct ReleaseInfo {
    images: Pairs,
}

/// The `images` object in file order.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object that maps keys to image references")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

/// The architecture that the name of a release-info file ends with; `None` for other files.
pub fn file_architecture(name: &str) -> Option<&'static str> {
    let stem = name.strip_suffix(".json")?.strip_prefix("release")?;
    ARCHITECTURES.into_iter().find(|architecture| {
        let component = stem.strip_suffix(architecture).and_then(|rest| rest.strip_suffix('-'));
        component.is_some_and(|component| component.is_empty() || (component.len() > 1 && component.starts_with('-')))
    })
}

/// Reads one file; `name` is how the user knows it.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Release> {
    let fail = |message: &str| Failure::usage(format!("release-info `{name}` {message}"));
    if bytes.trim_ascii().is_empty() {
        return Err(fail("is empty")
            .hint("the package that carries it was built wrongly; get another build of it")
            .into());
    }
    let info: ReleaseInfo = serde_json::from_slice(bytes).map_err(|e| fail("is not what it should be").because(e))?;
    let mut release = Release::default();
    for (key, text) in info.images.0 {
        // Some builds of components without images carry this key; its value is no image.
        if key == "placeholder" && reference(&text).is_err() {
            continue;
        }
        add(&mut release, name, format!("images.{key}"), &text)?;
    }
    Ok(release)
}

/// Reads a file that the user named. Its name may tell that it is for another architecture.
pub fn discover_file(name: &str, bytes: &[u8], platforms: &Platforms) -> Result<Release> {
    let own_name = Path::new(name).file_name().and_then(|n| n.to_str()).unwrap_or(name);
    match file_architecture(own_name) {
        Some(architecture) if !platforms.wants_rpm_architecture(architecture) => {
            Err(Failure::usage(format!("release-info `{own_name}` is for {architecture}, the set is for {platforms}"))
                .hint("choose the platform with `--platform`, or name the file of the other architecture")
                .into())
        }
        _ => parse(name, bytes),
    }
}

/// Reads all release-info files of a folder that are for the platforms.
pub fn discover_dir(path: &Path, platforms: &Platforms) -> Result<Release> {
    let mut files = Files::default();
    for entry in std::fs::read_dir(path).with_context(|| format!("listing `{}`", path.display()))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        files.offer(&name, &name, platforms, || {
            let mut bytes = Vec::new();
            std::fs::File::open(entry.path())?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        })?;
    }
    files.release(platforms, "the folder")
}

/// Collects the release-info files of a folder, an RPM or a root.
#[derive(Default)]
pub struct Files {
    found: Vec<(String, Vec<u8>)>,
    architectures: Vec<&'static str>,
}

impl Files {
    /// Takes a file if it is release-info for the platforms; `shown` is how the user knows it.
    pub fn offer(
        &mut self,
        name: &str,
        shown: &str,
        platforms: &Platforms,
        read: impl FnOnce() -> std::io::Result<Vec<u8>>,
    ) -> Result<()> {
        let Some(architecture) = file_architecture(name) else { return Ok(()) };
        if !self.architectures.contains(&architecture) {
            self.architectures.push(architecture);
        }
        if platforms.wants_rpm_architecture(architecture) {
            let bytes = read().with_context(|| format!("reading `{shown}`"))?;
            if bytes.len() as u64 > MAX_SIZE {
                return Err(Failure::usage(format!(
                    "`{shown}` is larger than {} MiB, too large for release-info",
                    MAX_SIZE >> 20
                ))
                .into());
            }
            self.found.push((shown.to_owned(), bytes));
        }
        Ok(())
    }

    /// Whether no release-info file was offered, for whatever architecture.
    pub fn is_empty(&self) -> bool {
        self.architectures.is_empty()
    }

    /// Parses what was taken, in the order of file names.
    pub fn release(mut self, platforms: &Platforms, place: &str) -> Result<Release> {
        if self.found.is_empty() {
            let failure = if self.architectures.is_empty() {
                Failure::usage(format!("{place} holds no release-info file")).hint(
                    "MicroShift's packages `microshift-release-info`, `microshift-olm-release-info`, … carry them",
                )
            } else {
                self.architectures.sort_unstable();
                let have = self.architectures.join(" and ");
                Failure::usage(format!("{place} holds release-info for {have}, the set is for {platforms}"))
                    .hint("choose the platform with `--platform`")
            };
            return Err(failure.into());
        }
        self.found.sort();
        let mut release = Release::default();
        for (name, bytes) in &self.found {
            release.merge(parse(name, bytes)?);
        }
        Ok(release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        for (name, architecture) in [
            ("release-x86_64.json", Some("x86_64")),
            ("release-aarch64.json", Some("aarch64")),
            ("release-cert-manager-x86_64.json", Some("x86_64")),
            ("release-.json", None),
            ("release-x86_64.json.bak", None),
            ("releasex86_64.json", None),
            ("release--x86_64.json", None),
            ("release-s390x.json", None),
            ("blueprint-x86_64.toml", None),
        ] {
            assert_eq!(file_architecture(name), architecture, "{name}");
        }
    }

    #[test]
    fn keeps_order_and_merges_equal_values() {
        let text =
            br#"{"images":{"z":"quay.io/a/z:1","a":"quay.io/a/a:1","again":"quay.io/a/z:1","placeholder":"none"}}"#;
        let release = parse("release-x86_64.json", text).unwrap();
        let names: Vec<&str> = release.components.iter().map(|c| c.reference.as_str()).collect();
        assert_eq!(names, ["quay.io/a/z:1", "quay.io/a/a:1"]);
        assert_eq!(release.components[0].found_in[1].key, "images.again");
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (text, words) in [
            ("", "is empty"),
            ("\n", "is empty"),
            ("[]", "is not what it should be"),
            (r#"{"release":{}}"#, "images"),
            (r#"{"images":{"a":3}}"#, "string"),
            (r#"{"images":{"ovms":"quay.io/x:t@quay.io/x:t"}}"#, "images.ovms"),
        ] {
            let error = format!("{:#}", parse("release-x86_64.json", text.as_bytes()).unwrap_err());
            assert!(error.contains(words) && error.contains("release-x86_64.json"), "{text}: {error}");
        }
    }
}
