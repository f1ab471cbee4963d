//! What the device's policy says to the embedded images, and whether a runtime would find their signatures.

use super::Problems;
use crate::model::finding::SignatureOutcome;
use crate::registry::registries_conf::RegistriesConf;
use crate::registry::registries_d::RegistriesD;
use crate::validate::judgement::{physical_names, wants_sigstore};
use crate::validate::{CannotCheck, Facts, Problem};
use std::collections::BTreeSet;

/// Every image is accepted by the device's policy.
pub fn accepted(facts: &Facts<'_>) -> Problems {
    let given = facts.subject.policy.is_some_and(|policy| policy.given);
    let (mut problems, mut unknown) = (Vec::new(), Vec::new());
    for (view, judgement) in facts.judged() {
        let result = &judgement.result;
        let reason = result.reason.clone().unwrap_or_default();
        match result.outcome {
            SignatureOutcome::Accepted => {}
            SignatureOutcome::Rejected => {
                let message = format!("{} rejects it ({}): {reason}", result.policy, result.scope);
                let mut problem = Problem::new(view.name.clone(), message);
                problem.hint = judgement.hint.clone().map(Into::into);
                problems.push(if given { problem.stops([view.name.clone()]) } else { problem.warning() });
            }
            SignatureOutcome::CouldNotCheck if given => unknown.push(format!("`{}`: {reason}", view.name)),
            SignatureOutcome::CouldNotCheck => {
                let message =
                    format!("whether {} accepts it ({}) could not be checked: {reason}", result.policy, result.scope);
                let hint = "OpenPGP signatures are checked by skopeo with gpg: install both where this runs";
                problems.push(Problem::new(view.name.clone(), message).hint(hint).warning());
            }
        }
    }
    if problems.is_empty() && !unknown.is_empty() { Err(CannotCheck(unknown.join("; "))) } else { Ok(problems) }
}

/// Runtimes can read registries.d, and it has them look for what the policy wants.
pub fn registries_d(facts: &Facts<'_>) -> Problems {
    let tree = facts.tree();
    let settings = match RegistriesD::from_tree(tree) {
        Ok(settings) => settings,
        Err(e) => {
            let problem = Problem::new("/etc/containers/registries.d", e.to_string());
            let hint = "runtimes refuse every image until it is put right; see containers-registries.d(5)";
            return Ok(vec![problem.hint(hint).stops(facts.embedded_names())]);
        }
    };
    // Another check tells of a registries.conf that cannot be read.
    let (Some(device), Ok(conf)) = (facts.subject.policy, RegistriesConf::from_tree(tree)) else {
        return Ok(Vec::new());
    };
    let mut told = BTreeSet::new();
    let mut problems = Vec::new();
    for view in &facts.views {
        if !view.reference.as_ref().is_some_and(|reference| wants_sigstore(device.policy, reference)) {
            continue;
        }
        for physical in physical_names(&conf, view) {
            let setting = settings.use_sigstore_attachments(&physical);
            let repository = physical.repository().to_string();
            if setting.value || !told.insert(repository.clone()) {
                continue;
            }
            let said = match (setting.namespace, setting.file) {
                (Some(namespace), Some(file)) => format!("`{namespace}` in {} says no", file.display()),
                _ => "nothing says so".to_owned(),
            };
            let message = format!(
                "{} wants sigstore signatures, but runtimes do not look for them there (`use-sigstore-attachments`: {said})",
                device.name
            );
            let hint = "`bootc-embed emit policy` writes the drop-in for registries.d; the name of a mirror counts, not the image's";
            problems.push(Problem::new(repository, message).hint(hint).warning());
        }
    }
    Ok(problems)
}
