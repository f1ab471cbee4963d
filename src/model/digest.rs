//! `Digest`: the name of some bytes. Only sha256 exists here.
//!
//! Source of the format: OCI image-spec, descriptor.md, "Digests".

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// A sha256 digest, `sha256:<64 lower-case hex digits>`.
///
/// sha384 and sha512 are allowed by the specification, but neither the `dir:` transport nor the
/// registries this program works with use them; they are refused by name instead of being guessed at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Why a text is not a [`Digest`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DigestError {
    /// Another algorithm than sha256.
    #[error("digest `{0}` does not use sha256, the only supported algorithm")]
    Algorithm(String),
    /// Not 64 lower-case hex digits after the colon.
    #[error("`{0}` is not a digest: `sha256:` and 64 lower-case hex digits are expected")]
    Form(String),
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The 64 hex digits, the file name of these bytes in a store.
    pub fn hex(&self) -> &str {
        &self.0
    }

    /// A digest from its 64 hex digits alone.
    pub fn from_hex(hex: &str) -> Result<Self, DigestError> {
        let lower_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if hex.len() == 64 && hex.bytes().all(lower_hex) {
            Ok(Self(hex.to_owned()))
        } else {
            Err(DigestError::Form(format!("sha256:{hex}")))
        }
    }

    /// The first 12 hex digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// Hashes bytes as they pass.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> Digest {
        use std::fmt::Write as _;
        let mut hex = String::with_capacity(64);
        for byte in self.0.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Digest(hex)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text.split_once(':') {
            Some(("sha256", hex)) => Self::from_hex(hex),
            Some(_) => Err(DigestError::Algorithm(text.to_owned())),
            None => Err(DigestError::Form(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl schemars::JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_nothing_is_the_known_one() {
        let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), text);
        assert_eq!(text.parse::<Digest>().unwrap(), Digest::of(b""));
    }

    #[test]
    fn refuses_other_algorithms_and_forms() {
        let hex = "e".repeat(64);
        for (text, wrong_algorithm) in [
            (format!("sha512:{hex}"), true),
            (hex.clone(), false),
            (format!("sha256:{}", "e".repeat(63)), false),
            (format!("sha256:{}", "E".repeat(64)), false),
            ("sha256:../../etc/passwd".to_owned(), false),
        ] {
            let error = text.parse::<Digest>().unwrap_err();
            assert_eq!(matches!(error, DigestError::Algorithm(_)), wrong_algorithm, "{text}");
        }
    }
}
