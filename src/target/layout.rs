//! `Layout`: an image in an OCI layout, which is a folder or a tar archive of one (image-spec,
//! image-layout.md). Every manifest and config is hashed; layers are where they are read.

use super::archive::Archive;
use super::choice::choose;
use super::error::foreign;
use super::image::{Found, Opened, Source};
use super::{Error, LayoutName, io_error};
use crate::model::digest::DigestError;
use crate::model::manifest::{Descriptor, MAX_MANIFEST_SIZE};
use crate::model::{Digest, Manifest, Platform, RawManifest};
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use serde::Deserialize;
use std::io::Read;

/// What names an image in a layout.
const NAME: &str = "org.opencontainers.image.ref.name";

/// An OCI layout and the name of one image in it.
pub struct Layout {
    files: Files,
    reference: Option<String>,
}

enum Files {
    /// No path leads out of it, links followed.
    Folder(Dir),
    Archive(Archive),
}

/// A file and its size.
type Opening = (Box<dyn Read + Send>, u64);

impl Files {
    fn open(&self, path: &str) -> Result<Option<Opening>, Error> {
        match self {
            Files::Archive(archive) => {
                Ok(archive.member(path)?.map(|(slice, size)| (Box::new(slice) as Box<dyn Read + Send>, size)))
            }
            Files::Folder(dir) => {
                let metadata = match dir.metadata(path) {
                    Ok(metadata) => metadata,
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    Err(e) => return Err(io_error(path)(e)),
                };
                if !metadata.is_file() {
                    return Err(Error::Malformed(format!("`/{path}` is no file")));
                }
                Ok(Some((Box::new(dir.open(path).map_err(io_error(path))?), metadata.len())))
            }
        }
    }

    /// A small file.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some((file, _)) = self.open(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(MAX_MANIFEST_SIZE + 1).read_to_end(&mut bytes).map_err(io_error(path))?;
        if bytes.len() as u64 > MAX_MANIFEST_SIZE {
            return Err(Error::Malformed(format!("`/{path}` has more than {MAX_MANIFEST_SIZE} bytes")));
        }
        Ok(Some(bytes))
    }

    /// A small blob, checked.
    fn blob(&self, what: &str, digest: &Digest) -> Result<Vec<u8>, Error> {
        let object = || format!("{what} {digest}");
        let bytes =
            self.read(&blob_path(digest))?.ok_or_else(|| Error::damaged(object(), "it is not in the layout"))?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(Error::damaged(object(), format!("it has other bytes (their sha256: {})", found.hex())));
        }
        Ok(bytes)
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

impl Layout {
    /// `oci:DIR[:REF]`.
    pub fn folder(name: &LayoutName) -> Result<Self, Error> {
        let failed = |source| Error::Source { object: name.path.display().to_string(), source };
        let dir = Dir::open_ambient_dir(&name.path, ambient_authority()).map_err(failed)?;
        Ok(Self { files: Files::Folder(dir), reference: name.reference.clone() })
    }

    /// `oci-archive:FILE[:REF]`.
    pub fn archive(name: &LayoutName) -> Result<Self, Error> {
        Ok(Self { files: Files::Archive(Archive::open(&name.path)?), reference: name.reference.clone() })
    }

    /// The digest of the index or manifest that the name stands for.
    pub fn digest(&self) -> Result<Digest, Error> {
        Ok(self.top()?.digest().clone())
    }

    fn top(&self) -> Result<RawManifest, Error> {
        let none = |what: &str| Error::NoImage {
            message: format!("this is no OCI layout: it has no `{what}`"),
            hint: "name the folder or the archive that has `oci-layout` and `index.json`".to_owned(),
        };
        let layout = self.files.read("oci-layout")?.ok_or_else(|| none("oci-layout"))?;
        let index = self.files.read("index.json")?.ok_or_else(|| none("index.json"))?;
        check_version(&layout)?;
        let digest = find(&parse_index(&index)?, self.reference.as_deref())?;
        self.manifest(&digest)
    }

    fn manifest(&self, digest: &Digest) -> Result<RawManifest, Error> {
        let bytes = self.files.blob("manifest", digest)?;
        RawManifest::new(bytes, None).map_err(|e| Error::Malformed(e.to_string()))
    }
}

#[async_trait::async_trait]
impl Source for Layout {
    async fn find(&self, platform: &Platform) -> Result<Found, Error> {
        let mut manifest = self.top()?;
        if manifest.is_index() {
            manifest = self.manifest(&choose(&manifest, platform)?.descriptor.digest)?;
        }
        let config = |config: &Descriptor| self.files.blob("config", &config.digest);
        let (descriptor, layers) = image_of(&manifest)?;
        Found::new(manifest.digest().clone(), config(&descriptor)?, Some(layers))
    }

