//! `Payload`: the last layer of a release image, what a cluster is installed from.
//!
//! Layout: `release-manifests/`, in it `image-references`, `release-metadata` and manifests. Promoted releases have
//! two such layers, of which the lower one is stale: only the last layer of an image is a payload.

use super::archive::{self, Entry};
use crate::model::{Descriptor, Digest, Failure};
use flate2::GzBuilder;
use std::io::{Read, Write as _};

/// The most bytes of an archive. Payloads have some 10 MiB; a bomb has to end somewhere.
pub const MAX_UNPACKED: u64 = 256 * 1024 * 1024;
/// The level at which zlib compresses by default.
const LEVEL: u32 = 6;
/// The largest zstd window, as a power of two: what `zstd -d` takes by default.
const MAX_ZSTD_WINDOW: u32 = 27;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// By gzip, as all releases are.
    Gzip,
    /// By zstd.
    Zstd,
    /// Not at all.
    Plain,
}

impl Compression {
    /// How a layer of this media type is compressed; `None` where it is no layer that can be read.
    pub fn of(media_type: &str) -> Option<Self> {
        Some(match media_type {
            "application/vnd.docker.image.rootfs.diff.tar.gzip" | "application/vnd.oci.image.layer.v1.tar+gzip" => {
                Compression::Gzip
            }
            "application/vnd.docker.image.rootfs.diff.tar.zstd" | "application/vnd.oci.image.layer.v1.tar+zstd" => {
                Compression::Zstd
            }
            "application/vnd.docker.image.rootfs.diff.tar" | "application/vnd.oci.image.layer.v1.tar" => {
                Compression::Plain
            }
            _ => return None,
        })
    }
}

/// The files of a release, in their order, each with its header as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    entries: Vec<Entry>,
    padding: usize,
    diff_id: Digest,
}

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// The layer, compressed by gzip.
    pub bytes: Vec<u8>,
    /// Of the bytes.
    pub digest: Digest,
    /// Of the archive.
    pub diff_id: Digest,
}

impl NewLayer {
    /// Number of bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// As a manifest names it.
    pub fn descriptor(&self, media_type: &str) -> Descriptor {
        Descriptor { media_type: media_type.to_owned(), digest: self.digest.clone(), size: self.size() }
    }
}

impl Payload {
    /// Reads a layer. Its bytes are not hashed here: who gets them from a registry does that.
    ///
    /// Errors: what cannot be unpacked, is larger than [`MAX_UNPACKED`], or holds anything but files and folders below
    /// `release-manifests`.
    pub fn read(layer: impl Read, compression: Compression) -> Result<Self, Failure> {
        let unpacked = unpack(layer, compression).map_err(|error| {
            Failure::check("unpacking the release's last layer")
                .hint("the layer is cut off or damaged; if it comes again like this, the release is broken")
                .because(error)
        })?;
        if unpacked.len() as u64 > MAX_UNPACKED {
            return Err(Failure::check(format!(
                "unpacking the release's last layer: it has more than {MAX_UNPACKED} bytes"
            ))
            .hint("the last layer of a release image has some MiB; is this a release?"));
        }
        let (entries, padding) = archive::read(&unpacked)?;
        Ok(Self { entries, padding, diff_id: Digest::of(&unpacked) })
    }

    /// All files and folders, in the order of the archive.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Path below `release-manifests`, and content, of every file.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().filter_map(|entry| Some((entry.name(), entry.content()?)))
    }

    /// A file, by its path below `release-manifests`.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files().find(|(found, _)| *found == name).map(|(_, content)| content)
    }

    /// The ImageStream that names the components.
    pub fn image_references(&self) -> Result<&[u8], Failure> {
        self.required("image-references")
    }

    /// Version, and where it can be updated from.
    pub fn release_metadata(&self) -> Result<&[u8], Failure> {
        self.required("release-metadata")
    }

    /// The digest of the archive as it was read, which the image's config must name.
    pub fn diff_id(&self) -> &Digest {
        &self.diff_id
    }

    /// The same with other content of files; `change` gets path and content, and may leave it as it is.
    pub(super) fn map(
        &self,
        mut change: impl FnMut(&str, &[u8]) -> Result<Option<Vec<u8>>, Failure>,
    ) -> Result<Self, Failure> {
        let mut payload = self.clone();
        for entry in &mut payload.entries {
            let changed = entry.content().map(|content| change(entry.name(), content)).transpose()?.flatten();
            if let Some(content) = changed {
                entry.set_content(content);
            }
        }
        payload.diff_id = Digest::of(&payload.archive());
        Ok(payload)
    }

    /// The archive: where nothing was changed, that which was read.
    pub fn archive(&self) -> Vec<u8> {
        archive::write(&self.entries, self.padding)
    }

    /// The layer. The same payload always gives the same bytes.
    pub fn write(&self) -> Result<NewLayer, Failure> {
        let archive = self.archive();
        let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::new(LEVEL));
        let written = gzip.write_all(&archive).and_then(|()| gzip.finish());
        let bytes = written.map_err(|error| Failure::environment("compressing the new layer").because(error))?;
        Ok(NewLayer { digest: Digest::of(&bytes), diff_id: Digest::of(&archive), bytes })
    }

    fn required(&self, name: &str) -> Result<&[u8], Failure> {
        self.file(name).ok_or_else(|| {
            Failure::check(format!("reading the release's last layer: it has no `release-manifests/{name}`"))
                .hint("this is no release image, or its last layer is another one than releases have")
        })
    }
}

/// The archive in a layer, and one byte more than it may have where it is too large.
fn unpack(layer: impl Read, compression: Compression) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    let most = MAX_UNPACKED + 1;
    match compression {
        Compression::Gzip => flate2::read::MultiGzDecoder::new(layer).take(most).read_to_end(&mut unpacked)?,
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(layer)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW)?;
            decoder.take(most).read_to_end(&mut unpacked)?
        }
        Compression::Plain => layer.take(most).read_to_end(&mut unpacked)?,
    };
    Ok(unpacked)
}
