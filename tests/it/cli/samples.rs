//! Real release-info files, where `BOOTC_EMBED_SAMPLES` says that they are; see CONTRIBUTING.md.

use crate::support::command::run;
use crate::support::tool::bootc_embed;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The folder with samples, or a line that says that this was left out.
pub fn samples(what: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BOOTC_EMBED_SAMPLES").map(PathBuf::from);
    if folder.is_none() {
        // Not by a macro: the test runner would swallow it.
        writeln!(std::io::stderr(), "LEFT OUT: {what}: BOOTC_EMBED_SAMPLES is not set")
            .expect("standard error is open");
    }
    folder
}

fn json_images(arguments: &[&str], home: &Path) -> Vec<Value> {
    let listed = run(bootc_embed(home).args(["--format", "json", "list"]).args(arguments)).success();
    let value: Value = serde_json::from_slice(&listed.output).expect("list prints JSON");
    value["images"].as_array().expect("a list of images").clone()
}

#[test]
fn every_release_info_file_has_the_right_number_of_references() {
    let Some(samples) = samples("real release-info files") else { return };
    let home = tempfile::tempdir().unwrap();
    let mut files = 0;
    for version in fs::read_dir(samples.join("microshift")).expect("samples have a folder `microshift`") {
        for entry in fs::read_dir(version.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            let platform = if path.to_string_lossy().contains("aarch64") { "linux/arm64" } else { "linux/amd64" };
            // Counted in another way: all values of `images`, each once.
            let raw: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let distinct: BTreeSet<&str> =
                raw["images"].as_object().unwrap().values().filter_map(Value::as_str).collect();
            let images = json_images(&[&path.to_string_lossy(), "--platform", platform], home.path());
            let found: BTreeSet<&str> = images.iter().filter_map(|image| image["reference"].as_str()).collect();
            assert_eq!(found, distinct, "{}", path.display());
            assert_eq!(images.len(), distinct.len(), "{}", path.display());
            let keys: usize = images.iter().map(|image| image["foundIn"].as_array().unwrap().len()).sum();
            assert_eq!(keys, raw["images"].as_object().unwrap().len(), "{}: every key is remembered", path.display());
            files += 1;
        }
    }
    assert!(files >= 50, "only {files} files were found");
}

#[test]
fn real_image_references_are_read() {
    let Some(samples) = samples("real image-references") else { return };
    let home = tempfile::tempdir().unwrap();
    let images = json_images(&[&samples.join("release/4.8-image-references.json").to_string_lossy()], home.path());
    let keys: usize = images.iter().map(|image| image["foundIn"].as_array().unwrap().len()).sum();
    assert_eq!(keys, 140, "one for each tag");
}
