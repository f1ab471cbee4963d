//! `push`: a set to a registry, and the proof of what it serves.

use super::args::{SetArgs, inputs, read_lock};
#[cfg(feature = "openshift")]
use super::image_stream::{ImageStreamArgs, Pushed, import};
use super::output_file::begin;
use super::printer::Printer;
use super::size::{count, images, show};
#[cfg(feature = "openshift")]
use crate::cluster::Imported;
use crate::model::mirror::{Mirror, destination};
use crate::model::plan::AliasMap;
use crate::model::{Digest, Failure, Plan, Platforms, RawManifest, Release, Repository};
use crate::push::{self, Content, Difference, IndexMode, Push, PushReport, Shape, Work};
use crate::registry::Registry;
use crate::resolve::{Resolved, resolve};
use crate::signatures::collect;
use crate::store::{LOCK, Pool, lock_missing};
use anyhow::{Context as _, Result};
use cap_std_ext::cap_std::{ambient_authority, fs::Dir};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Push a set to a registry, and prove what it serves.
#[derive(Debug, clap::Args)]
#[command(override_usage = "bootc-embed push [OPTIONS] --store <DIR> <DESTINATION>\n       \
                            bootc-embed push [OPTIONS] --lock <FILE> <DESTINATION>\n       \
                            bootc-embed push [OPTIONS] <INPUT>… <DESTINATION>")]
pub struct Args {
    /// What names images, as for `plan`, where neither a store nor a lock is given; last the DESTINATION: a
    /// registry, or the beginning of repositories there. Images keep their paths below it.
    #[arg(required = true, value_name = "INPUT… DESTINATION")]
    operands: Vec<String>,
    /// Push this store, without asking the registries that it came from.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["lock", "platforms", "all_platforms", "exclude"])]
    store: Option<PathBuf>,
    /// Push what this lock says, from registry to registry.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["platforms", "all_platforms", "exclude"])]
    lock: Option<PathBuf>,
    /// Where images of a registry, or below the beginning of a path, go instead; may be given several times.
    #[arg(long, value_name = "SOURCE=MIRROR")]
    mirror: Vec<Mirror>,
    /// What an index becomes some of whose platforms are not in the set.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = IndexMode::Auto)]
    index: IndexMode,
    /// Push nothing: read what the registry serves, and compare.
    #[cfg_attr(feature = "openshift", arg(conflicts_with = "image_streams"))]
    #[arg(long)]
    verify_only: bool,
    /// Replace signature tags that are others in the registry.
    #[arg(long, conflicts_with = "verify_only")]
    overwrite_signatures: bool,
    /// Push also what strict registries refuse: wrong sizes and types, entries that stand twice, empty indexes.
    #[arg(long, conflicts_with = "verify_only")]
    skip_lint: bool,
    /// Write the alias map there, which says what stands for indexes that were pruned.
    #[arg(long, value_name = "FILE")]
    alias_map: Option<PathBuf>,
    #[cfg(feature = "openshift")]
    #[command(flatten)]
    image_streams: ImageStreamArgs,
    #[command(flatten)]
    set: SetArgs,
}

/// What `push --format json` prints.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct PushOutput {
    /// What was pushed and found.
    #[serde(flatten)]
    report: PushReport,
    /// The image streams that point to what was pushed.
    #[cfg(feature = "openshift")]
    #[serde(rename = "imageStreams", skip_serializing_if = "Vec::is_empty")]
    image_streams: Vec<Imported>,
}

/// A set, and where its content is.
struct Set {
    plan: Plan,
    content: Content,
}

