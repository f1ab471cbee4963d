//! Who signed, by other proof than a key alone: transparency logs, Fulcio, and certificates of a company.

use super::keys::{anywhere_in, encode, signed_by};
use super::payloads::Change;
use super::rig::{Rig, Way};
use crate::support::signing::{Authority, Key, Kind, Leaf, Log, Signature, Subject, now};
use serde_json::{Value, json};

const LOGGED: &str = "dev.sigstore.cosign/bundle";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const EMAIL: &str = "signer@example.invalid";
const HOST: &str = "signer.example.invalid";
const ISSUER: &str = "https://login.example.invalid";

/// A set with one signature of a key, changed; a folder and a registry of each would only be slower.
fn add_case(rig: &mut Rig, key: &Key, name: &str, rule: &Value, change: impl FnOnce(Signature) -> Signature) {
    let set = rig.set(|rig, repository| {
        vec![change(Signature::new(key, &format!("{}/{repository}:v1", rig.host()), rig.instance()))]
    });
    let repository = format!("{}/{}", rig.host(), set.repository);
    rig.case(name, &set, Way::Dir, &[anywhere_in(&repository, signed_by(rule))]);
}

pub fn add(rig: &mut Rig) {
    logs(rig);
    fulcio(rig);
    pki(rig);
}

fn logs(rig: &mut Rig) {
    let (key, log, other) = (Key::new(Kind::P256), Log::new(), Log::new());
    let p384 = Key::new(Kind::P384);
    let (data, wrong) = (encode(log.public()), encode(other.public()));
    let path = rig.file("rekor.pub", log.public());
    let rule = |name: &str, value: Value| {
        let mut rule = json!({ "keyData": encode(key.public()) });
        rule[name] = value;
        rule
    };
    let in_log = |signature: Signature| signature.logged(&log, key.public(), now());
    let forms = [
        ("rekorPublicKeyData", rule("rekorPublicKeyData", json!(data))),
        ("rekorPublicKeyPath", rule("rekorPublicKeyPath", json!(path))),
        ("rekorPublicKeyDatas", rule("rekorPublicKeyDatas", json!([wrong, data]))),
        ("rekorPublicKeyPaths", rule("rekorPublicKeyPaths", json!([path]))),
        ("another log", rule("rekorPublicKeyData", json!(wrong))),
        ("a log with Ed25519", rule("rekorPublicKeyData", json!(encode(Key::new(Kind::Ed25519).public())))),
        ("a log without a key", rule("rekorPublicKeyData", json!(encode("x")))),
        ("a log that is missing", rule("rekorPublicKeyPath", json!("/nowhere/rekor.pub"))),
    ];
    for (name, rule) in &forms {
        add_case(rig, &key, &format!("log: {name}"), rule, in_log);
    }
    let rule = &forms[0].1;
    let two = json!({ "keyDatas": [encode(p384.public()), encode(key.public())], "rekorPublicKeyData": data });
    add_case(rig, &key, "log: two keys", &two, in_log);
    add_case(rig, &p384, "log: two keys, the other", &two, |signature| signature.logged(&log, p384.public(), now()));
    add_case(rig, &p384, "log: recorded for another key", &two, in_log);
    add_case(rig, &key, "log: not recorded", rule, |signature| signature);
    add_case(rig, &key, "log: recorded long ago", rule, |signature| signature.logged(&log, key.public(), 1));
    let twice = key.public().repeat(2);
    add_case(rig, &key, "log: two keys recorded", rule, |signature| signature.logged(&log, &twice, now()));
    let changes: [Change<str, String>; 13] = [
        ("with spaces", |text| text.replace(',', " ,\n ")),
        ("in another order", |text| text.replace("\"logIndex\":7", "\"x\":0").replace("\"x\":0}", "\"logIndex\":7}")),
        ("of another index", |text| text.replace("\"logIndex\":7", "\"logIndex\":8")),
        ("index as a fraction", |text| text.replace("\"logIndex\":7", "\"logIndex\":7.0")),
        ("index as a power", |text| text.replace("\"logIndex\":7", "\"logIndex\":0.7e1")),
        ("with another field", |text| text.replace("\"logIndex\"", "\"more\":1,\"logIndex\"")),
        ("with a field outside", |text| text.replacen('{', "{\"more\":1,", 1)),
        ("with a field twice", |text| text.replace("\"logIndex\":7", "\"logIndex\":7,\"logIndex\":7")),
        ("in other letters", |text| text.replace("\"Payload\"", "\"payload\"")),
        ("with escapes", |text| text.replace("\"body\"", "\"\\u0062ody\"")),
        ("with more behind it", |text| format!("{text} x")),
        ("cut short", |text| text[..text.len() - 1].to_owned()),
        ("nothing", |_| String::new()),
    ];
    for (name, change) in changes {
        add_case(rig, &key, &format!("log: promise {name}"), rule, |signature| {
            let signature = in_log(signature);
            let promise = change(&signature.annotations[LOGGED]);
            signature.annotation(LOGGED, &promise)
        });
    }
    records(rig, &key, &log, rule);
}

