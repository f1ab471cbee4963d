//! `Plan`: the resolved answer, small and serialisable. Written to disk it is the lock,
//! `embed.lock.json`; its short form for people and scripts is the alias map.

use super::digest::Digest;
use super::manifest::{Descriptor, Manifest, RawManifest};
use super::platform::{Platform, Platforms};
use super::reference::Reference;
use super::release::Origin;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the lock format that this program writes and reads.
pub const LOCK_VERSION: u32 = 1;

/// Everything that a store of this set holds, by digest.
///
/// Compatibility: fields are only ever added; a reader ignores those it does not know. A change of
/// meaning raises `version`, and a reader refuses a version it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`LOCK_VERSION`].
    pub version: u32,
    /// The platforms that were chosen; empty where all are kept.
    pub platforms: Vec<Platform>,
    /// The images, in the order they were asked for.
    pub images: Vec<PlannedImage>,
}

/// One reference and what it resolves to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedImage {
    /// What the workload names.
    pub reference: Reference,
    /// What asks for it.
    pub found_in: Vec<Origin>,
    /// Named by a tag: `manifest` is what the tag pointed to when it was resolved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moving: bool,
    /// What the reference resolves to: an index, or a single manifest.
    pub manifest: Descriptor,
    /// Indexes inside the index on the way to a kept instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nested_indexes: Vec<Descriptor>,
    /// The manifests that are kept.
    pub instances: Vec<Instance>,
    /// What the index names and the set leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
    /// What signs its manifests: an entry for each that is kept, also where nothing was found. None at
    /// all where nobody looked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signed>,
}

/// What signs one manifest, as it was found beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Signed {
    /// The manifest.
    pub digest: Digest,
    /// What the tag `sha256-<hex>.sig` points to: an image whose layers are signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Attached>,
    /// Files `signature-N` of a lookaside store, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookaside: Vec<Descriptor>,
    /// Manifests that name it as their subject: bundles of cosign 3, attestations, bills of material.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub referrers: Vec<Attached>,
    /// The index of those at the tag `sha256-<hex>`, where the registry has no referrers API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrers_tag: Option<Descriptor>,
    /// What views have as `signature-N` beside the manifest, in their order: lookaside, then layers
    /// of the tag, then what the same manifest has under other names of the set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Descriptor>,
}

/// A manifest that belongs to another one, with its blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    /// The manifest.
    pub manifest: Descriptor,
    /// What it says it is: its `artifactType`, else the media type of its config.
    pub artifact_type: String,
    /// The config blob.
    pub config: Descriptor,
    /// The layers.
    pub layers: Vec<Descriptor>,
}

/// One image manifest that is kept, with its blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// The manifest.
    pub manifest: Descriptor,
    /// The platform that its index entry or its config names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The config blob.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// An index entry that is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Absent {
    /// The manifest it points to.
    pub digest: Digest,
    /// The platform it is for, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Signed {
    /// Nothing, so far.
    pub fn nothing(digest: &Digest) -> Self {
        let (lookaside, referrers, files) = (Vec::new(), Vec::new(), Vec::new());
        Self { digest: digest.clone(), tag: None, lookaside, referrers, referrers_tag: None, files }
    }

    /// Whether there is a signature in a form that runtimes read.
    pub fn is_readable(&self) -> bool {
        !self.lookaside.is_empty() || self.tag.as_ref().is_some_and(|tag| !tag.layers.is_empty())
    }

    /// The manifests that were found beside it.
    pub fn attached(&self) -> impl Iterator<Item = &Attached> {
        self.tag.iter().chain(&self.referrers)
    }

    /// Everything that the pool has of it; shared blobs more than once.
    pub fn content(&self) -> impl Iterator<Item = &Descriptor> {
        let attached = self.attached().flat_map(|attached| std::iter::once(&attached.manifest).chain(attached.blobs()));
        attached.chain(&self.referrers_tag).chain(&self.lookaside).chain(&self.files)
    }
}

/// What a bundle of cosign 3 says it is; newer versions differ in their number.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.";

impl Attached {
    /// Whether it is a signature in the form of cosign 3, which containers/image does not read.
    pub fn is_bundle(&self) -> bool {
        let types = self.layers.iter().map(|layer| layer.media_type.as_str());
        std::iter::once(self.artifact_type.as_str()).chain(types).any(|text| text.starts_with(BUNDLE))
    }

