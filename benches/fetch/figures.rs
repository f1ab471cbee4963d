//! Figures with their targets.

use crate::contenders::Kind;
use crate::measure::{Run, median};
use crate::rounds::{Outcome, seconds};
use crate::{GROWTH, Measured};

/// MiB that fetching may take at most, whatever the set.
const MEMORY: f64 = 64.0;
/// What noise may add to growth.
const NOISE: f64 = 1.1;

/// One line of the table.
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// What it should be.
    pub target: String,
    /// What it is.
    pub measured: String,
    /// Whether that is met; none where there is no target.
    pub met: Option<bool>,
}

/// One with a target.
pub fn figure(name: &str, target: &str, measured: String, met: bool) -> Figure {
    Figure { name: name.to_owned(), target: target.to_owned(), measured, met: Some(met) }
}

/// One without.
pub fn aside(name: &str, measured: String) -> Figure {
    Figure { name: name.to_owned(), target: String::new(), measured, met: None }
}

/// All figures.
pub fn figures(measured: &Measured) -> Vec<Figure> {
    let Measured { product, far, tls, release, large } = measured;
    let whole = release.last().expect("the whole release was measured");
    let mut all = Vec::new();
    for (name, outcome) in [("A", product), ("B", whole)] {
        all.push(bytes(name, outcome));
        all.push(requests(name, outcome));
    }
    all.extend(against("wall clock of A", Kind::Floor, product, Some(1.15)));
    all.extend(against("wall clock of A", Kind::Peer, product, Some(1.0)));
    all.extend(against("wall clock of A, 40 ms away", Kind::Floor, far, Some(1.2)));
    all.extend(against("wall clock of A, 40 ms away", Kind::Peer, far, None));
    all.extend(against("wall clock of A, TLS", Kind::Floor, tls, None));
    all.extend(against("wall clock of A, TLS", Kind::Peer, tls, None));
    all.extend(against("wall clock of B", Kind::Floor, whole, None));
    all.extend(against("wall clock of B", Kind::Peer, whole, None));
    if let Some(outcome) = large {
        all.extend(against("wall clock of C", Kind::Peer, outcome, None));
    }
    all.extend(second_run(product));
    for (name, outcome) in [("A", Some(product)), ("B", Some(whole)), ("C", large.as_ref())] {
        let Some(outcome) = outcome else { continue };
        let most = peak(outcome.own());
        let name = format!("peak memory of {name}");
        all.push(figure(&name, &format!("≤ {MEMORY} MiB"), format!("{most:.0} MiB"), most <= MEMORY));
    }
    all.push(growth("wall clock, 25 to 190 images of B", "s", release, &|outcome| seconds(outcome.own())));
    all.push(growth("peak memory, 25 to 190 images of B", "MiB", release, &|outcome| peak(outcome.own())));
    all.push(processor(product));
    all
}

/// In MiB, the largest of all runs.
pub fn peak(runs: &[Run]) -> f64 {
    let most = runs.iter().map(|run| run.peak).max().unwrap_or_default();
    u32::try_from(most).map_or(f64::NAN, f64::from) / 1024.0
}

/// Processor seconds for a GB of what must be fetched.
pub fn per_gb(runs: &[Run], outcome: &Outcome) -> f64 {
    median(runs.iter().map(|run| run.cpu)) / (mb(outcome.bytes) / 1000.0)
}

/// In MB, to a tenth of a kB.
pub fn mb(bytes: u64) -> f64 {
    u32::try_from(bytes / 100).map_or(f64::NAN, f64::from) / 10_000.0
}

fn bytes(name: &str, outcome: &Outcome) -> Figure {
    let most = outcome.own().iter().map(|run| run.bytes).max().unwrap_or_default();
    let ratio = mb(most) / mb(outcome.bytes);
    figure(
        &format!("bytes served for {name}, of those of its blobs and manifests"),
        "≤ 1.01",
        format!("{ratio:.4} ({:.1} MB)", mb(most)),
        ratio <= 1.01,
    )
}

fn requests(name: &str, outcome: &Outcome) -> Figure {
    let most = outcome.own().iter().map(|run| run.requests).max().unwrap_or_default();
    let target = outcome.files + 1;
    figure(
        &format!("requests for {name}, of blobs, instances, indexes and one more"),
        &format!("≤ {target}"),
        most.to_string(),
        most <= target,
    )
}

/// How this program compares with the fastest of a kind.
pub fn against(name: &str, kind: Kind, outcome: &Outcome, target: Option<f64>) -> Option<Figure> {
    let (other, runs) = outcome.fastest(kind)?;
    // Not all take part in all rounds.
    let own = outcome.own();
    let (ratio, own) = (outcome.times(runs), seconds(&own[..own.len().min(runs.len())]));
    let what = if kind == Kind::Floor { "its floor" } else { "the fastest other program" };
    let name = format!("{name}, of {what}");
    let measured = format!("{ratio:.2} ({own:.2} s; {}: {:.2} s)", other.name, seconds(runs));
    Some(match target {
        Some(target) => figure(&name, &format!("≤ {target:.2}"), measured, ratio <= target),
        None => aside(&name, measured),
    })
}

fn second_run(outcome: &Outcome) -> Option<Figure> {
    let (_, runs) = outcome.of(Kind::Again).next()?;
    let asked = runs.iter().map(|run| run.blob_requests).max().unwrap_or_default();
    let ratio = 1.0 / outcome.times(runs);
    Some(figure(
        "second run of A: blobs asked for; wall clock, of the first",
        "0; ≤ 0.1",
        format!("{asked}; {ratio:.2} ({:.3} s)", seconds(runs)),
        asked == 0 && ratio <= 0.1,
    ))
}

/// Whether cost grows no faster than the number of images.
fn growth(name: &str, unit: &str, parts: &[Outcome], cost: &dyn Fn(&Outcome) -> f64) -> Figure {
    let costs: Vec<f64> = parts.iter().map(cost).collect();
    let images = GROWTH.map(|count| u32::try_from(count).map_or(f64::NAN, f64::from));
    let met = (1..costs.len()).all(|n| costs[n] / costs[0] <= images[n] / images[0] * NOISE);
    let texts: Vec<String> = costs.iter().map(|cost| format!("{cost:.2}")).collect();
    figure(name, "linear or less", format!("{} {unit}", texts.join(", ")), met)
}

/// Processor time beside that of the parts.
fn processor(outcome: &Outcome) -> Figure {
    let mut text = format!("{:.2}", per_gb(outcome.own(), outcome));
    let others = outcome.of(Kind::Floor).chain(outcome.of(Kind::Aside));
    for (contender, runs) in others.filter(|(contender, _)| contender.name.contains("8 connections, then")) {
        text.push_str(&format!("; {} {:.2}", contender.name, per_gb(runs, outcome)));
    }
    aside("processor seconds for a GB of A", text)
}
