//! `RawManifest::retain`: an index without some of its entries.
//!
//! Bytes are cut out of the text, and nothing is written anew: order, unknown fields, annotations, white
//! space and whatever else the index says stay as they are. An entry goes with what separates it from the
//! one before it, the first one with what separates it from the next.

use super::digest::Digest;
use super::fields::{Fields, place};
use super::manifest::{ManifestError, RawManifest};
use serde_json::value::RawValue;

/// Why an index cannot be cut.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetainError {
    /// An image has no entries.
    #[error("manifest {0} is no index: there is nothing to leave out")]
    NotAnIndex(Digest),
    /// Runtimes must be able to resolve what workloads name, so an index is never emptied.
    #[error("index {0} would have no entry left: an index must not be empty")]
    Empty(Digest),
    /// The text cannot be read, or can be read in two ways.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl RawManifest {
    /// This index with only those entries whose `digest`, as it stands there, `keep` accepts. Where all are
    /// accepted, the bytes are the same; the result has at least one entry.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) -> Result<RawManifest, RetainError> {
        if !self.is_index() {
            return Err(RetainError::NotAnIndex(self.digest().clone()));
        }
        let bytes = self.bytes();
        let json = |source| ManifestError::Json { digest: self.digest().clone(), source };
        let ambiguous = |detail| ManifestError::Ambiguous { digest: self.digest().clone(), detail };
        let index: Fields = serde_json::from_slice(bytes).map_err(json)?;
        let list = index.only("manifests").map_err(ambiguous)?;
        let entries: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(json)?;
        let (mut places, mut kept) = (Vec::new(), Vec::new());
        for (at, entry) in entries.into_iter().enumerate() {
            let digest = digest(entry).map_err(|detail| ambiguous(format!("in `manifests[{at}]`, {detail}")))?;
            kept.push(keep(&digest));
            places.push(place(entry.get(), bytes));
        }
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return Err(RetainError::Empty(self.digest().clone()));
        };
        if !kept.contains(&true) {
            return Err(RetainError::Empty(self.digest().clone()));
        }
        let mut cut = bytes[..first.start].to_vec();
        let mut is_first = true;
        for (at, place) in places.iter().enumerate().filter(|(at, _)| kept[*at]) {
            if !is_first {
                cut.extend_from_slice(&bytes[places[at - 1].end..place.start]);
            }
            cut.extend_from_slice(&bytes[place.clone()]);
            is_first = false;
        }
        cut.extend_from_slice(&bytes[last.end..]);
        Ok(RawManifest::new(cut, Some(&self.descriptor().media_type))?)
    }
}

