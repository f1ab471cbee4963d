//! Layer 2, fetch: what a plan names and the store lacks comes into the store, then the store is published.

use crate::model::manifest::MAX_MANIFEST_SIZE;
use crate::model::plan::Signed;
use crate::model::progress::Part;
use crate::model::{Descriptor, Digest, PinnedReference, Plan, Progress, Repository};
use crate::registry::{Answer, At, BlobStream, Error, Registry};
use crate::store::{self, BlobWriter, Pool, Removed, Store};
use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::task::JoinSet;

/// How often a blob whose bytes turn out to be wrong is fetched anew.
const MAX_RESTARTS: u32 = 4;

/// So much is written before the disk is told to begin; then little is left to wait for at the end.
const SYNC_EVERY: u64 = 64 * 1024 * 1024;

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
    /// What came of them.
    pub fetched_bytes: u64,
    /// What was left of them by a run that was cut off, and did not come again.
    pub resumed_bytes: u64,
    /// Blobs that came from the cache.
    pub from_cache: u64,
    /// What did not have to come because images share it, or because it was there: the size of all
    /// images, each on its own, without what came, manifests included.
    pub saved_bytes: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Images all of whose instances carry signatures that runtimes read; `None` where nobody looked.
    pub signed_images: Option<usize>,
    /// Views of an earlier set that were removed.
    pub removed_views: usize,
    /// Files of the pool that only an earlier set needed and that were removed.
    pub removed_files: usize,
}

/// What to fetch and how.
#[derive(Clone)]
pub struct Fetch {
    /// The set.
    pub plan: Arc<Plan>,
    /// Bytes that are known already, by digest.
    pub known: Arc<HashMap<Digest, Vec<u8>>>,
    /// Where the rest is.
    pub registry: Arc<dyn Registry>,
    /// Where it goes.
    pub store: Arc<Store>,
    /// Blobs that other runs fetched; new ones are added.
    pub cache: Option<Arc<Pool>>,
    /// Whether blobs that are in the store already are hashed once more.
    pub verify: bool,
    /// How many blobs at once.
    pub jobs: usize,
    /// Told of every byte.
    pub progress: Arc<dyn Progress>,
}

/// A registry whose manifests and small blobs are read from a pool where it has them, so that what a
/// store holds need not be asked for again.
pub struct StoreFirst {
    /// The pool.
    pub pool: Pool,
    /// Where the rest is.
    pub registry: Arc<dyn Registry>,
}

#[async_trait::async_trait]
impl Registry for StoreFirst {
    async fn manifest_bytes(&self, repository: &Repository, at: At<'_>) -> Result<Answer, Error> {
        if let At::Digest(digest) = at
            && let Ok(Some(bytes)) = self.pool.read_small(digest, MAX_MANIFEST_SIZE)
        {
            return Ok(Answer { bytes, content_type: None });
        }
        self.registry.manifest_bytes(repository, at).await
    }

    async fn blob(&self, image: &PinnedReference, blob: &Descriptor, from: u64) -> Result<BlobStream, Error> {
        if from == 0
            && blob.size <= MAX_MANIFEST_SIZE
            && let Ok(Some(bytes)) = self.pool.read_small(&blob.digest, MAX_MANIFEST_SIZE)
        {
            return Ok(stream::once(async { Ok(bytes.into()) }).boxed());
        }
        self.registry.blob(image, blob, from).await
    }

    fn distrust(&self, image: &PinnedReference, blob: &Digest) -> bool {
        self.registry.distrust(image, blob)
    }

    async fn tag_beside(&self, image: &PinnedReference, tag: &str) -> Result<Option<Answer>, Error> {
        self.registry.tag_beside(image, tag).await
    }

    async fn referrers(&self, image: &PinnedReference) -> Result<Option<Vec<Vec<u8>>>, Error> {
        self.registry.referrers(image).await
    }

    async fn lookaside(&self, image: &PinnedReference) -> Result<Vec<Vec<u8>>, Error> {
        self.registry.lookaside(image).await
    }
}

/// One file of the pool: what it is and who names it.
struct Item {
    descriptor: Descriptor,
    /// A manifest that names it; for a manifest, itself.
    image: PinnedReference,
    is_manifest: bool,
    /// The images of the plan that need it.
    images: Vec<usize>,
}

impl Item {
    fn name(&self) -> String {
        format!("{}@{}", self.image.repository, self.descriptor.digest)
    }
}

/// A run: what is to be done, and how far it is.
struct Run {
    fetch: Fetch,
    items: Vec<Item>,
    next: AtomicUsize,
    /// Per image of the plan, how many files it still lacks.
    missing: Vec<AtomicUsize>,
    whole: AtomicUsize,
    /// Bytes that were written since the disk was last told to begin.
    unsynced: AtomicU64,
    /// Whether somebody waits for the disk.
    syncing: Arc<AtomicBool>,
    /// Waits for the disk, those that are over included.
    syncs: Mutex<JoinSet<Result<(), store::Error>>>,
    fetched: AtomicU64,
    fetched_bytes: AtomicU64,
    resumed_bytes: AtomicU64,
    from_cache: AtomicU64,
    /// The size of what was not there before.
    came_bytes: AtomicU64,
    /// Whether the cache could not be written to; then it is left alone.
    cache_failed: AtomicBool,
}

