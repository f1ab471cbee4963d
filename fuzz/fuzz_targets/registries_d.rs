//! registries.d: any two files, and what follows from them for a name that could match.

#![no_main]

use bootc_embed::model::Reference;
use bootc_embed::registry::registries_d::RegistriesD;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let (one, two) = text.split_once('\0').unwrap_or((text, ""));
    let Ok(settings) = RegistriesD::parse([(Path::new("1.yaml"), one), (Path::new("2.yaml"), two)]) else { return };
    for name in [
        "quay.io/team/app:v1",
        "a.example.com:5000/x@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    ] {
        let reference: Reference = name.parse().expect("a reference");
        let setting = settings.use_sigstore_attachments(&reference);
        assert_eq!(setting.namespace.is_some(), setting.file.is_some());
        assert!(setting.namespace.is_some() || !setting.value);
        assert!(settings.lookaside(&reference).value.is_none_or(|place| !place.is_empty()));
    }
});
