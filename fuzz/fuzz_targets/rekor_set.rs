//! Records of a transparency log: any text.

#![no_main]

use bootc_embed::trust::judge::rekor::SignedEntry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(signed) = SignedEntry::parse(text) else { return };
    let _ = signed.entry();
    // What is in canonical form is so again.
    let canonical = String::from_utf8(signed.canonical.clone()).expect("JSON is text");
    let again = SignedEntry::parse(&format!(r#"{{"SignedEntryTimestamp":"","Payload":{canonical}}}"#));
    assert_eq!(again.expect("canonical JSON is JSON").canonical, signed.canonical);
});
