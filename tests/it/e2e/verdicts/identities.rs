//! Identities: every form of policies, by every name that signatures and pulls have.

use super::keys::by_key;
use super::rig::{LOGICAL, Rig, Way};
use crate::support::signing::{Key, Kind, Signature};
use serde_json::{Value, json};

pub fn add(rig: &mut Rig) {
    let key = Key::new(Kind::P256);
    let (index, instance) = (rig.index.digest.clone(), rig.instance().digest.clone());
    for signed in [
        "HOST/NAME",
        "HOST/NAME:v1",
        "HOST/NAME:v2",
        "HOST/NAME@INSTANCE",
        "HOST/NAME@INDEX",
        "HOST/NAME:v1@INDEX",
        "LOGICAL/NAME:v1",
        "LOGICAL/NAME",
        "example.invalid/other/app:v1",
        "NAME:v1",
        "docker.io/library/app:v1",
        "app:v1",
        "HOST/NAME:",
        "HOST/Name:v1",
        "",
        "64 digits",
    ] {
        let set = rig.set(|rig, name| {
            let reference = signed.replace("HOST", rig.host()).replace("NAME", name).replace("LOGICAL", LOGICAL);
            let reference = reference.replace("INSTANCE", &instance).replace("INDEX", &index);
            let reference = reference.replace("64 digits", instance.trim_start_matches("sha256:"));
            vec![Signature::new(&key, &reference, rig.instance())]
        });
        // How a name is read does not depend on the way.
        let odd = !signed.contains('/') || signed.ends_with(':') || signed.contains("Name");
        for (identity, ways) in identities(rig.host(), &set.repository, &index) {
            if odd && identity["type"] == "remapIdentity" && identity["signedPrefix"] != "docker.io" {
                continue;
            }
            for way in ways.iter().take(if odd { 1 } else { Way::ALL.len() }) {
                let mut requirement = by_key(&key);
                if !identity.is_null() {
                    requirement["signedIdentity"] = identity.clone();
                }
                rig.case(&format!("signed `{signed}`, {identity}"), &set, *way, &[requirement]);
            }
        }
    }
}

/// All forms, and the ways for which each is of interest.
fn identities(host: &str, name: &str, index: &str) -> Vec<(Value, &'static [Way])> {
    const SOME: &[Way] = &[Way::Dir, Way::Index, Way::MirroredTag];
    const DIRECT: &[Way] = &[Way::Dir, Way::Index, Way::Instance, Way::Tag, Way::MirroredTag];
    const FOLDER: &[Way] = &[Way::Dir];
    const REMAPPED: &[Way] = &[Way::MirroredTag, Way::MirroredIndex, Way::Tag];
    const MIRRORED: &[Way] = &[Way::MirroredTag];
    let exactly = |reference: &str| json!({ "type": "exactReference", "dockerReference": reference });
    let remap =
        |prefix: &str, signed: &str| json!({ "type": "remapIdentity", "prefix": prefix, "signedPrefix": signed });
    vec![
        (Value::Null, &Way::ALL),
        (json!({ "type": "matchExact" }), DIRECT),
        (json!({ "type": "matchRepository" }), SOME),
        (exactly(&format!("{host}/{name}:v1")), SOME),
        (exactly(&format!("{host}/{name}@{index}")), FOLDER),
        (exactly("app:v1"), FOLDER),
        (json!({ "type": "exactRepository", "dockerRepository": format!("{host}/{name}") }), SOME),
        (json!({ "type": "exactRepository", "dockerRepository": "app" }), FOLDER),
        (remap(LOGICAL, host), REMAPPED),
        (remap(&format!("{LOGICAL}/{name}"), &format!("{host}/{name}")), REMAPPED),
        (remap(&format!("{LOGICAL}/set"), host), MIRRORED),
        (remap(host, LOGICAL), MIRRORED),
        (remap(&format!("{LOGICAL}/{name}"), "docker.io/library/app"), MIRRORED),
        (remap(&format!("{LOGICAL}/{name}"), "docker.io"), MIRRORED),
    ]
}
