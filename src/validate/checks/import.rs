//! The way from the embedded files into the runtime's storage, at boot.

use super::Problems;
use crate::model::Tree;
use crate::model::finding::SignatureOutcome;
use crate::model::tree::normal;
use crate::model::unit::{drop_in_folders, parse};
use crate::trust::{Admission, Policy, Requirement, admits, scopes};
use crate::validate::embedded::Set;
use crate::validate::judgement::{self, Judgement};
use crate::validate::units::{Unit, services};
use crate::validate::view::View;
use crate::validate::{CannotCheck, Facts, Problem};
use std::collections::BTreeSet;

/// This program's import unit.
const OWN_UNIT: &str = "bootc-embed-import.service";
/// The service whose drop-in imports, in MicroShift's documented recipe.
const MICROSHIFT: &str = "microshift.service";
const CRIO: &str = "crio.service";
/// Where quadlets stand that run as services of the system.
const QUADLETS: [&str; 2] = ["etc/containers/systemd", "usr/share/containers/systemd"];

const EMIT: &str = "`bootc-embed emit import-unit -o ROOT` writes unit, script and link";

/// What imports a set.
pub struct Importer {
    /// The unit.
    pub unit: Unit,
    /// The script that it starts, where it is one that can be read.
    script: Option<String>,
}

impl Importer {
    /// Whether it is a drop-in of MicroShift's own service, as in the documented recipe.
    pub fn is_recipe(&self) -> bool {
        self.unit.name == MICROSHIFT
    }
}

/// Whether a script imports the images of a place, which it names itself, or its unit for it.
fn imports_from(unit: &Unit, text: &str, place: &str) -> bool {
    let names = text.contains(place) || unit.mentions(place);
    names && text.contains("skopeo") && text.contains("containers-storage:")
}

/// Files that units of a root start and that are not known by name: to be read, then looked at again.
pub fn missing_programs(tree: &Tree, places: &[String]) -> Vec<String> {
    let units = services(tree).into_iter().filter_map(|name| Unit::read(tree, &name));
    let imports = |unit: &Unit| {
        let known = [OWN_UNIT, MICROSHIFT].contains(&unit.name.as_str());
        known || unit.mentions("skopeo") || places.iter().any(|place| unit.mentions(&format!("/{place}")))
    };
    let programs = units.filter(imports).flat_map(|unit| unit.programs());
    programs.filter_map(|path| normal(&path)).filter(|path| tree.get(path).is_none()).collect()
}

/// What imports a set: a unit that names it, or that starts a script which does.
fn importer(tree: &Tree, set: &Set) -> Option<Importer> {
    let place = set.shown();
    let mut names = services(tree);
    // This program's own unit is the one that is meant where several would do.
    names.sort_by_key(|name| name != OWN_UNIT);
    names.into_iter().find_map(|name| {
        let unit = Unit::read(tree, &name)?;
        let scripts = unit.programs();
        let text = |path: &String| tree.bytes(path).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        if let Some(script) =
            scripts.iter().find(|path| text(path).is_some_and(|text| imports_from(&unit, &text, &place)))
        {
            return Some(Importer { script: Some(script.clone()), unit });
        }
        let named = unit.mentions(&place) || (name == OWN_UNIT && set.place == crate::store::DEFAULT_PATH);
        named.then(|| Importer { script: scripts.into_iter().next(), unit })
    })
}

/// Each set with its importer, for those that have one.
pub fn importers<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = (&'f Set, Importer)> {
    facts.sets.iter().filter_map(|set| Some((set, importer(facts.tree(), set)?)))
}

/// The names that a set's list has.
pub fn names(set: &Set) -> Vec<String> {
    set.lines.iter().map(|line| line.name.clone()).collect()
}

