//! `explain`: what a runtime on a root would do with a reference.

use super::args::PlatformArgs;
use super::device::Evidence;
use super::embed::templates;
use super::printer::Printer;
use super::validate::{Judged, open, read_root};
use crate::model::Failure;
use crate::validate::{Explanation, StepOutcome, explain};
use anyhow::{Context as _, Result};
use owo_colors::OwoColorize as _;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Say step by step whether a reference starts without a network, and why not.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What a workload names; short names too.
    reference: String,
    /// The root of the system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Folder with embedded images, inside of the root; may be given several times.
    /// [default: /usr/lib/bootc-embed and the folders of MicroShift's recipes]
    #[arg(long, value_name = "DIR")]
    store: Vec<String>,
    #[command(flatten)]
    platforms: PlatformArgs,
}

/// Runs the verb.
pub fn run(args: &Args, printer: &Printer) -> Result<()> {
    let name = format!("rootfs:{}", args.root.display());
    let explained = || -> Result<Explanation> {
        let tree = read_root(&open(&args.root)?, &args.store, None, printer)?;
        let judged = Judged::system(&tree, &args.store, args.platforms.given(), None)?;
        let evidence = Evidence::of(&tree, true, None);
        Ok(explain(&args.reference, &judged.subject(name.clone(), None, &templates(None)?, &evidence)))
    };
    let explanation = explained().with_context(|| format!("explaining `{}` on {name}", args.reference))?;
    let coloured = printer.colours_data();
    printer.result(&explanation, |explanation| text(explanation, coloured))?;
    match &explanation.because {
        None => Ok(()),
        Some(because) => Err(Failure::check(format!("`{}` does not start offline: {because}", args.reference))
            .hint("`bootc-embed validate` shows everything that is wrong, with what to do")
            .into()),
    }
}

fn text(explanation: &Explanation, coloured: bool) -> String {
    let mut text = String::new();
    for step in &explanation.steps {
        let word = match step.outcome {
            StepOutcome::Good => "ok  ",
            StepOutcome::Stop => "STOP",
            StepOutcome::Note => "    ",
        };
        let word = match (coloured, step.outcome) {
            (true, StepOutcome::Good) => word.green().to_string(),
            (true, StepOutcome::Stop) => word.red().bold().to_string(),
            _ => word.to_owned(),
        };
        let detail: String = step.detail.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{word}  {:17} {detail}", step.name);
    }
    let verdict = match &explanation.because {
        None => "resolves offline".to_owned(),
        Some(_) => "would pull, or fail, at the first STOP".to_owned(),
    };
    let _ =
        writeln!(text, "{}: {verdict}", explanation.reference.chars().filter(|c| !c.is_control()).collect::<String>());
    text
}
