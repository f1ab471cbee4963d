//! The stages together, on a registry in memory or in this process: resolve, fetch, the store, emit.

mod emit;
mod faults;
mod hostile;
mod http;
mod mirror_manifests;
mod mirrors;
mod properties;
mod prune;
mod push;
mod resolve;
mod rig;
mod serve;
mod signatures;
mod store;
mod target;

use crate::support::fixture::{Blob, Format, Image, Index, Instance, Layer, Repository, Spelling};
use crate::support::fixture::{Compression, Entry};
use bootc_embed::fetch::{Fetch, Summary};
use bootc_embed::model::progress::Silent;
use bootc_embed::model::{Origin, Platforms, Release};
use bootc_embed::registry::Registry;
use bootc_embed::resolve::{Resolved, resolve};
use bootc_embed::store::Store;
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use std::path::Path;
use std::sync::Arc;

/// A small image for a platform: a base layer that all images of the platform share, and its own.
fn instance(name: &str, platform: &str, format: Format) -> Instance {
    let base = Layer::new(&[("base", platform.as_bytes())], Compression::Gzip);
    let own = Layer::new(&[(name, format!("{name} {platform}").repeat(500).as_bytes())], Compression::Gzip);
    Image::new(platform).format(format).layer(&base).layer(&own).command(&[name]).build()
}

/// A repository with one index over platforms; the index has the tag `v1`.
fn repository(name: &str, platforms: &[&str], format: Format, spelling: Spelling) -> (Repository, Blob) {
    let instances: Vec<Instance> = platforms.iter().map(|platform| instance(name, platform, format)).collect();
    let index = Index::new(format).instances(&instances).spelling(spelling).build();
    (Repository::new(name).instances(&instances).index(&index).tag("v1", &index), index)
}

/// A repository whose index has these entries.
fn repository_of(name: &str, instances: &[&Instance], entries: Vec<Entry>, format: Format) -> (Repository, Blob) {
    let index = entries.into_iter().fold(Index::new(format), Index::entry).build();
    let repository = Repository::new(name).instances(instances.iter().copied()).index(&index).tag("v1", &index);
    (repository, index)
}

fn release(references: &[String]) -> Release {
    let mut release = Release::default();
    for (number, reference) in references.iter().enumerate() {
        let origin = Origin { file: "test".into(), key: format!("images.{number}") };
        release.add(reference.parse().expect("a reference"), origin, None);
    }
    release
}

fn platforms(names: &[&str]) -> Platforms {
    Platforms::Some(names.iter().map(|name| name.parse().expect("a platform")).collect())
}

/// Runs a future to its end.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made").block_on(future)
}

fn resolve_all(references: &[String], platforms: &Platforms, registry: &dyn Registry) -> anyhow::Result<Resolved> {
    wait(resolve(&release(references), platforms, registry, 4, &Silent))
}

/// Opens a store that nobody else writes to. Programs that other tests start hold its lock too, between
/// their fork and their exec; so this waits a little.
fn open_store(parent: &Dir, path: &str, mtime: i64) -> Result<Store, bootc_embed::store::Error> {
    let start = std::time::Instant::now();
    loop {
        match Store::create(parent, Path::new(path), mtime) {
            Err(bootc_embed::store::Error::Busy) if start.elapsed().as_secs() < 20 => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            store => return store,
        }
    }
}

/// Fills the store at `path` with what was resolved.
fn fill<R: Registry + Clone + 'static>(path: &Path, resolved: &Resolved, registry: &R) -> anyhow::Result<Summary> {
    std::fs::create_dir_all(path).expect("a folder can be made");
    let dir = Dir::open_ambient_dir(path, ambient_authority()).expect("a folder can be opened");
    let store = open_store(&dir, ".", 0)?;
    wait(job(store, resolved, registry).run())
}

/// What there is to do.
fn job<R: Registry + Clone + 'static>(store: Store, resolved: &Resolved, registry: &R) -> Fetch {
    Fetch {
        plan: Arc::new(resolved.plan.clone()),
        known: Arc::new(resolved.content.clone()),
        registry: Arc::new(registry.clone()),
        store: Arc::new(store),
        cache: None,
        verify: false,
        jobs: 4,
        progress: Arc::new(Silent),
    }
}

/// The text of an error with all causes.
fn text<T>(result: anyhow::Result<T>) -> String {
    match result {
        Ok(_) => panic!("an error is expected"),
        Err(error) => format!("{error:#}"),
    }
}
