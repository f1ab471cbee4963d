//! `lint`: what is wrong with an index or an image manifest before it is pushed.
//!
//! Strict registries refuse such manifests, some with an answer that tells nothing; lax ones store them,
//! and who pulls them fails. Nothing here says that a manifest is good: only a registry does.

use super::digest::Digest;
use super::manifest::{DOCKER_MANIFEST, Descriptor, MAX_MANIFEST_SIZE, RawManifest};
use serde_json::Value;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;

/// What tells the twins of an instance apart that differ in compression.
const ZSTD: &str = "io.github.containers.compression.zstd";
/// How media types of images begin that are Docker's.
const DOCKER: &str = "application/vnd.docker.";
/// How those of the Open Container Initiative begin.
const OCI: &str = "application/vnd.oci.";

/// Something that is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The manifest.
    pub subject: Digest,
    /// What is wrong, in one sentence.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)
    }
}

/// What is wrong with a manifest, in the order of its text. `known` says what really has a digest; an entry of
/// which it knows nothing, as of those that a sparse index lacks, is not compared.
pub fn lint(raw: &RawManifest, known: &dyn Fn(&Digest) -> Option<Descriptor>) -> Vec<Fault> {
    let mut messages = Vec::new();
    let size = raw.bytes().len() as u64;
    if size > MAX_MANIFEST_SIZE {
        messages.push(format!("it has {size} bytes, and registries take no more than {MAX_MANIFEST_SIZE}"));
    }
    match serde_json::from_slice::<Value>(raw.bytes()) {
        Err(error) => messages.push(format!("it cannot be read: {error}")),
        Ok(value) if raw.is_index() => index(&value, known, &mut messages),
        Ok(value) => image(&value, &raw.descriptor().media_type, &mut messages),
    }
    // Whatever has no sentence of its own.
    if let (true, Err(error)) = (messages.is_empty(), raw.parse()) {
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        messages.push(format!("it cannot be read: {cause}"));
    }
    messages.into_iter().map(|message| Fault { subject: raw.digest().clone(), message }).collect()
}

/// What is wrong with an index.
fn index(index: &Value, known: &dyn Fn(&Digest) -> Option<Descriptor>, messages: &mut Vec<String>) {
    let Some(entries) = index["manifests"].as_array() else { return };
    if entries.is_empty() {
        messages.push("it has no entries".to_owned());
    }
    let (mut digests, mut platforms) = (HashMap::new(), HashMap::new());
    for (at, entry) in entries.iter().enumerate() {
        let Some(text) = entry["digest"].as_str() else { continue };
        let name = format!("`manifests[{at}]` ({text})");
        if let Some(real) = text.parse().ok().and_then(|digest| known(&digest)) {
            compare(entry, &real, &name, messages);
        }
        if let Some(first) = digests.get(text) {
            messages.push(format!("{name} has the same digest as `manifests[{first}]`"));
            continue;
        }
        digests.insert(text, at);
        let Some(platform) = platform(entry) else { continue };
        // Text, because values have no hash; their keys are sorted.
        let twin = &entry["annotations"][ZSTD];
        match platforms.entry(format!("{platform} {twin}")) {
            std::collections::hash_map::Entry::Occupied(first) => {
                messages.push(format!("{name} is for the same platform as `manifests[{}]`", first.get()));
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(at);
            }
        }
    }
}

/// What an index says of an entry, beside what is really there.
fn compare(entry: &Value, real: &Descriptor, name: &str, messages: &mut Vec<String>) {
    if entry["size"].as_u64() != Some(real.size) {
        messages.push(format!("{name} has {} bytes, but the index says {}", real.size, entry["size"]));
    }
    if entry["mediaType"].as_str() != Some(&real.media_type) {
        messages.push(format!("{name} is of type \"{}\", but the index says {}", real.media_type, entry["mediaType"]));
    }
}

