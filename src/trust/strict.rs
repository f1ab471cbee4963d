//! JSON objects as containers/image reads what it must not trust: each key once, one level at a time,
//! what lies deeper only when it is asked for. And base64 as Go reads it.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// Go's standard decoder asks for padding, but does not look at the bits that are left over.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// Bytes of standard base64, of which line ends are no part.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    BASE64.decode(text).ok()
}

/// The fields of an object, as they stand there.
#[derive(Debug)]
pub struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    /// Reads an object. Anything else, a key that stands twice, and what follows it are errors.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
            return Err("it is no JSON object".to_owned());
        }
        // Without the place: where it is counted from would have to be explained.
        serde_json::from_str(text).map_err(|e| e.to_string().split(" at line ").next().unwrap_or_default().to_owned())
    }

    /// The fields with these keys, which must be all of them.
    pub fn exactly<const N: usize>(mut self, keys: [&str; N]) -> Result<[&'a RawValue; N], String> {
        let mut values = Vec::with_capacity(N);
        for key in keys {
            values.push(self.0.remove(key).ok_or_else(|| format!("`{key}` is missing"))?);
        }
        match (self.0.into_keys().next(), values.try_into()) {
            (None, Ok(values)) => Ok(values),
            (key, _) => Err(format!("it has the unknown key `{}`", key.unwrap_or_default())),
        }
    }

    /// A field.
    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.get(key).copied()
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &'a RawValue> {
        self.0.values().copied()
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if fields.contains_key(&key) {
                        return Err(A::Error::custom(format!("`{key}` stands twice in one object")));
                    }
                    fields.insert(key, map.next_value()?);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The text that a value is; null is an empty one.
pub fn text(value: &RawValue) -> Result<String, String> {
    let text: Option<String> = serde_json::from_str(value.get()).map_err(|_| "is no text".to_owned())?;
    Ok(text.unwrap_or_default())
}

/// The whole number that a value is; null is 0.
pub fn integer(value: &RawValue) -> Result<i64, String> {
    let number: Option<i64> = serde_json::from_str(value.get()).map_err(|_| "is no whole number".to_owned())?;
    Ok(number.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_go_does() {
        for (text, bytes) in [
            ("aGk=", Some("hi")),
            ("aG\r\nk\n=\n", Some("hi")),
            ("aGl=", Some("hi")),
            ("", Some("")),
            ("aGk", None),
            ("aGk =", None),
            ("aG-k", None),
            ("aGk==", None),
        ] {
            assert_eq!(base64(text), bytes.map(|bytes| bytes.as_bytes().to_vec()), "{text:?}");
        }
    }

    #[test]
    fn objects_have_each_key_once() {
        for (json, why) in [
            ("[]", "no JSON object"),
            ("", "no JSON object"),
            ("null", "no JSON object"),
            (r#"{"a":1,"\u0061":2}"#, "`a` stands twice"),
            (r#"{"a":1} x"#, "trailing"),
            (r#"{"a":}"#, "expected value"),
        ] {
            let error = Object::parse(json).unwrap_err();
            assert!(error.contains(why), "{json}: {error}");
        }
        let parse = |json| Object::parse(json).unwrap();
        assert_eq!(
            parse(r#" {"b":{"x":1,"x":2},"a":null} "#).exactly(["a", "b"]).unwrap()[1].get(),
            r#"{"x":1,"x":2}"#
        );
        assert_eq!(parse(r#"{"a":1,"c":1}"#).exactly(["a"]).unwrap_err(), "it has the unknown key `c`");
        assert_eq!(parse(r#"{"a":1}"#).exactly(["a", "b"]).unwrap_err(), "`b` is missing");
        // Not by recursion: what is not asked for may nest as deep as it likes.
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
        assert!(Object::parse(&deep).is_ok());
    }
}
