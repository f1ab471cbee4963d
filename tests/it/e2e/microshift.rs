//! What MicroShift documents today, without and with this program.

use super::set::Set;
use super::{Machine, Workbench, registry_with};
use crate::support::busybox;
use crate::support::command::run;
use crate::support::storage::Storage;
use std::fs;

/// MicroShift's place for embedded images.
const STORE: &str = "/usr/lib/containers/storage";

/// The loop that MicroShift's documentation runs at every start.
const DOCUMENTED_LOOP: &str = r#"
set -eu
while IFS=',' read -r img sha; do
    skopeo copy --quiet --preserve-digests "dir:${DIR}/${sha}" "containers-storage:${img}"
done <"${DIR}/image-list.txt"
"#;

/// A native copy without this program loses the index, and nothing resolves: the reason to be here.
#[test]
fn plain_native_copy_cannot_be_imported_by_index_digest() {
    let set = Set::new(busybox::native());
    let registry = registry_with(&set);
    let (workbench, storage) = (Workbench::new(), Storage::new());
    let reference = set.image("docker-list").reference(registry.host());
    let copy = format!("dir:{}", workbench.path("copy").display());
    let source = format!("docker://{reference}");
    run(storage.skopeo().args(["copy", "--src-tls-verify=false", &source, &copy])).success();
    registry.stop();
    let import = run(storage.skopeo().args(["copy", &copy, &format!("containers-storage:{reference}")]));
    import.fails_with(1).says("would not match destination reference");
    assert!(storage.image_names().is_empty());
}

/// A store at MicroShift's place is imported by the script that MicroShift documents, unchanged.
#[test]
fn documented_script_imports_the_store() {
    let set = Set::new(busybox::native());
    let registry = registry_with(&set);
    let host = registry.host().to_owned();
    let workbench = Workbench::new();
    let root = workbench.embed(&set, &registry, &["--store", STORE]);
    registry.stop();
    let machine = Machine::boot(&root);
    let store = root.join(STORE.trim_start_matches('/'));
    run(machine.storage.command("sh").args(["-c", DOCUMENTED_LOOP]).env("DIR", &store)).success();
    machine.assert_resolves(&set, &host);

    // And by the program's own script, which then knows the place itself.
    let script = fs::read_to_string(root.join("usr/libexec/bootc-embed/import")).expect("there is an import script");
    assert!(script.contains(STORE), "{script}");
}
