//! `prune-release`: a release of OpenShift that carries only some architectures, pushed and read back.

mod build;
mod text;

use super::args::RegistryArgs;
use super::embed::templates;
use super::fetch::open_or_create;
use super::install::Install;
use super::output_file::begin;
use super::printer::Printer;
use super::release;
use super::report::format_of;
use super::size::count;
use super::{Format, environment};
use crate::emit::{Content as Emitted, Kind, Known, emit};
use crate::model::mirror::Mirror;
use crate::model::{Digest, Failure, Platform, RawManifest, Reference};
use crate::prune::{Content, PruneReport, Rewrite};
use crate::push::{self, IndexMode, Push, PushReport, Work};
use crate::registry::Registry;
use anyhow::{Context as _, Result};
use build::{Built, build};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use text::text;

/// Build a release of OpenShift that carries only some architectures, push it, and prove what the registry serves.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The release: a reference, `oci:DIR[:REF]`, or `dir:DIR`.
    from: String,
    /// Carry this platform, as os/architecture; may be given several times.
    #[arg(long = "platform", value_name = "PLATFORM", required = true)]
    platforms: Vec<Platform>,
    /// Where the new release goes, with its tag.
    #[arg(long, value_name = "REGISTRY/REPO:TAG")]
    to: Reference,
    /// Where the images of its components go.
    #[arg(long, value_name = "REGISTRY/REPO")]
    to_components: Reference,
    /// Leave out the images of `pod` that stand where a component is not built for an architecture.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    drop_placeholders: bool,
    /// Prune this component only; may be given several times. [default: all]
    #[arg(long = "component", value_name = "NAME")]
    components: Vec<String>,
    /// Push nothing: only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Write the report there: `.json` or `.txt`.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write old and new pullspecs there, as a JSON object.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Write there what makes clusters find the unchanged images: ImageDigestMirrorSet and the like.
    #[arg(long, value_name = "DIR")]
    mirror_manifests: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// What `prune-release --format json` prints.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PruneOutput {
    /// What was made of the release.
    #[serde(flatten)]
    prune: PruneReport,
    /// The push of the components; nothing of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    components_push: Option<PushReport>,
    /// The push of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    release_push: Option<PushReport>,
}

/// Runs the verb.
pub async fn run(args: Args, printer: &Printer) -> Result<()> {
    // Before anything is asked for.
    let format = args.report.as_deref().map(format_of).transpose()?;
    if let Some(Format::Html | Format::Junit) = format {
        return Err(Failure::usage("the report of `prune-release` is `.json` or `.txt`").into());
    }
    check_places(&args)?;
    let file = args.report.as_deref().map(begin).transpose()?;
    let (output, checked) = args.registry.deadline().keep(Box::pin(prune(&args, printer))).await?;
    printer.result(&output, |output| text(output, false))?;
    if let (Some(path), Some(mut file)) = (&args.report, file) {
        let content = if format == Some(Format::Json) { json(&output)? } else { text(&output, true) };
        let written = std::io::Write::write_all(&mut file, content.as_bytes()).and_then(|()| Ok(file.persist(path)?));
        written.with_context(|| format!("writing `{}`", path.display()))?;
        printer.say(&format!("wrote {}", path.display()));
    }
    checked?;
    let different: Vec<&push::Difference> = output.pushes().flat_map(|push| &push.differences).collect();
    if different.is_empty() {
        return Ok(());
    }
    let differences = count(different.len() as u64, "difference");
    let released = if output.release_push.is_some() { "" } else { "; the release was not pushed" };
    Err(Failure::check(format!("the registry does not serve what was pushed: {differences}{released}")).into())
}

/// The places must be what they are used as: a tag, and a repository.
fn check_places(args: &Args) -> Result<()> {
    let last = |reference: &Reference| reference.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    if args.to.digest().is_some() || !last(&args.to).contains(':') {
        return Err(Failure::usage(format!("`--to {}` has no tag, or has a digest", args.to))
            .hint("name repository and tag: `registry.example.com/edge/release:4.20.1`")
            .into());
    }
    let from = args.from.strip_prefix("docker://").unwrap_or(&args.from);
    let is_same = |from: &Reference| from.repository() == args.to.repository() && from.tag() == args.to.tag();
    if from.parse::<Reference>().is_ok_and(|from| is_same(&from)) {
        return Err(Failure::usage(format!("`--to {}` is the release that is pruned: it would be replaced", args.to))
            .hint("give the new release a repository of its own")
            .into());
    }
    if last(&args.to_components).contains([':', '@']) {
        return Err(Failure::usage(format!("`--to-components {}` is no repository", args.to_components))
            .hint("leave out tag and digest: each image gets a tag of its own")
            .into());
    }
    Ok(())
}

