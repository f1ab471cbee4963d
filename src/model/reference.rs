//! `Reference`: what a workload names. `Repository`, `PinnedReference`: what is asked of a registry.
//!
//! The grammar is the one of distribution/reference. The text is kept as it
//! was written, because runtimes and MicroShift's own recipe look images up by that text.

use super::digest::{Digest, Hasher};
use super::grammar::{Name, full_repository};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A repository of a registry: `host[:port]` and path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    host: String,
    path: String,
}

impl Repository {
    /// The registry as references write it, for example `quay.io` or `127.0.0.1:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path below the registry, for example `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// This repository at one digest.
    pub fn at(&self, digest: &Digest) -> PinnedReference {
        PinnedReference { repository: self.clone(), digest: digest.clone() }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

/// A repository at a digest. A tag cannot be written here, so nothing that holds one can move.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinnedReference {
    /// Where it is.
    pub repository: Repository,
    /// What it is.
    pub digest: Digest,
}

impl fmt::Display for PinnedReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

/// An image reference as a workload writes it: `repository[:tag][@digest]`, with a registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    text: String,
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not a [`Reference`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReferenceError {
    /// Not of the form `repository[:tag][@digest]`.
    #[error("`{text}` is not an image reference: {cause}")]
    Form {
        /// What was given.
        text: String,
        /// What is wrong with it.
        cause: String,
    },
    /// No registry is named, so each runtime could look elsewhere.
    #[error("`{0}` is a short name: it does not say which registry it is in")]
    ShortName(String),
}

impl ReferenceError {
    /// What the user can do.
    pub fn hint(&self) -> String {
        match self {
            ReferenceError::Form { text, .. } if text.matches('@').count() == 1 && !text.contains("@sha256:") => {
                "what follows `@` must be a digest (`@sha256:…`); fix the file that names this image".into()
            }
            ReferenceError::Form { text, .. } if text.starts_with('[') => {
                "podman and skopeo know no IPv6 addresses in references; give the registry a name".into()
            }
            ReferenceError::Form { .. } => "a reference is `registry/path[:tag][@sha256:…]`, in lower case".into(),
            ReferenceError::ShortName(text) => {
                let full = Name::parse(text).and_then(|name| Some(full_repository(name.repository)? + &name.suffix()));
                format!("write the registry out, for example `{}`", full.as_deref().unwrap_or("quay.io/…"))
            }
        }
    }
}

impl Reference {
    /// The repository, as a registry is asked for it.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag; `latest` where neither tag nor digest is written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the reference has one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The reference as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name under which containers-storage keeps this image: what `pinned_images` must match.
    /// The reference with Docker Hub's short forms written out and `latest` where it has no tag.
    pub fn stored_name(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{}{tag}{digest}", self.repository)
    }

    /// The name of the view of this reference: hex sha256 of the reference *and a newline*,
    /// as MicroShift's documented recipe computes it with `echo … | sha256sum`.
    pub fn key(&self) -> String {
        let mut hasher = Hasher::default();
        hasher.update(self.text.as_bytes());
        hasher.update(b"\n");
        hasher.finish().hex().to_owned()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let form = |cause: &str| ReferenceError::Form { text: text.to_owned(), cause: cause.to_owned() };
        let name = Name::parse(text).ok_or_else(|| form("invalid reference format"))?;
        let digest = name.digest.map(Digest::from_str).transpose().map_err(|e| form(&e.to_string()))?;
        if name.host().is_none() {
            return Err(ReferenceError::ShortName(text.to_owned()));
        }
        let full = full_repository(name.repository).ok_or_else(|| form("invalid reference format"))?;
        let (host, path) = full.split_once('/').ok_or_else(|| form("invalid reference format"))?;
        let tag = name.tag.or(digest.is_none().then_some("latest")).map(str::to_owned);
        let repository = Repository { host: host.to_owned(), path: path.to_owned() };
        Ok(Self { text: text.to_owned(), repository, tag, digest })
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;
    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl schemars::JsonSchema for Reference {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reference".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "repository[:tag][@digest], with a registry" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "4d5e238300ce6f427a1045d51d6b37a4e5c5633985208ebb44f91e7dd53897d9";

    #[test]
    fn parses_what_workloads_write() {
        let digest = format!("quay.io/a/b@sha256:{HEX}");
        let both = format!("quay.io/a/b:v1@sha256:{HEX}");
        for (text, host, path, tag, has_digest, stored) in [
            (digest.as_str(), "quay.io", "a/b", None, true, digest.as_str()),
            (both.as_str(), "quay.io", "a/b", Some("v1"), true, both.as_str()),
            ("127.0.0.1:5000/x:v2", "127.0.0.1:5000", "x", Some("v2"), false, "127.0.0.1:5000/x:v2"),
            ("localhost/x", "localhost", "x", Some("latest"), false, "localhost/x:latest"),
            (
                "docker.io/busybox",
                "docker.io",
                "library/busybox",
                Some("latest"),
                false,
                "docker.io/library/busybox:latest",
            ),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.as_str(), text);
            assert_eq!(reference.repository().host(), host, "{text}");
            assert_eq!(reference.repository().path(), path, "{text}");
            assert_eq!(reference.tag(), tag, "{text}");
            assert_eq!(reference.digest().is_some(), has_digest, "{text}");
            assert_eq!(reference.stored_name(), stored, "{text}");
        }
    }

    #[test]
    fn key_is_the_one_of_the_documented_recipe() {
        // printf 'quay.io/a/b:v1\n' | sha256sum
        let reference: Reference = "quay.io/a/b:v1".parse().unwrap();
        assert_eq!(reference.key(), Digest::of(b"quay.io/a/b:v1\n").hex());
    }

    proptest::proptest! {
        #[test]
        fn the_grammar_is_that_of_oci_spec(text in "([a-z]{1,3}[.:/@_-]{0,2}){1,4}[A-Z0-9]{0,2}(:5000)?(/[a-z_.-]{1,4}){0,3}(:[a-zA-Z0-9_.-]{1,5})?(@sha256:[0-9a-f]{63,65})?") {
            let ours = text.parse::<Reference>();
            let names_registry =
                text.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost");
            match oci_spec::distribution::Reference::try_from(text.as_str()) {
                Ok(theirs) if names_registry => {
                    let ours = ours.expect("oci-spec takes it");
                    proptest::prop_assert_eq!(ours.repository().host(), theirs.registry());
                    proptest::prop_assert_eq!(ours.repository().path(), theirs.repository());
                    proptest::prop_assert_eq!(ours.tag(), theirs.tag());
                }
                Ok(_) => proptest::prop_assert_eq!(ours, Err(ReferenceError::ShortName(text))),
                Err(_) => proptest::prop_assert!(ours.is_err()),
            }
        }
    }

    #[test]
    fn refuses_with_a_hint() {
        for (text, hint) in [
            ("quay.io/x:tag@quay.io/x:tag", "must be a digest"),
            ("busybox", "docker.io/library/busybox:latest"),
            ("rhel9/support-tools", "docker.io/rhel9/support-tools:latest"),
            ("quay.io/Upper/case:v1", "lower case"),
            ("quay.io/a/b@sha256:1234", "lower case"),
            ("", "lower case"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(error.hint().contains(hint), "{text}: {}", error.hint());
        }
        let sha512 = format!("quay.io/a/b@sha512:{HEX}{HEX}");
        assert!(sha512.parse::<Reference>().unwrap_err().to_string().contains("sha256"));
    }
}
