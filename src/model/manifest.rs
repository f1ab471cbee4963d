//! `RawManifest`: bytes of an index or an image manifest with their digest, and a view to read them.
//!
//! Bytes are sacred: they are what is hashed and what is written. The parsed view is derived from
//! them and never written back. Formats: OCI image-spec (image-index.md, manifest.md) and
//! distribution's manifest-v2-2.md.

use super::digest::{Digest, DigestError};
use super::platform::Platform;
use serde::{Deserialize, Serialize};

/// The most bytes a manifest may have; registries refuse larger ones (distribution-spec).
pub const MAX_MANIFEST_SIZE: u64 = 4 * 1024 * 1024;

/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Docker manifest list, schema 2.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// All types a registry may answer with; asking for fewer makes some registries convert.
pub const ACCEPTED: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];

/// Config types that carry a platform.
const IMAGE_CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// Why bytes are not a manifest this program can use.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of the shape the specification demands.
    #[error("manifest {digest} cannot be read")]
    Json {
        /// Of the bytes.
        digest: Digest,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// Docker's schema 1, which carries no digests of its own.
    #[error("manifest {0} is of Docker schema 1, which no current runtime pulls by digest")]
    SchemaOne(Digest),
    /// Could be read as an index and as an image, or claims to be what it is not.
    #[error("manifest {digest} is ambiguous: {detail}")]
    Ambiguous {
        /// Of the bytes.
        digest: Digest,
        /// What contradicts what.
        detail: String,
    },
    /// A digest inside cannot be used.
    #[error("manifest {digest} names a blob that cannot be stored")]
    Digest {
        /// Of the bytes.
        digest: Digest,
        /// The digest inside.
        #[source]
        source: DigestError,
    },
}

/// What some bytes are, without the bytes. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// For example `application/vnd.oci.image.manifest.v1+json`.
    pub media_type: String,
    /// Of the bytes.
    pub digest: Digest,
    /// Number of bytes.
    pub size: u64,
}

impl Descriptor {
    /// Whether a config blob of this type names a platform.
    pub fn is_image_config(&self) -> bool {
        IMAGE_CONFIGS.contains(&self.media_type.as_str())
    }
}

/// One entry of an index.
#[derive(Debug, Clone)]
pub struct IndexEntry {
    /// The manifest it points to.
    pub descriptor: Descriptor,
    /// The platform it is for, if it says so.
    pub platform: Option<Platform>,
}

impl IndexEntry {
    /// Attestations and other attachments say `unknown/unknown`; no device runs them.
    pub fn is_attachment(&self) -> bool {
        self.platform.as_ref().is_some_and(Platform::is_of_attachments)
    }

    /// Whether it points to another index.
    pub fn is_index(&self) -> bool {
        [OCI_INDEX, DOCKER_LIST].contains(&self.descriptor.media_type.as_str())
    }
}

/// The parsed view of a manifest.
#[derive(Debug, Clone)]
pub enum Manifest {
    /// Manifest list or image index: its entries, in order, but for those under a digest of another
    /// algorithm than sha256, which cannot be stored.
    Index(Vec<IndexEntry>),
    /// One image.
    Image {
        /// The config blob.
        config: Descriptor,
        /// The layers, lowest first.
        layers: Vec<Descriptor>,
    },
}

/// Manifest bytes with their digest and media type. Made only by hashing.
#[derive(Clone, PartialEq, Eq)]
pub struct RawManifest {
    bytes: Vec<u8>,
    digest: Digest,
    media_type: String,
}

