//! ClusterImagePolicy and ImagePolicy objects: what they become, and what is wrong with others.

use super::*;
use crate::model::Reference;
use crate::trust::requirement::Requirement;
use crate::trust::{Policy, read_policies, scopes};

/// `-----BEGIN PUBLIC KEY-----` and its end, in base64.
const KEY: &str = "LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KYUdrPQotLS0tLUVORCBQVUJMSUMgS0VZLS0tLS0K";
const CERTIFICATE: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCmFHaz0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";

fn object(kind: &str, scopes: &str, root: &str, identity: &str) -> String {
    format!(
        "apiVersion: config.openshift.io/v1\nkind: {kind}\nmetadata: {{name: x, namespace: n, labels: {{a: b}}}}\n\
         status: {{conditions: []}}\nspec:\n  scopes: [{scopes}]\n  policy:\n    rootOfTrust: {root}\n{identity}"
    )
}

fn with_key(kind: &str, scopes: &str) -> String {
    object(kind, scopes, &format!("{{policyType: PublicKey, publicKey: {{keyData: {KEY}}}}}"), "")
}

fn read(files: &[&str]) -> Result<Policy, PolicyError> {
    let files: Vec<_> = files.iter().enumerate().map(|(n, text)| (format!("f{n}"), text.as_bytes().to_vec())).collect();
    read_policies(&files)
}

/// What decides for a name, and how many requirements there are.
fn decides(policy: &Policy, name: &str) -> (String, usize) {
    let name: Reference = name.parse().unwrap();
    let (requirements, by) = policy.requirements("docker", &scopes::of_docker(&name));
    (by, requirements.len())
}

#[test]
fn all_kinds_of_roots_and_identities() {
    let fulcio = format!(
        "{{policyType: FulcioCAWithRekor, fulcioCAWithRekor: {{fulcioCAData: {CERTIFICATE}, rekorKeyData: {KEY}, \
         fulcioSubject: {{oidcIssuer: 'https://i', signedEmail: a@b}}}}}}"
    );
    let pki = format!(
        "{{policyType: PKI, pki: {{caRootsData: {CERTIFICATE}, caIntermediatesData: {CERTIFICATE}, \
         pkiCertificateSubject: {{email: a@b, hostname: h.example.com}}}}}}"
    );
    let key = format!("{{policyType: PublicKey, publicKey: {{keyData: {KEY}, rekorKeyData: {KEY}}}}}");
    for (root, identity, expected) in [
        (&key, "", Identity::MatchRepoDigestOrExact),
        (&fulcio, "MatchRepository}", Identity::MatchRepository),
        (&pki, "MatchRepoDigestOrExact}", Identity::MatchRepoDigestOrExact),
        (
            &key,
            "ExactRepository, exactRepository: {repository: q.io/a}}",
            Identity::ExactRepository("q.io/a".to_owned()),
        ),
        (
            &key,
            "RemapIdentity, remapIdentity: {prefix: m.io, signedPrefix: q.io/a}}",
            Identity::RemapIdentity { prefix: "m.io".to_owned(), signed_prefix: "q.io/a".to_owned() },
        ),
    ] {
        let identity = match identity {
            "" => String::new(),
            identity => format!("    signedIdentity: {{matchPolicy: {identity}\n"),
        };
        let text = object("ClusterImagePolicy", "a.io", root, &identity);
        let [policy] = &parse(text.as_bytes()).unwrap()[..] else { panic!("{text}") };
        assert_eq!(policy.requirement.identity, expected);
        let is_right = match (&policy.requirement.root, root) {
            (Root::Keys(_), root) => root == &key && policy.requirement.rekor.is_some(),
            (Root::Fulcio(found), root) => root == &fulcio && found.subject_email == "a@b",
            (Root::Pki(found), root) => root == &pki && found.ca_intermediates.is_some(),
        };
        assert!(is_right, "{policy:?}");
    }
}

#[test]
fn objects_are_laid_over_a_policy() {
    let base =
        r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a.io/x":[{"type":"insecureAcceptAnything"}]}}}"#;
    let cluster = with_key("ClusterImagePolicy", "a.io/x, 'b.io', '*.c.io'");
    let list = format!(
        "{}\n",
        serde_json::json!({"kind": "List", "apiVersion": "v1", "items": [
            {"apiVersion": "config.openshift.io/v1alpha1", "kind": "ImagePolicy", "metadata": {"name": "y", "namespace": "m"},
             "spec": {"scopes": ["b.io/deep", "d.io"], "policy": {"rootOfTrust": {"policyType": "PublicKey", "publicKey": {"keyData": KEY}}}}},
            {"apiVersion": "v1", "kind": "ConfigMap", "data": {"spec": "anything"}},
        ]})
    );
    let policy = read(&[&cluster, base, &list, &format!("---\n{cluster}\n---\nkind: Other\n")]).unwrap();
    for (name, by, count) in [
        // Of the base and of two objects.
        ("a.io/x/y:v1", "docker:a.io/x", 3),
        ("b.io/deep/er:v1", "docker:b.io", 2),
        ("q.c.io/z:v1", "docker:*.c.io", 2),
        ("d.io/z:v1", "docker:d.io", 1),
        ("e.io/z:v1", "default", 1),
    ] {
        assert_eq!(decides(&policy, name), (by.to_owned(), count), "{name}");
    }
    let alone = read(&[&cluster]).unwrap();
    assert_eq!(alone.requirements("docker", &[]).0, [Requirement::InsecureAcceptAnything]);
    assert_eq!(alone.requirements("dir", &[]).0, [Requirement::InsecureAcceptAnything]);
    assert!(read(&[]).is_ok());
}

