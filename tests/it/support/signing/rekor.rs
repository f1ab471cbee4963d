//! A transparency log like Rekor, as far as signatures show it: it signs that it has seen one.

use super::key::{Key, Kind};
use crate::support::fixture::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A log.
pub struct Log {
    key: Key,
}

impl Log {
    /// A log with a key of its own.
    pub fn new() -> Self {
        Self { key: Key::new(Kind::P256) }
    }

    /// Its public key, PEM.
    pub fn public(&self) -> &str {
        self.key.public()
    }

    /// What is recorded of a signature: `hashedrekord` 0.0.1.
    pub fn record(signature: &str, payload: &[u8], signer: &str) -> Value {
        json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": { "hash": { "algorithm": "sha256", "value": digest(payload).trim_start_matches("sha256:") } },
                "signature": { "content": signature, "publicKey": { "content": STANDARD.encode(signer) } },
            },
        })
    }

    /// The promise for a signature that was recorded, as cosign keeps it in an annotation.
    pub fn entry(&self, signature: &str, payload: &[u8], signer: &str, time: u64) -> String {
        self.promise(&Self::record(signature, payload, signer), time)
    }

    /// The promise for any record.
    pub fn promise(&self, record: &Value, time: u64) -> String {
        let body = STANDARD.encode(record.to_string());
        let id = digest(self.public().as_bytes()).trim_start_matches("sha256:").to_owned();
        // In the canonical order and without spaces: these bytes are signed.
        let entry = format!(r#"{{"body":"{body}","integratedTime":{time},"logID":"{id}","logIndex":7}}"#);
        let promise = STANDARD.encode(self.key.sign(entry.as_bytes()));
        format!(r#"{{"SignedEntryTimestamp":"{promise}","Payload":{entry}}}"#)
    }
}
