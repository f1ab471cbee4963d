//! An index without some of its entries: nothing else of it changes, whatever its bytes are.

#![no_main]

use bootc_embed::model::RawManifest;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(index) = RawManifest::new(data.to_vec(), None) else { return };
    if let Ok(same) = index.retain(|_| true) {
        assert_eq!(same, index);
    }
    assert!(index.retain(|_| false).is_err());
    let keep = |digest: &str| digest.bytes().fold(0, |sum, byte| sum ^ byte).is_multiple_of(2);
    let Ok(cut) = index.retain(keep) else { return };
    assert_eq!(cut.descriptor().media_type, index.descriptor().media_type);
    assert_eq!(cut.retain(keep).expect("what was cut can be cut"), cut);
    assert!(index.parse().is_err() || cut.parse().is_ok());
    // What lies too deep has no value; of numbers, the text counts.
    let Ok(mut expected) = serde_json::from_slice::<Value>(data) else { return };
    let entries = expected["manifests"].as_array_mut().expect("a list");
    entries.retain(|entry| keep(entry["digest"].as_str().expect("a text")));
    assert_eq!(serde_json::from_slice::<Value>(cut.bytes()).expect("it was JSON"), expected);
});