/// The platform of an entry that a device may run, without fields that say nothing.
fn platform(entry: &Value) -> Option<Value> {
    let mut platform = entry["platform"].as_object()?.clone();
    let is_unknown = |key: &str| platform.get(key).is_some_and(|value| value == "unknown");
    if is_unknown("os") && is_unknown("architecture") {
        return None;
    }
    platform.retain(|_, value| {
        !value.is_null() && value.as_str() != Some("") && value.as_array().is_none_or(|values| !values.is_empty())
    });
    platform.sort_keys();
    Some(Value::Object(platform))
}

/// What is wrong with an image manifest.
fn image(image: &Value, own: &str, messages: &mut Vec<String>) {
    let config = &image["config"];
    let layers = image["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = layers.iter().enumerate().map(|(at, layer)| (format!("layers[{at}]"), layer));
    for (place, blob) in std::iter::once(("config".to_owned(), config)).chain(named) {
        let is_empty = |value: &Value| value.is_null() || value == "";
        if blob.is_object() && is_empty(&blob["mediaType"]) {
            let digest = blob["digest"].as_str().unwrap_or("no digest");
            messages.push(format!("`{place}` ({digest}) has no media type"));
        }
    }
    let told = config["mediaType"].as_str().unwrap_or_default();
    let (whose, foreign) = if own == DOCKER_MANIFEST { ("Docker", OCI) } else { ("OCI", DOCKER) };
    if told.starts_with(foreign) {
        messages.push(format!("it is of {whose}'s type, but its config is of type `{told}`"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::{DOCKER_LIST, OCI_INDEX, OCI_MANIFEST};
    use serde_json::json;

    /// A digest that ends with a digit.
    fn digest(last: u8) -> String {
        format!("sha256:{}{last}", "0".repeat(63))
    }

    fn entry(last: u8, platform: &Value) -> Value {
        json!({ "mediaType": OCI_MANIFEST, "digest": digest(last), "size": 7, "platform": platform })
    }

    /// The faults of a manifest; what ends with 0 to 3 is known to have 7 bytes.
    fn faults(value: &Value) -> Vec<String> {
        let raw = RawManifest::new(value.to_string().into_bytes(), None).unwrap();
        let known =
            |digest: &Digest| {
                let media_type = OCI_MANIFEST.to_owned();
                (digest.hex() < "0000000000000000000000000000000000000000000000000000000000000004")
                    .then(|| Descriptor { media_type, digest: digest.clone(), size: 7 })
            };
        let faults = lint(&raw, &known);
        assert!(faults.iter().all(|fault| fault.subject == *raw.digest()));
        faults.into_iter().map(|fault| fault.message.replace(&"0".repeat(63), "")).collect()
    }

    fn index(entries: &[Value]) -> Value {
        json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries })
    }

    fn with(mut entry: Value, key: &str, value: Value) -> Value {
        entry[key] = value;
        entry
    }

    #[test]
    fn good_indexes_have_no_faults() {
        let linux = |architecture: &str| json!({ "os": "linux", "architecture": architecture });
        let windows = |version: &str| json!({ "os": "windows", "architecture": "amd64", "os.version": version });
        let unknown = json!({ "os": "unknown", "architecture": "unknown" });
        let zstd = json!({ ZSTD: "true" });
        let nameless = |last| json!({ "mediaType": OCI_MANIFEST, "digest": digest(last), "size": 7 });
        for entries in [
            vec![entry(1, &linux("amd64")), entry(2, &linux("arm64"))],
            vec![entry(1, &linux("amd64")), with(entry(2, &linux("amd64")), "annotations", zstd)],
            vec![entry(1, &windows("10.0.1")), entry(2, &windows("10.0.2"))],
            vec![entry(1, &linux("amd64")), entry(2, &unknown), entry(3, &unknown)],
            vec![nameless(1), nameless(2)],
            // Of what is absent, nothing is known.
            vec![entry(1, &linux("amd64")), with(entry(9, &linux("arm64")), "size", json!(1))],
        ] {
            assert!(faults(&index(&entries)).is_empty(), "{entries:?}");
        }
    }

    #[test]
    fn faults_of_indexes() {
        let amd64 = json!({ "os": "linux", "architecture": "amd64" });
        let again = json!({ "variant": "", "architecture": "amd64", "os": "linux", "os.features": [] });
        let arm64 = json!({ "os": "linux", "architecture": "arm64" });
        let one = entry(1, &amd64);
        let type_said = format!(
            "`manifests[0]` (sha256:1) is of type \"{OCI_MANIFEST}\", but the index says \"{DOCKER_MANIFEST}\""
        );
        for (entries, expected) in [
            (vec![], vec!["it has no entries"]),
            (
                vec![with(one.clone(), "size", json!(8))],
                vec!["`manifests[0]` (sha256:1) has 7 bytes, but the index says 8"],
            ),
            (
                vec![with(one.clone(), "size", json!(-1))],
                vec!["`manifests[0]` (sha256:1) has 7 bytes, but the index says -1"],
            ),
            (vec![with(one.clone(), "mediaType", json!(DOCKER_MANIFEST))], vec![&type_said]),
            (
                vec![one.clone(), entry(2, &arm64), with(one.clone(), "platform", json!({}))],
                vec!["`manifests[2]` (sha256:1) has the same digest as `manifests[0]`"],
            ),
            (vec![one.clone(), one.clone()], vec!["`manifests[1]` (sha256:1) has the same digest as `manifests[0]`"]),
            (
                vec![one.clone(), entry(2, &again), entry(9, &amd64)],
                vec![
                    "`manifests[1]` (sha256:2) is for the same platform as `manifests[0]`",
                    "`manifests[2]` (sha256:9) is for the same platform as `manifests[0]`",
                ],
            ),
        ] {
            assert_eq!(faults(&index(&entries)), expected);
        }
    }

    #[test]
    fn faults_of_images() {
        const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
        const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
        let blob = |media_type: &str| json!({ "mediaType": media_type, "digest": digest(1), "size": 7 });
        let image = |own: &str, config: &str, layer: &str| json!({ "schemaVersion": 2, "mediaType": own, "config": blob(config), "layers": [blob("x"), blob(layer)] });
        let mixed = format!("it is of Docker's type, but its config is of type `{OCI_CONFIG}`");
        let reverse = format!("it is of OCI's type, but its config is of type `{DOCKER_CONFIG}`");
        let nameless = "`layers[1]` (sha256:1) has no media type";
        for (value, expected) in [
            (image(OCI_MANIFEST, OCI_CONFIG, "x"), vec![]),
            (image(OCI_MANIFEST, "application/vnd.cncf.helm.config.v1+json", "x"), vec![]),
            (image(DOCKER_MANIFEST, DOCKER_CONFIG, "x"), vec![]),
            (image(DOCKER_MANIFEST, OCI_CONFIG, "x"), vec![mixed.as_str()]),
            (image(OCI_MANIFEST, DOCKER_CONFIG, ""), vec![nameless, &reverse]),
            (image(OCI_MANIFEST, "", "x"), vec!["`config` (sha256:1) has no media type"]),
        ] {
            assert_eq!(faults(&value), expected);
        }
        let mut value = image(OCI_MANIFEST, OCI_CONFIG, "x");
        value["layers"][1].as_object_mut().unwrap().remove("mediaType");
        assert_eq!(faults(&value), [nameless]);
        value["layers"][1] = json!({ "mediaType": "x", "digest": "sha256:short", "size": 7 });
        assert!(faults(&value)[0].starts_with("it cannot be read: "), "{:?}", faults(&value));
    }

    #[test]
    fn what_is_too_large_or_deep() {
        let long = with(index(&[entry(1, &json!({}))]), "x", json!("x".repeat(4 << 20)));
        assert!(faults(&long)[0].contains("no more than 4194304"));
        let deep = format!(r#"{{"manifests":[],"x":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
        let raw = RawManifest::new(deep.into_bytes(), Some(DOCKER_LIST)).unwrap();
        assert!(lint(&raw, &|_| None)[0].to_string().contains("cannot be read"));
    }
}
