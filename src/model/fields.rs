//! `Fields`: a JSON object as it stands in a text: its keys in order, its values as they are spelled, and where.
//!
//! This is what changes to foreign JSON are made with: bytes are cut out or replaced, nothing is written anew.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// The fields of an object as they stand there, all of them.
pub struct Fields<'a>(pub Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The fields of a value; an error says that it is no object.
    pub fn of(value: &'a RawValue) -> Result<Self, String> {
        serde_json::from_str(value.get()).map_err(|_| "there is no object".to_owned())
    }

    /// A field that must stand there once. Go, in which runtimes and registries are written, takes keys that
    /// differ in case only for one, and the last one counts.
    pub fn only(&self, key: &str) -> Result<&'a RawValue, String> {
        self.optional(key)?.ok_or_else(|| format!("`{key}` is missing"))
    }

    /// A field that may be missing, but not stand there twice.
    pub fn optional(&self, key: &str) -> Result<Option<&'a RawValue>, String> {
        let folded = folded(key);
        let mut same = self.0.iter().filter(|(name, _)| self::folded(name) == folded);
        match (same.next(), same.next()) {
            (Some((name, value)), None) if name == key => Ok(Some(value)),
            (Some((name, _)), None) => Err(format!("`{name}` stands for `{key}`")),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(format!("`{key}` stands twice, in whatever case")),
        }
    }
}

/// A key as Go compares it.
pub fn folded(key: &str) -> String {
    key.chars().flat_map(char::to_uppercase).collect()
}

/// Where a part of some bytes stands in them.
pub fn place(part: &str, whole: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// Some bytes with parts of them replaced; the parts must not overlap.
pub fn spliced(whole: &[u8], mut changes: Vec<(Range<usize>, String)>) -> Vec<u8> {
    changes.sort_by_key(|(range, _)| range.start);
    let (mut new, mut done) = (Vec::with_capacity(whole.len()), 0);
    for (range, text) in changes {
        new.extend_from_slice(&whole[done..range.start]);
        new.extend_from_slice(text.as_bytes());
        done = range.end;
    }
    new.extend_from_slice(&whole[done..]);
    new
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_and_replaced_where_they_stand() {
        let text = br#"{ "b": [ 1 ], "a" : "x" , "A2":{"c":1.50}}"#;
        let fields: Fields = serde_json::from_slice(text).unwrap();
        let change = |key: &str, new: &str| (place(fields.only(key).unwrap().get(), text), new.to_owned());
        let new = spliced(text, vec![change("a", "\"longer\""), change("b", "2")]);
        assert_eq!(new, br#"{ "b": 2, "a" : "longer" , "A2":{"c":1.50}}"#);
        assert_eq!(spliced(text, vec![]), text);
        assert!(fields.optional("missing").unwrap().is_none());
        assert!(fields.optional("B").is_err(), "Go would read it");
        assert!(Fields::of(fields.only("b").unwrap()).is_err());
    }
}
