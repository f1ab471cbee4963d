//! `plan`: resolve only; sizes, shared bytes, bytes saved; the lock.

use super::args::{SetArgs, inputs};
use super::printer::Printer;
use super::size::{images, show};
use crate::model::{Digest, Plan, Platform, Reference};
use crate::resolve::{Survey, survey};
use crate::store::lock_text;
use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Resolve only: sizes, shared bytes, bytes saved; writes the lock with -o.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What names images: an RPM, a release-info file or folder, an installed root, manifests, a reference, …
    #[arg(required = true)]
    inputs: Vec<String>,
    /// Write the lock there; `fetch --locked` takes it.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    set: SetArgs,
}

/// What `plan --format json` prints. Sizes are in bytes.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// The platforms that were chosen; empty where all are kept.
    pub platforms: Vec<Platform>,
    /// The images, in the order they were found.
    pub images: Vec<PlanRow>,
    /// All of them together; `native_bytes` counts what is shared once.
    pub total: Sizes,
}

/// One image.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanRow {
    /// What the workload names.
    pub reference: Reference,
    /// What it resolves to.
    pub digest: Digest,
    /// `index` or `manifest`.
    pub kind: &'static str,
    /// Named by a tag.
    pub moving: bool,
    /// Whether each of its instances has a signature that runtimes read; `null` where nobody looked.
    pub signed: Option<bool>,
    /// Its sizes.
    #[serde(flatten)]
    pub sizes: Sizes,
}

/// Sizes of an image or of the set, in bytes.
#[derive(Debug, Clone, Copy, Default, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the unit is part of the name in JSON")]
pub struct Sizes {
    /// What the set keeps of it: indexes, manifests, configs, layers of the platforms.
    pub native_bytes: u64,
    /// The part of that which an image before it has too; it is stored once.
    pub shared_bytes: u64,
    /// A copy of all platforms in a folder of its own, as `skopeo copy --all` makes.
    pub all_platforms_bytes: u64,
    /// What is saved against that.
    pub saved_bytes: u64,
}

/// Runs the verb.
pub async fn run(args: Args, printer: &Printer) -> Result<()> {
    let work = async {
        let (registry, resolved) = args.set.resolve(&inputs(&args.inputs), None, printer).await?;
        let survey = survey(&resolved, registry.as_ref(), args.set.registry.jobs(), printer).await?;
        Ok((resolved, survey))
    };
    let (resolved, survey) = args.set.registry.deadline().keep(work).await?;
    let plan = &resolved.plan;
    printer.result(&report(plan, &survey), text)?;
    if survey.unknown > 0 {
        let unknown = survey.unknown;
        printer
            .warn(&format!("{unknown} manifests of other platforms could not be read, so `all platforms` is too low"));
    }
    args.set.budget.check(plan)?;
    if let Some(path) = &args.output {
        super::output::write(path, &lock_text(plan), None)
            .with_context(|| format!("writing lock `{}`", path.display()))?;
        printer.say(&format!("next: `bootc-embed fetch --locked {} --store DIR`", path.display()));
    }
    Ok(())
}

/// Adds up sizes.
pub fn report(plan: &Plan, survey: &Survey) -> PlanReport {
    let mut seen: BTreeSet<&Digest> = BTreeSet::new();
    let mut total = Sizes::default();
    let mut images = Vec::new();
    for (image, all) in plan.images.iter().zip(&survey.images) {
        let (mut own, mut shared) = (0_u64, 0_u64);
        for (digest, descriptor) in image.content() {
            let sum = if seen.insert(digest) { &mut own } else { &mut shared };
            *sum = sum.saturating_add(descriptor.size);
        }
        let sizes = Sizes {
            native_bytes: own.saturating_add(shared),
            shared_bytes: shared,
            all_platforms_bytes: *all,
            saved_bytes: all.saturating_sub(own),
        };
        total.native_bytes = total.native_bytes.saturating_add(own);
        total.shared_bytes = total.shared_bytes.saturating_add(shared);
        total.all_platforms_bytes = total.all_platforms_bytes.saturating_add(*all);
        total.saved_bytes = total.saved_bytes.saturating_add(sizes.saved_bytes);
        images.push(PlanRow {
            reference: image.reference.clone(),
            digest: image.manifest.digest.clone(),
            kind: if image.is_index() { "index" } else { "manifest" },
            moving: image.moving,
            signed: (!image.signatures.is_empty()).then(|| image.unsigned().next().is_none()),
            sizes,
        });
    }
    PlanReport { platforms: plan.platforms.clone(), images, total }
}

fn text(report: &PlanReport) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["IMAGE", "KIND", "NATIVE", "SHARED", "ALL PLATFORMS", "SAVED"]);
    let row = |name: String, kind: &str, sizes: &Sizes| {
        let Sizes { native_bytes, shared_bytes, all_platforms_bytes, saved_bytes } = *sizes;
        [name, kind.to_owned(), show(native_bytes), show(shared_bytes), show(all_platforms_bytes), show(saved_bytes)]
    };
    for image in &report.images {
        let kind = if image.moving { format!("{} by tag", image.kind) } else { image.kind.to_owned() };
        table.add_row(row(short(&image.reference), &kind, &image.sizes));
    }
    table.add_row(row(format!("{}, each blob once", images(report.images.len())), "", &report.total));
    for (position, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if position >= 2 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let looked: Vec<bool> = report.images.iter().filter_map(|image| image.signed).collect();
    let signed = looked.iter().filter(|signed| **signed).count();
    let signed = if looked.is_empty() {
        String::new()
    } else {
        format!("signed: {signed} of {}\n", images(report.images.len()))
    };
    lines.join("\n") + "\n" + &signed
}

/// A reference with its digest shortened, so that a row fits a line.
fn short(reference: &Reference) -> String {
    match reference.digest() {
        Some(digest) => reference.as_str().replace(digest.hex(), digest.short()),
        None => reference.to_string(),
    }
}
