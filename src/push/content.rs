//! Where a push reads: what is known already, then a store, then registries.

use crate::model::{Descriptor, Digest, PinnedReference, Repository};
use crate::registry::{Answer, At, BlobStream, Error, Registry};
use crate::store::Pool;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

/// How much of a file is read at once.
const BUFFER: usize = 256 * 1024;

/// The content of a set.
#[derive(Default)]
pub struct Content {
    /// Manifests and configs that were read already, by digest.
    pub known: HashMap<Digest, Vec<u8>>,
    /// The pool of a store.
    pub pool: Option<Pool>,
    /// Where the rest is; without it a set is pushed from its store alone.
    pub rest: Option<Arc<dyn Registry>>,
    /// Blobs whose bytes in the pool turned out to be wrong.
    pub damaged: Mutex<HashSet<Digest>>,
}

impl Content {
    fn damaged(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self, object: impl Fn() -> String) -> Result<&Arc<dyn Registry>, Error> {
        let detail = "the store does not have it, or not these bytes".to_owned();
        self.rest.as_ref().ok_or_else(|| Error::Content { object: object(), detail })
    }

    /// The pool, where it has a blob that looks whole.
    fn pool_with(&self, blob: &Descriptor) -> Option<&Pool> {
        let pool = self.pool.as_ref()?;
        (pool.has(blob).unwrap_or(false) && !self.damaged().contains(&blob.digest)).then_some(pool)
    }
}

#[async_trait::async_trait]
impl Registry for Content {
    async fn manifest_bytes(&self, repository: &Repository, at: At<'_>) -> Result<Answer, Error> {
        if let At::Digest(digest) = at {
            let stored = || self.pool.as_ref()?.read_small(digest, crate::model::manifest::MAX_MANIFEST_SIZE).ok()?;
            if let Some(bytes) = self.known.get(digest).cloned().or_else(stored) {
                return Ok(Answer { bytes, content_type: None });
            }
        }
        self.rest(|| at.of(repository))?.manifest_bytes(repository, at).await
    }

    async fn blob(&self, image: &PinnedReference, blob: &Descriptor, from: u64) -> Result<BlobStream, Error> {
        let object = || format!("{}@{}", image.repository, blob.digest);
        let at = usize::try_from(from).unwrap_or(usize::MAX);
        if let Some(bytes) = self.known.get(&blob.digest)
            && at <= bytes.len()
        {
            let bytes = Bytes::copy_from_slice(&bytes[at..]);
            return Ok(stream::once(async { Ok(bytes) }).boxed());
        }
        let Some(pool) = self.pool_with(blob) else {
            return self.rest(object)?.blob(image, blob, from).await;
        };
        let name = object();
        let failed = move |e: &dyn std::fmt::Display| Error::Answer {
            object: name.clone(),
            detail: format!("in the store: {e}"),
        };
        let mut file = pool.open(&blob.digest).map_err(|e| failed(&e))?;
        file.seek(SeekFrom::Start(from)).map_err(|e| failed(&e))?;
        let next = move |mut file: cap_std_ext::cap_std::fs::File| {
            let failed = failed.clone();
            async move {
                let mut buffer = vec![0; BUFFER];
                let read = file.read(&mut buffer).map_err(|e| failed(&e))?;
                buffer.truncate(read);
                Ok((read > 0).then(|| (Bytes::from(buffer), file)))
            }
        };
        Ok(stream::try_unfold(file, next).boxed())
    }

    fn distrust(&self, image: &PinnedReference, blob: &Digest) -> bool {
        let in_pool = self.pool.is_some() && self.damaged().insert(blob.clone());
        match &self.rest {
            // It may not have come from there yet.
            Some(_) if in_pool => true,
            Some(rest) => rest.distrust(image, blob),
            None => false,
        }
    }
}