#[test]
fn what_is_wrong_is_said_with_file_and_place() {
    let good = with_key("ClusterImagePolicy", "a.io");
    let base = r#"{"default":[{"type":"reject"}]}"#;
    for (text, why) in [
        (good.replace("scopes:", "scope:"), "f0: `ClusterImagePolicy/x.spec` has no `scopes`"),
        (good.replace("a.io", ""), "f0: `ClusterImagePolicy/x.spec` has no `scopes`"),
        (good.replace("policyType: PublicKey", "policyType: New"), "has the unknown `policyType` `New`"),
        (good.replace("PublicKey, ", "PublicKey, pki: {}, "), ".rootOfTrust` has the unknown key `pki`"),
        (good.replace("keyData:", "more: 1, keyData:"), ".publicKey` has the unknown key `more`"),
        (good.replace("keyData:", "rekor:"), "has no `keyData`"),
        (good.replace(KEY, CERTIFICATE), "`keyData` is no base64 of PEM from `-----BEGIN PUBLIC KEY-----`"),
        (good.replace(KEY, "'%'"), "`keyData` is no base64"),
        (good.replace("/v1\n", "/v2\n"), "has the unknown `apiVersion` `config.openshift.io/v2`"),
        (good.replace("status:", "stati:"), "has the unknown key `stati`"),
        (format!("{good}\nkind: ImagePolicy\n"), "`kind` stands twice"),
        (format!("{good}    signedIdentity: {{matchPolicy: MatchExact}}\n"), "unknown `matchPolicy` `MatchExact`"),
        (format!("{good}    signedIdentity: {{}}\n"), ".signedIdentity` has no `matchPolicy`"),
        (
            format!(
                "{good}    signedIdentity: {{matchPolicy: ExactRepository, exactRepository: {{repository: a/b}}}}\n"
            ),
            "`repository`: `a/b` is no full name",
        ),
        ("kind: ConfigMap\n".to_owned(), "neither a policy.json nor a ClusterImagePolicy"),
        ("a: [".to_owned(), "f0: "),
        ("words".to_owned(), "a document is no object"),
        ("a: !x [1]\n".to_owned(), "f0: "),
        ("[".repeat(100_000), "it nests too deep"),
        ("- ".repeat(10_000), "f0: "),
        (" ".repeat(5_000_000), "it is larger than 4 MiB"),
        ("--- a\n".repeat(2000), "more than 1000 documents"),
        (r#"{"default":[{"type":"reject"}],"other":1}"#.to_owned(), "f0: has the unknown key `other`"),
        (format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(200_000), ["*a"; 500].join(", ")), "it holds too much"),
    ] {
        let error = read(&[&text]).unwrap_err().to_string();
        let shown: String = text.chars().take(1000).collect();
        assert!(error.contains(why), "{shown}: {error}");
    }
    let twice = read(&[base, base]).unwrap_err().to_string();
    assert_eq!(twice, "f1: it is a policy.json, as f0 is, and a device reads only one");
}

#[test]
fn scopes_as_the_api_has_them() {
    let digest = format!("q.io/a/b@sha256:{}", "a".repeat(64));
    for scope in
        ["q.io", "q.io:5000", "localhost", "localhost:5000/a", "q.io/a", "q.io/a/b:v1", "*.io", "*.q.io", &digest]
    {
        assert!(is_scope(scope), "{scope}");
    }
    for scope in
        ["", "quay", "quay/a", "*", "q.*.io", "*q.io", "*.q.io/a", "*.q.io:5000", "q.io/A", "q.io/", "q.io/a@sha256:1"]
    {
        assert!(!is_scope(scope), "{scope}");
    }
    for (inner, outer, is) in [
        ("q.io/a", "q.io/a", true),
        ("q.io/a/b", "q.io/a", true),
        ("q.io/ab", "q.io/a", false),
        ("q.io/a:v1", "q.io/a", false),
        ("*.x.q.io", "*.q.io", true),
        ("x.q.io:5000", "*.q.io", true),
        ("x.q.io/a", "*.q.io", true),
        ("other.io/x.q.io", "*.q.io", false),
        ("q.io", "*.q.io", false),
    ] {
        assert_eq!(is_nested(inner, outer), is, "{inner} {outer}");
    }
}