/// What the log says it has recorded.
fn records(rig: &mut Rig, key: &Key, log: &Log, rule: &Value) {
    let changes: Vec<(&str, &str, Value)> = vec![
        ("unchanged", "/apiVersion", json!("0.0.1")),
        ("another version", "/apiVersion", json!("0.0.2")),
        ("no version", "/apiVersion", Value::Null),
        ("another kind", "/kind", json!("rekord")),
        ("no kind", "/kind", Value::Null),
        ("another hash", "/spec/data/hash/value", json!("00".repeat(32))),
        ("a hash in capitals", "/spec/data/hash/value", json!("UPPER")),
        ("another algorithm", "/spec/data/hash/algorithm", json!("sha512")),
        ("no hash", "/spec/data/hash", Value::Null),
        ("no data", "/spec/data", Value::Null),
        ("another signature", "/spec/signature/content", json!(encode("x"))),
        ("no signature", "/spec/signature", Value::Null),
        ("another key", "/spec/signature/publicKey/content", json!(encode(Key::new(Kind::P256).public()))),
        ("no PEM", "/spec/signature/publicKey/content", json!(encode("x"))),
        ("no key", "/spec/signature/publicKey", Value::Null),
    ];
    for (name, place, value) in changes {
        add_case(rig, key, &format!("log: record with {name}"), rule, |signature| {
            let mut record = Log::record(signature.base64(), &signature.payload, key.public());
            let upper = record["spec"]["data"]["hash"]["value"].as_str().unwrap_or_default().to_uppercase();
            *record.pointer_mut(place).expect("a record has it") = if value == "UPPER" { json!(upper) } else { value };
            signature.annotation(LOGGED, &log.promise(&record, now()))
        });
    }
    add_case(rig, key, "log: record with more", rule, |signature| {
        let mut record = Log::record(signature.base64(), &signature.payload, key.public());
        record["more"] = json!({ "x": 1 });
        record["spec"]["more"] = json!(1);
        signature.annotation(LOGGED, &log.promise(&record, now()))
    });
}