    async fn open(&self, image: &Found, number: usize) -> Result<Opened, Error> {
        let layer = image.layer(number)?;
        let path = layer.descriptor.as_ref().map(|descriptor| blob_path(&descriptor.digest));
        let opened = path.map(|path| self.files.open(&path)).transpose()?.flatten();
        let (file, _) = opened.ok_or_else(|| Error::damaged(layer.name(), "it is not in the layout"))?;
        Ok(Opened::File(file))
    }
}

/// The config and the layers of one image, lowest first.
pub(super) fn image_of(manifest: &RawManifest) -> Result<(Descriptor, Vec<Descriptor>), Error> {
    let wrong = |detail: String| Error::Malformed(format!("manifest {} {detail}", manifest.digest()));
    match manifest.parse() {
        Ok(Manifest::Image { config, layers }) if config.is_image_config() => Ok((config, layers)),
        Ok(Manifest::Image { config, .. }) => {
            Err(wrong(format!("is no container image: its config is of type `{}`", foreign(&config.media_type))))
        }
        Ok(Manifest::Index(_)) => Err(wrong("is an index where an image is expected".to_owned())),
        Err(e) => Err(wrong(format!("cannot be read: {e}"))),
    }
}

fn check_version(layout: &[u8]) -> Result<(), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Layout {
        image_layout_version: String,
    }
    let layout: Layout =
        serde_json::from_slice(layout).map_err(|e| Error::Malformed(format!("`/oci-layout` cannot be read: {e}")))?;
    let version = layout.image_layout_version;
    if version.starts_with("1.") {
        Ok(())
    } else {
        Err(Error::Malformed(format!("the OCI layout is of version `{}`, not 1", foreign(&version))))
    }
}

/// Name and digest of each image in `index.json`.
pub fn parse_index(bytes: &[u8]) -> Result<Vec<(Option<String>, Digest)>, Error> {
    #[derive(Deserialize)]
    struct Index {
        manifests: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        digest: String,
        #[serde(default)]
        annotations: Option<std::collections::BTreeMap<String, String>>,
    }
    let cannot = |e: &dyn std::fmt::Display| Error::Malformed(format!("`/index.json` cannot be read: {e}"));
    let index: Index = serde_json::from_slice(bytes).map_err(|e| cannot(&e))?;
    let mut images = Vec::new();
    for Entry { digest, annotations } in index.manifests {
        match digest.parse() {
            Ok(digest) => images.push((annotations.and_then(|mut all| all.remove(NAME)), digest)),
            // Such an image can lie here, but not be read.
            Err(DigestError::Algorithm(_)) => {}
            Err(e) => return Err(cannot(&e)),
        }
    }
    Ok(images)
}

/// The image of a name; without one, the only image.
fn find(images: &[(Option<String>, Digest)], reference: Option<&str>) -> Result<Digest, Error> {
    let mut names: Vec<String> = images.iter().filter_map(|(name, _)| name.as_deref()).map(foreign).collect();
    names.truncate(10);
    let hint = match names.as_slice() {
        [] => "none of its images has a name".to_owned(),
        names => format!("add a name after a colon: {}", names.join(", ")),
    };
    let no_image = |message: String| Error::NoImage { message, hint };
    match (reference, images) {
        (None, [(_, digest)]) => Ok(digest.clone()),
        (None, _) => Err(no_image(format!("the OCI layout has {} images, not one", images.len()))),
        (Some(wanted), _) => {
            let found = images.iter().find(|(name, _)| name.as_deref() == Some(wanted));
            let found = found.map(|(_, digest)| digest.clone());
            found.ok_or_else(|| no_image(format!("the OCI layout has no image of the name `{wanted}`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_by_its_name_or_by_being_the_only_one() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let one = [(None, a.clone())];
        let two = [(Some("v1".to_owned()), a.clone()), (Some("v2".to_owned()), b.clone())];
        assert_eq!(find(&one, None).unwrap(), a);
        assert_eq!(find(&two, Some("v2")).unwrap(), b);
        for (images, name, words) in
            [(&two[..], None, "2 images"), (&two, Some("v3"), "no image"), (&[], None, "0 images")]
        {
            let error = find(images, name).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(find(&two, None).unwrap_err().hints()[0].contains("v1, v2"));
    }

    #[test]
    fn an_index_file_names_digests_and_no_paths() {
        let hex = "a".repeat(64);
        let text = format!(r#"{{"manifests":[{{"digest":"sha256:{hex}","annotations":{{"{NAME}":"v1"}}}}]}}"#);
        assert_eq!(parse_index(text.as_bytes()).unwrap()[0].0.as_deref(), Some("v1"));
        for wrong in ["", "{}", r#"{"manifests":[{"digest":"sha256:../../etc/passwd"}]}"#] {
            assert!(parse_index(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(check_version(br#"{"imageLayoutVersion":"1.0.0"}"#).is_ok());
        assert!(check_version(br#"{"imageLayoutVersion":"2.0.0"}"#).is_err());
    }
}
