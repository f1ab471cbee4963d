//! `explain`: what a runtime on a root would do with a reference, step by step.

use super::checks;
use super::facts::{Facts, Subject};
use super::view::{Aspect, View};
use crate::model::{Platform, Reference};
use crate::registry::registries_conf::{RegistriesConf, ShortName};
use crate::trust::{Admission, Policy, admits, scopes};
use serde::{Deserialize, Serialize};

/// How a step ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepOutcome {
    /// As it must be.
    Good,
    /// Here the way ends: a runtime would pull, or fail.
    Stop,
    /// Decides nothing.
    Note,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Step {
    /// What is decided.
    pub name: String,
    /// How it ends.
    pub outcome: StepOutcome,
    /// What decides it.
    pub detail: String,
}

/// The way of a reference through a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Explanation {
    /// The reference, as it was asked for.
    pub reference: String,
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// Whether it starts without a network.
    pub resolves: bool,
    /// The first reason why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// Follows a reference.
pub fn explain(text: &str, subject: &Subject<'_>) -> Explanation {
    let facts = Facts::new(subject);
    let mut way = Way { facts: &facts, steps: Vec::new() };
    if let Some(reference) = way.name(text) {
        way.asked(&reference);
        if let Some(view) = way.store(&reference) {
            way.content(view);
            way.import(view);
        }
        way.pull(&reference);
    }
    let because = way.steps.iter().find(|step| step.outcome == StepOutcome::Stop).map(|step| step.detail.clone());
    Explanation { reference: text.to_owned(), resolves: because.is_none(), because, steps: way.steps }
}

struct Way<'f, 'a> {
    facts: &'f Facts<'a>,
    steps: Vec<Step>,
}

