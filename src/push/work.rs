//! What is pushed where: pure, made of a plan, of where its repositories go, and of what becomes of indexes.

use crate::model::plan::{Attached, Signed};
use crate::model::{Descriptor, Digest, Failure, Instance, Plan, PlannedImage, RawManifest, Reference, Repository};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// What an index some of whose instances are absent becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum IndexMode {
    /// `keep` where the registry takes that; else stop and say so.
    Auto,
    /// Sparse: its bytes unchanged. Not every registry takes it.
    Keep,
    /// A new index of the kept platforms, with a digest of its own.
    Prune,
    /// Whole: the other platforms are fetched too, and pushed.
    All,
}

/// What an index is after a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Shape {
    /// It is no index, but a single manifest.
    Single,
    /// All that it names is there.
    Complete,
    /// Its bytes are unchanged, and some of what it names is not there.
    Sparse,
    /// It has new bytes, which name only what is there.
    Pruned,
}

/// One image, and where it goes.
#[derive(Debug, Clone)]
pub struct Image {
    /// What the workload names.
    pub reference: Reference,
    /// The repository it goes to.
    pub to: Repository,
    /// What its reference resolves to there.
    pub top: Descriptor,
    /// What its reference resolves to, where that is another one.
    pub was: Option<Digest>,
    /// What became of its index.
    pub shape: Shape,
    /// Indexes inside, outer ones first.
    pub nested: Vec<Descriptor>,
    /// Manifests with their blobs.
    pub instances: Vec<Instance>,
    /// What its index names, or named, and is not pushed.
    pub absent: Vec<Digest>,
    /// The tag that workloads use, if any.
    pub tag: Option<String>,
    /// Whether the workload names it by nothing but that.
    pub moving: bool,
    /// What signs what is pushed.
    pub signatures: Vec<Signed>,
}

impl Image {
    /// The tag made of its digest: registries remove what no tag holds. Not `sha256-<hex>` alone, where clients
    /// look for referrers.
    pub fn content_tag(&self) -> String {
        format!("sha256-{}.image", self.top.digest.hex())
    }

    /// All tags that are to point to it.
    pub fn tags(&self) -> Vec<String> {
        std::iter::once(self.content_tag()).chain(self.tag.clone()).collect()
    }

    /// Its own repository.
    pub fn from(&self) -> &Repository {
        self.reference.repository()
    }

    /// Every manifest below the top, children before parents, then what belongs to them.
    pub fn children(&self) -> impl Iterator<Item = &Descriptor> {
        let instances = self.instances.iter().map(|instance| &instance.manifest);
        instances.filter(|manifest| manifest.digest != self.top.digest).chain(self.nested.iter().rev())
    }

    /// What its index names and is pushed; nothing of a single manifest.
    pub fn entries(&self) -> impl Iterator<Item = &Digest> {
        // What stands in an index inside is no entry of its own; nobody prunes those.
        self.children().map(|child| &child.digest)
    }

    /// Manifests that were found beside those that are pushed.
    pub fn attached(&self) -> impl Iterator<Item = &Attached> {
        self.signatures.iter().flat_map(Signed::attached)
    }

    /// Every blob with a manifest that names it; shared ones more than once.
    pub fn blobs(&self) -> impl Iterator<Item = (&Descriptor, &Digest)> {
        let own = self.instances.iter().flat_map(|i| i.blobs().map(|blob| (blob, &i.manifest.digest)));
        own.chain(self.attached().flat_map(|a| a.blobs().map(|blob| (blob, &a.manifest.digest))))
    }

    /// Bytes of its blobs.
    pub fn size(&self) -> u64 {
        self.blobs().fold(0, |sum, (blob, _)| sum.saturating_add(blob.size))
    }
}

/// All that is pushed.
#[derive(Debug, Clone)]
pub struct Work {
    /// The images.
    pub images: Vec<Image>,
    /// Indexes that were made by pruning, by digest.
    pub pruned: HashMap<Digest, RawManifest>,
    /// Signatures of indexes that were pruned: they sign nothing that is there any more.
    pub lost_signatures: usize,
}

