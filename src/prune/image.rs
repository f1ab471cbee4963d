//! The new image of an architecture, whose last layer is another one, and the new index over such images.
//!
//! Digests and sizes are replaced where they stand; all other bytes stay: labels, history, annotations, white space.

use super::payload::{Compression, NewLayer};
use super::release::ReleaseImage;
use crate::model::fields::{Fields, place, spliced};
use crate::model::{Descriptor, Digest, Failure, Manifest, RawManifest};
use anyhow::Result;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ops::Range;

/// An image made of another one.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// The manifest.
    pub manifest: RawManifest,
    /// The config that it names.
    pub config: Vec<u8>,
    /// As the manifest names the config.
    pub config_descriptor: Descriptor,
    /// As the manifest names the new last layer.
    pub layer_descriptor: Descriptor,
}

/// A part of a text, and what takes its place.
type Change = (Range<usize>, String);

/// The image with another last layer; media types stay, and so does all that neither names nor measures the layer.
pub fn new_image(image: &ReleaseImage, layer: &NewLayer) -> Result<NewImage> {
    let ReleaseImage { manifest, config, payload, .. } = image;
    check_config(manifest, config, payload.diff_id())?;
    let Manifest::Image { config: old_config, layers } = parsed(manifest)? else { return Err(no_image(manifest)) };
    let last = layers.last().ok_or_else(|| no_image(manifest))?;
    if Compression::of(&last.media_type) != Some(Compression::Gzip) {
        return Err(Failure::check(format!(
            "the last layer of {} is of type `{}`: only layers of gzip can be replaced",
            manifest.digest(),
            last.media_type
        ))
        .into());
    }
    let new_config = config_with(config, &layer.diff_id)
        .map_err(|detail| unusable(&format!("config {} of the release image", old_config.digest), detail))?;
    let config_descriptor = Descriptor {
        media_type: old_config.media_type.clone(),
        digest: Digest::of(&new_config),
        size: new_config.len() as u64,
    };
    let layer_descriptor = layer.descriptor(&last.media_type);
    let bytes = manifest_with(manifest.bytes(), &config_descriptor, &layer_descriptor)
        .map_err(|detail| unusable(&format!("manifest {} of the release image", manifest.digest()), detail))?;
    let manifest = RawManifest::new(bytes, Some(&manifest.descriptor().media_type))
        .map_err(|error| Failure::check("making the new manifest of the release image").because(error))?;
    Ok(NewImage { manifest, config: new_config, config_descriptor, layer_descriptor })
}

/// The release's index with only those entries that have a new manifest, and those in their place. What else was in
/// it goes, attestations too: what they attest is gone.
pub fn new_index(index: &RawManifest, new: &BTreeMap<Digest, Descriptor>) -> Result<RawManifest> {
    let kept = index.retain(|digest| digest.parse().is_ok_and(|digest: Digest| new.contains_key(&digest)));
    let kept = kept.map_err(|error| Failure::check("choosing the entries of the release's index").because(error))?;
    let (bytes, replaced) = index_with(kept.bytes(), new)
        .map_err(|detail| unusable(&format!("the release's index {}", index.digest()), detail))?;
    if let Some(digest) = new.keys().find(|digest| !replaced.contains(digest)) {
        return Err(Failure::check(format!("the release's index {} has no entry {digest}", index.digest())).into());
    }
    let made = RawManifest::new(bytes, Some(&kept.descriptor().media_type));
    Ok(made.map_err(|error| Failure::check("making the release's new index").because(error))?)
}

/// What a manifest says. One that cannot be read makes the release unusable, whoever sent it.
pub(super) fn parsed(raw: &RawManifest) -> Result<Manifest, Failure> {
    raw.parse().map_err(|error| Failure::check(format!("reading {}", raw.digest())).because(error))
}

