//! Lists against one another.

use super::{Problems, merge};
use crate::model::{Digest, Plan, PlannedImage};
use crate::store::{ALIASES, LOCK, OCI_INDEX};
use crate::validate::embedded::Set;
use crate::validate::view::View;
use crate::validate::{Facts, Problem};
use std::collections::BTreeSet;

const AGAIN: &str = "embed the set again: the lists of one store are written together";

/// The lists can be read.
pub fn readable(facts: &Facts<'_>) -> Problems {
    Ok(facts.sets.iter().flat_map(|set| set.problems.clone()).collect())
}

/// The lists of each set say the same.
pub fn agree(facts: &Facts<'_>) -> Problems {
    let mut problems = Vec::new();
    for (at, set) in facts.sets.iter().enumerate() {
        let Some(plan) = &set.lock else { continue };
        let broken = facts.views.iter().filter(|view| view.set == at && !view.is_whole());
        let broken: BTreeSet<&str> = broken.map(|view| view.name.as_str()).collect();
        problems.extend(with_list(set, plan, &broken));
        problems.extend(aliases(set, plan));
        problems.extend(layout(facts, set, plan));
        for view in facts.views.iter().filter(|view| view.set == at && view.is_whole()) {
            problems.extend(set.locked(&view.name).and_then(|image| with_manifests(set, image, view)));
        }
    }
    problems.extend(between_sets(facts));
    Ok(merge(problems))
}

/// One name with two contents: which of them a device has depends on which import runs last.
fn between_sets(facts: &Facts<'_>) -> Vec<Problem> {
    let views = facts.views.iter().enumerate();
    let twice = views.filter_map(|(at, view)| {
        let name = view.reference.as_ref()?.stored_name();
        let mut others = facts.views[..at].iter().filter(|other| other.set != view.set && other.digest != view.digest);
        let other = others.find(|other| other.reference.as_ref().is_some_and(|own| own.stored_name() == name))?;
        let message = format!("/{} has other content under the same name", other.place);
        Some(Problem::new(format!("/{}", view.place), message).hint(AGAIN).stops([view.name.as_str()]))
    });
    twice.collect()
}

fn problem(set: &Set, name: &str, message: String) -> Problem {
    Problem::new(format!("/{}", set.path(name)), message).hint(AGAIN)
}

/// The image list against the lock. The list is what the import reads; its names and folders are the
/// lock's. Of a broken image its folder is the problem, and told by other checks; so is a line that cannot be
/// read, but only for the name that it begins with.
fn with_list(set: &Set, plan: &Plan, broken: &BTreeSet<&str>) -> Vec<Problem> {
    let Some(list) = set.list.as_deref() else { return Vec::new() };
    let told: BTreeSet<&str> = set.problems.iter().flat_map(|told| &told.references).map(String::as_str).collect();
    let listed: BTreeSet<&str> = set.lines.iter().map(|line| line.name.as_str()).collect();
    let locked: BTreeSet<&str> = plan.images.iter().map(|image| image.reference.as_str()).collect();
    let mut problems = Vec::new();
    for name in locked.difference(&listed).filter(|name| !told.contains(*name)) {
        let message = format!("it does not list `{name}`, which the lock has: it is not imported");
        problems.push(problem(set, list, message).stops([*name]));
    }
    for line in &set.lines {
        let key = line.reference.as_ref().map(crate::model::Reference::key);
        let message = if !locked.contains(line.name.as_str()) {
            format!("it lists `{}`, which the lock does not have", line.name)
        } else if key.is_some_and(|key| key != line.folder) && !broken.contains(line.name.as_str()) {
            format!("it lists `{}` with the folder of another image", line.name)
        } else {
            continue;
        };
        problems.push(problem(set, list, message).stops([line.name.as_str()]));
    }
    problems
}

fn aliases(set: &Set, plan: &Plan) -> Option<Problem> {
    let aliases = set.aliases.as_ref()?;
    let expected = plan.aliases();
    if *aliases == expected {
        return None;
    }
    let differing = expected.aliases.iter().find(|alias| !aliases.aliases.contains(alias));
    let subject = differing.map_or("it names more images".to_owned(), |alias| format!("`{}`", alias.reference));
    Some(problem(set, ALIASES, format!("it does not say what the lock says: {subject}")))
}

/// The OCI layout over the same pool.
fn layout(facts: &Facts<'_>, set: &Set, plan: &Plan) -> Option<Problem> {
    let path = set.path(OCI_INDEX);
    let Some(file) = facts.tree().file(&path) else {
        return Some(problem(set, OCI_INDEX, "it is missing: other tools do not find the images".to_owned()));
    };
    let index: Option<serde_json::Value> = file.bytes.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok());
    let entries = index.as_ref().and_then(|index| index["manifests"].as_array());
    let named = |image: &PlannedImage| {
        let of = |entry: &&serde_json::Value| {
            entry["annotations"]["org.opencontainers.image.ref.name"] == image.reference.as_str()
                && entry["digest"] == image.manifest.digest.to_string()
                && entry["size"] == image.manifest.size
        };
        entries.is_some_and(|entries| entries.iter().any(|entry| of(&entry)))
    };
    let missing = plan.images.iter().find(|image| !named(image));
    let count = entries.map_or(0, Vec::len);
    match missing {
        Some(image) => {
            Some(problem(set, OCI_INDEX, format!("it does not have `{}` as the lock has it", image.reference)))
        }
        None if count != plan.images.len() => {
            Some(problem(set, OCI_INDEX, format!("it has {count} images, the lock has {}", plan.images.len())))
        }
        None => None,
    }
}

