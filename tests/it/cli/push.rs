//! `push` as users type it: what it prints, what it refuses, and that it can be killed at any instant.

use crate::support::command::{Finished, run};
use crate::support::fixture::{Compression, Format, Image, Index, Layer, Repository, Spelling};
use crate::support::random::Random;
use crate::support::registry::FaultyRegistry;
use crate::support::tool::bootc_embed;
use crate::support::writable::{Behaviour, Sparse, WritableRegistry};
use serde_json::Value;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A registry with two indexes that share a layer, a store of them, and a folder to work in.
struct Rig {
    source: FaultyRegistry,
    folder: TempDir,
    references: Vec<String>,
}

impl Rig {
    fn new() -> Self {
        let repositories = ["team/web", "team/database"].map(|name| {
            let instances = ["linux/amd64", "linux/arm64"].map(|platform| {
                let base = Layer::new(&[("base", platform.repeat(2000).as_bytes())], Compression::None);
                let own =
                    Layer::new(&[("own", format!("{name} {platform}").repeat(900).as_bytes())], Compression::None);
                Image::new(platform).layer(&base).layer(&own).build()
            });
            let index = Index::new(Format::Oci).instances(&instances).spelling(Spelling::TABS).build();
            Repository::new(name).instances(&instances).index(&index).tag("v1", &index)
        });
        let source = FaultyRegistry::start(&repositories);
        let web = repositories[0].manifests.last().expect("an index");
        let references =
            vec![repositories[0].pinned(source.address(), web), repositories[1].tagged(source.address(), "v1")];
        let rig = Self { source, folder: tempfile::tempdir().expect("a folder can be made"), references };
        let mut fetch = rig.tool("fetch");
        run(fetch.args(&rig.references).args(["--store", "store", "--platform", "linux/amd64"])).success();
        rig
    }

    fn tool(&self, verb: &str) -> Command {
        let mut tool = bootc_embed(self.folder.path());
        tool.current_dir(self.folder.path()).args([verb, "--tls-verify=false"]);
        tool
    }

    fn push(&self, words: &[&str]) -> Finished {
        run(self.tool("push").args(words))
    }

    /// Text that depends neither on ports nor on the time.
    fn stable(&self, text: &str, registry: &WritableRegistry) -> String {
        let text = text.replace(registry.host(), "MIRROR").replace(self.source.address(), "SOURCE");
        let lines = text.lines().map(|line| match (line.rfind(" in "), line.find(" s;")) {
            (Some(from), Some(to)) if from < to => format!("{} in TIME{}", &line[..from], &line[to..]),
            _ => line.to_owned(),
        });
        lines.map(|line| line + "\n").collect()
    }
}

