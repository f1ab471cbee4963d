//! A release for four architectures becomes one for fewer: read from the real docker-registry, which is strict, pushed to
//! another one, and copied from there by stock skopeo.

use super::Workbench;
use crate::support::command::{Finished, run};
use crate::support::docker_registry::{DockerRegistry, Guards, Request};
use crate::support::fixture::{Blob, Compression, Format, Image, Index, Instance, Layer, Repository, Spelling, digest};
use crate::support::signing::{Key, Kind, Signature, attach, attachment, tag};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const ALL: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/ppc64le", "linux/s390x"];
const COMPONENTS: &str = "release/components";
const VERSION: &str = "4.99.0";
/// An image that is no part of the release.
const FOREIGN: &str = "quay.io/other/disk@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A release with its components, in a registry.
struct Rig {
    registry: DockerRegistry,
    workbench: Workbench,
    /// Name and index of each component.
    components: Vec<(&'static str, Blob)>,
    /// The instances of `cli`.
    cli: Vec<Instance>,
    key: Key,
    signatures: [Signature; 1],
}

fn instances(name: &str, format: Format) -> Vec<Instance> {
    let own =
        |platform: &str| Layer::new(&[(name, format!("{name} {platform}").repeat(200).as_bytes())], Compression::Gzip);
    let base = |platform: &str| Layer::new(&[("base", platform.repeat(900).as_bytes())], Compression::Gzip);
    let image =
        |platform: &&str| Image::new(platform).format(format).layer(&base(platform)).layer(&own(platform)).build();
    ALL.iter().map(image).collect()
}

impl Rig {
    fn new(format: Format) -> Self {
        let pod = instances("pod", format);
        let cli = instances("cli", format);
        // Built for two architectures; for the others `pod` stands there. A Docker list with children of the other kind.
        let aws = instances("aws", Format::Oci);
        let (all_pod, all_cli) = (
            Index::new(format).instances(&pod).spelling(Spelling::DOCKER).build(),
            Index::new(format).instances(&cli).spelling(Spelling::TABS).build(),
        );
        let with_placeholders = [&aws[0], &aws[1], &pod[2], &pod[3]];
        let placeholders =
            Index::new(Format::Docker).instances(with_placeholders).field("x-unknown", json!([1])).build();
        let only = instances("machine", format).remove(0);
        let mut repository =
            Repository::new(COMPONENTS).instances(&pod).instances(&cli).instances(&aws).instances([&only]);
        for index in [&all_pod, &all_cli, &placeholders] {
            repository = repository.index(index);
        }
        let key = Key::new(Kind::P256);
        let signatures = [Signature::new(&key, "quay.io/x/cli:v1", &cli[0].manifest)];
        let repository = attach(repository, &cli[0].manifest, &signatures);
        let registry = DockerRegistry::start();
        registry.push(&repository);
        let components = vec![
            ("aws-cloud-controller-manager", placeholders),
            ("cli", all_cli),
            ("machine-os-images", only.manifest),
            ("pod", all_pod),
        ];
        let rig = Self { registry, workbench: Workbench::new(), components, cli, key, signatures };
        rig.push_release(format);
        rig
    }

    fn pullspec(&self, name: &str) -> String {
        let (_, blob) = self.components.iter().find(|(known, _)| *known == name).expect("a component");
        format!("{}/{COMPONENTS}@{}", self.registry.host(), blob.digest)
    }

