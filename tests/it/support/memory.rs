//! A registry in memory, behind the program's own trait: for tests of what happens above the lanes.

use super::fixture::Repository;
use bootc_embed::model::{Descriptor, PinnedReference, Repository as Name};
use bootc_embed::registry::{Answer, At, BlobStream, Error, Registry};
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The registry. Clones are the same one.
#[derive(Clone, Default)]
pub struct MemoryRegistry {
    repositories: Arc<Vec<Repository>>,
    /// Manifests that were asked for, as `name@digest` or `name:tag`.
    pub manifests: Arc<Mutex<Vec<String>>>,
    /// How many blobs were asked for.
    pub blobs: Arc<AtomicUsize>,
    /// Breaks off the blob with this number, counted from 1; 0 breaks none.
    pub break_at: Arc<AtomicUsize>,
}

impl MemoryRegistry {
    /// Serves repositories, whatever the host in a reference.
    pub fn new(repositories: Vec<Repository>) -> Self {
        Self { repositories: Arc::new(repositories), ..Self::default() }
    }

    fn repository(&self, name: &Name) -> Option<&Repository> {
        self.repositories.iter().find(|repository| repository.name == name.path())
    }
}

#[async_trait::async_trait]
impl Registry for MemoryRegistry {
    async fn manifest_bytes(&self, name: &Name, at: At<'_>) -> Result<Answer, Error> {
        let (object, digest) = match at {
            At::Tag(tag) => {
                let tags = self.repository(name).map(|repository| &repository.tags);
                (format!("{name}:{tag}"), tags.and_then(|tags| tags.get(tag).cloned()).unwrap_or_default())
            }
            At::Digest(digest) => (format!("{name}@{digest}"), digest.to_string()),
        };
        self.manifests.lock().expect("no panic while locked").push(object.clone());
        match self.repository(name).and_then(|repository| repository.manifest(&digest)) {
            Some(manifest) => {
                Ok(Answer { bytes: manifest.bytes.clone(), content_type: Some(manifest.media_type.clone()) })
            }
            None => Err(Error::NotFound { object, detail: "404".into() }),
        }
    }

    async fn blob(&self, image: &PinnedReference, blob: &Descriptor, from: u64) -> Result<BlobStream, Error> {
        let number = self.blobs.fetch_add(1, Ordering::Relaxed) + 1;
        let object = format!("{}@{}", image.repository, blob.digest);
        let found = self.repository(&image.repository).and_then(|r| r.blob(&blob.digest.to_string()));
        let Some(found) = found else { return Err(Error::NotFound { object, detail: "404".into() }) };
        let from = usize::try_from(from).expect("blobs of tests are small");
        let mut chunks: Vec<Result<Bytes, Error>> =
            found.bytes[from..].chunks(16).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        if number == self.break_at.load(Ordering::Relaxed) {
            chunks.truncate(chunks.len() / 2);
            chunks.push(Err(Error::Interrupted { object, detail: "the test breaks off".into() }));
        }
        Ok(futures_util::stream::iter(chunks).boxed())
    }
}
