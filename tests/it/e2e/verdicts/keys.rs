//! Keys: of every kind, in every form that policies have for them, and what is no key.

use super::rig::{Rig, Set, Way};
use crate::support::signing::{Key, Kind, Signature};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A requirement by what names the keys.
pub fn signed_by(keys: &Value) -> Value {
    let mut requirement = json!({ "type": "sigstoreSigned" });
    for (name, value) in keys.as_object().into_iter().flatten() {
        requirement[name] = value.clone();
    }
    requirement
}

/// A requirement of a key.
pub fn by_key(key: &Key) -> Value {
    signed_by(&json!({ "keyData": encode(key.public()) }))
}

/// The same for an image that has no name in its transport.
pub fn anywhere_in(repository: &str, mut requirement: Value) -> Value {
    requirement["signedIdentity"] = json!({ "type": "exactRepository", "dockerRepository": repository });
    requirement
}

/// As JSON has bytes.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// A set with one signature by a key, under `repository:v1` of the registry itself.
pub fn set_of(rig: &mut Rig, key: &Key) -> Set {
    rig.set(|rig, name| vec![Signature::new(key, &format!("{}/{name}:v1", rig.host()), rig.instance())])
}

pub fn add(rig: &mut Rig) {
    let other = Key::new(Kind::P256);
    let wrong = rig.file("wrong.pub", other.public());
    for kind in [Kind::P256, Kind::P384, Kind::P521, Kind::Rsa2048, Kind::Rsa4096, Kind::Ed25519] {
        let key = Key::new(kind);
        let right = rig.file(&format!("{kind:?}.pub"), key.public());
        let set = set_of(rig, &key);
        let repository = format!("{}/{}", rig.host(), set.repository);
        for (form, keys) in [
            ("keyPath", json!({ "keyPath": right })),
            ("keyPaths", json!({ "keyPaths": [wrong, right] })),
            ("keyData", json!({ "keyData": encode(key.public()) })),
            ("keyDatas", json!({ "keyDatas": [encode(other.public()), encode(key.public())] })),
            ("wrong keyPath", json!({ "keyPath": wrong })),
            ("wrong keyDatas", json!({ "keyDatas": [encode(other.public())] })),
        ] {
            let requirement = signed_by(&keys);
            // The form does not depend on the way.
            if form.ends_with("keyPath") {
                rig.case(&format!("{kind:?} {form}"), &set, Way::Index, std::slice::from_ref(&requirement));
            }
            rig.case(&format!("{kind:?} {form}"), &set, Way::Dir, &[anywhere_in(&repository, requirement)]);
        }
    }
    forms(rig, &other);
    several(rig);
}

/// What stands around a key, and what is none.
fn forms(rig: &mut Rig, other: &Key) {
    let (key, rsa) = (Key::new(Kind::P256), Key::new(Kind::Rsa2048));
    let (set, set_of_rsa) = (set_of(rig, &key), set_of(rig, &rsa));
    let pem = key.public();
    let traditional = rsa.traditional();
    for (name, set, text) in [
        ("with CRLF", &set, pem.replace('\n', "\r\n")),
        ("with text before it", &set, format!("this is a key\n\n{pem}")),
        ("with text behind it", &set, format!("{pem}this was a key")),
        ("before another", &set, format!("{pem}{}", other.public())),
        ("behind another", &set, format!("{}{pem}", other.public())),
        ("without a line break at the end", &set, pem.trim_end().to_owned()),
        ("indented", &set, pem.replace('\n', "\n  ")),
        ("on one line", &set, pem.replace('\n', "")),
        ("of another label", &set, pem.replace("PUBLIC KEY", "EC PUBLIC KEY")),
        ("cut short", &set, pem[..pem.len() / 2].to_owned()),
        ("with headers", &set, pem.replacen('\n', "\nComment: x\n\n", 1)),
        ("nothing", &set, " ".to_owned()),
        ("no PEM", &set, "key".to_owned()),
        ("with a compressed point", &set, key.compressed()),
        ("as RSA once was", &set_of_rsa, traditional),
    ] {
        let requirement = signed_by(&json!({ "keyData": encode(text) }));
        rig.case(&format!("a key {name}"), set, Way::Index, &[requirement]);
    }
    let missing = signed_by(&json!({ "keyPath": "/nowhere/key.pub" }));
    rig.case("a key that is missing", &set, Way::Index, std::slice::from_ref(&missing));
    let unsigned = rig.set(|_, _| Vec::<Signature>::new());
    rig.case("a key that is missing, no signature", &unsigned, Way::Index, &[missing]);
    let one_missing = signed_by(&json!({ "keyPaths": [rig.file("right.pub", pem), "/nowhere/key.pub"] }));
    rig.case("one of two keys is missing", &set, Way::Index, &[one_missing]);
    let one_wrong = signed_by(&json!({ "keyDatas": [encode(pem), encode("key")] }));
    rig.case("one of two keys is none", &set, Way::Index, &[one_wrong]);
}

