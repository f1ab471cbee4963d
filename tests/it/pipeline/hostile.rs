//! Token services that fail, manifests that lie, and content that nobody makes in good faith.

use super::rig::{LAYER_SIZE, LONGEST, Ran, Rig, TRIES, impatient, run};
use super::{instance, platforms};
use crate::support::fixture::{Blob, Entry, Format, Image, Index, Instance, Layer, Repository, Spelling};
use crate::support::registry::{After, Auth, Fault, FaultyRegistry};
use crate::support::tree::Tree;
use bootc_embed::model::Platforms;
use bootc_embed::registry::Options;
use bootc_embed::registry::auth::Search;
use serde_json::{Value, json};
use std::fs;

#[test]
fn a_token_service_is_as_fallible_as_a_registry() {
    let rig = Rig::new(Auth::AnonymousBearer);
    let whole = rig.whole();
    for (times, fault, words, asked) in [
        (2, Fault::Status(500), None, 3),
        (1, Fault::RetryAfter(429, After::Seconds(0)), None, 2),
        (1, Fault::BreakOff(3), None, 2),
        (1, Fault::Reset(0), None, 2),
        (1, Fault::Silence, None, 2),
        (1, Fault::SilenceAfter(3), None, 2),
        (9, Fault::OddCase.and(Fault::Chunked), None, 1),
        (9, Fault::Status(500), Some("answered 500"), TRIES),
        (9, Fault::Silence, Some("stalled"), TRIES),
        (9, Fault::RetryAfter(503, After::Seconds(3600)), Some("answered 503"), 1),
        (9, Fault::Status(401), Some("is not accessible: the token service answered 401"), 1),
        (9, Fault::Status(403), Some("is not accessible: the token service answered 403"), 1),
        (9, Fault::Status(404), Some("token service answered 404"), 1),
        (9, Fault::Replace(b"<html>".to_vec()), Some("token service"), 1),
        (9, Fault::Replace(b"{}".to_vec()), Some("token service"), 1),
    ] {
        rig.registry.fail_times("/token", times, fault.clone());
        let store = rig.store();
        let ran = rig.run(store.path(), impatient());
        rig.registry.heal();
        assert_eq!(ran.asked("/token").len(), asked, "{times} times {fault:?}: {:?} {:#?}", ran.error, ran.seen);
        assert_eq!(ran.error.is_some(), words.is_some(), "{times} times {fault:?}: {:?}", ran.error);
        assert!(ran.elapsed < LONGEST, "{times} times {fault:?}: {:?}", ran.elapsed);
        match (&ran.error, words) {
            (Some(error), Some(words)) => assert!(error.contains(words), "{times} times {fault:?}: {error}"),
            _ => whole.assert_same(&Tree::read(store.path()), &format!("{times} times {fault:?}")),
        }
    }
}

#[test]
fn a_token_that_expires_is_renewed() {
    // An index, a manifest, a config, two layers: five requests, and one more for what broke off.
    for (uses, jobs, broken, tokens) in [(100, 4, 0, 1), (3, 4, 0, 2), (1, 1, 0, 5), (1, 1, 1, 6), (2, 1, 1, 3)] {
        let rig = Rig::new(Auth::ExpiringBearer(uses));
        rig.registry.fail_times(&rig.layer.digest, broken, Fault::BreakOff(7));
        let store = rig.store();
        let ran = rig.run(store.path(), Options { jobs, ..impatient() });
        let what = format!("{uses} requests a token, {broken} broken");
        assert_eq!(ran.error, None, "{what}: {:#?}", ran.seen);
        assert_eq!(ran.asked("/token").len(), tokens, "{what}: {:#?}", ran.seen);
        let undisturbed = rig.store();
        assert_eq!(rig.run(undisturbed.path(), Options { jobs, ..impatient() }).error, None);
        Tree::read(undisturbed.path()).assert_same(&Tree::read(store.path()), &what);
    }
}