/// What the lock says of an image against what its manifests say.
fn with_manifests(set: &Set, image: &PlannedImage, view: &View) -> Option<Problem> {
    let same = |digests: BTreeSet<&Digest>, others: BTreeSet<&Digest>| digests == others;
    let top = view.digest.as_ref().is_some_and(|digest| *digest == image.manifest.digest);
    let found: BTreeSet<&Digest> = view.instances.iter().map(|instance| &instance.manifest.digest).collect();
    let locked: BTreeSet<&Digest> = image.instances.iter().map(|instance| &instance.manifest.digest).collect();
    let blobs = |instances: &[crate::model::Instance]| -> BTreeSet<(Digest, u64)> {
        let blobs = instances.iter().flat_map(crate::model::Instance::blobs);
        blobs.map(|blob| (blob.digest.clone(), blob.size)).collect()
    };
    if top && same(found, locked) && blobs(&view.instances) == blobs(&image.instances) {
        return None;
    }
    let message = format!("it does not say of `{}` what its manifests say", image.reference);
    Some(problem(set, LOCK, message).stops([image.reference.as_str()]))
}

/// Names that collide in a blueprint.
pub fn osbuild(facts: &Facts<'_>) -> Problems {
    let sets = facts.sets.iter().filter_map(|set| Some((set, set.lock.as_ref()?)));
    let hint = "this matters only to images built from a blueprint with these containers";
    let problems = sets.flat_map(|(set, plan)| {
        plan.osbuild_collisions().into_iter().map(|message| Problem::new(set.shown(), message).hint(hint))
    });
    Ok(problems.collect())
}

/// The budget.
pub fn budget(facts: &Facts<'_>) -> Problems {
    let size: u64 = facts.files().values().sum();
    let Some(most) = facts.subject.max_size.filter(|most| size > *most) else { return Ok(Vec::new()) };
    let places: Vec<String> = facts.sets.iter().map(Set::shown).collect();
    let problem =
        Problem::new(places.join(", "), format!("the embedded images have {size} bytes, the budget is {most}"));
    Ok(vec![problem.hint("`bootc-embed plan` shows what each image takes")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tree;
    use crate::model::tree::{File, Node, NodeKind};
    use crate::store::IMAGE_LIST;
    use crate::validate::embedded::find;
    use serde_json::json;

    #[test]
    fn what_the_lock_has_and_no_line_is_not_imported() {
        let blob = json!({ "mediaType": "x", "digest": format!("sha256:{}", "0".repeat(64)), "size": 1 });
        let instance = json!({ "manifest": blob, "config": blob, "layers": [] });
        let image = |name: &str| {
            let found_in = json!([{ "file": "x", "key": "x" }]);
            json!({ "reference": name, "foundIn": found_in, "manifest": blob, "instances": [instance] })
        };
        let lock =
            json!({ "version": 1, "platforms": [], "images": [image("quay.io/a/b:v1"), image("quay.io/a/c:v1")] });
        for (list, unlisted) in [
            (Some("quay.io/a/b:v1,x\nquay.io/a/c:v1,y\n"), &[][..]),
            (Some("quay.io/a/b:v1,x\n"), &["quay.io/a/c:v1"]),
            // The line is told of, with its name.
            (Some("quay.io/a/b:v1,x\nquay.io/a/c:v1\n"), &[]),
            // The line is told of, but not for whom it was.
            (Some("quay.io/a/b:v1,x\nquay.io/a\n"), &["quay.io/a/c:v1"]),
            // Too large to be a list.
            (None, &["quay.io/a/b:v1", "quay.io/a/c:v1"]),
        ] {
            let mut tree = Tree::default();
            for (name, text) in [(LOCK, Some(lock.to_string())), (IMAGE_LIST, list.map(str::to_owned))] {
                let kind =
                    NodeKind::File(File { size: 1, digest: None, bytes: text.map(|text| text.into_bytes().into()) });
                tree.insert(&format!("s/{name}"), Node { mode: 0o644, kind });
            }
            let sets = find(&tree, &["s".to_owned()]);
            // The folders are those of broken images.
            let broken = BTreeSet::from(["quay.io/a/b:v1", "quay.io/a/c:v1"]);
            let problems = with_list(&sets[0], sets[0].lock.as_ref().unwrap(), &broken);
            let stopped: Vec<&String> = problems.iter().flat_map(|problem| &problem.references).collect();
            assert_eq!(stopped, unlisted, "{list:?}");
        }
    }
}
