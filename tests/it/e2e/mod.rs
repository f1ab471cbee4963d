//! The program as users have it, between real programs: docker-registry, skopeo, podman, buildah,
//! rpmbuild. Each file shows one promise; what several need stands here and in `set`.
//!
//! These tests run as root and need no network, but for the download of busybox at the first run.

mod configuration;
mod containerfile;
mod disk;
mod foreign;
mod gpg;
mod guarded;
mod import;
mod interrupted;
mod kill;
mod load;
mod main_job;
mod microshift;
mod mirrored;
mod names;
mod progress;
mod push;
mod release;
mod serve;
mod set;
mod signatures;
mod soak;
mod targets;
mod transports;
mod validate;
mod verdicts;

use crate::support::command::{Finished, program, run};
use crate::support::docker_registry::DockerRegistry;
use crate::support::storage::Storage;
use crate::support::tool::bootc_embed;
use crate::support::{busybox, rpm};
use set::Set;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A folder to work in, with a HOME of its own.
struct Workbench {
    directory: TempDir,
}

impl Workbench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("make a folder to work in");
        let workbench = Self { directory };
        fs::create_dir(workbench.path("home")).expect("make a home");
        fs::write(workbench.path("registries.conf"), "").expect("write registries.conf");
        workbench
    }

    /// A path in the folder.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A new folder in the folder.
    fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("make a folder on the workbench");
        path
    }

    /// The program under test.
    fn tool(&self) -> Command {
        let mut tool = bootc_embed(&self.path("home"));
        tool.env("CONTAINERS_REGISTRIES_CONF", self.path("registries.conf"));
        tool
    }

    /// The program under test, with the images of a storage.
    fn tool_on(&self, storage: &Storage) -> Command {
        let mut tool = storage.command(env!("CARGO_BIN_EXE_bootc-embed"));
        tool.env("CONTAINERS_REGISTRIES_CONF", self.path("registries.conf"));
        tool
    }

    /// Any other program.
    fn program(&self, name: &str) -> Command {
        program(name, &self.path("home"))
    }

    /// An RPM that carries the release-info of a set.
    fn release_info_rpm(&self, set: &Set, registry: &DockerRegistry, payload: rpm::Payload) -> PathBuf {
        let text = set.release_info(registry.host());
        let path = format!("/usr/share/microshift/release/{}", set.release_info_name());
        let folder = self.folder(&format!("rpm-{payload:?}"));
        rpm::build(&folder, "example-release-info", &[(&path, text.as_bytes())], payload)
    }

    /// The root of an image with CRI-O, but without images.
    fn root(&self) -> PathBuf {
        self.folder("root/etc/crio/crio.conf.d");
        self.folder("root/usr/lib");
        self.path("root")
    }

    /// The main job: `embed` into [`Workbench::root`]. `words` are more words for the program.
    fn embed(&self, set: &Set, registry: &DockerRegistry, words: &[&str]) -> PathBuf {
        let package = self.release_info_rpm(set, registry, rpm::Payload::Zstd);
        let root = self.root();
        let mut tool = self.tool();
        tool.arg("embed").arg(format!("rpm:{}", package.display())).arg("--root").arg(&root);
        run(tool.args(["--platform", set.platform, "--tls-verify=false"]).args(words)).success();
        root
    }
}

/// A machine that boots an image: what `root` has, over a containers-storage and a state of its own.
struct Machine {
    root: PathBuf,
    storage: Storage,
    state: TempDir,
    policy: TempDir,
}

impl Machine {
    fn boot(root: &Path) -> Self {
        let state = tempfile::tempdir().expect("make a state directory");
        let policy = tempfile::tempdir().expect("make a folder for a policy");
        Self { root: root.to_owned(), storage: Storage::new(), state, policy }
    }

    /// Gives the machine the policy of a root.
    fn obey_policy_of(&self, root: &Path) {
        self.storage.set_policy(&root.join("etc/containers/policy.json"));
    }

    /// Runs the import script, as its unit would at boot.
    fn import(&self, words: &[&str]) -> Finished {
        run(self.import_command().args(words))
    }

    fn import_command(&self) -> Command {
        let mut script = self.storage.command("sh");
        script.arg(self.root.join("usr/libexec/bootc-embed/import"));
        script.env("BOOTC_EMBED_STORE", self.root.join("usr/lib/bootc-embed"));
        script.env("BOOTC_EMBED_STATE", self.state.path());
        if let Some(policy) = self.import_policy() {
            script.env("BOOTC_EMBED_POLICY", policy);
        }
        script
    }

    /// The policy of the import, as it would read if the root were the root: it names folders and keys.
    fn import_policy(&self) -> Option<PathBuf> {
        let text = fs::read_to_string(self.root.join("usr/share/bootc-embed/import-policy.json")).ok()?;
        let root = fs::canonicalize(&self.root).expect("a path without links");
        let moved =
            |text: String, path: &str| text.replace(&format!("\"/{path}"), &format!("\"{}/{path}", root.display()));
        let text = moved(moved(text, "usr/lib/bootc-embed"), "etc/pki");
        let path = self.policy.path().join("import-policy.json");
        fs::write(&path, text).expect("write the policy of the import");
        Some(path)
    }

    /// Fails unless every image of the set resolves, by the very name that workloads use.
    ///
    /// # Panics
    /// If one does not.
    #[track_caller]
    fn assert_resolves(&self, set: &Set, host: &str) {
        for image in &set.images {
            let reference = image.reference(host);
            // By tag alone a storage knows the instance; by digest it knows the index.
            if let Err(why) = self.storage.resolves(&reference, &image.top.digest) {
                panic!("{} does not resolve: {why}", image.key);
            }
        }
    }
}

/// A registry that has all of a set.
fn registry_with(set: &Set) -> DockerRegistry {
    let registry = DockerRegistry::start();
    set.push(&registry);
    registry
}

/// The other one of the two architectures that release-info knows.
fn foreign() -> (&'static str, &'static str) {
    match busybox::native() {
        "linux/arm64" => ("linux/amd64", "amd64"),
        _ => ("linux/arm64", "arm64"),
    }
}
