//! A mirror was filled, and what `emit mirror-manifests` says is applied: the images are found there by
//! skopeo, although nobody answers for their own names.

use super::Workbench;
use crate::support::command::{Finished, run};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fixture::{Compression, Format, Image, Index, Layer, Repository};
use crate::support::registry::FaultyRegistry;
use crate::support::signing::{Key, Kind, Signature, attach};
use crate::support::{busybox, oracle};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The registry that the images are named after.
const UPSTREAM: &str = "unreachable.invalid";

struct Site {
    workbench: Workbench,
    mirror: DockerRegistry,
    /// Answers for names that are nobody's, so that no test asks the network.
    nobody: FaultyRegistry,
    key: Key,
}

impl Site {
    /// Three signed images on a mirror, below `mirror/`; with what is pulled of each: by digest, by tag, by both.
    fn new() -> (Self, [String; 3]) {
        let (workbench, mirror, key) = (Workbench::new(), DockerRegistry::start(), Key::new(Kind::P256));
        let digests = ["pinned", "tagged", "both"].map(|name| {
            let own = Layer::new(&[("name", name.as_bytes())], Compression::Gzip);
            let instance = Image::new(busybox::native()).layer(&own).build();
            let index = Index::new(Format::Oci).instances([&instance]).build();
            let repository = Repository::new(&format!("mirror/team/{name}"));
            let repository = repository.instances([&instance]).index(&index).tag("v1", &index);
            let signed = Signature::new(&key, &format!("{UPSTREAM}/team/{name}:v1"), &instance.manifest);
            let repository = attach(repository, &instance.manifest, &[signed]);
            mirror.push(&repository);
            index.digest
        });
        let nobody = FaultyRegistry::start(&[]);
        (Self { workbench, mirror, nobody, key }, digests)
    }

    fn location(&self) -> String {
        format!("{}/mirror", self.mirror.host())
    }

    /// Plans the images under their own names, and emits into a folder.
    fn emit(&self, images: &[String]) -> PathBuf {
        let moved =
            format!("[[registry]]\nprefix = \"{UPSTREAM}\"\nlocation = \"{}\"\ninsecure = true\n", self.location());
        fs::write(self.workbench.path("registries.conf"), moved).expect("write registries.conf");
        let lock = self.workbench.path("embed.lock.json");
        let mut tool = self.workbench.tool();
        tool.arg("plan").args(images.iter().map(|image| format!("image:{image}")));
        run(tool.args(["--platform", busybox::native(), "-o"]).arg(&lock)).success();
        let mut tool = self.workbench.tool();
        tool.args(["emit", "mirror-manifests", "--tls-verify=false", "--lock"]).arg(&lock);
        let out = self.workbench.path("root");
        run(tool.args(["--mirror", &format!("{UPSTREAM}={}", self.location()), "-o"]).arg(&out)).success();
        out
    }

    /// Puts what was emitted where skopeo looks, for a user who accepts everything.
    fn apply(&self, out: &Path) {
        let home = self.workbench.folder("home/.config/containers");
        fs::write(home.join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).expect("a policy");
        for folder in ["registries.conf.d", "registries.d"] {
            let to = self.workbench.folder(&format!("home/.config/containers/{folder}"));
            for entry in fs::read_dir(out.join("etc/containers").join(folder)).expect("it was emitted") {
                let entry = entry.expect("a file");
                fs::copy(entry.path(), to.join(entry.file_name())).expect("copy a drop-in");
            }
        }
    }

    fn run(&self, mut skopeo: Command, words: &[&str]) -> Finished {
        skopeo.env("HTTPS_PROXY", format!("http://{}", self.nobody.address()));
        run(skopeo.args(words))
    }

    /// Both skopeos: the machine's, and a new one.
    fn inspect(&self, image: &str) -> [Finished; 2] {
        let old = self.workbench.program("skopeo");
        [old, oracle::skopeo(&self.workbench.path("home"))]
            .map(|skopeo| self.run(skopeo, &["inspect", "--raw", &format!("docker://{image}")]))
    }
}

#[test]
fn skopeo_finds_the_images_of_a_filled_mirror() {
    let (site, [pinned, tagged, both]) = Site::new();
    let image = |name: &str, suffix: &str| format!("{UPSTREAM}/team/{name}{suffix}");
    let at = |digest: &str| format!("@{digest}");
    // Alone, an image decides for which references the mirror is asked.
    for (images, by_digest, by_tag) in [
        (vec![image("pinned", &at(&pinned))], true, false),
        (vec![image("tagged", ":v1")], false, true),
        (vec![image("both", &at(&both)), image("both", ":v1")], true, true),
        (vec![image("pinned", &at(&pinned)), image("tagged", ":v1")], true, true),
    ] {
        let out = site.emit(&images);
        site.apply(&out);
        for (name, suffix, is_found) in [
            ("pinned", at(&pinned), by_digest),
            ("tagged", at(&tagged), by_digest),
            ("pinned", ":v1".to_owned(), by_tag),
            ("both", ":v1".to_owned(), by_tag),
        ] {
            for finished in site.inspect(&image(name, &suffix)) {
                assert_eq!(finished.code == Some(0), is_found, "{images:?}: {name}{suffix}\n{finished}");
            }
        }
        for (set, is_said) in [("idms.yaml", by_digest), ("itms.yaml", by_tag)] {
            assert_eq!(out.join(set).exists(), is_said, "{images:?}: {set}");
        }
        fs::remove_dir_all(&out).expect("remove what was emitted");
        fs::remove_dir_all(site.workbench.path("home/.config")).expect("remove what was applied");
    }
}

/// Under a policy that rejects what is not signed, the signatures are looked for on the mirror.
#[test]
fn skopeo_finds_the_signatures_of_a_filled_mirror() {
    let (site, [pinned, ..]) = Site::new();
    let image = format!("{UPSTREAM}/team/pinned@{pinned}");
    let out = site.emit(std::slice::from_ref(&image));
    site.apply(&out);
    let home = site.workbench.path("home");
    let key = site.workbench.path("site.pub");
    fs::write(&key, site.key.public()).expect("write the key");
    let signed = json!([{
        "type": "sigstoreSigned", "keyPath": key, "signedIdentity": { "type": "matchRepository" },
    }]);
    let mut docker = json!({});
    docker[UPSTREAM] = signed;
    let policy = json!({ "default": [{ "type": "reject" }], "transports": { "docker": docker } });
    fs::write(home.join(".config/containers/policy.json"), policy.to_string()).expect("write the policy");
    let copy = |to: &str| {
        let to = format!("dir:{}", site.workbench.path(to).display());
        site.run(oracle::skopeo(&home), &["copy", &format!("docker://{image}"), &to])
    };
    copy("with").success();
    fs::remove_dir_all(home.join(".config/containers/registries.d")).expect("remove registries.d");
    copy("without").fails_with(1).says("signature");
}
