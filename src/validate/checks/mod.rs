//! The checks, in the order they are made and reported.

#![allow(clippy::unnecessary_wraps, reason = "all checks have one shape, also those that can always be made")]

mod content;
mod hygiene;
mod import;
mod lists;
mod reach;
mod references;
mod signatures;
mod system;

pub use hygiene::SECRET_NAMES;
pub use import::{IMPORT_POLICY, missing_programs};

use super::{CannotCheck, Check, Facts, Needs, Problem};
use crate::model::Severity::{Error, Warning};
use std::collections::BTreeMap;

type Problems = Result<Vec<Problem>, CannotCheck>;

const fn error(name: &'static str, needs: Needs, run: fn(&Facts<'_>) -> Problems, description: &'static str) -> Check {
    Check { name, severity: Error, description, proves: false, needs, run }
}

const fn warning(
    name: &'static str,
    needs: Needs,
    run: fn(&Facts<'_>) -> Problems,
    description: &'static str,
) -> Check {
    Check { name, severity: Warning, description, proves: false, needs, run }
}

/// A check without which no reference is proven.
const fn proof(name: &'static str, needs: Needs, run: fn(&Facts<'_>) -> Problems, description: &'static str) -> Check {
    Check { name, severity: Error, description, proves: true, needs, run }
}

/// All checks.
pub const CHECKS: &[Check] = &[
    proof(
        "workloads-readable",
        Needs::References,
        references::readable,
        "every file that checks read, or that may name images, can be read",
    ),
    error("references-valid", Needs::References, references::valid, "every image is named by a valid, full reference"),
    proof(
        "references-embedded",
        Needs::References,
        references::embedded,
        "every image that a workload names is embedded under exactly that name",
    ),
    proof(
        "never-pulled",
        Needs::References,
        references::never_pulled,
        "nothing asks to pull although the image is there",
    ),
    warning("tags", Needs::References, references::tags, "images are named by digest, not by a tag that moves"),
    warning(
        "bound-images",
        Needs::References,
        references::bound,
        "no image is bound to the host by bootc, which fetches it at every update",
    ),
    proof("lists-readable", Needs::Files, lists::readable, "image lists, lock and alias map can be read"),
    proof("lists-agree", Needs::Files, lists::agree, "image list, lock, alias map and OCI layout say the same"),
    proof(
        "manifest-digest",
        Needs::Set,
        content::manifests,
        "the index or manifest of every image has the very bytes that its digest names",
    ),
    proof("native-instance", Needs::Set, content::instances, "the instance that the platform chooses is there"),
    proof("blobs-present", Needs::Set, content::blobs, "every config and layer is there"),
    proof("blobs-intact", Needs::Files, content::bytes, "every file hashes to its digest and has its announced size"),
    proof("architecture", Needs::Set, content::architectures, "every config is for the architecture of its image"),
    proof("views", Needs::Files, content::shapes, "every image has its folder, linked to the pool where there is one"),
    error(
        "signatures",
        Needs::Policy,
        signatures::accepted,
        "the device's policy.json, or the one of --policy, accepts the signatures of every image",
    ),
    warning("nothing-unused", Needs::Files, content::unused, "nothing is embedded that no image or workload needs"),
    warning("osbuild-names", Needs::Files, lists::osbuild, "no two images would collide in an osbuild blueprint"),
    error("size-budget", Needs::Files, lists::budget, "the embedded images fit into --max-size"),
    error("readable-by-all", Needs::Files, hygiene::readable, "every user can read the embedded images"),
    error("not-writable", Needs::Files, hygiene::not_writable, "nobody but the owner can change the embedded images"),
    error(
        "release-fits",
        Needs::System,
        system::release_fits,
        "CRI-O has a pause image, and release-info and lock are of the MicroShift that is installed",
    ),
    error("registries-conf", Needs::System, system::registries, "runtimes can read registries.conf and its drop-ins"),
    error(
        "registries-d",
        Needs::System,
        signatures::registries_d,
        "runtimes can read registries.d, and look for the signatures that the policy wants",
    ),
    proof("import-unit", Needs::SystemWithSet, import::unit, "a systemd unit imports every set at boot"),
    proof("import-enabled", Needs::SystemWithSet, import::enabled, "that unit is enabled"),
    proof(
        "import-order",
        Needs::SystemWithSet,
        import::order,
        "the import runs after CRI-O and before MicroShift and quadlets",
    ),
    proof("import-reach", Needs::SystemWithSet, reach::storage, "the import fills the storage that the runtimes read"),
    proof("import-tools", Needs::SystemWithSet, import::tools, "skopeo, which imports, is installed"),
    proof("import-policy", Needs::ImportPolicy, import::policy, "policy.json lets the embedded images be imported"),
    warning(
        "pinned-images",
        Needs::SystemWithSet,
        system::pinned,
        "CRI-O keeps the embedded images from garbage collection",
    ),
    error(
        "updated-with-system",
        Needs::SystemWithSet,
        reach::updated,
        "the embedded images are where a device has them, and updates change them",
    ),
    error("no-secrets", Needs::System, hygiene::secrets, "no registry credentials are left in the image"),
];

/// The same problem of several images, told once.
fn merge(problems: impl IntoIterator<Item = Problem>) -> Vec<Problem> {
    let mut merged: Vec<Problem> = Vec::new();
    let mut known: BTreeMap<(String, String), usize> = BTreeMap::new();
    for problem in problems {
        let at = *known.entry((problem.subject.clone(), problem.message.clone())).or_insert(merged.len());
        match merged.get_mut(at) {
            Some(same) => same.references.extend(problem.references),
            None => merged.push(problem),
        }
    }
    for problem in &mut merged {
        problem.references.sort();
        problem.references.dedup();
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_sentences_have_no_end() {
        let names: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), CHECKS.len());
        for check in CHECKS {
            assert!(!check.description.ends_with('.'), "{}", check.name);
        }
    }
}