#[test]
fn a_redirected_blob_is_resumed_and_credentials_stay_at_home() {
    let rig = Rig::new(Auth::Basic);
    let folder = tempfile::tempdir().unwrap();
    let auth = folder.path().join("auth.json");
    let pair = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#, rig.registry.address());
    fs::write(&auth, pair).unwrap();
    let options = || Options { auth: Search { files: vec![auth.clone()], required: true }, ..impatient() };
    let store = rig.store();
    assert_eq!(rig.run(store.path(), options()).error, None);

    let other = FaultyRegistry::start(&[Repository { blobs: vec![rig.layer.clone()], ..Repository::new("other") }]);
    let there = format!("http://{}/v2/other/blobs/{}", other.address(), rig.layer.digest);
    rig.registry.fail(&rig.layer.digest, Fault::Redirect(there));
    other.fail_times("", 1, Fault::BreakOff(50_000));
    other.fail_times("", 1, Fault::Status(503));
    let redirected = rig.store();
    assert_eq!(rig.run(redirected.path(), options()).error, None);
    Tree::read(store.path()).assert_same(&Tree::read(redirected.path()), "redirected");
    let seen = other.take_seen();
    assert!(seen.iter().all(|seen| seen.authorization.is_none()), "the secret went to another host: {seen:#?}");
    let ranges: Vec<Option<&str>> = seen.iter().map(|seen| seen.range.as_deref()).collect();
    assert_eq!(ranges, [None, Some("bytes=50000-"), Some("bytes=50000-")]);
}

#[test]
fn a_redirect_loop_is_not_tried_again() {
    let rig = Rig::new(Auth::None);
    let itself = format!("/v2/team/app/blobs/{}", rig.layer.digest);
    rig.registry.fail(&rig.layer.digest, Fault::Redirect(itself));
    let ran = rig.run(rig.store().path(), impatient());
    assert!(ran.error.as_ref().is_some_and(|error| error.contains("too many redirects")), "{:?}", ran.error);
    assert!(ran.asked(&rig.layer.digest).len() < 20, "{:#?}", ran.seen);
}

/// An instance whose manifest was changed; its new name is right.
fn changed(instance: &Instance, change: impl FnOnce(&mut Value)) -> Instance {
    let mut manifest: Value = serde_json::from_slice(&instance.manifest.bytes).expect("a manifest");
    change(&mut manifest);
    let manifest = Blob::new(&instance.manifest.media_type, Spelling::COMPACT.write(&manifest));
    Instance { manifest, ..instance.clone() }
}

/// Fetches a manifest of a repository `app` into a new store.
fn fetch(registry: &FaultyRegistry, manifest: &Blob, platforms: &Platforms) -> Ran {
    let store = tempfile::tempdir().expect("a folder can be made");
    let reference = format!("{}/app@{}", registry.address(), manifest.digest);
    run(registry, &[reference], platforms, store.path(), impatient())
}

fn amd64() -> Platforms {
    platforms(&["linux/amd64"])
}

#[test]
fn a_manifest_that_lies_about_a_size_is_found_out() {
    let layer = Layer::of_archive(&vec![7; LAYER_SIZE], crate::support::fixture::Compression::None);
    let image = Image::new("linux/amd64").layer(&layer).build();
    for size in [0, 1, LAYER_SIZE - 1, LAYER_SIZE + 1, 1 << 50] {
        for framing in [Fault::OddCase, Fault::Chunked] {
            let liar = changed(&image, |manifest| manifest["layers"][0]["size"] = json!(size));
            let registry = FaultyRegistry::start(&[Repository::new("app").instances([&liar])]);
            registry.fail("/blobs/", framing.clone());
            let ran = fetch(&registry, &liar.manifest, &amd64());
            let error = ran.error.clone().unwrap_or_else(|| panic!("{size}: no error"));
            assert!(error.contains("bytes") && error.contains(&image.layers[0].digest), "{size} {framing:?}: {error}");
            let asked = ran.asked(&image.layers[0].digest).len();
            // What comes in chunks may have been cut short, for all that is known.
            let most = if matches!(framing, Fault::Chunked) && size > LAYER_SIZE { TRIES } else { 2 };
            assert!(asked <= most, "{size} {framing:?}: asked {asked} times: {error}");
        }
    }
}

/// Runtimes may take such an index; the check before shipping would not, so nothing is made of it.
#[test]
fn an_index_that_lies_about_a_size_is_found_out() {
    let image = instance("app", "linux/amd64", Format::Oci);
    for size in [json!(0), json!(image.manifest.bytes.len() + 1), json!(u64::MAX)] {
        let index = Index::new(Format::Oci).entry(Entry::new(&image).field("size", size.clone())).build();
        let registry = FaultyRegistry::start(&[Repository::new("app").instances([&image]).index(&index)]);
        let error = fetch(&registry, &index, &amd64()).error.unwrap_or_else(|| panic!("{size}: no error"));
        assert!(error.contains("announces") || error.contains("size"), "{size}: {error}");
    }
}