impl Fetch {
    /// Completes the store. Nothing is published before all of it is there.
    pub async fn run(self) -> Result<Summary> {
        let start = Instant::now();
        let items = items(&self.plan);
        let (plan, store, progress, jobs) =
            (self.plan.clone(), self.store.clone(), self.progress.clone(), self.jobs.max(1));
        let run = Arc::new(Run::new(self, items));
        store.claim(&plan)?;
        progress.start("Fetching", plan.size(), true);
        let mut workers = JoinSet::new();
        for _ in 0..jobs.min(run.items.len()) {
            workers.spawn(run.clone().work());
        }
        // The first failure ends the others: they are aborted when their set is dropped.
        while let Some(done) = workers.join_next().await {
            done.context("a worker broke down")??;
        }
        progress.finish();
        let mut syncs = std::mem::take(&mut *run.syncs.lock().unwrap_or_else(PoisonError::into_inner));
        while let Some(done) = syncs.join_next().await {
            done.context("waiting for the disk")??;
        }
        let Removed { views, blobs } = store.publish(&plan)?;
        let contents = plan.images.iter().flat_map(|image| image.content().into_values());
        let apart = contents.map(|descriptor| descriptor.size).fold(0, u64::saturating_add);
        let (fetched_bytes, resumed_bytes) = (run.fetched_bytes.load(Relaxed), run.resumed_bytes.load(Relaxed));
        Ok(Summary {
            images: plan.images.len(),
            files: run.items.len(),
            bytes: plan.size(),
            fetched: run.fetched.load(Relaxed),
            fetched_bytes,
            resumed_bytes,
            from_cache: run.from_cache.load(Relaxed),
            saved_bytes: apart.saturating_sub(run.came_bytes.load(Relaxed)),
            duration_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            signed_images: plan.signed_images(),
            removed_views: views,
            removed_files: blobs,
        })
    }
}

impl Run {
    fn new(fetch: Fetch, items: Vec<Item>) -> Self {
        let missing: Vec<AtomicUsize> = fetch.plan.images.iter().map(|_| AtomicUsize::new(0)).collect();
        for image in items.iter().flat_map(|item| &item.images) {
            missing[*image].fetch_add(1, Relaxed);
        }
        Self {
            fetch,
            items,
            next: AtomicUsize::new(0),
            missing,
            whole: AtomicUsize::new(0),
            unsynced: AtomicU64::new(0),
            syncing: Arc::default(),
            syncs: Mutex::default(),
            fetched: AtomicU64::new(0),
            fetched_bytes: AtomicU64::new(0),
            resumed_bytes: AtomicU64::new(0),
            from_cache: AtomicU64::new(0),
            came_bytes: AtomicU64::new(0),
            cache_failed: AtomicBool::new(false),
        }
    }

