//! A good root, broken in one way at a time: each must yield exactly the finding that is named for it.

use super::{Good, PLATFORM, Root, found, report};
use crate::support::fixture::digest;
use bootc_embed::validate::CHECKS;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A way to break a root, the check that must see it, and more words for `validate`.
type Mutation = (&'static str, &'static str, fn(&Good, &Root), &'static [&'static str]);

const NONE: &[&str] = &[];
/// The policy of the import names the folder, so it does not fit one that was moved.
const MOVED: &[&str] = &["--skip", "import-policy"];
const UNIT: &str = "usr/lib/systemd/system/bootc-embed-import.service";
const SCRIPT: &str = "usr/libexec/bootc-embed/import";
const WANTS: &str = "usr/lib/systemd/system/multi-user.target.wants/bootc-embed-import.service";
const POLICY: &str = "etc/containers/policy.json";
const OWN_POLICY: &str = "usr/share/bootc-embed/import-policy.json";
const REGISTRIES_D: &str = "etc/containers/registries.d";
const APP: &str = "usr/lib/microshift/manifests.d/site/app.yaml";
const PINS: &str = "etc/crio/crio.conf.d/50-bootc-embed.conf";
const LOCK: &str = "usr/lib/bootc-embed/embed.lock.json";
const LIST: &str = "usr/lib/bootc-embed/image-list.txt";

/// Changes the byte in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap_or_else(|e| panic!("reading {}: {e}", path.display()));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("a file can be written");
}

/// Cuts a file to a length, or makes it longer.
fn resize(path: &Path, length: impl Fn(u64) -> u64) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("a file can be opened");
    let old = file.metadata().expect("a file has a size").len();
    file.set_len(length(old)).expect("a file can be cut");
}

fn append(path: &Path, text: &str) {
    let old = fs::read_to_string(path).expect("a file can be read");
    fs::write(path, old + text).expect("a file can be written");
}

/// Another workload that names an image.
fn workload(root: &Root, text: &str) {
    root.write("usr/lib/microshift/manifests.d/more/kustomization.yaml", "resources:\n- more.yaml\n");
    root.write("usr/lib/microshift/manifests.d/more/more.yaml", text);
}

fn pod(image: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: more\nspec:\n  containers:\n  - name: more\n    image: {image}\n{more}"
    )
}

/// A digest of nothing that is embedded.
fn absent(good: &Good) -> String {
    format!("{}/site/absent@sha256:{}", good.registry.address(), "ab".repeat(32))
}

/// The file of the signature that the set has.
fn signature(good: &Good, root: &Root) -> PathBuf {
    let name = format!("{}.signature-1", good.member("controller").native.manifest.hex());
    root.view(&good.reference("controller"), &name)
}

/// The way that removes an image from a store without a trace: as if it had never been asked for.
fn forget(good: &Good, root: &Root, key: &str) {
    let reference = good.reference(key);
    fs::remove_dir_all(root.store("")).expect("a store can be removed");
    let others: Vec<String> = good
        .members
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != key)
        .map(|name| good.reference(name))
        .collect();
    let mut tool = good.tool();
    tool.args(["fetch", "--platform", PLATFORM, "--tls-verify=false", "--store"]).arg(root.store("")).args(&others);
    crate::support::command::run(&mut tool).success();
    let pins = fs::read_to_string(root.at(PINS)).expect("pins can be read");
    let kept: String = pins.lines().filter(|line| !line.contains(&reference)).map(|line| format!("{line}\n")).collect();
    fs::write(root.at(PINS), kept).expect("pins can be written");
}

