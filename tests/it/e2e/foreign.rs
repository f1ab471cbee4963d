//! A set for another architecture than this machine's.

use super::set::Set;
use super::{Machine, Workbench, foreign, registry_with};
use std::fs;

/// The build machine's own architecture leaves no trace, and what was built is whole.
#[test]
fn foreign_set_imports_with_override_arch() {
    let (platform, arch) = foreign();
    let set = Set::new(platform);
    let registry = registry_with(&set);
    let host = registry.host().to_owned();
    let workbench = Workbench::new();
    let root = workbench.embed(&set, &registry, &[]);
    registry.stop();

    let pool = fs::read_dir(root.join("usr/lib/bootc-embed/blobs/sha256")).expect("read the pool");
    let pool = pool.map(|entry| entry.expect("read the pool").file_name().to_string_lossy().into_owned());
    assert_eq!(pool.collect::<std::collections::BTreeSet<_>>(), set.kept());

    let machine = Machine::boot(&root);
    let native = machine.import(&[]).fails_with(1);
    assert!(native.text().contains("failed"), "a native import cannot do with foreign content\n{native}");
    let machine = Machine::boot(&root);
    let imported = machine.import(&["--override-arch", arch]).success();
    assert!(imported.text().contains("6 imported, 0 already present, 0 failed"), "{imported}");
    machine.assert_resolves(&set, &host);
    let again = machine.import(&["--override-arch", arch]).success();
    assert!(again.text().contains("0 imported, 6 already present, 0 failed"), "{again}");
}
