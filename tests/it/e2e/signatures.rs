//! Signed images on a device that rejects what is not signed, without a network.

use super::{Machine, Workbench, foreign};
use crate::support::command::{Finished, run};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fixture::{Blob, Compression, Format, Image, Index, Instance, Layer, Repository, digest};
use crate::support::signing::{Key, Keyring, Kind, Signature, attach, attachment, bundle, lookaside, refer, tag};
use crate::support::{busybox, oracle};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// An image that prints its name, and what is signed of it.
struct Signed {
    repository: Repository,
    index: Blob,
    native: Instance,
    signature: Signature,
}

impl Signed {
    fn new(key: &Key, name: &str, host: &str) -> Self {
        let instances = [busybox::native(), foreign().0].map(|platform| {
            let own = Layer::new(&[("key", format!("{name}\n").as_bytes())], Compression::Gzip);
            Image::new(platform).layer(&busybox::layer(platform)).layer(&own).command(&["/bin/cat", "/key"]).build()
        });
        let index = Index::new(Format::Oci).instances(&instances).build();
        let signature = Signature::new(key, &format!("{host}/{name}:v1"), &instances[0].manifest);
        let repository = Repository::new(name).instances(&instances).index(&index).tag("v1", &index);
        let repository = attach(repository, &instances[0].manifest, std::slice::from_ref(&signature));
        let [native, _] = instances;
        Self { repository, index, native, signature }
    }

    fn reference(&self, host: &str) -> String {
        self.repository.pinned(host, &self.index)
    }

    /// A file of its view in a root.
    fn view(&self, root: &Path, host: &str, name: &str) -> PathBuf {
        let key = digest(format!("{}\n", self.reference(host)).as_bytes())["sha256:".len()..].to_owned();
        root.join("usr/lib/bootc-embed").join(key).join(name)
    }

    fn signature_file(&self, root: &Path, host: &str) -> PathBuf {
        self.view(root, host, &format!("{}.signature-1", self.native.manifest.hex()))
    }
}

/// A device that accepts what one key has signed, and the images on it.
struct Site {
    workbench: Workbench,
    registry: Option<DockerRegistry>,
    host: String,
    key: Key,
    images: Vec<Signed>,
    root: PathBuf,
}

impl Site {
    fn new() -> Self {
        let (workbench, registry, key) = (Workbench::new(), DockerRegistry::start(), Key::new(Kind::P256));
        let host = registry.host().to_owned();
        let images: Vec<Signed> = ["site/one", "site/two"].map(|name| Signed::new(&key, name, &host)).into();
        for image in &images {
            registry.push(&image.repository);
        }
        let root = workbench.root();
        workbench.folder("root/etc/containers/registries.d");
        workbench.folder("root/etc/pki");
        fs::write(root.join("etc/pki/site.pub"), key.public()).expect("write the key");
        let site = Self { workbench, registry: Some(registry), host, key, images, root };
        site.set_policy(&json!({ "type": "sigstoreSigned", "keyPath": "/etc/pki/site.pub" }));
        site
    }

    /// The device rejects everything but what fulfils a requirement.
    fn set_policy(&self, requirement: &Value) {
        let mut docker = json!({});
        docker[&self.host] = json!([requirement]);
        let policy = json!({ "default": [{ "type": "reject" }], "transports": { "docker": docker } });
        fs::write(self.root.join("etc/containers/policy.json"), policy.to_string()).expect("write the policy");
    }

    fn embed(&self, words: &[&str]) -> Finished {
        let mut tool = self.workbench.tool();
        tool.arg("embed").args(self.images.iter().map(|image| image.reference(&self.host)));
        tool.arg("--root").arg(&self.root).args(["--tls-verify=false", "--platform", busybox::native()]);
        run(tool.args(words))
    }

    /// What the device would do at boot, with its own policy and a skopeo that verifies.
    fn import(&self) -> (Machine, Finished) {
        let machine = Machine::boot(&self.root);
        machine.obey_policy_of(&self.root);
        let mut script = machine.import_command();
        oracle::lend(&mut script);
        let finished = run(&mut script);
        (machine, finished)
    }

    fn stop(&mut self) {
        self.registry.take().expect("the registry is up").stop();
    }
}