/// Runs the verb.
pub async fn run(args: Args, printer: &Printer) -> Result<()> {
    let place = args.operands.last().map(String::as_str).unwrap_or_default();
    let (report, work) = args.set.registry.deadline().keep(push(&args, printer)).await?;
    let differences = report.differences.len();
    let (output, refreshed) = refreshed(&args, report, &work, printer).await;
    printer.result(&output, |output| text(&output.report, place))?;
    refreshed?;
    if differences > 0 {
        let differences =
            if differences == 1 { "1 difference".to_owned() } else { format!("{differences} differences") };
        return Err(Failure::check(format!("`{place}` does not serve what the set has: {differences}")).into());
    }
    if !args.verify_only {
        let known = match (&args.store, &args.lock) {
            (Some(store), _) => format!("--store {}", store.display()),
            (_, Some(lock)) => format!("--lock {}", lock.display()),
            _ => "--lock LOCK".to_owned(),
        };
        if output.report.images.iter().any(|image| image.was.is_some()) {
            printer.say(
                "next: have workloads name the new digests, which `--alias-map FILE` records; mirrors cannot do that",
            );
            return Ok(());
        }
        let mirrors = args.mirror.iter().map(|mirror| format!(" --mirror {mirror}")).collect::<String>();
        let place = place.strip_prefix("docker://").unwrap_or(place);
        let place = format!("--mirror {place}{mirrors}");
        printer.say(&format!("next: `bootc-embed emit mirror-manifests {known} {place} -o DIR`"));
    }
    Ok(())
}

/// What is printed. Image streams follow what was pushed, but nothing that is served wrong.
#[cfg(feature = "openshift")]
async fn refreshed(args: &Args, report: PushReport, work: &Work, printer: &Printer) -> (PushOutput, Result<()>) {
    let imported = if report.differences.is_empty() {
        import(&args.image_streams, &pushed(work), !args.set.registry.verifies_tls(), printer).await
    } else {
        Ok(Vec::new())
    };
    match imported {
        Ok(image_streams) => (PushOutput { report, image_streams }, Ok(())),
        Err(error) => (PushOutput { report, image_streams: Vec::new() }, Err(error)),
    }
}

#[cfg(not(feature = "openshift"))]
async fn refreshed(_: &Args, report: PushReport, _: &Work, _: &Printer) -> (PushOutput, Result<()>) {
    (PushOutput { report }, Ok(()))
}

/// What image streams may point to.
#[cfg(feature = "openshift")]
fn pushed(work: &Work) -> Vec<Pushed> {
    let image = |image: &push::Image| {
        let absent = image.absent.iter().filter(|_| image.shape == Shape::Sparse);
        Pushed {
            repository: image.to.clone(),
            digest: image.top.digest.clone(),
            tags: image.tag.iter().cloned().collect(),
            manifests: image.entries().chain(absent).cloned().collect(),
        }
    };
    work.images.iter().map(image).collect()
}

async fn push(args: &Args, printer: &Printer) -> Result<(PushReport, Work)> {
    let (names, mirrors) = destinations(args)?;
    // What cannot be written is told before anything is pushed.
    let map = args.alias_map.as_deref().map(begin).transpose()?;
    let to = |repository: &Repository| destination(&mirrors, repository);
    let jobs = args.set.registry.jobs();
    let mut set = set(args, names, printer).await?;
    args.set.require_signatures(&set.plan)?;
    args.set.budget.check(&set.plan)?;
    let reader = args.set.registry.reader(printer)?;
    if args.index == IndexMode::All {
        complete(args, &mut set, printer).await?;
    }
    let prune = args.index == IndexMode::Prune;
    // What is only compared is known by its digest.
    let manifests =
        if prune || !args.verify_only { push::manifests(&set.plan, &set.content, jobs).await? } else { HashMap::new() };
    push::check_plan(&set.plan, &manifests)?;
    let work = Work::new(&set.plan, &to, prune, &manifests)?;
    #[cfg(feature = "openshift")]
    args.image_streams.check(&pushed(&work)).await?;
    let report = if args.verify_only {
        let (report, served) = push::verify(&work, reader, jobs, Arc::new(printer.clone())).await?;
        push::check_plan(&set.plan, &served)?;
        report
    } else {
        send(args, work.clone(), manifests, set.content, printer).await?
    };
    if let (Some(path), Some(mut file)) = (&args.alias_map, map) {
        let text = serde_json::to_string_pretty(&aliases(&set.plan, &report))? + "\n";
        let written = file.write_all(text.as_bytes()).and_then(|()| Ok(file.persist(path)?));
        written.with_context(|| format!("writing `{}`", path.display()))?;
        printer.say(&format!("wrote {}", path.display()));
    }
    Ok((report, work))
}

