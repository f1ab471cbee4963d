//! The proof: what a consumer of the registry will see, read over connections of its own.
//!
//! What was just written may take a moment to appear, so a registry that has nothing yet, or still what was
//! there before, is asked again. Anything else is a difference at once: also a tag that somebody else has moved.

use super::Patience;
use super::report::{Difference, Kind, Proof};
use super::send::Before;
use super::signatures::{referrers_tag, signature_tag};
use super::work::{Image, Shape, Work};
use crate::model::plan::Signed;
use crate::model::{Descriptor, Digest, Progress, RawManifest, Repository};
use crate::registry::http::{Destination, Served};
use crate::registry::{At, Error};
use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Docker's schema 1, whose types all begin so.
const SCHEMA_ONE: &str = "application/vnd.docker.distribution.manifest.v1";

/// Reads back.
pub struct Prover {
    /// Who reads.
    pub reader: Destination,
    /// How many requests at once.
    pub jobs: usize,
    /// Told of every image.
    pub progress: Arc<dyn Progress>,
    /// What is known after a push.
    pub after: Option<After>,
    /// Per image the tags that must point to it.
    pub tags: Vec<Vec<String>>,
    /// What was read and was right; nothing to begin with.
    pub served: Mutex<HashMap<Digest, RawManifest>>,
}

/// What is known of what was just pushed.
pub struct After {
    /// What tags pointed to before.
    pub before: Before,
    /// How long to wait for it to appear.
    pub patience: Patience,
    /// The manifests.
    pub manifests: HashMap<Digest, RawManifest>,
}

/// One thing to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Expectation {
    Manifest(Descriptor),
    /// Whether it may be missing.
    Tag(String, Descriptor, bool),
    Signature(Digest, Descriptor),
    Referrers(Digest, Vec<Digest>),
    Blob(Descriptor),
    Absent(Digest),
}

