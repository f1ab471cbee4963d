//! Quadlets: one unit, and folders of units with drop-ins, images and pods of one another.

#![no_main]

use bootc_embed::discover::quadlet::{DIRS, discover_bound, discover_file, discover_tree, missing, parse};
use bootc_embed::model::Platforms;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if !data.starts_with(b"=== ") {
        let unit = parse(data);
        for (section, key) in [("Container", "Image"), ("Container", "PodmanArgs"), ("Kube", "Yaml")] {
            let all = unit.all(section, key);
            // The last assignment has a value exactly where there are values after the last empty one.
            assert!(unit.last(section, key).is_none() || !all.is_empty(), "[{section}] {key}: {all:?}");
        }
        return;
    }
    let tree = bootc_embed_fuzz::tree(data);
    for dirs in [&DIRS[..], &[""]] {
        let release = discover_tree(&tree, dirs, "/", &Platforms::All);
        assert!(release.components.iter().all(|component| !component.found_in.is_empty()));
        for path in missing(&tree, dirs) {
            assert!(tree.resolve(&path).is_none(), "`{path}` is there");
        }
    }
    let _ = discover_bound(&tree, "/", &Platforms::All);
    for (path, _) in tree.iter().take(8) {
        let _ = discover_file(&tree, path, "/", &Platforms::All);
    }
});
