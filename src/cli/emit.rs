//! `emit`: the files that go with a store.

use super::args::read_lock;
use super::device::{DeviceFiles, PolicyArgs};
use super::embed::{templates, warn};
use super::environment;
use super::fetch::open_or_create;
use super::install::Install;
use super::mirror::{self, MirrorArgs};
use super::printer::Printer;
use crate::emit::{Content, Kind, Known, Output, emit};
use crate::model::{Failure, Plan};
use crate::store::{DEFAULT_PATH, LOCK, lock_missing};
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// Print or write the files that go with a store.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to emit.
    #[arg(required = true, value_enum)]
    kinds: Vec<Kind>,
    /// The lock of the set.
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    lock: Option<PathBuf>,
    /// The store of the set.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Where the store will be in the image.
    #[arg(long, value_name = "DIR", default_value_t = format!("/{DEFAULT_PATH}"))]
    embedded_at: String,
    /// The root of the device, whose policy, registries.d and registries.conf `policy` asks for.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    mirror: MirrorArgs,
    /// A file, or for what has several files a folder, where they get the paths they have in an image.
    /// [default: standard output]
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Folder with templates that replace the built-in ones of the same name.
    #[arg(long, value_name = "DIR")]
    template_dir: Option<PathBuf>,
}

/// Runs the verb.
pub async fn run(args: &Args, printer: &Printer) -> Result<()> {
    let plan = plan(args)?;
    let templates = templates(args.template_dir.as_deref())?;
    let device = if args.kinds.contains(&Kind::Policy) {
        DeviceFiles::read(std::slice::from_ref(&args.root), args.policy.read()?)?
    } else {
        DeviceFiles::default()
    };
    let tags = mirror::look(args.kinds.contains(&Kind::MirrorSignatures), &args.mirror, &plan, printer).await?;
    if args.kinds.contains(&Kind::MirrorManifests) {
        args.mirror.require("mirror-manifests")?;
    }
    let (mirrors, insecure) = (args.mirror.mirrors(), args.mirror.is_insecure());
    let known = Known { tags: &tags, mirrors, insecure, ..device.known() };
    let mut outputs: Vec<Output> = Vec::new();
    for kind in &args.kinds {
        let emitted = emit(*kind, &plan, &args.embedded_at, &templates, &known)?;
        warn(&emitted, printer);
        outputs.extend(emitted.outputs);
    }
    // A policy may come with a drop-in, and some files of mirrors may have nothing to say: all have their places.
    let has_places = args.kinds.iter().any(|kind| matches!(kind, Kind::Policy | Kind::MirrorManifests));
    match &args.output {
        None => printer.data(&printed(&outputs)),
        Some(path) => match outputs.as_slice() {
            [Output { content: Content::File(text, _), .. }] if !path.is_dir() && !has_places => {
                std::fs::write(path, text).with_context(|| format!("writing `{}`", path.display()))?;
                printer.say(&format!("wrote {}", path.display()));
                Ok(())
            }
            _ => {
                let dir = open_or_create(path)?;
                let mut install = Install::new(&dir, environment::source_date_epoch()?);
                outputs.iter().try_for_each(|output| install.put(output))?;
                install.finish()?;
                for output in &outputs {
                    printer.say(&format!("wrote {}", path.join(output.path).display()));
                }
                Ok(())
            }
        },
    }
}

/// The plan that the user named; an empty one where none is needed.
fn plan(args: &Args) -> Result<Plan> {
    if let Some(lock) = &args.lock {
        return read_lock(lock);
    }
    if let Some(store) = &args.store {
        return if store.join(LOCK).exists() { read_lock(&store.join(LOCK)) } else { Err(lock_missing(store)) };
    }
    if args.kinds.iter().any(|kind| kind.needs_plan()) {
        return Err(Failure::usage("this needs to know the images")
            .hint("name them with `--lock FILE` or `--store DIR`")
            .into());
    }
    Ok(Plan { version: crate::model::plan::LOCK_VERSION, platforms: Vec::new(), images: Vec::new() })
}

/// One file as it is; several with their paths between them.
fn printed(outputs: &[Output]) -> String {
    let text = |output: &Output| match &output.content {
        Content::File(text, _) => text.clone(),
        Content::Link(target) => format!("link to {target}\n"),
    };
    match outputs {
        [only] => text(only),
        several => several.iter().map(|output| format!("==> /{} <==\n{}\n", output.path, text(output))).collect(),
    }
}
