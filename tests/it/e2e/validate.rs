//! The verdict against what really happens: images that buildah builds, podman without a registry.

use super::containerfile::{build, fragment, make_tool_image, mount, push_base};
use super::import::Embedded;
use super::set::{Member, Set};
use super::{Machine, Workbench, registry_with};
use crate::support::busybox;
use crate::support::command::{Finished, run};
use crate::support::fixture::Blob;
use crate::support::storage::Storage;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// A root to break, and what it carries.
struct Broken<'a> {
    root: &'a Path,
    host: &'a str,
    set: &'a Set,
}

impl Broken<'_> {
    fn store(&self) -> PathBuf {
        self.root.join("usr/lib/bootc-embed")
    }

    fn pool(&self, blob: &Blob) -> PathBuf {
        self.store().join("blobs/sha256").join(blob.hex())
    }

    fn native(&self, key: &str) -> &crate::support::fixture::Instance {
        let platform = crate::support::fixture::Platform::new(self.set.platform);
        let instances = &self.set.image(key).instances;
        let fits = |instance: &&crate::support::fixture::Instance| {
            (&instance.platform.os, &instance.platform.architecture) == (&platform.os, &platform.architecture)
        };
        instances.iter().find(fits).expect("the set is for this platform")
    }

    fn view(&self, key: &str) -> PathBuf {
        let reference = self.set.image(key).reference(self.host);
        let name = crate::support::fixture::digest(format!("{reference}\n").as_bytes());
        self.store().join(&name["sha256:".len()..])
    }

    fn own_layer(&self, key: &str) -> PathBuf {
        self.pool(self.native(key).layers.last().expect("an image has layers"))
    }

    fn edit_list(&self, edit: impl Fn(&str) -> Option<String>) {
        let path = self.store().join("image-list.txt");
        let text = fs::read_to_string(&path).expect("the list can be read");
        let lines: Vec<String> = text.lines().filter_map(edit).collect();
        fs::write(path, lines.join("\n") + "\n").expect("the list can be written");
    }
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap_or_else(|e| panic!("reading {}: {e}", path.display()));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("a file can be written");
}

fn link(target: &str, path: &Path) {
    fs::remove_file(path).expect("a link can be removed");
    symlink(target, path).expect("a link can be made");
}

/// A way to break a root, and whose images it costs.
type Case = (&'static str, &'static [&'static str], fn(&Broken<'_>));

/// The same for a storage.
type StorageCase = (&'static str, &'static [&'static str], fn(&Storage, &Broken<'_>));

