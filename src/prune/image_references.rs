//! `ImageReferences`: the ImageStream of a release, which names its components, byte for byte but for what is set.

use super::json::{JsonError, Node, Text};
use crate::model::fields::folded;

/// The largest file; real ones have some 200 KiB.
pub const MAX_SIZE: usize = 4 * 1024 * 1024;
/// Where a release says of which one it was made.
const FROM_RELEASE: &str = "release.openshift.io/from-release";
/// What follows annotations in metadata that Go writes.
const BEHIND_ANNOTATIONS: [&str; 3] = ["ownerReferences", "finalizers", "managedFields"];

/// Why `image-references` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageReferencesError {
    /// It cannot be read.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It is too large.
    #[error("it has more than {MAX_SIZE} bytes")]
    Large,
    /// It is not what it should be.
    #[error("{0}")]
    Shape(String),
}

/// A component of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag<'a> {
    /// The component.
    pub name: &'a str,
    /// What `pullspec` is: `DockerImage`.
    pub kind: &'a str,
    /// The image.
    pub pullspec: &'a str,
}

/// An ImageStream as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReferences(Node);

impl ImageReferences {
    /// Reads the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageReferencesError> {
        if bytes.len() > MAX_SIZE {
            return Err(ImageReferencesError::Large);
        }
        let stream = Self(Node::parse(bytes)?);
        let kind = stream.text(&["kind"])?;
        if kind != "ImageStream" {
            return Err(ImageReferencesError::Shape(format!("its kind is `{kind}` instead of `ImageStream`")));
        }
        Ok(stream)
    }

    /// The file, as Go prints it. What was read like this and not changed is the same, byte for byte.
    pub fn print(&self) -> Vec<u8> {
        self.0.print().into_bytes()
    }

    /// `metadata.name`: the version.
    pub fn name(&self) -> Result<&str, ImageReferencesError> {
        self.text(&["metadata", "name"])
    }

    /// The components, in their order.
    pub fn tags<'a>(&'a self) -> Result<Vec<Tag<'a>>, ImageReferencesError> {
        let tags = match self.field(&["spec"])?.map(|spec| only(spec, "tags")).transpose()?.flatten() {
            Some(Node::List(tags)) => tags.as_slice(),
            _ => return Err(ImageReferencesError::Shape("`spec.tags` is no list".to_owned())),
        };
        let tag = |(at, tag): (usize, &'a Node)| {
            let from = only(tag, "from")?;
            let (name, kind) = (text_of(Some(tag), "name", at)?, text_of(from, "kind", at)?);
            Ok(Tag { name, kind, pullspec: text_of(from, "name", at)? })
        };
        tags.iter().enumerate().map(tag).collect()
    }

    /// Says of which release this one was made: `metadata.annotations["release.openshift.io/from-release"]`.
    pub fn set_from_release(&mut self, source: &str) -> Result<(), ImageReferencesError> {
        let wrong = |what: &str| ImageReferencesError::Shape(format!("`{what}` is no object"));
        only(&self.0, "metadata")?;
        let Some(Node::Object(metadata)) = self.0.get_mut("metadata") else { return Err(wrong("metadata")) };
        let value = Node::Text(Text::new(source));
        let present = metadata.iter().position(|(key, _)| key == "annotations");
        let behind = metadata.iter().position(|(key, _)| BEHIND_ANNOTATIONS.contains(&key.as_str()));
        let at = present.or(behind).unwrap_or(metadata.len());
        if present.is_none() {
            metadata.insert(at, ("annotations".to_owned(), Node::Object(Vec::new())));
        }
        let annotations = &mut metadata[at].1;
        if *annotations == Node::Scalar("null".to_owned()) {
            *annotations = Node::Object(Vec::new());
        }
        let Node::Object(annotations) = annotations else { return Err(wrong("metadata.annotations")) };
        if let Some((_, old)) = annotations.iter_mut().find(|(key, _)| key == FROM_RELEASE) {
            *old = value;
        } else {
            // Go sorts the keys of maps.
            let at = annotations.iter().position(|(key, _)| key.as_str() > FROM_RELEASE);
            annotations.insert(at.unwrap_or(annotations.len()), (FROM_RELEASE.to_owned(), value));
        }
        Ok(())
    }

    /// Calls `change` for every text; what it returns takes its place.
    pub fn change_texts(&mut self, change: &mut dyn FnMut(&str) -> Option<String>) {
        self.0.change_texts(change);
    }

    fn text(&self, path: &[&str]) -> Result<&str, ImageReferencesError> {
        let missing = || ImageReferencesError::Shape(format!("it has no text at `{}`", path.join(".")));
        self.field(path)?.and_then(Node::as_str).ok_or_else(missing)
    }

    fn field(&self, path: &[&str]) -> Result<Option<&Node>, ImageReferencesError> {
        let mut node = Some(&self.0);
        for key in path {
            node = node.map(|node| only(node, key)).transpose()?.flatten();
        }
        Ok(node)
    }
}

