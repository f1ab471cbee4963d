//! release-info: any bytes under any of the names that such files have.

#![no_main]

use bootc_embed::discover::release_info::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for name in ["release-x86_64.json", "release-aarch64.json", "release.json"] {
        let _ = parse(name, data);
    }
});
