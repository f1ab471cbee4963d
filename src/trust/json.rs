//! JSON as strictly as policy.json is read: no key twice, none that is not known, none left over.

use super::policy::PolicyError;
use super::strict::base64;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// A JSON value. Objects keep the order of their keys, each of which stands once.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    /// Numbers that are no byte, and truth values: nothing in a policy is one.
    Other,
    Byte(u8),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a document. Bytes that are no UTF-8 count as U+FFFD, as Go's reader has it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let text = String::from_utf8_lossy(bytes);
        let mut json = serde_json::Deserializer::from_str(&text);
        let value = Seed(&Cell::new(usize::MAX)).deserialize(&mut json);
        value.and_then(|value| json.end().map(|()| value)).map_err(|e| wrong("", e.to_string()))
    }
}

/// Reads one value, as long as a budget of values and bytes of text lasts: aliases of YAML can make
/// much of little.
#[derive(Clone, Copy)]
pub struct Seed<'b>(pub &'b Cell<usize>);

impl Seed<'_> {
    fn take<E: Error>(self, size: usize) -> Result<(), E> {
        let left = self.0.get().checked_sub(size.saturating_add(1));
        self.0.set(left.ok_or_else(|| E::custom("it holds too much, perhaps by aliases of aliases"))?);
        Ok(())
    }

    fn scalar<E: Error>(self, value: Json) -> Result<Json, E> {
        self.take(0)?;
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        self.scalar(Json::Null)
    }

    /// An empty document of YAML.
    fn visit_none<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Json, E> {
        self.scalar(Json::Other)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json, E> {
        self.scalar(u8::try_from(number).map_or(Json::Other, Json::Byte))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Json, E> {
        self.scalar(Json::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json, E> {
        self.scalar(Json::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        self.take(text.len())?;
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        self.take(0)?;
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        self.take(0)?;
        let mut seen = std::collections::BTreeSet::new();
        let mut object = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            self.take(key.len())?;
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("`{key}` stands twice in one object")));
            }
            object.push((key, map.next_value_seed(self)?));
        }
        Ok(Json::Object(object))
    }
}

/// What a field says, if it stands there.
pub type Taken<T> = Result<Option<T>, PolicyError>;

/// An object whose keys are taken one by one, and where it stands.
pub struct Fields {
    place: String,
    fields: Vec<(String, Json)>,
}

impl Fields {
    /// The fields of an object; anything else is an error.
    pub fn new(place: &str, value: Json) -> Result<Self, PolicyError> {
        match value {
            Json::Object(fields) => Ok(Self { place: place.to_owned(), fields }),
            _ => Err(wrong(place, "is no object")),
        }
    }

    /// An error about this object.
    pub fn wrong(&self, detail: impl Into<String>) -> PolicyError {
        wrong(&self.place, detail)
    }

    /// Where one of the fields stands.
    pub fn place(&self, key: &str) -> String {
        format!("{}.{key}", self.place)
    }

    /// Takes a field out.
    pub fn take(&mut self, key: &str) -> Option<Json> {
        let at = self.fields.iter().position(|(name, _)| name == key)?;
        Some(self.fields.swap_remove(at).1)
    }

    /// Whether there is such a field, whatever it says.
    pub fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == key)
    }

    /// Takes out a text. Null is an empty one.
    pub fn text(&mut self, key: &str) -> Taken<String> {
        self.take(key).map(|value| text(value).ok_or_else(|| self.wrong(format!("`{key}` is no text")))).transpose()
    }

    /// Takes out bytes in base64. Null is as if the field were not there.
    pub fn bytes(&mut self, key: &str) -> Taken<Vec<u8>> {
        let value = self.take(key).filter(|value| *value != Json::Null);
        value.map(|value| bytes(value).ok_or_else(|| self.wrong(format!("`{key}` is no base64")))).transpose()
    }

    /// Takes out a list of texts. Null is as if the field were not there.
    pub fn texts(&mut self, key: &str) -> Taken<Vec<String>> {
        self.list(key, text, "is no list of texts")
    }

    /// Takes out a list of bytes in base64. Null is as if the field were not there.
    pub fn many_bytes(&mut self, key: &str) -> Taken<Vec<Vec<u8>>> {
        self.list(key, bytes, "is no list of base64")
    }

    fn list<T>(&mut self, key: &str, one: fn(Json) -> Option<T>, otherwise: &str) -> Taken<Vec<T>> {
        let list: Option<Vec<T>> = match self.take(key) {
            None | Some(Json::Null) => return Ok(None),
            Some(Json::List(list)) => list.into_iter().map(one).collect(),
            Some(_) => None,
        };
        list.map(Some).ok_or_else(|| self.wrong(format!("`{key}` {otherwise}")))
    }

    /// Fails if anything is left.
    pub fn end(self) -> Result<(), PolicyError> {
        match self.fields.first() {
            Some((key, _)) => Err(self.wrong(format!("has the unknown key `{key}`"))),
            None => Ok(()),
        }
    }
}

/// An error about what stands at a place.
pub fn wrong(place: &str, detail: impl Into<String>) -> PolicyError {
    PolicyError { file: String::new(), place: place.to_owned(), detail: detail.into() }
}

fn text(value: Json) -> Option<String> {
    match value {
        Json::Text(text) => Some(text),
        Json::Null => Some(String::new()),
        _ => None,
    }
}

/// Base64, or what Go also takes for bytes: a list of numbers.
fn bytes(value: Json) -> Option<Vec<u8>> {
    match value {
        Json::Text(text) => base64(&text),
        Json::Null => Some(Vec::new()),
        Json::List(list) => list
            .into_iter()
            .map(|value| match value {
                Json::Byte(byte) => Some(byte),
                Json::Null => Some(0),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}