/// The whole way: embedded, proven, imported under a policy that rejects by default, and the storage
/// keeps what signs the images.
#[test]
fn signed_images_pass_a_policy_that_rejects_by_default() {
    let mut site = Site::new();
    let policy = fs::read(site.root.join("etc/containers/policy.json")).expect("read the policy");
    let embedded = site.embed(&["--signatures", "require"]).success();
    assert!(embedded.text().contains("signed   2 of 2 images"), "{embedded}");
    site.stop();
    assert_eq!(fs::read(site.root.join("etc/containers/policy.json")).expect("read the policy"), policy);
    let drop_in = fs::read_to_string(site.root.join("etc/containers/registries.d/50-bootc-embed.yaml"));
    let drop_in = drop_in.expect("registries.d is written");
    assert!(drop_in.contains(&format!("{}/site/one", site.host)), "{drop_in}");

    let (machine, imported) = site.import();
    imported.success();
    for image in &site.images {
        let reference = image.reference(&site.host);
        machine.storage.resolves(&reference, &image.index.digest).unwrap_or_else(|why| panic!("{why}"));
        // What containers-storage calls the signatures of an instance.
        let kept = machine.storage.big_data(&format!("signature-{}", image.native.manifest.hex()));
        let (kept, embedded) = (fs::read(kept), fs::read(image.signature_file(&site.root, &site.host)));
        let parse = |bytes: std::io::Result<Vec<u8>>| {
            bootc_embed::model::Signature::parse(&bytes.expect("a signature is there")).expect("a signature")
        };
        assert_eq!(parse(kept), parse(embedded));
    }
    // Without the policy of the import nothing gets past the device's own.
    let machine = Machine::boot(&site.root);
    machine.obey_policy_of(&site.root);
    let mut script = machine.import_command();
    script.env("BOOTC_EMBED_POLICY", "");
    oracle::lend(&mut script);
    let refused = run(&mut script).fails_with(1).says("rejected by policy");
    assert!(refused.text().contains("0 imported, 0 already present, 2 failed"), "{refused}");
}

/// A signature that was tampered with, one by another key, and none at all: the device refuses that image
/// and no other, and `validate` has said so before.
#[test]
fn what_is_not_signed_rightly_is_refused() {
    let mut site = Site::new();
    site.embed(&[]).success();
    site.stop();
    let file = site.images[0].signature_file(&site.root, &site.host);
    let link = fs::read_link(&file).expect("a link into the pool");
    let other = Key::new(Kind::P256);
    let manifest = &site.images[0].native.manifest;
    let mut tampered = site.images[0].signature.clone();
    tampered.payload = String::from_utf8(tampered.payload).expect("JSON").replace("site/one", "site/two").into_bytes();
    let name = format!("{}/site/one:v1", site.host);
    let put = |bytes: Option<Vec<u8>>| {
        fs::remove_file(&file).expect("take the signature away");
        if let Some(bytes) = bytes {
            fs::write(&file, bytes).expect("write another signature");
        }
    };
    for (bytes, why) in [
        (Some(tampered.file()), "it was not made by"),
        (Some(Signature::new(&other, &name, manifest).file()), "it was not made by"),
        (
            Some(Signature::new(&site.key, &format!("{}/site/other:v1", site.host), manifest).file()),
            "was signed; the policy wants",
        ),
        (Some(Signature::new(&site.key, &name, &site.images[1].native.manifest).file()), "was signed, not"),
        (None, "carry none"),
    ] {
        put(bytes);
        let mut tool = site.workbench.tool();
        tool.args(["validate", "--format", "json"]).arg(format!("rootfs:{}", site.root.display()));
        tool.args(site.images.iter().map(|image| image.reference(&site.host))).args(["--platform", busybox::native()]);
        let report: Value = serde_json::from_slice(&run(&mut tool).output).expect("a report");
        let findings = report["findings"].as_array().expect("findings");
        let import: Vec<&Value> = findings.iter().filter(|finding| finding["check"] == "import-policy").collect();
        assert_eq!(import.len(), 1, "{report:#}");
        assert!(import[0]["message"].as_str().expect("a message").contains(why), "{why}: {report:#}");
        assert_eq!(import[0]["references"], json!([site.images[0].reference(&site.host)]));

        let (machine, refused) = site.import();
        let refused = refused.fails_with(1).says(&site.images[0].reference(&site.host));
        assert!(refused.text().contains("1 imported, 0 already present, 1 failed"), "{why}: {refused}");
        assert_eq!(machine.storage.image_names(), [site.images[1].reference(&site.host)]);
    }
    fs::remove_file(&file).ok();
    std::os::unix::fs::symlink(link, &file).expect("put the signature back");
    site.import().1.success();
}

/// An image that was imported before its signature was embedded is imported once more with it.
#[test]
fn a_signature_that_comes_later_reaches_the_storage() {
    let mut site = Site::new();
    site.set_policy(&json!({ "type": "insecureAcceptAnything" }));
    site.embed(&["--signatures", "none"]).success();
    let machine = Machine::boot(&site.root);
    let import = || {
        let mut script = machine.import_command();
        oracle::lend(&mut script);
        run(&mut script).success().text()
    };
    assert!(import().contains("2 imported"));
    site.embed(&[]).success();
    site.stop();
    assert!(import().contains("2 imported"));
    assert!(import().contains("0 imported, 2 already present"));
}

