//! A containers-storage: its records, and the folder around them, as far as references find in it.

#![no_main]

use bootc_embed::model::{Platform, Reference};
use bootc_embed::target::storage::{self, Resolution, parse_images, parse_layers};
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = parse_images(data);
    let _ = parse_layers(data);
    let files = bootc_embed_fuzz::files(data);
    if files.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let root = Dir::open_ambient_dir(folder.path(), ambient_authority()).expect("the folder");
    for file in &files {
        // What cannot be written, because another file stands in the way, is not there.
        if let Some((parent, _)) = file.path.rsplit_once('/') {
            let _ = root.create_dir_all(parent);
        }
        let _ = match &file.link {
            Some(target) => root.symlink_contents(target, &file.path),
            None => root.write(&file.path, &file.content),
        };
    }
    let Ok(storage) = storage::read(&root) else { return };
    // What is asked for: names that images have, and the digests of their manifests.
    let names = storage.images.iter().flat_map(|image| &image.names).take(8);
    let mut asked: Vec<Reference> = names.filter_map(|name| name.parse().ok()).collect();
    asked.extend(["quay.io/a/b:v1".parse().expect("a reference")]);
    let keys = storage.images.iter().flat_map(|image| &image.manifests).take(8);
    for (key, _) in keys {
        let digest = key.trim_start_matches("manifest-");
        asked.extend(format!("quay.io/a/b@{digest}").parse().ok());
    }
    let platform: Platform = "linux/amd64".parse().expect("a platform");
    for reference in &asked {
        if let Resolution::Found { id, manifest, .. } = storage.resolve(reference, &platform) {
            let image = storage.images.iter().find(|image| image.id == id && image.missing.is_empty());
            let image = image.expect("what is found is whole");
            assert!(image.manifests.iter().any(|(_, bytes)| bootc_embed::model::Digest::of(bytes) == manifest));
        }
    }
});