/// More than one requirement, scope or signature.
fn several(rig: &mut Rig) {
    let keys = [Key::new(Kind::P256), Key::new(Kind::Ed25519)];
    let under =
        |rig: &Rig, name: &str, key: &Key| Signature::new(key, &format!("{}/{name}:v1", rig.host()), rig.instance());
    let both = rig.set(|rig, name| keys.iter().map(|key| under(rig, name, key)).collect());
    let first = rig.set(|rig, name| vec![under(rig, name, &keys[0])]);
    let twice = rig.set(|rig, name| {
        let signature = under(rig, name, &keys[0]);
        vec![signature.clone(), signature]
    });
    let none = rig.set(|_, _| Vec::<Signature>::new());
    let [a, b] = [0, 1].map(|at| by_key(&keys[at]));
    let (anything, reject) = (json!({ "type": "insecureAcceptAnything" }), json!({ "type": "reject" }));
    for (name, set) in [("both", &both), ("the first", &first), ("the first twice", &twice), ("nobody", &none)] {
        for (what, requirements) in [
            ("a", vec![&a]),
            ("b", vec![&b]),
            ("a and b", vec![&a, &b]),
            ("a and a", vec![&a, &a]),
            ("a and anything", vec![&a, &anything]),
            ("anything", vec![&anything]),
            ("anything and b", vec![&anything, &b]),
            ("a and reject", vec![&a, &reject]),
        ] {
            let requirements: Vec<Value> = requirements.into_iter().cloned().collect();
            if name == "both" {
                rig.case(&format!("{what}, signed by {name}"), set, Way::Tag, &requirements);
            }
            let repository = format!("{}/{}", rig.host(), set.repository);
            let named = requirements.into_iter().map(|requirement| match requirement["type"].as_str() {
                Some("sigstoreSigned") => anywhere_in(&repository, requirement),
                _ => requirement,
            });
            let named: Vec<Value> = named.collect();
            rig.case(&format!("{what}, signed by {name}"), set, Way::Dir, &named);
        }
    }
    scopes(rig, &first, &a, &b);
}

/// The narrowest scope decides, by the logical name.
fn scopes(rig: &mut Rig, set: &Set, right: &Value, wrong: &Value) {
    let (host, repository) = (rig.host().to_owned(), format!("{}/{}", rig.host(), set.repository));
    let reference = format!("{repository}@{}", rig.index.digest);
    let instance = format!("{repository}@{}", rig.instance().digest);
    let mut logical = right.clone();
    logical["signedIdentity"] = json!({ "type": "remapIdentity", "prefix": super::rig::LOGICAL, "signedPrefix": host });
    for (name, scopes) in [
        ("reference", json!({ "": [wrong], &reference: [right] })),
        ("instance", json!({ "": [wrong], &instance: [right] })),
        ("tag", json!({ "": [wrong], format!("{repository}:v1"): [right] })),
        ("repository", json!({ "": [wrong], &repository: [right], &host: [wrong] })),
        ("host", json!({ "": [wrong], &host: [right] })),
        ("logical host", json!({ "": [wrong], super::rig::LOGICAL: [logical] })),
        ("host of a mirror", json!({ "": [logical], &host: [wrong] })),
        ("wildcard", json!({ "": [wrong], "*.invalid": [logical] })),
    ] {
        let policy = json!({ "default": [{ "type": "reject" }], "transports": { "docker": scopes } });
        for way in [Way::Index, Way::Tag, Way::MirroredInstance, Way::Dir] {
            rig.case_of_policy(&format!("scope {name}"), set, way, policy.to_string());
        }
    }
}