/// What was done, and whether the release that is read back is the one that was pushed.
async fn prune(args: &Args, printer: &Printer) -> Result<(PruneOutput, Result<()>)> {
    let registry = args.registry.connect(printer).await?;
    let place = release::find(&args.from, &registry).await?;
    printer.say(&format!("reading {}", place.name));
    let release = release::read(&place, &args.platforms).await?;
    let built = build(args, &place, release, &registry, printer).await?;
    if let Some(path) = &args.map {
        write(path, &json(&built.report.pullspecs)?, printer)?;
    }
    if let Some(folder) = &args.mirror_manifests {
        mirror_manifests(args, &built, folder, printer)?;
    }
    push::check(&built.components, &built.manifests)?;
    if args.dry_run {
        return Ok((PruneOutput { prune: built.report, components_push: None, release_push: None }, Ok(())));
    }
    let Built { report, plan: _, manifests, known, components, release, release_manifests, release_blobs, rewrite } =
        built;
    let content = push::Content { known, rest: Some(registry.clone()), ..push::Content::default() };
    let components_push = send(args, components, manifests, Arc::new(content), printer).await?;
    if !components_push.differences.is_empty() {
        let output = PruneOutput { prune: report, components_push: Some(components_push), release_push: None };
        return Ok((output, Ok(())));
    }
    let work = Work { images: vec![release], pruned: HashMap::new(), lost_signatures: 0 };
    let content = push::Content { known: release_blobs, rest: Some(place.source), ..push::Content::default() };
    let release_push = send(args, work, release_manifests, Arc::new(content), printer).await?;
    let mut checked = Ok(());
    if release_push.differences.is_empty() {
        let other = |error: anyhow::Error| {
            let text = format!("the release was pushed, but what is read back from `{}` is not it", args.to);
            Failure::check(text).because(error).into()
        };
        checked = check(args, &report, &rewrite, printer).await.map_err(other);
    }
    let output =
        PruneOutput { prune: report, components_push: Some(components_push), release_push: Some(release_push) };
    Ok((output, checked))
}

async fn send(
    args: &Args,
    work: Work,
    manifests: HashMap<Digest, RawManifest>,
    source: Arc<dyn Registry>,
    printer: &Printer,
) -> Result<PushReport> {
    let push = Push {
        work,
        manifests,
        source,
        destination: args.registry.destination(printer)?,
        reader: args.registry.reader(printer)?,
        mode: IndexMode::Prune,
        overwrite_signatures: false,
        jobs: args.registry.jobs(),
        patience: args.registry.patience(),
        progress: Arc::new(printer.clone()),
    };
    push.run().await
}

/// Reads the release as a cluster will: it must be the new one, and name nothing but what was pushed.
async fn check(args: &Args, report: &PruneReport, rewrite: &Rewrite, printer: &Printer) -> Result<()> {
    // Of the registry itself, whatever mirrors there are.
    let registry: Arc<dyn Registry> = Arc::new(args.registry.reader(printer)?);
    let place = release::find(&args.to.to_string(), &registry).await?;
    let release = release::read(&place, &args.platforms).await?;
    let content = Content::read(&release.images, release.top.is_index())?;
    let differs = |what: String| {
        Failure::check(format!("the new release `{}` {what}", args.to))
            .hint("another writer may have been there; run the same command again")
    };
    if place.image.to_string() != report.release {
        return Err(differs(format!("is {}, not {}", place.image, report.release)).into());
    }
    let new: BTreeSet<&Reference> = rewrite.pullspecs.values().collect();
    if let Some(other) = content.components.iter().find(|component| !new.contains(&component.pullspec)) {
        return Err(differs(format!("names `{}`, which was not pushed", other.pullspec)).into());
    }
    for image in &release.images {
        let left = rewrite.apply(&image.payload)?.replacements;
        // A second pruning to the same places changes nothing.
        let changes = rewrite.pullspecs.iter().any(|(old, new)| old != new);
        if let (true, Some((file, _))) = (changes, left.iter().next()) {
            return Err(differs(format!("still names images of the old one, in `{file}`")).into());
        }
    }
    printer.say(&format!("the release at `{}` names nothing but what was pushed", args.to));
    Ok(())
}

/// What makes clusters find unchanged images where they were pushed.
fn mirror_manifests(args: &Args, built: &Built, folder: &Path, printer: &Printer) -> Result<()> {
    let to = args.to_components.repository();
    let sources: BTreeSet<String> =
        built.plan.images.iter().map(|image| image.reference.repository().to_string()).collect();
    let mirrors: Vec<Mirror> = sources
        .iter()
        .map(|source| format!("{source}={to}").parse::<Mirror>())
        .collect::<Result<_, _>>()
        .map_err(Failure::usage)?;
    let known = Known { mirrors: &mirrors, insecure: !args.registry.verifies_tls(), ..Known::default() };
    let emitted = emit(Kind::MirrorManifests, &built.plan, "/usr/lib/bootc-embed", &templates(None)?, &known)?;
    let dir = open_or_create(folder)?;
    let mut install = Install::new(&dir, environment::source_date_epoch()?);
    emitted.outputs.iter().try_for_each(|output| install.put(output))?;
    install.finish()?;
    for output in emitted.outputs.iter().filter(|output| matches!(output.content, Emitted::File(..))) {
        printer.say(&format!("wrote {}", folder.join(output.path).display()));
    }
    Ok(())
}

fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn write(path: &Path, content: &str, printer: &Printer) -> Result<()> {
    std::fs::write(path, content).with_context(|| format!("writing `{}`", path.display()))?;
    printer.say(&format!("wrote {}", path.display()));
    Ok(())
}

impl PruneOutput {
    fn pushes(&self) -> impl Iterator<Item = &PushReport> {
        self.components_push.iter().chain(&self.release_push)
    }
}