/// A field. Go, in which oc and the operators are written, takes keys that differ in case only for one.
fn only<'a>(node: &'a Node, key: &str) -> Result<Option<&'a Node>, ImageReferencesError> {
    if let Node::Object(fields) = node {
        let folded_key = folded(key);
        if let Some((other, _)) = fields.iter().find(|(name, _)| name != key && folded(name) == folded_key) {
            return Err(ImageReferencesError::Shape(format!("`{other}` stands for `{key}`")));
        }
    }
    Ok(node.get(key))
}

/// A text of the tag at a place.
fn text_of<'a>(of: Option<&'a Node>, key: &str, at: usize) -> Result<&'a str, ImageReferencesError> {
    let missing = || ImageReferencesError::Shape(format!("`spec.tags[{at}]` has no text at `{key}`"));
    of.map(|of| only(of, key)).transpose()?.flatten().and_then(Node::as_str).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
  "kind": "ImageStream",
  "metadata": {
    "name": "4.20.0",
    "finalizers": []
  },
  "spec": {
    "x": 1.0,
    "tags": [
      {
        "name": "cli",
        "from": {
          "kind": "DockerImage",
          "name": "quay.io/a/cli:1"
        },
        "generation": null
      }
    ]
  }
}"#;

    fn parsed(text: &str) -> Result<ImageReferences, ImageReferencesError> {
        ImageReferences::parse(text.as_bytes())
    }

    #[test]
    fn reads_what_is_needed_and_keeps_the_rest() {
        let stream = parsed(TEXT).unwrap();
        assert_eq!(stream.print(), TEXT.as_bytes());
        assert_eq!(stream.name().unwrap(), "4.20.0");
        assert_eq!(stream.tags().unwrap(), [Tag { name: "cli", kind: "DockerImage", pullspec: "quay.io/a/cli:1" }]);
    }

    #[test]
    fn the_source_stands_where_go_would_write_it() {
        let after = |text: &str| {
            let mut stream = parsed(text).unwrap();
            stream.set_from_release("quay.io/r@<1>").unwrap();
            String::from_utf8(stream.print()).unwrap()
        };
        let line = r#""release.openshift.io/from-release": "quay.io/r@\u003c1\u003e""#;
        let set = TEXT.replace(
            "    \"finalizers\"",
            &format!("    \"annotations\": {{\n      {line}\n    }},\n    \"finalizers\""),
        );
        assert_eq!(after(TEXT), set);
        assert_eq!(after(&set), set);
        assert_eq!(after(&TEXT.replace("\"finalizers\"", "\"annotations\": null,\n\"finalizers\"")), set);
        let others = r#""annotations": {"a": "1", "release.openshift.io/from-release": "old", "z": "2"}, "finalizers""#;
        let sorted = after(&TEXT.replace("\"finalizers\"", others));
        assert_eq!(
            sorted,
            after(
                &TEXT.replace("\"finalizers\"", &others.replace(r#""release.openshift.io/from-release": "old", "#, ""))
            )
        );
        assert!(sorted.contains(&format!("\"a\": \"1\",\n      {line},\n      \"z\": \"2\"")), "{sorted}");
        let mut odd = parsed(&TEXT.replace("\"finalizers\"", "\"annotations\"")).unwrap();
        assert!(odd.set_from_release("x").is_err());
    }

    #[test]
    fn other_shapes() {
        for (old, new, cause) in [
            ("ImageStream", "Pod", "its kind is `Pod`"),
            ("\"kind\": \"ImageStream\",", "", "no text at `kind`"),
            ("\"kind\": \"ImageStream\"", "\"kind\": 1", "no text at `kind`"),
            ("\"kind\": \"ImageStream\"", "\"kind\": \"ImageStream\", \"Kind\": \"x\"", "`Kind` stands for `kind`"),
            ("\"name\": \"4.20.0\",", "", "no text at `metadata.name`"),
            ("\"tags\": [", "\"Tags\": [", "`Tags` stands for `tags`"),
            ("\"tags\": [", "\"others\": [", "`spec.tags` is no list"),
            ("\"name\": \"cli\",", "", "`spec.tags[0]` has no text at `name`"),
            ("\"name\": \"quay.io/a/cli:1\"", "\"name\": null", "`spec.tags[0]` has no text at `name`"),
            ("\"from\"", "\"to\"", "`spec.tags[0]` has no text at `kind`"),
        ] {
            let text = TEXT.replacen(old, new, 1);
            let error = parsed(&text).and_then(|stream| {
                stream.name()?;
                stream.tags()?;
                Ok(())
            });
            let error = error.unwrap_err().to_string();
            assert!(error.contains(cause), "{old}: {error}");
        }
        assert!(matches!(ImageReferences::parse(&vec![b' '; MAX_SIZE + 1]), Err(ImageReferencesError::Large)));
    }
}
