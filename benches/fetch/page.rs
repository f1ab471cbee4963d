//! The parts of `docs/performance.md` that are made.

use crate::contenders::{Contender, Kind};
use crate::figures::{Figure, mb, peak, per_gb};
use crate::machine::Machine;
use crate::measure::Run;
use crate::rounds::{Outcome, seconds};
use crate::{GROWTH, Measured};

/// All that was found of fetching, as Markdown.
pub fn write(figures: &[Figure], measured: &Measured, machine: &Machine, seconds: f64) -> String {
    let mut text = head(figures, machine, seconds);
    let whole = measured.release.last();
    let tables = [
        ("A, loopback", Some(&measured.product)),
        ("A, 40 ms away", Some(&measured.far)),
        ("A, TLS", Some(&measured.tls)),
        ("B, loopback", whole),
        ("C, loopback", measured.large.as_ref()),
    ];
    for (title, outcome) in tables {
        if let Some(outcome) = outcome {
            text.push_str(&table(title, outcome));
        }
    }
    text.push_str(&growth(&measured.release));
    text
}

/// On what it was measured, and the figures.
pub fn head(figures: &[Figure], machine: &Machine, seconds: f64) -> String {
    let mut text = format!("Measured on {}, with {}.", machine.hardware, machine.programs.join(", "));
    if !machine.missing.is_empty() {
        text.push_str(&format!(" Not there: {}.", machine.missing.join(", ")));
    }
    text.push_str(&format!(" All of it took {:.0} minutes.\n\n", (seconds / 60.0).ceil()));
    text.push_str("| figure | target | measured | |\n|---|---|---|---|\n");
    for Figure { name, target, measured, met } in figures {
        let met = met.map_or("", |met| if met { "met" } else { "**not met**" });
        text.push_str(&format!("| {name} | {target} | {measured} | {met} |\n"));
    }
    text
}

/// A page with the part replaced that something has made.
pub fn replace(page: &str, made_by: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- begin: {made_by} -->"), format!("<!-- end: {made_by} -->"));
    let parts = page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = parts.expect("the page says where its made part begins and ends");
    format!("{before}{begin}\n{text}{end}{after}")
}

fn table(title: &str, outcome: &Outcome) -> String {
    let mut text = format!("\n### {title}: {} files, {:.1} MB\n\n", outcome.files, mb(outcome.bytes));
    text.push_str("| | seconds | bootc-embed takes | MB served | requests | CPU s per GB | peak MiB |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for (contender, runs) in outcome.rows.iter().filter(|(_, runs)| !runs.is_empty()) {
        let served = runs.iter().map(|run| run.bytes).max().unwrap_or_default();
        let requests = runs.iter().map(|run| run.requests).max().unwrap_or_default();
        let memory = memory(contender, runs);
        text.push_str(&format!(
            "| {} | {:.2} | × {:.2} | {:.1} | {requests} | {:.2} | {memory} |\n",
            contender.name,
            seconds(runs),
            outcome.times(runs),
            mb(served),
            per_gb(runs, outcome),
        ));
    }
    text
}

/// Peak memory of this program: a script's own says nothing of the programs that it starts.
pub fn memory(contender: &Contender, runs: &[Run]) -> String {
    match contender.kind {
        Kind::Own | Kind::Again => format!("{:.0}", peak(runs)),
        _ => String::new(),
    }
}

fn growth(parts: &[Outcome]) -> String {
    let mut text = "\n### Growth: the first images of B, loopback\n\n".to_owned();
    text.push_str("| images | files | seconds | requests | peak MiB |\n|---|---|---|---|---|\n");
    for (count, outcome) in GROWTH.iter().zip(parts) {
        let runs = outcome.own();
        let requests = runs.iter().map(|run| run.requests).max().unwrap_or_default();
        let (wall, memory) = (seconds(runs), peak(runs));
        text.push_str(&format!("| {count} | {} | {wall:.2} | {requests} | {memory:.0} |\n", outcome.files));
    }
    text
}
