//! What an index becomes, by what registries say, and what is told before anything is pushed.

use super::super::{repository, wait};
use super::{ALL, NATIVE, Rig, methods, proven};
use crate::support::fixture::{Entry, Format, Index, Repository, Spelling};
use crate::support::writable::{Behaviour, Sparse, WritableRegistry};
use bootc_embed::model::progress::Silent;
use bootc_embed::model::{Failure, Plan};
use bootc_embed::push::{self, IndexMode, Shape};
use serde_json::{Value, json};
use std::sync::Arc;

/// The table of what registries say to a sparse index, and what follows.
#[test]
fn what_registries_say_to_sparse_indexes() {
    let rig = Rig::new();
    let listed = |names: &[&str]| Sparse::List(names.iter().map(ToString::to_string).collect());
    for (sparse, taken, words) in [
        (Sparse::Refuse, false, "MANIFEST_BLOB_UNKNOWN"),
        (Sparse::RefuseVaguely, false, "MANIFEST_INVALID"),
        (Sparse::Quay(None), false, "Could not find child manifest"),
        (Sparse::Quay(Some(false)), false, "Could not find child manifest"),
        (listed(&ALL), false, "MANIFEST_BLOB_UNKNOWN"),
        (listed(&[NATIVE]), true, ""),
        (Sparse::Accept, true, ""),
        (Sparse::Quay(Some(true)), true, ""),
    ] {
        let behaviour = || Behaviour { sparse: sparse.clone(), ..Behaviour::default() };
        for mode in [IndexMode::Keep, IndexMode::Auto] {
            let registry = WritableRegistry::start(behaviour());
            match rig.push(&registry, mode) {
                Ok(report) => {
                    assert!(taken, "{sparse:?}");
                    proven(&report);
                    assert!(report.images.iter().all(|image| image.index == Shape::Sparse && image.absent == 2));
                    assert_eq!(report.proof.absent, 4);
                    let served = registry.manifest("mirror/team/one", &rig.one.1.digest);
                    assert_eq!(served.as_ref(), Some(&rig.one.1.bytes));
                    assert_eq!(registry.manifest("mirror/team/one", "v1").as_ref(), Some(&rig.one.1.bytes));
                }
                Err(error) => {
                    assert!(!taken, "{sparse:?}: {error:#}");
                    let failure = error.downcast_ref::<Failure>().unwrap_or_else(|| panic!("{error:#}"));
                    assert_eq!(failure.kind.exit_code(), 1);
                    assert!(failure.hints.iter().any(|hint| hint.contains("--index prune")), "{failure:?}");
                    let text = format!("{error:#}");
                    let told = mode == IndexMode::Auto && sparse == Sparse::Quay(Some(false));
                    assert!(text.contains(if told { "X-Sparse-Manifest-Support: false" } else { words }), "{text}");
                    assert_eq!(methods(&registry.requests()).contains("POST"), !told, "{sparse:?}");
                    assert_eq!(registry.tags("mirror/team/one"), [].into());
                }
            }
        }
        let registry = WritableRegistry::start(behaviour());
        let report = rig.push(&registry, IndexMode::Prune).unwrap_or_else(|e| panic!("{sparse:?}: {e:#}"));
        proven(&report);
        for (image, (_, index)) in report.images.iter().zip([&rig.one, &rig.two]) {
            assert_eq!(
                (image.index, image.was.as_ref().map(ToString::to_string)),
                (Shape::Pruned, Some(index.digest.clone()))
            );
            let path = image.repository.split_once('/').expect("a path").1;
            let bytes = registry.manifest(path, &image.digest.to_string()).expect("it is there");
            let (now, was): (Value, Value) =
                (serde_json::from_slice(&bytes).expect("JSON"), serde_json::from_slice(&index.bytes).expect("JSON"));
            assert_eq!(now["manifests"], json!([was["manifests"][0]]));
        }
    }
}