/// The fields that tell what kind of manifest some bytes are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl RawManifest {
    /// Hashes `bytes` and finds out what they are. `content_type` is what the registry called them;
    /// it decides only where the bytes leave it open.
    pub fn new(bytes: Vec<u8>, content_type: Option<&str>) -> Result<Self, ManifestError> {
        let digest = Digest::of(&bytes);
        let shape: Shape = match serde_json::from_slice(&bytes) {
            Ok(shape) => shape,
            Err(source) => return Err(ManifestError::Json { digest, source }),
        };
        let media_type = match media_type(&shape, content_type) {
            Ok(media_type) => media_type.to_owned(),
            Err(None) => return Err(ManifestError::SchemaOne(digest)),
            Err(Some(detail)) => return Err(ManifestError::Ambiguous { digest, detail }),
        };
        Ok(Self { bytes, digest, media_type })
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Whether this is an index.
    pub fn is_index(&self) -> bool {
        is_index_type(&self.media_type)
    }

    /// Media type, digest and size.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor { media_type: self.media_type.clone(), digest: self.digest.clone(), size: self.bytes.len() as u64 }
    }

    /// Reads the bytes.
    pub fn parse(&self) -> Result<Manifest, ManifestError> {
        let json = |source| ManifestError::Json { digest: self.digest.clone(), source };
        let bad_digest = |source| ManifestError::Digest { digest: self.digest.clone(), source };
        if self.is_index() {
            let index: oci_spec::image::ImageIndex = serde_json::from_slice(&self.bytes).map_err(json)?;
            let usable =
                |entry: &&oci_spec::image::Descriptor| !matches!(descriptor(entry), Err(DigestError::Algorithm(_)));
            let entries = index.manifests().iter().filter(usable).map(|entry| {
                let platform = entry.platform().as_ref().map(|p| Platform {
                    os: p.os().to_string(),
                    architecture: p.architecture().to_string(),
                    variant: p.variant().clone().filter(|v| !v.is_empty()),
                });
                Ok(IndexEntry { descriptor: descriptor(entry)?, platform })
            });
            Ok(Manifest::Index(entries.collect::<Result<_, _>>().map_err(bad_digest)?))
        } else {
            let image: oci_spec::image::ImageManifest = serde_json::from_slice(&self.bytes).map_err(json)?;
            let layers = image.layers().iter().map(descriptor).collect::<Result<_, _>>();
            Ok(Manifest::Image {
                config: descriptor(image.config()).map_err(bad_digest)?,
                layers: layers.map_err(bad_digest)?,
            })
        }
    }
}

impl std::fmt::Debug for RawManifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawManifest({}, {} bytes, {})", self.digest, self.bytes.len(), self.media_type)
    }
}

fn is_index_type(media_type: &str) -> bool {
    [OCI_INDEX, DOCKER_LIST].contains(&media_type)
}

/// The media type of a manifest: what it says of itself, else what the registry says, else what its
/// shape says. `Err(None)` is schema 1, `Err(Some(detail))` a contradiction: bytes that one reader
/// takes for an index and another for an image must not be shipped (CVE-2021-41190).
fn media_type<'a>(shape: &'a Shape, content_type: Option<&'a str>) -> Result<&'a str, Option<String>> {
    if shape.schema_version == Some(1) || shape.fs_layers.is_some() {
        return Err(None);
    }
    let image = shape.config.is_some() || shape.layers.is_some();
    let is_index = match (shape.manifests.is_some(), image) {
        (true, false) => true,
        (false, true) => false,
        (true, true) => return Err(Some("it has both `manifests` and `config` or `layers`".into())),
        (false, false) => return Err(Some("it has neither `manifests` nor `config` and `layers`".into())),
    };
    if let Some(own) = shape.media_type.as_deref() {
        if !ACCEPTED.contains(&own) || is_index_type(own) != is_index {
            let shape = if is_index { "an index" } else { "an image" };
            return Err(Some(format!("its `mediaType` is `{own}`, but it has the fields of {shape}")));
        }
        return Ok(own);
    }
    let told = content_type.filter(|t| ACCEPTED.contains(t) && is_index_type(t) == is_index);
    Ok(told.unwrap_or(if is_index { OCI_INDEX } else { OCI_MANIFEST }))
}

