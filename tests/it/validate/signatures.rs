//! What `validate --policy` says of signed images and of those that only seem to be: each trap by its name.

use super::{Member, PLATFORM, report};
use crate::support::command::{Finished, run};
use crate::support::fixture::{Blob, Format, Repository, Spelling};
use crate::support::registry::FaultyRegistry;
use crate::support::signing::{Key, Kind, Signature, attach, bundle, refer};
use crate::support::tool::bootc_embed;
use base64::Engine as _;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A store with one image.
struct Stored {
    folder: TempDir,
    host: String,
    reference: String,
}

impl Stored {
    /// Fetches an image; `sign` gets the key, the host, the repository, the native manifest and the index.
    fn new(key: &Key, sign: impl Fn(&Key, &str, Repository, &Blob, &Blob) -> Repository) -> Self {
        Self::with(&["--platform", PLATFORM], key, sign)
    }

    /// The same with other words for `fetch`.
    fn with(words: &[&str], key: &Key, sign: impl Fn(&Key, &str, Repository, &Blob, &Blob) -> Repository) -> Self {
        let member = Member::index("app", Format::Oci, Spelling::COMPACT);
        // Names that are signed have the host, and its port is known only when the registry runs.
        let listener = FaultyRegistry::start(&[]);
        let host = listener.address().to_owned();
        let repository = sign(key, &host, member.repository.clone(), &member.native.manifest, &member.top);
        let registry = FaultyRegistry::start(&[repository]);
        let folder = tempfile::tempdir().expect("a folder can be made");
        let conf = folder.path().join("registries.conf");
        let table =
            format!("[[registry]]\nprefix = \"{host}\"\nlocation = \"{}\"\ninsecure = true\n", registry.address());
        fs::write(&conf, table).expect("a file can be written");
        let reference = member.reference(&host);
        let mut tool = bootc_embed(folder.path());
        tool.args(["fetch", &reference]).args(words).arg("--registries-conf").arg(&conf);
        run(tool.arg("--store").arg(folder.path().join("store"))).success();
        Self { folder, host, reference }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("a file can be written");
        path
    }

    fn validate(&self, words: &[&str], policies: &[PathBuf]) -> Finished {
        let mut tool = bootc_embed(self.folder.path());
        tool.arg("validate").arg(format!("store:{}", self.folder.path().join("store").display())).args(words);
        for policy in policies {
            tool.arg("--policy").arg(policy);
        }
        run(&mut tool)
    }

    /// What a policy with one requirement, for all images of the registry, says.
    fn judged(&self, requirement: &Value) -> Value {
        let mut docker = json!({});
        docker[&self.host] = json!([requirement]);
        let policy = json!({ "default": [{ "type": "reject" }], "transports": { "docker": docker } });
        let policy = self.file("policy.json", &policy.to_string());
        let finished = self.validate(&["--format", "json"], &[policy]);
        let report = report(&finished);
        let rejected = report["embedded"][0]["signatures"]["outcome"] == "rejected";
        assert_eq!(finished.code, Some(i32::from(rejected)), "{finished}");
        report
    }
}

fn by_key(key: &Key, identity: &str) -> Value {
    let data = base64::engine::general_purpose::STANDARD.encode(key.public());
    json!({ "type": "sigstoreSigned", "keyData": data, "signedIdentity": { "type": identity } })
}

/// Signs an image: gets key, host, repository, native manifest and index.
type Sign<'a> = &'a dyn Fn(&Key, &str, Repository, &Blob, &Blob) -> Repository;

