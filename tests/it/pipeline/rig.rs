//! What tests of failing registries are made of: an image on a registry, impatient settings, and all that is
//! known of a run.

use super::{job, open_store, platforms, resolve_all, wait};
use crate::support::fixture::{Blob, Compression, Format, Image, Index, Layer, Repository, Spelling};
use crate::support::lane::{Notes, options};
use crate::support::random::Random;
use crate::support::registry::{Auth, FaultyRegistry, Seen};
use crate::support::tree::Tree;
use bootc_embed::fetch::Fetch;
use bootc_embed::model::Platforms;
use bootc_embed::registry::Options;
use bootc_embed::registry::http::Http;
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often what may be better in a moment is repeated.
pub const RETRIES: usize = 3;
/// So often everything is asked in all.
pub const TRIES: usize = RETRIES + 1;
/// A connection on which nothing comes for this long has stalled.
pub const STALL: Duration = Duration::from_millis(200);
/// A run that takes longer waits for something that it should not wait for.
pub const LONGEST: Duration = Duration::from_secs(10);
/// The size of the layer that is broken.
pub const LAYER_SIZE: usize = 100_000;

/// Impatient settings.
pub fn impatient() -> Options {
    Options { retries: RETRIES.try_into().expect("few"), stall: STALL, ..options() }
}

/// An image with a layer large enough to be broken, and where it is.
pub struct Rig {
    pub registry: FaultyRegistry,
    pub index: Blob,
    pub instance: Blob,
    pub layer: Blob,
    folder: tempfile::TempDir,
}

/// What a run came to.
pub struct Ran {
    /// The text of the error, if there was one.
    pub error: Option<String>,
    pub notes: Vec<String>,
    pub seen: Vec<Seen>,
    pub elapsed: Duration,
}

/// Resolves references and fetches them into a store.
pub fn run(
    registry: &FaultyRegistry,
    references: &[String],
    platforms: &Platforms,
    store: &Path,
    options: Options,
) -> Ran {
    registry.take_seen();
    let (start, notes, jobs) = (Instant::now(), Notes::default(), options.jobs);
    let embed = || {
        let lane = Http::new(options, Arc::new(notes.clone()))?;
        let resolved = resolve_all(references, platforms, &lane)?;
        let dir = Dir::open_ambient_dir(store, ambient_authority())?;
        wait(Fetch { jobs, ..job(open_store(&dir, ".", 0)?, &resolved, &lane) }.run())
    };
    let error = embed().err().map(|error| format!("{error:#}"));
    let (elapsed, notes) = (start.elapsed(), notes.take());
    Ran { error, notes, seen: registry.take_seen(), elapsed }
}

impl Ran {
    /// The requests for something.
    pub fn asked(&self, part: &str) -> Vec<&Seen> {
        self.seen.iter().filter(|seen| seen.path.contains(part)).collect()
    }
}

impl Rig {
    pub fn new(auth: Auth) -> Self {
        let large = Layer::of_archive(&Random::new(1).bytes(LAYER_SIZE), Compression::None);
        let small = Layer::new(&[("small", b"small")], Compression::Gzip);
        let image = Image::new("linux/amd64").layer(&large).layer(&small).build();
        let index = Index::new(Format::Oci).instances([&image]).spelling(Spelling::ODD).build();
        let repository = Repository::new("team/app").instances([&image]).index(&index);
        let (instance, layer) = (image.manifest, image.layers[0].clone());
        let folder = tempfile::tempdir().expect("a folder can be made");
        Self { registry: FaultyRegistry::start_with(&[repository], auth), index, instance, layer, folder }
    }

    /// Resolves and fetches the image into a store.
    pub fn run(&self, store: &Path, options: Options) -> Ran {
        let reference = format!("{}/team/app@{}", self.registry.address(), self.index.digest);
        run(&self.registry, &[reference], &platforms(&["linux/amd64"]), store, options)
    }

    /// A store in which nothing is yet.
    pub fn store(&self) -> tempfile::TempDir {
        tempfile::tempdir_in(&self.folder).expect("a folder can be made")
    }

    /// The store as it should be.
    pub fn whole(&self) -> Tree {
        let store = self.store();
        let ran = self.run(store.path(), impatient());
        assert_eq!(ran.error, None);
        Tree::read(store.path())
    }
}
