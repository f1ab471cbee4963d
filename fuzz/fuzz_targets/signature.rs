//! Files of signatures: any bytes. What can be read comes back as it is.

#![no_main]

use bootc_embed::model::Signature;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(signature) = Signature::parse(data) else { return };
    let again = Signature::parse(&signature.to_bytes());
    assert_eq!(again, Ok(signature));
});
