//! Brings everything to the registry: blobs, then instances, then what belongs to them, then indexes under tags
//! made of their digests; tags of workloads last, when all that they lead to is there.

use super::report::{Difference, Sent};
use super::signatures::Belongings;
use super::work::{Image, Shape};
use super::{Push, advise};
use crate::model::{Descriptor, Digest, Failure, PinnedReference, RawManifest, Repository};
use crate::registry::http::{Held, Upload, Uploaded};
use crate::registry::{At, Error};
use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::PoisonError;

/// What a tag pointed to before a push; `None` where it did not exist, or nobody could tell.
pub type Before = HashMap<(Repository, String), Option<Digest>>;

/// What came of it.
pub struct Outcome {
    /// Counts.
    pub sent: Sent,
    /// What was there before, and was left alone.
    pub differences: Vec<Difference>,
    /// What tags pointed to.
    pub before: Before,
    /// Per image the tags that were given to it.
    pub tags: Vec<Vec<String>>,
    /// The manifests.
    pub manifests: HashMap<Digest, RawManifest>,
}

/// A push under way.
pub struct Sender {
    pub(super) push: Push,
    counts: Mutex<Sent>,
    pub(super) differences: Mutex<Vec<Difference>>,
    /// What the tags of this set pointed to.
    before: Before,
    /// By registry and blob a repository that has it.
    holders: Mutex<HashMap<(String, Digest), Repository>>,
}

/// A blob, and where it goes.
struct Blob<'a> {
    descriptor: &'a Descriptor,
    /// Where it goes, each with a manifest of the source that names it.
    places: BTreeMap<&'a Repository, PinnedReference>,
}

impl Sender {
    /// Nothing is sent yet.
    pub fn new(push: Push) -> Self {
        Self {
            push,
            counts: Mutex::default(),
            differences: Mutex::default(),
            before: Before::new(),
            holders: Mutex::default(),
        }
    }