/// The digest of an entry.
fn digest(entry: &RawValue) -> Result<String, String> {
    let fields = Fields::of(entry)?;
    serde_json::from_str(fields.only("digest")?.get()).map_err(|_| "`digest` is no text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::{DOCKER_LIST, OCI_INDEX};

    fn raw(text: &str) -> RawManifest {
        RawManifest::new(text.as_bytes().to_vec(), Some(DOCKER_LIST)).unwrap()
    }

    /// What is left of an index, with these digests.
    fn left(text: &str, kept: &[&str]) -> String {
        let retained = raw(text).retain(|digest| kept.contains(&digest)).unwrap();
        assert_eq!(retained.descriptor().media_type, raw(text).descriptor().media_type);
        String::from_utf8(retained.bytes().to_vec()).unwrap()
    }

    #[test]
    fn only_the_entries_are_cut() {
        for (text, kept, expected) in [
            (
                r#"{"manifests":[{"digest":"a"},{"digest":"b"},{"digest":"c"}]}"#,
                &["b"][..],
                r#"{"manifests":[{"digest":"b"}]}"#,
            ),
            (
                r#"{"manifests":[{"digest":"a"},{"digest":"b"},{"digest":"c"}]}"#,
                &["a", "c"],
                r#"{"manifests":[{"digest":"a"},{"digest":"c"}]}"#,
            ),
            // White space, before and after each of the entries.
            (
                "\n{ \"x\":1, \"manifests\" : [ 1 , 2 ,\t3\n] , \"y\": [2]}\r\n",
                &["2", "3"],
                "\n{ \"x\":1, \"manifests\" : [ 2 ,\t3\n] , \"y\": [2]}\r\n",
            ),
            ("{\"manifests\": [\n   1,\n   2,\n   3\n]}\n", &["1", "3"], "{\"manifests\": [\n   1,\n   3\n]}\n"),
            ("{\"manifests\": [\n   1,\n   2\n]}", &["1"], "{\"manifests\": [\n   1\n]}"),
            // The same digest twice, brackets and quotes in text, a digest that is spelled otherwise.
            ("{\"manifests\":[1,2,1]}", &["1"], "{\"manifests\":[1,1]}"),
            (
                r#"{"annotations":{"a":"\"manifests\":[{"},"manifests":[{"x":"]},\"","digest":"\u0061","n":1.50e3},{"digest":"b"}]}"#,
                &["a"],
                r#"{"annotations":{"a":"\"manifests\":[{"},"manifests":[{"x":"]},\"","digest":"\u0061","n":1.50e3}]}"#,
            ),
            (
                r#"{"m\u0061nifests":[{"d\u0069gest":"a"},{"digest":"b"}]}"#,
                &["a"],
                r#"{"m\u0061nifests":[{"d\u0069gest":"a"}]}"#,
            ),
            // A key of another object is another key.
            (
                r#"{"annotations":{"Manifests":[]},"manifests":[{"digest":"a","platform":{"Digest":"b"}},{"digest":"b"}]}"#,
                &["a"],
                r#"{"annotations":{"Manifests":[]},"manifests":[{"digest":"a","platform":{"Digest":"b"}}]}"#,
            ),
        ] {
            // Numbers stand for entries where white space is the point.
            let entries = |text: &str| {
                if text.contains("gest") {
                    return text.to_owned();
                }
                let (before, list) = text.split_once('[').unwrap();
                let (list, after) = list.split_once(']').unwrap();
                let entry =
                    |c: char| if c.is_ascii_digit() { format!("{{\"digest\":\"{c}\"}}") } else { c.to_string() };
                format!("{before}[{}]{after}", list.chars().map(entry).collect::<String>())
            };
            assert_eq!(left(&entries(text), kept), entries(expected), "{text}");
        }
    }

    #[test]
    fn nothing_changes_where_all_are_kept() {
        for text in [
            "{ \"manifests\" :[ {\"digest\" : \"a\"}\t]\n }\n\n",
            r#"{"manifests":[{"digest":"sha512:b"},{"digest":""}]}"#,
        ] {
            assert_eq!(raw(text).retain(|_| true).unwrap(), raw(text));
        }
    }

    #[test]
    fn the_type_stays_that_of_the_registry() {
        let text = br#"{"manifests":[{"digest":"a"},{"digest":"b"}]}"#;
        for media_type in [DOCKER_LIST, OCI_INDEX] {
            let index = RawManifest::new(text.to_vec(), Some(media_type)).unwrap();
            assert_eq!(index.retain(|digest| digest == "a").unwrap().descriptor().media_type, media_type);
        }
    }

    #[test]
    fn refuses_what_must_not_be_cut() {
        let deep = format!(r#"{{"manifests":[{{"digest":"b","x":{}{}}}]}}"#, "[".repeat(5000), "]".repeat(5000));
        for (text, words) in [
            (r#"{"config":{},"layers":[]}"#, "is no index"),
            (r#"{"manifests":[]}"#, "must not be empty"),
            (r#"{"manifests":[{"digest":"b"},{"digest":"A"}]}"#, "must not be empty"),
            (&deep, "must not be empty"),
            (r#"{"manifests":[{"digest":"a"}],"Manifests":[{"digest":"a"}]}"#, "`manifests` stands twice"),
            ("{\"manifests\":[{\"digest\":\"a\"}],\"manife\u{17f}ts\":[]}", "`manifests` stands twice"),
            (
                r#"{"manifests":[{"digest":"a"},{"digest":"a","digest":"b"}]}"#,
                "in `manifests[1]`, `digest` stands twice",
            ),
            (r#"{"manifests":[{"digest":"a","DIGEST":"b"}]}"#, "in `manifests[0]`, `digest` stands twice"),
            (r#"{"manifests":[{"Digest":"a"}]}"#, "`Digest` stands for `digest`"),
            (r#"{"manifests":[{"digest":"a"},{}]}"#, "in `manifests[1]`, `digest` is missing"),
            (r#"{"manifests":[{"digest":null}]}"#, "`digest` is no text"),
            (r#"{"manifests":[{"digest":["a"]}]}"#, "`digest` is no text"),
            (r#"{"manifests":[null]}"#, "in `manifests[0]`, there is no object"),
            (r#"{"manifests":["a"]}"#, "in `manifests[0]`, there is no object"),
            (r#"{"manifests":{"digest":"a"}}"#, "cannot be read"),
            (r#"{"manifests":"a"}"#, "cannot be read"),
            // Read field by field, this is an index too.
            ("[2,null,[],null,null,null]", "cannot be read"),
        ] {
            let error = raw(text).retain(|digest| digest == "a").unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        let twice = br#"{"manifests":[{"digest":"a"}],"manifests":[{"digest":"a"}]}"#;
        assert!(RawManifest::new(twice.to_vec(), None).is_err());
        let foreign = RawManifest::new(b"{\"manifests\":[{\"digest\":\"a\",\"x\":\"\xff\"}]}".to_vec(), None).unwrap();
        assert!(foreign.retain(|_| true).is_err());
    }
}
