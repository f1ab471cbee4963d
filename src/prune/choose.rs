//! Which entries of a component's index are kept.
//!
//! Kept is what runs on linux on a chosen architecture and is no placeholder: for an architecture on which a component
//! is not built, a release has the image of `pod` for that architecture in its place. An index is never emptied:
//! operators must be able to resolve it. What is attested of an instance goes with it.

use super::image::parsed;
use super::release::{Component, Content};
use crate::model::manifest::{DOCKER_MANIFEST, OCI_MANIFEST};
use crate::model::{Digest, Failure, Platform, RawManifest};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The component whose images take the place of what is not built.
pub const POD: &str = "pod";
/// In an attestation, the digest of what it is about.
const SUBJECT: &str = "vnd.docker.reference.digest";

/// What somebody wants of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Those that the release is to carry.
    pub platforms: Vec<Platform>,
    /// Whether placeholders go, too.
    pub drop_placeholders: bool,
    /// The components to prune; all where it is empty.
    pub components: Vec<String>,
}

/// The images of `pod`, by platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placeholders(Vec<(Platform, Digest)>);

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it points to.
    pub digest: Digest,
    /// Bytes of the manifest it points to, as the index says.
    pub size: u64,
    /// What it is for, if it says so.
    pub platform: Option<Platform>,
    media_type: String,
    subject: Option<String>,
}

/// Why an entry is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// It is for a chosen architecture.
    Architecture,
    /// A placeholder, but nothing else would be left, or placeholders are kept.
    Placeholder,
    /// It attests something of an entry that is kept.
    Attestation,
}

/// Why an entry goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dropped {
    /// It is for none of the chosen architectures.
    Architecture,
    /// It is the image of `pod`: the component is not built for this architecture.
    Placeholder,
    /// It attests something of an entry that goes.
    Attestation,
}

/// What becomes of the image of a component.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The component.
    pub component: Component,
    /// The index without what goes; `None` where nothing goes: the image stays as it is.
    pub pruned: Option<RawManifest>,
    /// Entries that stay, in their order; none of a single manifest.
    pub kept: Vec<(Entry, Kept)>,
    /// Entries that go, in their order.
    pub dropped: Vec<(Entry, Dropped)>,
}

impl Outcome {
    /// The digest that the component has afterwards.
    pub fn digest(&self) -> &Digest {
        self.pruned.as_ref().map_or(&self.component.digest, RawManifest::digest)
    }
}

impl Choice {
    /// Decides about every component. `indexes` has what their pullspecs resolve to, by digest.
    ///
    /// Errors: an unknown component, one that was never built for what is chosen, a manifest that is not there.
    pub fn prune(&self, content: &Content, indexes: &BTreeMap<Digest, RawManifest>) -> Result<Vec<Outcome>> {
        self.check(content)?;
        let manifest = |component: &Component| {
            indexes.get(&component.digest).ok_or_else(|| {
                Failure::environment(format!(
                    "the bytes of `{}` ({}) are not known",
                    component.name, component.pullspec
                ))
            })
        };
        let placeholders = match content.component(POD).filter(|_| self.drop_placeholders) {
            Some(pod) => Placeholders::of(manifest(pod)?).context("reading the image of component `pod`")?,
            None => Placeholders::default(),
        };
        let mut outcomes = Vec::new();
        for component in &content.components {
            let is_chosen = self.components.is_empty() || self.components.contains(&component.name);
            let raw = manifest(component)?;
            let outcome =
                if is_chosen { self.prune_one(component, raw, &placeholders) } else { unchanged(component, raw) };
            outcomes.push(outcome.with_context(|| format!("pruning component `{}`", component.name))?);
        }
        agree(&outcomes)?;
        Ok(outcomes)
    }

    /// Decides about one component.
    pub fn prune_one(&self, component: &Component, raw: &RawManifest, pods: &Placeholders) -> Result<Outcome> {
        let mut outcome = unchanged(component, raw)?;
        if !raw.is_index() {
            return Ok(outcome);
        }
        let entries: Vec<Entry> = outcome.kept.into_iter().map(|(entry, _)| entry).collect();
        let is_wanted = |entry: &Entry| entry.platform.as_ref().is_some_and(|offered| self.wants(offered));
        let is_placeholder = |entry: &Entry| component.name != POD && pods.has(entry);
        if !entries.iter().any(is_wanted) {
            return Err(self.never_built(component, &entries));
        }
        let only_placeholders = entries.iter().filter(|entry| is_wanted(entry)).all(is_placeholder);
        // What is kept is told by digests, so entries that share one stay or go together.
        let kept: BTreeSet<String> = entries
            .iter()
            .filter(|entry| is_wanted(entry) && (only_placeholders || !is_placeholder(entry)))
            .map(|entry| entry.digest.to_string())
            .collect();
        let present: BTreeSet<String> = entries.iter().map(|entry| entry.digest.to_string()).collect();
        (outcome.kept, outcome.dropped) = (Vec::new(), Vec::new());
        for entry in entries {
            // An attestation of what never was in this index stays: nothing says that it should go.
            let attests = entry.subject.as_ref().map(|subject| kept.contains(subject) || !present.contains(subject));
            match (kept.contains(&entry.digest.to_string()), attests) {
                (false, Some(true)) => outcome.kept.push((entry, Kept::Attestation)),
                (false, Some(false)) => outcome.dropped.push((entry, Dropped::Attestation)),
                (true, _) if is_placeholder(&entry) => outcome.kept.push((entry, Kept::Placeholder)),
                (true, _) => outcome.kept.push((entry, Kept::Architecture)),
                (false, None) if is_wanted(&entry) => outcome.dropped.push((entry, Dropped::Placeholder)),
                (false, None) => outcome.dropped.push((entry, Dropped::Architecture)),
            }
        }
        if let Some((entry, _)) =
            outcome.kept.iter().find(|(entry, why)| *why != Kept::Attestation && !entry.is_image())
        {
            return Err(Failure::check(format!(
                "entry {} of the index is of type `{}` instead of an image",
                entry.digest, entry.media_type
            ))
            .hint("only indexes of images can be pruned, no indexes of indexes and nothing of Docker's schema 1")
            .into());
        }
        if !outcome.dropped.is_empty() {
            let stays = |digest: &str| outcome.kept.iter().any(|(entry, _)| entry.digest.to_string() == digest);
            let pruned = raw.retain(stays);
            outcome.pruned =
                Some(pruned.map_err(|error| Failure::check("cutting entries out of the index").because(error))?);
        }
        Ok(outcome)
    }