impl<'f> Way<'f, '_> {
    fn step(&mut self, name: &str, outcome: StepOutcome, detail: impl Into<String>) {
        self.steps.push(Step { name: name.to_owned(), outcome, detail: detail.into() });
    }

    /// The full name that a runtime looks for.
    fn name(&mut self, text: &str) -> Option<Reference> {
        let conf = match RegistriesConf::from_tree(self.facts.tree()) {
            Ok(conf) => conf,
            Err(e) => {
                self.step("name", StepOutcome::Stop, format!("registries.conf cannot be read: {e}"));
                return None;
            }
        };
        if let Ok(reference) = text.parse::<Reference>() {
            self.step(
                "name",
                StepOutcome::Good,
                format!("it is a full name; storage knows it as `{}`", reference.stored_name()),
            );
            return Some(reference);
        }
        let (candidates, why) = match conf.short_name(text) {
            ShortName::Full(reference) => (vec![reference], "it is a full name".to_owned()),
            ShortName::Alias { reference, file } => {
                let why = format!("it is a short name; {} makes it `{reference}`", file.display());
                (vec![reference], why)
            }
            ShortName::Search { references, file, refused: false } => {
                let why = format!("it is a short name; by {} it may be {}", file.display(), references.join(", "));
                (references, why)
            }
            ShortName::Search { references, file, refused: true } => {
                let why = format!(
                    "it is a short name that may be {}; `short-name-mode` of {} refuses to choose",
                    references.join(", "),
                    file.display()
                );
                self.step("name", StepOutcome::Stop, why);
                return None;
            }
            ShortName::Unresolved(why) => {
                self.step("name", StepOutcome::Stop, why);
                return None;
            }
        };
        let parsed: Vec<Reference> = candidates.iter().filter_map(|text| text.parse().ok()).collect();
        let embedded = parsed.iter().find(|reference| self.by_name(reference).is_some()).or(parsed.first()).cloned();
        let outcome = if embedded.is_some() { StepOutcome::Good } else { StepOutcome::Stop };
        self.step("name", outcome, why);
        embedded
    }

    fn by_name(&self, reference: &Reference) -> Option<&'f View> {
        let name = reference.stored_name();
        self.facts.views.iter().find(|view| view.reference.as_ref().is_some_and(|own| own.stored_name() == name))
    }

    /// Who asks for it, and whether that pulls in any case.
    fn asked(&mut self, reference: &Reference) {
        let required = self.facts.subject.required;
        let component = required.components.iter().find(|c| c.reference.stored_name() == reference.stored_name());
        let detail = match component {
            Some(component) => {
                let origins: Vec<String> = component.found_in.iter().map(ToString::to_string).collect();
                origins.join("; ")
            }
            None => "no workload of this root names it".to_owned(),
        };
        self.step("asked for", StepOutcome::Note, detail);
        let pulls = required.pulls.iter().find(|pull| pull.reference.stored_name() == reference.stored_name());
        match pulls {
            Some(pull) => self.step("pull policy", StepOutcome::Stop, format!("{}: {}", pull.origin, pull.because)),
            None => self.step("pull policy", StepOutcome::Good, "nothing asks to pull it although it is there"),
        }
    }

    /// The embedded image that answers to the name, or to the digest.
    fn store(&mut self, reference: &Reference) -> Option<&'f View> {
        if let Some(view) = self.by_name(reference) {
            self.step("store", StepOutcome::Good, format!("embedded under this name in /{}", view.place));
            return Some(view);
        }
        let same_repository = |view: &&View| {
            let own = view.reference.as_ref();
            own.is_some_and(|own| own.repository() == reference.repository())
        };
        let held = |view: &&View| {
            let instances = view.instances.iter().map(|instance| &instance.manifest.digest);
            let mut digests = view.digest.iter().chain(instances);
            reference.digest().is_some_and(|digest| digests.any(|held| held == digest))
        };
        let by_digest = self.facts.views.iter().find(|view| same_repository(view) && held(view));
        if let Some(view) = by_digest {
            let detail = format!("not under this name, but `{}` of the same repository has this digest", view.name);
            self.step("store", StepOutcome::Good, detail);
            return Some(view);
        }
        let elsewhere = self.facts.views.iter().find(held);
        let detail = match elsewhere {
            Some(view) => format!("it is not embedded; `{}` has its bytes, but is of another repository", view.name),
            None if self.facts.sets.is_empty() => "nothing is embedded in this root".to_owned(),
            None => "no embedded image has this name or digest".to_owned(),
        };
        self.step("store", StepOutcome::Stop, detail);
        None
    }

    /// Index, instance, blobs.
    fn content(&mut self, view: &'f View) {
        let digest = view.digest.as_ref().map(ToString::to_string).unwrap_or_default();
        let platforms: Vec<String> = self.facts.subject.platforms.chosen().iter().map(Platform::to_string).collect();
        let instances: Vec<String> = view.instances.iter().map(|i| i.manifest.digest.to_string()).collect();
        let bytes: u64 = view.files.values().sum();
        let platforms = if platforms.is_empty() { "all platforms".to_owned() } else { platforms.join(", ") };
        for (name, aspects, good) in [
            ("manifest", &[Aspect::Shape, Aspect::Manifest][..], format!("{digest}, byte for byte")),
            ("platform", &[Aspect::Instance, Aspect::Architecture], format!("{platforms}: {}", instances.join(", "))),
            (
                "blobs",
                &[Aspect::Blobs, Aspect::Bytes],
                format!("complete, {} files, {bytes} bytes, all hashed", view.files.len()),
            ),
        ] {
            let problem = view.problems.iter().find(|(aspect, _)| aspects.contains(aspect));
            match problem {
                Some((_, problem)) => {
                    self.step(name, StepOutcome::Stop, format!("{}: {}", problem.subject, problem.message));
                    return;
                }
                None => self.step(name, StepOutcome::Good, good),
            }
        }
    }

    /// From the files into the storage, at boot.
    fn import(&mut self, view: &'f View) {
        if !self.facts.subject.is_system {
            return self.step("import", StepOutcome::Note, "a store alone: what imports it is not known");
        }
        for check in checks::CHECKS.iter().filter(|check| check.name.starts_with("import-")) {
            let stops = match (check.run)(self.facts) {
                Err(super::CannotCheck(reason)) => Some(format!("could not check `{}`: {reason}", check.name)),
                Ok(problems) => problems
                    .into_iter()
                    .find(|problem| problem.references.contains(&view.name))
                    .map(|problem| format!("{}: {}", problem.subject, problem.message)),
            };
            if let Some(detail) = stops {
                return self.step("import", StepOutcome::Stop, detail);
            }
        }
        self.step("import", StepOutcome::Good, "imported at boot, before what needs it");
    }

    /// What a runtime would do if it did pull.
    fn pull(&mut self, reference: &Reference) {
        let Ok(conf) = RegistriesConf::from_tree(self.facts.tree()) else { return };
        let route = conf.rewrite(reference);
        let sources: Vec<String> =
            route.sources.iter().map(|source| format!("{} ({})", source.repository, source.reason)).collect();
        let skipped: Vec<String> =
            route.skipped.iter().map(|skipped| format!("not {} ({})", skipped.repository, skipped.reason)).collect();
        let all = [sources, skipped].concat().join("; ");
        self.step("would pull from", StepOutcome::Note, all);
        let bytes = self.facts.tree().bytes("etc/containers/policy.json");
        let detail = match bytes.map(Policy::parse) {
            None => "there is no /etc/containers/policy.json: every pull fails".to_owned(),
            Some(Err(e)) => format!("/etc/containers/policy.json cannot be used: {e}"),
            Some(Ok(policy)) => {
                let (requirements, scope) = policy.requirements("docker", &scopes::of_docker(reference));
                let name = self.by_name(reference).map(|view| view.name.as_str());
                let judgement = name.and_then(|name| self.facts.judgement(name));
                match admits(requirements) {
                    Admission::Accepts => format!("{scope} accepts it"),
                    Admission::NeedsSignature(kind) if judgement.is_some() => {
                        let result = judgement.map(|judgement| &judgement.result);
                        let by = result.map(|result| result.by.join(", ")).unwrap_or_default();
                        match result.and_then(|result| result.reason.as_deref()) {
                            None => format!("{scope}: {kind}: what is embedded is accepted: {by}"),
                            Some(reason) => format!("{scope}: {kind}: what is embedded is not accepted: {reason}"),
                        }
                    }
                    Admission::Rejects(reason) | Admission::NeedsSignature(reason) => format!("{scope}: {reason}"),
                }
            }
        };
        self.step("policy for pulls", StepOutcome::Note, detail);
    }
}
