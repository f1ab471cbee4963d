//! `DockerArchive`: what `docker save` and `podman save --format docker-archive` write: a tar archive
//! whose `manifest.json` names a config and layers by path (moby's image specification v1.2). No
//! manifest of a registry is in it, so layers are judged by the config's digests.

use super::Error;
use super::archive::Archive;
use super::error::foreign;
use super::image::{Found, Opened, Source};
use crate::model::grammar::{Name, full_repository};
use crate::model::manifest::MAX_MANIFEST_SIZE;
use crate::model::{Digest, Platform};
use serde::Deserialize;
use std::io::Read as _;
use std::path::Path;

/// An archive and one image in it.
pub struct DockerArchive {
    archive: Archive,
    item: Item,
}

/// One image of `manifest.json`.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl DockerArchive {
    /// `docker-archive:FILE[:REF]`.
    pub fn open(path: &Path, reference: Option<&str>) -> Result<Self, Error> {
        let archive = Archive::open(path)?;
        let manifest = read(&archive, "manifest.json")?.ok_or_else(|| Error::NoImage {
            message: format!("`{}` is no archive of docker: it has no `manifest.json`", path.display()),
            hint: "an archive with `oci-layout` is read by `oci-archive:`".to_owned(),
        })?;
        let item = find(parse_manifest(&manifest)?, reference)?;
        Ok(Self { archive, item })
    }
}

#[async_trait::async_trait]
impl Source for DockerArchive {
    async fn find(&self, _: &Platform) -> Result<Found, Error> {
        let name = foreign(&self.item.config);
        let config = read(&self.archive, &self.item.config)?;
        let config = config.ok_or_else(|| Error::damaged(format!("config `{name}`"), "it is not in the archive"))?;
        let digest = Digest::of(&config);
        // Most programs name its file by its digest, with something before or after it.
        let stem = name.rsplit(['/', ':']).next().unwrap_or(&name).trim_end_matches(".json");
        if Digest::from_hex(stem).is_ok_and(|named| named != digest) {
            return Err(Error::damaged(format!("config `{name}`"), format!("its sha256 is {}", digest.hex())));
        }
        let found = Found::new(digest, config, None)?;
        let (count, named) = (self.item.layers.as_ref().map_or(0, Vec::len), found.layers().len());
        if count != named {
            return Err(Error::damaged("the image", format!("it has {count} layers, its config {named}")));
        }
        Ok(found)
    }

    async fn open(&self, image: &Found, number: usize) -> Result<Opened, Error> {
        let layer = image.layer(number)?;
        let path = self.item.layers.as_ref().and_then(|layers| layers.get(number));
        let member = path.map(|path| self.archive.member(path)).transpose()?.flatten();
        let (slice, _) = member.ok_or_else(|| Error::damaged(layer.name(), "it is not in the archive"))?;
        Ok(Opened::File(Box::new(slice)))
    }
}

fn read(archive: &Archive, path: &str) -> Result<Option<Vec<u8>>, Error> {
    let Some((slice, size)) = archive.member(path)? else { return Ok(None) };
    if size > MAX_MANIFEST_SIZE {
        return Err(Error::Malformed(format!("`{}` has {size} bytes", foreign(path))));
    }
    let mut bytes = Vec::new();
    let mut slice = slice;
    slice.read_to_end(&mut bytes).map_err(|source| Error::Source { object: foreign(path), source })?;
    Ok(Some(bytes))
}

/// The images of a `manifest.json`.
pub fn parse_manifest(bytes: &[u8]) -> Result<Vec<Item>, Error> {
    serde_json::from_slice(bytes).map_err(|e| Error::Malformed(format!("`manifest.json` cannot be read: {e}")))
}

/// The image that has a tag; without one, the only image.
fn find(items: Vec<Item>, reference: Option<&str>) -> Result<Item, Error> {
    let tags = |item: &Item| item.repo_tags.clone().unwrap_or_default();
    let mut names: Vec<String> = items.iter().flat_map(tags).map(|tag| foreign(&tag)).collect();
    names.truncate(10);
    let count = items.len();
    let mut found: Vec<Item> = match reference {
        None => items,
        Some(wanted) => items.into_iter().filter(|item| tags(item).iter().any(|tag| is(tag, wanted))).collect(),
    };
    match (found.pop(), found.is_empty()) {
        (Some(item), true) => Ok(item),
        _ => Err(Error::NoImage {
            message: match reference {
                Some(wanted) => format!("the archive has no image, or several, of the name `{wanted}`"),
                None => format!("the archive has {count} images, not one"),
            },
            hint: format!("add a name after a colon; there are: {}", names.join(", ")),
        }),
    }
}

/// Whether a tag is the one that is meant: docker leaves its own registry out.
fn is(tag: &str, wanted: &str) -> bool {
    let full = |name| Name::parse(name).and_then(|name| Some(full_repository(name.repository)? + &name.suffix()));
    tag == wanted || matches!((full(tag), full(wanted)), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_by_its_tag_or_by_being_the_only_one() {
        let text = r#"[{"Config":"a.json","RepoTags":["busybox:v1"],"Layers":["a/layer.tar"]},
                       {"Config":"b.json","RepoTags":null}]"#;
        let items = parse_manifest(text.as_bytes()).unwrap();
        assert_eq!(find(items.clone(), Some("docker.io/library/busybox:v1")).unwrap().config, "a.json");
        assert_eq!(find(items[1..].to_vec(), None).unwrap().config, "b.json");
        for name in [None, Some("busybox:v2"), Some("..")] {
            assert!(matches!(find(items.clone(), name), Err(Error::NoImage { .. })), "{name:?}");
        }
        assert!(parse_manifest(b"{}").is_err());
    }
}
