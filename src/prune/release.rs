//! `Content`: what a release says of itself, checked against what it is and between its architectures.

use super::image::{check_config, parsed};
use super::image_references::{ImageReferences, ImageReferencesError};
use super::payload::Payload;
use crate::model::manifest::{IndexEntry, config_platform};
use crate::model::{Digest, Failure, Manifest, Platform, RawManifest, Reference};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What `release-metadata` must be.
const METADATA_KIND: &str = "cincinnati-metadata-v0";
/// Where `release-metadata` says that the release is an index.
const ARCHITECTURE: &str = "release.openshift.io/architecture";
/// The only value there.
const MULTI: &str = "multi";

/// The image of a release for one architecture.
#[derive(Debug, Clone)]
pub struct ReleaseImage {
    /// What it is for.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: RawManifest,
    /// Its config.
    pub config: Vec<u8>,
    /// Its last layer.
    pub payload: Payload,
}

/// A component of a release: a tag of its ImageStream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// For example `aws-cloud-controller-manager`.
    pub name: String,
    /// The image as the release names it; it has a digest.
    pub pullspec: Reference,
    /// The digest in it.
    pub digest: Digest,
}

/// What a release says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// For example `4.20.0`.
    pub version: String,
    /// In the order of the ImageStream.
    pub components: Vec<Component>,
}

#[derive(Deserialize)]
struct Metadata {
    kind: String,
    version: String,
    #[serde(rename = "metadata")]
    notes: Option<BTreeMap<String, serde_json::Value>>,
}

impl Content {
    /// Reads what the images of a release say. `is_index` tells whether they came from an index.
    ///
    /// Errors: what is no release, contradicts itself or another architecture, or names an image by a tag.
    pub fn read(images: &[ReleaseImage], is_index: bool) -> Result<Self> {
        let mut read: Option<(&Platform, Self)> = None;
        for image in images {
            let content =
                Self::of(image, is_index).with_context(|| format!("reading the release for {}", image.platform))?;
            match &read {
                None => read = Some((&image.platform, content)),
                Some((platform, first)) => {
                    if let Some(difference) = first.difference(&content) {
                        return Err(Failure::check(format!(
                            "the release for {} is another than that for {platform}: {difference}",
                            image.platform
                        ))
                        .hint("all architectures of a release must name the same images; this release is broken")
                        .into());
                    }
                }
            }
        }
        let (_, content) = read.ok_or_else(|| Failure::usage("no architecture of the release was chosen"))?;
        Ok(content)
    }

    /// The images that components are, in their order, each once: components may share one.
    pub fn pullspecs(&self) -> Vec<&Reference> {
        let mut seen = std::collections::BTreeSet::new();
        self.components.iter().map(|component| &component.pullspec).filter(|pullspec| seen.insert(*pullspec)).collect()
    }

    /// A component by its name.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.name == name)
    }

    fn of(image: &ReleaseImage, is_index: bool) -> Result<Self> {
        check_config(&image.manifest, &image.config, image.payload.diff_id())?;
        check_platform(image)?;
        let stream = image_references(&image.payload)?;
        let wrong = |error: ImageReferencesError| Failure::check("reading image-references").because(error);
        let metadata: Metadata = serde_json::from_slice(image.payload.release_metadata()?)
            .map_err(|error| Failure::check("reading release-metadata").because(error))?;
        if metadata.kind != METADATA_KIND {
            let found = format!("release-metadata is of kind `{}` instead of `{METADATA_KIND}`", metadata.kind);
            return Err(Failure::check(found).into());
        }
        let name = stream.name().map_err(wrong)?;
        if name != metadata.version {
            let version = &metadata.version;
            return Err(Failure::check(format!(
                "image-references is of version `{name}`, but release-metadata of `{version}`"
            ))
            .hint("a cluster refuses such a release")
            .into());
        }
        check_multi(&metadata, is_index)?;
        let mut components: Vec<Component> = Vec::new();
        for tag in stream.tags().map_err(wrong)? {
            if components.iter().any(|component| component.name == tag.name) {
                return Err(Failure::check(format!("component `{}` stands in image-references twice", tag.name)).into());
            }
            if tag.kind != "DockerImage" {
                let found = format!("component `{}` is a `{}` instead of a `DockerImage`", tag.name, tag.kind);
                return Err(Failure::check(found).into());
            }
            let pullspec: Reference = tag.pullspec.parse().map_err(|error| {
                Failure::check(format!("reading the image of component `{}`", tag.name)).because(error)
            })?;
            let Some(digest) = pullspec.digest().cloned() else {
                return Err(Failure::check(format!(
                    "component `{}` is `{pullspec}`, which has no digest: what it is may change",
                    tag.name
                ))
                .hint("a release names its images by digest; make one with `oc adm release new`")
                .into());
            };
            components.push(Component { name: tag.name.to_owned(), pullspec, digest });
        }
        Ok(Self { version: metadata.version, components })
    }

    /// The first difference, if there is one. The order of components is none.
    fn difference(&self, other: &Self) -> Option<String> {
        if self.version != other.version {
            return Some(format!("version `{}` instead of `{}`", other.version, self.version));
        }
        let missing = |of: &Self, from: &Self| {
            let gone = of.components.iter().find(|component| from.component(&component.name).is_none());
            gone.map(|component| component.name.clone())
        };
        if let Some(name) = missing(self, other) {
            return Some(format!("it has no component `{name}`"));
        }
        if let Some(name) = missing(other, self) {
            return Some(format!("it has a component `{name}` that the other has not"));
        }
        self.components.iter().find_map(|component| {
            let theirs = &other.component(&component.name)?.pullspec;
            let differs = *theirs != component.pullspec;
            differs.then(|| format!("component `{}` is `{theirs}` instead of `{}`", component.name, component.pullspec))
        })
    }
}