fn descriptor(from: &oci_spec::image::Descriptor) -> Result<Descriptor, DigestError> {
    Ok(Descriptor {
        media_type: from.media_type().to_string(),
        digest: from.digest().to_string().parse()?,
        size: from.size(),
    })
}

/// The platform that an image config names; `None` where it names no architecture.
pub fn config_platform(config: &[u8]) -> Result<Option<Platform>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        os: String,
        #[serde(default)]
        architecture: String,
        variant: Option<String>,
    }
    let config: Config = serde_json::from_slice(config)?;
    if config.architecture.is_empty() {
        return Ok(None);
    }
    let os = if config.os.is_empty() { "linux".to_owned() } else { config.os };
    let variant = config.variant.filter(|v| !v.is_empty());
    Ok(Some(Platform { os, architecture: config.architecture, variant }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn raw(text: &str, content_type: Option<&str>) -> Result<RawManifest, ManifestError> {
        RawManifest::new(text.as_bytes().to_vec(), content_type)
    }

    #[test]
    fn media_type_is_told_by_the_bytes_first() {
        let index = format!(r#"{{"schemaVersion":2,"mediaType":"{DOCKER_LIST}","manifests":[]}}"#);
        assert_eq!(raw(&index, Some(OCI_INDEX)).unwrap().descriptor().media_type, DOCKER_LIST);
        let untyped = r#" {"schemaVersion":2,"manifests":[]}"#;
        assert_eq!(raw(untyped, Some(DOCKER_LIST)).unwrap().descriptor().media_type, DOCKER_LIST);
        assert_eq!(raw(untyped, Some(OCI_MANIFEST)).unwrap().descriptor().media_type, OCI_INDEX);
        assert_eq!(raw(untyped, Some("text/html")).unwrap().descriptor().media_type, OCI_INDEX);
    }

    #[test]
    fn refuses_what_can_be_read_in_two_ways() {
        for (text, words) in [
            (r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#.to_owned(), "both"),
            (r#"{"schemaVersion":2}"#.to_owned(), "neither"),
            (format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","manifests":[]}}"#), "fields of an index"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(), "schema 1"),
            ("<html>".to_owned(), "cannot be read"),
            (String::new(), "cannot be read"),
        ] {
            let error = raw(&text, None).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn reads_docker_and_oci_alike() {
        let text = format!(
            r#"{{"schemaVersion":2,"extra":[1],"manifests":[
              {{"mediaType":"{DOCKER_MANIFEST}","size":7,"digest":"sha256:{HEX}","platform":{{"architecture":"arm","os":"linux","variant":"v7"}}}},
              {{"mediaType":"{OCI_MANIFEST}","size":8,"digest":"sha256:{HEX}","platform":{{"architecture":"unknown","os":"unknown"}}}},
              {{"mediaType":"{OCI_INDEX}","size":9,"digest":"sha256:{HEX}"}}]}}"#
        );
        let Manifest::Index(entries) = raw(&text, None).unwrap().parse().unwrap() else { panic!("an index") };
        assert_eq!(entries[0].platform.as_ref().unwrap().to_string(), "linux/arm/v7");
        assert!(entries[1].is_attachment() && !entries[0].is_attachment());
        assert!(entries[2].is_index() && entries[2].platform.is_none());
    }

    #[test]
    fn refuses_digests_that_are_paths() {
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"x","size":1,"digest":"sha256:{HEX}"}},
              "layers":[{{"mediaType":"x","size":1,"digest":"sha256:../../../etc/passwd"}}]}}"#
        );
        assert!(raw(&text, None).unwrap().parse().is_err());
    }

    #[test]
    fn config_platforms() {
        let platform = |text: &str| config_platform(text.as_bytes()).unwrap().map(|p| p.to_string());
        assert_eq!(platform(r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#).unwrap(), "linux/arm64/v8");
        assert_eq!(platform(r#"{"architecture":"amd64"}"#).unwrap(), "linux/amd64");
        assert_eq!(platform("{}"), None);
        assert!(config_platform(b"[").is_err());
    }
}
