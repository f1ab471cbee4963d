//! `Signature`: one signature of a manifest, as containers/image keeps it in a file beside the manifest.
//!
//! Source of the format: `signature.FromBlob` of containers/image. A simple signature is an OpenPGP
//! message as it is; a sigstore signature is a line that begins with a zero byte and names the format,
//! then JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The line that a sigstore signature begins with.
const SIGSTORE: &[u8] = b"\0sigstore-json\n";

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
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default)]
    mime_type: Option<String>,
    #[serde(default)]
    payload: Option<String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, Option<String>>>,
}

impl Signature {
    /// Reads a file `signature-N`.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let first = *bytes.first().ok_or(SignatureError::Empty)?;
        if first >= 0x80 {
            return Ok(Self::Simple(bytes.to_vec()));
        }
        let Some(json) = bytes.strip_prefix(SIGSTORE) else {
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line = String::from_utf8_lossy(&line[..line.len().min(80)]).escape_debug().to_string();
            return Err(SignatureError::Format(format!("it begins with `{line}`")));
        };
        let wrong = |e: &dyn std::fmt::Display| SignatureError::Json(e.to_string());
        let written: Written = serde_json::from_slice(json).map_err(|e| wrong(&e))?;
        let payload: String =
            written.payload.unwrap_or_default().chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let annotations = written.annotations.unwrap_or_default().into_iter();
        Ok(Self::Sigstore(Sigstore {
            mime_type: written.mime_type.unwrap_or_default(),
            payload: STANDARD.decode(payload).map_err(|e| wrong(&e))?,
            annotations: annotations.map(|(key, value)| (key, value.unwrap_or_default())).collect(),
        }))
    }

    /// Writes the file, the same bytes for equal signatures.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Simple(bytes) => bytes.clone(),
            Self::Sigstore(sigstore) => {
                let annotations = sigstore.annotations.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
                let written = Written {
                    mime_type: Some(sigstore.mime_type.clone()),
                    payload: Some(STANDARD.encode(&sigstore.payload)),
                    annotations: Some(annotations.collect()),
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
        for signature in [Signature::Simple(vec![0x89, 0, b'\n']), Signature::Sigstore(sigstore)] {
            assert_eq!(Signature::parse(&signature.to_bytes()), Ok(signature));
        }
    }

    #[test]
    fn what_is_no_signature_is_told() {
        let json = |json: &str| [SIGSTORE, json.as_bytes()].concat();
        for (bytes, why) in [
            (Vec::new(), "it is empty"),
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
        assert_eq!(Signature::parse(&json(r#"{"mimeType":null,"payload":null,"more":1}"#)), Ok(empty));
    }
}
