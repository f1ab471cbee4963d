//! Layer 2, signatures: what signs the manifests of a plan goes into the plan.
//!
//! Looked for beside every manifest that is kept: the tag `sha256-<hex>.sig`, lookaside stores, and
//! referrers, by the registry's list or by the tag `sha256-<hex>`. All of it is kept byte for byte;
//! of what runtimes can read, files are made as containers/image keeps them beside an image.
//!
//! A lock is taken at its word instead: [`recall`] asks for what it names, by digest.

use crate::model::manifest::{MAX_MANIFEST_SIZE, OCI_MANIFEST};
use crate::model::plan::{Attached, Signed};
use crate::model::signature::MAX_SIGNATURE_SIZE;
use crate::model::{
    Descriptor, Digest, Failure, Manifest, PinnedReference, Plan, PlannedImage, Progress, RawManifest, Signature,
    Sigstore,
};
use crate::registry::{At, Registry};
use crate::store::Pool;
use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The media type of a signature file, which no registry has: it is made here, or comes from a lookaside store.
const FILE_TYPE: &str = "application/octet-stream";
/// The most manifests that may name one as their subject.
const MAX_REFERRERS: usize = 1000;
/// The most bytes of what signs one manifest that are held in memory: its signatures, and the manifests of referrers.
const MAX_HELD: u64 = 64 * 1024 * 1024;
/// How many manifests are asked about at once for each job: most answers are that there is nothing.
const ASKED_A_JOB: usize = 2;

/// Bytes by digest.
type Content = HashMap<Digest, Vec<u8>>;

/// Looks for what signs every manifest of `plan`, and puts it there; the bytes that were read go to `content`.
pub async fn collect(
    plan: &mut Plan,
    content: &mut Content,
    registry: &dyn Registry,
    jobs: usize,
    progress: &dyn Progress,
) -> Result<()> {
    let wanted: BTreeSet<PinnedReference> = plan.images.iter().flat_map(pinned).collect();
    progress.start("Looking for signatures", wanted.len() as u64, false);
    let found: Vec<(PinnedReference, Signed, Content)> = stream::iter(wanted)
        .map(|image| async {
            let looked = look(&image, registry).await;
            let (signed, content) = looked.with_context(|| format!("looking for signatures of `{image}`"))?;
            progress.advance(1);
            Ok::<_, anyhow::Error>((image, signed, content))
        })
        .buffered(jobs.max(1) * ASKED_A_JOB)
        .try_collect()
        .await?;
    progress.finish();
    let mut signatures = BTreeMap::new();
    for (image, signed, read) in found {
        content.extend(read);
        signatures.insert(image, signed);
    }
    for image in &mut plan.images {
        image.signatures = pinned(image).filter_map(|pinned| signatures.get(&pinned).cloned()).collect();
    }
    share(plan);
    Ok(())
}

/// Reads again, by digest, what `lock` says signs its manifests; what lookaside stores had, from `present`
/// where that has it. Fails where that cannot be had any more or does not say what the lock says.
pub async fn recall(
    lock: &Plan,
    content: &mut Content,
    registry: &dyn Registry,
    present: Option<&Pool>,
    jobs: usize,
    progress: &dyn Progress,
) -> Result<()> {
    let signed = lock.images.iter().flat_map(|image| {
        image.signatures.iter().map(|signed| (image.reference.repository().at(&signed.digest), signed))
    });
    let signed: Vec<(PinnedReference, &Signed)> =
        signed.filter(|(_, signed)| signed.content().next().is_some()).collect();
    progress.start("Reading signatures", signed.len() as u64, false);
    let read = stream::iter(&signed).map(|(image, signed)| async move {
        let read = reread(image, signed, registry, present).await;
        progress.advance(1);
        read.with_context(|| format!("reading the signatures of `{image}`"))
    });
    let read: Vec<(Content, Vec<Descriptor>)> = read.buffered(jobs.max(1) * ASKED_A_JOB).try_collect().await?;
    progress.finish();
    let (read, own): (Vec<Content>, Vec<Vec<Descriptor>>) = read.into_iter().unzip();
    content.extend(read.into_iter().flatten());
    for ((image, signed), own) in signed.iter().zip(own) {
        if !signed.files.starts_with(&own) {
            return Err(differs(image, "it leaves signatures out, or has them in another order"));
        }
    }
    // Files of an image may come from another one of the lock, which has the same instance.
    let files = signed.iter().flat_map(|(image, signed)| signed.files.iter().map(move |file| (image, file)));
    for (image, file) in files {
        if content.get(&file.digest).is_none_or(|bytes| bytes.len() as u64 != file.size) {
            return Err(differs(image, &format!("no signature of it is {}", file.digest)));
        }
    }
    Ok(())
}