/// A unit imports every set, by a script that is there.
pub fn unit(facts: &Facts<'_>) -> Problems {
    let tree = facts.tree();
    let (mut problems, mut unknown) = (Vec::new(), Vec::new());
    for set in &facts.sets {
        let Some(importer) = importer(tree, set) else {
            let own = Unit::read(tree, OWN_UNIT).is_some();
            let message = if own {
                format!("`{OWN_UNIT}` imports another store than this one")
            } else {
                "no systemd unit imports it at boot".to_owned()
            };
            problems.push(Problem::new(set.shown(), message).hint(EMIT).stops(names(set)));
            continue;
        };
        let Some(script) = importer.script else {
            let message = format!("`{}` starts nothing", importer.unit.name);
            problems.push(Problem::new(set.shown(), message).hint(EMIT).stops(names(set)));
            continue;
        };
        let message = match tree.resolve(&script) {
            None => format!("`{script}`, which `{}` starts, is missing", importer.unit.name),
            Some((_, node)) if node.mode & 0o111 == 0 => format!("`{script}` is not executable"),
            Some((_, node)) => {
                let text = node.file().and_then(|file| file.bytes.as_deref()).map(String::from_utf8_lossy);
                match judge_script(facts, &importer.unit, set, text.as_deref()) {
                    Judged::Imports => continue,
                    Judged::Unknown(why) => {
                        unknown.push(format!("`{script}` {why}, so whether it imports {} is not known", set.shown()));
                        continue;
                    }
                    Judged::Else => {
                        format!("`{script}` does not copy the images of this store into containers-storage")
                    }
                }
            }
        };
        problems.push(Problem::new(set.shown(), message).hint(EMIT).stops(names(set)));
    }
    // What is wrong for certain is said first; it leaves nothing proven either.
    if problems.is_empty() && !unknown.is_empty() { Err(CannotCheck(unknown.join("; "))) } else { Ok(problems) }
}

/// What can be told of a script.
enum Judged {
    Imports,
    Unknown(&'static str),
    Else,
}

fn judge_script(facts: &Facts<'_>, unit: &Unit, set: &Set, text: Option<&str>) -> Judged {
    let is_own = unit.name == OWN_UNIT;
    match text {
        None => Judged::Unknown("cannot be read"),
        Some(text) if is_own && facts.subject.scripts.iter().any(|own| own == text) => Judged::Imports,
        Some(text) if !is_own && !text.starts_with("#!") => Judged::Unknown("is no script"),
        Some(text) if !text.starts_with("#!") || !imports_from(unit, text, &set.shown()) => Judged::Else,
        Some(_) if is_own => {
            Judged::Unknown("is not what this version writes (`--template-dir` names other templates)")
        }
        Some(_) => Judged::Imports,
    }
}

/// The unit is started.
pub fn enabled(facts: &Facts<'_>) -> Problems {
    let mut problems = Vec::new();
    for (set, Importer { unit, .. }) in importers(facts) {
        let conditions = if unit.name == MICROSHIFT { Vec::new() } else { unit.conditions(facts.tree(), &set.shown()) };
        let message = if unit.is_masked {
            format!("`{}` is masked", unit.name)
        } else if unit.name != MICROSHIFT && !unit.is_enabled(facts.tree()) {
            format!("`{}` is not enabled: no target that every boot reaches wants it", unit.name)
        } else if let Some(condition) = conditions.first() {
            format!("it starts only where `{condition}` holds")
        } else {
            continue;
        };
        problems.push(Problem::new(unit.name.clone(), message).hint(EMIT).stops(names(set)));
    }
    Ok(problems)
}

/// The import comes after CRI-O has repaired its storage, and before what needs the images.
pub fn order(facts: &Facts<'_>) -> Problems {
    let tree = facts.tree();
    let has = |program: &str, unit: &str| tree.resolve(program).is_some() || Unit::read(tree, unit).is_some();
    let mut problems = Vec::new();
    for (set, Importer { unit, .. }) in importers(facts) {
        let mut wrong = |message: String, hint: &'static str, stopped: Vec<String>| {
            problems.push(Problem::new(unit.name.clone(), message).hint(hint).stops(stopped));
        };
        let after_it = |name: &str| {
            Unit::read(tree, name).is_some_and(|other| other.ordered("After").contains(&unit.name.as_str()))
        };
        let before_it = |name: &str| {
            Unit::read(tree, name).is_some_and(|other| other.ordered("Before").contains(&unit.name.as_str()))
        };
        if unit.ordered("After").contains(&MICROSHIFT) && unit.name != MICROSHIFT {
            wrong(
                "it comes after `microshift.service`".to_owned(),
                "take `After=microshift.service` out of it",
                names(set),
            );
        }
        if has("usr/bin/crio", CRIO) && !unit.ordered("After").contains(&CRIO) && !before_it(CRIO) {
            let hint =
                "add `After=crio.service`: at its start CRI-O may empty a storage that was not shut down cleanly";
            wrong("it may run before `crio.service`".to_owned(), hint, names(set));
        }
        let before = unit.ordered("Before");
        let waits = || unit.name == MICROSHIFT || before.contains(&MICROSHIFT) || after_it(MICROSHIFT);
        if has("usr/bin/microshift", MICROSHIFT) && !waits() {
            let hint = "add `Before=microshift.service`: pods must not start before their images are there";
            wrong("`microshift.service` does not wait for it".to_owned(), hint, names(set));
        }
        for (file, service, after) in quadlets(facts) {
            let named = |name: &String| asks(facts, name, &file);
            let images: Vec<String> = names(set).into_iter().filter(named).collect();
            if !images.is_empty() && !before.contains(&service.as_str()) && !after.contains(&unit.name) {
                let hint = "embed again, so that the import unit names the services of all quadlets";
                wrong(format!("`{service}` ({file}) does not wait for it"), hint, images);
            }
        }
    }
    Ok(problems)
}

