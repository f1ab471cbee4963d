//! Kubernetes manifests: one stream of documents, and a folder of files that take in one another.

#![no_main]

use bootc_embed::discover::manifests::{discover_tree, scan_file};
use bootc_embed::model::{Platforms, Release};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if data.starts_with(b"=== ") {
        let tree = bootc_embed_fuzz::tree(data);
        for dir in ["", "a"] {
            check(&discover_tree(&tree, dir, "/", &Platforms::All));
        }
        return;
    }
    for name in ["x.yaml", "kustomization.yaml", "kustomization.aarch64.yaml"] {
        check(&scan_file(name, data, &Platforms::All));
    }
});

fn check(release: &Release) {
    for component in &release.components {
        assert!(!component.found_in.is_empty(), "{} comes from nowhere", component.reference);
    }
    for invalid in &release.invalid {
        assert!(!invalid.cause.is_empty() && !invalid.hint.is_empty(), "{}", invalid.text);
    }
}
