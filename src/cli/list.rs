//! `list`: what would be embedded, and which file asks for it.

use super::args::{PlatformArgs, RegistryArgs, inputs, warn_of_unusable};
use super::printer::Printer;
use super::release::read_inputs;
use crate::model::{Component, Failure, Invalid, Origin, Pull, Reference, Release};
use anyhow::Result;
use serde::Serialize;
use std::fmt::Write as _;

/// Show which images would be embedded, and which file asks for each.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What names images: an RPM, a release-info file or folder, an installed root, manifests, a reference, …
    #[arg(required = true)]
    inputs: Vec<String>,
    /// Show only this image and everything that asks for it: a reference, or its repository or digest.
    #[arg(long, value_name = "REFERENCE")]
    why: Option<String>,
    #[command(flatten)]
    platforms: PlatformArgs,
    /// For releases in registries.
    #[command(flatten)]
    registry: RegistryArgs,
}

/// What `list --format json` prints.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct ListReport {
    /// The images, in the order they were found.
    pub images: Vec<Component>,
    /// Texts where references should be, which are none.
    pub invalid: Vec<InvalidRow>,
    /// What a runtime pulls although the image may be there.
    pub pulls: Vec<PullRow>,
    /// Files that could not be read whole.
    pub unreadable: Vec<UnreadableRow>,
}

/// A text where a reference should be, which is none.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvalidRow {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub found_in: Origin,
    /// Why it is none.
    pub cause: String,
    /// What to do.
    pub hint: String,
}

/// Something that makes a runtime pull.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullRow {
    /// What is pulled.
    pub reference: Reference,
    /// Where that stands.
    pub found_in: Origin,
    /// What makes it so.
    pub because: String,
}

/// A file that could not be read whole.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct UnreadableRow {
    /// The file.
    pub file: String,
    /// Why not.
    pub cause: String,
}

impl From<Release> for ListReport {
    fn from(release: Release) -> Self {
        let invalid = |Invalid { text, origin: found_in, cause, hint }| InvalidRow { text, found_in, cause, hint };
        let pull = |Pull { reference, origin: found_in, because }| PullRow { reference, found_in, because };
        let unreadable = |(file, cause)| UnreadableRow { file, cause };
        Self {
            images: release.components,
            invalid: release.invalid.into_iter().map(invalid).collect(),
            pulls: release.pulls.into_iter().map(pull).collect(),
            unreadable: release.unreadable.into_iter().map(unreadable).collect(),
        }
    }
}

/// Runs the verb.
pub async fn run(args: &Args, printer: &Printer) -> Result<()> {
    let connect = async || args.registry.connect(printer).await;
    let (inputs, platforms) = (inputs(&args.inputs), args.platforms.chosen());
    let inputs = args.registry.deadline().keep(read_inputs(&inputs, &platforms, connect)).await?;
    let (mut release, _) = args.platforms.discover(&inputs)?;
    if let Some(wanted) = &args.why {
        release.retain(|text| answers(wanted, text));
        if release.components.is_empty() && release.invalid.is_empty() {
            return Err(Failure::check(format!("nothing asks for `{wanted}`"))
                .hint("without `--why`, `list` shows what is asked for; a repository or a digest alone is enough here")
                .into());
        }
    }
    warn_of_unusable(&release, printer);
    let report = ListReport::from(release);
    printer.result(&report, text)?;
    let images = super::size::images(report.images.len());
    printer.say(&format!("{images}; next: `bootc-embed plan` with the same inputs shows their sizes"));
    Ok(())
}

/// Whether a text is what `--why` asks for: the same text, or a reference with that repository or digest.
fn answers(wanted: &str, text: &str) -> bool {
    let by_part = |reference: Reference| {
        let repository = reference.repository().to_string();
        let written = text.strip_suffix(&reference.stored_name()[repository.len()..]).unwrap_or(&repository);
        wanted == repository || wanted == written || reference.digest().is_some_and(|own| own.to_string() == wanted)
    };
    wanted == text || text.parse().is_ok_and(by_part)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_takes_a_reference_or_a_part_that_says_which() {
        let hex = "0".repeat(64);
        let digest = format!("sha256:{hex}");
        let full = format!("quay.io/a/b:v1@{digest}");
        for (wanted, text, is) in [
            (full.as_str(), full.as_str(), true),
            ("quay.io/a/b", &full, true),
            (&digest, &full, true),
            ("quay.io/a", &full, false),
            ("docker.io/busybox", "docker.io/busybox:latest", true),
            ("docker.io/library/busybox", "docker.io/busybox", true),
            ("x:t@x:t", "x:t@x:t", true),
        ] {
            assert_eq!(answers(wanted, text), is, "{wanted} {text}");
        }
    }
}
