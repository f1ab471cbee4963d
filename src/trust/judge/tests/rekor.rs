//! Records of a transparency log, made here as Rekor makes them.

use super::*;
use serde_json::{Value, json};

const SET: &str = "dev.sigstore.cosign/bundle";

/// The record that a log makes of a signature by a key or certificate.
pub fn record(log: &Signer, pem: &str, sigstore: &Sigstore, change: impl Fn(&mut Value, &mut Value)) -> String {
    let mut body = json!({
        "apiVersion": "0.0.1", "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": Digest::of(&sigstore.payload).hex()}},
            "signature": {
                "content": sigstore.annotations[SIGNATURE_ANNOTATION],
                "publicKey": {"content": STANDARD.encode(pem)},
            },
        },
    });
    let mut entry = json!({"integratedTime": NOW, "logIndex": 7, "logID": "ab"});
    change(&mut entry, &mut body);
    if entry.get("body").is_none() {
        entry["body"] = Value::from(STANDARD.encode(body.to_string()));
    }
    // Keys in order and whole numbers: that is canonical.
    let canonical = serde_json::to_string(&entry).unwrap();
    let signature = STANDARD.encode(log.sign(canonical.as_bytes()));
    json!({"SignedEntryTimestamp": signature, "Payload": entry}).to_string()
}

/// A signer, a log, and a requirement of both.
struct Case {
    signer: Signer,
    log: Signer,
    manifest: Digest,
}

impl Case {
    fn new() -> Self {
        Self { signer: Signer::new(), log: Signer::new(), manifest: Digest::of(b"manifest") }
    }

    fn signature(&self) -> Sigstore {
        self.signer.signature(&payload("a.io/x:v1", &self.manifest))
    }

    fn record(&self, change: impl Fn(&mut Value, &mut Value)) -> String {
        record(&self.log, &self.signer.pem(), &self.signature(), change)
    }

    fn judged(&self, mut sigstore: Sigstore, set: Option<&str>, rekor: &str) -> Verdict {
        if let Some(set) = set {
            sigstore.annotations.insert(SET.to_owned(), set.to_owned());
        }
        let other = Signer::new().data();
        let key = self.signer.data();
        let policy = format!(r#"{{"type":"sigstoreSigned","keyDatas":["{other}","{key}"],{rekor}}}"#);
        judged(&policy, Some("a.io/x:v1"), &self.manifest, &[sigstore])
    }
}

#[test]
fn records_of_a_log() {
    let case = Case::new();
    let signature = case.signature();
    let rekor = format!(r#""rekorPublicKeyData":"{}""#, case.log.data());
    let several = format!(r#""rekorPublicKeyDatas":["{}","{}"]"#, Signer::new().data(), case.log.data());
    let with = |change: &dyn Fn(&mut Value, &mut Value)| record(&case.log, &case.signer.pem(), &signature, change);
    let good = with(&|_, _| {});
    let spaced = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&good).unwrap()).unwrap();
    let float = good.replace(&format!(":{NOW}"), &format!(":{NOW}.0"));
    for (set, rekor) in [(&good, &rekor), (&good, &several), (&spaced, &rekor), (&float, &rekor)] {
        let verdict = case.judged(signature.clone(), Some(set), rekor);
        assert_eq!(word(&verdict), "accept", "{set}");
    }
    let other = Signer::new();
    let prefix = "its record of the transparency log ";
    for (set, why) in [
        (with(&|entry, _| entry["more"] = json!(1)), "cannot be read: in `Payload`, it has the unknown key `more`"),
        (with(&|entry, _| entry["body"] = json!("%")), "cannot be read: in `Payload`, `body` is no base64"),
        (
            with(&|entry, _| entry["body"] = json!("aGk=")),
            "cannot be read: in `Payload`, `body`: expected value at line 1 column 1",
        ),
        (
            with(&|entry, _| entry["integratedTime"] = json!("1")),
            "cannot be read: in `Payload`, `integratedTime` is no whole number",
        ),
        (with(&|_, body| body["kind"] = json!("rekord")), "cannot be read: `kind` is `rekord`, not `hashedrekord`"),
        (with(&|_, body| body["apiVersion"] = json!("0.0.2")), "cannot be read: `apiVersion` is `0.0.2`, not `0.0.1`"),
        (
            with(&|_, body| body["spec"] = json!({})),
            "cannot be read: `/spec/signature/publicKey/content` is missing or no text",
        ),
        (
            with(&|_, body| body["spec"]["data"]["hash"]["algorithm"] = json!("sha512")),
            "cannot be read: the payload's hash is `sha512`, not `sha256`",
        ),
        (with(&|_, body| body["spec"]["data"]["hash"]["value"] = json!("00")), "is for another payload"),
        (with(&|_, body| body["spec"]["signature"]["content"] = json!("AAAA")), "is for another signature"),
        (record(&case.log, &other.pem(), &signature, |_, _| {}), "is for another key or certificate"),
        (record(&case.log, "words", &signature, |_, _| {}), "cannot be read: its key: it is no PEM"),
        (
            record(&case.log, &format!("{}x", case.signer.pem()), &signature, |_, _| {}),
            "cannot be read: its key: something follows its PEM",
        ),
        (record(&other, &case.signer.pem(), &signature, |_, _| {}), "is not signed by the policy's Rekor key"),
        (good.replace(r#""logIndex":7"#, r#""logIndex":8"#), "is not signed by the policy's Rekor key"),
        (
            good.replace(r#""logIndex":7"#, r#""logIndex":7,"logIndex":7"#),
            "cannot be read: in `Payload`, `logIndex` stands twice in one object",
        ),
        (good.replacen('{', r#"{"x":1,"#, 1), "cannot be read: it has the unknown key `x`"),
        (String::new(), "cannot be read: it is no JSON object"),
        (format!("{good}x"), "cannot be read: trailing characters"),
    ] {
        let verdict = case.judged(signature.clone(), Some(&set), &rekor);
        assert_eq!(word(&verdict), format!("{prefix}{why}"), "{set}");
    }
    let verdict = case.judged(signature, None, &rekor);
    assert_eq!(word(&verdict), "its annotation `dev.sigstore.cosign/bundle` is missing");
}

#[test]
fn a_record_of_another_signature_by_the_same_key_is_none_of_this() {
    let case = Case::new();
    let rekor = format!(r#""rekorPublicKeyData":"{}""#, case.log.data());
    // ECDSA never makes the same signature twice.
    let verdict = case.judged(case.signature(), Some(&case.record(|_, _| {})), &rekor);
    assert_eq!(word(&verdict), "its record of the transparency log is for another signature");
}

#[test]
fn keys_of_a_log_are_for_ecdsa() {
    let case = Case::new();
    let verdict =
        case.judged(case.signature(), Some(&case.record(|_, _| {})), r#""rekorPublicKeyPath":"/ed25519.pub""#);
    assert_eq!(
        word(&verdict),
        "the policy's Rekor key /ed25519.pub cannot be used: a key of a transparency log must be for ECDSA"
    );
}