impl Prover {
    /// Looks at everything; the differences are in no order. The last are manifests that were what they should be.
    pub async fn run(self, work: &Work) -> Result<(Proof, Vec<Difference>, HashMap<Digest, RawManifest>)> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        let mut left: Vec<AtomicUsize> = Vec::new();
        for (number, (image, tags)) in work.images.iter().zip(&self.tags).enumerate() {
            let before = all.len();
            for expectation in self.expectations(image, tags) {
                if seen.insert((&image.to, expectation.clone())) {
                    all.push((number, &image.to, expectation));
                }
            }
            left.push(AtomicUsize::new(all.len() - before));
        }
        self.progress.start("Reading back", work.images.len() as u64, false);
        // An image all of which is looked at with others.
        let nothing = left.iter().filter(|left| left.load(Relaxed) == 0).count();
        self.progress.advance(nothing as u64);
        let (this, left) = (&self, &left);
        let looked = stream::iter(all).map(|(number, to, expectation)| async move {
            let found = this.look(to, &expectation).await;
            if left[number].fetch_sub(1, Relaxed) == 1 {
                this.progress.advance(1);
            }
            found.with_context(|| format!("reading back from `{to}`"))
        });
        let found: Vec<(Proof, Vec<Difference>)> = looked.buffer_unordered(self.jobs * 2).try_collect().await?;
        self.progress.finish();
        let (mut proof, mut differences) = (Proof::default(), Vec::new());
        for (more, different) in found {
            proof.add(more);
            differences.extend(different);
        }
        Ok((proof, differences, self.served.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    fn expectations(&self, image: &Image, tags: &[String]) -> Vec<Expectation> {
        let mut all = vec![Expectation::Manifest(image.top.clone())];
        // Who reads by digest does not need the tag that stands beside it.
        let may_lack = self.after.is_none() && !image.moving;
        all.extend(tags.iter().map(|tag| Expectation::Tag(tag.clone(), image.top.clone(), may_lack)));
        all.extend(image.children().cloned().map(Expectation::Manifest));
        all.extend(image.blobs().map(|(blob, _)| Expectation::Blob(blob.clone())));
        for Signed { digest, tag, referrers, .. } in &image.signatures {
            all.extend(tag.iter().map(|tag| Expectation::Signature(digest.clone(), tag.manifest.clone())));
            all.extend(referrers.iter().map(|referrer| Expectation::Manifest(referrer.manifest.clone())));
            let names: Vec<Digest> = referrers.iter().map(|referrer| referrer.manifest.digest.clone()).collect();
            all.extend((!names.is_empty()).then(|| Expectation::Referrers(digest.clone(), names)));
        }
        if image.shape == Shape::Sparse {
            all.extend(image.absent.iter().cloned().map(Expectation::Absent));
        }
        all
    }

    async fn look(&self, to: &Repository, expectation: &Expectation) -> Result<(Proof, Vec<Difference>), Error> {
        let mut proof = Proof::default();
        let mut differences = Vec::new();
        match expectation {
            Expectation::Manifest(wanted) => {
                proof.manifests = 1;
                differences.extend(self.manifest(to, At::Digest(&wanted.digest), wanted, false).await?);
            }
            Expectation::Tag(tag, wanted, may_lack) => {
                proof.tags = 1;
                differences.extend(self.manifest(to, At::Tag(tag), wanted, *may_lack).await?);
            }
            Expectation::Signature(digest, wanted) => {
                proof.signatures = 1;
                let found = self.manifest(to, At::Tag(&signature_tag(digest)), wanted, false).await?;
                // Of signatures another one need not be wrong.
                let other = |difference: Difference| match difference.kind {
                    Kind::OtherWriter => Difference::new(difference.object, Kind::OtherSignature, difference.message),
                    _ => difference,
                };
                differences.extend(found.into_iter().map(other));
            }
            Expectation::Referrers(digest, names) => {
                proof.signatures = 1;
                differences.extend(self.referrers(to, digest, names).await?);
            }
            Expectation::Blob(wanted) => {
                proof.blobs = 1;
                differences.extend(self.blob(to, wanted).await?);
            }
            Expectation::Absent(digest) => match self.absent(to, digest).await? {
                None => proof.absent = 1,
                Some(None) => proof.present_all_the_same = 1,
                Some(Some(difference)) => differences.push(difference),
            },
        }
        // What differs is not proven.
        Ok((if differences.is_empty() { proof } else { Proof::default() }, differences))
    }

    /// Reads a manifest until it is what it should be, or never will be.
    async fn manifest(
        &self,
        to: &Repository,
        at: At<'_>,
        wanted: &Descriptor,
        may_lack: bool,
    ) -> Result<Vec<Difference>, Error> {
        let object = at.of(to);
        let mut waits = self.waits();
        loop {
            let served = match self.reader.read(to, at).await {
                Err(error) if matches!(error.last(), Error::TooLarge { .. }) => {
                    return Ok(vec![Difference::new(object, Kind::OtherBytes, error.last().to_string())]);
                }
                served => served?,
            };
            let different = match &served {
                None if may_lack => return Ok(Vec::new()),
                None => vec![Difference::new(&object, Kind::Missing, "the registry answers 404")],
                Some(served) => self.compare(to, at, wanted, served),
            };
            let passing = |difference: &Difference| matches!(difference.kind, Kind::Missing | Kind::Stale);
            match waits.next() {
                Some(wait) if different.iter().any(passing) => tokio::time::sleep(wait).await,
                _ => {
                    if let (true, Some(served)) = (different.is_empty(), served)
                        && let Ok(raw) = RawManifest::new(served.bytes, served.content_type.as_deref())
                    {
                        let mut all = self.served.lock().unwrap_or_else(PoisonError::into_inner);
                        all.insert(raw.digest().clone(), raw);
                    }
                    return Ok(different);
                }
            }
        }
    }

    /// How long to wait before it is asked again; not at all where nothing was pushed.
    fn waits(&self) -> impl Iterator<Item = std::time::Duration> + use<> {
        let patience = self.after.as_ref().map(|after| after.patience);
        patience.into_iter().flat_map(|Patience { retries, backoff }| {
            (0..retries).map(move |number| backoff.saturating_mul(1 << number.min(10)))
        })
    }

    fn compare(&self, to: &Repository, at: At<'_>, wanted: &Descriptor, served: &Served) -> Vec<Difference> {
        let (object, found) = (at.of(to), Digest::of(&served.bytes));
        let differs = |kind, message: String| Difference::new(&object, kind, message);
        if found != wanted.digest {
            return vec![self.other(to, at, wanted, served, &found)];
        }
        let mut different = Vec::new();
        match &served.content_type {
            Some(said) if *said == wanted.media_type => {}
            said => {
                let said = said.as_deref().unwrap_or("nothing").escape_debug();
                let message = format!("its Content-Type is `{said}`, not `{}`", wanted.media_type);
                different.push(differs(Kind::WrongHeader, message));
            }
        }
        if let Some(said) = served.digest.as_ref().filter(|said| **said != wanted.digest.to_string()) {
            let message = format!("its Docker-Content-Digest is `{}`, not {}", said.escape_debug(), wanted.digest);
            different.push(differs(Kind::WrongHeader, message));
        }
        different
    }

    /// What is wrong where other bytes came.
    fn other(&self, to: &Repository, at: At<'_>, wanted: &Descriptor, served: &Served, found: &Digest) -> Difference {
        let object = at.of(to);
        let differs = |kind, message: String| Difference::new(&object, kind, message);
        let json: Option<Value> = serde_json::from_slice(&served.bytes).ok();
        let is_schema_one = served.content_type.as_deref().is_some_and(|said| said.starts_with(SCHEMA_ONE))
            || json.as_ref().is_some_and(|json| json["schemaVersion"] == 1);
        if is_schema_one {
            return differs(Kind::Converted, "the registry serves Docker's schema 1 in its place".to_owned());
        }
        let At::Tag(tag) = at else {
            return differs(
                Kind::OtherBytes,
                format!("the registry serves other bytes (sha256 of what came: {found})"),
            );
        };
        let after = self.after.as_ref();
        let before = after.and_then(|after| after.before.get(&(to.clone(), tag.to_owned()))?.as_ref());
        if before == Some(found) {
            return differs(Kind::Stale, format!("it still points to {found}, as before the push"));
        }
        let size = served.bytes.len();
        let claims = served.digest.as_ref().is_some_and(|said| *said == wanted.digest.to_string());
        let ours = after.and_then(|after| serde_json::from_slice(after.manifests.get(&wanted.digest)?.bytes()).ok());
        if json.is_some() && json == ours {
            let message = format!("the registry serves the same content in {size} other bytes, which hash to {found}");
            return differs(Kind::OtherBytes, message);
        }
        if json.is_none() || claims {
            let message = format!("the registry serves {size} other bytes (sha256 of what came: {found})");
            return differs(Kind::OtherBytes, message);
        }
        let message = format!("it points to {found}, not to {}", wanted.digest);
        if after.is_some() {
            return differs(Kind::OtherWriter, message + ": another writer has moved it since");
        }
        let hint = "find out who writes this tag; what was pushed with `--index prune` is looked at with that too";
        Difference { hint: Some(hint.to_owned()), ..differs(Kind::OtherWriter, message) }
    }

    async fn blob(&self, to: &Repository, wanted: &Descriptor) -> Result<Option<Difference>, Error> {
        let mut waits = self.waits();
        let held = loop {
            let held = self.reader.head_blob(to, &wanted.digest).await?;
            if held.is_some() {
                break held;
            }
            let Some(wait) = waits.next() else { break None };
            tokio::time::sleep(wait).await;
        };
        let (kind, message) = match held.map(|held| held.size) {
            Some(Some(size)) if size == wanted.size => return Ok(None),
            Some(Some(size)) => {
                (Kind::WrongHeader, format!("the blob is said to have {size} bytes, not {}", wanted.size))
            }
            Some(None) => (Kind::WrongHeader, "the registry does not say how large the blob is".to_owned()),
            None => (Kind::Missing, "the blob is not there, though a manifest names it".to_owned()),
        };
        Ok(Some(Difference::new(to.at(&wanted.digest).to_string(), kind, message)))
    }

    /// `None` where the registry does not have it; else what is wrong with what it has, if anything.
    async fn absent(&self, to: &Repository, digest: &Digest) -> Result<Option<Option<Difference>>, Error> {
        let Some(served) = self.reader.read(to, At::Digest(digest)).await? else { return Ok(None) };
        let found = Digest::of(&served.bytes);
        Ok(Some((found != *digest).then(|| {
            let message = format!("nobody has pushed it, and the registry serves other bytes for it ({found})");
            Difference::new(to.at(digest).to_string(), Kind::OtherBytes, message)
        })))
    }

    async fn referrers(&self, to: &Repository, digest: &Digest, names: &[Digest]) -> Result<Option<Difference>, Error> {
        let mut waits = self.waits();
        loop {
            let (lists, object) = if let Some(pages) = self.reader.referrers(to, digest).await? {
                (pages, format!("{} (its referrers)", to.at(digest)))
            } else {
                let tag = referrers_tag(digest);
                let served = self.reader.read(to, At::Tag(&tag)).await?;
                (served.into_iter().map(|served| served.bytes).collect(), format!("{to}:{tag}"))
            };
            let listed: BTreeSet<String> = lists.iter().flat_map(|list| listed(list)).collect();
            let missing: Vec<&Digest> = names.iter().filter(|name| !listed.contains(&name.to_string())).collect();
            let Some(first) = missing.first() else { return Ok(None) };
            let Some(wait) = waits.next() else {
                let text = format!("{} of {} referrers are not listed, {first} among them", missing.len(), names.len());
                return Ok(Some(Difference::new(object, Kind::Missing, text)));
            };
            tokio::time::sleep(wait).await;
        }
    }
}

/// The digests that an index names.
fn listed(index: &[u8]) -> Vec<String> {
    let index: Value = serde_json::from_slice(index).unwrap_or_default();
    let entries = index["manifests"].as_array().cloned().unwrap_or_default();
    entries.iter().filter_map(|entry| entry["digest"].as_str().map(str::to_owned)).collect()
}

impl Proof {
    fn add(&mut self, more: Proof) {
        self.manifests += more.manifests;
        self.tags += more.tags;
        self.blobs += more.blobs;
        self.signatures += more.signatures;
        self.absent += more.absent;
        self.present_all_the_same += more.present_all_the_same;
    }
}
