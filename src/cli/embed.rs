//! `embed`: discover, resolve, fetch and emit into a root.

use super::args::{SetArgs, inputs};
use super::device::{DeviceFiles, PolicyArgs};
use super::environment;
use super::fetch::{CacheArgs, existing, fill, open_or_create, text};
use super::install::Install;
use super::printer::Printer;
use super::validate::{conclude, prove};
use crate::discover::{Input, Kind as InputKind, has_crio};
use crate::emit::{Emitted, Kind, Output, REGISTRIES_D, Templates, emit};
use crate::fetch::Summary;
use crate::model::{self, Failure, Finding, Severity};
use crate::store::{DEFAULT_PATH, Store};
use anyhow::{Context as _, Result};
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Discover, resolve, fetch and emit into a root: the main job.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What names images. [default: the root itself]
    inputs: Vec<String>,
    /// The root of the image that is being built.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// The store, as a path inside of the root.
    #[arg(long, value_name = "DIR", default_value_t = format!("/{DEFAULT_PATH}"))]
    store: String,
    /// Folder with templates that replace the built-in ones of the same name.
    #[arg(long, value_name = "DIR")]
    template_dir: Option<PathBuf>,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Do not check afterwards that what was embedded starts offline.
    #[arg(long)]
    no_validate: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    set: SetArgs,
}

/// What `embed --format json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    store: String,
    #[serde(flatten)]
    summary: Summary,
    emitted: Vec<String>,
    /// What `validate` says of it; `None` where it was left out.
    validation: Option<model::Report>,
}

/// Runs the verb.
pub async fn run(mut args: Args, printer: &Printer) -> Result<()> {
    let mut inputs = inputs(&args.inputs);
    if inputs.is_empty() {
        let root = args.root.to_string_lossy().into_owned();
        inputs.push(Input { kind: Some(InputKind::Rootfs), value: root, bytes: None });
    }
    if args.store.trim_matches('/').is_empty() {
        return Err(Failure::usage("the store cannot be the root itself")
            .hint("choose a folder, for example `/usr/lib/bootc-embed`")
            .into());
    }
    let templates = templates(args.template_dir.as_deref())?;
    let store_path = Path::new(args.store.trim_matches('/'));
    let mut roots = vec![args.root.clone()];
    roots.extend(inputs.iter().filter_map(rootfs_of));
    // Where the device looks for signatures, they are looked for now.
    for root in &roots {
        args.set.registry.look_in(root);
    }
    let deadline = args.set.registry.deadline();
    let resolving = args.set.resolve(&inputs, existing(&args.root, store_path)?, printer);
    let (registry, resolved) = deadline.keep(resolving).await?;
    args.set.budget.check(&resolved.plan)?;
    let plan = resolved.plan.clone();

    // Rendered before anything is written: a template that fails leaves the root as it was.
    let device = DeviceFiles::read(&roots, args.policy.read()?)?;
    let real_store = real_path(&args.root, store_path);
    let crio = has_crio(&args.root) || inputs.iter().any(|input| has_crio(Path::new(&input.value)));
    let kinds = [Some(Kind::ImportUnit), crio.then_some(Kind::CrioPins)];
    let mut outputs: Vec<Output> = Vec::new();
    for kind in kinds.into_iter().flatten() {
        outputs.extend(emit(kind, &plan, &args.store, &templates, &device.known())?.outputs);
    }
    // Policies know folders by their paths without links.
    let policy = emit(Kind::Policy, &plan, &real_store, &templates, &device.known())?;
    warn(&policy, printer);
    outputs.extend(policy.outputs);

    let fill = async {
        let mtime = environment::source_date_epoch()?;
        let root = open_or_create(&args.root)?;
        let mut install = Install::new(&root, mtime);
        outputs.iter().try_for_each(|output| install.check(output))?;
        install.folder(store_path)?;
        let store = Store::create(&root, store_path, mtime)?;
        let fill = fill(resolved, registry, store, &args.cache, args.set.registry.jobs(), printer);
        let summary = deadline.keep(fill).await?;
        outputs.iter().try_for_each(|output| install.put(output))?;
        if !outputs.iter().any(|output| output.path == REGISTRIES_D) {
            // What an earlier run needed and this one does not.
            install.remove(REGISTRIES_D)?;
        }
        install.finish()?;
        let name = format!("rootfs:{}", args.root.display());
        let validation =
            (!args.no_validate).then(|| prove(&root, name, &args.store, &plan, &templates, &device, printer));
        Ok::<_, anyhow::Error>((summary, validation.transpose()?))
    };
    let (summary, validation) = fill.await.with_context(|| format!("embedding into `{}`", args.root.display()))?;
    let emitted = outputs.iter().map(|output| format!("/{}", output.path)).collect();
    let report = Report { store: args.store.clone(), summary, emitted, validation };
    printer.result(&report, |report| {
        let place = format!("{} for {}", report.store, plan.platforms());
        let written: String = report.emitted.iter().map(|path| format!("  wrote    {path}\n")).collect();
        let proof = report.validation.as_ref().map(|report| proof(report, printer));
        text(&report.summary, &place) + &written + &proof.unwrap_or_default()
    })?;
    report.validation.as_ref().map_or(Ok(()), |report| conclude(report, false))?;
    printer.say("next: boot the image; `bootc-embed-import.service` imports the set before MicroShift starts");
    Ok(())
}

/// The root that an input is, if it is one.
fn rootfs_of(input: &Input) -> Option<PathBuf> {
    let path = PathBuf::from(&input.value);
    let is_root = input.kind == Some(InputKind::Rootfs) || (input.kind.is_none() && path.join("usr").is_dir());
    is_root.then_some(path)
}

/// A path below a root as it is without links, as far as it is there already.
fn real_path(root: &Path, path: &Path) -> String {
    let real = Dir::open_ambient_dir(root, ambient_authority()).ok().and_then(|root| {
        path.ancestors().find_map(|above| {
            let real = root.canonicalize(above).ok()?;
            Some(real.join(path.strip_prefix(above).ok()?))
        })
    });
    real.unwrap_or_else(|| path.to_owned()).to_string_lossy().into_owned()
}

/// The checks whose warnings `embed` shows.
const OF_SIGNATURES: [&str; 3] = ["signatures", "registries-d", "import-policy"];

/// The errors and the verdict, and what is wrong with signatures. Other warnings are for `validate`: here the
/// user has just been told of tags.
fn proof(report: &model::Report, printer: &Printer) -> String {
    let mut report = report.clone();
    let is_told =
        |finding: &Finding| finding.severity == Severity::Error || OF_SIGNATURES.contains(&finding.check.as_str());
    report.findings.retain(is_told);
    format!("\n{}", super::report::text(&report, printer.colours_data()))
}

/// The built-in templates, and those of the user's folder.
pub fn templates(dir: Option<&Path>) -> Result<Templates> {
    let dir = dir.map(|path| {
        Dir::open_ambient_dir(path, ambient_authority()).map_err(|e| {
            Failure::usage(format!("the template folder `{}` cannot be opened", path.display())).because(e)
        })
    });
    Templates::new(dir.transpose()?.as_ref())
}

/// Warnings of emitters, for verbs that print them.
pub fn warn(emitted: &Emitted, printer: &Printer) {
    for warning in &emitted.warnings {
        printer.warn(warning);
    }
}
