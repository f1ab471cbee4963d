//! Documents of YAML or JSON as plain values, with a limit on how much they may become: aliases can
//! make a small file without end.

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess as _, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// The most values of one file, with all that its strings hold.
const MAX_NODES: usize = 1_000_000;
/// The most documents of one stream.
const MAX_DOCUMENTS: usize = 10_000;
/// How many `[` and `{` may be open at once; the parser gives up much earlier.
const MAX_OPEN: usize = 1_000;
/// How often the text of a file may be read, for the sake of aliases and of strings in strings.
const MAX_REPEATS: usize = 8;
/// What a small file may grow to nevertheless.
const MIN_TEXT: usize = 1024 * 1024;

/// A value. Tags (`!x`) are passed over, keys keep their order, and may be there twice.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A string.
    Text(String),
    /// Another scalar, as text; empty for null.
    Other(String),
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping.
    Mapping(Vec<(String, Node)>),
}

impl Node {
    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.pairs().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The pairs of a mapping; none of other values.
    pub fn pairs(&self) -> &[(String, Node)] {
        if let Node::Mapping(pairs) = self { pairs } else { &[] }
    }

    /// The items of a sequence; none of other values.
    pub fn items(&self) -> &[Node] {
        if let Node::Sequence(items) = self { items } else { &[] }
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        if let Node::Text(text) = self { Some(text) } else { None }
    }

    /// The text of any scalar: a tag `1.2` is a number to YAML.
    pub fn scalar(&self) -> Option<&str> {
        match self {
            Node::Text(text) | Node::Other(text) => Some(text).filter(|text| !text.is_empty()).map(String::as_str),
            _ => None,
        }
    }

    fn is_scalar(&self) -> bool {
        matches!(self, Node::Text(_) | Node::Other(_))
    }
}

/// How much may still be read.
#[derive(Debug)]
pub struct Budget {
    nodes: Cell<usize>,
    bytes: Cell<usize>,
}

impl Budget {
    /// For a file of this size.
    pub fn new(size: usize) -> Self {
        let bytes = size.saturating_mul(MAX_REPEATS).saturating_add(MIN_TEXT);
        Self { nodes: Cell::new(MAX_NODES), bytes: Cell::new(bytes) }
    }

    /// Whether it was not enough.
    pub fn is_spent(&self) -> bool {
        self.nodes.get() == 0 || self.bytes.get() == 0
    }

    fn take<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        self.nodes.set(self.nodes.get().saturating_sub(1));
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
        if self.is_spent() { Err(E::custom("it holds too much, perhaps by aliases of aliases")) } else { Ok(()) }
    }
}

/// The documents of a stream. One that cannot be read is the reason why; those after it are not lost,
/// because `---` at the beginning of a line always begins a document.
pub fn documents(text: &str, budget: &Budget) -> Vec<Result<Node, String>> {
    if text.trim_start().starts_with(['{', '[']) {
        let mut json = serde_json::Deserializer::from_str(text);
        let node = Seed(budget).deserialize(&mut json);
        // YAML's flow style begins alike; then the parser below decides.
        if let Ok(node) = node
            && json.end().is_ok()
        {
            return vec![Ok(node)];
        }
    }
    let mut found = Vec::new();
    for (at, chunk) in chunks(text) {
        if nests_too_deep(chunk) {
            found.push(Err(format!("line {}: it nests too deep", at + 1)));
            continue;
        }
        for document in serde_yaml::Deserializer::from_str(chunk) {
            if found.len() >= MAX_DOCUMENTS {
                found.push(Err(format!("it holds more than {MAX_DOCUMENTS} documents")));
                return found;
            }
            match Seed(budget).deserialize(document) {
                Ok(node) => found.push(Ok(node)),
                Err(e) => {
                    let line = e.location().map(|location| format!("line {}: ", at + location.line()));
                    let cause: String = message(&e.to_string()).chars().take(200).collect();
                    found.push(Err(line.unwrap_or_default() + &cause));
                    break;
                }
            }
        }
        if budget.is_spent() {
            break;
        }
    }
    found
}

/// The library's message without its own place, which is one within a document.
fn message(text: &str) -> &str {
    text.split(" at line ").next().unwrap_or(text)
}

/// Whether `[` and `{` are open so deep that the parser, which takes time by the square of that, must
/// not see it. Counted with what is in quotes and without: quotes may be those of a script.
fn nests_too_deep(text: &str) -> bool {
    let (mut all, mut unquoted) = (0_usize, 0_usize);
    let (mut quote, mut before) = (None, b' ');
    for byte in text.bytes() {
        let is_token_start = before.is_ascii_whitespace() || b"[{,:".contains(&before);
        match byte {
            b'[' | b'{' => {
                all += 1;
                unquoted += usize::from(quote.is_none());
            }
            b']' | b'}' => {
                all = all.saturating_sub(1);
                unquoted = unquoted.saturating_sub(usize::from(quote.is_none()));
            }
            b'"' | b'\'' if quote == Some(byte) && before != b'\\' => quote = None,
            b'"' | b'\'' if quote.is_none() && is_token_start => quote = Some(byte),
            _ => {}
        }
        if all.max(unquoted) > MAX_OPEN {
            return true;
        }
        before = byte;
    }
    false
}

