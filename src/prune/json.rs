//! `Node`: JSON whose keys stay in their order and whose scalars stay as they are spelled, printed as Go prints it.
//!
//! Go's `json.MarshalIndent` with two spaces is what wrote `image-references`: no newline at the end, and `<`, `>`,
//! `&`, U+2028 and U+2029 escaped in text.

use crate::model::fields::Fields;
use serde_json::value::RawValue;

/// The deepest nesting.
pub const MAX_DEPTH: usize = 64;

/// Why a text cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// No JSON, or more behind it.
    #[error("it is no JSON that can be read")]
    Syntax(#[from] serde_json::Error),
    /// Readers differ in which of the two counts.
    #[error("the key `{0}` stands twice in an object")]
    Twice(String),
    /// Nested too deep.
    #[error("it is nested deeper than {MAX_DEPTH}")]
    Deep,
}

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A number, `true`, `false` or `null`, as it is spelled.
    Scalar(String),
    /// A text.
    Text(Text),
    /// An array.
    List(Vec<Node>),
    /// An object: its keys in order.
    Object(Vec<(String, Node)>),
}

/// A text, as it is spelled and as it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    spelled: String,
    text: String,
}

impl Text {
    /// A text, spelled as Go spells it.
    pub fn new(text: &str) -> Self {
        Self { spelled: spelled(text), text: text.to_owned() }
    }

    /// As it reads.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Node {
    /// Reads a text.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        node(serde_json::from_slice(bytes)?, 0)
    }

    /// Prints it, without a newline at the end.
    pub fn print(&self) -> String {
        let mut text = String::new();
        self.print_to(&mut text, 0);
        text
    }

    /// The value of a key, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Node::Object(fields) = self else { return None };
        fields.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// As [`Node::get`], to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let Node::Object(fields) = self else { return None };
        fields.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        let Node::Text(text) = self else { return None };
        Some(text.as_str())
    }

    /// Calls `change` for every text, keys not among them; what it returns takes its place.
    pub fn change_texts(&mut self, change: &mut dyn FnMut(&str) -> Option<String>) {
        match self {
            Node::Scalar(_) => {}
            Node::Text(text) => {
                if let Some(new) = change(text.as_str()) {
                    *text = Text::new(&new);
                }
            }
            Node::List(values) => values.iter_mut().for_each(|value| value.change_texts(change)),
            Node::Object(fields) => fields.iter_mut().for_each(|(_, value)| value.change_texts(change)),
        }
    }

    fn print_to(&self, text: &mut String, depth: usize) {
        match self {
            Node::Scalar(spelled) | Node::Text(Text { spelled, .. }) => text.push_str(spelled),
            Node::List(values) if values.is_empty() => text.push_str("[]"),
            Node::Object(fields) if fields.is_empty() => text.push_str("{}"),
            Node::List(values) => {
                text.push('[');
                for (at, value) in values.iter().enumerate() {
                    line(text, at > 0, depth + 1);
                    value.print_to(text, depth + 1);
                }
                line(text, false, depth);
                text.push(']');
            }
            Node::Object(fields) => {
                text.push('{');
                for (at, (key, value)) in fields.iter().enumerate() {
                    line(text, at > 0, depth + 1);
                    text.push_str(&spelled(key));
                    text.push_str(": ");
                    value.print_to(text, depth + 1);
                }
                line(text, false, depth);
                text.push('}');
            }
        }
    }
}

/// A new line, perhaps behind a comma.
fn line(text: &mut String, comma: bool, depth: usize) {
    text.push_str(if comma { ",\n" } else { "\n" });
    text.push_str(&"  ".repeat(depth));
}