async fn send(
    args: &Args,
    work: Work,
    manifests: HashMap<Digest, RawManifest>,
    content: Content,
    printer: &Printer,
) -> Result<PushReport> {
    let registry = &args.set.registry;
    if !args.skip_lint {
        push::check(&work, &manifests).map_err(|e| e.hint("or leave it out; `--skip-lint` pushes it all the same"))?;
    }
    let push = Push {
        work,
        manifests,
        source: Arc::new(content),
        destination: registry.destination(printer)?,
        reader: registry.reader(printer)?,
        mode: args.index,
        overwrite_signatures: args.overwrite_signatures,
        jobs: registry.jobs(),
        patience: registry.patience(),
        progress: Arc::new(printer.clone()),
    };
    push.run().await
}

/// The inputs, and where repositories go.
fn destinations(args: &Args) -> Result<(&[String], Vec<Mirror>)> {
    let Some((last, names)) = args.operands.split_last() else {
        return Err(Failure::usage("no destination is named").into());
    };
    let from_set = args.store.is_some() || args.lock.is_some();
    if from_set && !names.is_empty() {
        return Err(Failure::usage("a store or a lock says already what is pushed")
            .hint("leave out the inputs; the last operand is the DESTINATION")
            .into());
    }
    if !from_set && names.is_empty() {
        return Err(Failure::usage(format!("what is to be pushed to `{last}`?"))
            .hint("name a store (`--store DIR`), a lock (`--lock FILE`), or inputs before the DESTINATION")
            .into());
    }
    let place = last.strip_prefix("docker://").unwrap_or(last);
    let mirror: Mirror = place.parse().map_err(|e: String| {
        Failure::usage(format!("the destination {e}")).hint("for example `mirror.example.com:5000/team`")
    })?;
    if let Some(without) = args.mirror.iter().find(|mirror| !mirror.has_source()) {
        return Err(Failure::usage(format!("`--mirror {without}` does not say of what it is the mirror"))
            .hint("write `--mirror SOURCE=MIRROR`; the rest goes to the DESTINATION")
            .into());
    }
    Ok((names, std::iter::once(mirror).chain(args.mirror.iter().cloned()).collect()))
}

/// What is pushed, and from where.
async fn set(args: &Args, names: &[String], printer: &Printer) -> Result<Set> {
    if let Some(store) = &args.store {
        if !store.join(LOCK).exists() {
            return Err(lock_missing(store));
        }
        let pool = pool(store).with_context(|| format!("opening the store `{}`", store.display()))?;
        return Ok(Set {
            plan: carried(args, read_lock(&store.join(LOCK))?),
            content: Content { pool, ..Content::default() },
        });
    }
    if let Some(lock) = &args.lock {
        let plan = carried(args, read_lock(lock)?);
        let rest = Some(args.set.registry.connect(printer).await?);
        return Ok(Set { plan, content: Content { rest, ..Content::default() } });
    }
    let (rest, Resolved { plan, content: known }) = args.set.resolve(&inputs(names), None, printer).await?;
    Ok(Set { plan, content: Content { known, rest: Some(rest), ..Content::default() } })
}

fn pool(store: &Path) -> Result<Option<Pool>> {
    let dir = Dir::open_ambient_dir(store, ambient_authority())?;
    Ok(Pool::existing(&dir, Path::new("blobs"))?)
}

fn carried(args: &Args, mut plan: Plan) -> Plan {
    if !args.set.carries_signatures() {
        plan.images.iter_mut().for_each(|image| image.signatures.clear());
    }
    plan
}

