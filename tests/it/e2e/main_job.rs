//! The main job: from a release-info RPM to images that start without a network.

use super::set::Set;
use super::{Machine, Workbench, registry_with};
use crate::support::busybox;
use crate::support::command::run;
use crate::support::docker_registry::Request;
use crate::support::rpm::Payload;
use crate::support::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Everything that users are promised of `embed`, on one set of images.
#[test]
fn release_info_rpm_becomes_images_that_start_offline() {
    let set = Set::new(busybox::native());
    let registry = registry_with(&set);
    let host = registry.host().to_owned();
    let pushed = registry.requests().len();
    let workbench = Workbench::new();
    let root = workbench.embed(&set, &registry, &[]);

    let requests = registry.requests().split_off(pushed);
    registry.stop();
    assert_each_blob_was_fetched_once(&set, &requests);
    assert_pool_is_sparse_and_exact(&set, &root.join("usr/lib/bootc-embed"));
    assert_files_are_emitted(&set, &root, &host);

    let before = Tree::read(&root);
    let machine = Machine::boot(&root);
    let imported = machine.import(&[]).success();
    assert!(imported.text().contains("6 imported, 0 already present, 0 failed"), "{imported}");
    machine.assert_resolves(&set, &host);
    for image in &set.images {
        let printed = machine.storage.run(&image.reference(&host), &[]).success();
        assert_eq!(printed.text(), format!("{} on {}\n", image.key, set.platform));
    }
    // A bootc image is read-only where the store is.
    before.assert_same(&Tree::read(&root), "the root before and after the import");
}

/// The same files in a package are the same set, however the payload is compressed.
#[test]
fn payload_compression_makes_no_difference() {
    let set = Set::new(busybox::native());
    let registry = registry_with(&set);
    let workbench = Workbench::new();
    let mut stores: Vec<(Payload, Tree)> = Vec::new();
    for payload in Payload::ALL {
        let package = workbench.release_info_rpm(&set, &registry, payload);
        let store = workbench.path(&format!("store-{payload:?}"));
        let mut tool = workbench.tool();
        tool.arg("fetch").arg(package).arg("--store").arg(&store);
        run(tool.args(["--platform", set.platform, "--tls-verify=false"])).success();
        stores.push((payload, Tree::read(&store)));
    }
    let (_, first) = &stores[0];
    assert_eq!(pool(first), set.kept());
    for (payload, store) in &stores[1..] {
        first.assert_same(store, &format!("zstd and {payload:?}"));
    }
}

/// No blob was fetched twice, and none that belongs to another platform.
fn assert_each_blob_was_fetched_once(set: &Set, requests: &[Request]) {
    let kept = set.kept();
    let mut fetched: BTreeMap<&str, usize> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.method == "GET" && request.status < 300) {
        if let Some((_, hex)) = request.path.split_once("/blobs/sha256:") {
            assert!(kept.contains(hex), "{request:?}: that blob is of another platform");
            *fetched.entry(hex).or_default() += 1;
        }
    }
    let twice: Vec<_> = fetched.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "fetched more than once: {twice:#?}");
    assert!(!fetched.is_empty(), "nothing was fetched: {requests:#?}");
}

/// The pool has the indexes, byte for byte, and what is below them for one platform; nothing else.
fn assert_pool_is_sparse_and_exact(set: &Set, store: &Path) {
    assert_eq!(pool(&Tree::read(store)), set.kept());
    for image in &set.images {
        let bytes = fs::read(store.join("blobs/sha256").join(image.top.hex())).expect("the index is in the pool");
        assert!(bytes == image.top.bytes, "{} is not what the registry has", image.key);
    }
}

/// The names of the blobs of a store.
fn pool(store: &Tree) -> BTreeSet<String> {
    let names = store.paths().into_iter().filter_map(|path| path.strip_prefix("blobs/sha256").ok());
    names.map(|name| name.display().to_string()).filter(|name| !name.is_empty()).collect()
}

/// The script, its unit, what enables it, and the pins are where systemd and CRI-O look.
fn assert_files_are_emitted(set: &Set, root: &Path, host: &str) {
    let script = fs::metadata(root.join("usr/libexec/bootc-embed/import")).expect("there is an import script");
    assert_eq!(script.permissions().mode() & 0o7777, 0o755);
    let units = root.join("usr/lib/systemd/system");
    let unit = fs::read_to_string(units.join("bootc-embed-import.service")).expect("there is a unit");
    assert!(unit.contains("ExecStart=/usr/libexec/bootc-embed/import"), "{unit}");
    let enabled = units.join("multi-user.target.wants/bootc-embed-import.service");
    let behind = fs::canonicalize(&enabled).expect("the unit is enabled by a link that leads to it");
    assert!(behind.ends_with("usr/lib/systemd/system/bootc-embed-import.service"), "{}", behind.display());
    let pins = fs::read_to_string(root.join("etc/crio/crio.conf.d/50-bootc-embed.conf")).expect("there are pins");
    for image in &set.images {
        assert!(pins.contains(&format!("\"{}\"", image.reference(host))), "{} is not pinned\n{pins}", image.key);
    }
}
