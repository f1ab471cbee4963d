//! What is served afterwards, and what is found out about it.

use super::super::repository;
use super::{Rig, content_tag, kinds, proven};
use crate::support::fixture::{DOCKER_LIST, Format, OCI_INDEX, Repository, Spelling};
use crate::support::writable::{Asked, Auth, Behaviour, Claim, Lie, WritableRegistry};
use bootc_embed::push::Kind;

/// What is served afterwards is not what was taken.
#[test]
fn lies_after_a_push_are_found() {
    let rig = Rig::new();
    let (one, two) = (&rig.one.1, &rig.two.1);
    let other = || (two.bytes.clone(), DOCKER_LIST);
    let layer = rig.plan.images[0].instances[0].layers[1].digest.to_string();
    let stale = |reads| Lie::Stale(reads);
    let tagged = content_tag(&one.digest);
    let cases: Vec<(&str, &str, Lie, Vec<Kind>)> = vec![
        ("nothing for a while", "v1", stale(Some(2)), vec![]),
        ("nothing for ever", "v1", stale(None), vec![Kind::Missing]),
        ("nothing under its own tag", &tagged, stale(None), vec![Kind::Missing]),
        ("other bytes", "v1", Lie::Bytes(b"<html>".to_vec(), "text/html", Claim::Served), vec![Kind::OtherBytes]),
        (
            "other bytes that claim to be right",
            "v1",
            Lie::Bytes(other().0, DOCKER_LIST, Claim::Right),
            vec![Kind::OtherBytes],
        ),
        ("re-written", "v1", Lie::Reformatted(Claim::Served), vec![Kind::OtherBytes]),
        ("re-written, claims to be right", "v1", Lie::Reformatted(Claim::Right), vec![Kind::OtherBytes]),
        ("schema 1", "v1", Lie::Schema1, vec![Kind::Converted]),
        ("another type", "v1", Lie::ContentType("application/json"), vec![Kind::WrongHeader]),
        ("another writer", "v1", Lie::Overtaken(other().0, DOCKER_LIST), vec![Kind::OtherWriter]),
        ("a lost blob", &tagged, Lie::LosesBlob(layer.clone()), vec![Kind::Missing]),
    ];
    for (name, at, lie, expected) in cases {
        let registry = WritableRegistry::start(Behaviour::default());
        registry.lie("mirror/team/one", at, lie);
        let report = rig.kept(&registry);
        assert_eq!(kinds(&report), expected, "{name}: {:#?}", report.differences);
        if name == "another writer" {
            let read = |asked: &&Asked| asked.method == "GET" && asked.path.ends_with("/one/manifests/v1");
            assert_eq!(registry.requests().iter().filter(read).count(), 1, "a lost race is not repeated");
        }
    }
    for (name, lie, expected) in [
        ("a blob of another size", Lie::Size(Some(7)), Kind::WrongHeader),
        ("a blob without a size", Lie::Size(None), Kind::WrongHeader),
    ] {
        let registry = WritableRegistry::start(Behaviour::default());
        rig.kept(&registry);
        registry.lie_at_once("mirror/team/one", &layer, lie);
        assert_eq!(kinds(&rig.verify(&registry)), [expected], "{name}");
    }
}

/// Old content at a tag: for a while that is a cache, for ever it is told; what somebody else puts there is no cache.
#[test]
fn tags_that_existed_before() {
    let rig = Rig::new();
    let before = repository("mirror/team/one", &["linux/arm64"], Format::Oci, Spelling::COMPACT);
    for (reads, expected) in [(Some(2), vec![]), (None, vec![Kind::Stale])] {
        let registry = WritableRegistry::start(Behaviour::default());
        registry.put(&before.0);
        registry.lie("mirror/team/one", "v1", Lie::Stale(reads));
        assert_eq!(kinds(&rig.kept(&registry)), expected);
        assert_eq!(registry.manifest("mirror/team/one", "v1").as_ref(), Some(&rig.one.1.bytes));
    }
    let registry = WritableRegistry::start(Behaviour::default());
    rig.kept(&registry);
    registry.set_tag("mirror/team/one", "v1", &before.1.bytes, OCI_INDEX);
    assert_eq!(kinds(&rig.verify(&registry)), [Kind::OtherWriter]);
}

/// Absent instances must be absent, or right.
#[test]
fn absent_instances_are_absent_or_right() {
    let rig = Rig::new();
    let absent = rig.plan.images[0].absent[0].digest.to_string();
    let registry = WritableRegistry::start(Behaviour::default());
    let bytes = rig.two.1.bytes.clone();
    registry.lie_at_once("mirror/team/one", &absent, Lie::Bytes(bytes, DOCKER_LIST, Claim::Right));
    assert_eq!(kinds(&rig.kept(&registry)), [Kind::OtherBytes]);
    let registry = WritableRegistry::start(Behaviour::default());
    registry.put(&Repository { name: "mirror/team/one".into(), ..rig.one.0.clone() });
    let report = rig.kept(&registry);
    proven(&report);
    assert_eq!((report.proof.absent, report.proof.present_all_the_same), (2, 2));
    assert!(report.notes.iter().any(|note| note.contains("all the same")), "{:?}", report.notes);
}

/// Who only looks asks for no more than to read, and what a registry sends back of it is not shown.
#[test]
fn a_look_needs_no_more_than_to_read() {
    let registry = WritableRegistry::start(Behaviour { auth: Auth::Bearer, ..Behaviour::default() });
    let rig = Rig::new().log_in(&registry);
    rig.kept(&registry);
    registry.forget_requests();
    proven(&rig.verify(&registry));
    let asked: Vec<String> = registry.requests().into_iter().map(|asked| asked.path).collect();
    assert!(asked.iter().any(|path| path.contains("/token")), "{asked:#?}");
    assert!(!asked.iter().any(|path| path.contains("push")), "{asked:#?}");
}