/// Quay removes what no tag holds, and takes no Docker list with children of the other kind.
#[test]
fn quay_keeps_what_was_pushed() {
    let quay = || Behaviour { sparse: Sparse::Quay(Some(true)), quay: true, ..Behaviour::default() };
    let (rig, registry) = (Rig::new(), WritableRegistry::start(quay()));
    proven(&rig.kept(&registry));
    registry.expire();
    proven(&rig.verify(&registry));
    let children = ALL.map(|platform| super::super::instance("mixed", platform, Format::Oci));
    let entries = children.iter().map(Entry::new).collect();
    let mixed = super::super::repository_of("team/one", &children.iter().collect::<Vec<_>>(), entries, Format::Docker);
    let rig = Rig::of(mixed, repository("team/two", &ALL, Format::Docker, Spelling::DOCKER), &ALL);
    let error = rig.push(&WritableRegistry::start(quay()), IndexMode::Auto).expect_err("it is refused");
    assert!(format!("{error:#}").contains("MANIFEST_INVALID"), "{error:#}");
}

/// Two images must not want one tag, and nonsense is not pushed.
#[test]
fn what_cannot_be_pushed_is_told_before() {
    let mut rig = Rig::new();
    let registry = WritableRegistry::start(Behaviour::default());
    let mut twice = rig.plan.images[0].clone();
    twice.reference = format!("other.example/team/one:v1@{}", rig.two.1.digest).parse().expect("a reference");
    twice.manifest = rig.plan.images[1].manifest.clone();
    rig.plan.images.push(twice);
    let error = rig.work(&registry, false).expect_err("one tag for two");
    let text = format!("{error:#}");
    assert!(text.contains("source.example/team/one:v1") && text.contains("other.example/team/one:v1"), "{text}");
    let instance = super::super::instance("lint", NATIVE, Format::Oci);
    let index = Index::new(Format::Oci).entry(Entry::new(&instance)).entry(Entry::new(&instance)).build();
    let one = Repository::new("team/one").instances([&instance]).index(&index).tag("v1", &index);
    let two = repository("team/two", &ALL, Format::Docker, Spelling::DOCKER);
    let rig = Rig::of((one, index), two, &[NATIVE]);
    let error = rig.push(&registry, IndexMode::Keep).expect_err("one entry twice");
    assert!(format!("{error:#}").contains("manifests[1]"), "{error:#}");
    assert_eq!(registry.requests(), []);
}

/// What is wrong with a plan.
type Change = fn(&mut Plan);

/// A lock that says something else than its manifests is told of, whichever way it does.
#[test]
fn a_lock_must_say_what_its_manifests_say() {
    let rig = Rig::new();
    let changes: [(&str, Change); 8] = [
        ("another instance", |plan| plan.images[0].instances[0] = plan.images[1].instances[0].clone()),
        ("no layers", |plan| plan.images[0].instances[0].layers.clear()),
        ("another config", |plan| plan.images[0].instances[0].config = plan.images[1].instances[0].config.clone()),
        ("nothing is absent", |plan| plan.images[0].absent.clear()),
        ("more is absent", |plan| {
            let more = plan.images[1].absent[0].clone();
            plan.images[0].absent.push(more);
        }),
        ("another size", |plan| plan.images[0].manifest.size += 1),
        ("another index", |plan| plan.images[0].manifest = plan.images[1].manifest.clone()),
        ("another name", |plan| {
            let name = format!("source.example/team/one@{}", plan.images[1].manifest.digest);
            plan.images[0].reference = name.parse().expect("a reference");
        }),
    ];
    let registry = WritableRegistry::start(Behaviour::default());
    rig.kept(&registry);
    for (name, change) in changes {
        let mut plan = rig.plan.clone();
        change(&mut plan);
        let manifests = wait(push::manifests(&rig.plan, &rig.content(), 4)).expect("they are known");
        let error = push::check_plan(&plan, &manifests).expect_err(name);
        assert!(format!("{error:#}").contains("what its manifests say"), "{name}: {error:#}");
        // A look at the mirror alone finds it too, where it does not differ anyway.
        let rig = Rig { plan, ..Rig::new() };
        let work = rig.work(&registry, false).expect("the set can be mapped");
        let (report, served) = wait(push::verify(&work, rig.reader(), 4, Arc::new(Silent))).expect("it can be read");
        assert!(!report.differences.is_empty() || push::check_plan(&rig.plan, &served).is_err(), "{name}");
    }
    let manifests = wait(push::manifests(&rig.plan, &rig.content(), 4)).expect("they are known");
    push::check_plan(&rig.plan, &manifests).expect("it says what they say");
}
