//! What is embedded, file by file.

use super::{Problems, merge};
use crate::model::Reference;
use crate::model::tree::NodeKind;
use crate::store::{ALIASES, IMAGE_LIST, LOCK, OCI_INDEX, OCI_LAYOUT};
use crate::validate::embedded::{MAPPING, Set, named_digest};
use crate::validate::view::Aspect;
use crate::validate::{Facts, Problem};
use std::collections::{BTreeMap, BTreeSet};

fn of(facts: &Facts<'_>, aspect: Aspect) -> Problems {
    let problems = facts.views.iter().flat_map(|view| &view.problems);
    Ok(merge(problems.filter(|(of, _)| *of == aspect).map(|(_, problem)| problem.clone())))
}

/// Bytes of what references resolve to.
pub fn manifests(facts: &Facts<'_>) -> Problems {
    of(facts, Aspect::Manifest)
}

/// Native instances.
pub fn instances(facts: &Facts<'_>) -> Problems {
    of(facts, Aspect::Instance)
}

/// Configs and layers are there.
pub fn blobs(facts: &Facts<'_>) -> Problems {
    of(facts, Aspect::Blobs)
}

/// Configs and layers are what their digests name; so is everything else in the pools.
pub fn bytes(facts: &Facts<'_>) -> Problems {
    let mut problems = of(facts, Aspect::Bytes)?;
    let looked_at = facts.files();
    for set in &facts.sets {
        let pool = facts.tree().resolve(&set.path("blobs/sha256")).map(|(pool, _)| pool);
        let files = pool.iter().flat_map(|pool| facts.tree().below(pool));
        for (path, node) in files.filter(|(path, _)| !looked_at.contains_key(path)) {
            let Some(file) = node.file() else { continue };
            if let (Some(named), Some(found)) = (named_digest(path), &file.digest)
                && named != *found
            {
                let message = format!("its bytes are damaged: sha256 is {}, not {}", found.hex(), named.hex());
                problems.push(Problem::new(format!("/{path}"), message).hint("no image needs it; remove it"));
            }
        }
    }
    Ok(problems)
}

/// Configs fit.
pub fn architectures(facts: &Facts<'_>) -> Problems {
    of(facts, Aspect::Architecture)
}

/// Folders and links.
pub fn shapes(facts: &Facts<'_>) -> Problems {
    of(facts, Aspect::Shape)
}

/// What nobody needs.
pub fn unused(facts: &Facts<'_>) -> Problems {
    let mut problems: Vec<Problem> =
        facts.sets.iter().enumerate().filter_map(|(at, set)| unused_files(facts, set, at)).collect();
    problems.extend(unused_images(facts));
    Ok(problems)
}

/// Files of a set that belong to none of its images.
fn unused_files(facts: &Facts<'_>, set: &Set, at: usize) -> Option<Problem> {
    let tree = facts.tree();
    let views: Vec<_> = facts.views.iter().filter(|view| view.set == at).collect();
    // Without a lock, what a broken image would need is not known.
    if !set.problems.is_empty() || (set.lock.is_none() && views.iter().any(|view| !view.is_whole())) {
        return None;
    }
    let root = if set.place.is_empty() { String::new() } else { tree.resolve(&set.place)?.0 };
    let below = |name: &str| if root.is_empty() { name.to_owned() } else { format!("{root}/{name}") };
    let needed = facts.files();
    let locked =
        set.lock.as_ref().map(|plan| plan.content().into_keys().cloned().collect::<BTreeSet<_>>()).unwrap_or_default();
    let listed = views.iter().filter_map(|view| view.place.rsplit('/').next()).map(str::to_owned);
    let folders: BTreeSet<String> = listed.chain(set.references().into_iter().map(Reference::key)).collect();
    let mut unused: BTreeMap<String, u64> = BTreeMap::new();
    for view in &views {
        unused.extend(view.foreign.iter().map(|(path, size)| (path.clone(), *size)));
    }
    let pool = below("blobs/sha256");
    for (path, node) in tree.below(&root) {
        let relative = if root.is_empty() { path } else { &path[root.len() + 1..] };
        let first = relative.split('/').next().unwrap_or(relative);
        let is_folder_of_view = named_digest(first).is_some() && !first.contains('.');
        let is_unused = match first {
            "blobs" => {
                let is_locked = named_digest(path).is_some_and(|digest| locked.contains(&digest));
                let is_known = is_locked && path.starts_with(&pool);
                !node.is_dir() && !is_known
            }
            LOCK | ALIASES | IMAGE_LIST | OCI_LAYOUT | OCI_INDEX | MAPPING => false,
            first if folders.contains(first) => false,
            // A folder beside a list may be a containers-storage of its own; only what looks like a view counts.
            _ => !node.is_dir() && (is_folder_of_view || set.has_lock),
        };
        if is_unused {
            let size = match &node.kind {
                NodeKind::File(file) => file.size,
                _ => 0,
            };
            unused.insert(path.to_owned(), size);
        }
    }
    unused.retain(|path, _| !needed.contains_key(path.as_str()));
    let first = unused.keys().next()?;
    let bytes: u64 = unused.values().sum();
    let message = format!(
        "{} files with {bytes} bytes belong to no embedded image for the platforms of this set, `/{first}` among them",
        unused.len()
    );
    Some(Problem::new(set.shown(), message).hint("embed the set again into an empty store; copy one platform only"))
}

/// Images that no workload names, though the place that once asked for them is there.
fn unused_images(facts: &Facts<'_>) -> Vec<Problem> {
    let required = facts.required();
    if !facts.subject.is_system || required.is_empty() {
        return Vec::new();
    }
    let views = facts.views.iter().filter_map(|view| {
        let reference = view.reference.as_ref()?;
        let set = &facts.sets[view.set];
        let locked = set.locked(&view.name);
        if set.has_lock && locked.is_none() {
            // The lists disagree, and say so.
            return None;
        }
        let asked_here = locked.is_none_or(|image| {
            let mut files = image.found_in.iter().map(|origin| origin.file.trim_start_matches('/'));
            files.any(|file| facts.tree().resolve(file).is_some())
        });
        let is_excluded = facts.subject.excluded.contains(&view.name);
        (asked_here && !is_excluded && !required.contains(&reference.stored_name())).then_some(view)
    });
    let problems = views.map(|view| {
        let others = facts.views.iter().filter(|other| other.name != view.name);
        let shared: BTreeSet<&String> = others.flat_map(|other| other.files.keys()).collect();
        let own: u64 = view.files.iter().filter(|(path, _)| !shared.contains(path)).map(|(_, size)| size).sum();
        Problem::new(view.name.clone(), format!("no workload names it; {own} bytes would go with it"))
            .hint("embed the set again if nothing needs this image")
    });
    problems.collect()
}