    /// A release image for each architecture: a base, a stale payload, the payload.
    fn push_release(&self, format: Format) {
        let payload = |version: &str, name: &dyn Fn(&str) -> String| {
            let tags: Vec<Value> = self
                .components
                .iter()
                .map(|(component, _)| json!({ "name": component, "from": { "kind": "DockerImage", "name": name(component) } }))
                .collect();
            let stream = json!({
                "kind": "ImageStream", "apiVersion": "image.openshift.io/v1",
                "metadata": { "name": version, "annotations": {} }, "spec": { "tags": tags },
            });
            let metadata = json!({
                "kind": "cincinnati-metadata-v0", "version": version, "previous": [],
                "metadata": { "release.openshift.io/architecture": "multi" },
            });
            let map = json!({ "cli": name("cli"), "nested": json!({ "pod": name("pod") }).to_string() });
            let config = format!("data:\n  images.json: '{map}'\n  kubevirt: {FOREIGN}\n");
            Layer::new(
                &[
                    (
                        "release-manifests/image-references",
                        serde_json::to_string_pretty(&stream).expect("JSON").as_bytes(),
                    ),
                    ("release-manifests/release-metadata", metadata.to_string().as_bytes()),
                    ("release-manifests/0000_50_images.configmap.yaml", config.as_bytes()),
                    (
                        "release-manifests/0000_30_deployment.yaml",
                        format!("image: {}\nargs: [\"--x={}\"]\n", name("pod"), name("aws-cloud-controller-manager"))
                            .as_bytes(),
                    ),
                ],
                Compression::Gzip,
            )
        };
        let stale =
            payload("4.99.0-nightly", &|name| format!("registry.ci.example/old/{name}@{}", digest(name.as_bytes())));
        let last = payload(VERSION, &|name| self.pullspec(name));
        let images: Vec<Instance> = ALL
            .iter()
            .map(|platform| {
                let base = Layer::new(&[("cvo", platform.repeat(500).as_bytes())], Compression::Gzip);
                Image::new(platform).format(format).layer(&base).layer(&stale).layer(&last).build()
            })
            .collect();
        let index = Index::new(format).instances(&images).spelling(Spelling::DOCKER).build();
        self.registry.push(&Repository::new("release/ocp").instances(&images).index(&index).tag(VERSION, &index));
    }

    /// The release for one architecture alone.
    fn release_image(&self) -> String {
        let index = self.registry.manifest("release/ocp", VERSION).expect("the release");
        let index: Value = serde_json::from_slice(&index).expect("JSON");
        format!("{}/release/ocp@{}", self.registry.host(), index["manifests"][0]["digest"].as_str().expect("a digest"))
    }

    fn from(&self) -> String {
        format!("{}/release/ocp:{VERSION}", self.registry.host())
    }