/// Whether a file asks for an image.
fn asks(facts: &Facts<'_>, name: &str, file: &str) -> bool {
    let component = facts.subject.required.components.iter().find(|component| component.reference.as_str() == name);
    component.is_some_and(|component| component.found_in.iter().any(|origin| origin.file == file))
}

/// The quadlets of the system that ask for images: file, service, and what that waits for.
fn quadlets(facts: &Facts<'_>) -> BTreeSet<(String, String, Vec<String>)> {
    let tree = facts.tree();
    let origins = facts.subject.required.components.iter().flat_map(|component| &component.found_in);
    let files = origins.map(|origin| origin.file.as_str()).filter(|file| {
        let path = file.trim_start_matches('/');
        let of_system = QUADLETS.iter().filter_map(|place| path.strip_prefix(place));
        of_system.into_iter().any(|below| !below.starts_with("/users/"))
    });
    let quadlets = files.filter_map(|file| {
        let path = file.trim_start_matches('/');
        let (stem, kind) = path.rsplit('/').next()?.rsplit_once('.')?;
        let section = match kind {
            "container" => "Container",
            "kube" => "Kube",
            _ => return None,
        };
        let mut unit = parse(tree.bytes(path).unwrap_or_default());
        for folder in drop_in_folders(&format!("{stem}.{kind}"))
            .iter()
            .flat_map(|folder| QUADLETS.map(|place| format!("{place}/{folder}")))
        {
            for name in tree.names(&folder) {
                unit.merge(parse(tree.bytes(&format!("{folder}/{name}")).unwrap_or_default()));
            }
        }
        let service = unit.last(section, "ServiceName").unwrap_or(stem);
        let lines = unit.section("Unit").filter(|(key, _)| *key == "After");
        let after = lines.flat_map(|(_, value)| value.split_whitespace()).map(str::to_owned).collect();
        Some((file.to_owned(), format!("{service}.service"), after))
    });
    quadlets.collect()
}

/// skopeo is there.
pub fn tools(facts: &Facts<'_>) -> Problems {
    let found = ["usr/bin/skopeo", "usr/local/bin/skopeo"].iter().filter_map(|path| facts.tree().resolve(path));
    if found.into_iter().any(|(_, node)| node.file().is_some() && node.mode & 0o111 != 0) {
        return Ok(Vec::new());
    }
    let problem = Problem::new("/usr/bin/skopeo", "it is missing or not executable: nothing can be imported");
    Ok(vec![problem.hint("install the package `skopeo` in the image").stops(facts.embedded_names())])
}

/// Where skopeo looks for its policy when root runs it, the one that wins first.
const POLICIES: [&str; 2] = ["root/.config/containers/policy.json", "etc/containers/policy.json"];
/// The policy that this program's script names, where it is there.
pub const IMPORT_POLICY: &str = "usr/share/bootc-embed/import-policy.json";

/// The policy lets every view through.
pub fn policy(facts: &Facts<'_>) -> Problems {
    let tree = facts.tree();
    let mut problems = Vec::new();
    for (at, set) in facts.sets.iter().enumerate() {
        let is_named = importer(tree, set).and_then(|importer| importer.script).is_some_and(|script| {
            tree.bytes(&script).is_some_and(|text| String::from_utf8_lossy(text).contains(&format!("/{IMPORT_POLICY}")))
        });
        // Of a root that is no whole system, the script is not looked at.
        let own = (is_named || !facts.subject.is_system).then_some(IMPORT_POLICY);
        let own = own.filter(|path| tree.file(path).is_some());
        problems.extend(policy_of_set(facts, at, own)?);
        if own.is_some() {
            problems.extend(policy_of_device(facts));
        }
    }
    Ok(super::merge(problems))
}