    /// Sends everything.
    pub async fn run(mut self) -> Result<Outcome> {
        self.before = self.look().await?;
        let size = |blob: &Blob<'_>| blob.descriptor.size.saturating_mul(blob.places.len() as u64);
        let blobs = blobs(self.push.work.images.iter());
        self.push.progress.start("Pushing", blobs.iter().map(size).fold(0, u64::saturating_add), true);
        let (first, rest) = self.in_order();
        // A registry that takes no sparse index says so when it has got the smallest one, not all of them.
        for images in [first, rest] {
            self.send(&images).await?;
        }
        self.move_tags().await?;
        self.push.progress.finish();
        let tags = self.push.work.images.iter().map(Image::tags).collect();
        let sent = self.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        let differences = self.differences.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Outcome { sent, differences, before: self.before, tags, manifests: self.push.manifests })
    }

    /// What the tags of the set point to now.
    async fn look(&self) -> Result<Before> {
        let tags = self.push.work.images.iter();
        let tags: BTreeSet<(Repository, String)> =
            tags.flat_map(|image| image.tags().into_iter().map(|tag| (image.to.clone(), tag))).collect();
        let asked = stream::iter(tags).map(|(repository, tag)| async move {
            let held = self.push.destination.head_manifest(&repository, At::Tag(&tag)).await;
            let held = held.with_context(|| format!("looking for `{repository}:{tag}`"))?;
            Ok::<_, anyhow::Error>(((repository, tag), held.and_then(|held| held.digest?.parse().ok())))
        });
        asked.buffer_unordered(self.push.jobs * 2).try_collect().await
    }

    /// Those that show whether a registry takes sparse indexes, then the others.
    fn in_order(&self) -> (Vec<&Image>, Vec<&Image>) {
        let mut smallest: BTreeMap<&str, (u64, usize)> = BTreeMap::new();
        for (at, image) in self.push.work.images.iter().enumerate().filter(|(_, image)| image.shape == Shape::Sparse) {
            let size = (image.size(), at);
            let entry = smallest.entry(image.to.host()).or_insert(size);
            *entry = size.min(*entry);
        }
        let chosen: Vec<usize> = smallest.values().map(|(_, at)| *at).collect();
        let images = self.push.work.images.iter().enumerate();
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for (at, image) in images {
            if chosen.contains(&at) { &mut first } else { &mut rest }.push(image);
        }
        (first, rest)
    }

    async fn send(&self, images: &[&Image]) -> Result<()> {
        let jobs = self.push.jobs;
        let blobs = blobs(images.iter().copied());
        stream::iter(&blobs).map(|blob| self.blob(blob)).buffer_unordered(jobs).try_collect::<Vec<()>>().await?;
        // Children before parents: all instances, then indexes inside of indexes, one after the other.
        let mut seen = HashSet::new();
        let mut instances = Vec::new();
        let mut nested = Vec::new();
        for image in images {
            for child in image.children().filter(|child| seen.insert((&image.to, &child.digest))) {
                let is_nested = image.nested.contains(child);
                if is_nested { &mut nested } else { &mut instances }.push((*image, child));
            }
        }
        let put = stream::iter(instances).map(|(image, child)| self.child(image, child));
        put.buffer_unordered(jobs * 2).try_collect::<Vec<()>>().await?;
        for (image, child) in nested {
            self.child(image, child).await?;
        }
        // An image that is named twice is sent once.
        let mut seen = HashSet::new();
        let once: Vec<&Image> =
            images.iter().copied().filter(|image| seen.insert((&image.to, &image.top.digest))).collect();
        let belongings = Belongings { sender: self };
        let sent = stream::iter(&once).map(|image| belongings.send(image));
        sent.buffer_unordered(jobs).try_collect::<Vec<()>>().await?;
        let tops = stream::iter(&once).map(|image| self.top(image));
        tops.buffer_unordered(jobs * 2).try_collect::<Vec<()>>().await?;
        Ok(())
    }

    /// Whether nothing of the set was in a repository before.
    fn is_fresh(&self, repository: &Repository) -> bool {
        !self.before.iter().any(|((known, _), digest)| known == repository && digest.is_some())
    }

    /// Brings a blob to all its places: sends it once, and has the registry take it over elsewhere.
    async fn blob(&self, blob: &Blob<'_>) -> Result<()> {
        let digest = &blob.descriptor.digest;
        let mut missing = Vec::new();
        for (to, image) in &blob.places {
            // Where nothing was before, to take it over costs no more than to ask whether it is there.
            if self.is_fresh(to) && (!missing.is_empty() || self.holder(to, digest).is_some()) {
                missing.push((*to, image));
                continue;
            }
            let held = self.push.destination.head_blob(to, digest).await;
            let held = held.with_context(|| format!("looking for `{to}@{digest}`"))?;
            if held.is_some_and(|held| held.size.is_none_or(|size| size == blob.descriptor.size)) {
                self.holds_now(to, digest);
                self.count(|sent| sent.present += 1);
                self.push.progress.advance(blob.descriptor.size);
            } else {
                missing.push((*to, image));
            }
        }
        for (to, image) in missing {
            self.bring(blob.descriptor, to, image).await?;
        }
        Ok(())
    }

    async fn bring(&self, blob: &Descriptor, to: &Repository, image: &PinnedReference) -> Result<()> {
        let own = &image.repository;
        let own = (own.host() == to.host() && own != to).then(|| own.clone());
        let from = self.holder(to, &blob.digest).filter(|holder| holder != to).or(own);
        let name = to.at(&blob.digest).to_string();
        let mut part = self.push.progress.part(&name, blob.size);
        let upload = Upload { to, blob, from: from.as_ref(), source: self.push.source.as_ref(), image };
        let done = self.push.destination.upload(&upload, part.as_mut()).await;
        match done.with_context(|| format!("pushing a blob of `{}`", image.repository))? {
            Uploaded::Mounted => self.count(|sent| sent.mounted += 1),
            Uploaded::Sent(bytes) => self.count(|sent| {
                sent.blobs += 1;
                sent.bytes += bytes;
            }),
        }
        part.at(blob.size);
        self.holds_now(to, &blob.digest);
        Ok(())
    }

    /// A repository of the same registry that has a blob.
    fn holder(&self, beside: &Repository, blob: &Digest) -> Option<Repository> {
        let holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.get(&(beside.host().to_owned(), blob.clone())).cloned()
    }

    fn holds_now(&self, repository: &Repository, blob: &Digest) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.insert((repository.host().to_owned(), blob.clone()), repository.clone());
    }

    /// The bytes of a manifest.
    pub(super) fn raw(&self, digest: &Digest) -> Result<&RawManifest> {
        let unknown = || Failure::environment(format!("the bytes of the manifest {digest} are not known"));
        Ok(self.push.manifests.get(digest).ok_or_else(unknown)?)
    }

    /// Writes a manifest under its digest, unless it is there.
    async fn child(&self, image: &Image, manifest: &Descriptor) -> Result<()> {
        // Where the image is not there under its own tag, its instances will hardly be.
        if self.holds(image) && self.is_there(&image.to, manifest).await? {
            return Ok(());
        }
        self.put(&image.to, At::Digest(&manifest.digest), manifest).await
    }

    pub(super) async fn is_there(&self, repository: &Repository, manifest: &Descriptor) -> Result<bool> {
        let at = At::Digest(&manifest.digest);
        let held = self.push.destination.head_manifest(repository, at).await;
        let held = held.with_context(|| format!("looking for `{repository}@{}`", manifest.digest))?;
        Ok(held.is_some_and(|held: Held| held.size.is_none_or(|size| size == manifest.size)))
    }

    pub(super) async fn put(&self, repository: &Repository, at: At<'_>, manifest: &Descriptor) -> Result<()> {
        let done = self.push.destination.put(repository, at, self.raw(&manifest.digest)?).await;
        done.with_context(|| format!("pushing to `{repository}`"))?;
        self.count(|sent| sent.manifests += 1);
        Ok(())
    }

    /// Whether the tag made of an image's digest points to it already.
    fn holds(&self, image: &Image) -> bool {
        self.points(image, &image.content_tag())
    }

    fn points(&self, image: &Image, tag: &str) -> bool {
        let before = self.before.get(&(image.to.clone(), tag.to_owned()));
        before.is_some_and(|digest| digest.as_ref() == Some(&image.top.digest))
    }

    /// Writes what an image's reference resolves to under the tag made of its digest.
    async fn top(&self, image: &Image) -> Result<()> {
        if !self.holds(image) {
            let tag = image.content_tag();
            let raw = self.raw(&image.top.digest)?;
            match self.push.destination.put(&image.to, At::Tag(&tag), raw).await {
                Ok(()) => self.count(|sent| sent.manifests += 1),
                Err(error) => return Err(refused(image, error)),
            }
        }
        self.push.progress.done(&format!("{} is at {}", image.reference, image.to.at(&image.top.digest)));
        Ok(())
    }

    /// Points the tags of workloads to what is there now.
    async fn move_tags(&self) -> Result<()> {
        let mut seen = HashSet::new();
        let tags = self.push.work.images.iter().filter_map(|image| Some((image, image.tag.as_ref()?)));
        let tags = tags.filter(|(image, tag)| !self.points(image, tag) && seen.insert((&image.to, *tag)));
        let moved = stream::iter(tags.collect::<Vec<_>>()).map(|(image, tag)| async move {
            let done = self.push.destination.put(&image.to, At::Tag(tag), self.raw(&image.top.digest)?).await;
            done.with_context(|| format!("moving the tag `{}:{tag}`", image.to))?;
            self.count(|sent| sent.tags += 1);
            Ok::<_, anyhow::Error>(())
        });
        moved.buffer_unordered(self.push.jobs * 2).try_collect::<Vec<()>>().await.map(drop)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Sent)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn differs(&self, difference: Difference) {
        self.differences.lock().unwrap_or_else(PoisonError::into_inner).push(difference);
    }
}