    /// Config and layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

impl Instance {
    /// Whether it is an attestation or the like, which no device runs.
    pub fn is_attachment(&self) -> bool {
        self.platform.as_ref().is_some_and(Platform::is_of_attachments)
    }

    /// Config and layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

impl PlannedImage {
    /// Whether the reference resolves to an index.
    pub fn is_index(&self) -> bool {
        self.instances.first().is_none_or(|instance| instance.manifest.digest != self.manifest.digest)
    }

    /// Every manifest of this image, its own first.
    pub fn manifests(&self) -> impl Iterator<Item = &Descriptor> {
        let instances = self.instances.iter().map(|instance| &instance.manifest);
        std::iter::once(&self.manifest)
            .chain(&self.nested_indexes)
            .chain(instances.filter(|manifest| manifest.digest != self.manifest.digest))
    }

    /// Every config and layer of this image; shared ones more than once.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.instances.iter().flat_map(Instance::blobs)
    }

    /// Every file of the pool that this image needs, each once, by digest.
    pub fn content(&self) -> BTreeMap<&Digest, &Descriptor> {
        let signatures = self.signatures.iter().flat_map(Signed::content);
        self.manifests().chain(self.blobs()).chain(signatures).map(|d| (&d.digest, d)).collect()
    }

    /// Where what is said here is not what its manifests say, as far as `raw` knows them; `None` where it is.
    pub fn contradiction(&self, raw: &dyn Fn(&Digest) -> Option<RawManifest>) -> Option<String> {
        if let Some(named) = self.reference.digest().filter(|named| **named != self.manifest.digest) {
            return Some(format!("its name has the digest {named}, it is said to be {}", self.manifest.digest));
        }
        for descriptor in self.manifests() {
            let found = raw(&descriptor.digest).map(|raw| raw.descriptor());
            if found.is_some_and(|found| found != *descriptor) {
                return Some(format!("the size or type of {} is another one", descriptor.digest));
            }
        }
        let top = raw(&self.manifest.digest)?;
        if top.is_index() != self.is_index() {
            return Some(format!("whether {} is an index", self.manifest.digest));
        }
        if let Some(difference) = self.is_index().then(|| self.entries_differ(&top, raw)).flatten() {
            return Some(difference);
        }
        self.instances.iter().find_map(|instance| {
            let Ok(Manifest::Image { config, layers }) = raw(&instance.manifest.digest)?.parse() else {
                return Some(format!("{} is no image", instance.manifest.digest));
            };
            let differs = config != instance.config || layers != instance.layers;
            differs.then(|| format!("the config or the layers of {} are others", instance.manifest.digest))
        })
    }

    /// Where the entries of its indexes are not its instances and what it leaves out.
    fn entries_differ(&self, top: &RawManifest, raw: &dyn Fn(&Digest) -> Option<RawManifest>) -> Option<String> {
        let nested = self.nested_indexes.iter().map(|nested| raw(&nested.digest)).collect::<Option<Vec<_>>>()?;
        let mut found: BTreeSet<Digest> = BTreeSet::new();
        for index in std::iter::once(top).chain(&nested) {
            let Ok(Manifest::Index(entries)) = index.parse() else {
                return Some(format!("{} is no index", index.digest()));
            };
            found.extend(entries.into_iter().map(|entry| entry.descriptor.digest));
        }
        let said: BTreeSet<Digest> = self.manifests().skip(1).map(|manifest| manifest.digest.clone()).collect();
        let said =
            said.into_iter().chain(self.absent.iter().map(|absent| absent.digest.clone())).collect::<BTreeSet<_>>();
        let other = said.symmetric_difference(&found).next()?;
        Some(format!("whether the index {} names {other}", self.manifest.digest))
    }

    /// What signs one of its manifests; `None` where nobody looked.
    pub fn signed(&self, manifest: &Digest) -> Option<&Signed> {
        self.signatures.iter().find(|signed| signed.digest == *manifest)
    }

