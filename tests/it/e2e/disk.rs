//! A disk that is full, and then is not.

use super::set::Set;
use super::{Workbench, registry_with};
use crate::support::busybox;
use crate::support::command::run;
use crate::support::tree::Tree;
use std::path::PathBuf;

/// A file system in memory. It is unmounted with this value.
struct SmallDisk<'a> {
    workbench: &'a Workbench,
    place: PathBuf,
}

impl<'a> SmallDisk<'a> {
    fn mount(workbench: &'a Workbench, options: &str) -> Self {
        let disk = Self { workbench, place: workbench.folder("disk") };
        run(workbench.program("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&disk.place)).success();
        disk
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        run(self.workbench.program("mount").args(["-o", &options]).arg(&self.place)).success();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        run(self.workbench.program("umount").arg(&self.place));
    }
}

/// Full, read-only, then large enough: clear errors, and the last run ends with the very same store.
#[test]
fn full_and_read_only_disks_are_told_of_and_the_next_run_finishes() {
    let set = Set::new(busybox::native());
    let registry = registry_with(&set);
    let workbench = Workbench::new();
    let disk = SmallDisk::mount(&workbench, "size=700k");
    let fetch = |store: PathBuf| {
        let mut tool = workbench.tool();
        tool.args(["fetch", &set.images[0].reference(registry.host()), "--platform", set.platform]);
        run(tool.args(["--tls-verify=false", "--store"]).arg(store))
    };
    let store = disk.place.join("store");
    fetch(store.clone()).fails_with(3).says("No space left").says("hint: make room and run the same command again");
    assert!(!store.join("embed.lock.json").exists());
    disk.remount("ro,size=700k");
    fetch(store.clone()).fails_with(3).says("Read-only file system").says("hint:");
    disk.remount("rw,size=20m");
    fetch(store.clone()).success();
    fetch(workbench.path("fresh")).success();
    Tree::read(&workbench.path("fresh")).assert_same(&Tree::read(&store), "a store that was completed");
}

/// A cache is there to save time; without it, the store is filled all the same.
#[test]
fn a_cache_without_room_is_told_of_and_the_store_is_filled() {
    let set = Set::new(busybox::native());
    let registry = registry_with(&set);
    let workbench = Workbench::new();
    let disk = SmallDisk::mount(&workbench, "size=100k");
    let mut tool = workbench.tool();
    tool.args(["fetch", &set.images[0].reference(registry.host()), "--platform", set.platform, "--tls-verify=false"]);
    tool.arg("--store").arg(workbench.path("store")).arg("--cache").arg(&disk.place);
    let finished = run(&mut tool).success();
    assert_eq!(finished.errors.matches("the cache cannot be added to").count(), 1, "{finished}");
    finished.says("No space left");
}