/// The keys of all images.
const EVERY: &[&str] = &["docker-list", "odd_index", "arm-variants", "single", "tagged", "twins"];

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("a byte of an index", &["odd_index"], |b| flip(&b.pool(&b.set.image("odd_index").top))),
    ("a byte of an instance", &["docker-list"], |b| flip(&b.pool(&b.native("docker-list").manifest))),
    ("a byte of a config", &["single"], |b| flip(&b.pool(&b.native("single").config))),
    ("a byte of a layer", &["arm-variants"], |b| flip(&b.own_layer("arm-variants"))),
    ("a truncated layer", &["docker-list"], |b| {
        let bytes = fs::read(b.own_layer("docker-list")).unwrap();
        fs::write(b.own_layer("docker-list"), &bytes[..bytes.len() - 7]).unwrap();
    }),
    ("a missing layer", &["tagged"], |b| fs::remove_file(b.own_layer("tagged")).unwrap()),
    ("a missing layer of all images", EVERY, |b| fs::remove_file(b.pool(&b.native("tagged").layers[0])).unwrap()),
    ("a missing instance", &["odd_index"], |b| fs::remove_file(b.pool(&b.native("odd_index").manifest)).unwrap()),
    ("a missing config", &["twins"], |b| fs::remove_file(b.pool(&b.native("twins").config)).unwrap()),
    ("the instance in place of the index", &["odd_index"], |b| {
        link(&format!("../blobs/sha256/{}", b.native("odd_index").manifest.hex()), &b.view("odd_index").join("manifest.json"));
    }),
    ("another image in place of this one", &["single"], |b| {
        link(&format!("../blobs/sha256/{}", b.native("docker-list").manifest.hex()), &b.view("single").join("manifest.json"));
    }),
    ("a re-formatted index", &["docker-list"], |b| {
        let path = b.pool(&b.set.image("docker-list").top);
        let json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        fs::write(&path, serde_json::to_vec(&json).unwrap()).unwrap();
    }),
    ("a line less in the list", &["arm-variants"], |b| {
        let reference = b.set.image("arm-variants").reference(b.host);
        b.edit_list(|line| (!line.starts_with(&reference)).then(|| line.to_owned()));
    }),
    ("another name in the list", &["single"], |b| b.edit_list(|line| Some(line.replace("team/single@", "team/double@")))),
    ("a missing view", &["twins"], |b| fs::remove_dir_all(b.view("twins")).unwrap()),
    ("a policy that rejects", &[], |b| fs::write(b.root.join("etc/containers/policy.json"), r#"{"default":[{"type":"reject"}]}"#).unwrap()),
    ("a policy that rejects, and none for the import", EVERY, |b| {
        fs::write(b.root.join("etc/containers/policy.json"), r#"{"default":[{"type":"reject"}]}"#).unwrap();
        fs::remove_file(b.root.join("usr/share/bootc-embed/import-policy.json")).unwrap();
    }),
];

/// What `validate` says of every reference: whether it is proven.
fn verdicts(finished: &Finished) -> BTreeMap<String, bool> {
    let report: Value = serde_json::from_slice(&finished.output).unwrap_or_else(|e| panic!("{e}\n{finished}"));
    let references = report["references"].as_array().expect("a report has references");
    let row = |row: &Value| (row["reference"].as_str().unwrap_or_default().to_owned(), row["verdict"] == "proven");
    references.iter().map(row).collect()
}

/// What podman says of every reference after a boot without a registry: whether it is there.
fn reality(root: &Path, set: &Set, host: &str) -> BTreeMap<String, bool> {
    let machine = Machine::boot(root);
    machine.obey_policy_of(root);
    machine.import(&[]);
    let resolves = |image: &Member| {
        let reference = image.reference(host);
        let there = machine.storage.resolves(&reference, &image.top.digest).is_ok();
        (reference, there)
    };
    set.images.iter().map(resolves).collect()
}

/// The proof of an image that buildah built, in every form that it is handed on in; and for the good
/// one and every broken one, podman agrees with the verdict for every reference.
#[test]
fn verdicts_are_what_podman_finds() {
    let set = Set::new(busybox::native());
    let registry = registry_with(&set);
    let host = registry.host().to_owned();
    let (workbench, storage) = (Workbench::new(), Storage::new());
    let base = push_base(&set, &registry);
    make_tool_image(&workbench, &storage, &base);
    build(&workbench, &storage, "shipped", &fragment(&workbench, &base), &base, &[]);
    let file = |name: &str| workbench.path(name).display().to_string();
    let targets = [
        "containers-storage:localhost/shipped".to_owned(),
        format!("docker://{host}/team/shipped:v1"),
        format!("oci-archive:{}", file("shipped.oci.tar")),
        format!("docker-archive:{}", file("shipped.docker.tar")),
        format!("oci:{}", file("shipped.oci")),
    ];
    for target in &targets[1..] {
        run(storage.buildah().args(["push", "--quiet", "--tls-verify=false", "localhost/shipped", target])).success();
    }
    for target in &targets {
        let mut tool = workbench.tool_on(&storage);
        let proven = run(tool.args(["validate", target, "--tls-verify=false", "--format", "json"])).success();
        assert!(verdicts(&proven).values().all(|proven| *proven) && verdicts(&proven).len() == 6, "{proven}");
    }
    registry.stop();

    let good = mount(&storage, "shipped");
    let mut wrong = Vec::new();
    for (name, keys, mutate) in [("nothing", &[][..], (|_| ()) as fn(&Broken<'_>))].iter().chain(CASES) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let root = folder.path().join("root");
        run(std::process::Command::new("cp").arg("-a").arg(&good).arg(&root)).success();
        mutate(&Broken { root: &root, host: &host, set: &set });
        let finished =
            run(workbench.tool().arg("validate").arg(format!("rootfs:{}", root.display())).args(["--format", "json"]));
        let (said, found) = (verdicts(&finished), reality(&root, &set, &host));
        let expected: BTreeMap<String, bool> =
            set.images.iter().map(|image| (image.reference(&host), !keys.contains(&image.key))).collect();
        if said != found || said != expected {
            wrong.push(format!("{name}: validate says {said:#?}\npodman finds {found:#?}\n{}", finished.errors));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A device's storage is judged from its files, and podman agrees, whole and broken.
#[test]
fn a_storage_that_was_filled_is_judged_from_its_files() {
    let Embedded { set, host, workbench, root } = Embedded::new();
    let store = root.join("usr/lib/bootc-embed");
    let broken: [StorageCase; 5] = [
        ("nothing", &[], |_, _| ()),
        ("an image is gone", &["odd_index"], |storage, b| {
            let name = b.set.image("odd_index").reference(b.host);
            run(storage.podman().args(["rmi", &name])).success();
        }),
        ("the bytes of an index are gone", &["docker-list"], |storage, b| {
            fs::remove_file(storage.big_data(&format!("manifest-{}", b.set.image("docker-list").top.digest))).unwrap();
        }),
        ("an image that nobody can read", EVERY, |storage, b| {
            let file = storage.big_data(&format!("manifest-{}", b.native("docker-list").manifest.digest));
            // The storage has them a second time, under the key of images without an index.
            fs::remove_file(file.with_file_name("manifest")).unwrap();
            fs::remove_file(file).unwrap();
        }),
        ("an index has other bytes", &["odd_index"], |storage, b| {
            flip(&storage.big_data(&format!("manifest-{}", b.set.image("odd_index").top.digest)));
        }),
    ];
    for (name, keys, mutate) in broken {
        let machine = Machine::boot(&root);
        machine.import(&[]).success();
        mutate(&machine.storage, &Broken { root: &root, host: &host, set: &set });
        let mut tool = workbench.tool();
        tool.arg("validate").arg(format!("storage:{}", machine.storage.graph().display()));
        tool.arg(format!("lock:{}", store.join("embed.lock.json").display())).args(["--format", "json"]);
        let finished = run(&mut tool);
        let said = verdicts(&finished);
        let expected: BTreeMap<String, bool> =
            set.images.iter().map(|image| (image.reference(&host), !keys.contains(&image.key))).collect();
        assert_eq!(said, expected, "{name}\n{finished}");
        assert_eq!(finished.code, Some(i32::from(!keys.is_empty())), "{name}\n{finished}");
        let resolves = |image: &Member| {
            let reference = image.reference(&host);
            let there = machine.storage.resolves(&reference, &image.top.digest).is_ok();
            let runs = || machine.storage.run(&image.reference(&host), &[]).code == Some(0);
            (reference, there && runs())
        };
        let found: BTreeMap<String, bool> = set.images.iter().map(resolves).collect();
        assert_eq!(said, found, "{name}: podman finds something else\n{finished}");
    }
    let mut tool = workbench.tool();
    run(tool.args(["validate", "storage:/"])).fails_with(2).says("does not say what must be in it");
}

/// MicroShift's documented recipe, made by skopeo: understood, proven, and told what it wastes.
#[test]
fn the_documented_recipe_is_understood() {
    let set = Set::new(busybox::native());
    let registry = registry_with(&set);
    let host = registry.host().to_owned();
    let (workbench, storage) = (Workbench::new(), Storage::new());
    let root = workbench.folder("root");
    let folder = root.join("usr/lib/containers/storage");
    for (path, text) in [
        ("usr/lib/os-release", "ID=test\n".to_owned()),
        ("etc/containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#.to_owned()),
        ("usr/bin/skopeo", "#!/bin/sh\n".to_owned()),
        (
            "usr/lib/systemd/system/microshift.service",
            "[Unit]\nAfter=crio.service\n[Service]\nExecStart=/usr/bin/microshift run\n".to_owned(),
        ),
        (
            "usr/lib/systemd/system/microshift.service.d/microshift-copy-images.conf",
            "[Service]\nExecStartPre=/usr/bin/microshift-copy-images\n".to_owned(),
        ),
        ("usr/bin/microshift-copy-images", COPY_SCRIPT.to_owned()),
        (&format!("usr/share/microshift/release/{}", set.release_info_name()), set.release_info(&host)),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("folders can be made");
        fs::write(&path, text).expect("a file can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
    }
    fs::create_dir_all(&folder).expect("a folder can be made");
    let mut list = String::new();
    for image in &set.images {
        let reference = image.reference(&host);
        let key = crate::support::fixture::digest(format!("{reference}\n").as_bytes())["sha256:".len()..].to_owned();
        let mut copy = storage.skopeo();
        copy.args(["copy", "--quiet", "--all", "--preserve-digests", "--src-tls-verify=false"]);
        copy.arg(format!("docker://{reference}")).arg(format!("dir:{}", folder.join(&key).display()));
        run(&mut copy).success();
        list += &format!("{reference},{key}\n");
    }
    fs::write(folder.join("image-list.txt"), &list).expect("the list can be written");
    registry.stop();

    let validate = |words: &[&str]| {
        let mut tool = workbench.tool();
        tool.arg("validate").arg(format!("rootfs:{}", root.display())).args(["--platform", set.platform]);
        run(tool.args(words))
    };
    let proven = validate(&["--format", "json"]).success();
    assert!(verdicts(&proven).len() == 6 && verdicts(&proven).values().all(|proven| *proven), "{proven}");
    let report: Value = serde_json::from_slice(&proven.output).expect("JSON");
    let findings = report["findings"].as_array().expect("findings");
    let wasted =
        findings.iter().find(|finding| finding["check"] == "nothing-unused").expect("foreign platforms are told of");
    assert!(wasted["message"].as_str().unwrap().contains("platforms of this set"), "{report:#}");
    assert!(findings.iter().all(|finding| finding["severity"] == "warning"), "{report:#}");
    assert_eq!(reality_of_recipe(&root, &set, &host), verdicts(&proven));

    // The second convention: the same folders under another list.
    let cache = root.join("usr/lib/containers-image-cache");
    fs::rename(&folder, &cache).expect("a folder can be moved");
    fs::remove_file(cache.join("image-list.txt")).expect("the list can be removed");
    fs::write(cache.join("mapping.txt"), list.replace('\n', ",root\n")).expect("the list can be written");
    let script = COPY_SCRIPT
        .replace("/usr/lib/containers/storage/image-list.txt", "/usr/lib/containers-image-cache/mapping.txt");
    fs::write(
        root.join("usr/bin/microshift-copy-images"),
        script.replace("/usr/lib/containers/storage", "/usr/lib/containers-image-cache"),
    )
    .unwrap();
    let proven = validate(&["--format", "json"]).success();
    assert!(verdicts(&proven).len() == 6 && verdicts(&proven).values().all(|proven| *proven), "{proven}");

    // And a fault in it is found.
    let native = crate::support::fixture::Platform::new(set.platform);
    let instance = set.image("docker-list").instances.iter().find(|i| i.platform == native).expect("a native instance");
    let key =
        list.lines().find(|line| line.contains("team/docker-list@")).and_then(|line| line.split(',').nth(1)).unwrap();
    flip(&cache.join(key).join(instance.layers[1].hex()));
    let broken = validate(&["--format", "json"]).fails_with(1);
    assert_eq!(verdicts(&broken).values().filter(|proven| !**proven).count(), 1, "{broken}");
}

/// What a site writes that follows the documentation.
const COPY_SCRIPT: &str = r#"#!/bin/bash
set -eu
IMAGE_STORAGE_DIR=/usr/lib/containers/storage
while IFS="," read -r img sha; do
    skopeo copy --preserve-digests "dir:${ROOT:-}${IMAGE_STORAGE_DIR}/${sha}" "containers-storage:${img}"
done <"${ROOT:-}/usr/lib/containers/storage/image-list.txt"
"#;

/// What podman finds after that script has run.
fn reality_of_recipe(root: &Path, set: &Set, host: &str) -> BTreeMap<String, bool> {
    let storage = Storage::new();
    let mut script = storage.command("bash");
    run(script.arg(root.join("usr/bin/microshift-copy-images")).env("ROOT", root)).success();
    let resolves = |image: &Member| {
        let reference = image.reference(host);
        let there = storage.resolves(&reference, &image.top.digest).is_ok();
        (reference, there)
    };
    set.images.iter().map(resolves).collect()
}
