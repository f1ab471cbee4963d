//! Layer 2, resolve: references × registry × platforms → [`Plan`].
//!
//! Every reference is asked for and classified; nothing is assumed from its looks. What is read on
//! the way (indexes, manifests, small configs) is kept, so that fetching need not ask again.

use crate::model::choice::choose;
use crate::model::manifest::{IndexEntry, MAX_MANIFEST_SIZE, config_platform};
use crate::model::plan::{Absent, LOCK_VERSION};
use crate::model::{
    Component, Descriptor, Digest, Failure, Instance, Manifest, Plan, PlannedImage, Platform, Platforms, Progress,
    RawManifest, Reference, Release, Repository,
};
use crate::registry::{At, Error, Registry};
use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// Indexes inside indexes deeper than this are nobody's intention.
const MAX_DEPTH: usize = 4;

/// How many entries of one index are asked for at once.
const ENTRIES_AT_ONCE: usize = 4;

/// How many images are resolved at once for each job: manifests are small, and what takes time is the way
/// to the registry and back.
const MANIFESTS_A_JOB: usize = 2;

/// A plan, and the bytes that were read to make it.
pub struct Resolved {
    /// The plan.
    pub plan: Plan,
    /// Manifests and configs by digest.
    pub content: HashMap<Digest, Vec<u8>>,
}

/// Resolves every image of `release`, several for each of `jobs` at a time.
pub async fn resolve(
    release: &Release,
    platforms: &Platforms,
    registry: &dyn Registry,
    jobs: usize,
    progress: &dyn Progress,
) -> Result<Resolved> {
    let resolver = Resolver { registry, platforms, manifests: Mutex::default(), configs: Mutex::default() };
    progress.start("Resolving", release.components.len() as u64, false);
    let images: Vec<PlannedImage> = stream::iter(&release.components)
        .map(|component| async {
            let image = resolver.image(component).await;
            let image = image.with_context(|| format!("resolving `{}`", component.reference))?;
            progress.advance(1);
            Ok::<_, anyhow::Error>(image)
        })
        .buffered(jobs.max(1) * MANIFESTS_A_JOB)
        .try_collect()
        .await?;
    progress.finish();
    let plan = Plan { version: LOCK_VERSION, platforms: platforms.chosen().to_vec(), images };
    require_one_size(&plan)?;
    let mut content: HashMap<Digest, Vec<u8>> = resolver.configs.into_inner().unwrap_or_else(PoisonError::into_inner);
    let manifests = resolver.manifests.into_inner().unwrap_or_else(PoisonError::into_inner);
    for manifest in manifests.into_values().filter_map(|cell| cell.get().cloned()) {
        content.insert(manifest.digest().clone(), manifest.bytes().to_vec());
    }
    Ok(Resolved { plan, content })
}

/// What every image of a plan would take if all platforms were kept, in bytes.
pub struct Survey {
    /// Per image of the plan: its own content, nothing shared, as today's recipe stores it.
    pub images: Vec<u64>,
    /// How many manifests could not be read; they count nothing.
    pub unknown: usize,
}

/// Reads the manifests that the plan leaves out and adds up sizes. What the registry does not have, or
/// serves wrongly, counts nothing: nobody asked for it to work.
pub async fn survey(
    resolved: &Resolved,
    registry: &dyn Registry,
    jobs: usize,
    progress: &dyn Progress,
) -> Result<Survey> {
    let resolver =
        Resolver { registry, platforms: &Platforms::All, manifests: Mutex::default(), configs: Mutex::default() };
    let unknown = Cell::new(0);
    progress.start("Measuring all platforms", resolved.plan.images.len() as u64, false);
    let images = stream::iter(&resolved.plan.images)
        .map(|image| async {
            let mut content: BTreeMap<Digest, u64> =
                image.content().into_values().map(|d| (d.digest.clone(), d.size)).collect();
            for absent in &image.absent {
                match resolver.branch(image.reference.repository(), &absent.digest, None, 1).await {
                    Ok(branch) => content.extend(branch.content()),
                    Err(_) => unknown.set(unknown.get() + 1),
                }
            }
            progress.advance(1);
            Ok::<_, anyhow::Error>(content.into_values().fold(0, u64::saturating_add))
        })
        .buffered(jobs.max(1) * MANIFESTS_A_JOB)
        .try_collect()
        .await?;
    progress.finish();
    Ok(Survey { images, unknown: unknown.get() })
}

