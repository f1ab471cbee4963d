//! What policy.json admits is what skopeo copies.

use super::image;
use crate::e2e::Workbench;
use crate::support::command::run;
use bootc_embed::trust::{Admission, Policy, admits, scopes};
use std::fs;
use std::path::Path;

/// An unsigned image in a folder.
fn write_image(dir: &Path) {
    let image = image();
    fs::create_dir_all(dir).expect("make the folder of an image");
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).expect("write an image");
    write("version", b"Directory Transport Version: 1.1\n");
    write("manifest.json", &image.manifest.bytes);
    for blob in image.layers.iter().chain([&image.config]) {
        write(blob.hex(), &blob.bytes);
    }
}

#[test]
fn skopeo_copies_what_the_policy_admits() {
    let workbench = Workbench::new();
    let root = fs::canonicalize(workbench.path("")).expect("a path without links");
    let store = root.join("store");
    let image = store.join("image");
    write_image(&image);
    let (key, scope) = (root.join("key"), |path: &Path| path.display().to_string());
    fs::write(&key, "no key").expect("write a key");
    let accept = r#"[{"type":"insecureAcceptAnything"}]"#;
    let reject = r#"[{"type":"reject"}]"#;
    let signed = format!(r#"[{{"type":"signedBy","keyType":"GPGKeys","keyPath":"{}"}}]"#, key.display());
    let sigstore = format!(r#"[{{"type":"sigstoreSigned","keyPath":"{}"}}]"#, key.display());
    let with = |default: &str, transports: &str| format!(r#"{{"default":{default},"transports":{{{transports}}}}}"#);
    let dir = |default: &str, scopes: &str| with(default, &format!(r#""dir":{{{scopes}}}"#));
    let rule = |at: &Path, rule: &str| format!(r#""{}":{rule}"#, scope(at));
    let above = store.parent().expect("a folder above");
    let mut policies = vec![
        // Which scope decides.
        with(accept, ""),
        with(reject, ""),
        dir(reject, &format!(r#""":{accept}"#)),
        dir(accept, &format!(r#""":{reject}"#)),
        dir(reject, &rule(&image, accept)),
        dir(reject, &rule(&store, accept)),
        dir(reject, &rule(above, accept)),
        dir(reject, &rule(Path::new("/tmp"), accept)),
        dir(reject, &format!("{},{}", rule(&store, accept), rule(&image, reject))),
        dir(accept, &format!("{},{}", rule(above, accept), rule(&store, reject))),
        dir(accept, &format!(r#""":{reject},{}"#, rule(&store, accept))),
        dir(accept, &rule(&store.join("im"), reject)),
        dir(accept, &rule(&image.join("below"), reject)),
        with(accept, &format!(r#""oci":{{{}}}"#, rule(&store, reject))),
        with(accept, &format!(r#""docker":{{"":{reject}}},"unheard-of":{{"x y":{reject}}}"#)),
        // All requirements, signatures among them.
        with(&signed, ""),
        with(&sigstore, ""),
        with(&format!("{},{}", &accept[..accept.len() - 1], &reject[1..]), ""),
        with(&format!("{},{}", &accept[..accept.len() - 1], &signed[1..]), ""),
        dir(&signed, &rule(&image, accept)),
    ];
    // Scopes that cannot be.
    for (transport, scope) in
        [("dir", "/"), ("dir", "relative"), ("dir", "/x/"), ("oci", "/x/../y"), ("docker-archive", "/x")]
    {
        policies.push(with(accept, &format!(r#""{transport}":{{"{scope}":{accept}}}"#)));
    }
    policies.extend(DOCUMENTS.iter().map(|text| (*text).to_owned()));
    for (kind, fields) in [
        ("exactReference", r#""dockerReference":"busybox""#),
        ("exactReference", r#""dockerReference":"busybox:1""#),
        ("exactRepository", r#""dockerRepository":"a.invalid/X""#),
        ("exactRepository", r#""dockerRepository":"a.invalid/x""#),
        ("remapIdentity", r#""prefix":"a.invalid""#),
        ("remapIdentity", r#""prefix":"a_b","signedPrefix":"b""#),
        ("remapIdentity", r#""prefix":"a.invalid:1/x","signedPrefix":"b""#),
    ] {
        policies.push(format!(
            r#"{{"default":[{{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k",
                "signedIdentity":{{"type":"{kind}",{fields}}}}}]}}"#
        ));
    }
    let file = root.join("policy.json");
    for (at, text) in policies.iter().enumerate() {
        fs::write(&file, text).expect("write a policy");
        let copy = root.join(format!("copy-{at}"));
        let mut skopeo = workbench.program("skopeo");
        skopeo.arg("--policy").arg(&file).arg("copy");
        let finished = run(skopeo.arg(format!("dir:{}", scope(&image))).arg(format!("dir:{}", scope(&copy))));
        let says = |text: &str| finished.code == Some(1) && finished.errors.contains(text);
        let agrees = match Policy::parse(text.as_bytes()) {
            Err(_) => says("invalid policy in"),
            Ok(policy) => match admits(policy.requirements("dir", &scopes::of_dir(&scope(&image))).0) {
                Admission::Accepts => finished.code == Some(0),
                Admission::Rejects(_) => says("is rejected by policy") || says("signedBaseLayer"),
                Admission::NeedsSignature(_) => says("A signature was required, but no signature exists"),
            },
        };
        assert!(agrees, "{text}\n{:?}\n{finished}", Policy::parse(text.as_bytes()));
    }
}

/// What is no policy, or needs a close look.
const DOCUMENTS: &[&str] = &[
    "",
    "null",
    "{}",
    r#"{"default":[]}"#,
    r#"{"default":null}"#,
    r#"{"default":[null]}"#,
    r#"{"default":[{"type":"insecureAcceptAnything"}],"more":1}"#,
    r#"{"default":[{"type":"insecureAcceptAnything","more":1}]}"#,
    r#"{"default":[{"type":"insecureAcceptAnything"}],"default":[{"type":"insecureAcceptAnything"}]}"#,
    r#"{"default":[{"type":"insecureAcceptAnything"}],"transports":null}"#,
    r#"{"default":[{"type":"insecureAcceptAnything"}],"transports":{"dir":{"":[]}}}"#,
    r#"{"default":[{"type":"unheard-of"}]}"#,
    r#"{"default":[{"type":"signedBy","keyType":"GPGKeys"}]}"#,
    r#"{"default":[{"type":"signedBy","keyType":"x","keyPath":"/k"}]}"#,
    r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":""}]}"#,
    r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPaths":[]}]}"#,
    r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPaths":null}]}"#,
    r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyData":""}]}"#,
    r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyData":"x"}]}"#,
    r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyData":[1,2]}]}"#,
    r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k","keyData":"aGk="}]}"#,
    r#"{"default":[{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}]}"#,
    r#"{"default":[{"type":"signedBaseLayer"}]}"#,
    r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k","signedIdentity":{"type":"x"}}]}"#,
    r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k","signedIdentity":null}]}"#,
];
