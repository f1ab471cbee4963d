//! What the workloads name.

use super::Problems;
use crate::model::Reference;
use crate::validate::{CannotCheck, Facts, Problem};
use std::collections::{BTreeMap, BTreeSet};

/// Where bootc's bound images stand.
const BOUND: &str = "/usr/lib/bootc/bound-images.d/";

/// How many files are named that cannot be read.
const NAMED: usize = 5;

/// Every file can be read.
pub fn readable(facts: &Facts<'_>) -> Problems {
    let unread = facts.tree().unread().iter().map(|(path, cause)| format!("/{path}: {cause}"));
    let workloads = facts.subject.required.unreadable.iter().map(|(file, cause)| format!("{file}: {cause}"));
    let files: Vec<String> = unread.chain(workloads).collect();
    let more = files.len().saturating_sub(NAMED);
    let named = files.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    match (files.is_empty(), more) {
        (true, _) => Ok(Vec::new()),
        (_, 0) => Err(CannotCheck(named)),
        _ => Err(CannotCheck(format!("{named}; and {more} more"))),
    }
}

/// No text stands where a reference should.
pub fn valid(facts: &Facts<'_>) -> Problems {
    let problems = facts.subject.required.invalid.iter().map(|invalid| {
        let message = format!("{}: {}", invalid.origin, invalid.cause);
        Problem::new(invalid.text.clone(), message).stops([invalid.text.clone()]).hint(invalid.hint.clone())
    });
    Ok(super::merge(problems))
}

/// Everything that is named is embedded under that name.
pub fn embedded(facts: &Facts<'_>) -> Problems {
    let names = facts.sets.iter().flat_map(super::super::embedded::Set::names);
    let embedded: BTreeSet<String> =
        names.filter_map(|name| Some(name.parse::<Reference>().ok()?.stored_name())).collect();
    let mut by_digest: BTreeMap<String, &str> = BTreeMap::new();
    for view in &facts.views {
        by_digest.extend(view.digest.as_ref().map(|digest| (digest.to_string(), view.name.as_str())));
    }
    let missing = facts.subject.required.components.iter();
    let missing = missing.filter(|component| !embedded.contains(&component.reference.stored_name()));
    let problems = missing.map(|component| {
        let reference = component.reference.as_str();
        let asked = component.found_in.first().map(|origin| format!("; {origin} asks for it")).unwrap_or_default();
        let other = component.reference.digest().and_then(|digest| by_digest.get(&digest.to_string()));
        let message = match other {
            Some(other) => format!("it is embedded only as `{other}`{asked}"),
            None => format!("it is not embedded{asked}"),
        };
        let hint = "embed it: run `bootc-embed embed` after everything that names images is installed";
        Problem::new(reference, message).hint(hint).stops([reference])
    });
    Ok(problems.collect())
}

/// Nothing pulls what is there.
pub fn never_pulled(facts: &Facts<'_>) -> Problems {
    let problems = facts.subject.required.pulls.iter().map(|pull| {
        let name = pull.reference.as_str();
        Problem::new(name, format!("{}: {}", pull.origin, pull.because))
            .hint("set `imagePullPolicy: IfNotPresent`, or for quadlets `Pull=missing` or `Policy=missing`")
            .stops([name])
    });
    Ok(super::merge(problems))
}

/// References by tag.
pub fn tags(facts: &Facts<'_>) -> Problems {
    let pulled: BTreeSet<&str> = facts.subject.required.pulls.iter().map(|pull| pull.reference.as_str()).collect();
    let moving = facts.subject.required.components.iter().filter(|component| component.reference.digest().is_none());
    let moving = moving.filter(|component| !pulled.contains(component.reference.as_str()));
    let problems = moving.map(|component| {
        let tag = component.reference.tag().unwrap_or("latest");
        let message = format!("the tag `{tag}` may name another image tomorrow; the device keeps the embedded one");
        Problem::new(component.reference.as_str(), message).hint("name the image by digest where you can")
    });
    Ok(problems.collect())
}

/// Images that bootc fetches itself.
pub fn bound(facts: &Facts<'_>) -> Problems {
    let components = facts.subject.required.components.iter();
    let bound = components.filter_map(|component| {
        let origin = component.found_in.iter().find(|origin| origin.file.starts_with(BOUND))?;
        let message = format!("{origin}: bootc fetches it from a registry at installation and at every update");
        let hint = "unbind it (remove the link) and let the import bring it, where updates have no network";
        Some(Problem::new(component.reference.as_str(), message).hint(hint))
    });
    Ok(bound.collect())
}