/// The import does without the device's own policy, but runtimes refuse every image while it cannot be read.
fn policy_of_device(facts: &Facts<'_>) -> Option<Problem> {
    let path = POLICIES.iter().find(|path| facts.tree().get(path).is_some())?;
    let error = match facts.tree().bytes(path).map(Policy::parse) {
        Some(Ok(_)) => return None,
        Some(Err(e)) => e.to_string(),
        None => "it is no file that can be read".to_owned(),
    };
    let problem = Problem::new(format!("/{path}"), format!("runtimes refuse it: {error}"));
    Some(problem.hint("correct it; see containers-policy.json(5)").stops(facts.embedded_names()))
}

fn policy_of_set(facts: &Facts<'_>, set: usize, own: Option<&'static str>) -> Problems {
    let tree = facts.tree();
    let views = || facts.views.iter().filter(|view| view.set == set);
    let names = || views().map(|view| view.name.clone());
    let mut places = own.into_iter().chain(POLICIES);
    let Some((path, file)) = places.find_map(|path| Some((path, tree.file(path)?))) else {
        let path = format!("/{}", POLICIES[1]);
        let problem = Problem::new(path, "it is missing: without a policy skopeo imports nothing");
        let hint = "install the package that brings it (containers-common), or write one";
        return Ok(vec![problem.hint(hint).stops(names())]);
    };
    let shown = format!("/{path}");
    let bytes = file.bytes.as_deref().ok_or_else(|| CannotCheck(format!("{shown} has {} bytes", file.size)))?;
    let policy = match Policy::parse(bytes) {
        Ok(policy) => policy,
        Err(e) => {
            let problem = Problem::new(shown, format!("skopeo refuses it: {e}"));
            return Ok(vec![problem.hint("correct it; see containers-policy.json(5)").stops(names())]);
        }
    };
    let (mut problems, mut unknown) = (Vec::new(), Vec::new());
    for view in views() {
        // The scopes are those of the folder itself, whatever links lead to it.
        let place = tree.resolve(&view.place).map_or_else(|| view.place.clone(), |(place, _)| place);
        let (requirements, scope) = policy.requirements("dir", &scopes::of_dir(&format!("/{place}")));
        // Many images have one rule; it is called by what they share.
        let scope = if own.is_some() && scope != "default" { "dir".to_owned() } else { scope };
        let (message, hint) = match admits(requirements) {
            Admission::Accepts => {
                problems.extend(own.and_then(|_| unverified(facts, view)));
                continue;
            }
            Admission::Rejects(reason) => (
                format!("{scope}: {reason}: the import of the embedded images is rejected"),
                "`bootc-embed emit policy` writes a policy for the import alone, which the import script uses",
            ),
            Admission::NeedsSignature(reason) => {
                let Some(Judgement { result, .. }) = judgement::of_import(facts, view, requirements) else { continue };
                match result.outcome {
                    SignatureOutcome::Accepted => continue,
                    SignatureOutcome::CouldNotCheck => {
                        let cause = result.reason.unwrap_or_default();
                        unknown.push(format!("{shown}: {scope}: {reason}: `{}`: {cause}", view.name));
                        continue;
                    }
                    SignatureOutcome::Rejected if view.signatures.is_empty() => (
                        format!("{scope}: {reason}, and the embedded images carry none"),
                        "embed from a registry that has the signatures (`--signatures require` tells at once)",
                    ),
                    SignatureOutcome::Rejected => (
                        format!("{scope}: {}", result.reason.unwrap_or_default()),
                        "embed the signature that the policy wants, or the policy that fits the image",
                    ),
                }
            }
        };
        problems.push(Problem::new(shown.clone(), message).hint(hint).stops([view.name.clone()]));
    }
    // What is wrong for certain is said first; it leaves nothing proven either.
    if problems.is_empty() && !unknown.is_empty() { Err(CannotCheck(unknown.join("; "))) } else { Ok(problems) }
}

/// An import that asks for nothing although the device has a key for the image.
fn unverified(facts: &Facts<'_>, view: &View) -> Option<Problem> {
    let (device, reference) = (facts.subject.policy?, view.reference.as_ref()?);
    let (wanted, scope) = device.policy.requirements("docker", &scopes::of_docker(reference));
    let mut asked = wanted.iter().filter(|requirement| **requirement != Requirement::InsecureAcceptAnything);
    asked.find_map(|requirement| requirement.for_folder(reference))?;
    let message = format!("the import does not verify what {} has a key for ({scope})", device.name);
    let hint = "embed again, or write the policy of the import anew: `bootc-embed emit policy`";
    Some(Problem::new(format!("/{IMPORT_POLICY}"), message).hint(hint).warning())
}
