//! Signatures and referrers go along.

use super::super::repository;
use super::{ALL, NATIVE, Rig, kinds, methods, proven};
use crate::support::fixture::{DOCKER_LIST, Format, OCI_INDEX, Repository, Spelling, digest};
use crate::support::signing::{Key, Kind as KeyKind, Signature, attach, attachment, bundle, fallback_tag, refer, tag};
use crate::support::writable::{Behaviour, WritableRegistry};
use bootc_embed::push::{IndexMode, Kind};
use serde_json::{Value, json};

/// The very bytes of signatures; another one that is there is told, and replaced only where that is wanted.
#[test]
fn signatures_travel() {
    let key = Key::new(KeyKind::P256);
    let (one, index) = repository("team/one", &ALL, Format::Oci, Spelling::ODD);
    let native = one.manifests[0].clone();
    let signed = |name: &str| Signature::new(&key, name, &native);
    let (ours, theirs) = ([signed("r.example/team/one:v1")], [signed("r.example/team/one:v2")]);
    let of_index = [Signature::new(&key, "r.example/team/one:v1", &index)];
    let one = attach(attach(one, &native, &ours), &index, &of_index);
    let rig = Rig::of((one, index.clone()), repository("team/two", &ALL, Format::Docker, Spelling::DOCKER), &[NATIVE]);
    let registry = WritableRegistry::start(Behaviour::default());
    let report = rig.kept(&registry);
    proven(&report);
    assert_eq!((report.sent.map(|sent| sent.signatures), report.proof.signatures), (Some(2), 2));
    let wanted = attachment(&ours).manifest.bytes;
    assert_eq!(registry.manifest("mirror/team/one", &tag(&native)).as_ref(), Some(&wanted));
    // Another one is there.
    let other = attachment(&theirs);
    let content = attach(Repository::new("mirror/team/one"), &native, &theirs);
    let registry = WritableRegistry::start(Behaviour::default());
    registry.put(&content);
    let report = rig.kept(&registry);
    assert_eq!(kinds(&report), [Kind::OtherSignature], "{:#?}", report.differences);
    assert_eq!(registry.manifest("mirror/team/one", &tag(&native)).as_ref(), Some(&other.manifest.bytes));
    let report = rig.push_with(&registry, IndexMode::Keep, |push| push.overwrite_signatures = true);
    proven(&report.unwrap_or_else(|e| panic!("{e:#}")));
    assert_eq!(registry.manifest("mirror/team/one", &tag(&native)).as_ref(), Some(&wanted));
    // Of an index that is pruned the signature stays behind.
    let registry = WritableRegistry::start(Behaviour::default());
    let report = rig.push(&registry, IndexMode::Prune).unwrap_or_else(|e| panic!("{e:#}"));
    proven(&report);
    assert_eq!(report.sent.map(|sent| sent.signatures), Some(1));
    assert!(report.notes.iter().any(|note| note.contains("pruned")), "{:?}", report.notes);
}

/// Referrers, with and without a registry that lists them, and beside those that are there already.
#[test]
fn referrers_travel() {
    let key = Key::new(KeyKind::P256);
    let (one, index) = repository("team/one", &ALL, Format::Oci, Spelling::ODD);
    let native = one.manifests[0].clone();
    let ours = bundle(&key, &native);
    let one = refer(one, &native, std::slice::from_ref(&ours));
    let list = one.tags[&fallback_tag(&native)].clone();
    let rig = Rig::of((one, index), repository("team/two", &ALL, Format::Docker, Spelling::DOCKER), &[NATIVE]);
    let registry = WritableRegistry::start(Behaviour { referrers: true, ..Behaviour::default() });
    proven(&rig.kept(&registry));
    assert!(registry.manifest("mirror/team/one", &ours.manifest.digest).is_some());
    assert_eq!(registry.manifest("mirror/team/one", &fallback_tag(&native)), None, "the registry lists them itself");
    let registry = WritableRegistry::start(Behaviour::default());
    proven(&rig.kept(&registry));
    let there = registry.manifest("mirror/team/one", &fallback_tag(&native)).expect("clients look there");
    assert_eq!(digest(&there), list, "the very list of the source");
    // A list with another one.
    let theirs = bundle(&Key::new(KeyKind::P256), &native);
    let registry = WritableRegistry::start(Behaviour::default());
    registry.put(&refer(Repository::new("mirror/team/one"), &native, std::slice::from_ref(&theirs)));
    proven(&rig.kept(&registry));
    let there = registry.manifest("mirror/team/one", &fallback_tag(&native)).expect("clients look there");
    let there: Value = serde_json::from_slice(&there).expect("JSON");
    let digests: Vec<&Value> = there["manifests"].as_array().expect("a list").iter().map(|e| &e["digest"]).collect();
    assert_eq!(digests, [&json!(theirs.manifest.digest), &json!(ours.manifest.digest)]);
    assert_eq!(there["manifests"][1]["artifactType"], json!(crate::support::signing::BUNDLE));
    registry.forget_requests();
    proven(&rig.kept(&registry));
    assert_eq!(methods(&registry.requests()), ["GET", "HEAD"].into(), "nothing is written twice");
    // Something else stands there: it is nobody's list.
    let index = rig.two.1.clone();
    for (bytes, media_type) in [(index.bytes.as_slice(), DOCKER_LIST), (rig.one.1.bytes.as_slice(), OCI_INDEX)] {
        let registry = WritableRegistry::start(Behaviour::default());
        registry.set_tag("mirror/team/one", &fallback_tag(&native), bytes, media_type);
        assert_eq!(kinds(&rig.kept(&registry)), [Kind::Missing, Kind::OtherSignature]);
        assert_eq!(registry.manifest("mirror/team/one", &fallback_tag(&native)).as_deref(), Some(bytes));
    }
    registry.remove_tag("mirror/team/one", &fallback_tag(&native));
    assert_eq!(kinds(&rig.verify(&registry)), [Kind::Missing]);
}
