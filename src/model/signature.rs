//! `Signature`: one signature of a manifest, as containers/image keeps it in a file beside the manifest.
//!
//! Source of the format: `signature.FromBlob` of containers/image. A simple signature is an OpenPGP
//! message as it is; a sigstore signature is a line that begins with a zero byte and names the format,
//! then JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The line that a sigstore signature begins with.
const SIGSTORE: &[u8] = b"\0sigstore-json\n";
/// The line that a simple signature may begin with, and must where it begins unusually.
const SIMPLE: &[u8] = b"\0simple-signing\n";
/// What a simple signature without that line begins with: the OpenPGP packets that runtimes expect there.
/// A file that begins with anything else makes them refuse the image.
const OPENPGP: [u8; 15] = [0x3d, 0x88, 0x89, 0x8a, 0x8b, 0x90, 0x91, 0x92, 0xa0, 0xa1, 0xa2, 0xa3, 0xc2, 0xc4, 0xc8];

/// The media type of a layer that is a signature: its blob is the payload.
pub const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation with the signature itself, in base64.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// The most bytes of one signature that runtimes read; a payload may have as many.
pub const MAX_SIGNATURE_SIZE: u64 = 4 * 1024 * 1024;

/// A signature of a manifest. What it says is not to be trusted before it was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// "Simple signing": an OpenPGP message.
    Simple(Vec<u8>),
    /// As cosign attaches it to an image.
    Sigstore(Sigstore),
}

/// A sigstore signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sigstore {
    /// [`PAYLOAD_TYPE`], or something that is no image signature.
    pub mime_type: String,
    /// What was signed.
    pub payload: Vec<u8>,
    /// The signature, and what proves who made it when.
    pub annotations: BTreeMap<String, String>,
}

/// Why bytes are no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// Neither of the two formats.
    #[error("it is in no format that is known: {0}")]
    Format(String),
    /// A sigstore signature whose JSON cannot be read.
    #[error("its JSON cannot be read: {0}")]
    Json(String),
}

/// The JSON of a sigstore signature.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    mime_type: String,
    payload: String,
    annotations: BTreeMap<String, String>,
}