/// Fails where an image of the plan has an instance without a signature that runtimes read.
pub fn require(plan: &Plan) -> Result<()> {
    for image in &plan.images {
        let Some(instance) = image.unsigned().next() else { continue };
        let digest = &instance.manifest.digest;
        let bundle = image.signed(digest).and_then(|signed| signed.referrers.iter().find(|found| found.is_bundle()));
        let failure = match bundle {
            Some(_) => {
                Failure::check(format!("`{}` has only a bundle of cosign 3, which no runtime reads", image.reference))
                    .hint("have it signed in the form of before too: `cosign sign --new-bundle-format=false`")
            }
            None => Failure::check(format!("`{}` has no signature", image.reference))
                .hint(format!(
                    "runtimes look for the signature of the instance, {digest}; one of the index alone does not count"
                ))
                .hint("`--signatures auto` takes what there is"),
        };
        return Err(failure.into());
    }
    Ok(())
}

/// The manifests of an image, by what they are asked for.
fn pinned(image: &PlannedImage) -> impl Iterator<Item = PinnedReference> {
    image.manifests().map(|manifest| image.reference.repository().at(&manifest.digest))
}

/// Gives every image the signatures that its manifests have under other names too: whoever imports it
/// last decides what a storage keeps.
fn share(plan: &mut Plan) {
    let mut all: BTreeMap<Digest, Vec<Descriptor>> = BTreeMap::new();
    for signed in plan.images.iter().flat_map(|image| &image.signatures) {
        add_new(all.entry(signed.digest.clone()).or_default(), &signed.files);
    }
    for signed in plan.images.iter_mut().flat_map(|image| &mut image.signatures) {
        add_new(&mut signed.files, &all[&signed.digest]);
    }
}

fn add_new(to: &mut Vec<Descriptor>, more: &[Descriptor]) {
    let mut known: BTreeSet<Digest> = to.iter().map(|file| file.digest.clone()).collect();
    to.extend(more.iter().filter(|file| known.insert(file.digest.clone())).cloned());
}

/// The tag of a manifest's signatures, or with nothing behind it, of its referrers.
fn tag_of(digest: &Digest, suffix: &str) -> String {
    format!("sha256-{}{suffix}", digest.hex())
}

/// Looks for everything that belongs to a manifest.
async fn look(image: &PinnedReference, registry: &dyn Registry) -> Result<(Signed, Content)> {
    let (mut signed, mut content) = (Signed::nothing(&image.digest), Content::new());
    for bytes in registry.lookaside(image).await.map_err(or_none)? {
        let file = keep(&mut content, FILE_TYPE, bytes);
        add_new(&mut signed.lookaside, &[file]);
    }
    let tag = tag_of(&image.digest, ".sig");
    if let Some(raw) = manifest_at(image, &tag, registry).await? {
        let signatures = Signatures::read(&raw).with_context(|| format!("reading the tag `{tag}`"))?;
        signatures
            .fetch(image, &raw, registry, &mut content)
            .await
            .with_context(|| format!("reading the tag `{tag}`"))?;
        content.insert(raw.digest().clone(), raw.bytes().to_vec());
        signed.tag = Some(signatures.attached);
    }
    refer(image, &mut signed, registry, &mut content).await?;
    signed.files.clone_from(&signed.lookaside);
    if let Some(attached) = &signed.tag {
        let files = files(attached, &mut content)?;
        add_new(&mut signed.files, &files);
    }
    Ok((signed, content))
}