/// What is said where a registry does not take what a reference resolves to.
fn refused(image: &Image, error: Error) -> anyhow::Error {
    let Error::Refused { answer, .. } = error.last() else {
        return anyhow::Error::from(error).context(format!("pushing what `{}` resolves to", image.reference));
    };
    if image.shape != Shape::Sparse {
        let text = format!("pushing what `{}` resolves to, {}", image.reference, image.top.digest);
        return anyhow::Error::from(error).context(text);
    }
    let total = image.instances.len() + image.absent.len();
    let text = format!(
        "`{}` does not take the sparse index of `{}` ({} of {total} instances): it answered {answer}",
        image.to.host(),
        image.reference,
        image.instances.len()
    );
    advise(Failure::check(text)).into()
}

/// The blobs of images, largest first, each once for each registry.
fn blobs<'a>(images: impl Iterator<Item = &'a Image>) -> Vec<Blob<'a>> {
    let mut blobs: BTreeMap<(&str, &Digest), Blob<'a>> = BTreeMap::new();
    for image in images {
        for (descriptor, owner) in image.blobs() {
            let places = BTreeMap::new();
            let blob = blobs.entry((image.to.host(), &descriptor.digest)).or_insert(Blob { descriptor, places });
            blob.places.entry(&image.to).or_insert_with(|| image.from().at(owner));
        }
    }
    let mut blobs: Vec<Blob<'a>> = blobs.into_values().collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.descriptor.size));
    blobs
}
