//! What is made here is what the real program takes.

use super::*;
use crate::support::command::{Finished, run};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fixture::{Compression, Image, Instance, Layer, Repository};
use crate::support::{busybox, oracle};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const REFERENCE: &str = "registry.invalid/team/app:v1";

fn image() -> Instance {
    Image::new(busybox::native()).layer(&Layer::new(&[("hello", b"hello")], Compression::Gzip)).build()
}

/// The image in a folder, beside its signatures.
fn view(home: &Path, name: &str, image: &Instance, signatures: &[Vec<u8>]) -> String {
    let dir = home.join(name);
    write_view(&dir, image, signatures);
    format!("dir:{}", dir.display())
}

/// Copies an image as a policy of one requirement allows.
fn copy(home: &Path, requirement: &Value, from: &str) -> Finished {
    let mut requirement = requirement.clone();
    requirement["signedIdentity"] = json!({ "type": "exactReference", "dockerReference": REFERENCE });
    fs::write(home.join("policy.json"), json!({ "default": [requirement] }).to_string()).expect("write a policy");
    let mut skopeo = oracle::skopeo(home);
    skopeo.arg("--policy").arg(home.join("policy.json")).arg("copy").arg(from);
    run(skopeo.arg(format!("dir:{}", home.join("copy").display())))
}

fn by_key(key: &Key) -> Value {
    json!({ "type": "sigstoreSigned", "keyData": STANDARD.encode(key.public()) })
}

#[test]
fn keys_of_every_kind() {
    let (home, image) = (TempDir::new().expect("make a folder"), image());
    let other = Key::new(Kind::P256);
    for kind in [Kind::P256, Kind::P384, Kind::P521, Kind::Rsa2048, Kind::Rsa4096, Kind::Ed25519] {
        let key = Key::new(kind);
        let signature = Signature::of(&key, payload(REFERENCE, &image.manifest.digest));
        let from = view(home.path(), &format!("{kind:?}"), &image, &[signature.file()]);
        copy(home.path(), &by_key(&key), &from).success();
        copy(home.path(), &by_key(&other), &from).fails_with(1).says("cryptographic signature verification failed");
    }
}

#[test]
fn logs_and_certificates() {
    let (home, image) = (TempDir::new().expect("make a folder"), image());
    let (key, log, root) = (Key::new(Kind::P256), Log::new(), Authority::new());
    let signature = Signature::new(&key, REFERENCE, &image.manifest);

    let mut logged = by_key(&key);
    logged["rekorPublicKeyData"] = json!(STANDARD.encode(log.public()));
    let from = view(home.path(), "logged", &image, &[signature.clone().logged(&log, key.public(), now()).file()]);
    copy(home.path(), &logged, &from).success();
    let from = view(home.path(), "not-logged", &image, &[signature.file()]);
    copy(home.path(), &logged, &from).fails_with(1);

    let (email, issuer) = (Some("signer@example.invalid"), Some("https://login.example.invalid"));
    let leaf: Leaf = root.below().leaf(&key, &Subject { email, issuer, ..Subject::default() });
    let certified = signature.clone().certified(&leaf).logged(&log, &leaf.pem, now());
    let from = view(home.path(), "fulcio", &image, &[certified.file()]);
    let fulcio = json!({ "caData": STANDARD.encode(&root.pem), "oidcIssuer": issuer, "subjectEmail": email });
    let rekor = STANDARD.encode(log.public());
    copy(home.path(), &json!({ "type": "sigstoreSigned", "fulcio": fulcio, "rekorPublicKeyData": rekor }), &from)
        .success();

    let leaf = root.leaf(&key, &Subject { host: Some("signer.example.invalid"), usage: None, ..Subject::default() });
    let from = view(home.path(), "pki", &image, &[signature.certified(&leaf).file()]);
    let pki = json!({ "caRootsData": STANDARD.encode(&root.pem), "subjectHostname": "signer.example.invalid" });
    copy(home.path(), &json!({ "type": "sigstoreSigned", "pki": pki }), &from).success();
}

#[test]
fn messages_of_gpg() {
    let (home, image) = (TempDir::new().expect("make a folder"), image());
    let keyring = Keyring::new(&["a@example.invalid", "b@example.invalid"]);
    let signature = keyring.sign("a@example.invalid", REFERENCE, &image.manifest);
    let place =
        lookaside(&home.path().join("lookaside"), "team/app", &image.manifest, std::slice::from_ref(&signature));
    assert_eq!(fs::read(place.join("signature-1")).expect("read a signature"), signature);
    let from = view(home.path(), "signed", &image, &[signature]);
    let by = |email: &str| {
        let key = STANDARD.encode(keyring.public(email));
        json!({ "type": "signedBy", "keyType": "GPGKeys", "keyData": key })
    };
    copy(home.path(), &by("a@example.invalid"), &from).success();
    copy(home.path(), &by("b@example.invalid"), &from).fails_with(1);
}

#[test]
fn a_registry_carries_attachments_and_bundles() {
    let (home, image, key) = (TempDir::new().expect("make a folder"), image(), Key::new(Kind::P256));
    let repository = Repository::new("team/app").instances([&image]).tag("v1", &image.manifest);
    let signature = Signature::new(&key, REFERENCE, &image.manifest).annotation("anything", "else");
    let repository = attach(repository, &image.manifest, std::slice::from_ref(&signature));
    assert_eq!(repository.tags[&tag(&image.manifest)], attachment(&[signature]).manifest.digest);
    let referrer = bundle(&key, &image.manifest);
    assert!(String::from_utf8_lossy(&referrer.manifest.bytes).contains(BUNDLE));
    let repository = refer(repository, &image.manifest, &[referrer]);
    assert!(repository.tags.contains_key(&fallback_tag(&image.manifest)));
    let registry = DockerRegistry::start();
    registry.push(&repository);
    let settings = home.path().join("registries.d");
    fs::create_dir(&settings).expect("make a folder of settings");
    fs::write(settings.join("all.yaml"), "default-docker:\n  use-sigstore-attachments: true\n")
        .expect("write settings");
    fs::write(
        home.path().join("policy.json"),
        json!({ "default": [{
            "type": "sigstoreSigned", "keyData": STANDARD.encode(key.public()),
            "signedIdentity": { "type": "exactReference", "dockerReference": REFERENCE },
        }] })
        .to_string(),
    )
    .expect("write a policy");
    let mut skopeo = oracle::skopeo(home.path());
    skopeo.arg("--policy").arg(home.path().join("policy.json")).arg("--registries.d").arg(&settings);
    skopeo.args(["copy", "--src-tls-verify=false"]);
    skopeo.arg(format!("docker://{}", repository.pinned(registry.host(), &image.manifest)));
    run(skopeo.arg(format!("dir:{}", home.path().join("copy").display()))).success();
    assert!(home.path().join("copy/signature-1").is_file());
}

#[test]
fn a_script_finds_the_oracle() {
    let home = TempDir::new().expect("make a folder");
    let mut script = crate::support::command::program("sh", home.path());
    oracle::lend(&mut script);
    let found = run(script.args(["-c", "skopeo --version"])).success().text();
    let own = run(oracle::skopeo(home.path()).arg("--version")).success().text();
    assert_eq!(found, own);
}