/// The same as far as a lock names it, and the files that follow from it.
async fn reread(
    image: &PinnedReference,
    signed: &Signed,
    registry: &dyn Registry,
    present: Option<&Pool>,
) -> Result<(Content, Vec<Descriptor>)> {
    let mut content = Content::new();
    let mut own = signed.lookaside.clone();
    let repository = &image.repository;
    for file in &signed.lookaside {
        if let Some(bytes) =
            present.map(|pool| pool.read_small(&file.digest, MAX_SIGNATURE_SIZE)).transpose()?.flatten()
        {
            keep(&mut content, FILE_TYPE, bytes);
        }
    }
    let lost = |content: &Content| signed.lookaside.iter().find(|file| !content.contains_key(&file.digest));
    if lost(&content).is_some() {
        for bytes in registry.lookaside(image).await.map_err(or_none)? {
            keep(&mut content, FILE_TYPE, bytes);
        }
    }
    if let Some(lost) = lost(&content) {
        return Err(differs(image, &format!("its lookaside store has no {} any more", lost.digest)));
    }
    if let Some(attached) = &signed.tag {
        let raw = registry.manifest(repository, At::Digest(&attached.manifest.digest)).await?;
        let signatures = Signatures::read(&raw)?;
        if signatures.attached != *attached {
            return Err(differs(image, &format!("{} has other layers", raw.digest())));
        }
        signatures.fetch(image, &raw, registry, &mut content).await?;
        content.insert(raw.digest().clone(), raw.bytes().to_vec());
        let files = files(attached, &mut content)?;
        add_new(&mut own, &files);
    }
    for attached in &signed.referrers {
        let raw = registry.manifest(repository, At::Digest(&attached.manifest.digest)).await?;
        if referrer(image, &raw)?.as_ref() != Some(attached) {
            return Err(differs(image, &format!("the referrer {} has other content", raw.digest())));
        }
        content.insert(raw.digest().clone(), raw.bytes().to_vec());
    }
    if let Some(tag) = &signed.referrers_tag {
        let raw = registry.manifest(repository, At::Digest(&tag.digest)).await?;
        content.insert(raw.digest().clone(), raw.bytes().to_vec());
    }
    Ok((content, own))
}

fn differs(image: &PinnedReference, detail: &str) -> anyhow::Error {
    let failure = Failure::check(format!("the lock does not say of `{image}` what signs it: {detail}"));
    failure.hint("make the lock anew: `bootc-embed plan INPUT… -o LOCK`").into()
}

/// What helps where a registry answers nonsense.
const NOT_LOOKED: &str = "`--signatures none` does not look for signatures";

/// An answer other than "there is none" leaves open whether the image is signed.
fn or_none(error: crate::registry::Error) -> anyhow::Error {
    anyhow::Error::from(error).context("whether there are signatures is not known (`--signatures none` does not look)")
}

/// The manifest at a tag beside an image.
async fn manifest_at(image: &PinnedReference, tag: &str, registry: &dyn Registry) -> Result<Option<RawManifest>> {
    let answer = registry.tag_beside(image, tag).await.map_err(or_none)?;
    let Some(answer) = answer else { return Ok(None) };
    if answer.bytes.len() as u64 > MAX_MANIFEST_SIZE {
        return Err(Failure::check(format!("the tag `{tag}` has more than {MAX_MANIFEST_SIZE} bytes")).into());
    }
    let raw = RawManifest::new(answer.bytes, answer.content_type.as_deref());
    let unreadable = |e| Failure::environment(format!("the tag `{tag}` cannot be read")).because(e).hint(NOT_LOOKED);
    Ok(Some(raw.map_err(unreadable)?))
}

/// Puts bytes into `content`; what they are.
fn keep(content: &mut Content, media_type: &str, bytes: Vec<u8>) -> Descriptor {
    let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
    content.insert(digest.clone(), bytes);
    Descriptor { media_type: media_type.to_owned(), digest, size }
}

/// What is read of an OCI manifest besides its descriptors.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    artifact_type: Option<String>,
    subject: Option<Subject>,
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Subject {
    digest: String,
}

#[derive(Deserialize)]
struct Layer {
    annotations: Option<BTreeMap<String, Option<String>>>,
}

/// A manifest whose layers are signatures.
struct Signatures {
    attached: Attached,
}

impl Signatures {
    fn read(raw: &RawManifest) -> Result<Self> {
        let refused = |what: &str| {
            Failure::check(format!("{} is {what} where an OCI image with signatures belongs", raw.digest()))
                .hint("runtimes refuse it too; `--signatures none` leaves signatures behind")
        };
        let (attached, _) = attached(raw)?.ok_or_else(|| refused("an index"))?;
        if attached.manifest.media_type != OCI_MANIFEST {
            return Err(refused("a Docker image").into());
        }
        Ok(Self { attached })
    }

    /// Reads the payloads.
    async fn fetch(
        &self,
        image: &PinnedReference,
        raw: &RawManifest,
        registry: &dyn Registry,
        content: &mut Content,
    ) -> Result<()> {
        let owner = image.repository.at(raw.digest());
        require_small(&image.digest, self.attached.layers.iter().map(|layer| layer.size))?;
        for layer in &self.attached.layers {
            if layer.size > MAX_SIGNATURE_SIZE {
                return Err(Failure::check(format!(
                    "the payload {} has {} bytes, which runtimes refuse",
                    layer.digest, layer.size
                ))
                .into());
            }
            if !content.contains_key(&layer.digest) {
                content.insert(layer.digest.clone(), registry.small_blob(&owner, layer).await?);
            }
        }
        Ok(())
    }
}