#[test]
fn every_trap_has_its_reason_and_its_hint() {
    let (key, other) = (Key::new(Kind::P256), Key::new(Kind::P384));
    let signed =
        |host: &str, tag: &str, manifest: &Blob| [Signature::new(&key, &format!("{host}/site/app{tag}"), manifest)];
    let default = by_key(&key, "matchRepoDigestOrExact");
    let tagged: Sign = &|_, host, repository, native, _| attach(repository, native, &signed(host, ":v1", native));
    let bare: Sign = &|_, host, repository, native, _| attach(repository, native, &signed(host, "", native));
    let index_only: Sign = &|_, host, repository, _, index| attach(repository, index, &signed(host, ":v1", index));
    let bundle_only: Sign = &|key, _, repository, native, _| refer(repository, native, &[bundle(key, native)]);
    let nothing: Sign = &|_, _, repository, _, _| repository;
    for (sign, requirement, reason, hint) in [
        (tagged, &default, None, None),
        (bare, &by_key(&key, "matchRepository"), None, None),
        (bare, &default, Some("was signed, without tag or digest"), Some("matchRepository")),
        (index_only, &default, Some("the index is signed, its instance is not"), Some("--recursive")),
        (
            bundle_only,
            &default,
            Some("there is a bundle of cosign 3, which no runtime reads"),
            Some("--new-bundle-format=false"),
        ),
        (nothing, &default, Some("a signature is required, and there is none"), Some("mirror")),
        (tagged, &by_key(&other, "matchRepository"), Some("it was not made by"), None),
        (tagged, &json!({ "type": "reject" }), Some("the policy rejects every image here"), None),
        (
            tagged,
            &json!({ "type": "sigstoreSigned", "keyPath": "/nowhere/x.pub" }),
            Some("/nowhere/x.pub, which the policy names"),
            None,
        ),
    ] {
        let stored = Stored::new(&key, sign);
        let report = stored.judged(requirement);
        let result = &report["embedded"][0]["signatures"];
        let finding = report["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == "signatures");
        match reason {
            None => {
                assert_eq!(result["outcome"], "accepted", "{report:#}");
                let by = result["by"][0].as_str().unwrap();
                assert!(by.starts_with("signature 1, by key "), "{by}");
                assert_eq!(result["scope"], format!("docker:{}", stored.host));
                assert_eq!((finding, &report["summary"]["proven"]), (None, &1.into()));
            }
            Some(reason) => {
                assert_eq!(result["outcome"], "rejected", "{report:#}");
                assert!(result["reason"].as_str().unwrap().contains(reason), "{reason}: {report:#}");
                let finding = finding.expect("a finding");
                assert_eq!(
                    (&finding["severity"], &finding["references"]),
                    (&json!("error"), &json!([stored.reference]))
                );
                let said = finding["hint"].as_str().unwrap_or_default();
                assert!(hint.is_none_or(|hint| said.contains(hint)), "{hint:?}: {finding:#}");
            }
        }
    }
}

/// Objects of OpenShift, alone and over a policy.json; the text names the signature and the key.
#[test]
fn policies_of_openshift_are_laid_over() {
    let key = Key::new(Kind::P256);
    let stored = Stored::new(&key, |key, host, repository, native, _| {
        attach(repository, native, &[Signature::new(key, &format!("{host}/site/app"), native)])
    });
    let data = base64::engine::general_purpose::STANDARD.encode(key.public());
    let object = |scope: &str| {
        format!(
            "apiVersion: config.openshift.io/v1\nkind: ClusterImagePolicy\nmetadata:\n  name: site\nspec:\n  scopes:\n  - {scope}\n  \
             policy:\n    rootOfTrust:\n      policyType: PublicKey\n      publicKey:\n        keyData: {data}\n    \
             signedIdentity:\n      matchPolicy: MatchRepository\n"
        )
    };
    let inside = stored.file("inside.yaml", &object("registry.example.com/site"));
    let reject = stored.file("reject.json", r#"{"default":[{"type":"reject"}]}"#);
    // A port is no part of a scope of OpenShift here; nothing is for the image, and without a policy.json all goes.
    stored.validate(&[], std::slice::from_ref(&inside)).success();
    stored.validate(&[], &[inside, reject.clone()]).fails_with(1).says("NOT PROVEN");
    let fitting = stored.file("fitting.yaml", &object(&format!("{}/site/app", stored.host)));
    let accepted = stored.validate(&[], &[fitting, reject]).success();
    assert!(accepted.text().contains("signature 1, by key "), "{accepted}");
}

/// What is no policy is told before anything is judged.
#[test]
fn policies_that_cannot_be_read() {
    let key = Key::new(Kind::P256);
    let stored = Stored::new(&key, |_, _, repository, _, _| repository);
    for (text, why) in [
        (r#"{"default":[{"type":"reject"}],"more":1}"#, "unknown key `more`"),
        (r#"{"default":[{"type":"sigstoreSigned"}]}"#, "needs exactly one of"),
        ("kind: Pod\n", "neither a policy.json nor a ClusterImagePolicy"),
        ("", "neither"),
        ("{", "EOF"),
    ] {
        let policy = stored.file("policy", text);
        stored.validate(&[], &[policy]).fails_with(2).says(why).says("hint:");
    }
    stored.validate(&[], &[stored.folder.path().join("nowhere")]).fails_with(2).says("cannot be read");
}

/// Signatures of platforms that nobody asks about do not matter.
#[test]
fn only_what_a_device_may_run_is_judged() {
    let key = Key::new(Kind::P256);
    let stored = Stored::with(&["--all-platforms"], &key, |key, host, repository, native, _| {
        attach(repository, native, &[Signature::new(key, &format!("{host}/site/app:v1"), native)])
    });
    let policy = stored.file("policy.json", &json!({ "default": [by_key(&key, "matchRepository")] }).to_string());
    let policies = std::slice::from_ref(&policy);
    stored.validate(&["--only", "signatures", "--platform", PLATFORM], policies).success();
    stored.validate(&["--only", "signatures", "--platform", "linux/arm64"], policies).fails_with(1);
    stored.validate(&["--only", "signatures"], policies).fails_with(1);
}

/// `embed` refuses a policy that cannot be read: it may be one that rejects everything. What it says of
/// signatures is not kept for `validate`, and what it wrote for an earlier policy goes.
#[test]
fn embed_obeys_the_policy_of_its_root() {
    let key = Key::new(Kind::P256);
    let member = Member::index("app", Format::Oci, Spelling::COMPACT);
    let registry = FaultyRegistry::start(std::slice::from_ref(&member.repository));
    let folder = tempfile::tempdir().expect("a folder can be made");
    let root = folder.path().join("root");
    let drop_in = root.join("etc/containers/registries.d/50-bootc-embed.yaml");
    let write = |path: &str, text: &str| super::write(&root.join(path), text, 0o644);
    let embed = || {
        let mut tool = bootc_embed(folder.path());
        tool.args(["embed", &member.reference(registry.address()), "--platform", PLATFORM, "--tls-verify=false"]);
        run(tool.arg("--root").arg(&root))
    };
    for broken in ["garbage", r#"{"default":[{"type":"reject"}],"Default":1}"#] {
        write("etc/containers/policy.json", broken);
        embed().fails_with(1).says("the device's policy `/etc/containers/policy.json` cannot be used").says("hint:");
        assert!(!root.join("usr/lib/bootc-embed").exists());
    }
    // A key for it, and no signature: the import that was just wired would be refused.
    let wants = |identity: &str| json!({ "default": [by_key(&key, identity)] }).to_string();
    write("etc/containers/policy.json", &wants("matchRepository"));
    let refused = embed().fails_with(1);
    for words in ["import-policy", "carry none", "warning  signatures", "1 references, 0 proven"] {
        assert!(refused.text().replace("1 reference,", "1 references,").contains(words), "{words}\n{refused}");
    }
    assert!(drop_in.exists());
    // Somebody defines the same name: the own file does not stand in the way, and is taken back.
    let name = format!("{}/site/app", registry.address());
    write(
        "etc/containers/registries.d/admin.yaml",
        &format!("docker:\n  {name}:\n    use-sigstore-attachments: true\n"),
    );
    embed().fails_with(1);
    assert!(!drop_in.exists());
    write("etc/containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    embed().success();
}