#[test]
fn what_is_printed() {
    let (rig, registry) = (Rig::new(), WritableRegistry::start(Behaviour::default()));
    let pushed = rig.push(&["--store", "store", registry.host()]).success();
    insta::assert_snapshot!(rig.stable(&pushed.text(), &registry), @r"
    2 images at MIRROR: 2 sparse
      sent     66.8 KiB in 5 blobs in TIME s; 1 taken over from other repositories, 0 there before
      wrote    4 manifests, 1 tag
      proven   4 manifests, 3 tags, 2 absent instances, 6 blobs by their sizes
    ");
    assert!(pushed.errors.contains("next: `bootc-embed emit mirror-manifests --store store --mirror"), "{pushed}");
    let looked = rig.push(&["--verify-only", "--store", "store", registry.host()]).success();
    insta::assert_snapshot!(rig.stable(&looked.text(), &registry), @r"
    2 images at MIRROR: 2 sparse
      proven   4 manifests, 1 tag, 2 absent instances, 6 blobs by their sizes
    ");
    registry.set_tag("team/database", "v1", b"{}", "application/json");
    let differs = rig.push(&["--verify-only", "--store", "store", registry.host()]).fails_with(1);
    let text = rig.stable(&differs.text(), &registry);
    assert!(text.contains("differs  MIRROR/team/database:v1\n         it points to sha256:"), "{text}");
    assert!(text.contains("hint: find out who writes this tag"), "{text}");
    let json: Value = serde_json::from_slice(
        &rig.push(&["--format", "json", "--verify-only", "--store", "store", registry.host()]).fails_with(1).output,
    )
    .expect("a report");
    assert_eq!(json["differences"][0]["kind"], "other-writer");
    let strict = WritableRegistry::start(Behaviour { sparse: Sparse::Refuse, ..Behaviour::default() });
    let refused = rig.push(&["--store", "store", strict.host()]).fails_with(1);
    let text = rig.stable(&refused.errors, &strict);
    let line = text.lines().find(|line| line.starts_with("error: ")).expect("an error");
    let digests = |line: &str| {
        line.split("sha256:").map(|part| part.get(64..).unwrap_or(part)).collect::<Vec<_>>().join("DIGEST")
    };
    assert!(line.contains("does not take the sparse index of"), "{line}");
    assert!(digests(line).contains("400 MANIFEST_BLOB_UNKNOWN"), "{line}");
    let pruned =
        rig.push(&["--store", "store", "--index", "prune", "--alias-map", "map.json", strict.host()]).success();
    assert!(rig.stable(&pruned.text(), &strict).contains("pruned   SOURCE/team/web@sha256:"), "{pruned}");
    let map: Value =
        serde_json::from_slice(&fs::read(rig.folder.path().join("map.json")).expect("a map")).expect("JSON");
    assert!(map["aliases"][1]["pruned"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{map:#}");
}

/// From registry to registry: inputs of all kinds, `docker://` among them, a lock, and other places.
#[test]
fn from_registry_to_registry() {
    let (rig, registry) = (Rig::new(), WritableRegistry::start(Behaviour::default()));
    let docker = format!("docker://{}", rig.references[0]);
    let to = format!("docker://{}/from", registry.host());
    rig.push(&[&docker, &rig.references[1], &to, "--platform", "linux/arm64"]).success();
    assert!(registry.tags("from/team/database").contains_key("v1"));
    let elsewhere = format!("{}/team/web={}/elsewhere/web", rig.source.address(), registry.host());
    rig.push(&["--lock", "store/embed.lock.json", "--mirror", &elsewhere, registry.host()]).success();
    assert_eq!(registry.tags("elsewhere/web").len(), 1);
    assert!(registry.tags("team/database").contains_key("v1"));
    assert!(registry.tags("team/web").is_empty());
    // The same registry is source and destination: it takes over what it has.
    let own = format!("{}/copy", registry.host());
    let name = format!("{}/team/database:v1", registry.host());
    let pushed = rig.push(&["--format", "json", &name, &own, "--platform", "linux/amd64"]).success();
    let report: Value = serde_json::from_slice(&pushed.output).expect("a report");
    assert_eq!((&report["sent"]["bytes"], &report["sent"]["mounted"]), (&0.into(), &3.into()), "{report:#}");
}

#[test]
fn what_is_refused() {
    let rig = Rig::new();
    fs::create_dir(rig.folder.path().join("empty")).expect("a folder can be made");
    fs::write(rig.folder.path().join("lock.json"), "{}").expect("a file can be written");
    fs::write(rig.folder.path().join("blocked.conf"), "[[registry]]\nlocation = \"blocked.example\"\nblocked = true\n")
        .expect("a file can be written");
    for (words, code, says) in [
        (["push"].as_slice(), 2, ["INPUT", "Usage"].as_slice()),
        (&["127.0.0.1:1"], 2, &["what is to be pushed", "--store DIR"]),
        (&["--store", "store", "UPPER"], 2, &["the destination", "mirror.example.com"]),
        (&["--store", "store", "quay.io/x:1", "127.0.0.1:1"], 2, &["a store or a lock says already"]),
        (&["--store", "empty", "127.0.0.1:1"], 2, &["opening the store `empty`"]),
        (&["--lock", "none.json", "127.0.0.1:1"], 2, &["none.json", "plan INPUT"]),
        (&["--lock", "lock.json", "127.0.0.1:1"], 2, &["lock.json"]),
        (&["--store", "store", "127.0.0.1:1"], 3, &["127.0.0.1:1", "cannot be reached", "hint: "]),
        (&["--store", "store", "other.example=127.0.0.1:1"], 2, &["nothing says where", "hint: "]),
        (
            &["--store", "store", "--mirror", "127.0.0.1:2", "127.0.0.1:1"],
            2,
            &["does not say of what", "SOURCE=MIRROR"],
        ),
        (&["--store", "store", "--alias-map", "none/map.json", "127.0.0.1:1"], 3, &["writing `none/map.json`"]),
        (
            &["--store", "store", "--registries-conf", "blocked.conf", "blocked.example"],
            3,
            &["`blocked` of [[registry]]", "hint: "],
        ),
        (&["--store", "store", "--index", "half", "127.0.0.1:1"], 2, &["keep"]),
        (&["--store", "store", "--verify-only", "--skip-lint", "127.0.0.1:1"], 2, &["cannot be used with"]),
        (&["--store", "store", "--platform", "linux/arm64", "127.0.0.1:1"], 2, &["cannot be used with"]),
        (&["--store", "store", "--signatures", "require", "127.0.0.1:1"], 1, &["signature"]),
    ] {
        let words = if words == ["push"] { &[] } else { words };
        let finished = rig.push(&[words, &["--retries", "0"]].concat()).fails_with(code);
        for says in says {
            assert!(finished.errors.contains(says), "expected `{says}`\n{finished}");
        }
        assert!(finished.output.is_empty(), "an error is no data\n{finished}");
    }
}

/// A store that lacks something is told of before a tag is moved.
#[test]
fn a_store_that_lacks_something() {
    let (rig, registry) = (Rig::new(), WritableRegistry::start(Behaviour::default()));
    let lock = fs::read(rig.folder.path().join("store/embed.lock.json")).expect("a lock");
    let lock: Value = serde_json::from_slice(&lock).expect("JSON");
    let instance = &lock["images"][1]["instances"][0];
    for (what, digest) in [("layer", &instance["layers"][1]["digest"]), ("manifest", &instance["manifest"]["digest"])] {
        let digest = digest.as_str().expect("a digest");
        let blob = rig.folder.path().join("store/blobs/sha256").join(&digest["sha256:".len()..]);
        let away = rig.folder.path().join("away");
        fs::rename(&blob, &away).expect("a blob can be moved");
        let finished = rig.push(&["--store", "store", registry.host()]).fails_with(3);
        assert!(
            finished.errors.contains(digest) && finished.errors.contains("the store does not have it"),
            "{what} {finished}"
        );
        assert!(!registry.tags("team/database").contains_key("v1"), "{what}");
        fs::rename(&away, &blob).expect("a blob can be moved back");
    }
    rig.push(&["--store", "store", registry.host()]).success();
}

/// Killed at any instant: a tag of a workload leads to what is whole, or is not there yet; the next run finishes.
#[test]
fn killed_at_any_instant() {
    let rig = Rig::new();
    let start = Instant::now();
    rig.push(&["--store", "store", WritableRegistry::start(Behaviour::default()).host()]).success();
    let typical = start.elapsed();
    let mut random = Random::new(7);
    for round in 0..12 {
        let registry = WritableRegistry::start(Behaviour::default());
        let mut push = rig.tool("push");
        push.args(["--store", "store", registry.host()]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = push.spawn().expect("the program starts");
        let share = u32::try_from(random.below(100)).expect("a share");
        std::thread::sleep(Duration::from_millis(5) + typical * share / 100);
        // It may have ended by itself, which is as good an instant as any other.
        let _ = child.kill();
        child.wait().expect("the program ends");
        if registry.tags("team/database").contains_key("v1") {
            rig.push(&["--verify-only", "--store", "store", registry.host()]).success();
        }
        let finished = rig.push(&["--store", "store", registry.host()]);
        assert_eq!(finished.code, Some(0), "round {round}\n{finished}");
    }
}