    /// Brings one file after the other until there is none left.
    async fn work(self: Arc<Self>) -> Result<()> {
        while let Some(item) = self.items.get(self.next.fetch_add(1, Relaxed)) {
            let image = |item: &Item| item.images.first().map(|image| &self.fetch.plan.images[*image].reference);
            let context = || image(item).map_or_else(|| item.name(), ToString::to_string);
            self.bring(item).await.with_context(|| format!("fetching `{}`", context()))?;
            for &image in &item.images {
                if self.missing[image].fetch_sub(1, Relaxed) == 1 {
                    let (number, images) = (self.whole.fetch_add(1, Relaxed) + 1, &self.fetch.plan.images);
                    self.fetch.progress.done(&format!("{number}/{} {}", images.len(), images[image].reference));
                }
            }
            // A worker whose files are all there would never give another task its turn.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Makes sure that one file is in the pool.
    async fn bring(&self, item: &Item) -> Result<()> {
        let Fetch { store, known, registry, cache, verify, progress, .. } = &self.fetch;
        let (pool, descriptor) = (store.pool(), &item.descriptor);
        let present = if *verify { pool.verify(descriptor)? } else { store.holds(descriptor)? };
        if present {
            progress.advance(descriptor.size);
            return Ok(());
        }
        if let Some(bytes) = known.get(&descriptor.digest) {
            pool.insert(descriptor, bytes)?;
            self.came_bytes.fetch_add(descriptor.size, Relaxed);
            progress.advance(descriptor.size);
            return Ok(());
        }
        if item.is_manifest {
            let raw = registry.manifest(&item.image.repository, At::Digest(&descriptor.digest)).await?;
            pool.insert(descriptor, raw.bytes())?;
            self.came_bytes.fetch_add(descriptor.size, Relaxed);
            progress.advance(descriptor.size);
            return Ok(());
        }
        if let Some(cache) = cache
            && pool.take_from(cache, descriptor)?
        {
            self.from_cache.fetch_add(1, Relaxed);
            progress.advance(descriptor.size);
            return Ok(());
        }
        self.download(item).await?;
        if let Some(cache) = cache
            && !self.cache_failed.load(Relaxed)
            && let Err(e) = cache.take_from(pool, descriptor)
        {
            let e = anyhow::Error::from(e);
            if !self.cache_failed.swap(true, Relaxed) {
                progress.note(&format!("the cache cannot be added to, so it is not: {e:#}"));
            }
        }
        Ok(())
    }

    /// Fetches a blob; one whose bytes turn out to be wrong is fetched anew while that may help.
    async fn download(&self, item: &Item) -> Result<()> {
        let Fetch { store, registry, progress, .. } = &self.fetch;
        let mut part = progress.part(&item.name(), item.descriptor.size);
        let mut restarts = 0;
        loop {
            let mut writer = store.pool().writer(&item.descriptor)?;
            let resumed = writer.resumed();
            part.at(resumed);
            let done = match self.transfer(item, &mut writer, part.as_mut()).await? {
                Ok(()) => writer.commit(),
                Err(refused) => writer.discard().and(Err(refused)),
            };
            let error = match done {
                Ok(()) => {
                    self.fetched.fetch_add(1, Relaxed);
                    self.came_bytes.fetch_add(item.descriptor.size, Relaxed);
                    self.resumed_bytes.fetch_add(resumed, Relaxed);
                    return Ok(());
                }
                Err(error @ (store::Error::WrongBytes { .. } | store::Error::WrongSize { .. })) => error,
                Err(error) => return Err(error.into()),
            };
            let again = resumed > 0 || registry.distrust(&item.image, &item.descriptor.digest);
            if !again || restarts == MAX_RESTARTS {
                return Err(error.into());
            }
            restarts += 1;
            let name = item.name();
            progress.note(&if resumed > 0 {
                format!("what an earlier run left of `{name}` is wrong; it is fetched anew")
            } else {
                format!("`{name}`: {error}; it is fetched anew")
            });
        }
    }

    /// Has the disk begin when enough was written.
    fn sync_some(&self, written: u64) {
        // One at a time: a disk that is slow is not made faster by more of them.
        if self.unsynced.fetch_add(written, Relaxed) + written < SYNC_EVERY || self.syncing.swap(true, Relaxed) {
            return;
        }
        self.unsynced.store(0, Relaxed);
        let (store, syncing) = (self.fetch.store.clone(), self.syncing.clone());
        let mut syncs = self.syncs.lock().unwrap_or_else(PoisonError::into_inner);
        syncs.spawn_blocking(move || {
            let done = store.sync();
            syncing.store(false, Relaxed);
            done
        });
    }

    /// Writes what is missing of a blob. The outer result is the registry's, the inner one the store's.
    async fn transfer(
        &self,
        item: &Item,
        writer: &mut BlobWriter<'_>,
        part: &mut dyn Part,
    ) -> Result<Result<(), store::Error>> {
        let size = item.descriptor.size;
        if size > 0 && writer.written() == size {
            return Ok(Ok(()));
        }
        let mut stream = self.fetch.registry.blob(&item.image, &item.descriptor, writer.written()).await?;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            self.fetched_bytes.fetch_add(chunk.len() as u64, Relaxed);
            if let Err(e) = writer.write(&chunk) {
                return Ok(Err(e));
            }
            self.sync_some(chunk.len() as u64);
            part.at(writer.written());
        }
        Ok(Ok(()))
    }
}

/// Every file of the pool once: manifests first, as they are known already, then blobs, the largest
/// first, so that no large one is left alone at the end.
fn items(plan: &Plan) -> Vec<Item> {
    let mut items: BTreeMap<&Digest, Item> = BTreeMap::new();
    for (number, image) in plan.images.iter().enumerate() {
        let repository = image.reference.repository();
        let manifests = image.manifests().map(|manifest| (manifest, &manifest.digest, true));
        let blobs = image.instances.iter().flat_map(|i| i.blobs().map(|blob| (blob, &i.manifest.digest, false)));
        let attached = image.signatures.iter().flat_map(Signed::attached).flat_map(|attached| {
            let blobs = attached.blobs().map(|blob| (blob, &attached.manifest.digest, false));
            std::iter::once((&attached.manifest, &attached.manifest.digest, true)).chain(blobs)
        });
        // Files of signatures are known; whoever lacks one finds no such blob in the registry.
        let files = image.signatures.iter().flat_map(|signed| {
            let tag = signed.referrers_tag.iter().map(|tag| (tag, &tag.digest, true));
            tag.chain(signed.lookaside.iter().chain(&signed.files).map(|file| (file, &signed.digest, false)))
        });
        for (descriptor, owner, is_manifest) in manifests.chain(blobs).chain(attached).chain(files) {
            let item = items.entry(&descriptor.digest).or_insert_with(|| Item {
                descriptor: descriptor.clone(),
                image: repository.at(owner),
                is_manifest,
                images: Vec::new(),
            });
            if item.images.last() != Some(&number) {
                item.images.push(number);
            }
        }
    }
    let mut items: Vec<Item> = items.into_values().collect();
    items.sort_by_key(|item| (!item.is_manifest, std::cmp::Reverse(item.descriptor.size)));
    items
}