struct Resolver<'a> {
    registry: &'a dyn Registry,
    platforms: &'a Platforms,
    /// Each digest is asked for once, whoever asks first.
    manifests: Mutex<HashMap<Digest, Arc<OnceCell<Arc<RawManifest>>>>>,
    configs: Mutex<HashMap<Digest, Vec<u8>>>,
}

/// What is kept below one index.
#[derive(Default)]
struct Branch {
    nested: Vec<Descriptor>,
    instances: Vec<Instance>,
    absent: Vec<Absent>,
    /// The platforms it has, for messages.
    offers: Vec<Platform>,
    /// Indexes inside that no runtime looks into, for messages.
    inner_indexes: Vec<Digest>,
}

impl Branch {
    fn content(&self) -> impl Iterator<Item = (Digest, u64)> + '_ {
        let instances = self.instances.iter().flat_map(|i| std::iter::once(&i.manifest).chain(i.blobs()));
        self.nested.iter().chain(instances).map(|d| (d.digest.clone(), d.size))
    }

    fn add(&mut self, other: Branch) {
        self.nested.extend(other.nested);
        for instance in other.instances {
            if !self.instances.iter().any(|known| known.manifest.digest == instance.manifest.digest) {
                self.instances.push(instance);
            }
        }
        self.absent.extend(other.absent);
        self.offers.extend(other.offers);
        self.inner_indexes.extend(other.inner_indexes);
    }
}

