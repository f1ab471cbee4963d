//! What pruning a release did: the value that is printed and written.

use super::choose::{Choice, Dropped, Entry, Kept, Outcome};
use super::release::Content;
use super::rewrite::{Foreign, Rewritten};
use crate::model::{Digest, Platform, Reference, Repository};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the report format.
pub const PRUNE_VERSION: u32 = 1;
/// The scopes of OpenShift's own ClusterImagePolicy `openshift`: the first from 4.21 on, all from 4.22 on.
pub const SIGNED_SCOPES: [&str; 3] = [
    "quay.io/openshift-release-dev/ocp-release",
    "quay.io/openshift-release-dev/ocp-v4.0-art-dev",
    "quay.io/openshift-release-dev/ocp-v5.0-art-dev",
];

/// What was made of a release. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PruneReport {
    /// [`PRUNE_VERSION`]; fields are only ever added.
    pub version: u32,
    /// The release that it was made of, by digest.
    pub source: String,
    /// The new release, by digest.
    pub release: String,
    /// The version that both say they are, for example `4.20.0`.
    pub release_version: String,
    /// What it carries.
    pub platforms: Vec<Platform>,
    /// In the order of the release.
    pub components: Vec<PrunedComponent>,
    /// The images of the release itself.
    pub images: Vec<ReleaseImageReport>,
    /// Old to new pullspec, of all that was rewritten.
    pub pullspecs: BTreeMap<Reference, Reference>,
    /// What is not carried any more.
    pub saved: Saved,
    /// What somebody should know.
    pub notes: Vec<String>,
}

/// What became of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrunedComponent {
    /// For example `aws-cloud-controller-manager`.
    pub name: String,
    /// As the old release names it.
    pub pullspec: Reference,
    /// Of its index or manifest.
    pub digest: Digest,
    /// Of its index in the new release, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_digest: Option<Digest>,
    /// Whether all of it stays.
    pub unchanged: bool,
    /// Entries that stay; none of a single manifest.
    pub kept: Vec<EntryReport<Kept>>,
    /// Entries that went.
    pub dropped: Vec<EntryReport<Dropped>>,
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryReport<Reason> {
    /// Of the manifest that it points to.
    pub digest: Digest,
    /// What it is for, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Of the manifest alone.
    pub manifest_size: u64,
    /// Why it stays or went.
    pub reason: Reason,
}

/// A new image of the release itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseImageReport {
    /// What it is for.
    pub platform: Platform,
    /// Of the manifest in the old release.
    pub digest: Digest,
    /// Of the new manifest.
    pub new_digest: Digest,
    /// How many pullspecs were replaced, by file below `release-manifests`.
    pub replacements: BTreeMap<String, u64>,
    /// References by digest to images that are no part of the release; they were left alone.
    pub foreign: Vec<Foreign>,
}

/// Instances that no component has any more, each counted once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// How many there are.
    pub instances: u64,
    /// Bytes of those whose layers are known, shared layers counted as often as who gave the sizes did.
    pub content_bytes: u64,
    /// How many have layers that nobody looked at.
    pub of_unknown_content: u64,
    /// Bytes of the manifests alone of those.
    pub manifest_bytes: u64,
}

/// An image of the release, old and new.
#[derive(Debug, Clone)]
pub struct RebuiltImage {
    /// What it is for.
    pub platform: Platform,
    /// Of the old manifest.
    pub old: Digest,
    /// Of the new manifest.
    pub new: Digest,
    /// What was rewritten.
    pub rewritten: Rewritten,
}

/// What a report needs to know of the new release.
#[derive(Debug, Clone, Copy)]
pub struct NewRelease<'a> {
    /// The old release, by digest.
    pub source: &'a str,
    /// Where the new one goes, or would go.
    pub to: &'a Repository,
    /// Of its index, or of its single manifest.
    pub digest: &'a Digest,
    /// Its images.
    pub images: &'a [RebuiltImage],
    /// Old to new pullspecs.
    pub pullspecs: &'a BTreeMap<Reference, Reference>,
}

impl PruneReport {
    /// The report. `weights` has the bytes of instances with all their layers, as far as they are known.
    pub fn new(
        content: &Content,
        choice: &Choice,
        outcomes: &[Outcome],
        weights: &BTreeMap<Digest, u64>,
        new: NewRelease<'_>,
    ) -> Self {
        let image = |image: &RebuiltImage| ReleaseImageReport {
            platform: image.platform.clone(),
            digest: image.old.clone(),
            new_digest: image.new.clone(),
            replacements: image.rewritten.replacements.clone(),
            foreign: image.rewritten.foreign.clone(),
        };
        Self {
            version: PRUNE_VERSION,
            source: new.source.to_owned(),
            release: new.to.at(new.digest).to_string(),
            release_version: content.version.clone(),
            platforms: choice.platforms.clone(),
            components: outcomes.iter().map(PrunedComponent::of).collect(),
            images: new.images.iter().map(image).collect(),
            pullspecs: new.pullspecs.clone(),
            saved: Saved::of(outcomes, weights),
            notes: notes(outcomes, new),
        }
    }
}

