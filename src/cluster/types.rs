//! The objects: what is asked, and what of the answer is read. Source: openshift/api, `image/v1/types.go`.

use super::error::Error;
use super::failure::{Failed, again};
use super::{Import, Imported};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Group and version of image streams.
pub const API_VERSION: &str = "image.openshift.io/v1";

/// The `ImageStreamImport`. `PreserveOriginal` keeps an index; otherwise one instance of it would be taken.
pub fn request(import: &Import) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "ImageStreamImport",
        "metadata": { "namespace": import.to.namespace(), "name": import.to.name() },
        "spec": {
            "import": true,
            "images": [{
                "from": { "kind": "DockerImage", "name": import.from },
                "to": { "name": import.to.tag() },
                "importPolicy": { "importMode": "PreserveOriginal", "insecure": import.insecure },
                "referencePolicy": { "type": "Source" },
            }],
        },
    })
}

#[derive(Deserialize)]
struct Answer {
    status: ImportStatus,
}

#[derive(Deserialize)]
struct ImportStatus {
    images: Option<Vec<ImageImportStatus>>,
}

#[derive(Deserialize)]
struct ImageImportStatus {
    status: Status,
    image: Option<Image>,
}

/// `Status` of Kubernetes (`meta/v1`): the body of a refusal, and the result of one image.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Status {
    /// `Success` or `Failure`.
    #[serde(rename = "status")]
    pub outcome: String,
    /// For programs: one word.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The status of HTTP that goes with it.
    pub code: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    metadata: Metadata,
    docker_image_manifests: Option<Vec<ImageManifest>>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct ImageManifest {
    digest: String,
}

/// Whether the tag now points to what was pushed.
pub fn judge(import: &Import, body: &[u8]) -> Result<Imported, Failed> {
    let unusable = |detail: &str| Failed::for_good(Error::Answer { to: import.to.clone(), detail: detail.to_owned() });
    let answer: Answer = serde_json::from_slice(body).map_err(|_| unusable("it is no ImageStreamImport"))?;
    let result = answer.status.images.and_then(|images| images.into_iter().next());
    let result = result.ok_or_else(|| unusable("it does not say what became of the image"))?;
    if result.status.outcome != "Success" {
        return Err(failure(import, result.status));
    }
    let image = result.image.ok_or_else(|| unusable("it says that it succeeded, and has no image"))?;
    let differs = |detail: String| Failed::for_good(Error::Different { to: import.to.clone(), detail });
    let pushed = import.digest.to_string();
    if image.metadata.name != pushed {
        return Err(differs(format!("it points to `{}`, and `{pushed}` was pushed", image.metadata.name)));
    }
    let found: BTreeSet<String> =
        image.docker_image_manifests.unwrap_or_default().into_iter().map(|entry| entry.digest).collect();
    let wanted: BTreeSet<String> = import.manifests.iter().map(ToString::to_string).collect();
    if found != wanted {
        return Err(differs(format!(
            "of the entries of the index that was pushed it lacks {}; it has {} others",
            list(wanted.difference(&found)),
            found.difference(&wanted).count()
        )));
    }
    Ok(Imported { image_stream: import.to.clone(), digest: import.digest.clone(), entries: found.len() })
}

/// Digests, for people.
fn list<'a>(digests: impl Iterator<Item = &'a String>) -> String {
    let digests: Vec<&str> = digests.map(String::as_str).collect();
    if digests.is_empty() { "none".to_owned() } else { digests.join(", ") }
}

/// The cluster could not read the image, or was not allowed to keep it.
fn failure(import: &Import, status: Status) -> Failed {
    let again = again(status.code, &status.reason);
    let message = if status.message.is_empty() { "it does not say why".to_owned() } else { status.message };
    Failed { error: Error::Failed { to: import.to.clone(), reason: status.reason, message }, again }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;

    fn import(manifests: &[&str]) -> Import {
        let digest = Digest::of(b"index");
        Import {
            from: format!("registry.example.com/team/app:v1@{digest}"),
            to: "team/app:v1".parse().unwrap(),
            digest,
            manifests: manifests.iter().map(|text| Digest::of(text.as_bytes())).collect(),
            insecure: false,
        }
    }

    fn judged(import: &Import, images: &Value) -> Result<Imported, String> {
        let answer = json!({ "kind": "ImageStreamImport", "status": { "images": images } });
        judge(import, answer.to_string().as_bytes()).map_err(|failed| failed.error.to_string())
    }

    #[test]
    fn only_the_very_index_with_its_very_entries_is_success() {
        let import = import(&["a", "b"]);
        let entry = |text: &str| json!({ "digest": Digest::of(text.as_bytes()).to_string() });
        let image = |name: &str, entries: Value| {
            json!([{ "status": { "status": "Success" },
                     "image": { "metadata": { "name": name }, "dockerImageManifests": entries } }])
        };
        let name = import.digest.to_string();
        let good = json!([entry("b"), entry("a")]);
        assert_eq!(judged(&import, &image(&name, good.clone())).unwrap().entries, 2);
        for (images, why) in [
            (image(&Digest::of(b"other").to_string(), good), "points to"),
            (image(&name, json!([entry("a")])), "lacks sha256:"),
            (image(&name, json!([entry("a"), entry("b"), entry("c")])), "1 others"),
            (image(&name, Value::Null), "lacks sha256:"),
            (json!([{ "status": { "status": "Success" } }]), "no image"),
            (json!([{ "status": {} }]), "does not say why"),
            (json!([]), "what became of"),
            (Value::Null, "what became of"),
            (json!([{ "status": "Success" }]), "no ImageStreamImport"),
            (json!([{ "status": { "status": "Failure", "reason": "NotFound", "message": "gone" } }]), "gone"),
        ] {
            let error = judged(&import, &images).unwrap_err();
            assert!(error.contains(why), "{images}: {error}");
        }
    }

    #[test]
    fn a_single_manifest_has_no_entries() {
        let import = import(&[]);
        let images = json!([{ "status": { "status": "Success" },
                              "image": { "metadata": { "name": import.digest.to_string() } } }]);
        assert_eq!(judged(&import, &images).unwrap().entries, 0);
    }
}