fn node(raw: &RawValue, depth: usize) -> Result<Node, JsonError> {
    if depth > MAX_DEPTH {
        return Err(JsonError::Deep);
    }
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let Fields(fields) = serde_json::from_str(text)?;
            let mut keys = std::collections::HashSet::new();
            if let Some((key, _)) = fields.iter().find(|(key, _)| !keys.insert(key)) {
                return Err(JsonError::Twice(key.clone()));
            }
            let fields = fields.iter().map(|(key, value)| Ok((key.clone(), node(value, depth + 1)?)));
            Node::Object(fields.collect::<Result<_, JsonError>>()?)
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(text)?;
            Node::List(values.into_iter().map(|value| node(value, depth + 1)).collect::<Result<_, _>>()?)
        }
        Some(b'"') => Node::Text(Text { spelled: text.to_owned(), text: serde_json::from_str(text)? }),
        _ => Node::Scalar(text.to_owned()),
    })
}

/// A text as Go's `encoding/json` spells it.
pub fn spelled(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len() + 2);
    spelled.push('"');
    for c in text.chars() {
        match c {
            '"' => spelled.push_str("\\\""),
            '\\' => spelled.push_str("\\\\"),
            '\u{8}' => spelled.push_str("\\b"),
            '\u{c}' => spelled.push_str("\\f"),
            '\n' => spelled.push_str("\\n"),
            '\r' => spelled.push_str("\\r"),
            '\t' => spelled.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                spelled.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => spelled.push(c),
        }
    }
    spelled.push('"');
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn printed(text: &str) -> String {
        Node::parse(text.as_bytes()).unwrap().print()
    }

    #[test]
    fn prints_as_go_does() {
        let text = "{\n  \"b\": [\n    1.50e3,\n    -0,\n    {}\n  ],\n  \"a\\u003c\": \"\\u003c\\u0026\\u2028é\\u0001\",\n  \"c\": [],\n  \"d\": null\n}";
        assert_eq!(printed(text), text);
        assert_eq!(printed(&text.replace([' ', '\n'], "")), text);
        assert_eq!(
            spelled("<a href=\"&\">\u{2028}\u{2029}\\\n\r\t\u{0}\u{8}\u{c}\u{7f}é"),
            "\"\\u003ca href=\\\"\\u0026\\\"\\u003e\\u2028\\u2029\\\\\\n\\r\\t\\u0000\\b\\f\u{7f}é\""
        );
        // Older Go spelled these otherwise; what is not changed stays as it is.
        assert_eq!(printed(r#""\u0008\u000c\/""#), r#""\u0008\u000c\/""#);
    }

    #[test]
    fn refuses_what_readers_take_differently() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        for (text, cause) in [
            (r#"{"a":1,"a":2}"#, "twice"),
            (r#"[{"a":1,"\u0061":2}]"#, "twice"),
            ("{} {}", "no JSON"),
            ("{}x", "no JSON"),
            ("", "no JSON"),
            ("{\"a\":}", "no JSON"),
            (r#""\ud800""#, "no JSON"),
            ("{\"a\":01}", "no JSON"),
            (&deep(66), "deeper"),
            (&deep(100_000), "deeper"),
        ] {
            let error = Node::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(cause), "{text:.40}: {error}");
        }
        assert!(Node::parse(b"\"\xff\"").is_err());
        assert!(Node::parse(deep(65).as_bytes()).is_ok());
    }

    fn nodes() -> impl Strategy<Value = Node> {
        let scalar = proptest::sample::select(vec!["null", "true", "0", "-1.50", "1e9999"]);
        let leaf = prop_oneof![
            scalar.prop_map(|text| Node::Scalar(text.to_owned())),
            "\\PC{0,8}|[<>&\u{2028}\u{0}-\u{1f}\"\\\\]{0,6}".prop_map(|text| Node::Text(Text::new(&text))),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Node::List),
                proptest::collection::btree_map("[a-zé<\n]{0,4}", inner, 0..4)
                    .prop_map(|map| Node::Object(map.into_iter().rev().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_the_same(node in nodes()) {
            let text = node.print();
            let read = Node::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(&read, &node);
            prop_assert_eq!(read.print(), text);
        }
    }
}