    /// The instances that have no signature that runtimes read under this name; what they have under other names
    /// of the set does not count. Attestations, which nobody runs, need none.
    pub fn unsigned(&self) -> impl Iterator<Item = &Instance> {
        let has = |digest| self.signed(digest).is_some_and(Signed::is_readable);
        self.instances.iter().filter(move |instance| !instance.is_attachment() && !has(&instance.manifest.digest))
    }

    /// The instance that a device of `platform` runs: of equals the first, as runtimes choose.
    pub fn instance_for(&self, platform: &Platform) -> Option<&Instance> {
        let ranked = self.instances.iter().filter_map(|i| {
            let rank = match &i.platform {
                Some(offered) if self.is_index() => platform.rank(offered)?,
                Some(offered) => usize::from(!platform.runs(offered)),
                None => usize::MAX,
            };
            Some((rank, i))
        });
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, instance)| instance)
    }
}

impl Plan {
    /// The platforms of this set.
    pub fn platforms(&self) -> Platforms {
        if self.platforms.is_empty() { Platforms::All } else { Platforms::Some(self.platforms.clone()) }
    }

    /// Every file of the pool, each once, by digest.
    pub fn content(&self) -> BTreeMap<&Digest, &Descriptor> {
        self.images.iter().flat_map(PlannedImage::content).collect()
    }

    /// How many images have a signature that runtimes read for each of their instances; `None` where
    /// nobody looked for any.
    pub fn signed_images(&self) -> Option<usize> {
        let looked = self.images.iter().any(|image| !image.signatures.is_empty());
        looked.then(|| self.images.iter().filter(|image| image.unsigned().next().is_none()).count())
    }

    /// Bytes of the pool: every blob, manifest and index once.
    pub fn size(&self) -> u64 {
        // Sizes are a registry's word until the blobs are there; a sum of lies must not wrap around.
        self.content().values().fold(0, |sum, d| sum.saturating_add(d.size))
    }

    /// The two ways in which osbuild loses or refuses images that stand side by side in a blueprint.
    pub fn osbuild_collisions(&self) -> Vec<String> {
        let mut configs: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        let mut instances: BTreeMap<_, BTreeMap<_, String>> = BTreeMap::new();
        for image in &self.images {
            for instance in &image.instances {
                configs.entry(&instance.config.digest).or_default().insert(image.reference.to_string());
                if image.is_index() {
                    let lists = instances.entry(&instance.manifest.digest).or_default();
                    lists.insert(&image.manifest.digest, image.reference.to_string());
                }
            }
        }
        let names =
            |names: Vec<&String>| names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
        let one_config = configs.values().filter(|set| set.len() > 1).map(|set| {
            format!("{} have one image config; osbuild keeps only one of their names", names(set.iter().collect()))
        });
        let one_instance = instances.values().filter(|lists| lists.len() > 1).map(|lists| {
            format!(
                "the indexes of {} hold the same instance; osbuild refuses to build with both",
                names(lists.values().collect())
            )
        });
        let mut warnings: Vec<String> = one_instance.chain(one_config).collect();
        warnings.dedup();
        warnings
    }

    /// The alias map of this set.
    pub fn aliases(&self) -> AliasMap {
        let aliases = self.images.iter().map(|image| {
            let instances = if self.platforms.is_empty() {
                image.instances.iter().filter_map(|i| Some((i.platform.clone()?, i.manifest.digest.clone()))).collect()
            } else {
                let chosen = self.platforms.iter();
                chosen.filter_map(|p| Some((p.clone(), image.instance_for(p)?.manifest.digest.clone()))).collect()
            };
            Alias { reference: image.reference.clone(), digest: image.manifest.digest.clone(), instances, pruned: None }
        });
        AliasMap { version: LOCK_VERSION, aliases: aliases.collect() }
    }
}

/// `digest-aliases.json`: per reference the digest it resolves to and the native digest behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AliasMap {
    /// The version of this format.
    pub version: u32,
    /// One entry a reference.
    pub aliases: Vec<Alias>,
}

/// One reference of the alias map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Alias {
    /// What the workload names.
    pub reference: Reference,
    /// What it resolves to: the digest of an index, or of a single manifest.
    pub digest: Digest,
    /// The manifest that a device of the platform runs.
    pub instances: BTreeMap<Platform, Digest>,
    /// What stands for it in a registry that it was pushed to, where its index was pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Digest>,
}
