//! `Local`: an image in the containers-storage of this machine, which skopeo reads.
//!
//! Layers lie there as folders and are packed anew when they are asked for, byte for byte as they were
//! before compression. So the manifest's digests of compressed layers say nothing here, and the config's
//! digests everything: layers are asked for and checked by them.

use super::Error;
use super::choice::choose;
use super::image::{Found, Opened, Source};
use super::layout::image_of;
use crate::model::{Digest, Platform};
use crate::registry;
use crate::registry::proxy::StoredImage;
use futures_util::TryStreamExt as _;
use std::sync::OnceLock;

/// An image and the skopeo that reads it.
pub struct Local {
    image: StoredImage,
    /// What was chosen, if the name is that of an index.
    instance: OnceLock<StoredImage>,
}

impl Local {
    /// `containers-storage:REF`.
    pub async fn new(name: &str) -> Result<Self, Error> {
        Ok(Self { image: StoredImage::new(name).await?, instance: OnceLock::new() })
    }

    fn instance(&self) -> &StoredImage {
        self.instance.get().unwrap_or(&self.image)
    }
}

#[async_trait::async_trait]
impl Source for Local {
    async fn find(&self, platform: &Platform) -> Result<Found, Error> {
        let mut manifest = self.image.manifest().await.map_err(in_storage)?;
        if manifest.is_index() {
            let instance = choose(&manifest, platform)?.descriptor.digest;
            let image = self.instance.get_or_init(|| self.image.at(&instance));
            manifest = image.manifest().await.map_err(in_storage)?;
        }
        let (descriptor, layers) = image_of(&manifest)?;
        let blob = self.instance().blob(&descriptor.digest, Some(descriptor.size)).await?;
        let limit = descriptor.size;
        let collect = |mut bytes: Vec<u8>, chunk: bytes::Bytes| async move {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > limit {
                let object = format!("config {}", Digest::of(&bytes));
                return Err(registry::Error::TooLarge { object, limit });
            }
            Ok(bytes)
        };
        let config = blob.try_fold(Vec::new(), collect).await?;
        let found = Digest::of(&config);
        if found != descriptor.digest {
            let detail = format!("the storage has other bytes (their sha256: {})", found.hex());
            return Err(Error::damaged(format!("config {}", descriptor.digest), detail));
        }
        let count = layers.len();
        let image = Found::new(manifest.digest().clone(), config, None)?;
        if image.layers().len() != count {
            let detail = format!("its manifest has {count} layers, its config {}", image.layers().len());
            return Err(Error::damaged(format!("image {}", image.digest()), detail));
        }
        Ok(image)
    }

    async fn open(&self, image: &Found, number: usize) -> Result<Opened, Error> {
        let layer = image.layer(number)?;
        let Some(diff_id) = &layer.diff_id else {
            return Err(Error::Malformed(format!("no config names {}", layer.name())));
        };
        Ok(Opened::Stream(self.instance().blob(diff_id, None).await?))
    }
}

/// Nothing of that name is a wrong name, not a fault of the machine.
fn in_storage(error: registry::Error) -> Error {
    match error {
        registry::Error::NotFound { object, detail } => Error::NoImage {
            message: format!("`{object}` is not in containers-storage: {detail}"),
            hint: "see what is there with `podman images --digests`, as the same user".to_owned(),
        },
        error => Error::Registry(error),
    }
}