/// Both lanes carry the same, byte for byte; skopeo finds no list of referrers, but this registry has none.
#[test]
fn both_lanes_carry_the_same() {
    let site = Site::new();
    let image = &site.images[0];
    let referred =
        refer(image.repository.clone(), &image.native.manifest, &[bundle(&site.key, &image.native.manifest)]);
    site.registry.as_ref().expect("the registry is up").push(&referred);
    let store = |lane: &str| {
        let mut tool = site.workbench.tool();
        tool.args([
            "fetch",
            &image.reference(&site.host),
            "--transport",
            lane,
            "--tls-verify=false",
            "--signatures=require",
        ]);
        let store = site.workbench.path(lane);
        run(tool.args(["--platform", busybox::native()]).arg("--store").arg(&store)).success();
        crate::support::tree::Tree::read(&store)
    };
    let (http, proxy) = (store("http"), store("proxy"));
    assert_eq!(http, proxy);
    assert!(http.0.keys().any(|path| path.to_string_lossy().ends_with("signature-1")));

    // By the lock alone, once the tags are gone for those who ask by tag.
    let lock = site.workbench.path("http/embed.lock.json");
    let mut tool = site.workbench.tool();
    tool.args(["fetch", "--locked"])
        .arg(&lock)
        .args(["--tls-verify=false", "--store"])
        .arg(site.workbench.path("locked"));
    run(&mut tool).success();
    assert_eq!(crate::support::tree::Tree::read(&site.workbench.path("locked")), http);
}

/// What a mirror lacks is listed with the commands that bring it there; after them nothing is missing, and
/// a skopeo that verifies takes the image from the mirror.
#[test]
fn missing_tags_of_a_mirror_are_brought_there() {
    let site = Site::new();
    let mirror = DockerRegistry::start();
    for image in &site.images {
        let mut bare = image.repository.clone();
        bare.tags.remove(&tag(&image.native.manifest));
        bare.name = format!("mirrored/{}", bare.name);
        mirror.push(&bare);
    }
    let lock = site.workbench.path("lock.json");
    let mut tool = site.workbench.tool();
    tool.arg("plan").args(site.images.iter().map(|image| image.reference(&site.host))).arg("-o").arg(&lock);
    run(tool.args(["--tls-verify=false", "--platform", busybox::native()])).success();
    let list = |words: &[&str]| {
        let mut tool = site.workbench.tool();
        tool.args(["emit", "mirror-signatures", "--tls-verify=false", "--lock"]).arg(&lock);
        run(tool.args(words))
    };
    list(&[]).fails_with(2).says("--mirror");
    let to = format!("{}={}/mirrored", site.host, mirror.host());
    let script = list(&["--mirror", &to]).success().text();
    assert!(script.starts_with("# 2 of 2 signature tags are missing"), "{script}");
    let commands: Vec<&str> = script.lines().filter(|line| line.starts_with("skopeo copy ")).collect();
    assert_eq!(commands.len(), 2, "{script}");
    for command in commands {
        let words = command.split(' ').skip(1).chain(["--src-tls-verify=false", "--dest-tls-verify=false"]);
        run(site.workbench.program("skopeo").arg("--insecure-policy").args(words)).success();
    }
    let script = list(&["--mirror", &to]).success().text();
    assert_eq!(script.lines().count(), 1, "{script}");
    assert!(script.starts_with("# 0 of 2"), "{script}");

    let image = &site.images[0];
    let attached = attachment(std::slice::from_ref(&image.signature));
    assert!(
        mirror
            .requests()
            .iter()
            .any(|request| request.path.contains(attached.manifest.hex()) || request.path.contains(".sig"))
    );
    let (policy, conf, settings) =
        (site.workbench.path("policy.json"), site.workbench.path("mirror.conf"), site.workbench.folder("registries.d"));
    let text = fs::read_to_string(site.root.join("etc/containers/policy.json")).expect("read the policy");
    fs::write(&policy, text.replace("/etc/pki", &site.root.join("etc/pki").display().to_string()))
        .expect("write a policy");
    fs::write(settings.join("x.yaml"), format!("docker:\n  {}:\n    use-sigstore-attachments: true\n", mirror.host()))
        .expect("write registries.d");
    let table = format!(
        "[[registry]]\nlocation = \"{0}\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"{1}/mirrored\"\ninsecure = true\n",
        site.host,
        mirror.host()
    );
    fs::write(&conf, table).expect("write registries.conf");
    let mut skopeo = oracle::skopeo(&site.workbench.path("home"));
    skopeo.arg("--registries-conf").arg(&conf).arg("--policy").arg(&policy).arg("--registries.d").arg(&settings);
    skopeo.args(["copy", &format!("docker://{}", image.reference(&site.host))]);
    run(skopeo.arg(format!("dir:{}", site.workbench.path("pulled").display()))).success();
}

