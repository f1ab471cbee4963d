//! Payloads and signature files: any bytes.

#![no_main]

use bootc_embed::model::Signature;
use bootc_embed::trust::judge::payload::Payload;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(payload) = Payload::parse(data) {
        // What is accepted names a digest, and is JSON to everybody else.
        assert!(payload.digest.starts_with("sha"), "{}", payload.digest);
        assert!(
            std::str::from_utf8(data).is_err() || serde_json::from_slice::<&serde_json::value::RawValue>(data).is_ok()
        );
    }
    if let Ok(Signature::Sigstore(sigstore)) = Signature::parse(data) {
        let _ = Payload::parse(&sigstore.payload);
    }
});
