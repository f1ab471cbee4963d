//! Targets other than roots, as far as they need no other program: stores, layouts, and what is none.

use super::{Good, found, report};
use crate::support::command::{Finished, program, run};
use crate::support::tool::bootc_embed;

fn validate(good: &Good, words: &[&str]) -> Finished {
    run(bootc_embed(good.folder.path()).current_dir(good.folder.path()).arg("validate").args(words))
}

#[test]
fn a_store_is_judged_by_its_lock_or_by_what_is_asked_for() {
    let good = Good::new();
    let root = good.copy();
    let target = format!("store:{}", root.store("").display());
    let proven = validate(&good, &[&target]).success().text();
    assert!(proven.starts_with("STORE PROVEN: store:") && proven.ends_with("6 references, 6 proven offline, 0 not\n"));
    // A folder with a lock needs no word before it.
    let json = report(&validate(&good, &[&root.store("").to_string_lossy(), "--format", "json"]).success());
    assert_eq!((&json["scope"], &json["summary"]["proven"]), (&"store".into(), &6.into()));

    let one = validate(&good, &[&target, &good.reference("pod"), "--format", "json"]).success();
    assert_eq!(report(&one)["summary"]["references"], 1, "{one}");
    let absent = format!("{}/site/absent@sha256:{}", good.registry.address(), "ab".repeat(32));
    let missing = validate(&good, &[&target, &absent, "--format", "json"]).fails_with(1);
    assert_eq!(found(&report(&missing)), ["references-embedded".to_owned()].into());

    let excluded = validate(&good, &[&target, "--exclude", &good.reference("agent")]).success().text();
    assert!(excluded.ends_with("5 references, 5 proven offline, 0 not; 1 excluded\n"), "{excluded}");

    root.remove(&root.pool(good.member("operand").own_layer()));
    let broken = validate(&good, &[&target, "--format", "json"]).fails_with(1);
    assert_eq!(found(&report(&broken)), ["blobs-present".to_owned()].into());
}

#[test]
fn what_is_no_target_is_said() {
    let good = Good::new();
    let folder = good.folder.path();
    std::fs::create_dir(folder.join("empty")).unwrap();
    std::fs::write(folder.join("file"), "x").unwrap();
    for (target, code, words) in [
        ("nowhere", 2, "`nowhere` is no target"),
        ("rootfs:nowhere", 2, "cannot be opened"),
        ("store:nowhere", 2, "cannot be opened"),
        ("store:empty", 2, "there is no `embed.lock.json`"),
        ("rootfs:empty", 2, "nothing else in the root names an image"),
        ("oci:empty", 2, "no OCI layout"),
        ("oci-archive:nowhere", 2, "No such file"),
        ("docker-archive:nowhere", 2, "No such file"),
        ("oci-archive:file", 1, "file"),
        ("docker://busybox", 2, "short name"),
    ] {
        validate(&good, &[target]).fails_with(code).says(words).says("hint: ");
    }
    let root = good.root();
    let target = format!("rootfs:{}", root.display());
    validate(&good, &[&target, "--store", "/opt/none"]).fails_with(2).says("nothing is embedded in `/opt/none`");
}

/// What this user may not read takes the proof, not the run.
#[test]
fn what_may_not_be_read_is_said() {
    let good = Good::new();
    let root = good.copy();
    let folder = root.at("usr/lib/microshift/manifests.d/site");
    root.mode(&folder, 0o000);
    // Root may read everything; so it runs the program as nobody.
    let mut tool = if rustix::process::geteuid().is_root() {
        root.mode(root.path.parent().expect("a folder"), 0o755);
        let mut other = program("setpriv", good.folder.path());
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]);
        other.arg(env!("CARGO_BIN_EXE_bootc-embed"));
        other
    } else {
        bootc_embed(good.folder.path())
    };
    let target = format!("rootfs:{}", root.path.display());
    let finished = run(tool.args(["validate", &target, "--format", "json"]));
    root.mode(&folder, 0o755);
    let json = report(&finished);
    let check = json["checks"].as_array().unwrap().iter().find(|check| check["name"] == "workloads-readable").unwrap();
    assert_eq!(check["outcome"], "couldNotCheck", "{finished}");
    assert!(check["reason"].as_str().unwrap().contains("manifests.d/site"), "{check}");
    assert_eq!(json["summary"]["proven"], 0, "{finished}");
    finished.fails_with(3);
}
