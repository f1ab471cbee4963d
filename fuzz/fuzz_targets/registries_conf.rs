//! registries.conf: any two files, and what follows from them for names that could match.

#![no_main]

use bootc_embed::model::Reference;
use bootc_embed::registry::registries_conf::{RegistriesConf, ShortName};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let (main, drop_in) = text.split_once('\0').unwrap_or((text, ""));
    let files = [(Path::new("registries.conf"), main), (Path::new("50.conf"), drop_in)];
    let Ok(conf) = RegistriesConf::parse(files) else { return };
    for name in [
        "quay.io/team/app:v1",
        "a.example.com:5000/x@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    ] {
        let reference: Reference = name.parse().expect("a reference");
        let route = conf.rewrite(&reference);
        for source in &route.sources {
            // What is asked must be something that can be asked for.
            let pinned = format!("{}:v1", source.repository);
            let again: Reference = pinned.parse().unwrap_or_else(|e| panic!("{pinned}: {e}"));
            assert_eq!(again.repository().to_string(), source.repository);
        }
    }
    for name in ["app", "team/app:v1", text] {
        if let ShortName::Full(text) | ShortName::Alias { reference: text, .. } = conf.short_name(name) {
            assert!(text.contains('/'), "{text}");
        }
    }
});