/// The table that the judge is tested with says what skopeo says.
#[test]
fn the_table_of_verdicts_is_right() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/signatures");
    let table = fs::read_to_string(data.join("verdicts.tsv")).expect("read the table");
    let workbench = Workbench::new();
    let mut wrong = Vec::new();
    for row in table.lines().filter(|line| !line.starts_with('#')) {
        let [vector, key, _, verdict] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let view = workbench.folder(vector);
        fs::write(view.join("version"), "Directory Transport Version: 1.1\n").expect("write a view");
        let files = fs::read_dir(data.join("edge").join(vector))
            .expect("a view")
            .chain(fs::read_dir(data.join("sparse-dir")).expect("a view"));
        for file in files.map(|file| file.expect("a file").path()) {
            let to = view.join(file.file_name().expect("a name"));
            if !to.exists() {
                fs::copy(&file, to).expect("copy a view");
            }
        }
        let identity = json!({ "type": "exactRepository", "dockerRepository": "registry.example.com/rh/app" });
        let requirement = json!({ "type": "sigstoreSigned", "keyPath": data.join(key), "signedIdentity": identity });
        let policy = workbench.path("policy.json");
        fs::write(&policy, json!({ "default": [requirement] }).to_string()).expect("write a policy");
        let mut skopeo = oracle::skopeo(&workbench.path("home"));
        skopeo.arg("--policy").arg(&policy).arg("copy").arg(format!("dir:{}", view.display()));
        let finished = run(skopeo.arg(format!("dir:{}", workbench.path(&format!("{vector}-out")).display())));
        if finished.code != Some(i32::from(verdict == "reject")) {
            wrong.push(format!("{vector}: {verdict}\n{finished}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// OpenPGP signatures of a lookaside store: carried, judged by skopeo, and never taken for good where skopeo is not there.
#[test]
fn simple_signatures_are_judged_by_skopeo() {
    let site = Site::new();
    let keyring = Keyring::new(&["site@example.invalid", "other@example.invalid"]);
    let store = site.workbench.folder("lookaside");
    for image in &site.images {
        let name = image.repository.tagged(&site.host, "v1");
        let signature = keyring.sign("site@example.invalid", &name, &image.native.manifest);
        lookaside(&store, &image.repository.name, &image.native.manifest, &[signature]);
    }
    let settings = format!("docker:\n  {}:\n    lookaside: file://{}\n", site.host, store.display());
    fs::write(site.root.join("etc/containers/registries.d/site.yaml"), settings).expect("write registries.d");
    for (name, email) in [("site", "site@example.invalid"), ("other", "other@example.invalid")] {
        fs::write(site.root.join(format!("etc/pki/{name}.gpg")), keyring.public(email)).expect("write a key");
    }
    let by =
        |name: &str| json!({ "type": "signedBy", "keyType": "GPGKeys", "keyPath": format!("/etc/pki/{name}.gpg") });
    site.set_policy(&by("site"));
    let embedded = site.embed(&["--signatures=require"]).success();
    assert!(embedded.errors.contains("imported by their digest"), "{embedded}");
    assert_eq!(embedded.text().matches("by OpenPGP key").count(), 2, "{embedded}");
    site.import().1.success();

    let validate = |words: &[&str], path: Option<&Path>| {
        let mut tool = site.workbench.tool();
        tool.arg("validate").arg(format!("rootfs:{}", site.root.display()));
        tool.args(site.images.iter().map(|image| image.reference(&site.host))).args(["--platform", busybox::native()]);
        tool.args(["--only", "signatures"]).args(words);
        if let Some(path) = path {
            tool.env("PATH", path);
        }
        run(&mut tool)
    };
    let policy = site.root.join("etc/containers/policy.json");
    let named = ["--policy", policy.to_str().expect("a path of letters")];
    validate(&named, None).success();
    let empty = site.workbench.folder("empty");
    let unknown = validate(&named, Some(&empty)).fails_with(3);
    assert!(unknown.text().contains("could not check") && unknown.text().contains("running skopeo"), "{unknown}");
    // By the device's own policy it is a warning, not an answer.
    let own = validate(&[], Some(&empty)).success();
    assert!(own.text().contains("could not be checked"), "{own}");
    site.set_policy(&by("other"));
    validate(&named, None).fails_with(1);
}
