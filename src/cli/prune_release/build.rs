//! The new release, made in memory: what is read for it, which images its components become, and its own.

use super::super::printer::Printer;
use super::super::release::{Place, Release};
use super::Args;
use crate::model::plan::{Absent, LOCK_VERSION};
use crate::model::{
    Descriptor, Digest, Failure, Instance, Manifest, Plan, PlannedImage, Platform, Progress, RawManifest, Reference,
    Repository,
};
use crate::prune::{
    Choice, Component, Content, NewRelease, Outcome, PruneReport, RebuiltImage, ReleaseImage, Rewrite, new_image,
    new_index,
};
use crate::push::{self, Image, Shape, Work};
use crate::registry::{At, Registry};
use crate::signatures::collect;
use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The new release, not pushed yet.
pub struct Built {
    /// What was made of it.
    pub report: PruneReport,
    /// The components, as they are in the old release.
    pub plan: Plan,
    /// Manifests of the components.
    pub manifests: HashMap<Digest, RawManifest>,
    /// What was read on the way, signatures among it.
    pub known: HashMap<Digest, Vec<u8>>,
    /// The components, and where they go.
    pub components: Work,
    /// The release, and where it goes.
    pub release: Image,
    /// Its manifests.
    pub release_manifests: HashMap<Digest, RawManifest>,
    /// New configs and layers.
    pub release_blobs: HashMap<Digest, Vec<u8>>,
    /// What was rewritten.
    pub rewrite: Rewrite,
}

/// Makes the new release, in memory.
pub async fn build(
    args: &Args,
    place: &Place,
    release: Release,
    registry: &Arc<dyn Registry>,
    printer: &Printer,
) -> Result<Built> {
    let Release { top, images } = release;
    let content =
        Content::read(&images, top.is_index()).with_context(|| format!("reading the release `{}`", place.name))?;
    let choice = Choice {
        platforms: args.platforms.clone(),
        drop_placeholders: args.drop_placeholders,
        components: args.components.clone(),
    };
    let jobs = args.registry.jobs();
    let indexes = indexes(&content, registry.as_ref(), jobs, printer).await?;
    let outcomes = choice.prune(&content, &indexes)?;
    let (mut plan, mut known) = plan(&outcomes, &indexes, registry.as_ref(), jobs, printer).await?;
    let weights = weights(&outcomes, registry.as_ref(), jobs, printer).await;
    collect(&mut plan, &mut known, registry.as_ref(), jobs, printer).await?;
    let read = push::Content { known, ..push::Content::default() };
    let manifests = push::manifests(&plan, &read, jobs).await?;
    let known = read.known;
    let to = args.to_components.repository().clone();
    let components = Work::new(&plan, &|_: &Repository| Some(to.clone()), true, &manifests)?;
    let pullspecs = pullspecs(&outcomes, &to)?;
    let rewrite = Rewrite {
        pullspecs: pullspecs.clone(),
        known: content.pullspecs().into_iter().cloned().collect(),
        source: place.name.clone(),
    };
    let new = rebuild(args, place, &top, &images, &rewrite)?;
    let report = PruneReport::new(
        &content,
        &choice,
        &outcomes,
        &weights,
        NewRelease {
            source: &place.name,
            to: args.to.repository(),
            digest: &new.image.top.digest,
            images: &new.images,
            pullspecs: &pullspecs,
        },
    );
    let (release, release_manifests, release_blobs) = (new.image, new.manifests, new.blobs);
    Ok(Built { report, plan, manifests, known, components, release, release_manifests, release_blobs, rewrite })
}

/// The indexes and manifests that the components name, each once.
async fn indexes(
    content: &Content,
    registry: &dyn Registry,
    jobs: usize,
    printer: &Printer,
) -> Result<BTreeMap<Digest, RawManifest>> {
    let wanted: BTreeMap<&Digest, &Component> =
        content.components.iter().map(|component| (&component.digest, component)).collect();
    let progress: &dyn Progress = printer;
    progress.start("Reading components", wanted.len() as u64, false);
    let read = stream::iter(wanted).map(|(digest, component)| async move {
        let Component { name, pullspec, .. } = component;
        let raw = registry.manifest(pullspec.repository(), At::Digest(digest)).await;
        progress.advance(1);
        Ok::<_, anyhow::Error>((digest.clone(), raw.with_context(|| format!("reading component `{name}`"))?))
    });
    let read = read.buffer_unordered(jobs * 2).try_collect().await?;
    progress.finish();
    Ok(read)
}

/// What is kept of the components, with all their blobs; and the bytes that were read.
async fn plan(
    outcomes: &[Outcome],
    indexes: &BTreeMap<Digest, RawManifest>,
    registry: &dyn Registry,
    jobs: usize,
    printer: &Printer,
) -> Result<(Plan, HashMap<Digest, Vec<u8>>)> {
    let mut seen = BTreeSet::new();
    let distinct: Vec<&Outcome> =
        outcomes.iter().filter(|outcome| seen.insert(outcome.component.pullspec.as_str())).collect();
    let progress: &dyn Progress = printer;
    progress.start("Reading instances", distinct.len() as u64, false);
    let read = stream::iter(distinct).map(|outcome| async move {
        let name = &outcome.component.name;
        let read = planned(outcome, indexes, registry).await.with_context(|| format!("reading component `{name}`"));
        progress.advance(1);
        read
    });
    let read: Vec<(PlannedImage, Vec<RawManifest>)> = read.buffered(jobs * 2).try_collect().await?;
    progress.finish();
    let (images, raws): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    let known = raws.into_iter().flatten().map(|raw| (raw.digest().clone(), raw.bytes().to_vec())).collect();
    Ok((Plan { version: LOCK_VERSION, platforms: Vec::new(), images }, known))
}

