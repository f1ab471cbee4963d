//! `ImageStreamTag`: a tag of an image stream, OpenShift's list of what a name has meant.

use super::grammar::{is_path, is_tag};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// The longest name of a namespace; RFC 1123, "label".
const MAX_NAMESPACE: usize = 63;
/// The longest `NAMESPACE/NAME`: it is the path of a repository in OpenShift's own registry.
const MAX_PATH: usize = 255;

/// A tag of an image stream, `NAMESPACE/NAME:TAG`.
///
/// In OpenShift's own registry, `NAMESPACE/NAME` is the path of the repository that the stream stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct ImageStreamTag {
    text: String,
    slash: usize,
    colon: usize,
}

/// A text that is not a tag of an image stream.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a tag of an image stream: {cause}")]
pub struct ImageStreamTagError {
    text: String,
    cause: &'static str,
}

impl ImageStreamTag {
    /// The namespace (project) that the stream is in.
    pub fn namespace(&self) -> &str {
        &self.text[..self.slash]
    }

    /// The stream.
    pub fn name(&self) -> &str {
        &self.text[self.slash + 1..self.colon]
    }

    /// The tag of the stream.
    pub fn tag(&self) -> &str {
        &self.text[self.colon + 1..]
    }

    /// The path of the stream's repository, `NAMESPACE/NAME`.
    pub fn path(&self) -> &str {
        &self.text[..self.colon]
    }
}

/// Whether Kubernetes takes a text as the name of a namespace.
fn is_namespace(text: &str) -> bool {
    let word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    text.len() <= MAX_NAMESPACE
        && bytes.iter().all(|&c| word(c) || c == b'-')
        && bytes.first().is_some_and(|&c| word(c))
        && bytes.last().is_some_and(|&c| word(c))
}

impl FromStr for ImageStreamTag {
    type Err = ImageStreamTagError;

    fn from_str(text: &str) -> Result<Self, ImageStreamTagError> {
        let wrong = |cause| ImageStreamTagError { text: text.to_owned(), cause };
        let form = "`NAMESPACE/NAME:TAG` is expected";
        let (path, tag) = text.split_once(':').ok_or_else(|| wrong(form))?;
        let (namespace, name) = path.split_once('/').ok_or_else(|| wrong(form))?;
        if !is_namespace(namespace) {
            return Err(wrong("a namespace has at most 63 of a-z, 0-9 and `-`, which neither begins nor ends it"));
        }
        // OpenShift takes as the name of a stream what a registry takes as a part of a path.
        if name.contains('/') || !is_path(name) || path.len() > MAX_PATH {
            return Err(wrong("the name of a stream has a-z and 0-9, with `.`, `_` or `-` between them"));
        }
        if !is_tag(tag) {
            return Err(wrong(
                "a tag has at most 128 letters, digits, `_`, `.` and `-`, of which the last two do not begin it",
            ));
        }
        Ok(Self { text: text.to_owned(), slash: namespace.len(), colon: path.len() })
    }
}

impl fmt::Display for ImageStreamTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ImageStreamTag> for String {
    fn from(tag: ImageStreamTag) -> Self {
        tag.text
    }
}

impl schemars::JsonSchema for ImageStreamTag {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ImageStreamTag".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[^/:]+/[^/:]+:[^/:]+$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_tag_of_an_image_stream() {
        let long = |count: usize| "a".repeat(count);
        for text in [
            "team/app:v1".to_owned(),
            "t/a:Latest_1.0-x".to_owned(),
            "openshift/ubi9.base_image--x:9".to_owned(),
            format!("{}/app:{}", long(63), long(128)),
        ] {
            let tag = text.parse::<ImageStreamTag>().unwrap();
            assert_eq!(tag.to_string(), text);
            assert_eq!(format!("{}/{}:{}", tag.namespace(), tag.name(), tag.tag()), text);
            assert!(text.starts_with(&format!("{}:", tag.path())));
        }
        for (text, cause) in [
            ("", "expected"),
            ("app", "expected"),
            ("app:v1", "expected"),
            ("team/app", "expected"),
            ("/app:v1", "namespace"),
            ("Team/app:v1", "namespace"),
            ("-team/app:v1", "namespace"),
            ("team-/app:v1", "namespace"),
            ("a.b/app:v1", "namespace"),
            ("../app:v1", "namespace"),
            (&format!("{}/app:v1", long(64)), "namespace"),
            ("team/:v1", "stream"),
            ("team/App:v1", "stream"),
            ("team/a/b:v1", "stream"),
            ("team/..:v1", "stream"),
            ("team/a?b:v1", "stream"),
            (&format!("team/{}:v1", long(251)), "stream"),
            ("team/app:", "a tag"),
            ("team/app:-x", "a tag"),
            ("team/app:v1@sha256:00", "a tag"),
            (&format!("team/app:{}", long(129)), "a tag"),
        ] {
            let error = text.parse::<ImageStreamTag>().unwrap_err().to_string();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }
}
