//! What a reference finds in a storage, and why not: the way of containers/image, `storage_reference.go`,
//! which podman, CRI-O and skopeo all go (checked against skopeo and podman by a test).

use super::{MANIFEST, Storage, StoredImage};
use crate::model::choice::choose;
use crate::model::{Digest, Manifest, Platform, RawManifest, Reference, Repository};

/// What a reference finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// An image, with all that its record names.
    Found {
        /// The image's id.
        id: String,
        /// The instance that runs.
        manifest: Digest,
        /// Whether the image has this very name; else another name of the repository leads to it.
        by_name: bool,
    },
    /// No image has the name, and none of the repository has a manifest of the digest.
    Unknown {
        /// Other names that images of the repository have.
        others: Vec<String>,
    },
    /// An image has the name, but not the bytes that its digest is of.
    NoManifest {
        /// The image's id.
        id: String,
        /// The digest that is asked for; none where the image has no manifest at all.
        digest: Option<Digest>,
    },
    /// The index has nothing for the platform.
    NoInstance {
        /// The image's id.
        id: String,
        /// The index.
        index: Digest,
    },
    /// The index is there, but not, in the same image, the instance that would be chosen from it.
    InstanceAbsent {
        /// The image's id.
        id: String,
        /// The index.
        index: Digest,
        /// The instance.
        instance: Digest,
    },
    /// A manifest cannot be read.
    Unreadable {
        /// The image's id.
        id: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The image is there, but parts of it are not.
    Incomplete {
        /// The image's id.
        id: String,
        /// What is missing.
        missing: Vec<String>,
    },
}

impl StoredImage {
    /// The manifest of a digest. Bytes under a key of another digest are found by neither.
    fn manifest(&self, digest: &Digest) -> Option<&[u8]> {
        let key = format!("{MANIFEST}-{digest}");
        let mut exact = self.manifests.iter().filter(|(known, _)| *known == key || known == MANIFEST);
        exact.find(|(_, bytes)| Digest::of(bytes) == *digest).map(|(_, bytes)| bytes.as_slice())
    }

    fn is_of(&self, repository: &Repository) -> bool {
        let same = |name: &String| name.parse::<Reference>().is_ok_and(|name| name.repository() == repository);
        self.names.iter().any(same)
    }
}

impl Storage {
    /// What a workload that names `reference` finds on a device of `platform`.
    pub fn resolve(&self, reference: &Reference, platform: &Platform) -> Resolution {
        let name = reference.stored_name();
        let repository = reference.repository();
        let exact = self.images.iter().find(|image| image.names.contains(&name));
        let holder = |digest: &Digest| {
            let mut holders =
                self.images.iter().filter(|image| image.is_of(repository) && image.manifest(digest).is_some());
            // Several may hold an index; the one with the instance for this platform comes first.
            holders.clone().find(|image| image.instance(digest, platform).is_ok()).or_else(|| holders.next())
        };
        match (exact, reference.digest()) {
            (Some(image), digest) => image.judge(digest, platform, true),
            (None, Some(digest)) => match holder(digest) {
                Some(image) => image.judge(Some(digest), platform, false),
                None => self.unknown(repository),
            },
            (None, None) => self.unknown(repository),
        }
    }

    fn unknown(&self, repository: &Repository) -> Resolution {
        let names = self.images.iter().flat_map(|image| &image.names);
        let same = |name: &&String| name.parse::<Reference>().is_ok_and(|name| name.repository() == repository);
        Resolution::Unknown { others: names.filter(same).cloned().collect() }
    }
}

impl StoredImage {
    fn judge(&self, digest: Option<&Digest>, platform: &Platform, by_name: bool) -> Resolution {
        let digest = match digest {
            Some(digest) => digest.clone(),
            // A tag means the manifest that was stored last.
            None => match self.manifests.iter().find(|(key, _)| key == MANIFEST) {
                Some((_, bytes)) => Digest::of(bytes),
                None => return Resolution::NoManifest { id: self.id.clone(), digest: None },
            },
        };
        match self.instance(&digest, platform) {
            Err(resolution) => resolution,
            Ok(_) if !self.missing.is_empty() => {
                Resolution::Incomplete { id: self.id.clone(), missing: self.missing.clone() }
            }
            Ok(manifest) => Resolution::Found { id: self.id.clone(), manifest, by_name },
        }
    }

    /// The instance that runs when a digest is asked for.
    fn instance(&self, digest: &Digest, platform: &Platform) -> Result<Digest, Resolution> {
        let id = || self.id.clone();
        let absent = || Resolution::NoManifest { id: id(), digest: Some(digest.clone()) };
        let unreadable = |detail: String| Resolution::Unreadable { id: id(), detail };
        let bytes = self.manifest(digest).ok_or_else(absent)?;
        let raw = RawManifest::new(bytes.to_vec(), None).map_err(|e| unreadable(e.to_string()))?;
        let Manifest::Index(entries) = raw.parse().map_err(|e| unreadable(e.to_string()))? else {
            return Ok(digest.clone());
        };
        let candidates = choose(platform, &raw.descriptor().media_type, &entries);
        let digests = || candidates.iter().map(|at| &entries[*at].descriptor.digest);
        // Which of several equals is chosen depends on the version of containers/image; the one that
        // stored the image is the one that will look for it.
        match (digests().find(|digest| self.manifest(digest).is_some()), digests().next()) {
            (Some(instance), _) => Ok(instance.clone()),
            (None, Some(instance)) => {
                Err(Resolution::InstanceAbsent { id: id(), index: digest.clone(), instance: instance.clone() })
            }
            (None, None) => Err(Resolution::NoInstance { id: id(), index: digest.clone() }),
        }
    }
}