#[test]
fn what_is_named_twice_is_asked_for_once() {
    let image = instance("app", "linux/amd64", Format::Oci);
    let doubled = changed(&image, |manifest| {
        let layers = manifest["layers"].as_array_mut().expect("layers");
        let first = layers[0].clone();
        layers.extend([first.clone(), first]);
    });
    // Two manifests of one image, one of them a thousand times in the index.
    let entries = std::iter::repeat_with(|| Entry::new(&doubled)).take(1000).chain([Entry::new(&image)]);
    let index = entries.fold(Index::new(Format::Oci), Index::entry).build();
    let registry = FaultyRegistry::start(&[Repository::new("app").instances([&image, &doubled]).index(&index)]);
    let ran = fetch(&registry, &index, &amd64());
    assert_eq!(ran.error, None);
    for digest in image.layers.iter().map(|layer| &layer.digest).chain([&image.config.digest, &doubled.manifest.digest])
    {
        assert_eq!(ran.asked(digest).len(), 1, "{digest}: {:#?}", ran.seen);
    }
}

#[test]
fn an_index_of_ten_thousand_entries_is_read_in_no_time() {
    let image = instance("app", "linux/amd64", Format::Oci);
    let other =
        |number: usize| Entry::named(&Blob::new("x", number.to_le_bytes().to_vec()), &format!("linux/{number}"));
    let entries = (0..9_999).map(other).chain([Entry::new(&image)]);
    let index = entries.fold(Index::new(Format::Oci), Index::entry).build();
    assert!(index.bytes.len() < 4 << 20, "{} bytes", index.bytes.len());
    let registry = FaultyRegistry::start(&[Repository::new("app").instances([&image]).index(&index)]);
    let ran = fetch(&registry, &index, &amd64());
    assert_eq!(ran.error, None);
    assert!(ran.elapsed < LONGEST, "{:?}", ran.elapsed);
    // With all of them kept, the first that is missing ends it.
    let ran = fetch(&registry, &index, &Platforms::All);
    assert!(ran.error.as_ref().is_some_and(|error| error.contains("does not exist: 404")), "{:?}", ran.error);
    assert!(ran.asked("/manifests/").len() < 20 && ran.elapsed < LONGEST, "{:?}", ran.elapsed);
}

#[test]
fn an_index_that_seems_to_contain_itself_ends() {
    // A digest of its own bytes cannot stand in it, so the registry has to lie.
    let promised = Blob::new("application/vnd.oci.image.index.v1+json", b"something else".to_vec());
    let index = Index::new(Format::Oci).entry(Entry::named(&promised, "linux/amd64")).build();
    let registry = FaultyRegistry::start(&[Repository::new("app").index(&promised).index(&index)]);
    registry.fail(&promised.digest, Fault::Replace(index.bytes.clone()));
    let ran = fetch(&registry, &index, &Platforms::All);
    let error = ran.error.clone().expect("a lie is found out");
    assert!(error.contains("other bytes") && error.contains(&promised.digest), "{error}");
    assert!(ran.asked("/manifests/").len() <= 3, "{:#?}", ran.seen);
}

#[test]
fn indexes_that_are_nested_too_deep_end() {
    let image = instance("app", "linux/amd64", Format::Oci);
    let mut repository = Repository::new("app").instances([&image]);
    let mut index = Index::new(Format::Oci).instances([&image]).build();
    for _ in 0..100 {
        repository = repository.index(&index);
        // Twice at each depth: whoever looks at everything looks at 2^100 manifests.
        let entry = || Entry::named(&index, "linux/amd64");
        index = Index::new(Format::Oci).entry(entry()).entry(entry()).build();
    }
    let registry = FaultyRegistry::start(&[repository.index(&index)]);
    let ran = fetch(&registry, &index, &Platforms::All);
    assert!(ran.error.as_ref().is_some_and(|error| error.contains("nested more than")), "{:?}", ran.error);
    assert!(ran.asked("/manifests/").len() < 20, "{:#?}", ran.seen);
}
