//! What verbs print when all goes well: text, JSON, budgets, exit codes, quiet, a closed pipe.

use crate::support::command::{Finished, run};
use crate::support::fixture::{Compression, Format, Image, Index, Layer, Repository, Spelling};
use crate::support::registry::{Auth, FaultyRegistry};
use crate::support::tool::bootc_embed;
use crate::support::tree::Tree;
use serde_json::Value;
use std::fs;
use std::process::Stdio;
use tempfile::TempDir;

/// A registry with two indexes that share a layer, and a folder to work in.
struct Rig {
    registry: FaultyRegistry,
    folder: TempDir,
    references: Vec<String>,
}

impl Rig {
    fn new() -> Self {
        let base = |platform: &str| Layer::new(&[("base", platform.repeat(2000).as_bytes())], Compression::None);
        let repositories = ["web", "database"].map(|name| {
            let instances = ["linux/amd64", "linux/arm64", "linux/s390x"].map(|platform| {
                let own = Layer::new(&[(name, format!("{name} {platform}").repeat(900).as_bytes())], Compression::None);
                Image::new(platform).layer(&base(platform)).layer(&own).build()
            });
            let index = Index::new(Format::Oci).instances(&instances).spelling(Spelling::TABS).build();
            Repository::new(name).instances(&instances).index(&index).tag("v1", &index)
        });
        let registry = FaultyRegistry::start(&repositories);
        let web = repositories[0].manifests.last().expect("an index");
        let references =
            vec![repositories[0].pinned(registry.address(), web), repositories[1].tagged(registry.address(), "v1")];
        Self { registry, folder: tempfile::tempdir().expect("a folder can be made"), references }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let registry = ["--platform", "linux/amd64", "--tls-verify=false"];
        let mut command = bootc_embed(self.folder.path());
        command.current_dir(self.folder.path()).args(arguments).args(&self.references).args(registry);
        run(&mut command)
    }

    /// Text that does not depend on the port.
    fn stable(&self, text: &str) -> String {
        let port = self.registry.address().rsplit(':').next().expect("a port").len();
        text.replace(self.registry.address(), &format!("127.0.0.1:{}", "9".repeat(port)))
    }
}

