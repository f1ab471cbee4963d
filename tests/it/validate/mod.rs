//! `validate` as users run it, over roots that are good and roots that are broken in one way each.

mod explain;
mod mutations;
mod reports;
mod signatures;
mod targets;

use crate::support::command::{Finished, run};
use crate::support::fixture::{Blob, Compression, Format, Image, Index, Instance, Layer, Repository, Spelling};
use crate::support::registry::FaultyRegistry;
use crate::support::signing::{Key, Kind, Signature, attach};
use crate::support::tool::bootc_embed;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where the set is made for; the tests run anywhere, because nothing of it is run.
const PLATFORM: &str = "linux/amd64";

/// An image of the set.
struct Member {
    repository: Repository,
    top: Blob,
    native: Instance,
}

impl Member {
    /// An index for three platforms.
    fn index(name: &str, format: Format, spelling: Spelling) -> Self {
        let instances = [PLATFORM, "linux/arm64", "linux/s390x"].map(|platform| instance(name, platform, format));
        let top = Index::new(format).instances(&instances).spelling(spelling).build();
        let repository = Repository::new(&format!("site/{name}")).instances(&instances).index(&top);
        let [native, ..] = instances;
        Self { repository, top, native }
    }

    /// A single manifest.
    fn single(name: &str) -> Self {
        let native = instance(name, PLATFORM, Format::Oci);
        let repository = Repository::new(&format!("site/{name}")).instances([&native]);
        Self { repository, top: native.manifest.clone(), native }
    }

    fn reference(&self, host: &str) -> String {
        self.repository.pinned(host, &self.top)
    }

    /// The layer that no other image has.
    fn own_layer(&self) -> &Blob {
        self.native.layers.last().expect("an image has layers")
    }
}

fn instance(name: &str, platform: &str, format: Format) -> Instance {
    let base = Layer::new(&[("base", platform.repeat(500).as_bytes())], Compression::None);
    let own = Layer::new(&[("own", format!("{name} for {platform}\n").repeat(40).as_bytes())], Compression::Gzip);
    Image::new(platform).format(format).layer(&base).layer(&own).build()
}

/// A root that is good, with its registry still up.
struct Good {
    registry: FaultyRegistry,
    folder: TempDir,
    members: Vec<(&'static str, Member)>,
    /// Of the native instance of the first member.
    signature: Signature,
}

impl Good {
    fn new() -> Self {
        let members = vec![
            ("controller", Member::index("controller", Format::Docker, Spelling::DOCKER)),
            ("webhook", Member::index("webhook", Format::Oci, Spelling::ODD)),
            ("pod", Member::index("pause", Format::Oci, Spelling::TABS)),
            ("operand", Member::index("operand", Format::Oci, Spelling::COMPACT)),
            ("sidecar", Member::index("sidecar", Format::Docker, Spelling::COMPACT)),
            ("agent", Member::single("agent")),
        ];
        let mut members = members;
        let signed = &mut members[0].1;
        let signature = Signature::new(&Key::new(Kind::P256), "site.example/controller:v1", &signed.native.manifest);
        signed.repository =
            attach(signed.repository.clone(), &signed.native.manifest, std::slice::from_ref(&signature));
        let repositories: Vec<Repository> = members.iter().map(|(_, member)| member.repository.clone()).collect();
        let registry = FaultyRegistry::start(&repositories);
        let good = Self { registry, folder: tempfile::tempdir().expect("a folder can be made"), members, signature };
        good.system();
        good.embed(&[]);
        good
    }

    fn member(&self, key: &str) -> &Member {
        &self.members.iter().find(|(name, _)| *name == key).expect("the set has it").1
    }