fn fulcio(rig: &mut Rig) {
    let (key, log, root, other) = (Key::new(Kind::P256), Log::new(), Authority::new(), Authority::new());
    let between = root.below();
    let subject = Subject { email: Some(EMAIL), issuer: Some(ISSUER), ..Subject::default() };
    let rule = |ca: &str, issuer: &str, email: &str| {
        let fulcio = json!({ "caData": encode(ca), "oidcIssuer": issuer, "subjectEmail": email });
        json!({ "fulcio": fulcio, "rekorPublicKeyData": encode(log.public()) })
    };
    let right = rule(&root.pem, ISSUER, EMAIL);
    let by = |leaf: &Leaf, time: u64| {
        let (log, leaf) = (&log, leaf.clone());
        move |signature: Signature| signature.certified(&leaf).logged(log, &leaf.pem, time)
    };
    let leaf = between.leaf(&key, &subject);
    for (name, rule) in [
        ("right", right.clone()),
        ("another issuer", rule(&root.pem, "https://example.invalid", EMAIL)),
        ("another e-mail", rule(&root.pem, ISSUER, "other@example.invalid")),
        ("an e-mail in capitals", rule(&root.pem, ISSUER, &EMAIL.to_uppercase())),
        ("another root", rule(&other.pem, ISSUER, EMAIL)),
        ("two roots", rule(&format!("{}{}", other.pem, root.pem), ISSUER, EMAIL)),
        ("the authority in between as root", rule(&between.pem, ISSUER, EMAIL)),
        ("no certificate", rule("x", ISSUER, EMAIL)),
        ("a key for a certificate", rule(key.public(), ISSUER, EMAIL)),
    ] {
        add_case(rig, &key, &format!("fulcio: {name}"), &rule, by(&leaf, now()));
    }
    for (name, subject) in [
        ("no usage", Subject { usage: None, ..subject }),
        ("usage of servers", Subject { usage: Some("serverAuth"), ..subject }),
        ("any usage", Subject { usage: Some("anyExtendedKeyUsage"), ..subject }),
        ("two usages", Subject { usage: Some("serverAuth,codeSigning"), ..subject }),
        ("no issuer", Subject { issuer: None, ..subject }),
        ("no e-mail", Subject { email: None, ..subject }),
        ("a host too", Subject { host: Some(HOST), ..subject }),
    ] {
        add_case(rig, &key, &format!("fulcio: {name}"), &right, by(&root.leaf(&key, &subject), now()));
    }
    let days = |days: u64| days * 24 * 60 * 60;
    add_case(rig, &key, "fulcio: logged too late", &right, by(&leaf, now() + days(2)));
    add_case(rig, &key, "fulcio: logged too early", &right, by(&leaf, now() - days(2)));
    add_case(rig, &key, "fulcio: not logged", &right, |signature| signature.certified(&leaf));
    add_case(rig, &Key::new(Kind::P256), "fulcio: signed by another", &right, by(&leaf, now()));
    add_case(rig, &key, "fulcio: no chain", &right, |signature| {
        let mut signature = by(&leaf, now())(signature);
        signature.annotations.remove(CHAIN);
        signature
    });
    add_case(rig, &key, "fulcio: no chain needed", &right, |signature| {
        let mut signature = by(&root.leaf(&key, &subject), now())(signature);
        signature.annotations.remove(CHAIN);
        signature
    });
    certificates(rig, &key, "fulcio", &leaf, &right, |signature, pem| signature.logged(&log, pem, now()));
}

/// Certificates and chains in other words.
fn certificates(
    rig: &mut Rig,
    key: &Key,
    kind: &str,
    leaf: &Leaf,
    rule: &Value,
    log: impl Fn(Signature, &str) -> Signature,
) {
    let cases = [
        ("no certificate", CERTIFICATE, String::new()),
        ("no PEM", CERTIFICATE, "x".to_owned()),
        ("two certificates", CERTIFICATE, format!("{}{}", leaf.pem, leaf.pem)),
        ("text before the certificate", CERTIFICATE, format!("x\n{}", leaf.pem)),
        ("text behind the certificate", CERTIFICATE, format!("{}x", leaf.pem)),
        ("a key for a certificate", CERTIFICATE, key.public().to_owned()),
        ("an empty chain", CHAIN, String::new()),
        ("a chain that is no PEM", CHAIN, "x".to_owned()),
        ("a chain with text behind it", CHAIN, format!("{}x", leaf.chain)),
        ("a chain with a key", CHAIN, format!("{}{}", key.public(), leaf.chain)),
        ("a chain twice", CHAIN, leaf.chain.repeat(2)),
    ];
    for (name, annotation, value) in cases {
        add_case(rig, key, &format!("{kind}: {name}"), rule, |signature| {
            let signature = signature.certified(leaf).annotation(annotation, &value);
            let pem = signature.annotations[CERTIFICATE].clone();
            log(signature, &pem)
        });
    }
}