#[test]
fn plan_in_text_and_json() {
    let rig = Rig::new();
    let planned = rig.run(&["plan"]).success();
    // The ports that systems choose have five digits, so the table is always as wide.
    insta::assert_snapshot!(rig.stable(&planned.text()));
    assert!(planned.errors.contains("warning: ") && planned.errors.contains("is a tag"), "{planned}");
    let json: Value = serde_json::from_slice(&rig.run(&["plan", "--format", "json"]).success().output).unwrap();
    let (rows, total) = (json["images"].as_array().unwrap(), &json["total"]);
    let sum = |field: &str| rows.iter().map(|row| row[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("nativeBytes") - sum("sharedBytes"), total["nativeBytes"].as_u64().unwrap());
    assert_eq!(sum("savedBytes"), total["savedBytes"].as_u64().unwrap());
    assert_eq!(sum("allPlatformsBytes") - sum("savedBytes"), total["nativeBytes"].as_u64().unwrap());
    assert_eq!((&rows[0]["kind"], &rows[1]["moving"]), (&Value::from("index"), &Value::from(true)));
    assert!(rows[1]["sharedBytes"].as_u64().unwrap() > 20_000, "the base layer is shared");
}

#[test]
fn a_budget_is_kept_before_a_blob_is_fetched() {
    let rig = Rig::new();
    rig.run(&["plan", "--max-size", "1GiB"]).success();
    rig.registry.take_seen();
    for arguments in [
        ["plan", "--max-size", "10kB", "-o", "lock.json"].as_slice(),
        &["fetch", "--max-size", "10kB", "--store", "store"],
        &["embed", "--max-size", "10kB", "--root", "root"],
    ] {
        rig.run(arguments).fails_with(1).says("the budget is 9.8 KiB").says("hint: ");
    }
    assert_eq!(rig.registry.blob_requests(), 0);
    for name in ["lock.json", "store", "root"] {
        assert!(!rig.folder.path().join(name).exists(), "{name} was written");
    }
}

#[test]
fn embed_into_a_root_with_and_without_crio() {
    let rig = Rig::new();
    fs::create_dir_all(rig.folder.path().join("with/etc/crio/crio.conf.d")).unwrap();
    let embedded = rig.run(&["embed", "--root", "with"]).success();
    let sizes = ["stored", "fetched", "saved"];
    let lines = embedded.text();
    let lines: Vec<&str> = lines.lines().filter(|line| !sizes.iter().any(|word| line.contains(word))).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    2 images in /usr/lib/bootc-embed for linux/amd64
      signed   no image, so far as registries and lookaside stores say
      wrote    /usr/libexec/bootc-embed/import
      wrote    /usr/lib/systemd/system/bootc-embed-import.service
      wrote    /usr/lib/systemd/system/multi-user.target.wants/bootc-embed-import.service
      wrote    /etc/crio/crio.conf.d/50-bootc-embed.conf
      wrote    /usr/share/bootc-embed/import-policy.json

    STORE PROVEN: rootfs:with for linux/amd64; 2 images, 61.0 KiB
    checks: 19 passed, 0 failed, 1 warned, 0 could not be made, 12 left out
    2 references, 2 proven offline, 0 not
    ");
    let root = rig.folder.path().join("with");
    let link = fs::read_link(root.join("usr/lib/systemd/system/multi-user.target.wants/bootc-embed-import.service"));
    assert_eq!(link.unwrap().to_str().unwrap(), "../bootc-embed-import.service");
    let pins: toml::Table =
        fs::read_to_string(root.join("etc/crio/crio.conf.d/50-bootc-embed.conf")).unwrap().parse().unwrap();
    let pinned: Vec<&str> =
        pins["crio"]["image"]["pinned_images"].as_array().unwrap().iter().filter_map(|v| v.as_str()).collect();
    assert_eq!(pinned, rig.references);

    let report: Value =
        serde_json::from_slice(&rig.run(&["embed", "--root", "without", "--format", "json"]).success().output).unwrap();
    assert_eq!((report["images"].as_u64(), report["emitted"].as_array().unwrap().len()), (Some(2), 4));
    assert!(!rig.folder.path().join("without/etc").exists(), "a root without CRI-O gets no pins");
    assert_eq!(report["validation"]["summary"]["proven"], 2, "{report}");

    // Without the proof nothing is said of it; with it, what is broken ends the run.
    let plain = rig.run(&["embed", "--root", "plain", "--no-validate"]).success().text();
    assert!(!plain.contains("PROVEN"), "{plain}");
    fs::create_dir_all(rig.folder.path().join("system/usr/lib")).unwrap();
    fs::write(rig.folder.path().join("system/usr/lib/os-release"), "ID=test\n").unwrap();
    let broken = rig.run(&["embed", "--root", "system"]).fails_with(1).says("NOT PROVEN: 1 error").text();
    for words in ["import-tools: /usr/bin/skopeo", "2 references, 0 proven"] {
        assert!(broken.contains(words), "no `{words}` in\n{broken}");
    }
}

#[test]
fn fetch_by_a_lock_needs_neither_tags_nor_inputs() {
    let rig = Rig::new();
    rig.run(&["plan", "-o", "lock.json"]).success().says("next: `bootc-embed fetch --locked lock.json");
    rig.registry.take_seen();
    let fetch = |store: &str| {
        let arguments = ["fetch", "--locked", "lock.json", "--tls-verify=false", "--format", "json", "--store", store];
        run(bootc_embed(rig.folder.path()).current_dir(rig.folder.path()).args(arguments))
    };
    let report: Value = serde_json::from_slice(&fetch("store").success().output).unwrap();
    assert_eq!(report["fetched"], 5, "two configs, two own layers, one shared: {report}");
    let seen = rig.registry.take_seen();
    assert!(seen.iter().all(|seen| !seen.path.contains("/v1")), "a tag was looked up: {seen:#?}");
    assert_eq!(
        fs::read(rig.folder.path().join("lock.json")).unwrap(),
        fs::read(rig.folder.path().join("store/embed.lock.json")).unwrap()
    );
    let again: Value = serde_json::from_slice(&fetch("store").success().output).unwrap();
    assert_eq!((again["fetched"].as_u64(), rig.registry.take_seen().len()), (Some(0), 0), "nothing is asked for");
    // A lock is an input too: its tags stay what they were.
    let listed =
        run(bootc_embed(rig.folder.path()).current_dir(rig.folder.path()).args(["list", "lock.json"])).success();
    assert!(listed.text().contains("database:v1"));
}

#[test]
fn quiet_says_nothing_and_a_closed_pipe_is_no_error() {
    let rig = Rig::new();
    let finished = rig.run(&["--quiet", "plan"]).success();
    assert_eq!(finished.errors, "");
    let mut list = bootc_embed(rig.folder.path());
    list.arg("list").args(&rig.references).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = list.spawn().expect("the program starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("the program ends").code(), Some(0));
}

#[test]
fn emit_prints_one_file_or_writes_a_tree() {
    let rig = Rig::new();
    rig.run(&["fetch", "--store", "store"]).success();
    let emit = |arguments: &[&str]| {
        let mut command = bootc_embed(rig.folder.path());
        run(command.current_dir(rig.folder.path()).arg("emit").args(arguments)).success()
    };
    let map = emit(&["alias-map", "--store", "store"]);
    assert_eq!(map.output, fs::read(rig.folder.path().join("store/digest-aliases.json")).unwrap());
    emit(&["blueprint", "--lock", "store/embed.lock.json", "-o", "set.toml"]);
    let blueprint: toml::Table = fs::read_to_string(rig.folder.path().join("set.toml")).unwrap().parse().unwrap();
    assert_eq!(blueprint["containers"].as_array().unwrap().len(), 2);
    let printed = emit(&["import-unit"]).text();
    assert!(printed.contains("==> /usr/libexec/bootc-embed/import <=="), "{printed}");
    emit(&[
        "import-unit",
        "crio-pins",
        "--store",
        "store",
        "--embedded-at",
        "/usr/lib/containers/storage",
        "-o",
        "tree",
    ]);
    let script = fs::read_to_string(rig.folder.path().join("tree/usr/libexec/bootc-embed/import")).unwrap();
    assert!(script.contains("store=${BOOTC_EMBED_STORE:-/usr/lib/containers/storage}"), "{script}");
    assert!(rig.folder.path().join("tree/etc/crio/crio.conf.d/50-bootc-embed.conf").is_file());
    // A policy has a place in a root, whether its drop-in is needed or not.
    emit(&["policy", "--store", "store", "--root", ".", "-o", "policies"]);
    assert!(rig.folder.path().join("policies/usr/share/bootc-embed/import-policy.json").is_file());
}

#[test]
fn two_builds_are_the_same_tree_to_the_second() {
    let rig = Rig::new();
    let embed = |root: &str, epoch: &str| {
        let mut command = bootc_embed(rig.folder.path());
        fs::create_dir_all(rig.folder.path().join(root).join("etc/crio/crio.conf.d")).unwrap();
        command.current_dir(rig.folder.path()).env("SOURCE_DATE_EPOCH", epoch).args(["embed", "--root", root]);
        run(command.args(&rig.references).args(["--platform", "linux/amd64", "--tls-verify=false"])).success();
        let mut tree = Tree::read(&rig.folder.path().join(root));
        // These folders were there before.
        tree.0.retain(|path, _| !["etc", "etc/crio", "etc/crio/crio.conf.d"].contains(&path.to_str().unwrap()));
        tree
    };
    let (first, second) = (embed("first", "1700000000"), embed("second", "1700000000"));
    first.assert_same(&second, "two builds");
    assert!(first.0.values().all(|(_, mtime)| *mtime == 1_700_000_000), "{first:#?}");
    assert!(embed("third", "").0.values().all(|(_, mtime)| *mtime == 0));
}

#[test]
fn a_lock_that_lies_is_refused_and_a_damaged_store_is_mended() {
    let rig = Rig::new();
    rig.run(&["plan", "-o", "lock.json"]).success();
    let lock: Value = serde_json::from_slice(&fs::read(rig.folder.path().join("lock.json")).unwrap()).unwrap();
    let fetch = |lock: &Value, store: &str| {
        fs::write(rig.folder.path().join("changed.json"), lock.to_string()).unwrap();
        let arguments = ["fetch", "--locked", "changed.json", "--tls-verify=false", "--store", store];
        run(bootc_embed(rig.folder.path()).current_dir(rig.folder.path()).args(arguments))
    };
    fetch(&lock, "store").success();
    let whole = Tree::read(&rig.folder.path().join("store"));
    let mut dropped = lock.clone();
    dropped["images"][0]["instances"][0]["layers"].as_array_mut().unwrap().pop();
    let mut swapped = lock.clone();
    swapped["images"][0]["manifest"] = lock["images"][1]["manifest"].clone();
    let mut renamed = lock.clone();
    renamed["images"][0]["instances"][0]["platform"] = "linux/s390x".into();
    let mut other = lock.clone();
    other["platforms"] = serde_json::json!(["linux/arm64"]);
    for (name, lie) in [("dropped", dropped), ("swapped", swapped), ("renamed", renamed), ("other", other)] {
        let refused = fetch(&lie, "store").fails_with(1).says("does not say of").says("hint: make the lock anew");
        assert!(refused.output.is_empty(), "{name}");
        whole.assert_same(&Tree::read(&rig.folder.path().join("store")), "a store that a lie was tried on");
        assert!(fetch(&lie, name).fails_with(1).output.is_empty());
        assert!(!rig.folder.path().join(name).join("embed.lock.json").exists());
    }
    let mut nothing = lock.clone();
    nothing["images"] = serde_json::json!([]);
    fetch(&nothing, "store").fails_with(2).says("names no image");

    let layer = lock["images"][0]["instances"][0]["layers"][0]["digest"].as_str().unwrap().replace("sha256:", "");
    let blob = rig.folder.path().join("store/blobs/sha256").join(layer);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[100] ^= 1;
    fs::write(&blob, bytes).unwrap();
    fetch(&lock, "store").success();
    whole.assert_same(&Tree::read(&rig.folder.path().join("store")), "a store that was damaged");
}

#[test]
fn a_lock_as_input_brings_its_platforms() {
    let rig = Rig::new();
    let plan = |arguments: &[&str]| {
        let mut command = bootc_embed(rig.folder.path());
        run(command.current_dir(rig.folder.path()).args(["plan", "--tls-verify=false"]).args(arguments)).success()
    };
    plan(&[&rig.references[0], "--platform", "linux/s390x", "-o", "s390x.json"]);
    plan(&["lock:s390x.json", "-o", "again.json"]);
    let read = |name: &str| fs::read(rig.folder.path().join(name)).unwrap();
    assert_eq!(read("s390x.json"), read("again.json"));
    let mut piped = bootc_embed(rig.folder.path());
    piped.current_dir(rig.folder.path()).stdin(fs::File::open(rig.folder.path().join("s390x.json")).unwrap());
    run(piped.args(["plan", "--tls-verify=false", "lock:-", "-o", "piped.json"])).success();
    assert_eq!(read("s390x.json"), read("piped.json"));
    plan(&["lock:s390x.json", "--platform", "linux/arm64", "-o", "arm64.json"]);
    assert!(String::from_utf8(read("arm64.json")).unwrap().contains("\"linux/arm64\""));
}

#[test]
fn a_time_that_is_none_is_refused() {
    let rig = Rig::new();
    let mut command = bootc_embed(rig.folder.path());
    command.current_dir(rig.folder.path()).env("SOURCE_DATE_EPOCH", "yesterday").args(["fetch", "--store", "s"]);
    run(command.args(&rig.references).args(["--platform", "linux/amd64", "--tls-verify=false"]))
        .fails_with(2)
        .says("`SOURCE_DATE_EPOCH` is `yesterday`");
}

#[test]
fn credentials_are_found_where_podman_and_docker_keep_them() {
    let image = Image::new("linux/amd64").layer(&Layer::new(&[("x", b"y")], Compression::None)).build();
    let repository = Repository::new("team/app").instances([&image]).tag("v1", &image.manifest);
    let registry = FaultyRegistry::start_with(std::slice::from_ref(&repository), Auth::Basic);
    let home = tempfile::tempdir().unwrap();
    let reference = repository.tagged(registry.address(), "v1");
    let write = |place: &str, pair: &str| {
        let file = home.path().join(place);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!(r#"{{"auths":{{"{}":{{"auth":"{pair}"}}}}}}"#, registry.address())).unwrap();
    };
    let plan = |variable: Option<(&str, &str)>| {
        let mut command = bootc_embed(home.path());
        if let Some((name, place)) = variable {
            command.env(name, home.path().join(place));
        }
        run(command.args(["plan", &reference, "--platform", "linux/amd64", "--tls-verify=false"]))
    };
    let (right, wrong) = ("dXNlcjpzZWNyZXQ=", "dXNlcjp3cm9uZw==");
    plan(None).fails_with(3).says("hint: log in with `podman login`");
    // Each place wins over those after it: only the first has the right password in its turn.
    write(".docker/config.json", right);
    plan(None).success();
    write(".docker/config.json", wrong);
    plan(None).fails_with(3).says(".docker/config.json` were refused");
    write(".config/containers/auth.json", right);
    plan(None).success();
    write("config/containers/auth.json", wrong);
    plan(Some(("XDG_CONFIG_HOME", "config"))).fails_with(3).says("config/containers/auth.json` were refused");
    write("run/containers/auth.json", right);
    plan(Some(("XDG_RUNTIME_DIR", "run"))).success();
    write("own.json", wrong);
    plan(Some(("REGISTRY_AUTH_FILE", "own.json"))).fails_with(3).says("own.json` were refused");
    plan(Some(("REGISTRY_AUTH_FILE", "run/containers/auth.json"))).success();
}
