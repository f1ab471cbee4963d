//! Layer 2, push: Plan × content → a registry, and the proof of what it serves.
//!
//! `work` says what goes where, `content` where it is read, `send` brings it there, `signatures` what belongs to it, `proof` reads it back,
//! `report` is what is said of it.

mod content;
mod proof;
mod report;
mod send;
mod signatures;
mod work;

pub use content::Content;
pub use report::{Difference, Kind, PUSH_VERSION, Proof, PushReport, PushedImage, Sent};
pub use work::{Image, IndexMode, Shape, Work};

use crate::model::lint::lint;
use crate::model::{Descriptor, Digest, Failure, Plan, Progress, RawManifest, Repository};
use crate::registry::http::Destination;
use crate::registry::{At, Registry};
use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use proof::{After, Prover};
use send::{Outcome, Sender};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What to push and how.
pub struct Push {
    /// What goes where.
    pub work: Work,
    /// The manifests of the set, by digest.
    pub manifests: HashMap<Digest, RawManifest>,
    /// Where blobs are read.
    pub source: Arc<dyn Registry>,
    /// The registry.
    pub destination: Destination,
    /// The same registry over connections of its own, for the proof.
    pub reader: Destination,
    /// What becomes of sparse indexes.
    pub mode: IndexMode,
    /// Whether another signature that is there is replaced.
    pub overwrite_signatures: bool,
    /// How many requests at once.
    pub jobs: usize,
    /// How long to wait for what was just written, and how often.
    pub patience: Patience,
    /// Told of every byte.
    pub progress: Arc<dyn Progress>,
}

/// How patiently a registry is asked for what it has just taken.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often it is asked once more.
    pub retries: u32,
    /// The first wait; each is twice the one before.
    pub backoff: Duration,
}

impl Push {
    /// Pushes everything, then reads it back.
    pub async fn run(mut self) -> Result<PushReport> {
        let start = Instant::now();
        self.manifests.extend(std::mem::take(&mut self.work.pruned));
        self.refuse_sparse().await?;
        let (work, reader, jobs, patience) = (self.work.clone(), self.reader.clone(), self.jobs, self.patience);
        let progress = self.progress.clone();
        let Outcome { sent, differences: mut different, before, tags, manifests } = Sender::new(self).run().await?;
        let after = Some(After { before, patience, manifests });
        let prover = Prover { reader, jobs, progress, after, tags: tags.clone(), served: Mutex::default() };
        let (proof, differences, _) = prover.run(&work).await?;
        different.extend(differences);
        Ok(report(&work, Some(sent), proof, different, tags, start))
    }

    /// Stops before anything is sent where the registry says that it takes no sparse index.
    async fn refuse_sparse(&self) -> Result<()> {
        let sparse = self.work.images.iter().filter(|image| image.shape == Shape::Sparse);
        let hosts: BTreeMap<&str, &Repository> = sparse.map(|image| (image.to.host(), &image.to)).collect();
        for (host, repository) in hosts {
            let said = self.destination.supports_sparse(repository).await;
            let said = said.with_context(|| format!("asking `{host}` whether it takes sparse indexes"))?;
            if said == Some(false) && self.mode == IndexMode::Auto {
                let text = format!("`{host}` takes no sparse index: it says `X-Sparse-Manifest-Support: false`");
                return Err(advise(Failure::check(text)).into());
            }
        }
        Ok(())
    }
}

/// What to do where a registry does not take a sparse index.
fn advise(failure: Failure) -> Failure {
    failure
        .hint("`--index prune` pushes new indexes of the kept platforms; their digests differ, `--alias-map` records them")
        .hint("`--index all` pushes every platform; digests stay")
}

/// Reads what a registry serves, and writes nothing. Tags that are only this program's own are not expected. Tells
/// also the manifests that are right.
pub async fn verify(
    work: &Work,
    reader: Destination,
    jobs: usize,
    progress: Arc<dyn Progress>,
) -> Result<(PushReport, HashMap<Digest, RawManifest>)> {
    let start = Instant::now();
    let tags = work.images.iter().map(|image| image.tag.iter().cloned().collect()).collect();
    let prover = Prover { reader, jobs, progress, after: None, tags, served: Mutex::default() };
    let (proof, differences, served) = prover.run(work).await?;
    let tags = work.images.iter().map(|image| image.tag.iter().cloned().collect()).collect();
    Ok((report(work, None, proof, differences, tags, start), served))
}