/// The parts of a stream, each beginning with `---`, and how many lines stand before them. Parts that
/// hold nothing, or only directives, are left out.
fn chunks(text: &str) -> Vec<(usize, &str)> {
    let is_marker = |line: &str| line.strip_prefix("---").is_some_and(|rest| rest.trim_start().len() < rest.len());
    let (mut found, mut start, mut first, mut at) = (Vec::new(), 0, 0, 0);
    let mut push = |from: usize, to: usize, line: usize| {
        let chunk = text.get(from..to).unwrap_or_default();
        let is_empty = |line: &str| line.is_empty() || line.starts_with(['#', '%']) || line == "---";
        if !chunk.lines().all(|line| is_empty(line.trim())) {
            found.push((line, chunk));
        }
    };
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line) || line == "---" {
            push(start, at, first);
            (start, first) = (at, number);
        }
        at += line.len();
    }
    push(start, text.len(), first);
    found
}

/// Reads one value within a budget.
#[derive(Clone, Copy)]
struct Seed<'b>(&'b Budget);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Seed<'_> {
    fn other<E: serde::de::Error>(self, value: impl fmt::Display) -> Result<Node, E> {
        self.0.take(1)?;
        Ok(Node::Other(value.to_string()))
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        self.other(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Node, E> {
        self.other(value)
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Node, E> {
        self.other(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        self.other(value)
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Node, E> {
        self.other(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        self.other(value)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        self.other("")
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.other("")
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Node, E> {
        self.0.take(text.len())?;
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Node, E> {
        self.0.take(bytes.len())?;
        Ok(Node::Text(String::from_utf8_lossy(bytes).into_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        self.0.take(1)?;
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        self.0.take(1)?;
        let mut pairs = Vec::new();
        while let Some((key, value)) = map.next_entry_seed(self, self)? {
            let name = match key {
                Node::Text(name) | Node::Other(name) => Cow::Owned(name),
                // A key of several values; what it holds names nothing that Kubernetes knows.
                _ => Cow::Borrowed("?"),
            };
            pairs.push((name.into_owned(), value));
        }
        Ok(Node::Mapping(pairs))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Node, A::Error> {
        let (_, value) = data.variant_seed(self)?;
        value.newtype_variant_seed(self)
    }
}

/// What a string holds, if it is a document with structure rather than words.
pub fn embedded(text: &str, budget: &Budget) -> Option<Vec<Node>> {
    let trimmed = text.trim();
    let may_be = trimmed.starts_with(['{', '[']) || (trimmed.contains('\n') && trimmed.contains(':'));
    if !may_be {
        return None;
    }
    let found: Result<Vec<Node>, String> = documents(text, budget).into_iter().collect();
    found.ok().filter(|nodes| !nodes.is_empty() && !nodes.iter().any(Node::is_scalar))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<Node, String>> {
        documents(text, &Budget::new(text.len()))
    }

    #[test]
    fn a_broken_document_does_not_hide_the_others() {
        let found = read("# head\n%YAML 1.1\n---\na: 1\n---\n{broken\n--- \nb: &x [1, !tag two]\nc: *x\n...\n");
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[1].as_ref().unwrap_err().starts_with("line "), "{found:?}");
        let last = found[2].as_ref().unwrap();
        assert_eq!(last.get("c"), last.get("b"));
        assert_eq!(last.get("b").unwrap().items()[1].scalar(), Some("two"));
        assert!(read("").is_empty() && read("---\n# nothing\n").is_empty());
        assert_eq!(read("{\"a\": [1, null]}")[0].as_ref().unwrap().get("a").unwrap().items().len(), 2);
        assert_eq!(read("{a: b}")[0].as_ref().unwrap().get("a").unwrap().text(), Some("b"));
    }

    #[test]
    fn aliases_and_nesting_have_an_end() {
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..30 {
            let before = format!("*a{}, ", n - 1).repeat(10);
            laughs += &format!("a{n}: &a{n} [{}]\n", before.trim_end_matches(", "));
        }
        assert!(read(&laughs).iter().any(Result::is_err));
        let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(200_000), ["*a"; 500].join(", "));
        assert!(read(&long).iter().any(Result::is_err));
        for open in ["[", "{a: ", "- ", "? "] {
            assert!(read(&open.repeat(900)).iter().any(Result::is_err), "{open}");
        }
        for open in ["[", "{a: ", "{'}': ", "{\"}\": "] {
            let cause = read(&open.repeat(300_000)).remove(0).unwrap_err();
            assert!(cause.contains("nests too deep"), "{open}: {cause}");
        }
        assert!(read("a: *nowhere\n")[0].is_err());
        assert!(read("&a [*a]\n")[0].is_err());
    }

    #[test]
    fn only_documents_with_structure_are_embedded() {
        let budget = Budget::new(1000);
        for (text, is) in [
            ("{\"a\": 1}", true),
            ("a: 1\nb: 2\n", true),
            ("- a: 1\n- b\n", true),
            ("a: 1", false),
            ("words\nand: {{ .template }} more: words\n", false),
            ("-----BEGIN CERTIFICATE-----\nAAAA:\n", false),
            ("", false),
        ] {
            assert_eq!(embedded(text, &budget).is_some(), is, "{text}");
        }
    }
}
