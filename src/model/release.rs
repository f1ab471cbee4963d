//! `Release`: what discovery found, which images are asked for and by whom.

use super::digest::Digest;
use super::plan::Plan;
use super::platform::Platforms;
use super::reference::Reference;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// A place that asks for an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Origin {
    /// The file, as the user knows it: below a root or an RPM, the path inside of it.
    pub file: String,
    /// The key, line or field in that file.
    pub key: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Both come from foreign files, and go to terminals and into comments of emitted files.
        let tame = |text: &str| text.replace(char::is_control, "\u{fffd}");
        write!(f, "{}: {}", tame(&self.file), tame(&self.key))
    }
}

/// One image of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// What the workload names.
    pub reference: Reference,
    /// Everything that asks for it, in the order it was found.
    pub found_in: Vec<Origin>,
    /// The digest that an earlier lock gave a tag; resolving then asks for it instead of the tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<Digest>,
}

/// Something that makes a runtime pull although the image may be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// What is pulled.
    pub reference: Reference,
    /// Where that stands.
    pub origin: Origin,
    /// What makes it so, for example `imagePullPolicy: Always`.
    pub because: String,
}

/// A text where a reference should be, which is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub origin: Origin,
    /// Why it is none.
    pub cause: String,
    /// What to do.
    pub hint: String,
}

/// The images that a workload needs, each once, in the order they were found.
#[derive(Debug, Clone, Default, Serialize, schemars::JsonSchema)]
pub struct Release {
    /// The images.
    pub components: Vec<Component>,
    /// The platforms of the lock that this comes from.
    #[serde(skip)]
    pub platforms: Option<Platforms>,
    /// Texts where references should be, which are none.
    #[serde(skip)]
    pub invalid: Vec<Invalid>,
    /// What is pulled although it may be there.
    #[serde(skip)]
    pub pulls: Vec<Pull>,
    /// Files that could not be read whole, and why; what could be found in them is here nevertheless.
    #[serde(skip)]
    pub unreadable: Vec<(String, String)>,
    #[serde(skip)]
    positions: HashMap<String, usize>,
    /// Where each component was found, by its position.
    #[serde(skip)]
    origins: HashSet<(usize, Origin)>,
}

impl From<&Plan> for Release {
    /// What a lock names, each pinned to the digest that it has there.
    fn from(plan: &Plan) -> Self {
        let mut release = Self { platforms: Some(plan.platforms()), ..Self::default() };
        for image in &plan.images {
            for origin in &image.found_in {
                release.add(image.reference.clone(), origin.clone(), Some(image.manifest.digest.clone()));
            }
        }
        release
    }
}

impl Release {
    /// Adds a reference, or only its origin where the reference is already known.
    pub fn add(&mut self, reference: Reference, origin: Origin, pin: Option<Digest>) {
        let position = *self.positions.entry(reference.to_string()).or_insert(self.components.len());
        let is_new = self.origins.insert((position, origin.clone()));
        match self.components.get_mut(position) {
            Some(component) => {
                if is_new {
                    component.found_in.push(origin);
                }
                component.pin = component.pin.take().or(pin);
            }
            None => self.components.push(Component { reference, found_in: vec![origin], pin }),
        }
    }

    /// Whether a reference was found.
    pub fn names(&self, reference: &Reference) -> bool {
        self.positions.contains_key(reference.as_str())
    }

    /// Whether nothing at all was found, not even what is wrong.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty() && self.invalid.is_empty() && self.unreadable.is_empty()
    }

    /// Keeps only the texts for which `keep` holds: references, and what is none but should be.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.components.retain(|component| keep(component.reference.as_str()));
        self.invalid.retain(|invalid| keep(&invalid.text));
        self.pulls.retain(|pull| keep(pull.reference.as_str()));
        let names = self.components.iter().map(|component| component.reference.to_string());
        self.positions = names.zip(0..).collect();
        let origins =
            self.components.iter().zip(0..).flat_map(|(component, position)| {
                component.found_in.iter().map(move |origin| (position, origin.clone()))
            });
        self.origins = origins.collect();
    }

    /// Adds all images of another release.
    pub fn merge(&mut self, other: Release) {
        self.platforms = self.platforms.take().or(other.platforms);
        self.invalid.extend(other.invalid);
        self.pulls.extend(other.pulls);
        self.unreadable.extend(other.unreadable);
        for component in other.components {
            for origin in component.found_in {
                self.add(component.reference.clone(), origin, component.pin.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_keys_cannot_steer_a_terminal_or_end_a_comment() {
        let origin = Origin { file: "x.json".into(), key: "images.a\u{1b}[2J\nb".into() };
        assert_eq!(origin.to_string(), "x.json: images.a\u{fffd}[2J\u{fffd}b");
    }

    #[test]
    fn what_is_left_out_leaves_its_origins() {
        let origin = |key: &str| Origin { file: "x".into(), key: key.into() };
        let (one, two): (Reference, Reference) = ("quay.io/a/b:v1".parse().unwrap(), "quay.io/a/c:v1".parse().unwrap());
        let mut release = Release::default();
        for reference in [&one, &two, &two] {
            release.add(reference.clone(), origin("a"), None);
        }
        release.retain(|text| text == two.as_str());
        assert!(release.names(&two) && !release.names(&one));
        for (reference, key) in [(&two, "a"), (&one, "a"), (&two, "b")] {
            release.add(reference.clone(), origin(key), None);
        }
        let counts: Vec<usize> = release.components.iter().map(|component| component.found_in.len()).collect();
        assert_eq!(counts, [2, 1]);
    }

    #[test]
    fn one_image_keeps_every_origin_once() {
        let origin = |key: &str| Origin { file: "release-x86_64.json".into(), key: key.into() };
        let hex = "0".repeat(64);
        let by_digest: Reference = format!("quay.io/a/b@sha256:{hex}").parse().unwrap();
        let mut release = Release::default();
        release.add(by_digest.clone(), origin("images.one"), None);
        release.add(by_digest.clone(), origin("images.two"), None);
        release.add(by_digest, origin("images.one"), None);
        assert_eq!(release.components.len(), 1);
        let keys: Vec<&str> = release.components[0].found_in.iter().map(|o| o.key.as_str()).collect();
        assert_eq!(keys, ["images.one", "images.two"]);
    }
}