impl PrunedComponent {
    fn of(outcome: &Outcome) -> Self {
        Self {
            name: outcome.component.name.clone(),
            pullspec: outcome.component.pullspec.clone(),
            digest: outcome.component.digest.clone(),
            new_digest: outcome.pruned.as_ref().map(|pruned| pruned.digest().clone()),
            unchanged: outcome.pruned.is_none(),
            kept: outcome.kept.iter().map(EntryReport::of).collect(),
            dropped: outcome.dropped.iter().map(EntryReport::of).collect(),
        }
    }
}

impl<Reason: Copy> EntryReport<Reason> {
    fn of((entry, reason): &(Entry, Reason)) -> Self {
        Self {
            digest: entry.digest.clone(),
            platform: entry.platform.clone(),
            manifest_size: entry.size,
            reason: *reason,
        }
    }
}

impl Saved {
    /// What goes with these outcomes. What a component keeps is not saved where another drops it: placeholders are
    /// images of `pod`.
    pub fn of(outcomes: &[Outcome], weights: &BTreeMap<Digest, u64>) -> Self {
        let kept: BTreeSet<&Digest> =
            outcomes.iter().flat_map(|outcome| &outcome.kept).map(|(entry, _)| &entry.digest).collect();
        let dropped = outcomes.iter().flat_map(|outcome| &outcome.dropped).map(|(entry, _)| (&entry.digest, entry));
        let gone: BTreeMap<&Digest, &Entry> = dropped.filter(|(digest, _)| !kept.contains(digest)).collect();
        let mut saved = Self::default();
        for (digest, entry) in gone {
            saved.instances += 1;
            if let Some(bytes) = weights.get(digest) {
                saved.content_bytes = saved.content_bytes.saturating_add(*bytes);
            } else {
                saved.of_unknown_content += 1;
                saved.manifest_bytes = saved.manifest_bytes.saturating_add(entry.size);
            }
        }
        saved
    }
}

/// What nobody should find out on a cluster.
fn notes(outcomes: &[Outcome], new: NewRelease<'_>) -> Vec<String> {
    let release = new.to.at(new.digest).to_string();
    let mut notes = vec![format!(
        "the new release is not signed: clusters install it, but an update to it needs `--force`, or a signature of your \
         own: `cosign sign --recursive --key KEY {release}`, and a ClusterImagePolicy with your key"
    )];
    let changed = new.pullspecs.iter().filter(|(old, new)| old != new).map(|(_, new)| new.repository());
    let judged: BTreeSet<String> = std::iter::once(new.to).chain(changed).filter_map(scope).collect();
    for repository in &judged {
        notes.push(format!(
            "`{repository}` is in a scope of OpenShift's ClusterImagePolicy `openshift`: clusters refuse what Red Hat has \
             not signed there; choose another repository"
        ));
    }
    if judged.is_empty() {
        notes.push(format!(
            "OpenShift's ClusterImagePolicy `openshift` judges `{}` (from 4.21 on) and `{}` (from 4.22 on): nothing of \
             the new release is there. Use it by its own name, and do not make it a mirror of those",
            SIGNED_SCOPES[0],
            SIGNED_SCOPES[1..].join("`, `")
        ));
    }
    let pruned = outcomes.iter().filter_map(|outcome| Some(outcome.pruned.as_ref()?.digest()));
    let pruned = pruned.collect::<BTreeSet<_>>().len();
    if pruned > 0 {
        notes.push(format!(
            "{pruned} pruned indexes have new digests, which nobody has signed; signatures of the instances in them hold. \
             Sign them alike where a policy judges them: the new pullspecs are in `pullspecs`"
        ));
    }
    let lonely =
        |outcome: &&Outcome| !outcome.kept.is_empty() && outcome.kept.iter().all(|(_, why)| *why != Kept::Architecture);
    let lonely: Vec<&str> = outcomes.iter().filter(lonely).map(|outcome| outcome.component.name.as_str()).collect();
    if !lonely.is_empty() {
        notes.push(format!(
            "kept with placeholders only, for they are not built for what was chosen and an index must not be empty: {}",
            lonely.join(", ")
        ));
    }
    notes
}

/// The name of a repository that OpenShift's policy judges.
fn scope(repository: &Repository) -> Option<String> {
    let name = repository.to_string();
    let within = |scope: &&str| name.strip_prefix(*scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    SIGNED_SCOPES.iter().any(within).then_some(name)
}
