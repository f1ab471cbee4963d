//! Pushing to the real docker-registry, which is strict: it takes no index that names what it does not have.

use super::set::Set;
use super::{Workbench, registry_with};
use crate::support::busybox;
use crate::support::command::{Finished, run};
use crate::support::docker_registry::{DockerRegistry, Guards, PASSWORD, Request, Tls};
use crate::support::fixture::{Platform, Repository, digest};
use crate::support::storage::Storage;
use crate::support::tree::Tree;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A set in a store, and the registry that it came from.
struct Rig {
    set: Set,
    /// Where the set came from.
    host: String,
    source: Option<DockerRegistry>,
    workbench: Workbench,
}

impl Rig {
    fn new() -> Self {
        let set = Set::new(busybox::native());
        let (source, workbench) = (registry_with(&set), Workbench::new());
        let rig = Self { set, host: source.host().to_owned(), source: Some(source), workbench };
        rig.fetch("store", &[]).success();
        rig
    }

    /// Fills a store with the set.
    fn fetch(&self, store: &str, words: &[&str]) -> Finished {
        let release_info = self.workbench.path(self.set.release_info_name());
        fs::write(&release_info, self.set.release_info(&self.host)).expect("write release-info");
        let mut tool = self.workbench.tool();
        tool.arg("fetch").arg(release_info).arg("--store").arg(self.store(store));
        run(tool.args(["--platform", self.set.platform, "--tls-verify=false"]).args(words))
    }

    fn store(&self, name: &str) -> PathBuf {
        self.workbench.path(name)
    }

    fn push(&self, to: &str, words: &[&str]) -> Finished {
        let mut tool = self.workbench.tool();
        tool.args(["push", "--format", "json", "--tls-verify=false"]).args(words);
        run(tool.arg("--store").arg(self.store("store")).arg(to))
    }

    /// Nobody reaches the source any more.
    fn stop_source(&mut self) {
        self.source.take().expect("it runs").stop();
    }

    /// Tells who reads that the source is mirrored.
    fn mirror(&self, mirror: &DockerRegistry) {
        let text = format!(
            "[[registry]]\nlocation = \"{}\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
            self.host,
            mirror.host()
        );
        fs::write(self.workbench.path("registries.conf"), text).expect("write registries.conf");
    }
}

fn report(finished: &Finished) -> Value {
    serde_json::from_slice(&finished.output).unwrap_or_else(|e| panic!("no report: {e}\n{finished}"))
}

/// The requests that write.
fn writes(requests: &[Request]) -> Vec<&Request> {
    requests.iter().filter(|request| !["GET", "HEAD"].contains(&request.method.as_str())).collect()
}

/// Every platform arrives byte for byte, from registry to registry where the store has less; what is fetched from
/// the mirror without the source is the same store; a second push writes nothing.
#[test]
fn all_platforms_arrive_and_come_back_as_the_same_store() {
    let mut rig = Rig::new();
    let mirror = DockerRegistry::start();
    let pushed = report(&rig.push(mirror.host(), &["--index", "all"]).success());
    assert_eq!(pushed["differences"], serde_json::json!([]));
    assert!(pushed["sent"]["mounted"].as_u64() > Some(0), "{pushed:#}");
    for image in &rig.set.images {
        for manifest in &image.repository.manifests {
            let served = mirror.manifest(&image.repository.name, &manifest.digest);
            assert_eq!(served.as_deref(), Some(manifest.bytes.as_slice()), "{} {}", image.key, manifest.digest);
        }
    }
    let before = mirror.requests().len();
    let again = report(&rig.push(mirror.host(), &["--index", "all"]).success());
    let requests = mirror.requests();
    assert_eq!(writes(&requests[before..]), Vec::<&Request>::new());
    assert_eq!(again["sent"]["bytes"], 0);
    rig.mirror(&mirror);
    rig.stop_source();
    rig.fetch("from-mirror", &[]).success();
    assert_eq!(Tree::read(&rig.store("store")), Tree::read(&rig.store("from-mirror")));
}

