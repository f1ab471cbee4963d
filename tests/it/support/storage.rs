//! An isolated containers-storage, and the stock programs that work on it.

use super::command::{Finished, program, run};
use super::fixture;
use base64::Engine as _;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The driver of real hosts.
const DRIVER: &str = "overlay";

/// A containers-storage of its own with its own HOME. It vanishes with this value.
///
/// One thing stays outside: where a blob was last seen, which containers/image writes down in
/// `/var/lib/containers/cache` for root whatever it is told. It matters to pushes only.
pub struct Storage {
    directory: TempDir,
}

impl Storage {
    /// An empty storage.
    ///
    /// # Panics
    /// If its folders and settings cannot be written.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("make a folder for the storage");
        let path = |name: &str| directory.path().join(name).display().to_string();
        for folder in ["home/.config/containers", "graph", "run", "temporary"] {
            fs::create_dir_all(directory.path().join(folder)).expect("make a folder of the storage");
        }
        // Without a bind mount of its own folder: nothing must be left mounted when the folder goes.
        let storage = format!(
            "[storage]\ndriver = {DRIVER:?}\ngraphroot = {:?}\nrunroot = {:?}\n\
             [storage.options.overlay]\nskip_mount_home = \"true\"\n",
            path("graph"),
            path("run")
        );
        // Limits that any root may set, and nothing that needs systemd.
        let engine = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:20000\", \"nproc=1024:20000\"]\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n\
             tmp_dir = {:?}\nimage_copy_tmp_dir = {:?}\n",
            path("run/libpod"),
            path("temporary")
        );
        let policy = r#"{ "default": [{ "type": "insecureAcceptAnything" }] }"#;
        for (name, text) in [
            ("storage.conf", storage.as_str()),
            ("containers.conf", engine.as_str()),
            ("registries.conf", ""),
            ("home/.config/containers/policy.json", policy),
        ] {
            fs::write(directory.path().join(name), text).expect("write a setting of the storage");
        }
        Self { directory }
    }

    /// A program that works on this storage.
    pub fn command(&self, name: &str) -> Command {
        let mut command = program(name, &self.path("home"));
        command
            .env("CONTAINERS_STORAGE_CONF", self.path("storage.conf"))
            .env("CONTAINERS_CONF", self.path("containers.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", self.path("registries.conf"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("TMPDIR", self.path("temporary"));
        command
    }

    /// Copies a policy to where programs here look for theirs.
    ///
    /// # Panics
    /// If it cannot be copied.
    pub fn set_policy(&self, policy: &Path) {
        fs::copy(policy, self.path("home/.config/containers/policy.json")).expect("a policy can be copied");
    }

    /// skopeo.
    pub fn skopeo(&self) -> Command {
        self.command("skopeo")
    }

    /// podman.
    pub fn podman(&self) -> Command {
        self.engine("podman")
    }

    /// buildah.
    pub fn buildah(&self) -> Command {
        self.engine("buildah")
    }

    fn engine(&self, name: &str) -> Command {
        let mut engine = self.command(name);
        engine.arg("--root").arg(self.path("graph")).arg("--runroot").arg(self.path("run"));
        engine.args(["--storage-driver", DRIVER]);
        engine
    }

    /// The names that images have here, sorted.
    ///
    /// # Panics
    /// If podman fails.
    pub fn image_names(&self) -> Vec<String> {
        self.list_names().unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same, or what podman says instead: one image that it cannot read is enough.
    fn list_names(&self) -> Result<Vec<String>, String> {
        let listed = run(self.podman().args(["images", "--all", "--format", "json"]));
        if listed.code != Some(0) {
            return Err(format!("podman cannot list the images\n{listed}"));
        }
        let images: Value = serde_json::from_slice(&listed.output).unwrap_or_default();
        let names = images.as_array().into_iter().flatten().filter_map(|image| image["Names"].as_array()).flatten();
        let mut names: Vec<String> = names.filter_map(|name| name.as_str().map(str::to_owned)).collect();
        names.sort();
        // podman lists an image once for each of its names.
        names.dedup();
        Ok(names)
    }

    /// Whether a workload that names `reference` finds the image of `digest` here, and under that very name.
    /// The error says what is missing.
    pub fn resolves(&self, reference: &str, digest: &str) -> Result<(), String> {
        let names = self.list_names()?;
        if !names.iter().any(|name| name == reference) {
            return Err(format!("no image is named {reference}; there are {names:#?}"));
        }
        let (repository, _) = reference.split_once('@').unwrap_or((reference, ""));
        let repository = match repository.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name,
            _ => repository,
        };
        let pinned = format!("{repository}@{digest}");
        for name in [reference, &pinned] {
            let inspected = run(self.podman().args(["image", "inspect", "--format", "{{json .RepoDigests}}", name]));
            if inspected.code != Some(0) {
                return Err(format!("podman does not find {name}\n{inspected}"));
            }
            if !inspected.text().contains(&pinned) {
                return Err(format!("{name} is not known by {digest}\n{inspected}"));
            }
        }
        let raw = run(self.skopeo().args(["inspect", "--raw"]).arg(format!("containers-storage:{pinned}")));
        if raw.code != Some(0) || fixture::digest(&raw.output) != digest {
            return Err(format!("the storage does not hold the bytes of {pinned}\n{raw}"));
        }
        Ok(())
    }

    /// Runs a container without a network and without fetching anything.
    pub fn run(&self, reference: &str, words: &[&str]) -> Finished {
        let mut podman = self.podman();
        podman.args(["--runtime", "runc", "--runtime-flag"]).arg(format!("root={}", self.path("run/runc").display()));
        podman.args(["run", "--rm", "--pull=never", "--network=none", reference]);
        run(podman.args(words))
    }

    /// The folder with its images and layers.
    pub fn graph(&self) -> PathBuf {
        self.path("graph")
    }

    /// The file in which an image keeps what it has under a key: a manifest, for example.
    ///
    /// # Panics
    /// If no image has it.
    pub fn big_data(&self, key: &str) -> PathBuf {
        let name = format!("={}", base64::engine::general_purpose::STANDARD.encode(key));
        let images = fs::read_dir(self.path(&format!("graph/{DRIVER}-images"))).expect("there are images");
        let mut files = images.map(|image| image.expect("an image").path().join(&name));
        files.find(|path| path.is_file()).unwrap_or_else(|| panic!("no image has {key}"))
    }

    /// What names an image here to a program that has another storage by default: what stands between
    /// `containers-storage:` and the name.
    pub fn specifier(&self) -> String {
        let (graph, run) = (self.path("graph"), self.path("run"));
        format!("[{DRIVER}@{}+{}:{DRIVER}.skip_mount_home=true]", graph.display(), run.display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // A container that was killed leaves mounts, which would keep the folder from vanishing.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
        let mut below: Vec<&Path> = places.filter(|place| place.starts_with(self.directory.path())).collect();
        below.sort();
        for place in below.into_iter().rev() {
            run(program("umount", &self.path("home")).arg(place));
        }
    }
}
