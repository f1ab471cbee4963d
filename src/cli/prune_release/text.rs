//! What is printed of a release that was pruned.

use super::super::size::{count, show};
use super::PruneOutput;
use crate::model::Platform;
use crate::prune::{Dropped, Foreign, Kept};
use crate::push;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The report for people; with `all`, also every component.
pub fn text(output: &PruneOutput, all: bool) -> String {
    let report = &output.prune;
    let platforms: Vec<String> = report.platforms.iter().map(Platform::to_string).collect();
    let (pruned, kept): (Vec<_>, Vec<_>) = report.components.iter().partition(|component| !component.unchanged);
    let mut text = format!("release {} for {}\n", report.release_version, platforms.join(", "));
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  from     {}\n  to       {}", report.source, report.release);
    let _ = writeln!(text, "  pruned   {}, {} as they were", count(pruned.len() as u64, "component"), kept.len());
    let saved = report.saved;
    let unknown = if saved.of_unknown_content > 0 {
        format!(" and {} of unknown size", saved.of_unknown_content)
    } else {
        String::new()
    };
    let _ = writeln!(
        text,
        "  dropped  {} that no component has any more: {}{unknown}, shared layers counted as often as they are shared",
        count(saved.instances, "instance"),
        show(saved.content_bytes)
    );
    if output.release_push.is_none() && output.components_push.is_none() {
        let _ = writeln!(text, "  pushed   nothing: this is a dry run");
    }
    for (title, push) in [("images", &output.components_push), ("release", &output.release_push)] {
        let Some(sent) = push.as_ref().and_then(|push| push.sent) else { continue };
        let _ = writeln!(
            text,
            "  {title:8} {} sent, {} taken over, {} there before; {}",
            count(sent.blobs, "blob") + &format!(" ({})", show(sent.bytes)),
            sent.mounted,
            sent.present,
            count(sent.manifests, "manifest") + " written"
        );
    }
    let foreign: BTreeSet<&Foreign> = report.images.iter().flat_map(|image| &image.foreign).collect();
    for Foreign { file, reference } in foreign {
        let _ = writeln!(text, "  foreign  {reference}\n           in {file}: no image of the release, left alone");
    }
    for note in &report.notes {
        let _ = writeln!(text, "  note     {note}");
    }
    if all {
        for component in &report.components {
            let digest = component.new_digest.as_ref().unwrap_or(&component.digest);
            let _ = writeln!(text, "\n{}\n  was      {}\n  is       {digest}", component.name, component.pullspec);
            let platform = |platform: &Option<Platform>| platform.as_ref().map_or("-".to_owned(), Platform::to_string);
            for entry in &component.kept {
                let why = match entry.reason {
                    Kept::Architecture => "",
                    Kept::Placeholder => ": a placeholder, and nothing else is there",
                    Kept::Attestation => ": attests what stays",
                };
                let _ = writeln!(text, "  keeps    {} {}{why}", platform(&entry.platform), entry.digest);
            }
            for entry in &component.dropped {
                let why = match entry.reason {
                    Dropped::Architecture => "not chosen",
                    Dropped::Placeholder => "a placeholder",
                    Dropped::Attestation => "attests what is dropped",
                };
                let _ = writeln!(text, "  drops    {} {}: {why}", platform(&entry.platform), entry.digest);
            }
        }
    }
    for push::Difference { object, message, hint, .. } in output.pushes().flat_map(|push| &push.differences) {
        let _ = writeln!(text, "differs  {object}\n         {message}");
        if let Some(hint) = hint {
            let _ = writeln!(text, "         hint: {hint}");
        }
    }
    text
}