async fn planned(
    outcome: &Outcome,
    indexes: &BTreeMap<Digest, RawManifest>,
    registry: &dyn Registry,
) -> Result<(PlannedImage, Vec<RawManifest>)> {
    let (component, repository) = (&outcome.component, outcome.component.pullspec.repository());
    let unknown = || Failure::environment(format!("the bytes of {} are not known", component.digest));
    let top = indexes.get(&component.digest).ok_or_else(unknown)?;
    let mut raws = vec![top.clone()];
    let mut instances = Vec::new();
    if top.is_index() {
        for (entry, _) in &outcome.kept {
            let raw = registry.manifest(repository, At::Digest(&entry.digest)).await?;
            instances.push(instance(&raw, entry.platform.clone())?);
            raws.push(raw);
        }
    } else {
        instances.push(instance(top, None)?);
    }
    let absent = outcome
        .dropped
        .iter()
        .map(|(entry, _)| Absent { digest: entry.digest.clone(), platform: entry.platform.clone() });
    let planned = PlannedImage {
        reference: component.pullspec.clone(),
        found_in: Vec::new(),
        moving: false,
        manifest: top.descriptor(),
        nested_indexes: Vec::new(),
        instances,
        absent: absent.collect(),
        signatures: Vec::new(),
    };
    Ok((planned, raws))
}

/// Bytes of what is dropped, layers included, by manifest; what the registry does not have, or serves wrongly, is left
/// out: nobody asked for it to work.
async fn weights(
    outcomes: &[Outcome],
    registry: &dyn Registry,
    jobs: usize,
    printer: &Printer,
) -> BTreeMap<Digest, u64> {
    let dropped = outcomes.iter().flat_map(|outcome| {
        let repository = outcome.component.pullspec.repository();
        outcome.dropped.iter().map(move |(entry, _)| (&entry.digest, repository))
    });
    let dropped: BTreeMap<&Digest, &Repository> = dropped.collect();
    let progress: &dyn Progress = printer;
    progress.start("Weighing what goes", dropped.len() as u64, false);
    let weighed = stream::iter(dropped).map(|(digest, repository)| async move {
        let raw = registry.manifest(repository, At::Digest(digest)).await;
        progress.advance(1);
        let instance = instance(&raw.ok()?, None).ok()?;
        let size = instance.blobs().map(|blob| blob.size).fold(instance.manifest.size, u64::saturating_add);
        Some((digest.clone(), size))
    });
    let weights = weighed.buffer_unordered(jobs * 2).filter_map(async |weight| weight).collect().await;
    progress.finish();
    weights
}

fn instance(raw: &RawManifest, platform: Option<Platform>) -> Result<Instance> {
    match raw.parse()? {
        Manifest::Image { config, layers } => Ok(Instance { manifest: raw.descriptor(), platform, config, layers }),
        Manifest::Index(_) => Err(Failure::check(format!("{} is an index inside of an index", raw.digest())).into()),
    }
}

/// Old to new, of all components: what is not pruned has another repository too.
fn pullspecs(outcomes: &[Outcome], to: &Repository) -> Result<BTreeMap<Reference, Reference>> {
    let pair =
        |outcome: &Outcome| Ok((outcome.component.pullspec.clone(), to.at(outcome.digest()).to_string().parse()?));
    outcomes.iter().map(pair).collect()
}

/// The images of the new release.
struct Rebuilt {
    image: Image,
    manifests: HashMap<Digest, RawManifest>,
    blobs: HashMap<Digest, Vec<u8>>,
    /// For the report.
    images: Vec<RebuiltImage>,
}

fn rebuild(
    args: &Args,
    place: &Place,
    top: &RawManifest,
    images: &[ReleaseImage],
    rewrite: &Rewrite,
) -> Result<Rebuilt> {
    let (mut manifests, mut blobs, mut reported) = (HashMap::new(), HashMap::new(), Vec::new());
    let (mut instances, mut new): (Vec<Instance>, BTreeMap<Digest, Descriptor>) = (Vec::new(), BTreeMap::new());
    for image in images {
        let rewriting = || format!("rewriting the release for {}", image.platform);
        let rewritten = rewrite.apply(&image.payload).with_context(rewriting)?;
        let layer = rewritten.payload.write().with_context(rewriting)?;
        let made = new_image(image, &layer).with_context(rewriting)?;
        instances.push(instance(&made.manifest, Some(image.platform.clone()))?);
        new.insert(image.manifest.digest().clone(), made.manifest.descriptor());
        let (old, now) = (image.manifest.digest().clone(), made.manifest.digest().clone());
        reported.push(RebuiltImage { platform: image.platform.clone(), old, new: now, rewritten });
        blobs.insert(made.config_descriptor.digest, made.config);
        blobs.insert(layer.digest.clone(), layer.bytes);
        manifests.insert(made.manifest.digest().clone(), made.manifest);
    }
    let (top, shape) = if let (false, [only]) = (top.is_index(), instances.as_slice()) {
        (only.manifest.clone(), Shape::Single)
    } else {
        let index = new_index(top, &new)?;
        let descriptor = index.descriptor();
        manifests.insert(index.digest().clone(), index);
        (descriptor, Shape::Complete)
    };
    let image = Image {
        // Where the layers are that stay.
        reference: place.image.to_string().parse()?,
        to: args.to.repository().clone(),
        top,
        was: None,
        shape,
        nested: Vec::new(),
        instances,
        absent: Vec::new(),
        tag: args.to.tag().map(str::to_owned),
        moving: true,
        signatures: Vec::new(),
    };
    Ok(Rebuilt { image, manifests, blobs, images: reported })
}