impl Resolver<'_> {
    async fn image(&self, component: &Component) -> Result<PlannedImage> {
        let reference = &component.reference;
        let repository = reference.repository();
        let top = match (reference.digest().or(component.pin.as_ref()), reference.tag()) {
            (Some(digest), _) => self.manifest(repository, digest).await?,
            (None, tag) => {
                let raw = Arc::new(self.registry.manifest(repository, At::Tag(tag.unwrap_or("latest"))).await?);
                self.cell(raw.digest()).get_or_init(|| async { raw.clone() }).await.clone()
            }
        };
        let branch = match top.parse().with_context(|| format!("reading the manifest of `{reference}`"))? {
            Manifest::Index(entries) => {
                let branch = self.index(repository, &top, &entries, 0).await?;
                self.require_platforms(reference, &branch)?;
                branch
            }
            Manifest::Image { config, layers } => {
                let platform = self.config_platform(repository, &top, &config).await?;
                if let (Platforms::Some(wanted), Some(offered)) = (self.platforms, &platform)
                    && !wanted.iter().any(|wanted| wanted.runs(offered))
                {
                    let platforms = self.platforms;
                    return Err(Failure::check(format!("this single image is for {offered}, not for {platforms}"))
                        .hint(format!("`--platform {offered}` chooses it; an index would carry several platforms"))
                        .into());
                }
                require_image(top.digest(), &config)?;
                let instance = Instance { manifest: top.descriptor(), platform, config, layers };
                Branch { instances: vec![instance], ..Branch::default() }
            }
        };
        let Branch { nested, instances, mut absent, .. } = branch;
        absent.retain(|entry| !instances.iter().any(|instance| instance.manifest.digest == entry.digest));
        Ok(PlannedImage {
            reference: reference.clone(),
            found_in: component.found_in.clone(),
            moving: reference.digest().is_none(),
            manifest: top.descriptor(),
            nested_indexes: nested,
            instances,
            absent,
            signatures: Vec::new(),
        })
    }

    /// Fails where a chosen platform has no instance.
    fn require_platforms(&self, reference: &Reference, branch: &Branch) -> Result<()> {
        let suits = |wanted: &&Platform| {
            branch
                .instances
                .iter()
                .any(|i| i.platform.as_ref().is_none_or(|p| wanted.rank(p).is_some() || wanted.runs(p)))
        };
        let missing: Vec<String> =
            self.platforms.chosen().iter().filter(|wanted| !suits(wanted)).map(Platform::to_string).collect();
        if missing.is_empty() && !branch.instances.is_empty() {
            return Ok(());
        }
        let mut offers: Vec<String> = branch.offers.iter().map(Platform::to_string).collect();
        offers.sort();
        offers.dedup();
        let offers = if offers.is_empty() { "none".to_owned() } else { offers.join(", ") };
        let missing = if missing.is_empty() { "any platform".to_owned() } else { missing.join(", ") };
        let mut failure = Failure::check(format!("its index has no instance for {missing}; it has: {offers}"))
            .hint(format!("choose with `--platform`, or take `{reference}` out of the inputs"));
        if let Some(inner) = branch.inner_indexes.first() {
            failure = failure.hint(format!(
                "it holds the index {inner}, which podman and CRI-O do not look into; name that digest instead, or keep all with `--all-platforms`"
            ));
        }
        Err(failure.into())
    }

    /// What is kept of an index.
    fn index<'b>(
        &'b self,
        repository: &'b Repository,
        index: &'b RawManifest,
        entries: &'b [IndexEntry],
        depth: usize,
    ) -> BoxFuture<'b, Result<Branch>> {
        Box::pin(async move {
            if depth > MAX_DEPTH {
                return Err(
                    Failure::check(format!("index {} is nested more than {MAX_DEPTH} deep", index.digest())).into()
                );
            }
            let mut kept = vec![false; entries.len()];
            match self.platforms {
                Platforms::All => kept.fill(true),
                Platforms::Some(wanted) => {
                    let media_type = index.descriptor().media_type;
                    let chosen = wanted.iter().flat_map(|wanted| choose(wanted, &media_type, entries));
                    chosen.for_each(|at| kept[at] = true);
                }
            }
            let mut asked: Vec<BoxFuture<'_, Result<Branch>>> = Vec::new();
            for (entry, _) in entries.iter().zip(&kept).filter(|(_, kept)| **kept) {
                let platform = entry.platform.as_ref();
                asked.push(Box::pin(async move {
                    let raw = self.manifest(repository, &entry.descriptor.digest).await?;
                    require_size(&entry.descriptor, &raw)?;
                    self.branch(repository, &entry.descriptor.digest, platform, depth + 1).await
                }));
            }
            let below = stream::iter(asked).buffered(ENTRIES_AT_ONCE).try_collect();
            let mut below: VecDeque<Branch> = below.await?;
            let mut branch = Branch::default();
            for (entry, kept) in entries.iter().zip(kept) {
                if entry.is_index() {
                    branch.inner_indexes.push(entry.descriptor.digest.clone());
                } else if !entry.is_attachment() {
                    branch.offers.extend(entry.platform.clone());
                }
                if kept {
                    branch.add(below.pop_front().unwrap_or_default());
                } else {
                    let (digest, platform) = (entry.descriptor.digest.clone(), entry.platform.clone());
                    branch.absent.push(Absent { digest, platform });
                }
            }
            Ok(branch)
        })
    }

    /// What is kept of one entry of an index: an instance, or what an index inside has.
    async fn branch(
        &self,
        repository: &Repository,
        digest: &Digest,
        platform: Option<&Platform>,
        depth: usize,
    ) -> Result<Branch> {
        let raw = self.manifest(repository, digest).await?;
        match raw.parse().with_context(|| format!("reading {digest}"))? {
            Manifest::Index(_) if *self.platforms != Platforms::All => {
                Err(Failure::check(format!("its index calls {digest} an image, but that is an index")).into())
            }
            Manifest::Index(entries) => {
                let mut branch = self.index(repository, &raw, &entries, depth).await?;
                branch.nested.insert(0, raw.descriptor());
                Ok(branch)
            }
            Manifest::Image { config, layers } => {
                let platform = match platform {
                    Some(platform) => Some(platform.clone()),
                    // Nothing has to be chosen, so nobody needs to know.
                    None if *self.platforms == Platforms::All => None,
                    None => self.config_platform(repository, &raw, &config).await?,
                };
                let mut branch = Branch::default();
                branch.offers.extend(platform.clone());
                if self.platforms.may_run(platform.as_ref()) {
                    if *self.platforms != Platforms::All {
                        require_image(digest, &config)?;
                    }
                    branch.instances.push(Instance { manifest: raw.descriptor(), platform, config, layers });
                } else {
                    branch.absent.push(Absent { digest: digest.clone(), platform });
                }
                Ok(branch)
            }
        }
    }

    fn cell(&self, digest: &Digest) -> Arc<OnceCell<Arc<RawManifest>>> {
        let mut manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        manifests.entry(digest.clone()).or_default().clone()
    }

    async fn manifest(&self, repository: &Repository, digest: &Digest) -> Result<Arc<RawManifest>, Error> {
        let cell = self.cell(digest);
        let ask = || async { self.registry.manifest(repository, At::Digest(digest)).await.map(Arc::new) };
        cell.get_or_try_init(ask).await.cloned()
    }

    /// The platform that a config names; `None` where it is no image's config or names none.
    async fn config_platform(
        &self,
        repository: &Repository,
        manifest: &RawManifest,
        config: &Descriptor,
    ) -> Result<Option<Platform>> {
        if !config.is_image_config() {
            return Ok(None);
        }
        let known = self.configs.lock().unwrap_or_else(PoisonError::into_inner).get(&config.digest).cloned();
        let bytes = match known {
            Some(bytes) => bytes,
            None => self.registry.small_blob(&repository.at(manifest.digest()), config).await?,
        };
        let platform = config_platform(&bytes).with_context(|| format!("reading the config {}", config.digest))?;
        self.configs.lock().unwrap_or_else(PoisonError::into_inner).insert(config.digest.clone(), bytes);
        Ok(platform)
    }
}