    fn wants(&self, offered: &Platform) -> bool {
        offered.os == "linux" && self.platforms.iter().any(|wanted| wanted.runs(offered))
    }

    fn check(&self, content: &Content) -> Result<()> {
        if self.platforms.is_empty() {
            return Err(Failure::usage("no platform was chosen").into());
        }
        if let Some(platform) = self.platforms.iter().find(|platform| platform.os != "linux") {
            return Err(Failure::usage(format!("`{platform}` was chosen, but releases run on linux only")).into());
        }
        let Some(name) = self.components.iter().find(|name| content.component(name).is_none()) else { return Ok(()) };
        let like = content.components.iter().filter(|component| component.name.contains(name.as_str()));
        let like: Vec<&str> = like.map(|component| component.name.as_str()).take(5).collect();
        let hint = if like.is_empty() {
            "`oc adm release info` lists them".to_owned()
        } else {
            format!("it has {}", like.join(", "))
        };
        Err(Failure::usage(format!("release {} has no component `{name}`", content.version)).hint(hint).into())
    }

    fn never_built(&self, component: &Component, entries: &[Entry]) -> anyhow::Error {
        let names = |platforms: &mut dyn Iterator<Item = &Platform>| {
            platforms.map(Platform::to_string).collect::<Vec<_>>().join(", ")
        };
        let has = names(&mut entries.iter().filter_map(|entry| entry.platform.as_ref()));
        Failure::usage(format!(
            "component `{}` ({}) was never built for {}",
            component.name,
            component.pullspec,
            names(&mut self.platforms.iter())
        ))
        .hint(format!("its index has {}", if has.is_empty() { "no platform" } else { &has }))
        .into()
    }
}

impl Placeholders {
    /// Those of the index of `pod`. A single manifest stands for none: a release that has one has no placeholders.
    pub fn of(pod: &RawManifest) -> Result<Self> {
        let entries = if pod.is_index() { entries(pod)? } else { Vec::new() };
        Ok(Self(entries.into_iter().filter_map(|entry| Some((entry.platform?, entry.digest))).collect()))
    }

    /// Whether an entry is what `pod` is for the same architecture.
    fn has(&self, entry: &Entry) -> bool {
        let Some(platform) = &entry.platform else { return false };
        let same = |of: &Platform| of.os == platform.os && of.architecture == platform.architecture;
        self.0.iter().any(|(of, digest)| same(of) && *digest == entry.digest)
    }
}

impl Entry {
    fn is_image(&self) -> bool {
        [OCI_MANIFEST, DOCKER_MANIFEST].contains(&self.media_type.as_str())
    }
}

/// A component as it is, with the entries of its index.
fn unchanged(component: &Component, raw: &RawManifest) -> Result<Outcome> {
    parsed(raw)?;
    let entries = if raw.is_index() { entries(raw)? } else { Vec::new() };
    let why = |entry: Entry| {
        let why = if entry.subject.is_some() { Kept::Attestation } else { Kept::Architecture };
        (entry, why)
    };
    let kept = entries.into_iter().map(why).collect();
    Ok(Outcome { component: component.clone(), pruned: None, kept, dropped: Vec::new() })
}

/// Components that share an image must not differ in what is kept of it: one pullspec becomes one other.
fn agree(outcomes: &[Outcome]) -> Result<()> {
    let mut first: BTreeMap<&str, &Outcome> = BTreeMap::new();
    for outcome in outcomes {
        let other = *first.entry(outcome.component.pullspec.as_str()).or_insert(outcome);
        if other.digest() != outcome.digest() {
            let (a, b) = (&other.component.name, &outcome.component.name);
            return Err(Failure::usage(format!("components `{a}` and `{b}` are the same image, but not pruned alike"))
                .hint("name both with `--component`, or neither; or keep placeholders")
                .into());
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<RawPlatform>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

/// The entries of an index, in their order.
fn entries(index: &RawManifest) -> Result<Vec<Entry>> {
    #[derive(Deserialize)]
    struct Index {
        manifests: Vec<RawEntry>,
    }
    let wrong = || Failure::check(format!("reading index {}", index.digest()));
    let list: Index = serde_json::from_slice(index.bytes()).map_err(|error| wrong().because(error))?;
    let entry = |raw: RawEntry| {
        let platform = raw.platform.map(|platform| Platform {
            os: platform.os,
            architecture: platform.architecture,
            variant: platform.variant.filter(|variant| !variant.is_empty()),
        });
        let of_attachment = platform.as_ref().is_some_and(Platform::is_of_attachments);
        let subject = raw.annotations.unwrap_or_default().remove(SUBJECT).filter(|_| of_attachment);
        let digest = raw.digest.parse().map_err(|error| wrong().because(error))?;
        Ok(Entry { digest, size: raw.size, platform, media_type: raw.media_type, subject })
    };
    list.manifests.into_iter().map(entry).collect()
}
