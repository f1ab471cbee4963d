//! What a sigstore signature signs: the payload, read as strictly as containers/image reads it.
//!
//! Source of the format: containers-signature(5), of which cosign's is a variant.

use super::reason::Reason;
use crate::model::grammar::is_digest;
use crate::model::signature::MAX_SIGNATURE_SIZE;
use crate::trust::strict::{Object, text};
use serde_json::value::RawValue;

/// The type of all payloads that are read here.
const TYPE: &str = "cosign container image signature";
/// Whole seconds that a runtime can count end here: 2^63, which a float holds exactly.
const END_OF_TIME: f64 = 9_223_372_036_854_775_808.0;

/// A payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Of what manifest it speaks; of any algorithm.
    pub digest: String,
    /// Of what name. Not checked to be one.
    pub reference: String,
}

impl Payload {
    /// Reads a payload: exactly the fields that there are, each once.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        if bytes.len() as u64 > MAX_SIGNATURE_SIZE {
            return Err(Reason::PayloadSize);
        }
        read(&String::from_utf8_lossy(bytes)).map_err(Reason::Payload)
    }
}

fn read(json: &str) -> Result<Payload, String> {
    let [critical, optional] = Object::parse(json)?.exactly(["critical", "optional"])?;
    check_optional(optional).map_err(|e| format!("in `optional`, {e}"))?;
    let inner = |value: &RawValue, keys| -> Result<String, String> {
        let [key] = keys;
        let [value] = Object::parse(value.get())?.exactly([key])?;
        text(value).map_err(|e| format!("`{key}` {e}"))
    };
    let [kind, image, identity] = Object::parse(critical.get())
        .and_then(|critical| critical.exactly(["type", "image", "identity"]))
        .map_err(|e| format!("in `critical`, {e}"))?;
    let kind = text(kind).map_err(|e| format!("`critical.type` {e}"))?;
    if kind != TYPE {
        return Err(format!("`critical.type` is `{}`, not `{TYPE}`", kind.escape_debug()));
    }
    let digest = inner(image, ["docker-manifest-digest"]).map_err(|e| format!("in `critical.image`, {e}"))?;
    if !is_digest(&digest) {
        return Err(format!("`docker-manifest-digest` is `{}`, which is no digest", digest.escape_debug()));
    }
    let reference = inner(identity, ["docker-reference"]).map_err(|e| format!("in `critical.identity`, {e}"))?;
    Ok(Payload { digest, reference })
}

/// How deep JSON may nest that Go reads.
const MAX_DEPTH: usize = 10_000;

/// `optional` says who signed when. What else stands there may be anything.
fn check_optional(optional: &RawValue) -> Result<(), String> {
    if optional.get() == "null" {
        return Ok(());
    }
    let optional = Object::parse(optional.get())?;
    let says = |key| optional.get(key).map(RawValue::get).filter(|value| *value != "null");
    if says("creator").is_some_and(|creator| !creator.starts_with('"')) {
        return Err("`creator` is no text".to_owned());
    }
    let whole = |number: f64| number.fract() == 0.0 && (-END_OF_TIME..END_OF_TIME).contains(&number);
    if says("timestamp").is_some_and(|time| !time.parse().is_ok_and(whole)) {
        return Err("`timestamp` is no whole number".to_owned());
    }
    optional.values().try_for_each(|value| check_limits(value.get()))
}

/// Go's limits for values that it does not look at: it reads every number as a float, and nests so deep only.
fn check_limits(value: &str) -> Result<(), String> {
    let (mut depth, mut rest) = (0_usize, value);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => text_length(rest),
            '-' | '0'..='9' => {
                let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
                let number = &rest[..end.unwrap_or(rest.len())];
                if !number.parse::<f64>().is_ok_and(f64::is_finite) {
                    return Err("a number is larger than any that is read".to_owned());
                }
                number.len()
            }
            _ => {
                match first {
                    '[' | '{' => depth += 1,
                    ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                first.len_utf8()
            }
        };
        // The object `optional` and the payload around it count too.
        if depth + 2 > MAX_DEPTH {
            return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        rest = &rest[length..];
    }
    Ok(())
}

/// The length of a text at the beginning of valid JSON, both quotes included.
fn text_length(json: &str) -> usize {
    let mut is_escaped = false;
    let closing = json.char_indices().skip(1).find(|(_, c)| {
        let closes = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        closes
    });
    closing.map_or(json.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(optional: &str) -> Result<Payload, Reason> {
        let digest = "a".repeat(64);
        Payload::parse(
            format!(
                r#"{{"critical":{{"identity":{{"docker-reference":"a.io/x"}},"image":{{"docker-manifest-digest":"sha256:{digest}"}},"type":"{TYPE}"}},"optional":{optional}}}"#
            )
            .as_bytes(),
        )
    }

    #[test]
    fn what_is_optional_is_read_too() {
        let nested = |depth: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let (deep, too_deep) = (nested(9000), nested(12_000));
        for optional in [
            "null",
            "{}",
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"creator":null,"timestamp":null}"#,
            r#"{"creator":"\ud800"}"#,
            r#"{"timestamp":-17e2}"#,
            r#"{"timestamp":9e18}"#,
            deep.as_str(),
            r#"{"x":["\\\"1e999", 1e308, {"1e999":-0.1e-400}]}"#,
        ] {
            assert!(with(optional).is_ok(), "{optional}");
        }
        for (optional, why) in [
            ("[]", "it is no JSON object"),
            (r#"{"creator":{}}"#, "`creator` is no text"),
            (r#"{"timestamp":"1"}"#, "`timestamp` is no whole number"),
            (r#"{"timestamp":1e19}"#, "`timestamp` is no whole number"),
            (r#"{"timestamp":1e999}"#, "`timestamp` is no whole number"),
            (r#"{"timestamp":true}"#, "`timestamp` is no whole number"),
            (r#"{"x":[{"a":1e999}]}"#, "a number is larger than any that is read"),
            (too_deep.as_str(), "it nests deeper than 10000 levels"),
        ] {
            assert_eq!(with(optional), Err(Reason::Payload(format!("in `optional`, {why}"))), "{optional}");
        }
    }

    #[test]
    fn huge_ones_are_not_read() {
        assert_eq!(Payload::parse(&vec![b' '; 4 * 1024 * 1024 + 1]), Err(Reason::PayloadSize));
        assert!(matches!(Payload::parse(&vec![b' '; 4 * 1024 * 1024]), Err(Reason::Payload(_))));
    }
}