    fn reference(&self, key: &str) -> String {
        self.member(key).reference(self.registry.address())
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A system that names all members, each in another way.
    fn system(&self) {
        let name = |key: &str| self.reference(key);
        let release = json!({
            "release": { "base": "4.18.1" },
            "images": { "controller": name("controller"), "pod": name("pod") },
        });
        let deployment = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app\n  annotations:\n    \
             site/webhook: '{{\"image\": \"{}\"}}'\nspec:\n  template:\n    spec:\n      containers:\n      - name: app\n        \
             image: {}\n        imagePullPolicy: IfNotPresent\n        env:\n        - name: RELATED_IMAGE_OPERAND\n          value: {}\n",
            name("webhook"),
            name("controller"),
            name("operand")
        );
        let config = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config\ndata:\n  config.json: |\n    {{\"sidecar\": {{\"image\": \"{}\"}}}}\n",
            name("sidecar")
        );
        let root = self.root();
        for (path, text) in [
            ("usr/lib/os-release", "ID=test\n".to_owned()),
            ("usr/share/microshift/release/release-x86_64.json", release.to_string()),
            ("usr/share/microshift/release/release-aarch64.json", release.to_string()),
            ("etc/crio/crio.conf.d/10-microshift.conf", format!("[crio.image]\npause_image = \"{}\"\n", name("pod"))),
            (
                "usr/lib/microshift/manifests.d/site/kustomization.yaml",
                "resources:\n- app.yaml\n- config.yaml\n".to_owned(),
            ),
            ("usr/lib/microshift/manifests.d/site/app.yaml", deployment),
            ("usr/lib/microshift/manifests.d/site/config.yaml", config),
            ("etc/containers/systemd/agent.container", format!("[Container]\nImage={}\n", name("agent"))),
            ("etc/containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#.to_owned()),
            ("usr/lib/systemd/system/crio.service", "[Service]\nExecStart=/usr/bin/crio\n".to_owned()),
            ("usr/lib/systemd/system/microshift.service", "[Service]\nExecStart=/usr/bin/microshift run\n".to_owned()),
        ] {
            write(&root.join(path), &text, 0o644);
        }
        for program in ["crio", "microshift", "skopeo"] {
            write(&root.join("usr/bin").join(program), "#!/bin/sh\n", 0o755);
        }
    }

    fn embed(&self, words: &[&str]) {
        let mut tool = self.tool();
        tool.args(["embed", "--root"]).arg(self.root()).args(["--platform", PLATFORM, "--tls-verify=false"]);
        run(tool.args(words)).success();
    }

    fn tool(&self) -> std::process::Command {
        let mut tool = bootc_embed(self.folder.path());
        tool.current_dir(self.folder.path());
        tool
    }

    /// A copy of the root to break.
    fn copy(&self) -> Root {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let copied = run(std::process::Command::new("cp").arg("-a").arg(self.root()).arg(folder.path()));
        copied.success();
        Root { path: folder.path().join("root"), _folder: folder }
    }
}

/// Writes a file with its folders.
fn write(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("folders can be made");
    fs::write(path, text).unwrap_or_else(|e| panic!("writing {}: {e}", path.display()));
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
}

/// A root to break.
struct Root {
    path: PathBuf,
    _folder: TempDir,
}

impl Root {
    fn at(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    fn store(&self, path: &str) -> PathBuf {
        self.at("usr/lib/bootc-embed").join(path)
    }

    fn pool(&self, blob: &Blob) -> PathBuf {
        self.store("blobs/sha256").join(blob.hex())
    }

    /// The view of a reference, or a file in it.
    fn view(&self, reference: &str, name: &str) -> PathBuf {
        self.store(&crate::support::fixture::digest(format!("{reference}\n").as_bytes())["sha256:".len()..]).join(name)
    }

    fn write(&self, path: &str, text: &str) {
        write(&self.at(path), text, 0o644);
    }

    /// Replaces text in a file.
    fn edit(&self, path: &Path, from: &str, to: &str) {
        let path = self.path.join(path);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("reading {}: {e}", path.display()));
        assert!(text.contains(from), "{} does not have `{from}`", path.display());
        fs::write(path, text.replacen(from, to, 1)).expect("a file can be written");
    }

    fn remove(&self, path: &Path) {
        let path = &self.path.join(path);
        let removed =
            if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.unwrap_or_else(|e| panic!("removing {}: {e}", path.display()));
    }

    fn link(&self, target: &str, path: &Path) {
        let path = &self.path.join(path);
        if path.is_symlink() || path.exists() {
            fs::remove_file(path).expect("a file can be removed");
        }
        std::os::unix::fs::symlink(target, path).expect("a link can be made");
    }

    fn mode(&self, path: &Path, mode: u32) {
        fs::set_permissions(self.path.join(path), fs::Permissions::from_mode(mode)).expect("a mode can be set");
    }

    fn validate(&self, words: &[&str]) -> Finished {
        let mut tool = bootc_embed(&self.path);
        tool.arg("validate").arg(format!("rootfs:{}", self.path.display())).args(words);
        run(&mut tool)
    }
}

/// The report of `validate --format json`.
fn report(finished: &Finished) -> Value {
    serde_json::from_slice(&finished.output).unwrap_or_else(|e| panic!("no report: {e}\n{finished}"))
}

/// The names of the checks that found something.
fn found(report: &Value) -> BTreeSet<String> {
    let findings = report["findings"].as_array().expect("a report has findings");
    findings.iter().map(|finding| finding["check"].as_str().expect("a name").to_owned()).collect()
}