    fn prune(&self, from: &str, to: &DockerRegistry, words: &[&str]) -> Finished {
        let mut tool = self.workbench.tool();
        tool.args(["prune-release", "--tls-verify=false", "--format", "json", from]);
        tool.arg(format!("--to={}/edge/release:{VERSION}-edge", to.host()));
        tool.arg(format!("--to-components={}/edge/components", to.host()));
        run(tool.args(words))
    }
}

fn report(finished: &Finished) -> Value {
    serde_json::from_slice(&finished.output).unwrap_or_else(|e| panic!("no report: {e}\n{finished}"))
}

fn writes(requests: &[Request]) -> Vec<&Request> {
    requests.iter().filter(|request| !["GET", "HEAD"].contains(&request.method.as_str())).collect()
}

fn platforms(index: &[u8]) -> Vec<String> {
    let index: Value = serde_json::from_slice(index).expect("an index");
    let entries = index["manifests"].as_array().expect("entries").clone();
    entries.iter().map(|entry| entry["platform"]["architecture"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The files of the last layer of an image that skopeo has copied into a folder.
fn payload(folder: &Path, instance: &str) -> Vec<(String, String)> {
    let manifest =
        fs::read(folder.join(format!("{}.manifest.json", &instance["sha256:".len()..]))).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let last = manifest["layers"].as_array().and_then(|layers| layers.last()).expect("layers")["digest"].as_str();
    let layer = fs::read(folder.join(&last.expect("a digest")["sha256:".len()..])).expect("the layer");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(layer.as_slice()));
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.expect("an entry");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entry, &mut text).expect("text");
        (entry.path().expect("a path").display().to_string(), text)
    };
    archive.entries().expect("entries").map(read).collect()
}

/// Two of four architectures: what is pushed names only what is there, skopeo copies all of it, and a second run writes
/// nothing.
#[test]
fn two_of_four_architectures() {
    for format in [Format::Docker, Format::Oci] {
        let (rig, mirror) = (Rig::new(format), DockerRegistry::start());
        let chosen = ["--platform=linux/amd64", "--platform=linux/arm64"];
        let dry = report(&rig.prune(&rig.from(), &mirror, &[&chosen[..], &["--dry-run"]].concat()).success());
        assert!(writes(&mirror.requests()).is_empty(), "a dry run writes nothing");
        let files = rig.workbench.folder("out");
        let (map, manifests, text) = (files.join("map.json"), files.join("mirror"), files.join("report.txt"));
        let out = [
            format!("--map={}", map.display()),
            format!("--mirror-manifests={}", manifests.display()),
            format!("--report={}", text.display()),
        ];
        let words: Vec<&str> = chosen.into_iter().chain(out.iter().map(String::as_str)).collect();
        let pruned = report(&rig.prune(&rig.from(), &mirror, &words).success());
        assert_eq!((&pruned["release"], &pruned["pullspecs"]), (&dry["release"], &dry["pullspecs"]));
        for push in ["componentsPush", "releasePush"] {
            assert_eq!(pruned[push]["differences"], json!([]), "{pruned:#}");
        }
        // Every component, by the pullspec that the new release has for it.
        let map: Value = serde_json::from_slice(&fs::read(map).expect("the map")).expect("JSON");
        for (name, blob) in &rig.components {
            let new = map[rig.pullspec(name)].as_str().expect("a new pullspec");
            let new = new.strip_prefix(&format!("{}/edge/components@", mirror.host())).expect("at its new place");
            let served = mirror.manifest("edge/components", new).expect("it is there");
            match *name {
                "machine-os-images" => assert_eq!(served, blob.bytes),
                _ => assert_eq!(platforms(&served), ["amd64", "arm64"], "{name}"),
            }
        }
        let signature = mirror.manifest("edge/components", &tag(&rig.cli[0].manifest));
        assert_eq!(signature, Some(attachment(&rig.signatures).manifest.bytes), "signatures travel");
        assert!(!rig.key.public().is_empty());
        // Stock skopeo copies the release and all that it names.
        let release = pruned["release"].as_str().expect("a release");
        let folder = files.join("release");
        let copy = |from: &str, to: &Path| {
            let mut skopeo = rig.workbench.program("skopeo");
            skopeo.args(["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &format!("docker://{from}")]);
            run(skopeo.arg(format!("dir:{}", to.display()))).success();
        };
        copy(release, &folder);
        let index = fs::read(folder.join("manifest.json")).expect("the index");
        assert_eq!(platforms(&index), ["amd64", "arm64"]);
        let index: Value = serde_json::from_slice(&index).expect("JSON");
        for entry in index["manifests"].as_array().expect("entries") {
            let files = payload(&folder, entry["digest"].as_str().expect("a digest"));
            let all: String = files.iter().map(|(_, text)| text.as_str()).collect();
            assert!(!all.contains(COMPONENTS), "an old pullspec is left\n{all}");
            assert!(all.contains(FOREIGN), "what is foreign stays\n{all}");
            let stream: Value = files
                .iter()
                .find(|(path, _)| path.ends_with("image-references"))
                .map(|(_, text)| serde_json::from_str(text).expect("JSON"))
                .expect("image-references");
            assert_eq!(stream["metadata"]["name"], VERSION);
            let source = stream["metadata"]["annotations"]["release.openshift.io/from-release"].as_str();
            assert!(source.is_some_and(|source| source.contains("release/ocp@sha256:")), "{stream:#}");
        }
        for (at, (name, _)) in rig.components.iter().enumerate() {
            copy(map[rig.pullspec(name)].as_str().expect("a pullspec"), &files.join(at.to_string()));
        }
        let text = fs::read_to_string(text).expect("the report");
        for words in ["is not signed", FOREIGN, "linux/s390x", "not chosen"] {
            assert!(text.contains(words), "no `{words}`\n{text}");
        }
        assert!(fs::read_to_string(manifests.join("idms.yaml")).expect("it is written").contains("edge/components"));
        let before = mirror.requests().len();
        rig.prune(&rig.from(), &mirror, &chosen).success();
        assert!(writes(&mirror.requests()[before..]).is_empty(), "a second run writes nothing");
    }
}

/// One architecture on which a component is not built, and none of it amd64: the placeholder stays, and where all are
/// chosen nothing changes.
#[test]
fn one_architecture_without_amd64() {
    let (rig, mirror) = (Rig::new(Format::Docker), DockerRegistry::start());
    let words = ["--platform=linux/ppc64le", "--component=aws-cloud-controller-manager", "--component=cli"];
    let pruned = report(&rig.prune(&rig.from(), &mirror, &words).success());
    let component = |name: &str| {
        let all = pruned["components"].as_array().expect("components").clone();
        all.into_iter().find(|component| component["name"] == name).expect("it is reported")
    };
    assert_eq!(component("aws-cloud-controller-manager")["kept"][0]["reason"], "placeholder");
    assert_eq!(component("pod")["unchanged"], true);
    let served = |name: &str| {
        let digest = component(name);
        let digest = digest["newDigest"].as_str().or(digest["digest"].as_str()).expect("a digest").to_owned();
        mirror.manifest("edge/components", &digest).expect("it is there")
    };
    assert_eq!(platforms(&served("aws-cloud-controller-manager")), ["ppc64le"]);
    assert_eq!(platforms(&served("cli")), ["ppc64le"]);
    assert_eq!(platforms(&served("pod")).len(), 4, "what is not chosen stays whole");
    // Beside an architecture that it is built for, a placeholder goes.
    for (words, kept) in
        [(&[][..], vec!["linux/amd64"]), (&["--drop-placeholders=false"], vec!["linux/amd64", "linux/ppc64le"])]
    {
        let words = [&["--platform=linux/amd64", "--platform=linux/ppc64le", "--dry-run"], words].concat();
        let pruned = report(&rig.prune(&rig.from(), &mirror, &words).success());
        let aws = pruned["components"][0]["kept"].as_array().expect("entries").clone();
        let found: Vec<&Value> = aws.iter().map(|entry| &entry["platform"]).collect();
        assert_eq!(found.len(), kept.len(), "{found:#?}");
    }
}

/// A release in a folder or in a layout is read without its registry; its components come from theirs.
#[test]
fn releases_in_folders_and_layouts() {
    let (rig, mirror) = (Rig::new(Format::Oci), DockerRegistry::start());
    let words = ["--platform=linux/arm64"];
    let wanted = report(&rig.prune(&rig.from(), &mirror, &words).success());
    for to in ["dir", "oci"] {
        let place = format!("{to}:{}", rig.workbench.path(to).display());
        let mut skopeo = rig.workbench.program("skopeo");
        skopeo.args(["copy", "--all", "--src-tls-verify=false", &format!("docker://{}", rig.from()), &place]);
        run(&mut skopeo).success();
        let other = DockerRegistry::start();
        let pruned = report(&rig.prune(&place, &other, &words).success());
        let digest = |report: &Value| {
            let all = report["components"].as_array().expect("components");
            all.iter().map(|component| component["newDigest"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(digest(&pruned), digest(&wanted), "{to}");
        assert!(pruned["source"].as_str().is_some_and(|source| source.starts_with(&place)), "{pruned:#}");
    }
}

/// A release names images for all verbs.
#[test]
fn a_release_is_an_input() {
    let rig = Rig::new(Format::Docker);
    let input = format!("release:docker://{}", rig.from());
    let mut list = rig.workbench.tool();
    let listed =
        run(list.args(["list", "--tls-verify=false", "--format=json", "--platform=linux/s390x", &input])).success();
    let listed: Value = serde_json::from_slice(&listed.output).expect("JSON");
    let names: Vec<&str> =
        listed["images"].as_array().expect("images").iter().filter_map(|image| image["reference"].as_str()).collect();
    let wanted: Vec<String> = rig.components.iter().map(|(name, _)| rig.pullspec(name)).collect();
    assert_eq!(names, wanted);
    let mut plan = rig.workbench.tool();
    plan.args(["plan", "--tls-verify=false", "--format=json", "--platform=linux/amd64", &input]);
    assert!(run(&mut plan).success().text().contains(&wanted[1]));
}

/// What is no release, and what cannot be chosen of one.
#[test]
fn what_cannot_be_pruned_is_told() {
    let (rig, mirror) = (Rig::new(Format::Docker), DockerRegistry::start());
    let component = rig.pullspec("cli");
    let missing = format!("{}/release/none:1", rig.registry.host());
    for (from, words, code, says) in [
        (rig.from(), vec!["--platform=linux/riscv64"], 2, "nothing for linux/riscv64"),
        (rig.from(), vec!["--platform=linux/amd64", "--component=none"], 2, "no component `none`"),
        (component, vec!["--platform=linux/amd64"], 1, "release"),
        (missing, vec!["--platform=linux/amd64"], 3, "does not exist"),
        ("oci:/nowhere".to_owned(), vec!["--platform=linux/amd64"], 2, "/nowhere"),
        ("dir:/nowhere".to_owned(), vec!["--platform=linux/amd64"], 2, "/nowhere"),
        (rig.from(), vec!["--platform=linux/amd64", "--report=x.html"], 2, "`.json` or `.txt`"),
        (rig.from(), vec![], 2, "--platform"),
    ] {
        let finished = rig.prune(&from, &mirror, &words).fails_with(code).says(says);
        assert!(finished.output.is_empty(), "an error is no data\n{finished}");
    }
    assert!(writes(&mirror.requests()).is_empty());
    let own = rig.from();
    for (to, components, says) in [
        (own.as_str(), "r.example/y", "is the release that is pruned"),
        ("r.example/x", "r.example/y", "has no tag"),
        (
            "r.example/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "r.example/y",
            "has a digest",
        ),
        ("r.example/x:1", "r.example/y:1", "is no repository"),
    ] {
        let mut tool = rig.workbench.tool();
        tool.args(["prune-release", "--platform=linux/amd64", "--to", to, "--to-components", components]);
        run(tool.arg(rig.from())).fails_with(2).says(says).says("hint: ");
    }
    let guarded = DockerRegistry::guarded(Guards { password: true, ..Guards::default() });
    rig.prune(&rig.from(), &guarded, &["--platform=linux/amd64"]).fails_with(3).says("--authfile");
    let one = rig.release_image();
    rig.prune(&one, &mirror, &["--platform=linux/amd64"]).fails_with(1).says("name the index of the release as FROM");
    rig.prune(&one, &mirror, &["--platform=linux/amd64", "--platform=linux/arm64"])
        .fails_with(2)
        .says("and nothing else");
    let nowhere = ["--platform=linux/amd64", "--report=none/report.json"];
    rig.prune(&rig.from(), &mirror, &nowhere).fails_with(3).says("writing `none/report.json`");
    assert!(writes(&mirror.requests()).is_empty());
    // A component that the registry has lost.
    let lost = rig.pullspec("cli");
    rig.registry.remove_manifest(COMPONENTS, lost.split_once('@').expect("a digest").1);
    rig.prune(&rig.from(), &mirror, &["--platform=linux/amd64"]).fails_with(3).says("reading component `cli`");
}

/// What was pushed is read from where it was pushed to, whatever mirrors of that there are.
#[test]
fn mirrors_of_the_destination_are_not_asked() {
    let (rig, to, stale) = (Rig::new(Format::Docker), DockerRegistry::start(), DockerRegistry::start());
    let conf = format!(
        "[[registry]]\nlocation = \"{}\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        to.host(),
        stale.host()
    );
    fs::write(rig.workbench.path("registries.conf"), conf).expect("write registries.conf");
    rig.prune(&rig.from(), &to, &["--platform=linux/amd64"]).success();
    assert_eq!(stale.requests(), []);
}
