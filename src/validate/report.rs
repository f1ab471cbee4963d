//! Runs the checks and draws the verdicts.

use super::checks::IMPORT_POLICY;
use super::facts::{Facts, Subject};
use super::{CHECKS, CannotCheck, Check, Needs};
use crate::model::finding::{
    CheckResult, EmbeddedImage, EmbeddedLayer, Outcome, REPORT_VERSION, ReferenceResult, Scope, Summary, Verdict,
};
use crate::model::{Digest, Finding, Origin, Reference, Report, Severity};
use std::collections::{BTreeMap, BTreeSet};

/// Judges a subject with the checks that `wanted` says are to be made.
pub fn run(subject: &Subject<'_>, wanted: impl Fn(&Check) -> bool) -> Report {
    let facts = Facts::new(subject);
    let mut findings: Vec<Finding> = Vec::new();
    let mut checks = Vec::new();
    let mut is_proof_complete = true;
    for check in CHECKS {
        let (outcome, reason) = match left_out(check, &facts, &wanted) {
            Some(reason) => {
                // What the target lacks is told by other checks; what the user left out by nobody.
                is_proof_complete &= !check.proves || wanted(check);
                (Outcome::Skipped, Some(reason))
            }
            None => match (check.run)(&facts) {
                Err(CannotCheck(reason)) => {
                    is_proof_complete &= !check.proves;
                    (Outcome::CouldNotCheck, Some(reason))
                }
                Ok(problems) if problems.is_empty() => (Outcome::Passed, None),
                Ok(problems) => {
                    let own: Vec<Finding> = problems.into_iter().map(|problem| problem.finding(check)).collect();
                    let failed = own.iter().any(|finding| finding.severity == Severity::Error);
                    findings.extend(own);
                    (if failed { Outcome::Failed } else { Outcome::Warned }, None)
                }
            },
        };
        let (name, description) = (check.name.to_owned(), check.description.to_owned());
        checks.push(CheckResult { name, description, outcome, reason });
    }
    findings.sort_by_key(|finding| finding.severity);
    let references = references(subject, &findings, is_proof_complete);
    let count = |verdict| references.iter().filter(|reference| reference.verdict == verdict).count();
    let summary = Summary {
        references: references.len(),
        proven: count(Verdict::Proven),
        failed: count(Verdict::Failed),
        unknown: count(Verdict::Unknown),
    };
    Report {
        version: REPORT_VERSION,
        target: subject.name.clone(),
        scope: if subject.is_system { Scope::System } else { Scope::Store },
        platforms: subject.platforms.chosen().to_vec(),
        summary,
        size: facts.files().values().sum(),
        references,
        excluded: subject.excluded.clone(),
        findings,
        checks,
        embedded: embedded(&facts),
    }
}

/// Why a check is not made.
fn left_out(check: &Check, facts: &Facts<'_>, wanted: impl Fn(&Check) -> bool) -> Option<String> {
    if !wanted(check) {
        return Some("left out by the user".to_owned());
    }
    let system = !facts.subject.is_system
        && match check.needs {
            Needs::System | Needs::SystemWithSet => true,
            Needs::ImportPolicy => !has_import_policy(facts),
            _ => false,
        };
    let set =
        matches!(check.needs, Needs::Set | Needs::Files | Needs::Policy | Needs::SystemWithSet | Needs::ImportPolicy)
            && facts.sets.is_empty();
    let nothing = if system {
        "the target is no whole system"
    } else if check.needs == Needs::Policy && facts.subject.policy.is_none() {
        "there is no policy that can be read; `--policy FILE` names one"
    } else if matches!(check.needs, Needs::Files | Needs::Policy) && facts.subject.storage.is_some() {
        "a containers-storage has no lists, and keeps layers unpacked, without their digests"
    } else if set {
        "nothing is embedded in the target"
    } else {
        return None;
    };
    Some(nothing.to_owned())
}

/// Whether the policy that an import would obey is there.
fn has_import_policy(facts: &Facts<'_>) -> bool {
    facts.tree().file(IMPORT_POLICY).is_some()
}

/// The verdict over everything that is named, valid or not.
fn references(subject: &Subject<'_>, findings: &[Finding], is_proof_complete: bool) -> Vec<ReferenceResult> {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let stopped: BTreeSet<&str> = errors.flat_map(|finding| &finding.references).map(String::as_str).collect();
    let verdict = |reference: &str| {
        if stopped.contains(reference) {
            Verdict::Failed
        } else if is_proof_complete {
            Verdict::Proven
        } else {
            Verdict::Unknown
        }
    };
    // A set may have the image under another spelling of the same name, `docker.io/x` for example.
    let stored = stopped.iter().filter_map(|name| Some(name.parse::<Reference>().ok()?.stored_name()));
    let stored: BTreeSet<String> = stored.collect();
    let mut results: Vec<ReferenceResult> = Vec::new();
    for component in &subject.required.components {
        let reference = component.reference.to_string();
        let by_stored_name = stored.contains(&component.reference.stored_name());
        let verdict = if by_stored_name { Verdict::Failed } else { verdict(&reference) };
        results.push(ReferenceResult { reference, verdict, found_in: component.found_in.clone() });
    }
    let mut invalid: BTreeMap<&str, Vec<Origin>> = BTreeMap::new();
    for entry in &subject.required.invalid {
        invalid.entry(&entry.text).or_default().push(entry.origin.clone());
    }
    for (text, found_in) in invalid {
        let verdict = match verdict(text) {
            // Even where its check was left out, it is no reference.
            Verdict::Proven | Verdict::Unknown => Verdict::Unknown,
            Verdict::Failed => Verdict::Failed,
        };
        results.push(ReferenceResult { reference: text.to_owned(), verdict, found_in });
    }
    results
}

/// What the target carries.
fn embedded(facts: &Facts<'_>) -> Vec<EmbeddedImage> {
    let mut users: BTreeMap<&str, usize> = BTreeMap::new();
    let mut layer_users: BTreeMap<&Digest, BTreeSet<&str>> = BTreeMap::new();
    for view in &facts.views {
        view.files.keys().for_each(|path| *users.entry(path).or_default() += 1);
        for layer in view.instances.iter().flat_map(|instance| &instance.layers) {
            layer_users.entry(&layer.digest).or_default().insert(&view.name);
        }
    }
    let images = facts.views.iter().map(|view| {
        let own = view.files.iter().filter(|(path, _)| users.get(path.as_str()) == Some(&1));
        let layers = view.instances.iter().flat_map(|instance| &instance.layers).map(|layer| EmbeddedLayer {
            digest: layer.digest.clone(),
            size: layer.size,
            images: layer_users.get(&layer.digest).map_or(1, BTreeSet::len),
        });
        EmbeddedImage {
            reference: view.name.clone(),
            place: format!("/{}", view.place),
            digest: view.digest.clone(),
            size: view.files.values().sum(),
            own_size: own.map(|(_, size)| size).sum(),
            layers: layers.collect(),
            signatures: facts.judgement(&view.name).map(|judgement| judgement.result.clone()),
        }
    });
    images.collect()
}