/// As Go reads it: capitals do not matter, null is as good as nothing, and of two values the last counts,
/// or all that annotations say together.
impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Written, A::Error> {
                let mut written = Written::default();
                while let Some(key) = fields.next_key::<String>()? {
                    match key.to_ascii_lowercase().as_str() {
                        "mimetype" => overwrite(&mut written.mime_type, fields.next_value()?),
                        "payload" => overwrite(&mut written.payload, fields.next_value()?),
                        "annotations" => match fields.next_value::<Option<BTreeMap<String, Option<String>>>>()? {
                            None => written.annotations.clear(),
                            Some(more) => written
                                .annotations
                                .extend(more.into_iter().map(|(key, value)| (key, value.unwrap_or_default()))),
                        },
                        _ => drop(fields.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(written)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

fn overwrite(text: &mut String, value: Option<String>) {
    if let Some(value) = value {
        *text = value;
    }
}

impl Signature {
    /// Reads a file `signature-N`.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let first = *bytes.first().ok_or(SignatureError::Empty)?;
        if OPENPGP.contains(&first) {
            return Ok(Self::Simple(bytes.to_vec()));
        }
        if let Some(message) = bytes.strip_prefix(SIMPLE) {
            return Ok(Self::Simple(message.to_vec()));
        }
        let Some(json) = bytes.strip_prefix(SIGSTORE) else {
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line = String::from_utf8_lossy(&line[..line.len().min(80)]).escape_debug().to_string();
            return Err(SignatureError::Format(format!("it begins with `{line}`")));
        };
        let wrong = |e: &dyn std::fmt::Display| SignatureError::Json(e.to_string());
        let written: Option<Written> = serde_json::from_slice(json).map_err(|e| wrong(&e))?;
        let written = written.unwrap_or_default();
        let payload: String = written.payload.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        Ok(Self::Sigstore(Sigstore {
            mime_type: written.mime_type,
            payload: STANDARD.decode(payload).map_err(|e| wrong(&e))?,
            annotations: written.annotations,
        }))
    }

    /// Writes the file, the same bytes for equal signatures.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Simple(bytes) if bytes.first().is_some_and(|first| OPENPGP.contains(first)) => bytes.clone(),
            Self::Simple(bytes) => [SIMPLE, bytes].concat(),
            Self::Sigstore(sigstore) => {
                let written = Written {
                    mime_type: sigstore.mime_type.clone(),
                    payload: STANDARD.encode(&sigstore.payload),
                    annotations: sigstore.annotations.clone(),
                };
                // Texts and maps of texts: this cannot fail.
                [SIGSTORE, &serde_json::to_vec(&written).unwrap_or_default()].concat()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_come_back() {
        let annotations = BTreeMap::from([(SIGNATURE_ANNOTATION.to_owned(), "MEU=\u{1f980}".to_owned())]);
        let sigstore = Sigstore { mime_type: PAYLOAD_TYPE.into(), payload: b"{\"x\":\0}".to_vec(), annotations };
        for signature in
            [Signature::Simple(vec![0x89, 0, b'\n']), Signature::Simple(vec![b'x']), Signature::Sigstore(sigstore)]
        {
            assert_eq!(Signature::parse(&signature.to_bytes()), Ok(signature));
        }
    }

    #[test]
    fn what_is_no_signature_is_told() {
        let json = |json: &str| [SIGSTORE, json.as_bytes()].concat();
        assert_eq!(Signature::parse(b"\0simple-signing\n\x01"), Ok(Signature::Simple(vec![1])));
        for (bytes, why) in [
            (Vec::new(), "it is empty"),
            (vec![0xff, 0x01], "it begins with"),
            (b"hello\nworld".to_vec(), "it begins with `hello`"),
            (b"\0other-format\n{}".to_vec(), "it begins with `\\0other-format`"),
            (b"\0sigstore-json".to_vec(), "it begins with"),
            (json(""), "EOF"),
            (json("{} x"), "trailing"),
            (json(r#"{"payload":"%"}"#), "JSON cannot be read"),
            (json(r#"{"annotations":{"a":1}}"#), "JSON cannot be read"),
        ] {
            let error = Signature::parse(&bytes).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let empty = Signature::Sigstore(Sigstore::default());
        assert_eq!(Signature::parse(&json("null")), Ok(empty.clone()));
        assert_eq!(Signature::parse(&json(r#"{"mimeType":null,"payload":null,"more":1}"#)), Ok(empty));
    }
    #[test]
    fn json_is_read_as_go_does() {
        for (json, payload, annotations) in [
            (r#"{"PayLoad":"aGk="}"#, "hi", vec![]),
            (r#"{"payload":"eA==","payload":"aGk="}"#, "hi", vec![]),
            (r#"{"payload":"aGk=","Payload":null}"#, "hi", vec![]),
            (r#"{"payload":"a\nGk="}"#, "hi", vec![]),
            (
                r#"{"annotations":{"a":"1","b":null},"Annotations":{"c":"2"}}"#,
                "",
                vec![("a", "1"), ("b", ""), ("c", "2")],
            ),
            (r#"{"annotations":{"a":"1"},"annotations":null}"#, "", vec![]),
        ] {
            let parsed = Signature::parse(&[SIGSTORE, json.as_bytes()].concat());
            let Ok(Signature::Sigstore(parsed)) = parsed else { panic!("{json}: {parsed:?}") };
            assert_eq!(String::from_utf8_lossy(&parsed.payload), payload, "{json}");
            let found: Vec<_> = parsed.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            assert_eq!(found, annotations, "{json}");
        }
    }
}
