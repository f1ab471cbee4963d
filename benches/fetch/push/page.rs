//! What is said of pushing in `docs/performance.md`.

use super::Pushing;
use crate::contenders::Kind;
use crate::figures::{Figure, against, figure, mb, per_gb};
use crate::machine::Machine;
use crate::measure::{Run, Taken};
use crate::page::{head, memory};
use crate::rounds::{Outcome, seconds};

/// All that was found of pushing, as Markdown.
pub fn page(pushing: &Pushing, machine: &Machine, seconds: f64) -> String {
    let Pushing { from_registry, from_store, pruned } = pushing;
    let sections = [
        ("A, from registry to registry", from_registry),
        ("A, from a store of all platforms", from_store),
        ("A, native, from a store, indexes pruned", pruned),
    ];
    let mut text = head(&figures(&sections), machine, seconds);
    for (title, outcome) in sections {
        text.push_str(&table(title, outcome));
    }
    text
}

fn figures(sections: &[(&str, &Outcome); 3]) -> Vec<Figure> {
    let mut all = Vec::new();
    for (number, (title, outcome)) in sections.iter().enumerate() {
        let target = (number == 0).then_some(0.5);
        all.extend(against(&format!("push of {title}"), Kind::Peer, outcome, target));
        all.extend(against(&format!("push of {title}"), Kind::Floor, outcome, None));
        all.push(uploads(title, outcome));
    }
    all
}

fn uploads(title: &str, outcome: &Outcome) -> Figure {
    let again = outcome.of(Kind::Again).flat_map(|(_, runs)| runs);
    let uploads = again.map(|run| run.taken.uploads).max();
    let measured = uploads.map_or_else(|| "not known".to_owned(), |count| count.to_string());
    figure(&format!("uploads of the second push of {title}"), "0", measured, uploads == Some(0))
}

fn table(title: &str, outcome: &Outcome) -> String {
    let mut text = format!("\n### Pushing {title}: {} files, {:.1} MB\n\n", outcome.files, mb(outcome.bytes));
    text.push_str(
        "| | seconds | bootc-embed takes | MB from the source | requests to it | MB to the destination | \
         requests to it | of them for uploads | CPU s per GB | peak MiB |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (contender, runs) in outcome.rows.iter().filter(|(_, runs)| !runs.is_empty()) {
        let most = |of: &dyn Fn(&Run) -> u64| runs.iter().map(of).max().unwrap_or_default();
        let count = |of: &dyn Fn(&Taken) -> usize| runs.iter().map(|run| of(&run.taken)).max().unwrap_or_default();
        text.push_str(&format!(
            "| {} | {:.2} | × {:.2} | {:.1} | {} | {:.1} | {} | {} | {:.2} | {} |\n",
            contender.name,
            seconds(runs),
            outcome.times(runs),
            mb(most(&|run| run.bytes)),
            runs.iter().map(|run| run.requests).max().unwrap_or_default(),
            mb(most(&|run| run.taken.bytes)),
            count(&|taken| taken.requests),
            count(&|taken| taken.uploads),
            per_gb(runs, outcome),
            memory(contender, runs),
        ));
    }
    text
}