impl Work {
    /// Everything as the plan says, to where `destination` says that a repository goes. With `prune` sparse
    /// indexes are pruned; `bytes` has the manifests then.
    pub fn new(
        plan: &Plan,
        destination: &dyn Fn(&Repository) -> Option<Repository>,
        prune: bool,
        bytes: &HashMap<Digest, RawManifest>,
    ) -> Result<Self> {
        let mut work = Self { images: Vec::new(), pruned: HashMap::new(), lost_signatures: 0 };
        for planned in &plan.images {
            let Some(to) = destination(planned.reference.repository()) else {
                return Err(Failure::usage(format!("nothing says where `{}` goes", planned.reference))
                    .hint("name where everything goes: a DESTINATION without SOURCE")
                    .into());
            };
            let mut image = image(planned, to);
            if prune && image.shape == Shape::Sparse {
                work.prune(&mut image, bytes)?;
            }
            work.images.push(image);
        }
        work.check_tags()?;
        Ok(work)
    }

    fn prune(&mut self, image: &mut Image, bytes: &HashMap<Digest, RawManifest>) -> Result<()> {
        let raw = bytes.get(&image.top.digest).ok_or_else(|| {
            Failure::environment(format!("the bytes of the index {} are not known", image.top.digest))
        })?;
        let kept: Vec<String> = image.children().map(|child| child.digest.to_string()).collect();
        let pruned = raw.retain(|digest| kept.iter().any(|kept| kept == digest));
        let pruned = pruned.map_err(|e| {
            Failure::check(format!("the index of `{}` cannot be pruned", image.reference))
                .because(e)
                .hint("push all of it: `--index all`")
        })?;
        if pruned.digest() == raw.digest() {
            return Ok(());
        }
        let was = std::mem::replace(&mut image.top, pruned.descriptor()).digest;
        let signed = |signed: &Signed| signed.digest == was && (signed.is_readable() || !signed.referrers.is_empty());
        self.lost_signatures += usize::from(image.signatures.iter().any(signed));
        image.signatures.retain(|signed| signed.digest != was);
        image.was = Some(was);
        image.shape = Shape::Pruned;
        self.pruned.insert(pruned.digest().clone(), pruned);
        Ok(())
    }

    /// Fails where two images want one tag.
    fn check_tags(&self) -> Result<()> {
        let mut tags: BTreeMap<(&Repository, &str), &Image> = BTreeMap::new();
        for image in &self.images {
            let Some(tag) = &image.tag else { continue };
            if let Some(other) = tags.insert((&image.to, tag), image)
                && other.top.digest != image.top.digest
            {
                let (one, two) = (&other.reference, &image.reference);
                return Err(Failure::usage(format!("`{one}` and `{two}` both go to `{}:{tag}`", image.to))
                    .hint("give one of them another place: `--mirror SOURCE=MIRROR`")
                    .into());
            }
        }
        Ok(())
    }
}

fn image(planned: &PlannedImage, to: Repository) -> Image {
    let shape = match (planned.is_index(), planned.absent.is_empty()) {
        (false, _) => Shape::Single,
        (true, true) => Shape::Complete,
        (true, false) => Shape::Sparse,
    };
    // An index may name one manifest twice, once for a platform that is kept.
    let kept = |digest: &Digest| planned.manifests().any(|manifest| manifest.digest == *digest);
    Image {
        reference: planned.reference.clone(),
        to,
        top: planned.manifest.clone(),
        was: None,
        shape,
        nested: planned.nested_indexes.clone(),
        instances: planned.instances.clone(),
        absent: planned.absent.iter().map(|absent| &absent.digest).filter(|d| !kept(d)).cloned().collect(),
        tag: planned.reference.tag().map(str::to_owned),
        moving: planned.moving,
        signatures: planned.signatures.clone(),
    }
}
