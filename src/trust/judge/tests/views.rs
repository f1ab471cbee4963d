//! Views with the verdict that containers/image gave, made for this project.

use super::*;

/// Why each view of `verdicts.tsv` that is rejected is.
const REASONS: [(&str, &str); 28] = [
    ("e-optional-missing", "its payload is not what a runtime accepts: `optional` is missing"),
    ("e-optional-string", "its payload is not what a runtime accepts: in `optional`, it is no JSON object"),
    ("e-optional-dupkey", "its payload is not what a runtime accepts: in `optional`, `a` stands twice in one object"),
    ("e-optional-creator-int", "its payload is not what a runtime accepts: in `optional`, `creator` is no text"),
    ("e-optional-ts-frac", "its payload is not what a runtime accepts: in `optional`, `timestamp` is no whole number"),
    ("e-extra-top", "its payload is not what a runtime accepts: it has the unknown key `x`"),
    ("e-extra-critical", "its payload is not what a runtime accepts: in `critical`, it has the unknown key `y`"),
    (
        "e-extra-identity",
        "its payload is not what a runtime accepts: in `critical.identity`, it has the unknown key `z`",
    ),
    ("e-dup-critical", "its payload is not what a runtime accepts: in `critical`, `type` stands twice in one object"),
    (
        "e-case-Docker-manifest",
        "its payload is not what a runtime accepts: in `critical.image`, `docker-manifest-digest` is missing",
    ),
    (
        "e-type-atomic",
        "its payload is not what a runtime accepts: `critical.type` is `atomic container signature`, not `cosign container image signature`",
    ),
    ("e-trailing-garbage", "its payload is not what a runtime accepts: trailing characters"),
    (
        "e-digest-sha512",
        "`sha512:668021acebe6881b2acc7579c0cd73d910c384c2ac1eedd5b2665b73fccfc24a12229f39a0d251d30a4a30eba471548046736abb653cb9f74aaa1a4f2af69532` was signed, not `sha256:f4f8ab6f1eeca9c5a312a1b333684ee05947567cde056bb337db448bbd8442fa`",
    ),
    (
        "e-digest-upper",
        "its payload is not what a runtime accepts: `docker-manifest-digest` is `sha256:F4F8AB6F1EECA9C5A312A1B333684EE05947567CDE056BB337DB448BBD8442FA`, which is no digest",
    ),
    (
        "e-digest-list",
        "`sha256:1222324455790a6a69277f50453369f86d36ed580dfb00aa2b6c2345d46ccdc8` was signed, not `sha256:f4f8ab6f1eeca9c5a312a1b333684ee05947567cde056bb337db448bbd8442fa`",
    ),
    ("e-b64-space", "its annotation `dev.cosignproject.cosign/signature` is no base64"),
    ("e-b64-nopad", "its annotation `dev.cosignproject.cosign/signature` is no base64"),
    ("e-b64-url", "its annotation `dev.cosignproject.cosign/signature` is no base64"),
    ("e-id-upper", "the name `REGISTRY.EXAMPLE.COM/RH/APP` was signed, which is no image reference"),
    ("e-id-short", "the name `docker.io/rh/app` was signed; the policy wants a name in `registry.example.com/rh/app`"),
    (
        "e-id-otherrepo",
        "the name `registry.example.com/rh/app2` was signed; the policy wants a name in `registry.example.com/rh/app`",
    ),
    ("e-id-empty", "the name `` was signed, which is no image reference"),
    ("p256-sha384", "it was not made by key /p256.pub (sha256 bc91c7cc189c)"),
    ("p256-sha512", "it was not made by key /p256.pub (sha256 bc91c7cc189c)"),
    ("p384-sha384", "it was not made by key /p384.pub (sha256 af06e7d90a7d)"),
    ("p384-sha512", "it was not made by key /p384.pub (sha256 af06e7d90a7d)"),
    ("p521-sha384", "it was not made by key /p521.pub (sha256 69b24af906cb)"),
    ("p521-sha512", "it was not made by key /p521.pub (sha256 69b24af906cb)"),
];

fn view(folder: &str, manifest: &str) -> (Digest, Result<Signature, SignatureError>) {
    let read = |name: &str| fs::read(data(folder).join(name)).unwrap();
    let signature = manifest.replace("manifest.json", "signature-1");
    (Digest::of(&read(manifest)), Signature::parse(&read(&signature)))
}

fn by_repository(key: &str) -> String {
    format!(
        r#"{{"type":"sigstoreSigned","keyPath":"/{key}","signedIdentity":{{"type":"exactRepository","dockerRepository":"registry.example.com/rh/app"}}}}"#
    )
}

#[test]
fn every_view_has_the_verdict_of_containers_image() {
    let table = fs::read_to_string(data("verdicts.tsv")).unwrap();
    let rows: Vec<Vec<&str>> =
        table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 44);
    let mut reasons: std::collections::BTreeMap<&str, &str> = REASONS.into();
    for row in rows {
        let [vector, key, "repo", verdict] = row[..] else { panic!("{row:?}") };
        let (manifest, signature) = view(&format!("edge/{vector}"), "manifest.json");
        let signatures = [signature];
        let candidate = Candidate { name: None, manifest: &manifest, signatures: &signatures };
        let found = word(&judge(&requirements(&by_repository(key)), &candidate, &means()));
        let expected = if verdict == "accept" { "accept" } else { reasons.remove(vector).unwrap_or("?") };
        assert_eq!(found, expected, "{vector}");
    }
    assert!(reasons.is_empty(), "{reasons:?}");
}

#[test]
fn the_instance_of_a_sparse_view_is_judged() {
    let hex = "f4f8ab6f1eeca9c5a312a1b333684ee05947567cde056bb337db448bbd8442fa";
    let (manifest, signature) = view("sparse-dir", &format!("{hex}.manifest.json"));
    assert_eq!(manifest.hex(), hex);
    let index = Digest::of(&fs::read(data("sparse-dir/manifest.json")).unwrap());
    let signatures = [signature];
    let policy = requirements(&by_repository("rsa4096.pub"));
    for (manifest, expected) in [(&manifest, true), (&index, false)] {
        let candidate = Candidate { name: None, manifest, signatures: &signatures };
        let verdict = judge(&policy, &candidate, &means());
        assert_eq!(matches!(verdict, Verdict::Accepted(_)), expected, "{verdict:?}");
        if let Verdict::Rejected(rejection) = verdict {
            assert!(rejection.hint().unwrap().contains("signature of the index"), "{rejection}");
        }
    }
}

#[test]
fn a_bundle_is_no_signature_of_an_image() {
    let manifest = fs::read(data("cosign/c3-manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layer = manifest["layers"][0]["mediaType"].as_str().unwrap();
    let payload = fs::read(data("cosign/c3-bundle.json")).unwrap();
    let bundle = Sigstore { mime_type: layer.to_owned(), payload, annotations: [].into() };
    let verdict = judged(&by_repository("cosign/ck.pub"), None, &Digest::of(b"x"), &[bundle]);
    assert_eq!(
        word(&verdict),
        "it is a `application/vnd.dev.sigstore.bundle.v0.3+json`, which is no signature of an image"
    );
}