/// Fails where what a device would run is no container image, or has a config that no runtime reads:
/// it could be carried, but not be imported.
fn require_image(manifest: &Digest, config: &Descriptor) -> Result<()> {
    if !config.is_image_config() {
        let media_type: String = config.media_type.chars().filter(|c| !c.is_control()).take(100).collect();
        return Err(Failure::check(format!("{manifest} is no container image: its config is of type `{media_type}`"))
            .hint("leave artifacts that are not run, such as charts, out of the inputs")
            .into());
    }
    if config.size > MAX_MANIFEST_SIZE {
        return Err(Failure::check(format!(
            "the config of {manifest} has {} bytes, which runtimes refuse",
            config.size
        ))
        .into());
    }
    Ok(())
}

/// Fails where an index announces another size than a manifest has: runtimes and this program's own
/// checks would refuse it.
fn require_size(announced: &Descriptor, manifest: &RawManifest) -> Result<()> {
    let (digest, size) = (&announced.digest, manifest.descriptor().size);
    if announced.size == size {
        return Ok(());
    }
    Err(Failure::check(format!("its index announces {digest} with {} bytes, it has {size}", announced.size))
        .hint("the index was made wrongly; get another build of the image")
        .into())
}

/// Fails where one digest is announced with two sizes: one of them is a lie.
fn require_one_size(plan: &Plan) -> Result<()> {
    let mut sizes: BTreeMap<&Digest, u64> = BTreeMap::new();
    for image in &plan.images {
        for blob in image.manifests().chain(image.blobs()) {
            let known = *sizes.entry(&blob.digest).or_insert(blob.size);
            if known != blob.size {
                let reference = &image.reference;
                let digest = &blob.digest;
                return Err(Failure::check(format!(
                    "`{reference}`: {digest} is announced with {known} and with {} bytes",
                    blob.size
                ))
                .hint("its manifests were made wrongly; get another build of the image")
                .into());
            }
        }
    }
    Ok(())
}
