//! What a push did, and what the registry serves afterwards: the values that are printed.

use super::work::{Image, Shape};
use crate::model::{Digest, Reference};
use serde::{Deserialize, Serialize};

/// The version of the report format.
pub const PUSH_VERSION: u32 = 1;

/// What `push` did and found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushReport {
    /// [`PUSH_VERSION`]; fields are only ever added.
    pub version: u32,
    /// What was pushed or looked at, in the order of the set.
    pub images: Vec<PushedImage>,
    /// What was written; nothing where the registry was only looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
    /// What was read back.
    pub proof: Proof,
    /// Where the registry serves something else than it should: exit code 1.
    pub differences: Vec<Difference>,
    /// What somebody should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// One image of the set, and where it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushedImage {
    /// What the workload names.
    pub reference: Reference,
    /// The repository it was pushed to.
    pub repository: String,
    /// What was pushed: an index, or a single manifest.
    pub digest: Digest,
    /// What the reference resolves to, where that is another one: the index was pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Digest>,
    /// What became of the index.
    pub index: Shape,
    /// How many of its instances were pushed.
    pub instances: usize,
    /// How many it names, or named before it was pruned, and were not.
    pub absent: usize,
    /// The tags that point to it: the one made of its digest first.
    pub tags: Vec<String>,
}

impl PushedImage {
    /// An image of a push; `tags` are those that point to it.
    pub(super) fn of(image: &Image, tags: Vec<String>) -> Self {
        Self {
            reference: image.reference.clone(),
            repository: image.to.to_string(),
            digest: image.top.digest.clone(),
            was: image.was.clone(),
            index: image.shape,
            instances: image.instances.len(),
            absent: image.absent.len(),
            tags,
        }
    }
}

/// What was written. Sizes are in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// Blobs that were sent.
    pub blobs: u64,
    /// Bytes of blobs that went out, those included that had to be sent again.
    pub bytes: u64,
    /// Blobs that the registry took over from another of its repositories.
    pub mounted: u64,
    /// Blobs that were there before, counted once a repository.
    pub present: u64,
    /// Manifests and indexes that were written.
    pub manifests: u64,
    /// Tags of workloads that were written.
    pub tags: u64,
    /// Signature tags and lists of referrers that were written.
    pub signatures: u64,
}

/// How much was read back and compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// Indexes and manifests by digest, byte for byte.
    pub manifests: u64,
    /// Tags, byte for byte.
    pub tags: u64,
    /// Blobs, with their sizes.
    pub blobs: u64,
    /// Signature tags and lists of referrers.
    pub signatures: u64,
    /// Absent instances that the registry does not have either.
    pub absent: u64,
    /// Absent instances that the registry has all the same, right bytes.
    pub present_all_the_same: u64,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Difference {
    /// What it is about: a repository with a tag or a digest.
    pub object: String,
    /// What kind of difference it is.
    pub kind: Kind,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The ways in which a registry serves something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing is there.
    Missing,
    /// Still what was there before.
    Stale,
    /// Other bytes under the same digest, or the same content in other bytes.
    OtherBytes,
    /// Docker's schema 1.
    Converted,
    /// Somebody else has moved the tag.
    OtherWriter,
    /// Not the media type, size or digest that it must say.
    WrongHeader,
    /// Another signature is there than the one that belongs to the image, or something that is no list of referrers.
    OtherSignature,
}

impl Kind {
    /// What is to be done about it.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Kind::Missing => "push it again; if it stays away, something removes it: look at the registry's rules",
            Kind::Stale => "a cache may stand before the registry: wait, then look again with `--verify-only`",
            Kind::OtherBytes => "something on the way rewrites content: such a mirror cannot be used by digest",
            Kind::Converted => {
                "the registry converts manifests for old clients: turn that off, or name images by digest"
            }
            Kind::OtherWriter => "find out who else writes this tag, then push again",
            Kind::WrongHeader => "runtimes may refuse it: report it to who runs the registry",
            Kind::OtherSignature => "look at it; `--overwrite-signatures` replaces a signature by the one of the set",
        }
    }
}

impl Difference {
    pub(super) fn new(object: impl Into<String>, kind: Kind, message: impl Into<String>) -> Self {
        Self { object: object.into(), kind, message: message.into(), hint: Some(kind.hint().to_owned()) }
    }
}
