//! `fetch`: the store only.

use super::args::{SetArgs, inputs, read_lock};
use super::environment;
use super::printer::Printer;
use super::size::{images, show};
use crate::fetch::{Fetch, StoreFirst, Summary};
use crate::model::{Failure, Release};
use crate::registry::Registry;
use crate::resolve::{Resolved, resolve};
use crate::store::{Pool, Store};
use anyhow::{Context as _, Result};
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Fill a store, and nothing else.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What names images: an RPM, a release-info file or folder, an installed root, manifests, a reference, …
    #[arg(required_unless_present = "locked")]
    inputs: Vec<String>,
    /// Take exactly what this lock says: no tag is looked up, and a byte that differs is an error.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["inputs", "platforms", "all_platforms", "exclude"])]
    locked: Option<PathBuf>,
    /// The folder to fill.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    set: SetArgs,
}

/// A cache of blobs.
#[derive(Debug, clap::Args)]
pub struct CacheArgs {
    /// Look for blobs in this folder first, and keep new ones there: a cache mount of builds.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl CacheArgs {
    /// Opens the cache.
    pub fn open(&self) -> Result<Option<Pool>> {
        let Some(path) = &self.cache else { return Ok(None) };
        let open = || -> Result<Pool> { Ok(Pool::create(&open_or_create(path)?, Path::new("blobs"), 0)?) };
        open().with_context(|| format!("opening the cache `{}`", path.display())).map(Some)
    }
}

/// What `fetch --format json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    store: &'a Path,
    #[serde(flatten)]
    summary: Summary,
}

/// Runs the verb.
pub async fn run(args: Args, printer: &Printer) -> Result<()> {
    let summary = match &args.locked {
        Some(path) => locked(&args, path, printer).await?,
        None => unlocked(&args, printer).await?,
    };
    printer.result(&Report { store: &args.store, summary }, |report| {
        text(&report.summary, &report.store.display().to_string())
    })?;
    printer.say(&format!(
        "next: `bootc-embed emit import-unit --store {0}`, or `bootc-embed serve --store {0}`",
        args.store.display()
    ));
    Ok(())
}

/// Fetches what the inputs name.
async fn unlocked(args: &Args, printer: &Printer) -> Result<Summary> {
    let (registry, resolved) = args.set.resolve(&inputs(&args.inputs), printer).await?;
    args.set.budget.check(&resolved.plan)?;
    let fill = async {
        let store = open_store(&args.store)?;
        fill(&resolved, registry.as_ref(), &store, &args.cache, args.set.registry.jobs(), printer).await
    };
    fill.await.with_context(|| filling(&args.store))
}

fn filling(store: &Path) -> String {
    format!("filling the store `{}`", store.display())
}

fn open_store(path: &Path) -> Result<Store> {
    Ok(Store::create(&open_or_create(path)?, Path::new("."), environment::source_date_epoch()?)?)
}

/// Fetches what a lock says. The lock is resolved anew, by digests alone: it must say what its
/// manifests say. Blobs that are there already are hashed.
async fn locked(args: &Args, path: &Path, printer: &Printer) -> Result<Summary> {
    let plan = read_lock(path)?;
    args.set.budget.check(&plan)?;
    let (lane, cache) = (args.set.registry.connect().await?, args.cache.open()?);
    let store = open_store(&args.store).with_context(|| filling(&args.store))?;
    let registry = StoreFirst { pool: store.pool(), registry: lane.as_ref() };
    let (release, platforms) = (Release::from(&plan), plan.platforms());
    let resolved = resolve(&release, &platforms, &registry, args.set.registry.jobs(), printer);
    let resolved = resolved.await.with_context(|| format!("checking lock `{}`", path.display()))?;
    if resolved.plan != plan {
        let differs = plan.images.iter().zip(&resolved.plan.images).find(|(said, found)| said != found);
        let what = differs.map_or_else(|| "its images".to_owned(), |(image, _)| format!("`{}`", image.reference));
        return Err(Failure::check(format!("lock `{}` does not say of {what} what its manifests say", path.display()))
            .hint("make the lock anew: `bootc-embed plan INPUT… -o LOCK`")
            .into());
    }
    let fetch = Fetch {
        plan: &plan,
        known: &resolved.content,
        registry: &registry,
        store: &store,
        cache: cache.as_ref(),
        verify: true,
        jobs: args.set.registry.jobs(),
        progress: printer,
    };
    fetch.run().await.with_context(|| filling(&args.store))
}

/// Completes and publishes a store.
pub async fn fill(
    resolved: &Resolved,
    registry: &dyn Registry,
    store: &Store,
    cache: &CacheArgs,
    jobs: usize,
    printer: &Printer,
) -> Result<Summary> {
    let cache = cache.open()?;
    let Resolved { plan, content } = resolved;
    Fetch { plan, known: content, registry, store, cache: cache.as_ref(), verify: false, jobs, progress: printer }
        .run()
        .await
}

/// Opens a folder that the user named, making it if need be.
pub fn open_or_create(path: &Path) -> Result<Dir> {
    let open = || {
        std::fs::create_dir_all(path)?;
        Dir::open_ambient_dir(path, ambient_authority())
    };
    open().map_err(|e: std::io::Error| {
        let failure = Failure::environment(format!("cannot write to `{}`", path.display()));
        failure.because(e).hint("choose a folder that you may write to").into()
    })
}

/// The summary for people.
pub fn text(summary: &Summary, place: &str) -> String {
    let mut text = format!(
        "{} in {place}\n  stored   {} in {} files\n  fetched  {} in {} blobs\n",
        images(summary.images),
        show(summary.bytes),
        summary.files,
        show(summary.fetched_bytes),
        summary.fetched,
    );
    if summary.from_cache > 0 {
        text += &format!("  cache    {} blobs\n", summary.from_cache);
    }
    if summary.removed_views + summary.removed_files > 0 {
        text += &format!(
            "  removed  {} and {} files of an earlier set\n",
            images(summary.removed_views),
            summary.removed_files
        );
    }
    text
}