/// Fails where what signs a manifest is larger than anybody's signatures are.
fn require_small(digest: &Digest, sizes: impl Iterator<Item = u64>) -> Result<()> {
    if sizes.fold(0, u64::saturating_add) <= MAX_HELD {
        return Ok(());
    }
    Err(Failure::check(format!("what signs {digest} has more than {MAX_HELD} bytes"))
        .hint("`--signatures none` leaves it behind")
        .into())
}

/// A manifest as it is noted in a plan, and its details; `None` for an index.
fn attached(raw: &RawManifest) -> Result<Option<(Attached, Details)>> {
    let Manifest::Image { config, layers } = raw.parse()? else { return Ok(None) };
    let details: Details =
        serde_json::from_slice(raw.bytes()).with_context(|| format!("reading manifest {}", raw.digest()))?;
    let artifact_type = details.artifact_type.clone().filter(|text| !text.is_empty());
    let artifact_type = artifact_type.unwrap_or_else(|| config.media_type.clone());
    Ok(Some((Attached { manifest: raw.descriptor(), artifact_type, config, layers }, details)))
}

/// The files of a tag's signatures, one for each layer; their bytes go to `content`, which has the rest.
fn files(attached: &Attached, content: &mut Content) -> Result<Vec<Descriptor>> {
    let missing = |digest: &Digest| Failure::check(format!("{digest} was not read"));
    let manifest = &attached.manifest.digest;
    let bytes = content.get(manifest).ok_or_else(|| missing(manifest))?;
    let details: Details = serde_json::from_slice(bytes).with_context(|| format!("reading manifest {manifest}"))?;
    let mut files = Vec::new();
    for (layer, details) in attached.layers.iter().zip(details.layers) {
        let payload = content.get(&layer.digest).ok_or_else(|| missing(&layer.digest))?.clone();
        let annotations = details.annotations.unwrap_or_default().into_iter();
        let annotations = annotations.map(|(key, value)| (key, value.unwrap_or_default())).collect();
        let signature = Signature::Sigstore(Sigstore { mime_type: layer.media_type.clone(), payload, annotations });
        files.push(keep(content, FILE_TYPE, signature.to_bytes()));
    }
    Ok(files)
}

/// A manifest that claims to belong to an image, if it does.
fn referrer(image: &PinnedReference, raw: &RawManifest) -> Result<Option<Attached>> {
    let belongs =
        |details: &Details| details.subject.as_ref().is_some_and(|subject| subject.digest == image.digest.to_string());
    Ok(attached(raw)?.filter(|(_, details)| belongs(details)).map(|(attached, _)| attached))
}

/// Looks for referrers, by the registry's list or by its stand-in, a tag.
async fn refer(
    image: &PinnedReference,
    signed: &mut Signed,
    registry: &dyn Registry,
    content: &mut Content,
) -> Result<()> {
    let pages = if let Some(pages) = registry.referrers(image).await.map_err(or_none)? {
        pages
    } else {
        let Some(raw) = manifest_at(image, &tag_of(&image.digest, ""), registry).await? else { return Ok(()) };
        if !raw.is_index() {
            // Somebody's own tag.
            return Ok(());
        }
        signed.referrers_tag = Some(raw.descriptor());
        content.insert(raw.digest().clone(), raw.bytes().to_vec());
        vec![raw.bytes().to_vec()]
    };
    for page in pages {
        let wrong = |e| {
            let failure = Failure::environment(format!("the list of referrers of {} cannot be read", image.digest));
            failure.because(e).hint(NOT_LOOKED)
        };
        let raw = RawManifest::new(page, None).map_err(wrong)?;
        let Manifest::Index(entries) = raw.parse().map_err(wrong)? else {
            return Err(Failure::check(format!("the list of referrers of {} is no index", image.digest)).into());
        };
        for entry in entries {
            let digest = entry.descriptor.digest;
            if signed.referrers.iter().any(|known| known.manifest.digest == digest) {
                continue;
            }
            if signed.referrers.len() == MAX_REFERRERS {
                return Err(Failure::check(format!(
                    "more than {MAX_REFERRERS} manifests name {} as their subject",
                    image.digest
                ))
                .hint("`--signatures none` leaves them behind")
                .into());
            }
            let raw = registry.manifest(&image.repository, At::Digest(&digest)).await.map_err(or_none)?;
            let held = signed.referrers.iter().map(|known| known.manifest.size);
            require_small(&image.digest, held.chain([raw.descriptor().size]))?;
            // What the list says of it does not count: what it is, it says itself.
            if let Some(found) = referrer(image, &raw)? {
                content.insert(digest, raw.bytes().to_vec());
                signed.referrers.push(found);
            }
        }
    }
    Ok(())
}