/// A strict registry gets indexes of the kept platforms; skopeo and podman pull by their digests.
#[test]
fn pruned_indexes_arrive_and_are_pulled() {
    let mut rig = Rig::new();
    let mirror = DockerRegistry::start();
    let place = format!("{}/edge", mirror.host());
    rig.stop_source();
    let map = rig.workbench.path("aliases.json");
    let words = ["--index", "prune", "--alias-map", map.to_str().expect("a path in UTF-8")];
    let pushed = report(&rig.push(&place, &words).success());
    assert_eq!(pushed["differences"], serde_json::json!([]));
    let aliases: Value = serde_json::from_slice(&fs::read(&map).expect("an alias map")).expect("JSON");
    let images = pushed["images"].as_array().expect("images");
    for (image, alias) in images.iter().zip(aliases["aliases"].as_array().expect("aliases")) {
        let (repository, pushed) = (text(image, "repository"), text(image, "digest"));
        let path = repository.strip_prefix(&format!("{}/", mirror.host())).expect("in the mirror");
        assert!(path.starts_with("edge/team/"), "{path}");
        let served = mirror.manifest(path, pushed).expect("it is there");
        assert_eq!(digest(&served), pushed);
        assert_eq!(mirror.manifest(path, &format!("sha256-{}.image", &pushed["sha256:".len()..])), Some(served));
        match image["index"].as_str() {
            Some("pruned") => assert_eq!((&alias["digest"], &alias["pruned"]), (&image["was"], &image["digest"])),
            Some("single") => assert!(alias.get("pruned").is_none()),
            other => panic!("{other:?}"),
        }
        let storage = Storage::new();
        let name = format!("{repository}@{pushed}");
        let mut skopeo = storage.command("skopeo");
        skopeo.args(["copy", "--src-tls-verify=false", &format!("docker://{name}")]);
        run(skopeo.arg(format!("containers-storage:{name}"))).success();
        storage.resolves(&name, pushed).unwrap_or_else(|why| panic!("{name} does not resolve: {why}"));
    }
    let podman = Storage::new();
    let name = format!("{}@{}", text(&images[0], "repository"), text(&images[0], "digest"));
    run(podman.command("podman").args(["pull", "--tls-verify=false", &name])).success();
    let tag = mirror.manifest("edge/team/tagged", "v1.2").expect("the tag of the workload");
    let tagged = images.iter().find(|image| text(image, "repository").ends_with("/tagged")).expect("it is reported");
    assert_eq!(digest(&tag), text(tagged, "digest"));
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value:#}"))
}

/// A sparse index is refused: the registry's own words, what to do, and no more sent than the smallest image;
/// no tag of a workload is touched.
#[test]
fn a_refused_sparse_index_is_told_in_the_words_of_the_registry() {
    let rig = Rig::new();
    for mode in ["auto", "keep"] {
        let mirror = DockerRegistry::start();
        let refused = rig.push(mirror.host(), &["--index", mode]).fails_with(1);
        let refused = refused.says("400 MANIFEST_BLOB_UNKNOWN").says("sha256:").says("--index prune");
        refused.says("--index all");
        let requests = mirror.requests();
        let uploads = writes(&requests).iter().filter(|request| request.path.contains("/blobs/uploads/")).count();
        assert!(uploads <= 10, "{mode}: {uploads} requests sent blobs\n{requests:#?}");
        assert!(!requests.iter().any(|request| request.method == "PUT" && request.path.ends_with("/v1.2")));
    }
}

/// A certificate of a private authority and a password; what is said without them.
#[test]
fn certificate_and_password_open_a_mirror() {
    let rig = Rig::new();
    let mirror = DockerRegistry::guarded(Guards { tls: Tls::Authority, password: true });
    let (certificates, passwords) = (mirror.cert_dir(), mirror.authfile());
    let push = |files: &[(&str, &Path)]| {
        let mut tool = rig.workbench.tool();
        tool.args(["push", "--index", "prune", mirror.host()]).arg("--store").arg(rig.store("store"));
        for (option, path) in files {
            tool.arg(option).arg(path);
        }
        let finished = run(&mut tool);
        assert!(!finished.errors.contains(PASSWORD), "the password is printed\n{finished}");
        finished
    };
    push(&[("--authfile", &passwords)]).fails_with(3).says("--cert-dir");
    push(&[("--cert-dir", &certificates)]).fails_with(3).says("--authfile");
    push(&[("--cert-dir", &certificates), ("--authfile", &passwords)]).success();
}

/// What is looked at only: a mirror that skopeo has made is good, one that has lost a blob or whose tag was moved is not.
#[test]
fn an_existing_mirror_is_looked_at() {
    let mut rig = Rig::new();
    let mirror = DockerRegistry::start();
    rig.set.push(&mirror);
    rig.stop_source();
    let lock = rig.store("store").join("embed.lock.json");
    let verify = || {
        let mut tool = rig.workbench.tool();
        tool.args(["push", "--verify-only", "--tls-verify=false", "--format=json", mirror.host()]);
        run(tool.arg("--lock").arg(&lock))
    };
    let before = mirror.requests().len();
    let looked = report(&verify().success());
    assert_eq!(looked["differences"], serde_json::json!([]));
    assert!(looked.get("sent").is_none() && looked["proof"]["blobs"].as_u64() > Some(5), "{looked:#}");
    assert_eq!(writes(&mirror.requests()[before..]), Vec::<&Request>::new());
    let image = rig.set.image("tagged");
    let wanted = Platform::new(rig.set.platform);
    let native = image.instances.iter().find(|instance| instance.platform == wanted).expect("the native one");
    mirror.remove_blob(&image.repository.name, &native.layers[1].digest);
    let other = rig.set.image("odd_index");
    let moved = Repository { name: image.repository.name.clone(), ..other.repository.clone() }.tag("v1.2", &other.top);
    mirror.push(&moved);
    let looked = verify().fails_with(1).says("2 differences");
    let differences = report(&looked)["differences"].clone();
    let kinds: Vec<&str> =
        differences.as_array().expect("a list").iter().filter_map(|difference| difference["kind"].as_str()).collect();
    assert_eq!(kinds, ["other-writer", "missing"], "{differences:#}");
}
