//! `list`: what would be embedded, and which file asks for it.

use super::args::{PlatformArgs, inputs};
use super::printer::Printer;
use crate::model::{Component, Release};
use anyhow::Result;
use serde::Serialize;
use std::fmt::Write as _;

/// Show which images would be embedded, and which file asks for each.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What names images: an RPM, a release-info file or folder, an installed root, a reference, …
    #[arg(required = true)]
    inputs: Vec<String>,
    #[command(flatten)]
    platforms: PlatformArgs,
}

/// What `list --format json` prints.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct ListReport {
    /// The images, in the order they were found.
    pub images: Vec<Component>,
}

/// Runs the verb.
pub fn run(args: &Args, printer: &Printer) -> Result<()> {
    let (Release { components, .. }, _) = args.platforms.discover(&inputs(&args.inputs))?;
    let report = ListReport { images: components };
    printer.result(&report, text)?;
    let images = super::size::images(report.images.len());
    printer.say(&format!("{images}; next: `bootc-embed plan` with the same inputs shows their sizes"));
    Ok(())
}

fn text(report: &ListReport) -> String {
    let mut text = String::new();
    for image in &report.images {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", image.reference);
        for origin in &image.found_in {
            let _ = writeln!(text, "    {origin}");
        }
    }
    text
}
