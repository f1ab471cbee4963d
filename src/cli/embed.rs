//! `embed`: discover, resolve, fetch and emit into a root.

use super::args::{SetArgs, inputs};
use super::environment;
use super::fetch::{CacheArgs, existing, fill, open_or_create, text};
use super::install::Install;
use super::printer::Printer;
use super::validate::{conclude, prove};
use crate::discover::{Input, Kind as InputKind, has_crio};
use crate::emit::{Emitted, Kind, Output, Templates, emit};
use crate::fetch::Summary;
use crate::model::{self, Failure, Severity};
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
pub async fn run(args: Args, printer: &Printer) -> Result<()> {
    let mut inputs = inputs(&args.inputs);
    if inputs.is_empty() {
        let root = args.root.to_string_lossy().into_owned();
        inputs.push(Input { kind: Some(InputKind::Rootfs), value: root });
    }
    if args.store.trim_matches('/').is_empty() {
        return Err(Failure::usage("the store cannot be the root itself")
            .hint("choose a folder, for example `/usr/lib/bootc-embed`")
            .into());
    }
    let templates = templates(args.template_dir.as_deref())?;
    let store_path = Path::new(args.store.trim_matches('/'));
    let deadline = args.set.registry.deadline();
    let resolving = args.set.resolve(&inputs, existing(&args.root, store_path)?, printer);
    let (registry, resolved) = deadline.keep(resolving).await?;
    args.set.budget.check(&resolved.plan)?;
    let plan = resolved.plan.clone();

    // Rendered before anything is written: a template that fails leaves the root as it was.
    let crio = has_crio(&args.root) || inputs.iter().any(|input| has_crio(Path::new(&input.value)));
    let kinds = [Some(Kind::ImportUnit), crio.then_some(Kind::CrioPins)];
    let mut outputs: Vec<Output> = Vec::new();
    for kind in kinds.into_iter().flatten() {
        outputs.extend(emit(kind, &plan, &args.store, &templates)?.outputs);
    }

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
        install.finish()?;
        let name = format!("rootfs:{}", args.root.display());
        let validation = (!args.no_validate).then(|| prove(&root, name, &args.store, &plan, &templates, printer));
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

/// The errors and the verdict. Warnings are for `validate`: here the user has just been told of tags.
fn proof(report: &model::Report, printer: &Printer) -> String {
    let mut report = report.clone();
    report.findings.retain(|finding| finding.severity == Severity::Error);
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