/// Adds the platforms that the set leaves out, from the registries that it came from.
async fn complete(args: &Args, set: &mut Set, printer: &Printer) -> Result<()> {
    if set.plan.images.iter().all(|image| image.absent.is_empty()) {
        return Ok(());
    }
    let rest: Arc<dyn Registry> = match set.content.rest.take() {
        Some(rest) => rest,
        None => args.set.registry.connect(printer).await?,
    };
    set.content.rest = Some(rest);
    let (jobs, release) = (args.set.registry.jobs(), Release::from(&set.plan));
    let Resolved { mut plan, mut content } =
        resolve(&release, &Platforms::All, &set.content, jobs, printer).await.context("adding the other platforms")?;
    for (image, was) in plan.images.iter_mut().zip(&set.plan.images) {
        image.moving = was.moving;
    }
    if args.set.carries_signatures()
        && let Some(rest) = &set.content.rest
    {
        collect(&mut plan, &mut content, rest.as_ref(), jobs, printer).await?;
    }
    set.plan = plan;
    set.content.known.extend(content);
    Ok(())
}

/// The alias map of what is in the registry now.
fn aliases(plan: &Plan, report: &PushReport) -> AliasMap {
    let mut map = plan.aliases();
    for (alias, image) in map.aliases.iter_mut().zip(&report.images) {
        alias.pruned = image.was.is_some().then(|| image.digest.clone());
    }
    map
}

/// The report for people.
fn text(report: &PushReport, place: &str) -> String {
    let shapes = [
        (Shape::Sparse, "sparse"),
        (Shape::Pruned, "pruned"),
        (Shape::Complete, "whole"),
        (Shape::Single, "without an index"),
    ];
    let number = |shape: Shape| report.images.iter().filter(|image| image.index == shape).count();
    let shapes = shapes.into_iter().map(|(shape, word)| (number(shape), word)).filter(|(number, _)| *number > 0);
    let shapes: Vec<String> = shapes.map(|(number, word)| format!("{number} {word}")).collect();
    let mut text = format!("{} at {place}: {}\n", images(report.images.len()), shapes.join(", "));
    if let Some(sent) = &report.sent {
        let tenths = report.duration_ms / 100;
        text += &format!(
            "  sent     {} in {} in {}.{} s; {} taken over from other repositories, {} there before\n",
            show(sent.bytes),
            count(sent.blobs, "blob"),
            tenths / 10,
            tenths % 10,
            sent.mounted,
            sent.present
        );
        let wrote = [(sent.manifests, "manifest"), (sent.tags, "tag"), (sent.signatures, "signature tag")];
        text += &row("wrote", &wrote, "");
    }
    let proof = &report.proof;
    let proven = [
        (proof.manifests, "manifest"),
        (proof.tags, "tag"),
        (proof.signatures, "signature tag"),
        (proof.absent, "absent instance"),
        (proof.blobs, "blob"),
    ];
    text += &row(
        "proven",
        &proven,
        if report.differences.is_empty() { " by their sizes" } else { " by their sizes; the rest differs" },
    );
    for image in report.images.iter().filter(|image| image.was.is_some()) {
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "  pruned   {}\n           is now {}@{}", image.reference, image.repository, image.digest);
    }
    for note in &report.notes {
        let _ = writeln!(text, "  note     {note}");
    }
    for Difference { object, message, hint, .. } in &report.differences {
        let _ = writeln!(text, "differs  {object}\n         {message}");
        if let Some(hint) = hint {
            let _ = writeln!(text, "         hint: {hint}");
        }
    }
    text
}

/// How many there are of each, those left out of which there are none.
fn row(title: &str, counts: &[(u64, &str)], end: &str) -> String {
    let counts: Vec<String> =
        counts.iter().filter(|(number, _)| *number > 0).map(|(number, word)| count(*number, word)).collect();
    let counts = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    format!("  {title:8} {counts}{end}\n")
}
