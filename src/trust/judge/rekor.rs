//! The record of a transparency log that a signature carries: a "signed entry timestamp" of Rekor. It
//! proves that a log has seen key, signature and payload, and when.
//!
//! Source of the format: Rekor's API and containers/image. The outer JSON is read strictly; what the
//! log's own entry holds besides what is asked for is not looked at.

use super::keys::PublicKey;
use super::pem;
use super::reason::RekorReason;
use crate::model::Digest;
use crate::trust::strict::{Object, base64, integer, text};
use serde_json::Value;
use serde_json::value::RawValue;

/// What must have been recorded.
pub struct Record<'a> {
    /// DER of the public key or certificate.
    pub key: Vec<u8>,
    /// The signature in base64.
    pub signature: &'a str,
    /// What was signed.
    pub payload: &'a [u8],
}

/// A record that was read. Nothing of it is to be trusted before its signature was checked.
#[derive(Debug, PartialEq, Eq)]
pub struct SignedEntry {
    /// What was signed by the log: the payload in canonical form.
    pub canonical: Vec<u8>,
    /// The log's signature of that.
    pub signature: Vec<u8>,
}

/// Of what a log has seen.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, in seconds since 1970.
    pub time: i64,
    body: Value,
}

impl SignedEntry {
    /// Reads a record.
    pub fn parse(json: &str) -> Result<Self, RekorReason> {
        let read = || {
            let [signature, payload] = Object::parse(json)?.exactly(["SignedEntryTimestamp", "Payload"])?;
            let signature = bytes(signature).map_err(|e| format!("`SignedEntryTimestamp` {e}"))?;
            let canonical = canonical(payload).map_err(|e| format!("in `Payload`, {e}"))?;
            Ok(Self { canonical, signature })
        };
        read().map_err(RekorReason::Unreadable)
    }

    /// What it says.
    pub fn entry(&self) -> Result<Entry, RekorReason> {
        let read = || {
            let json = String::from_utf8_lossy(&self.canonical);
            let keys = ["body", "integratedTime", "logIndex", "logID"];
            let [body, time, index, id] = Object::parse(&json)?.exactly(keys)?;
            let time = integer(time).map_err(|e| format!("`integratedTime` {e}"))?;
            integer(index).map_err(|e| format!("`logIndex` {e}"))?;
            text(id).map_err(|e| format!("`logID` {e}"))?;
            let body = bytes(body).map_err(|e| format!("`body` {e}"))?;
            let body = serde_json::from_slice(&body).map_err(|e| format!("`body`: {e}"))?;
            Ok(Entry { time, body })
        };
        read().map_err(|e: String| RekorReason::Unreadable(format!("in `Payload`, {e}")))
    }
}

impl Entry {
    /// Fails if it is not of exactly these.
    fn check(&self, record: &Record<'_>) -> Result<(), RekorReason> {
        let unreadable = |why: String| RekorReason::Unreadable(why);
        for (pointer, wanted) in [("/kind", "hashedrekord"), ("/apiVersion", "0.0.1")] {
            let found = self.field(pointer)?;
            if found != wanted {
                return Err(unreadable(format!("`{}` is `{}`, not `{wanted}`", &pointer[1..], found.escape_debug())));
            }
        }
        let decoded =
            |pointer: &str| base64(self.field(pointer)?).ok_or_else(|| unreadable(format!("`{pointer}` is no base64")));
        let key = decoded("/spec/signature/publicKey/content")?;
        let key = only_block(&String::from_utf8_lossy(&key)).map_err(|e| unreadable(format!("its key: {e}")))?;
        if key != record.key {
            return Err(RekorReason::OtherKey);
        }
        let signature = decoded("/spec/signature/content")?;
        if base64(record.signature).is_none_or(|ours| ours != signature) {
            return Err(RekorReason::OtherSignature);
        }
        let algorithm = self.field("/spec/data/hash/algorithm")?;
        if algorithm != "sha256" {
            return Err(unreadable(format!("the payload's hash is `{}`, not `sha256`", algorithm.escape_debug())));
        }
        let hash = self.field("/spec/data/hash/value")?;
        if !hash.eq_ignore_ascii_case(Digest::of(record.payload).hex()) {
            return Err(RekorReason::OtherPayload);
        }
        Ok(())
    }

    fn field(&self, pointer: &str) -> Result<&str, RekorReason> {
        let missing = || RekorReason::Unreadable(format!("`{pointer}` is missing or no text"));
        self.body.pointer(pointer).and_then(Value::as_str).ok_or_else(missing)
    }
}

/// When a log, whose keys are these, has recorded this: seconds since 1970.
pub(super) fn verify(keys: &[PublicKey], set: &str, record: &Record<'_>) -> Result<i64, RekorReason> {
    let signed = SignedEntry::parse(set)?;
    if !keys.iter().any(|key| key.is_ecdsa && key.verifies(&signed.canonical, &signed.signature)) {
        return Err(RekorReason::Signature);
    }
    let entry = signed.entry()?;
    entry.check(record)?;
    Ok(entry.time)
}

/// The data of the only block of some PEM.
pub(super) fn only_block(text: &str) -> Result<Vec<u8>, String> {
    match pem::next(text) {
        None => Err("it is no PEM".to_owned()),
        Some((_, rest)) if !rest.is_empty() => Err("something follows its PEM".to_owned()),
        Some((block, _)) => Ok(block.der),
    }
}

/// JSON as RFC 8785 writes it.
fn canonical(payload: &RawValue) -> Result<Vec<u8>, String> {
    // To find keys that stand twice. They can only be here: what stands deeper is refused later.
    Object::parse(payload.get())?;
    let value: Value = serde_json::from_str(payload.get()).map_err(|e| e.to_string())?;
    serde_json_canonicalizer::to_vec(&value).map_err(|e| e.to_string())
}

fn bytes(value: &RawValue) -> Result<Vec<u8>, String> {
    base64(&text(value)?).ok_or_else(|| "is no base64".to_owned())
}