/// The ImageStream of a payload.
pub(super) fn image_references(payload: &Payload) -> Result<ImageReferences> {
    let wrong = |error| Failure::check("reading image-references").because(error);
    Ok(ImageReferences::parse(payload.image_references()?).map_err(wrong)?)
}

/// The entries of a release's index for the chosen platforms, in its order. Each platform must have one.
pub fn release_entries(index: &RawManifest, platforms: &[Platform]) -> Result<Vec<(Platform, IndexEntry)>> {
    let Manifest::Index(entries) = parsed(index)? else {
        return Err(Failure::usage("the release is a single image: it has one architecture only").into());
    };
    let built: Vec<(Platform, IndexEntry)> = entries
        .into_iter()
        .filter(|entry| !entry.is_attachment())
        .filter_map(|entry| Some((entry.platform.clone()?, entry)))
        .collect();
    for wanted in platforms {
        if !built.iter().any(|(offered, _)| wanted.runs(offered)) {
            let offered: Vec<String> = built.iter().map(|(platform, _)| platform.to_string()).collect();
            return Err(Failure::usage(format!("the release has nothing for {wanted}"))
                .hint(format!("it is for {}", offered.join(", ")))
                .into());
        }
    }
    let chosen = built.into_iter().filter(|(offered, _)| platforms.iter().any(|wanted| wanted.runs(offered)));
    let chosen: Vec<(Platform, IndexEntry)> = chosen.collect();
    if let Some((platform, entry)) = chosen.iter().find(|(_, entry)| entry.is_index()) {
        let digest = &entry.descriptor.digest;
        return Err(Failure::check(format!("the release's entry {digest} for {platform} is an index itself")).into());
    }
    Ok(chosen)
}

/// The config must be for the platform that the image was taken for.
fn check_platform(image: &ReleaseImage) -> Result<()> {
    let told = config_platform(&image.config)
        .map_err(|error| Failure::check("reading the config of the release image").because(error))?;
    match told {
        Some(told) if image.platform.runs(&told) => Ok(()),
        Some(told) => {
            Err(Failure::check(format!("the release image is for {told} instead of {}", image.platform)).into())
        }
        None => Err(Failure::check("the config of the release image names no architecture").into()),
    }
}

/// `multi` stands in `release-metadata` if and only if the release is an index: else clusters take the one for the
/// other when they are updated.
fn check_multi(metadata: &Metadata, is_index: bool) -> Result<()> {
    let architecture = metadata.notes.as_ref().and_then(|notes| notes.get(ARCHITECTURE));
    let hint = "a cluster would take it for another kind of release";
    let message = match (architecture, is_index) {
        (None, false) => return Ok(()),
        (Some(value), true) if value == MULTI => return Ok(()),
        (None, true) => format!("the release is an index, but its release-metadata has no `{ARCHITECTURE}: {MULTI}`"),
        (Some(value), false) if value == MULTI => {
            format!("the release is a single image, but its release-metadata says `{ARCHITECTURE}: {MULTI}`")
        }
        (Some(value), _) => format!("release-metadata says `{ARCHITECTURE}: {value}`; it can only be \"{MULTI}\""),
    };
    let failure = Failure::check(message).hint(hint);
    Err(if is_index { failure } else { failure.hint("name the index of the release as FROM, not one of its images") }
        .into())
}
