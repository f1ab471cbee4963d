//! `Remote`: an image in a registry, by either lane.

use super::Error;
use super::choice::choose;
use super::image::{Found, Opened, Source};
use super::layout::image_of;
use crate::model::{Platform, Reference};
use crate::registry::{At, Registry};

/// A reference and the registry it is asked of.
pub struct Remote<'r> {
    registry: &'r dyn Registry,
    reference: Reference,
}

impl<'r> Remote<'r> {
    /// `docker://REF`.
    pub fn new(registry: &'r dyn Registry, reference: &Reference) -> Self {
        Self { registry, reference: reference.clone() }
    }
}

#[async_trait::async_trait]
impl Source for Remote<'_> {
    async fn find(&self, platform: &Platform) -> Result<Found, Error> {
        let repository = self.reference.repository();
        // A digest says more than the tag beside it.
        let at = match (self.reference.digest(), self.reference.tag()) {
            (Some(digest), _) => At::Digest(digest),
            (None, tag) => At::Tag(tag.unwrap_or("latest")),
        };
        let mut manifest = self.registry.manifest(repository, at).await?;
        if manifest.is_index() {
            let entry = choose(&manifest, platform)?;
            manifest = self.registry.manifest(repository, At::Digest(&entry.descriptor.digest)).await?;
        }
        let (config, layers) = image_of(&manifest)?;
        let config = self.registry.small_blob(&repository.at(manifest.digest()), &config).await?;
        Found::new(manifest.digest().clone(), config, Some(layers))
    }

    async fn open(&self, image: &Found, number: usize) -> Result<Opened, Error> {
        let layer = image.layer(number)?;
        let Some(descriptor) = &layer.descriptor else {
            return Err(Error::Malformed(format!("no manifest names {}", layer.name())));
        };
        let pinned = self.reference.repository().at(image.digest());
        Ok(Opened::Stream(self.registry.blob(&pinned, descriptor, 0).await?))
    }
}
