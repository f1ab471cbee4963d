//! What the policy of a device says to the signatures of an embedded image: for each instance that a
//! device may run, from the bytes that are embedded, by the name that workloads use.

use super::facts::{DevicePolicy, Facts};
use super::view::View;
use crate::model::finding::{SignatureOutcome, SignatureResult};
use crate::model::{Digest, Instance, RawManifest, Reference};
use crate::registry::proxy::gpg::SkopeoGpg;
use crate::registry::registries_conf::RegistriesConf;
use crate::trust::judge::Reason;
use crate::trust::{Candidate, Gpg, Means, Policy, Requirement, Verdict, judge, scopes};

/// What a policy says to an image, and what could be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// As the report has it.
    pub result: SignatureResult,
    /// What the user can do.
    pub hint: Option<String>,
}

/// Judges an image by the policy of the device; `None` where there is no policy, or no image.
pub fn of_view(facts: &Facts<'_>, view: &View) -> Option<Judgement> {
    let DevicePolicy { policy, name, .. } = facts.subject.policy?;
    let reference = view.reference.as_ref()?;
    let (requirements, scope) = policy.requirements("docker", &scopes::of_docker(reference));
    let mut judgement = judge_instances(facts, view, requirements, Some(reference))?;
    (judgement.result.policy, judgement.result.scope) = (name.to_owned(), scope);
    Some(judgement)
}

/// Judges what the import of an image asks for, which knows folders and no names.
pub fn of_import(facts: &Facts<'_>, view: &View, requirements: &[Requirement]) -> Option<Judgement> {
    judge_instances(facts, view, requirements, None)
}

/// All instances that a device may run must be accepted; the first that is not decides.
fn judge_instances(
    facts: &Facts<'_>,
    view: &View,
    requirements: &[Requirement],
    name: Option<&Reference>,
) -> Option<Judgement> {
    let mut accepted: Option<Judgement> = None;
    let platforms = &facts.subject.platforms;
    let is_run = |instance: &&Instance| !instance.is_attachment() && platforms.may_run(instance.platform.as_ref());
    for instance in view.instances.iter().filter(is_run) {
        let digest = &instance.manifest.digest;
        let signatures = view.signatures.get(digest).map(Vec::as_slice).unwrap_or_default();
        let means = facts.subject.means;
        // OpenPGP is judged with the manifest at hand.
        let raw = manifest(facts, view, digest).filter(|_| facts.subject.may_run_skopeo);
        let gpg = raw.as_ref().map(|raw| SkopeoGpg::new(raw, means.files));
        let means = Means { gpg: gpg.as_ref().map(|gpg| gpg as &dyn Gpg), ..means };
        let verdict = judge(requirements, &Candidate { name, manifest: digest, signatures }, &means);
        match verdict {
            Verdict::Accepted(by) => {
                let by = by.iter().map(|accepted| match accepted.signature {
                    Some(number) => format!("signature {number}, by {}", accepted.by),
                    None => accepted.by.clone(),
                });
                let by: Vec<String> = by.collect();
                let known = accepted.get_or_insert_with(|| judgement(SignatureOutcome::Accepted, None));
                known.result.by.extend(by.into_iter().filter(|by| !known.result.by.contains(by)).collect::<Vec<_>>());
            }
            Verdict::CouldNotCheck(cause) => {
                return Some(judgement(SignatureOutcome::CouldNotCheck, Some(format!("{digest}: {cause}"))));
            }
            Verdict::Rejected(rejection) => {
                let mut rejected = judgement(SignatureOutcome::Rejected, Some(format!("{digest}: {rejection}")));
                let hint = "embed an image that the policy accepts, or name the policy that is right (`--policy`)";
                rejected.hint = rejection.hint().or_else(|| Some(hint.to_owned()));
                if rejection.reason == Reason::NoSignature {
                    explain_absence(facts, view, digest, &mut rejected);
                }
                return Some(rejected);
            }
        }
    }
    accepted
}

/// The bytes of a manifest of a view.
fn manifest(facts: &Facts<'_>, view: &View, digest: &Digest) -> Option<RawManifest> {
    let name = if view.digest.as_ref() == Some(digest) { String::new() } else { format!("{}.", digest.hex()) };
    let bytes = facts.tree().bytes(&format!("{}/{name}manifest.json", view.place))?;
    RawManifest::new(bytes.to_vec(), None).ok()
}

fn judgement(outcome: SignatureOutcome, reason: Option<String>) -> Judgement {
    let result = SignatureResult { outcome, policy: String::new(), scope: String::new(), by: Vec::new(), reason };
    Judgement { result, hint: None }
}

/// Why there is no signature although somebody may think there is one.
fn explain_absence(facts: &Facts<'_>, view: &View, instance: &Digest, rejected: &mut Judgement) {
    let of_index = view.digest.as_ref().filter(|digest| *digest != instance);
    let locked = facts.sets[view.set].locked(&view.name);
    let has_bundle = locked.is_some_and(|image| {
        let signed = image.signed(instance).into_iter().chain(of_index.and_then(|index| image.signed(index)));
        signed.flat_map(|signed| &signed.referrers).any(crate::model::plan::Attached::is_bundle)
    });
    let (why, hint) = if of_index.is_some_and(|index| view.signatures.contains_key(index)) {
        (
            "; the index is signed, its instance is not, and runtimes look at the instance",
            "sign the instances too: `cosign sign --recursive`",
        )
    } else if has_bundle {
        (
            "; there is a bundle of cosign 3, which no runtime reads",
            "have it signed in the form of before too: `cosign sign --new-bundle-format=false`",
        )
    } else if locked.is_some_and(|image| image.signatures.is_empty()) {
        ("; nobody looked for signatures when it was embedded", "embed it again with `--signatures auto`")
    } else {
        ("", "embed from a registry that has the signatures; a mirror often lacks its `sha256-….sig` tags")
    };
    if let Some(reason) = &mut rejected.result.reason {
        reason.push_str(why);
    }
    rejected.hint = Some(hint.to_owned());
}

/// Whether a policy wants sigstore signatures of an image.
pub fn wants_sigstore(policy: &Policy, reference: &Reference) -> bool {
    let (requirements, _) = policy.requirements("docker", &scopes::of_docker(reference));
    requirements.iter().any(|requirement| matches!(requirement, Requirement::SigstoreSigned(_)))
}

/// The names by which the registries that an image may come from are asked for it.
pub fn physical_names(conf: &RegistriesConf, view: &View) -> Vec<Reference> {
    let Some(reference) = &view.reference else { return Vec::new() };
    let suffix = match reference.digest() {
        Some(digest) => format!("@{digest}"),
        None => format!(":{}", reference.tag().unwrap_or("latest")),
    };
    let sources = conf.rewrite(reference).sources.into_iter();
    sources.filter_map(|source| format!("{}{suffix}", source.repository).parse().ok()).collect()
}