#[rustfmt::skip]
const MUTATIONS: &[Mutation] = &[
    // Bytes.
    ("a byte of an index", "manifest-digest", |g, r| flip(&r.pool(&g.member("controller").top)), NONE),
    ("a byte of an odd index", "manifest-digest", |g, r| flip(&r.pool(&g.member("webhook").top)), NONE),
    ("a byte of a single manifest", "manifest-digest", |g, r| flip(&r.pool(&g.member("agent").top)), NONE),
    ("a byte of an instance", "blobs-intact", |g, r| flip(&r.pool(&g.member("controller").native.manifest)), NONE),
    ("a byte of a config", "blobs-intact", |g, r| flip(&r.pool(&g.member("operand").native.config)), NONE),
    ("a byte of a layer", "blobs-intact", |g, r| flip(&r.pool(g.member("operand").own_layer())), NONE),
    ("a byte of a shared layer", "blobs-intact", |g, r| flip(&r.pool(&g.member("operand").native.layers[0])), NONE),
    ("a truncated layer", "blobs-intact", |g, r| resize(&r.pool(g.member("pod").own_layer()), |old| old - 1), NONE),
    ("a longer layer", "blobs-intact", |g, r| resize(&r.pool(g.member("pod").own_layer()), |old| old + 1), NONE),
    ("an empty layer", "blobs-intact", |g, r| resize(&r.pool(g.member("pod").own_layer()), |_| 0), NONE),
    ("an empty index", "manifest-digest", |g, r| resize(&r.pool(&g.member("pod").top), |_| 0), NONE),
    ("a re-formatted index", "manifest-digest", |g, r| {
        let path = r.pool(&g.member("webhook").top);
        let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        fs::write(&path, serde_json::to_vec_pretty(&json).unwrap()).unwrap();
    }, NONE),
    ("an index that is a web page", "manifest-digest", |g, r| fs::write(r.pool(&g.member("pod").top), "<html>").unwrap(), NONE),
    // What is missing.
    ("a missing index", "manifest-digest", |g, r| r.remove(&r.pool(&g.member("controller").top)), NONE),
    ("a missing instance", "native-instance", |g, r| r.remove(&r.pool(&g.member("controller").native.manifest)), NONE),
    ("a missing config", "blobs-present", |g, r| r.remove(&r.pool(&g.member("controller").native.config)), NONE),
    ("a missing layer", "blobs-present", |g, r| r.remove(&r.pool(g.member("controller").own_layer())), NONE),
    ("a missing shared layer", "blobs-present", |g, r| r.remove(&r.pool(&g.member("controller").native.layers[0])), NONE),
    ("an instance missing in a view", "native-instance", |g, r| {
        r.remove(&r.view(&g.reference("controller"), &format!("{}.manifest.json", g.member("controller").native.manifest.hex())));
    }, NONE),
    ("a layer missing in a view", "blobs-present", |g, r| r.remove(&r.view(&g.reference("pod"), g.member("pod").own_layer().hex())), NONE),
    ("a view without manifest.json", "manifest-digest", |g, r| r.remove(&r.view(&g.reference("pod"), "manifest.json")), NONE),
    ("a missing view", "views", |g, r| r.remove(&r.view(&g.reference("pod"), "")), NONE),
    ("a view without version", "views", |g, r| r.remove(&r.view(&g.reference("pod"), "version")), NONE),
    ("a view of another version", "views", |g, r| fs::write(r.view(&g.reference("pod"), "version"), "Directory Transport Version: 9\n").unwrap(), NONE),
    // What is swapped.
    ("the instance in place of the index", "manifest-digest", |g, r| {
        let target = format!("../blobs/sha256/{}", g.member("pod").native.manifest.hex());
        r.link(&target, &r.view(&g.reference("pod"), "manifest.json"));
    }, NONE),
    ("another image's index", "manifest-digest", |g, r| {
        let target = format!("../blobs/sha256/{}", g.member("webhook").top.hex());
        r.link(&target, &r.view(&g.reference("pod"), "manifest.json"));
    }, NONE),
    ("another image's layer", "blobs-intact", |g, r| {
        let target = format!("../blobs/sha256/{}", g.member("webhook").own_layer().hex());
        r.link(&target, &r.view(&g.reference("pod"), g.member("pod").own_layer().hex()));
    }, NONE),
    ("a layer that is a link out of the root", "blobs-present", |g, r| {
        r.link("../../../../../../../../../../etc/hostname-of-nobody", &r.view(&g.reference("pod"), g.member("pod").own_layer().hex()));
    }, NONE),
    ("a copy in place of a link", "views", |g, r| {
        let path = r.view(&g.reference("pod"), g.member("pod").own_layer().hex());
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }, NONE),
    ("a foreign platform", "native-instance", |_, _| (), &["--platform", "linux/arm64", "--skip", "architecture"]),
    ("a single image for a foreign platform", "architecture", |_, _| (), &["--platform", "linux/arm64", "--skip", "native-instance"]),
    // Lists.
    ("a line less in the image list", "lists-agree", |g, r| {
        let text = fs::read_to_string(r.at(LIST)).unwrap();
        let kept: String = text.lines().filter(|line| !line.contains(&g.reference("pod"))).map(|line| format!("{line}\n")).collect();
        fs::write(r.at(LIST), kept).unwrap();
    }, NONE),
    ("a line more in the image list", "lists-agree", |g, r| {
        let folder = r.view(&g.reference("pod"), "");
        let key = folder.file_name().unwrap().to_string_lossy().into_owned();
        append(&r.at(LIST), &format!("quay.io/site/more:v1,{key}\n"));
    }, NONE),
    ("another name in the image list", "lists-agree", |_, r| r.edit(&r.at(LIST), "site/operand", "site/operanb"), NONE),
    ("two folders exchanged in the image list", "manifest-digest", |g, r| {
        let key = |name: &str| r.view(&g.reference(name), "").file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(r.at(LIST)).unwrap();
        let text = text.replace(&key("pod"), "@").replace(&key("webhook"), &key("pod")).replace('@', "\u{1}");
        // The references have an `@` of their own.
        let text = text.replace("\u{1}sha256:", "@sha256:").replace('\u{1}', &key("webhook"));
        fs::write(r.at(LIST), text).unwrap();
    }, NONE),
    ("a line that is none", "lists-readable", |_, r| append(&r.at(LIST), "quay.io/site/more:v1\n"), NONE),
    ("a line whose folder is a path", "lists-readable", |_, r| append(&r.at(LIST), "quay.io/site/more:v1,../../../etc\n"), NONE),
    ("no image list", "lists-readable", |_, r| r.remove(&r.at(LIST)), NONE),
    ("half a lock", "lists-readable", |_, r| resize(&r.at(LOCK), |old| old / 2), NONE),
    ("a lock of tomorrow", "lists-readable", |_, r| r.edit(&r.at(LOCK), "\"version\": 1", "\"version\": 9"), NONE),
    ("another digest in the lock", "lists-agree", |g, r| {
        let hex = g.member("pod").native.manifest.hex().to_owned();
        r.edit(&r.at(LOCK), &hex, &"cd".repeat(32));
        // The alias map is the lock's short form.
        r.edit(&r.store("digest-aliases.json"), &hex, &"cd".repeat(32));
    }, NONE),
    ("another size in the lock", "lists-agree", |g, r| {
        let size = g.member("pod").own_layer().bytes.len();
        r.edit(&r.at(LOCK), &format!("\"size\": {size}\n"), &format!("\"size\": {}\n", size + 1));
    }, NONE),
    ("no alias map", "lists-readable", |_, r| r.remove(&r.store("digest-aliases.json")), NONE),
    ("another alias", "lists-agree", |g, r| r.edit(&r.store("digest-aliases.json"), g.member("pod").native.manifest.hex(), &"cd".repeat(32)), NONE),
    ("no OCI layout", "lists-agree", |_, r| r.remove(&r.store("index.json")), NONE),
    ("another digest in the OCI layout", "lists-agree", |g, r| r.edit(&r.store("index.json"), g.member("pod").top.hex(), &"cd".repeat(32)), NONE),
    // What is too much.
    ("a foreign file in the store", "nothing-unused", |_, r| fs::write(r.store("notes"), "x").unwrap(), NONE),
    ("a foreign file in a view", "nothing-unused", |g, r| fs::write(r.view(&g.reference("pod"), "notes"), "x").unwrap(), NONE),
    ("a blob that no image needs", "nothing-unused", |_, r| {
        let name = crate::support::fixture::digest(b"unused");
        fs::write(r.store("blobs/sha256").join(&name["sha256:".len()..]), "unused").unwrap();
    }, NONE),
    ("an image that no workload names any more", "nothing-unused", |g, r| r.edit(&r.at(APP), &g.reference("operand"), "none"), NONE),
    ("more than the budget", "size-budget", |_, _| (), &["--max-size", "3kB"]),
    // What is named.
    ("no pause image", "references-embedded", |g, r| forget(g, r, "pod"), NONE),
    ("an image that only an annotation names", "references-embedded", |g, r| {
        workload(r, &format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: x\n  annotations:\n    site/operand: 'run {} there'\n", absent(g)));
    }, NONE),
    ("kube-rbac-proxy of node-exporter, which no release-info lists", "references-embedded", |g, r| {
        workload(r, &format!("apiVersion: apps/v1\nkind: DaemonSet\nmetadata:\n  name: node-exporter\nspec:\n  template:\n    spec:\n      containers:\n      - name: node-exporter\n        image: {}\n      - name: kube-rbac-proxy\n        image: {}\n", g.reference("agent"), absent(g)));
    }, NONE),
    ("an image that only RELATED_IMAGE names", "references-embedded", |g, r| {
        workload(r, &pod(&g.reference("pod"), &format!("    env:\n    - name: RELATED_IMAGE_X\n      value: {}\n", absent(g))));
    }, NONE),
    ("an image that only JSON in a ConfigMap names", "references-embedded", |g, r| {
        workload(r, &format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  x: '{{\"a\": [{{\"b\": \"{}\"}}]}}'\n", absent(g)));
    }, NONE),
    ("an image of a quadlet", "references-embedded", |g, r| r.write("usr/share/containers/systemd/x.container", &format!("[Container]\nImage={}\n", absent(g))), NONE),
    ("an image of release-info", "references-embedded", |g, r| {
        r.write("usr/share/microshift/release/release-more-x86_64.json", &format!("{{\"images\":{{\"x\":\"{}\"}}}}", absent(g)));
    }, NONE),
    ("the digest under another name", "references-embedded", |g, r| {
        workload(r, &pod(&g.reference("pod").replace("site/pause@", "site/other@"), ""));
    }, NONE),
    ("x:tag@x:tag of a serving runtime", "references-valid", |_, r| {
        workload(r, "apiVersion: serving.kserve.io/v1alpha1\nkind: ServingRuntime\nmetadata:\n  name: vllm\nspec:\n  containers:\n  - name: kserve-container\n    image: quay.io/modh/vllm:v1@quay.io/modh/vllm:v1\n");
    }, NONE),
    ("a short name", "references-valid", |_, r| workload(r, &pod("busybox", "")), NONE),
    ("imagePullPolicy: Always", "never-pulled", |_, r| r.edit(&r.at(APP), "IfNotPresent", "Always"), NONE),
    ("a quadlet that pulls", "never-pulled", |_, r| append(&r.at("etc/containers/systemd/agent.container"), "Pull=always\n"), NONE),
    ("a quadlet whose only job is to pull", "never-pulled", |g, r| r.write("etc/containers/systemd/x.image", &format!("[Image]\nImage={}\n", g.reference("agent"))), NONE),
    ("an image that bootc binds", "bound-images", |g, r| {
        r.write("usr/lib/bootc/bound-images.d/x.image", &format!("[Image]\nImage={}\n", g.reference("agent")));
    }, NONE),
    ("a tag", "tags", |_, r| workload(r, &pod("quay.io/site/app:v1", "")), &["--only", "tags"]),
    ("two images with one config", "osbuild-names", |g, r| {
        r.edit(&r.at(LOCK), g.member("pod").native.config.hex(), g.member("webhook").native.config.hex());
    }, &["--only", "osbuild-names"]),
    // The system around it.
    ("another MicroShift", "release-fits", |g, r| r.edit(&r.at("etc/crio/crio.conf.d/10-microshift.conf"), &g.reference("pod"), &g.reference("webhook")), NONE),
    ("no import unit", "import-unit", |_, r| { r.remove(&r.at(UNIT)); r.remove(&r.at(WANTS)); }, NONE),
    ("no import script", "import-unit", |_, r| r.remove(&r.at(SCRIPT)), NONE),
    ("a script that cannot be started", "import-unit", |_, r| r.mode(&r.at(SCRIPT), 0o644), NONE),
    ("a script that does something else", "import-unit", |_, r| fs::write(r.at(SCRIPT), "#!/bin/sh\nexit 0\n").unwrap(), NONE),
    ("an import unit that is not enabled", "import-enabled", |_, r| r.remove(&r.at(WANTS)), NONE),
    ("a masked import unit", "import-enabled", |_, r| {
        fs::create_dir_all(r.at("etc/systemd/system")).unwrap();
        r.link("/dev/null", &r.at("etc/systemd/system/bootc-embed-import.service"));
    }, NONE),
    ("an import that only the rescue target wants", "import-enabled", |_, r| {
        fs::create_dir_all(r.at("usr/lib/systemd/system/rescue.target.wants")).unwrap();
        fs::rename(r.at(WANTS), r.at("usr/lib/systemd/system/rescue.target.wants/bootc-embed-import.service")).unwrap();
    }, NONE),
    ("an import with a condition", "import-enabled", |_, r| {
        r.write("etc/systemd/system/bootc-embed-import.service.d/10.conf", "[Unit]\nConditionPathExists=/etc/never\n");
    }, NONE),
    ("an import that starts something else", "import-unit", |_, r| {
        r.write("etc/systemd/system/bootc-embed-import.service.d/10.conf", "[Service]\nExecStart=\nExecStart=/bin/true\n");
    }, NONE),
    ("an import of another store", "import-reach", |_, r| {
        r.write("etc/systemd/system/bootc-embed-import.service.d/10.conf", "[Service]\nEnvironment=BOOTC_EMBED_STORE=/opt/x\n");
    }, NONE),
    ("an import into a user's storage", "import-reach", |_, r| {
        r.write("etc/systemd/system/bootc-embed-import.service.d/10.conf", "[Service]\nUser=core\n");
    }, NONE),
    ("a CRI-O with a storage of its own", "import-reach", |_, r| r.write("etc/crio/crio.conf.d/20.conf", "[crio]\nroot = \"/var/lib/crio\"\n"), NONE),
    ("a storage that CRI-O does not read", "import-reach", |_, r| {
        r.write("etc/containers/storage.conf", "[storage]\ndriver = \"overlay\"\ngraphroot = \"/data\"\n");
        r.write("etc/crio/crio.conf.d/20.conf", "[crio]\nroot = \"/var/lib/containers/storage\"\n");
    }, NONE),
    ("a quadlet of a user", "import-reach", |g, r| {
        r.write("etc/containers/systemd/users/x.container", &format!("[Unit]\nAfter=bootc-embed-import.service\n[Container]\nImage={}\n", g.reference("agent")));
    }, NONE),
    ("a store that updates do not change", "updated-with-system", |_, r| {
        fs::create_dir_all(r.at("var/lib")).unwrap();
        fs::rename(r.store(""), r.at("var/lib/bootc-embed")).unwrap();
        std::os::unix::fs::symlink("../../var/lib/bootc-embed", r.at("usr/lib/bootc-embed")).unwrap();
    }, MOVED),
    ("one name with two contents", "lists-agree", |g, r| {
        let key = |name: &str| r.view(&g.reference(name), "").file_name().unwrap().to_string_lossy().into_owned();
        let folder = r.at("usr/lib/containers-image-cache");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("mapping.txt"), format!("quay.io/site/app:v1,{}\n", key("pod"))).unwrap();
        let other = r.at("usr/lib/containers/storage");
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("image-list.txt"), format!("quay.io/site/app:v1,{}\n", key("webhook"))).unwrap();
        for (folder, name) in [(&folder, "pod"), (&other, "webhook")] {
            let copied = std::process::Command::new("cp").arg("-aL").arg(r.view(&g.reference(name), "")).arg(folder).status();
            assert!(copied.unwrap().success());
        }
        let script = "#!/bin/sh\nfor place in /usr/lib/containers-image-cache /usr/lib/containers/storage; do skopeo copy dir:$place containers-storage:x; done\n";
        super::write(&r.at("usr/libexec/site-import"), script, 0o755);
        r.write("usr/lib/systemd/system/site-import.service", "[Unit]\nAfter=crio.service\nBefore=microshift.service\n# skopeo\n[Service]\nType=oneshot\nExecStart=/usr/libexec/site-import skopeo\n");
        r.link("../site-import.service", &r.at("usr/lib/systemd/system/multi-user.target.wants/site-import.service"));
        r.edit(&r.at(PINS), "pinned_images = [", "pinned_images = [\n  \"quay.io/site/app:v1\",");
    }, &["--skip", "nothing-unused"]),
    ("an import before CRI-O", "import-order", |_, r| r.edit(&r.at(UNIT), "After=crio.service", "After=network.target"), NONE),
    ("an import after MicroShift", "import-order", |_, r| r.edit(&r.at(UNIT), "microshift.service", "other.service"), NONE),
    ("an import that waits for MicroShift", "import-order", |_, r| {
        r.write("etc/systemd/system/bootc-embed-import.service.d/10.conf", "[Unit]\nAfter=microshift.service\n");
    }, NONE),
    ("an import that a condition of its own may end", "import-reach", |_, r| {
        r.write("usr/lib/systemd/system/bootc-.service.d/10.conf", "[Service]\nExecCondition=/bin/false\n");
    }, NONE),
    ("an import that nobody waits for", "import-reach", |_, r| {
        r.write("etc/systemd/system/service.d/10.conf", "[Service]\nType=simple\n");
    }, NONE),
    ("an import whose link is taken back", "import-enabled", |_, r| {
        fs::create_dir_all(r.at("etc/systemd/system/multi-user.target.wants")).unwrap();
        r.link("/dev/null", &r.at("etc/systemd/system/multi-user.target.wants/bootc-embed-import.service"));
    }, NONE),
    ("no pause image for CRI-O", "release-fits", |_, r| r.remove(&r.at("etc/crio/crio.conf.d/10-microshift.conf")), NONE),
    ("a list without its last end of line", "lists-readable", |_, r| resize(&r.at(LIST), |old| old - 1), NONE),
    ("a list with carriage returns", "lists-readable", |_, r| {
        let text = fs::read_to_string(r.at(LIST)).unwrap();
        fs::write(r.at(LIST), text.replace('\n', "\r\n")).unwrap();
    }, NONE),
    ("a quadlet in a folder that does not wait", "import-order", |_, r| {
        fs::create_dir_all(r.at("etc/containers/systemd/sub")).unwrap();
        fs::rename(r.at("etc/containers/systemd/agent.container"), r.at("etc/containers/systemd/sub/other.container")).unwrap();
    }, NONE),
    ("`latest` beside a digest, which Kubernetes pulls", "never-pulled", |g, r| {
        // By digest any name of the repository finds it; listing that name too keeps this to one fault.
        let named = g.reference("pod").replace("site/pause@", "site/pause:latest@");
        workload(r, &pod(&named, ""));
    }, &["--skip", "references-embedded"]),
    ("manifests elsewhere, by MicroShift's configuration", "references-embedded", |g, r| {
        r.write("etc/microshift/config.d/10.yaml", "manifests:\n  kustomizePaths:\n  - /usr/lib/microshift/manifests.d/*\n  - /opt/*/site\n");
        r.write("opt/x/site/kustomization.yaml", "resources: [a.manifest]\n");
        r.write("opt/x/site/a.manifest", &pod(&absent(g), ""));
    }, NONE),
    ("a store in a folder that boots empty", "updated-with-system", |_, r| {
        fs::create_dir_all(r.at("run")).unwrap();
        fs::rename(r.store(""), r.at("run/store")).unwrap();
        std::os::unix::fs::symlink("/run/store", r.at("usr/lib/bootc-embed")).unwrap();
    }, MOVED),
    ("a quadlet that does not wait", "import-order", |_, r| {
        fs::rename(r.at("etc/containers/systemd/agent.container"), r.at("etc/containers/systemd/other.container")).unwrap();
    }, NONE),
    ("no skopeo", "import-tools", |_, r| r.remove(&r.at("usr/bin/skopeo")), NONE),
    ("a policy that rejects", "import-policy", |_, r| {
        r.remove(&r.at(OWN_POLICY));
        r.write(POLICY, r#"{"default":[{"type":"insecureAcceptAnything"}],"transports":{"dir":{"":[{"type":"reject"}]}}}"#);
    }, NONE),
    ("a policy that rejects folders", "import-policy", |_, r| {
        r.remove(&r.at(OWN_POLICY));
        r.write(POLICY, r#"{"default":[{"type":"insecureAcceptAnything"}],"transports":{"dir":{"/usr/lib":[{"type":"reject"}]}}}"#);
    }, NONE),
    ("a policy that wants signatures", "import-policy", |_, r| {
        r.remove(&r.at(OWN_POLICY));
        r.write(POLICY, r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/key"}],"transports":{"docker":{"":[{"type":"insecureAcceptAnything"}]}}}"#);
    }, NONE),
    ("a policy that is none", "import-policy", |_, r| {
        r.remove(&r.at(OWN_POLICY));
        r.write(POLICY, "{}");
    }, NONE),
    ("no policy", "import-policy", |_, r| {
        r.remove(&r.at(OWN_POLICY));
        r.remove(&r.at(POLICY));
    }, NONE),
    ("a policy of the import that knows no folder", "import-policy", |_, r| r.write(OWN_POLICY, r#"{"default":[{"type":"reject"}]}"#), NONE),
    ("a policy of the device that is none, beside that of the import", "import-policy", |_, r| r.write(POLICY, r#"{"default":[{"type":"reject"}],"more":1}"#), NONE),
    ("a policy of root that is none", "import-policy", |_, r| r.write("root/.config/containers/policy.json", "{"), NONE),
    ("a policy of the import that is none", "import-policy", |_, r| r.write(OWN_POLICY, "{"), NONE),
    ("an import that wants another key", "import-policy", |_, r| {
        r.write("etc/pki/other.pub", "no key");
        r.write(OWN_POLICY, r#"{"default":[{"type":"sigstoreSigned","keyPath":"/etc/pki/other.pub","signedIdentity":{"type":"exactRepository","dockerRepository":"a.io/x"}}]}"#);
    }, NONE),
    ("an import that verifies less than the device", "import-policy", |_, r| {
        r.write(POLICY, r#"{"default":[{"type":"sigstoreSigned","keyPath":"/key"}]}"#);
    }, &["--skip", "signatures", "--skip", "registries-d"]),
    ("a policy that the images do not fulfil", "signatures", |_, r| {
        r.write(POLICY, r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/key"}]}"#);
    }, NONE),
    ("a namespace that is defined twice", "registries-d", |_, r| {
        for name in ["1.yaml", "2.yaml"] {
            r.write(&format!("{REGISTRIES_D}/{name}"), "docker:\n  quay.io:\n    lookaside: https://quay.example\n");
        }
    }, NONE),
    ("signatures that nobody looks for", "registries-d", |g, r| {
        r.write(POLICY, r#"{"default":[{"type":"sigstoreSigned","keyPath":"/key"}]}"#);
        r.write(&format!("{REGISTRIES_D}/x.yaml"), &format!("docker:\n  {}:\n    use-sigstore-attachments: true\n", g.registry.address()));
        r.write("etc/containers/registries.conf", &format!("[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"m.example\"\n", g.registry.address()));
    }, &["--skip", "signatures", "--skip", "import-policy"]),
    ("a signature that is gone", "views", |g, r| r.remove(&signature(g, r)), NONE),
    ("a signature with a bit that fell over", "blobs-intact", |g, r| flip(&fs::canonicalize(signature(g, r)).unwrap()), NONE),
    ("a payload that is gone", "blobs-present", |g, r| r.remove(&r.store("blobs/sha256").join(&digest(&g.signature.payload)["sha256:".len()..])), NONE),
    ("a broken registries.conf", "registries-conf", |_, r| r.write("etc/containers/registries.conf.d/1.conf", "[[registry]]\nlocation = 3\n"), NONE),
    ("no pins", "pinned-images", |_, r| r.remove(&r.at(PINS)), NONE),
    ("pins that a later file replaces", "pinned-images", |_, r| r.write("etc/crio/crio.conf.d/99-site.conf", "[crio.image]\npinned_images = [\"quay.io/x\"]\n"), NONE),
    // Modes and secrets.
    ("a file that only root reads", "readable-by-all", |g, r| r.mode(&r.pool(g.member("pod").own_layer()), 0o600), NONE),
    ("a folder that only root enters", "readable-by-all", |_, r| r.mode(&r.store("blobs"), 0o700), NONE),
    ("a folder above that only root enters", "readable-by-all", |_, r| r.mode(&r.at("usr/lib"), 0o700), NONE),
    ("a file that all can change", "not-writable", |_, r| r.mode(&r.at(LIST), 0o666), NONE),
    ("a folder that all can change", "not-writable", |_, r| r.mode(&r.store(""), 0o777), NONE),
    ("an auth.json", "no-secrets", |_, r| r.write("root/.config/containers/auth.json", r#"{"auths":{"quay.io":{"auth":"dTpw"}}}"#), NONE),
    ("docker's credentials", "no-secrets", |_, r| r.write("home/user/.docker/config.json", r#"{"auths":{"quay.io":{"auth":"dTpw"}}}"#), NONE),
    ("the documented pull secret", "no-secrets", |_, r| r.write("etc/crio/openshift-pull-secret", r#"{"auths":{"quay.io":{"auth":"dTpw"}}}"#), NONE),
];

#[test]
fn a_good_root_yields_nothing_and_every_way_to_break_it_its_own_finding() {
    let good = Good::new();
    let all = MUTATIONS.iter().map(|(name, ..)| *name).collect::<BTreeSet<_>>();
    assert_eq!(all.len(), MUTATIONS.len(), "two mutations have one name");
    assert!(MUTATIONS.len() >= 40);
    let checked: BTreeSet<&str> = MUTATIONS.iter().map(|(_, check, ..)| *check).collect();
    let unchecked = CHECKS.iter().map(|check| check.name).filter(|name| !checked.contains(name));
    assert_eq!(unchecked.collect::<Vec<_>>(), ["workloads-readable"], "which ends otherwise, and has its own test");

    let proven = good.copy().validate(&["--format", "json", "--fatal-warnings"]).success();
    let json = report(&proven);
    assert_eq!((&json["summary"]["references"], &json["summary"]["proven"]), (&6.into(), &6.into()), "{proven}");
    assert!(found(&json).is_empty(), "{proven}");
    let all_made = json["checks"].as_array().unwrap().iter().all(|check| check["outcome"] == "passed");
    assert!(all_made, "a check was not made: {proven}");

    let mut wrong = Vec::new();
    for (name, check, mutate, words) in MUTATIONS {
        let root = good.copy();
        mutate(&good, &root);
        let finished = root.validate(&[&["--format", "json", "--fatal-warnings"], *words].concat());
        // Folders that nobody enters are in the way of the temporary folder's removal.
        let _ = fs::set_permissions(root.at("usr/lib"), fs::Permissions::from_mode(0o755));
        let findings = serde_json::from_slice(&finished.output).map(|json| found(&json)).unwrap_or_default();
        if findings != BTreeSet::from([(*check).to_owned()]) || finished.code != Some(1) {
            wrong.push(format!("{name}: {check} expected, {findings:?} found\n{finished}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} mutations:\n\n{}", wrong.len(), MUTATIONS.len(), wrong.join("\n\n"));
}

/// A finding that stops references takes their proof away, and nobody else's.
#[test]
fn verdicts_follow_from_findings() {
    let good = Good::new();
    let root = good.copy();
    flip(&root.pool(good.member("operand").own_layer()));
    let json = report(&root.validate(&["--format", "json"]).fails_with(1));
    assert_eq!((&json["summary"]["proven"], &json["summary"]["failed"]), (&5.into(), &1.into()));
    let failed: Vec<&serde_json::Value> =
        json["references"].as_array().unwrap().iter().filter(|reference| reference["verdict"] == "failed").collect();
    assert_eq!(failed[0]["reference"], good.reference("operand"));

    // What was left out proves nothing.
    let json = report(&root.validate(&["--format", "json", "--skip", "blobs-intact"]).success());
    assert_eq!((&json["summary"]["proven"], &json["summary"]["unknown"]), (&0.into(), &6.into()));

    let root = good.copy();
    root.remove(&root.at("usr/bin/skopeo"));
    let json = report(&root.validate(&["--format", "json"]).fails_with(1));
    assert_eq!((&json["summary"]["proven"], &json["summary"]["failed"]), (&0.into(), &6.into()));
}

/// What cannot be checked is neither good nor bad: exit code 3.
#[test]
fn what_cannot_be_checked_is_said() {
    let good = Good::new();
    let root = good.copy();
    workload(&root, "apiVersion: v1\nkind: [broken\n");
    let finished = root.validate(&["--format", "json"]).fails_with(3);
    let json = report(&finished);
    let check = json["checks"].as_array().unwrap().iter().find(|check| check["name"] == "workloads-readable").unwrap();
    assert_eq!(check["outcome"], "couldNotCheck", "{finished}");
    assert_eq!((&json["summary"]["proven"], &json["summary"]["unknown"]), (&0.into(), &6.into()));
    root.validate(&["--skip", "workloads-readable"]).success();
    root.remove(&root.at("usr/lib/microshift/manifests.d/more"));

    // Whether a script that is not known imports anything cannot be told; with its template it can.
    root.edit(&root.at(SCRIPT), "set -u", "exit 0");
    let finished = root.validate(&["--format", "json"]).fails_with(3);
    assert_eq!(report(&finished)["summary"]["proven"], 0, "{finished}");
    let template = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/import.sh.j2")).unwrap();
    root.write("../templates/import.sh.j2", &template.replacen("set -u", "exit 0", 1));
    root.validate(&["--template-dir", &root.at("../templates").to_string_lossy()]).success();
    // An error weighs more.
    root.remove(&root.at("usr/bin/skopeo"));
    root.validate(&[]).fails_with(1);
}
