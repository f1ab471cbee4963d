//! The import script, boot after boot.

use super::set::Set;
use super::{Machine, Workbench, registry_with};
use crate::support::busybox;
use crate::support::command::{clean, run};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

/// A root with a set, whose registry is gone.
pub(super) struct Embedded {
    pub set: Set,
    pub host: String,
    pub workbench: Workbench,
    pub root: PathBuf,
}

impl Embedded {
    pub fn new() -> Self {
        let set = Set::new(busybox::native());
        let registry = registry_with(&set);
        let host = registry.host().to_owned();
        let workbench = Workbench::new();
        let root = workbench.embed(&set, &registry, &[]);
        registry.stop();
        Self { set, host, workbench, root }
    }
}

/// A second boot finds everything and copies nothing. Nothing is copied means: skopeo is not asked to.
#[test]
fn second_boot_copies_nothing() {
    let Embedded { set, host, workbench, root } = Embedded::new();
    let machine = Machine::boot(&root);
    machine.import(&[]).success();

    // A skopeo that writes down what it is asked, and asks the real one.
    let notes = workbench.path("notes");
    let real = machine.storage.skopeo();
    let spy = workbench.folder("spy").join("skopeo");
    let path = real.get_program().display();
    fs::write(&spy, format!("#!/bin/sh\necho \"$*\" >>{}\nexec {path} \"$@\"\n", notes.display()))
        .expect("write the spy");
    fs::set_permissions(&spy, fs::Permissions::from_mode(0o755)).expect("make the spy a program");
    let search = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", workbench.path("spy").display());
    let again = run(machine.import_command().env("PATH", search)).success();

    assert!(again.text().contains("0 imported, 6 already present, 0 failed"), "{again}");
    let notes = fs::read_to_string(&notes).expect("the spy was asked something");
    assert!(!notes.lines().any(|line| line.starts_with("copy")), "skopeo was asked to copy\n{notes}");
    machine.assert_resolves(&set, &host);
}

/// CRI-O empties its storage after an unclean shutdown. What the script remembers must not mislead it.
#[test]
fn emptied_storage_is_filled_again() {
    let Embedded { set, host, root, workbench: _kept } = Embedded::new();
    let mut machine = Machine::boot(&root);
    machine.import(&[]).success();
    machine.storage = crate::support::storage::Storage::new();
    let again = machine.import(&[]).success();
    assert!(again.text().contains("6 imported, 0 already present, 0 failed"), "{again}");
    machine.assert_resolves(&set, &host);
}

/// A tag that somebody moved since says again what the system was built with.
#[test]
fn moved_tag_is_put_right() {
    let Embedded { set, host, root, workbench: _kept } = Embedded::new();
    let machine = Machine::boot(&root);
    machine.import(&[]).success();
    let tagged = set.images.iter().find(|image| image.tag.is_some()).expect("an image by tag").reference(&host);
    let other = set.image("single").reference(&host);
    let copy = [format!("containers-storage:{other}"), format!("containers-storage:{tagged}")];
    run(machine.storage.skopeo().arg("copy").args(copy)).success();
    assert_eq!(machine.storage.run(&tagged, &[]).success().text(), machine.storage.run(&other, &[]).success().text());

    machine.import(&[]).success();
    machine.assert_resolves(&set, &host);
    assert_ne!(machine.storage.run(&tagged, &[]).success().text(), machine.storage.run(&other, &[]).success().text());
}

/// One image that cannot be imported is told of, and keeps no other from being imported.
#[test]
fn broken_view_fails_alone() {
    let Embedded { set, host, root, workbench: _kept } = Embedded::new();
    let broken = set.image("single");
    let layer = broken.instances[0].layers[1].hex();
    fs::remove_file(root.join("usr/lib/bootc-embed/blobs/sha256").join(layer)).expect("take a layer away");

    let machine = Machine::boot(&root);
    let failed = machine.import(&[]).fails_with(1).says(&broken.reference(&host));
    assert!(failed.text().contains("5 imported, 0 already present, 1 failed"), "{failed}");
    let names = machine.storage.image_names();
    for image in set.images.iter().filter(|image| image.key != "single") {
        assert!(names.contains(&image.reference(&host)), "{} is missing among {names:#?}", image.key);
    }
}

/// The script says what it needs, and does not run on without it.
#[test]
fn script_without_skopeo_says_so() {
    let Embedded { workbench, root, .. } = Embedded::new();
    let shell = workbench.program("sh").get_program().to_owned();
    let mut script = clean(Command::new(shell), &workbench.path("home"));
    script.env("PATH", workbench.folder("empty")).arg(root.join("usr/libexec/bootc-embed/import"));
    script.env("BOOTC_EMBED_STORE", root.join("usr/lib/bootc-embed"));
    run(&mut script).fails_with(3).says("skopeo is missing");
}