/// Config and manifest must be of each other, and end with this layer.
pub(super) fn check_config(manifest: &RawManifest, config: &[u8], diff_id: &Digest) -> Result<()> {
    let Manifest::Image { config: descriptor, layers } = parsed(manifest)? else { return Err(no_image(manifest)) };
    let of = manifest.digest();
    if !descriptor.is_image_config() {
        let media_type = &descriptor.media_type;
        return Err(Failure::usage(format!("the config of {of} is of type `{media_type}`: this is no image")).into());
    }
    if Digest::of(config) != descriptor.digest {
        return Err(Failure::check(format!("the config is another one than the manifest {of} names")).into());
    }
    let wrong = |detail: String| unusable(&format!("config {} of the release image", descriptor.digest), detail);
    let diff_ids = diff_ids(config).map_err(wrong)?;
    if diff_ids.len() != layers.len() {
        let (named, has) = (diff_ids.len(), layers.len());
        return Err(wrong(format!("it names {named} layers, but the manifest {has}")));
    }
    let last = diff_ids.last().map(|id| text(id)).transpose().map_err(wrong)?;
    if last.as_deref() != Some(diff_id.to_string().as_str()) {
        let named = last.unwrap_or_else(|| "nothing".to_owned());
        return Err(wrong(format!("its last layer should be {named} unpacked, but is {diff_id}")));
    }
    Ok(())
}

fn diff_ids(config: &[u8]) -> Result<Vec<&RawValue>, String> {
    let root = Fields::of(raw(config)?)?.only("rootfs")?;
    list(Fields::of(root)?.only("diff_ids")?)
}

fn config_with(config: &[u8], diff_id: &Digest) -> Result<Vec<u8>, String> {
    let ids = diff_ids(config)?;
    let last = ids.last().ok_or("`diff_ids` is empty")?;
    Ok(spliced(config, vec![(place(last.get(), config), format!("\"{diff_id}\""))]))
}

fn manifest_with(bytes: &[u8], config: &Descriptor, layer: &Descriptor) -> Result<Vec<u8>, String> {
    let manifest = Fields::of(raw(bytes)?)?;
    let layers = list(manifest.only("layers")?)?;
    let last = layers.last().ok_or("`layers` is empty")?;
    let mut changes = changes(manifest.only("config")?, bytes, config)?;
    changes.extend(self::changes(last, bytes, layer)?);
    Ok(spliced(bytes, changes))
}

fn index_with(bytes: &[u8], new: &BTreeMap<Digest, Descriptor>) -> Result<(Vec<u8>, Vec<Digest>), String> {
    let (mut changes, mut replaced) = (Vec::new(), Vec::new());
    for entry in list(Fields::of(raw(bytes)?)?.only("manifests")?)? {
        let digest: Digest = text(Fields::of(entry)?.only("digest")?)?.parse().map_err(|e| format!("{e}"))?;
        let by = new.get(&digest).ok_or_else(|| format!("nothing replaces {digest}"))?;
        changes.extend(self::changes(entry, bytes, by)?);
        replaced.push(digest);
    }
    Ok((spliced(bytes, changes), replaced))
}

/// Makes a descriptor that of other bytes of the same type.
fn changes(descriptor: &RawValue, whole: &[u8], by: &Descriptor) -> Result<Vec<Change>, String> {
    let fields = Fields::of(descriptor)?;
    // Both say what or where the old bytes are.
    if let Some(field) = ["data", "urls"].into_iter().find(|key| !matches!(fields.optional(key), Ok(None))) {
        return Err(format!("a descriptor that changes has `{field}`"));
    }
    let media_type = fields.optional("mediaType")?.map(text).transpose()?;
    if media_type.is_some_and(|media_type| media_type != by.media_type) {
        return Err(format!("a descriptor would be of another type than `{}`", by.media_type));
    }
    let change = |key: &str, new: String| Ok::<_, String>((place(fields.only(key)?.get(), whole), new));
    Ok(vec![change("digest", format!("\"{}\"", by.digest))?, change("size", by.size.to_string())?])
}

fn raw(bytes: &[u8]) -> Result<&RawValue, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn list(value: &RawValue) -> Result<Vec<&RawValue>, String> {
    serde_json::from_str(value.get()).map_err(|_| "there is no list".to_owned())
}

fn text(value: &RawValue) -> Result<String, String> {
    serde_json::from_str(value.get()).map_err(|_| "there is no text".to_owned())
}

fn no_image(manifest: &RawManifest) -> anyhow::Error {
    let media_type = manifest.descriptor().media_type;
    Failure::check(format!("{} is of type `{media_type}` instead of an image with layers", manifest.digest())).into()
}

fn unusable(what: &str, detail: String) -> anyhow::Error {
    Failure::check(format!("{what} cannot be used")).because(detail).into()
}
