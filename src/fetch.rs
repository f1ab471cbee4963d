//! Layer 2, fetch: what a plan names and the store lacks comes into the store, then the store is published.

use crate::model::manifest::MAX_MANIFEST_SIZE;
use crate::model::{Descriptor, Digest, PinnedReference, Plan, Progress, Repository};
use crate::registry::{Answer, At, BlobStream, Error, Registry};
use crate::store::{Pool, Removed, Store};
use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a fetch did. Sizes are in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Images of the set.
    pub images: usize,
    /// Files of the pool, manifests included.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
    /// Blobs that came from a registry.
    pub fetched: u64,
    /// Their size.
    pub fetched_bytes: u64,
    /// Blobs that came from the cache.
    pub from_cache: u64,
    /// Views of an earlier set that were removed.
    pub removed_views: usize,
    /// Files of the pool that only an earlier set needed and that were removed.
    pub removed_files: usize,
}

/// What to fetch and how.
pub struct Fetch<'a> {
    /// The set.
    pub plan: &'a Plan,
    /// Bytes that are known already, by digest.
    pub known: &'a HashMap<Digest, Vec<u8>>,
    /// Where the rest is.
    pub registry: &'a dyn Registry,
    /// Where it goes.
    pub store: &'a Store,
    /// Blobs that other runs fetched; new ones are added.
    pub cache: Option<&'a Pool>,
    /// Whether blobs that are in the store already are hashed once more.
    pub verify: bool,
    /// How many blobs at once.
    pub jobs: usize,
    /// Told of every byte.
    pub progress: &'a dyn Progress,
}

/// A registry whose manifests and small blobs are read from a pool where it has them, so that what a
/// store holds need not be asked for again.
pub struct StoreFirst<'a> {
    /// The pool.
    pub pool: &'a Pool,
    /// Where the rest is.
    pub registry: &'a dyn Registry,
}

#[async_trait::async_trait]
impl Registry for StoreFirst<'_> {
    async fn manifest_bytes(&self, repository: &Repository, at: At<'_>) -> Result<Answer, Error> {
        if let At::Digest(digest) = at
            && let Ok(Some(bytes)) = self.pool.read_small(digest, MAX_MANIFEST_SIZE)
        {
            return Ok(Answer { bytes, content_type: None });
        }
        self.registry.manifest_bytes(repository, at).await
    }

    async fn blob(&self, image: &PinnedReference, blob: &Descriptor) -> Result<BlobStream, Error> {
        match self.pool.read_small(&blob.digest, MAX_MANIFEST_SIZE) {
            Ok(Some(bytes)) => Ok(stream::once(async { Ok(bytes.into()) }).boxed()),
            _ => self.registry.blob(image, blob).await,
        }
    }
}

/// One file of the pool: what it is and who names it.
struct Item<'a> {
    descriptor: &'a Descriptor,
    /// A manifest that names it; for a manifest, itself.
    image: PinnedReference,
    is_manifest: bool,
}

#[derive(Default)]
struct Counters {
    fetched: AtomicU64,
    fetched_bytes: AtomicU64,
    from_cache: AtomicU64,
}

impl Fetch<'_> {
    /// Completes the store. Nothing is published before all of it is there.
    pub async fn run(&self) -> Result<Summary> {
        let items = items(self.plan);
        let bytes = self.plan.size();
        let counters = Counters::default();
        self.store.claim(self.plan)?;
        self.progress.start("Fetching", bytes, true);
        stream::iter(items.iter().map(Ok))
            .try_for_each_concurrent(self.jobs.max(1), |item| async {
                let name = format!("{}@{}", item.image.repository, item.descriptor.digest);
                self.bring(item, &counters).await.with_context(|| format!("fetching `{name}`"))
            })
            .await?;
        self.progress.finish();
        let Removed { views, blobs } = self.store.publish(self.plan)?;
        Ok(Summary {
            images: self.plan.images.len(),
            files: items.len(),
            bytes,
            fetched: counters.fetched.into_inner(),
            fetched_bytes: counters.fetched_bytes.into_inner(),
            from_cache: counters.from_cache.into_inner(),
            removed_views: views,
            removed_files: blobs,
        })
    }

    /// Makes sure that one file is in the pool.
    async fn bring(&self, item: &Item<'_>, counters: &Counters) -> Result<()> {
        let (pool, descriptor) = (self.store.pool(), item.descriptor);
        let present = if self.verify { pool.verify(descriptor)? } else { pool.has(descriptor)? };
        if present {
            self.progress.advance(descriptor.size);
            return Ok(());
        }
        if let Some(bytes) = self.known.get(&descriptor.digest) {
            pool.insert(descriptor, bytes)?;
            self.progress.advance(descriptor.size);
            return Ok(());
        }
        if item.is_manifest {
            let raw = self.registry.manifest(&item.image.repository, At::Digest(&descriptor.digest)).await?;
            pool.insert(descriptor, raw.bytes())?;
            self.progress.advance(descriptor.size);
            return Ok(());
        }
        if let Some(cache) = self.cache
            && pool.take_from(cache, descriptor)?
        {
            counters.from_cache.fetch_add(1, Relaxed);
            self.progress.advance(descriptor.size);
            return Ok(());
        }
        let mut stream = self.registry.blob(&item.image, descriptor).await?;
        let mut writer = pool.writer(descriptor)?;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            writer.write(&chunk)?;
            self.progress.advance(chunk.len() as u64);
        }
        writer.commit()?;
        counters.fetched.fetch_add(1, Relaxed);
        counters.fetched_bytes.fetch_add(descriptor.size, Relaxed);
        if let Some(cache) = self.cache {
            cache.take_from(pool, descriptor).context("adding to the cache")?;
        }
        Ok(())
    }
}

/// Every file of the pool once, in the order of the plan.
fn items(plan: &Plan) -> Vec<Item<'_>> {
    let mut seen: BTreeSet<&Digest> = BTreeSet::new();
    let mut items = Vec::new();
    for image in &plan.images {
        let repository = image.reference.repository();
        let manifests = image.manifests().map(|manifest| (manifest, &manifest.digest, true));
        let blobs = image.instances.iter().flat_map(|i| i.blobs().map(|blob| (blob, &i.manifest.digest, false)));
        for (descriptor, owner, is_manifest) in manifests.chain(blobs) {
            if seen.insert(&descriptor.digest) {
                items.push(Item { descriptor, image: repository.at(owner), is_manifest });
            }
        }
    }
    items
}
