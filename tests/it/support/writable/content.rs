//! What the registry has: blobs, manifests and tags of each repository.

use crate::support::fixture::{self, DOCKER_LIST, OCI_INDEX};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    pub(super) media_type: String,
    /// What `Docker-Content-Digest` says.
    pub(super) digest: String,
}

impl Held {
    pub(super) fn new(bytes: &[u8], media_type: &str) -> Self {
        Self { bytes: bytes.to_vec(), media_type: media_type.to_owned(), digest: fixture::digest(bytes) }
    }

    pub(super) fn parsed(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    pub(super) fn is_index(&self) -> bool {
        [DOCKER_LIST, OCI_INDEX].contains(&self.media_type.as_str())
    }

    /// What the list of referrers says of it.
    fn descriptor(&self) -> Value {
        let parsed = self.parsed();
        let kind =
            if parsed["artifactType"].is_string() { &parsed["artifactType"] } else { &parsed["config"]["mediaType"] };
        json!({
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.bytes.len(),
            "artifactType": kind,
            "annotations": parsed["annotations"].as_object().cloned().unwrap_or_default(),
        })
    }
}

/// The digests of an array of descriptors.
fn digests(descriptors: &Value) -> impl Iterator<Item = String> {
    descriptors.as_array().into_iter().flatten().filter_map(|one| one["digest"].as_str().map(str::to_owned))
}

/// One repository.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    pub(super) manifests: BTreeMap<String, Held>,
    pub(super) tags: BTreeMap<String, String>,
}

impl Stored {
    /// The manifest at a tag or a digest.
    pub(super) fn manifest(&self, at: &str) -> Option<&Held> {
        self.manifests.get(if at.contains(':') { at } else { self.tags.get(at)? })
    }

    pub(super) fn put(&mut self, at: &str, manifest: &Held) {
        self.manifests.insert(manifest.digest.clone(), manifest.clone());
        if !at.contains(':') {
            self.tags.insert(at.to_owned(), manifest.digest.clone());
        }
    }

    pub(super) fn add(&mut self, repository: &fixture::Repository) {
        for blob in &repository.blobs {
            self.blobs.insert(blob.digest.clone(), blob.bytes.clone());
        }
        for manifest in &repository.manifests {
            self.put(&manifest.digest, &Held::new(&manifest.bytes, &manifest.media_type));
        }
        self.tags.extend(repository.tags.clone());
    }

    /// Descriptors of what names a manifest as its subject.
    pub(super) fn referrers(&self, subject: &str) -> Vec<Value> {
        let refers = |held: &&Held| held.parsed()["subject"]["digest"] == subject;
        self.manifests.values().filter(refers).map(Held::descriptor).collect()
    }

    /// Forgets what no tag reaches: by itself, in an index, or as what refers to something that is reached.
    pub(super) fn expire(&mut self) {
        let mut reached: BTreeSet<String> = self.tags.values().cloned().collect();
        loop {
            let before = reached.len();
            for held in self.manifests.values() {
                let parsed = held.parsed();
                if parsed["subject"]["digest"].as_str().is_some_and(|subject| reached.contains(subject)) {
                    reached.insert(held.digest.clone());
                }
                if reached.contains(&held.digest) {
                    reached.extend(digests(&parsed["manifests"]));
                }
            }
            if reached.len() == before {
                break;
            }
        }
        self.manifests.retain(|digest, _| reached.contains(digest));
        let used: BTreeSet<String> = self
            .manifests
            .values()
            .flat_map(|held| {
                let parsed = held.parsed();
                let config = parsed["config"]["digest"].as_str().map(str::to_owned);
                digests(&parsed["layers"]).chain(config).collect::<Vec<_>>()
            })
            .collect();
        self.blobs.retain(|digest, _| used.contains(digest));
    }
}
