//! `fetch`: the store only.

use super::args::{SetArgs, inputs, read_lock};
use super::environment;
use super::printer::Printer;
use super::size::{count, images, show};
use crate::fetch::{Fetch, StoreFirst, Summary};
use crate::model::{Failure, Release};
use crate::registry::Registry;
use crate::resolve::{Resolved, resolve};
use crate::signatures::recall;
use crate::store::{Pool, Store};
use anyhow::{Context as _, Result};
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    let work = async {
        match &args.locked {
            Some(path) => locked(&args, path, printer).await,
            None => unlocked(&args, printer).await,
        }
    };
    let summary = args.set.registry.deadline().keep(work).await?;
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
    let present = existing(&args.store, Path::new("."))?;
    let (registry, resolved) = args.set.resolve(&inputs(&args.inputs), present, printer).await?;
    args.set.budget.check(&resolved.plan)?;
    let fill = async {
        let store = open_store(&args.store)?;
        fill(resolved, registry, store, &args.cache, args.set.registry.jobs(), printer).await
    };
    fill.await.with_context(|| filling(&args.store))
}

fn filling(store: &Path) -> String {
    format!("filling the store `{}`", store.display())
}

fn open_store(path: &Path) -> Result<Store> {
    Ok(Store::create(&open_or_create(path)?, Path::new("."), environment::source_date_epoch()?)?)
}

/// The pool of the store at `path` below `root`, if there is one that can be read.
pub fn existing(root: &Path, path: &Path) -> Result<Option<Pool>> {
    let Ok(root) = Dir::open_ambient_dir(root, ambient_authority()) else { return Ok(None) };
    Ok(Pool::existing(&root, &path.join("blobs"))?)
}

/// Fetches what a lock says. The lock is resolved anew, by digests alone: it must say what its
/// manifests say. Blobs that are there already are hashed.
async fn locked(args: &Args, path: &Path, printer: &Printer) -> Result<Summary> {
    let mut plan = read_lock(path)?;
    if !args.set.carries_signatures() {
        plan.images.iter_mut().for_each(|image| image.signatures.clear());
    }
    args.set.require_signatures(&plan)?;
    args.set.budget.check(&plan)?;
    let (mut registry, cache) = (args.set.registry.connect(printer).await?, args.cache.open()?);
    let store = open_store(&args.store).with_context(|| filling(&args.store))?;
    let present = existing(&args.store, Path::new("."))?;
    if let Some(pool) = existing(&args.store, Path::new("."))? {
        registry = Arc::new(StoreFirst { pool, registry });
    }
    let (release, platforms, jobs) = (Release::from(&plan), plan.platforms(), args.set.registry.jobs());
    let resolved = resolve(&release, &platforms, registry.as_ref(), jobs, printer);
    let checking = || format!("checking lock `{}`", path.display());
    let Resolved { plan: mut found, mut content } = resolved.await.with_context(checking)?;
    recall(&plan, &mut content, registry.as_ref(), present.as_ref(), jobs, printer).await.with_context(checking)?;
    for (found, said) in found.images.iter_mut().zip(&plan.images) {
        found.signatures.clone_from(&said.signatures);
    }
    if found != plan {
        let differs = plan.images.iter().zip(&found.images).find(|(said, found)| said != found);
        let what = differs.map_or_else(|| "its images".to_owned(), |(image, _)| format!("`{}`", image.reference));
        return Err(Failure::check(format!("lock `{}` does not say of {what} what its manifests say", path.display()))
            .hint("make the lock anew: `bootc-embed plan INPUT… -o LOCK`")
            .into());
    }
    let fetch = Fetch {
        plan: Arc::new(plan),
        known: Arc::new(content),
        registry,
        store: Arc::new(store),
        cache: cache.map(Arc::new),
        verify: true,
        jobs,
        progress: Arc::new(printer.clone()),
    };
    fetch.run().await.with_context(|| filling(&args.store))
}

/// Completes and publishes a store.
pub async fn fill(
    resolved: Resolved,
    registry: Arc<dyn Registry>,
    store: Store,
    cache: &CacheArgs,
    jobs: usize,
    printer: &Printer,
) -> Result<Summary> {
    let fetch = Fetch {
        plan: Arc::new(resolved.plan),
        known: Arc::new(resolved.content),
        registry,
        store: Arc::new(store),
        cache: cache.open()?.map(Arc::new),
        verify: false,
        jobs,
        progress: Arc::new(printer.clone()),
    };
    fetch.run().await
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
        "{} in {place}\n  stored   {} in {} files\n  fetched  {} in {}{}\n",
        images(summary.images),
        show(summary.bytes),
        summary.files,
        show(summary.fetched_bytes),
        count(summary.fetched, "blob"),
        pace(summary),
    );
    if summary.resumed_bytes > 0 {
        text += &format!("  resumed  {} of a run that was cut off\n", show(summary.resumed_bytes));
    }
    if summary.from_cache > 0 {
        text += &format!("  cache    {}\n", count(summary.from_cache, "blob"));
    }
    if summary.saved_bytes > 0 {
        text += &format!("  saved    {}: shared by images, or there before\n", show(summary.saved_bytes));
    }
    match summary.signed_images {
        Some(0) => text += "  signed   no image, so far as registries and lookaside stores say\n",
        Some(signed) => text += &format!("  signed   {signed} of {}\n", images(summary.images)),
        None => {}
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

/// How long it took, and how fast that was.
fn pace(summary: &Summary) -> String {
    let tenths = summary.duration_ms / 100;
    let time = format!(" in {}.{} s", tenths / 10, tenths % 10);
    match (summary.fetched_bytes * 1000).checked_div(summary.duration_ms) {
        Some(rate) if summary.fetched_bytes > 0 => format!("{time}, {}/s", show(rate)),
        _ => time,
    }
}
