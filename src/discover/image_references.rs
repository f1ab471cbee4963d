//! OpenShift's `image-references`: an ImageStream whose tags name the images of a release.

use super::add;
use crate::model::{Failure, Release};
use anyhow::Result;
use serde::Deserialize;

#[derive(Deserialize)]
struct ImageStream {
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    from: Option<From>,
}

#[derive(Deserialize)]
struct From {
    kind: String,
    name: String,
}

/// Finds the images that the tags of an ImageStream point to.
pub fn discover(name: &str, bytes: &[u8]) -> Result<Release> {
    let wrong = || {
        Failure::usage(format!("`{name}` is not an image-references file")).hint("an ImageStream in JSON is expected")
    };
    let stream: ImageStream = serde_json::from_slice(bytes).map_err(|e| wrong().because(e))?;
    if stream.kind != "ImageStream" {
        return Err(wrong().because(format!("its kind is `{}`", stream.kind)).into());
    }
    let mut release = Release::default();
    for tag in stream.spec.tags {
        if let Some(from) = tag.from.filter(|from| from.kind == "DockerImage") {
            add(&mut release, name, format!("spec.tags.{}", tag.name), &from.name)?;
        }
    }
    Ok(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_images_and_no_other_tags() {
        let text = br#"{"kind":"ImageStream","spec":{"tags":[
            {"name":"cli","from":{"kind":"DockerImage","name":"quay.io/a/cli:1"}},
            {"name":"alias","from":{"kind":"ImageStreamTag","name":"cli"}},
            {"name":"empty"}]}}"#;
        let release = discover("image-references", text).unwrap();
        assert_eq!(release.components.len(), 1);
        assert_eq!(release.components[0].found_in[0].key, "spec.tags.cli");
        assert!(discover("x", br#"{"kind":"Pod","spec":{}}"#).is_err());
    }
}
