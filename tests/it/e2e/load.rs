//! A set that takes a while: images that share layers of all sizes, on a registry that can be slowed
//! down and told to fail. A run over it can be hit in the middle.

use super::Workbench;
use crate::support::fixture::{Compression, Format, Image, Index, Layer, Repository, Spelling};
use crate::support::random::Random;
use crate::support::registry::{FaultyRegistry, Seen};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;

const PLATFORM: &str = "linux/amd64";

/// The registry, two sets that share layers, and a folder to work in.
pub struct Load {
    pub registry: FaultyRegistry,
    pub workbench: Workbench,
    /// A set of three images, which was there before.
    pub earlier: Vec<String>,
    /// The set of eight images that is wanted.
    pub wanted: Vec<String>,
    /// All bytes by the hex of their digest.
    bytes: HashMap<String, Vec<u8>>,
}

impl Load {
    /// Layers have from 1 kB to 1 MB, some 3 MB in all.
    pub fn new() -> Self {
        let mut random = Random::new(1);
        let mut layer = |size: usize| Layer::new(&[("data", &random.bytes(size))], Compression::None);
        let shared = [layer(600_000), layer(200_000), layer(30_000), layer(1_000)];
        let sizes = [1_000, 3_000, 10_000, 30_000, 60_000, 100_000, 300_000, 1_000_000];
        let own = sizes.map(|size| [layer(size), layer(2_000)]);
        let before = [500_000, 5_000, 1_000].map(&mut layer);
        let repository = |name: String, layers: &[&Layer]| {
            let image = layers.iter().fold(Image::new(PLATFORM), |image, layer| image.layer(layer)).build();
            let foreign = Image::new("linux/s390x").build();
            let index = Index::new(Format::Oci).instances([&image, &foreign]).spelling(Spelling::TABS).build();
            Repository::new(&name).instances([&image, &foreign]).index(&index).tag("v1", &index)
        };
        let wanted = own.iter().enumerate();
        let wanted = wanted.map(|(at, own)| repository(format!("wanted/{at}"), &[&shared[at % 4], &own[0], &own[1]]));
        let earlier = before.iter().enumerate();
        let earlier = earlier.map(|(at, own)| repository(format!("earlier/{at}"), &[&shared[at], own]));
        let (wanted, earlier): (Vec<_>, Vec<_>) = (wanted.collect(), earlier.collect());
        let all = [wanted.clone(), earlier.clone()].concat();
        let registry = FaultyRegistry::start(&all);
        let blobs = all.iter().flat_map(|one| one.blobs.iter().chain(&one.manifests));
        let bytes = blobs.map(|blob| (blob.hex().to_owned(), blob.bytes.clone())).collect();
        let references = |repositories: &[Repository]| {
            let pinned = |one: &Repository| one.pinned(registry.address(), one.manifests.last().expect("an index"));
            repositories.iter().map(pinned).collect()
        };
        let (wanted, earlier) = (references(&wanted), references(&earlier));
        Self { workbench: Workbench::new(), registry, earlier, wanted, bytes }
    }

    /// `bootc-embed fetch` of some references into a store.
    pub fn fetch(&self, references: &[String], store: &Path) -> Command {
        let mut tool = self.workbench.tool();
        tool.arg("fetch").args(references).args(["--platform", PLATFORM, "--tls-verify=false", "--store"]).arg(store);
        tool
    }

    /// The blobs that are complete in a store, as `sha256:…`.
    ///
    /// # Panics
    /// If one has its name but not its bytes: that must never be, whatever happened.
    #[track_caller]
    pub fn complete(&self, store: &Path) -> BTreeSet<String> {
        let Ok(entries) = fs::read_dir(store.join("blobs/sha256")) else { return BTreeSet::new() };
        let mut found = BTreeSet::new();
        for entry in entries {
            let path = entry.expect("a pool can be listed").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if let Some(bytes) = self.bytes.get(&name) {
                let right = fs::read(&path).expect("a blob can be read") == *bytes;
                assert!(right, "{} has its name but not its bytes", path.display());
                found.insert(format!("sha256:{name}"));
            }
        }
        found
    }
}

/// The blobs that were asked for, as `sha256:…`.
pub fn asked(seen: &[Seen]) -> BTreeSet<String> {
    seen.iter().filter_map(|seen| seen.path.split_once("/blobs/")).map(|(_, digest)| digest.to_owned()).collect()
}
