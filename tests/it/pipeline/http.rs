//! The http lane against a registry that fails on command.

use super::{fill, platforms, repository, resolve_all, text, wait};
use crate::support::fixture::{Blob, Format, Repository, Spelling};
use crate::support::lane::{lane, options};
use crate::support::registry::{Auth, Fault, FaultyRegistry};
use bootc_embed::model::progress::Silent;
use bootc_embed::registry::http::Http;
use bootc_embed::registry::proxies::Proxies;
use bootc_embed::registry::{At, Error, Options, Registry as _, auth::Search, certs};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

fn app() -> (Repository, Blob) {
    repository("team/app", &["linux/amd64", "linux/arm64"], Format::Oci, Spelling::ODD)
}

/// Resolves and fetches the app from a registry into a new store.
fn embed(registry: &FaultyRegistry, index: &Blob, options: Options) -> anyhow::Result<()> {
    let lane = Http::new(options, Arc::new(Silent))?;
    let references = [format!("{}/team/app@{}", registry.address(), index.digest)];
    let folder = tempfile::tempdir().expect("a folder can be made");
    let resolved = resolve_all(&references, &platforms(&["linux/amd64"]), &lane)?;
    fill(folder.path(), &resolved, &lane).map(|_| ())
}

/// An auth file for the registry, in a folder that must live on.
fn auth_file(folder: &tempfile::TempDir, key: &str, pair: &str) -> Search {
    let path = folder.path().join("auth.json");
    fs::write(&path, format!(r#"{{"auths":{{"{key}":{{"auth":"{pair}"}}}}}}"#)).expect("a file can be written");
    Search { files: vec![path], required: true }
}

#[test]
fn a_set_costs_one_request_a_manifest_and_one_a_blob() {
    let (repository, index) = app();
    let registry = FaultyRegistry::start(&[repository]);
    embed(&registry, &index, options()).unwrap();
    let paths: Vec<String> = registry.take_seen().into_iter().map(|seen| seen.path).collect();
    // HTTPS is tried first, which this registry does not understand, so that leaves no trace.
    assert_eq!(paths.len(), 1 + 2 + 3, "a greeting, an index, a manifest, a config, two layers: {paths:#?}");
}

#[test]
fn failures_name_the_object_and_the_cause() {
    let (repository, index) = app();
    let registry = FaultyRegistry::start(std::slice::from_ref(&repository));
    let layer = repository.blobs[0].digest.clone();
    let instance = repository.manifests[0].digest.clone();
    let large = vec![b' '; 5 * 1024 * 1024];
    for (part, fault, words) in [
        (index.digest.as_str(), Fault::Status(404), "does not exist: 404, the test says no"),
        (&index.digest, Fault::Status(403), "not accessible: 403"),
        (&index.digest, Fault::Status(500), "answered 500"),
        (&index.digest, Fault::Replace(b"{}".to_vec()), "served other bytes"),
        (&index.digest, Fault::Replace(large), "larger than 4194304 bytes"),
        (&index.digest, Fault::BreakOff(100), "broke off"),
        (&index.digest, Fault::Redirect("/v2/loop/manifests/x".into()), "does not exist"),
        (&instance, Fault::CutShort(10), "served other bytes"),
        (&layer, Fault::Status(404), "does not exist"),
        (&layer, Fault::Replace(vec![0; repository.blobs[0].bytes.len()]), "other bytes came"),
        (&layer, Fault::CutShort(7), "has 7 bytes where"),
        (&layer, Fault::BreakOff(7), "broke off"),
        (&layer, Fault::Pad(1), "are announced"),
    ] {
        registry.fail(part, fault.clone());
        let error = text(embed(&registry, &index, options()));
        assert!(error.contains(words), "{fault:?}: {error}");
        assert!(error.contains(part) || error.contains("team/app"), "{fault:?} does not name the object: {error}");
        registry.heal();
    }
    embed(&registry, &index, options()).unwrap();
}

/// Who is redirected to gets neither what is the registry's nor what it asks for itself.
#[test]
fn credentials_stay_with_the_registry_that_they_are_for() {
    let (repository, index) = app();
    let elsewhere = FaultyRegistry::start_with(std::slice::from_ref(&repository), Auth::Bearer);
    let folder = tempfile::tempdir().expect("a folder can be made");
    for auth in [Auth::Basic, Auth::Bearer] {
        let registry = FaultyRegistry::start_with(std::slice::from_ref(&repository), auth);
        let to = format!("http://{}/v2/team/app/manifests/{}", elsewhere.address(), index.digest);
        registry.fail(&index.digest, Fault::Redirect(to));
        let auth = auth_file(&folder, registry.address(), "dXNlcjpzZWNyZXQ=");
        let error = text(embed(&registry, &index, Options { auth, ..options() }));
        assert!(error.contains("401"), "{error}");
        for seen in elsewhere.take_seen() {
            assert_eq!(seen.authorization, None, "{seen:?}");
            assert!(!seen.path.contains("/token"), "{seen:?}");
        }
    }
}

#[test]
fn a_redirect_loop_ends() {
    let (repository, index) = app();
    let registry = FaultyRegistry::start(&[repository]);
    let itself = format!("/v2/team/app/manifests/{}", index.digest);
    registry.fail(&index.digest, Fault::Redirect(itself));
    let error = text(embed(&registry, &index, options()));
    assert!(error.contains("too many redirects"), "{error}");
    assert!(registry.take_seen().len() < 20);
}

/// At sites where only some hosts are open, the name of the one that is not decides.
#[test]
fn the_host_that_failed_is_named() {
    let (repository, index) = app();
    let registry = FaultyRegistry::start(&[repository]);
    registry.fail(&index.digest, Fault::Redirect("http://127.0.0.1:1/elsewhere".into()));
    let error = text(embed(&registry, &index, options()));
    assert!(error.contains("`127.0.0.1:1` cannot be reached") && error.contains("redirects there"), "{error}");
    registry.heal();
    let other = FaultyRegistry::start(&[]);
    registry.fail(&index.digest, Fault::Redirect(format!("http://{}/v2/x/blobs/y", other.address())));
    let error = text(embed(&registry, &index, options()));
    assert!(error.contains("does not exist") && error.contains(&format!("(from `{}`", other.address())), "{error}");
    // A firewall that drops what is sent there.
    other.fail("/v2/x", Fault::Silence);
    let stall = std::time::Duration::from_millis(300);
    let error = text(embed(&registry, &index, Options { stall, ..options() }));
    assert!(error.contains("stalled") && error.contains(&format!("from `{}`", other.address())), "{error}");

    let proxies = Proxies { http: Some("127.0.0.1:1".into()), https: Some("127.0.0.1:1".into()), no_proxy: None };
    let lane = lane(Options { proxies, ..options() });
    let reference: bootc_embed::model::Reference = "registry.invalid/team/app:v1".parse().unwrap();
    let error = wait(lane.manifest(reference.repository(), At::Tag("v1"))).unwrap_err();
    assert!(error.to_string().contains("through the proxy `127.0.0.1:1`"), "{error}");
    assert!(error.hints()[0].contains("HTTPS_PROXY"), "{:?}", error.hints());
}

#[test]
fn a_greeting_that_fails_for_a_moment_is_repeated() {
    let (repository, index) = app();
    let registry = FaultyRegistry::start(&[repository]);
    registry.fail_times("/v2/", 1, Fault::Silence);
    let stall = std::time::Duration::from_millis(300);
    let error = text(embed(&registry, &index, Options { stall, ..options() }));
    assert!(error.contains("stalled") && !error.contains("TLS"), "{error}");
    registry.fail_times("/v2/", 1, Fault::Silence);
    embed(&registry, &index, Options { stall, retries: 1, ..options() }).unwrap();
}

#[test]
fn credentials_do_not_follow_to_another_host() {
    let (repository, index) = app();
    let other = FaultyRegistry::start(std::slice::from_ref(&repository));
    let registry = FaultyRegistry::start_with(std::slice::from_ref(&repository), Auth::Basic);
    let layer = &repository.blobs[0].digest;
    registry.fail(layer, Fault::Redirect(format!("http://{}/v2/team/app/blobs/{layer}", other.address())));
    let folder = tempfile::tempdir().unwrap();
    let auth = auth_file(&folder, registry.address(), "dXNlcjpzZWNyZXQ=");
    embed(&registry, &index, Options { auth, ..options() }).unwrap();
    let seen = other.take_seen();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    assert_eq!(seen[0].authorization, None, "the secret went to another host");
}

#[test]
fn credentials_of_each_kind_are_used() {
    let (repository, index) = app();
    let folder = tempfile::tempdir().unwrap();
    for (kind, tokens) in [(Auth::Basic, 0), (Auth::Bearer, 1), (Auth::AnonymousBearer, 1)] {
        let registry = FaultyRegistry::start_with(std::slice::from_ref(&repository), kind);
        // The key of a namespace is more specific than that of the host.
        let auth = auth_file(&folder, &format!("{}/team", registry.address()), "dXNlcjpzZWNyZXQ=");
        embed(&registry, &index, Options { auth, ..options() }).unwrap();
        let seen = registry.take_seen();
        let asked = seen.iter().filter(|seen| seen.path.starts_with("/token")).count();
        assert_eq!(asked, tokens, "one token for the set ({kind:?}): {seen:#?}");
    }
}

#[test]
fn missing_and_wrong_credentials_are_told_apart() {
    let (repository, index) = app();
    let folder = tempfile::tempdir().unwrap();
    for kind in [Auth::Basic, Auth::Bearer] {
        let registry = FaultyRegistry::start_with(std::slice::from_ref(&repository), kind);
        let wrong = auth_file(&folder, registry.address(), "dXNlcjp3cm9uZw==");
        for (auth, hint) in [(Search::default(), "podman login"), (wrong, "were refused")] {
            let error = embed(&registry, &index, Options { auth, ..options() }).expect_err("no access");
            let own = error.chain().find_map(|cause| cause.downcast_ref::<Error>()).expect("a registry error");
            assert!(matches!(own, Error::Denied { .. }), "{kind:?}: {error:#}");
            assert!(own.hints()[0].contains(hint), "{kind:?}: {:?}", own.hints());
            let text = format!("{error:#} {error:?}");
            assert!(!text.contains("wrong\"") && !text.contains("dXNlcjp3cm9uZw"), "a secret is shown: {text}");
        }
    }
}

#[test]
fn settings_that_this_lane_does_not_cover_are_refused() {
    let (repository, index) = app();
    let registry = FaultyRegistry::start(&[repository]);
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("registries.conf");
    fs::write(&conf, format!("[[registry]]\nlocation = \"{}\"\nblocked = true\n", registry.address())).unwrap();
    let error = text(embed(&registry, &index, Options { registries_conf: vec![conf.clone()], ..options() }));
    assert!(error.contains("`blocked`") && error.contains("registries.conf"), "{error}");
    assert!(registry.take_seen().is_empty(), "the host was asked all the same");
    fs::write(&conf, "[[registry").unwrap();
    assert!(
        text(embed(&registry, &index, Options { registries_conf: vec![conf], ..options() }))
            .contains("registries.conf")
    );
}

#[test]
fn nothing_listens() {
    let reference: bootc_embed::model::Reference = "127.0.0.1:1/team/app:v1".parse().unwrap();
    for (tls_verify, hint) in [(true, "the port and the network"), (false, "the port and the network")] {
        let lane = lane(Options { tls_verify, ..options() });
        let error = wait(lane.manifest(reference.repository(), At::Tag("v1"))).unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("refused") && error.hints()[0].contains(hint), "{error}");
    }
    let missing = certs::Search { dir: Some(PathBuf::from("/nonexistent")), folders: Vec::new() };
    let missing = Options { certs: missing, ..options() };
    let error = Http::new(missing, Arc::new(Silent)).err().expect("no such folder").to_string();
    assert!(error.contains("/nonexistent"), "{error}");
}

#[test]
fn a_token_service_that_never_ends_is_given_up() {
    let (repository, index) = app();
    let registry = FaultyRegistry::start_with(&[repository], Auth::EndlessToken);
    let error = text(embed(&registry, &index, options()));
    assert!(error.contains("larger than 1048576 bytes"), "{error}");
}

#[test]
fn a_server_that_sends_secrets_back_does_not_get_them_printed() {
    let (repository, index) = app();
    let folder = tempfile::tempdir().unwrap();
    let registry = FaultyRegistry::start_with(&[repository], Auth::Echo);
    let auth = auth_file(&folder, registry.address(), "dXNlcjpzZWNyZXQ=");
    let error = text(embed(&registry, &index, Options { auth, ..options() }));
    assert!(error.contains("you sent Basic ***"), "{error}");
    assert!(!error.contains("dXNlcjpzZWNyZXQ") && !error.contains("secret"), "{error}");
}