fn report(
    work: &Work,
    sent: Option<Sent>,
    proof: Proof,
    mut differences: Vec<Difference>,
    tags: Vec<Vec<String>>,
    start: Instant,
) -> PushReport {
    differences.sort_by(|a, b| (&a.object, a.kind).cmp(&(&b.object, b.kind)));
    // What was not overwritten is found once more by the proof.
    differences.dedup_by(|later, earlier| (&later.object, later.kind) == (&earlier.object, earlier.kind));
    let mut notes = Vec::new();
    if work.lost_signatures > 0 {
        notes.push(format!(
            "{} indexes were signed and are pruned: the new ones are not signed, what they name still is",
            work.lost_signatures
        ));
    }
    if work.images.iter().flat_map(|image| &image.signatures).any(|signed| !signed.lookaside.is_empty()) {
        notes.push("signatures of lookaside stores are no part of a registry: they stay where they are".to_owned());
    }
    if proof.present_all_the_same > 0 {
        notes.push(format!("{} instances that the set leaves out are there all the same", proof.present_all_the_same));
    }
    let images = work.images.iter().zip(tags).map(|(image, tags)| PushedImage::of(image, tags));
    PushReport {
        version: PUSH_VERSION,
        images: images.collect(),
        sent,
        proof,
        differences,
        notes,
        duration_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// Fails where a plan does not say what its manifests say: blobs that it leaves out would be missed by nobody.
#[expect(clippy::implicit_hasher, reason = "the one map there is")]
pub fn check_plan(plan: &Plan, manifests: &HashMap<Digest, RawManifest>) -> Result<()> {
    let wrong = plan
        .images
        .iter()
        .find_map(|image| Some((image, image.contradiction(&|digest| manifests.get(digest).cloned())?)));
    let Some((image, what)) = wrong else { return Ok(()) };
    let text = format!("the lock does not say of `{}` what its manifests say: {what}", image.reference);
    Err(Failure::check(text)
        .hint("make the lock anew: `bootc-embed plan INPUT… -o LOCK`, or fetch the store anew")
        .into())
}

/// The bytes of all manifests of a plan, by digest.
pub async fn manifests(plan: &Plan, source: &dyn Registry, jobs: usize) -> Result<HashMap<Digest, RawManifest>> {
    let mut wanted: BTreeMap<&Digest, (&Descriptor, &Repository)> = BTreeMap::new();
    for image in &plan.images {
        let signed = image.signatures.iter();
        let beside = signed.flat_map(|signed| signed.attached().map(|a| &a.manifest).chain(&signed.referrers_tag));
        for manifest in image.manifests().chain(beside) {
            wanted.entry(&manifest.digest).or_insert((manifest, image.reference.repository()));
        }
    }
    let read = stream::iter(wanted).map(|(digest, (descriptor, repository))| async move {
        let name = || format!("reading the manifest `{repository}@{digest}`");
        let answer = source.manifest_bytes(repository, At::Digest(digest)).await.with_context(name)?;
        let raw = RawManifest::new(answer.bytes, Some(&descriptor.media_type)).with_context(name)?;
        if raw.digest() != digest {
            let others = Failure::check("its bytes are others").hint("fetch the set anew");
            return Err(anyhow::Error::from(others).context(name()));
        }
        Ok::<_, anyhow::Error>((digest.clone(), raw))
    });
    read.buffer_unordered(jobs.max(1) * 2).try_collect().await
}

/// Fails where a registry should refuse something, before it, or worse, takes it.
#[expect(clippy::implicit_hasher, reason = "the one map there is")]
pub fn check(work: &Work, manifests: &HashMap<Digest, RawManifest>) -> Result<(), Failure> {
    let known = |digest: &Digest| {
        let raw = manifests.get(digest).or_else(|| work.pruned.get(digest))?;
        Some(raw.descriptor())
    };
    let mut faults: Vec<String> = Vec::new();
    for image in &work.images {
        let all = std::iter::once(&image.top).chain(image.children());
        let raws = all.filter_map(|manifest| manifests.get(&manifest.digest).or(work.pruned.get(&manifest.digest)));
        faults.extend(
            raws.flat_map(|raw| lint(raw, &known))
                .map(|fault| format!("`{}`: {}: {}", image.reference, fault.subject, fault.message)),
        );
    }
    let Some(first) = faults.first() else { return Ok(()) };
    let more = if faults.len() > 1 { format!("; {} faults in all", faults.len()) } else { String::new() };
    Err(Failure::check(format!("what strict registries refuse and others serve as nonsense: {first}{more}"))
        .hint("have the image built anew"))
}