fn pki(rig: &mut Rig) {
    let (key, root, other) = (Key::new(Kind::Rsa2048), Authority::new(), Authority::new());
    let (between, third) = (root.below(), root.below().below());
    let rule = |names: &[(&str, &str)]| {
        let mut pki = json!({ "caRootsData": encode(&root.pem) });
        for (name, value) in names {
            pki[*name] = json!(value);
        }
        json!({ "pki": pki })
    };
    let right = rule(&[("subjectEmail", EMAIL)]);
    let subject = Subject { email: Some(EMAIL), host: Some(HOST), ..Subject::default() };
    let leaf = between.leaf(&key, &subject);
    let (by_other, in_between) = (encode(&other.pem), encode(&between.pem));
    for (name, rule) in [
        ("e-mail", right.clone()),
        ("host", rule(&[("subjectHostname", HOST)])),
        ("host in capitals", rule(&[("subjectHostname", &HOST.to_uppercase())])),
        ("host with a dot", rule(&[("subjectHostname", &format!("{HOST}."))])),
        ("both", rule(&[("subjectHostname", HOST), ("subjectEmail", EMAIL)])),
        ("another e-mail", rule(&[("subjectHostname", HOST), ("subjectEmail", "x@example.invalid")])),
        ("another host", rule(&[("subjectHostname", "example.invalid"), ("subjectEmail", EMAIL)])),
        ("another root", rule(&[("caRootsData", &by_other), ("subjectEmail", EMAIL)])),
        ("a root in between", rule(&[("caRootsData", &in_between), ("subjectEmail", EMAIL)])),
        ("a known one in between", rule(&[("caIntermediatesData", &in_between), ("subjectEmail", EMAIL)])),
        ("a wrong one in between", rule(&[("caIntermediatesData", &encode("x")), ("subjectEmail", EMAIL)])),
        ("a path that is missing", rule(&[("caIntermediatesPath", "/nowhere/x"), ("subjectEmail", EMAIL)])),
    ] {
        add_case(rig, &key, &format!("pki: {name}"), &rule, |signature| signature.certified(&leaf));
        add_case(rig, &key, &format!("pki: {name}, no chain"), &rule, |signature| {
            signature.annotation(CERTIFICATE, &leaf.pem)
        });
    }
    for (name, subject) in [
        ("no usage", Subject { usage: None, ..subject }),
        ("usage of servers", Subject { usage: Some("serverAuth"), ..subject }),
        ("usage of e-mail", Subject { usage: Some("emailProtection"), ..subject }),
        ("any usage", Subject { usage: Some("anyExtendedKeyUsage"), ..subject }),
        ("a wildcard", Subject { host: Some("*.example.invalid"), ..subject }),
        ("an e-mail in capitals", Subject { email: Some("SIGNER@example.invalid"), ..subject }),
        ("nothing", Subject { host: None, email: None, ..subject }),
    ] {
        let leaf = root.leaf(&key, &subject);
        for (what, rule) in [("e-mail", &right), ("host", &rule(&[("subjectHostname", HOST)]))] {
            add_case(rig, &key, &format!("pki: {what}, {name}"), rule, |signature| signature.certified(&leaf));
        }
    }
    let leaf = third.leaf(&key, &subject);
    add_case(rig, &key, "pki: two in between", &right, |signature| signature.certified(&leaf));
    add_case(rig, &key, "pki: no certificate", &right, |signature| signature);
    for kind in [Kind::P384, Kind::P521, Kind::Ed25519] {
        let key = Key::new(kind);
        let leaf = root.leaf(&key, &subject);
        add_case(rig, &key, &format!("pki: {kind:?}"), &right, |signature| signature.certified(&leaf));
    }
    certificates(rig, &key, "pki", &between.leaf(&key, &subject), &right, |signature, _| signature);
}
