//! Where both are asked: an image with many sets of signatures, each set in a repository of its own and
//! in a folder, and the cases that are made of them.

use super::compare::{Case, Comparison, Outcome};
use crate::support::busybox;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fixture::{Blob, Compression, Format, Image, Index, Instance, Layer, Repository};
use crate::support::signing::{Signature, attach, lookaside, write_view};
use bootc_embed::model::RawManifest;
use serde_json::{Value, json};
use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A registry that is reached through a mirror only.
pub const LOGICAL: &str = "logical.invalid";

/// How an image is named when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `docker://HOST/repository@INDEX`.
    Index,
    /// `docker://HOST/repository@INSTANCE`.
    Instance,
    /// `docker://HOST/repository:v1`.
    Tag,
    /// The same by the name of another registry, which is mirrored.
    MirroredIndex,
    /// By instance.
    MirroredInstance,
    /// By tag.
    MirroredTag,
    /// `dir:PATH`.
    Dir,
}

impl Way {
    /// All there are.
    pub const ALL: [Way; 7] =
        [Way::Index, Way::Instance, Way::Tag, Way::MirroredIndex, Way::MirroredInstance, Way::MirroredTag, Way::Dir];
}

/// A signature, by where it is found.
#[derive(Clone)]
pub enum Signed {
    /// Attached in the registry.
    Attached(Signature),
    /// In the lookaside folder; these are found first.
    Beside(Vec<u8>),
}

impl From<Signature> for Signed {
    fn from(signature: Signature) -> Self {
        Self::Attached(signature)
    }
}

/// The image with signatures.
pub struct Set {
    /// The repository without a host.
    pub repository: String,
    /// The folder of the image.
    dir: PathBuf,
    files: Vec<Vec<u8>>,
    /// What the registry gets once it is asked for the set; most sets are looked at in their folders only.
    to_push: Cell<Option<Repository>>,
}

/// Everything.
pub struct Rig {
    home: TempDir,
    registry: DockerRegistry,
    native: Instance,
    foreign: Instance,
    /// The index over both.
    pub index: Blob,
    sets: usize,
    cases: Vec<Case>,
}

impl Rig {
    /// Without cases.
    ///
    /// # Panics
    /// If settings cannot be written.
    pub fn new() -> Self {
        let layer = Layer::new(&[("hello", b"hello")], Compression::Gzip);
        let foreign = if busybox::native() == "linux/s390x" { "linux/ppc64le" } else { "linux/s390x" };
        let [native, foreign] = [busybox::native(), foreign].map(|platform| Image::new(platform).layer(&layer).build());
        let index = Index::new(Format::Oci).instances([&native, &foreign]).build();
        let (home, registry) = (TempDir::new().expect("make a folder"), DockerRegistry::start());
        let rig = Self { home, registry, native, foreign, index, sets: 0, cases: Vec::new() };
        fs::create_dir_all(rig.path("registries.d")).expect("make a folder of settings");
        let lookaside = rig.path("lookaside");
        let settings =
            format!("default-docker:\n  use-sigstore-attachments: true\n  lookaside: file://{}\n", lookaside.display());
        fs::write(rig.path("registries.d/all.yaml"), settings).expect("write settings");
        let host = rig.registry.host();
        let registries = format!(
            "[[registry]]\nlocation = \"{host}\"\ninsecure = true\n\
             [[registry]]\nlocation = \"{LOGICAL}\"\n[[registry.mirror]]\nlocation = \"{host}\"\ninsecure = true\n"
        );
        fs::write(rig.path("registries.conf"), registries).expect("write settings");
        rig
    }

    /// The manifest whose signatures count.
    pub fn instance(&self) -> &Blob {
        &self.native.manifest
    }

    /// `address:port` of the registry.
    pub fn host(&self) -> &str {
        self.registry.host()
    }

    /// Writes a file for policies, and tells its path.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).expect("write a file that policies name");
        path.display().to_string()
    }

    /// The image once more, with the signatures that `sign` makes for its repository.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn set<S: Into<Signed>>(&mut self, sign: impl FnOnce(&Rig, &str) -> Vec<S>) -> Set {
        self.sets += 1;
        let name = format!("set-{}/app", self.sets);
        let signed: Vec<Signed> = sign(self, &name).into_iter().map(Into::into).collect();
        let manifest = &self.native.manifest;
        let mut repository =
            Repository::new(&name).instances([&self.native, &self.foreign]).index(&self.index).tag("v1", &self.index);
        let (mut beside, mut attached) = (Vec::new(), Vec::new());
        for signature in signed {
            match signature {
                Signed::Attached(signature) => attached.push(signature),
                Signed::Beside(bytes) => beside.push(bytes),
            }
        }
        if !attached.is_empty() {
            repository = attach(repository, manifest, &attached);
        }
        if !beside.is_empty() {
            lookaside(&self.path("lookaside"), &name, manifest, &beside);
        }
        let files: Vec<Vec<u8>> = beside.into_iter().chain(attached.iter().map(Signature::file)).collect();
        let dir = fs::canonicalize(self.home.path()).expect("a path without links").join(name.replace('/', "-"));
        write_view(&dir, &self.native, &files);
        Set { repository: name, dir, files, to_push: Cell::new(Some(repository)) }
    }

    /// Asks for a set in a way, with these requirements for whatever is asked for.
    pub fn case(&mut self, name: &str, set: &Set, way: Way, requirements: &[Value]) {
        let reject = json!([{ "type": "reject" }]);
        let by_scope = json!({ "": requirements });
        let policy = json!({ "default": reject, "transports": { "docker": by_scope, "dir": by_scope } });
        self.case_of_policy(name, set, way, policy.to_string());
    }

    /// Asks for a set in a way, with this policy.
    pub fn case_of_policy(&mut self, name: &str, set: &Set, way: Way, policy: String) {
        let (index, instance) = (&self.index.digest, &self.native.manifest.digest);
        let [direct, mirrored] = [self.host(), LOGICAL].map(|host| format!("{host}/{}", set.repository));
        let reference = match way {
            Way::Index => Some(format!("{direct}@{index}")),
            Way::Instance => Some(format!("{direct}@{instance}")),
            Way::Tag => Some(format!("{direct}:v1")),
            Way::MirroredIndex => Some(format!("{mirrored}@{index}")),
            Way::MirroredInstance => Some(format!("{mirrored}@{instance}")),
            Way::MirroredTag => Some(format!("{mirrored}:v1")),
            Way::Dir => None,
        };
        let source = match &reference {
            Some(reference) => format!("docker://{reference}"),
            None => format!("dir:{}", set.dir.display()),
        };
        if way != Way::Dir
            && let Some(repository) = set.to_push.take()
        {
            self.registry.push(&repository);
        }
        let name = format!("{name}, {way:?}");
        self.cases.push(Case { name, source, reference, policy, files: set.files.clone() });
    }

    /// Asks both for every case.
    ///
    /// # Panics
    /// If skopeo cannot be asked.
    pub fn compare(&self) -> Outcome {
        let manifest = RawManifest::new(self.native.manifest.bytes.clone(), None).expect("a manifest");
        Comparison { home: self.home.path(), manifest: &manifest, cases: &self.cases }.run()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
}
