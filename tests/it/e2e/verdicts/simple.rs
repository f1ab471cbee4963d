//! Simple signing.

use super::keys::{anywhere_in, by_key, encode};
use super::rig::{Rig, Signed, Way};
use crate::support::signing::{Key, Keyring, Kind, Signature};
use serde_json::{Value, json};

const A: &str = "a@example.invalid";
const B: &str = "b@example.invalid";

pub fn add(rig: &mut Rig) {
    let (keyring, key) = (Keyring::new(&[A, B]), Key::new(Kind::P256));
    let [a, b] = [A, B].map(|email| keyring.public(email));
    let (path, wrong) = (rig.file("a.gpg", &a), rig.file("b.gpg", &b));
    let by = |name: &str, value: Value| {
        let mut requirement = json!({ "type": "signedBy", "keyType": "GPGKeys" });
        requirement[name] = value;
        requirement
    };
    let right = by("keyData", json!(encode(&a)));
    let add_sets = |rig: &mut Rig, name: &str, requirements: &[Value], sign: &dyn Fn(&Rig, &str) -> Vec<Signed>| {
        let set = rig.set(|rig, repository| sign(rig, &format!("{}/{repository}", rig.host())));
        rig.case(name, &set, Way::Index, requirements);
        let repository = format!("{}/{}", rig.host(), set.repository);
        let named: Vec<Value> = requirements.iter().map(|rule| anywhere_in(&repository, rule.clone())).collect();
        rig.case(name, &set, Way::Dir, &named);
    };
    let signed = |email: &'static str, tag: &'static str| {
        let keyring = &keyring;
        move |rig: &Rig, name: &str| Signed::Beside(keyring.sign(email, &format!("{name}{tag}"), rig.instance()))
    };
    let by_a = signed(A, ":v1");
    for (name, requirement) in [
        ("keyData", right.clone()),
        ("keyPath", by("keyPath", json!(path))),
        ("keyPaths", by("keyPaths", json!([wrong, path]))),
        ("two keys", by("keyData", json!(encode([a.clone(), b.clone()].concat())))),
        ("another key", by("keyData", json!(encode(&b)))),
        ("no key", by("keyData", json!(encode("x")))),
        ("a path that is missing", by("keyPath", json!("/nowhere/a.gpg"))),
    ] {
        add_sets(rig, &format!("gpg: {name}"), &[requirement], &|rig, name| vec![by_a(rig, name)]);
    }
    for (name, tag) in [("no tag", ""), ("another tag", ":v2"), ("no name", ":")] {
        let sign = signed(A, tag);
        add_sets(rig, &format!("gpg: {name}"), std::slice::from_ref(&right), &|rig, name| vec![sign(rig, name)]);
    }
    let by_b = signed(B, ":v1");
    let attached = |rig: &Rig, name: &str| Signed::from(Signature::new(&key, &format!("{name}:v1"), rig.instance()));
    add_sets(rig, "gpg: by another, then good", std::slice::from_ref(&right), &|rig, name| {
        vec![by_b(rig, name), by_a(rig, name)]
    });
    add_sets(rig, "gpg: sigstore only", std::slice::from_ref(&right), &|rig, name| vec![attached(rig, name)]);
    add_sets(rig, "gpg: nobody", std::slice::from_ref(&right), &|_, _| Vec::new());
    add_sets(rig, "gpg: no message", std::slice::from_ref(&right), &|_, _| vec![Signed::Beside(vec![0x99, 1, 2, 3])]);
    add_sets(rig, "gpg: with its format told", std::slice::from_ref(&right), &|rig, name| {
        let Signed::Beside(bytes) = by_a(rig, name) else { unreachable!("it is beside") };
        vec![Signed::Beside([b"\0simple-signing\n", &bytes[..]].concat())]
    });
    add_sets(rig, "gpg: of the index", std::slice::from_ref(&right), &|rig, name| {
        vec![Signed::Beside(keyring.sign(A, &format!("{name}:v1"), &rig.index))]
    });
    add_sets(rig, "gpg: of something else", std::slice::from_ref(&right), &|_, _| {
        vec![Signed::Beside(keyring.sign_bytes(A, b"{}"))]
    });
    add_sets(rig, "gpg: tampered", std::slice::from_ref(&right), &|rig, name| {
        let Signed::Beside(mut bytes) = by_a(rig, name) else { unreachable!("it is beside") };
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        vec![Signed::Beside(bytes)]
    });
    for (name, requirements) in [
        ("both", vec![right.clone(), by_key(&key)]),
        ("either kind", vec![right.clone(), by("keyData", json!(encode(&b)))]),
        ("nothing", vec![right, json!({ "type": "reject" })]),
    ] {
        add_sets(rig, &format!("gpg: {name} required, both kinds there"), &requirements, &|rig, name| {
            vec![by_a(rig, name), attached(rig, name)]
        });
    }
}
