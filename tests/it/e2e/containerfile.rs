//! The tool inside of a container build: the example of the project, and the fragment that it emits.

use super::set::Set;
use super::{Machine, Workbench, foreign, registry_with};
use crate::support::busybox;
use crate::support::command::run;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fixture::{Compression, Image, Layer, Repository};
use crate::support::storage::Storage;
use std::fs;
use std::path::{Path, PathBuf};

/// The program in an image of its own, as the fragment calls it. In the example it takes the place of
/// the stage that compiles the program.
const TOOL_IMAGE: &str = "localhost/bootc-embed:latest";

/// Both builds make an image whose embedded set starts offline.
#[test]
fn container_builds_embed_the_set() {
    let set = Set::new(busybox::native());
    let registry = registry_with(&set);
    let host = registry.host().to_owned();
    let (workbench, storage) = (Workbench::new(), Storage::new());
    let base = push_base(&set, &registry);
    make_tool_image(&workbench, &storage, &base);

    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("Containerfile.example");
    let example = fs::read_to_string(example).expect("read Containerfile.example");
    for (name, text) in [("example", example), ("fragment", fragment(&workbench, &base))] {
        build(&workbench, &storage, name, &text, &base, &[]);
    }
    registry.stop();

    for name in ["example", "fragment"] {
        let root = mount(&storage, name);
        assert!(root.join("usr/share/microshift/release").is_dir(), "{name}: the base image is not below");
        let report = fs::read_to_string(root.join("usr/share/bootc-embed/report.json")).expect("the report is shipped");
        let report: serde_json::Value = serde_json::from_str(&report).expect("the report is JSON");
        assert_eq!(
            (&report["summary"]["references"], &report["summary"]["proven"]),
            (&6.into(), &6.into()),
            "{report:#}"
        );
        let machine = Machine::boot(&root);
        let imported = machine.import(&[]).success();
        assert!(imported.text().contains("6 imported, 0 already present, 0 failed"), "{name}: {imported}");
        machine.assert_resolves(&set, &host);
        let first = &set.images[0];
        let printed = machine.storage.run(&first.reference(&host), &[]).success();
        assert_eq!(printed.text(), format!("{} on {}\n", first.key, set.platform), "{name}");
    }
}

/// An image for another architecture is built without emulation: nothing of the target is run.
#[test]
fn foreign_image_is_built_natively() {
    let (platform, arch) = foreign();
    let (native, set) = (Set::new(busybox::native()), Set::new(platform));
    let registry = registry_with(&set);
    let host = registry.host().to_owned();
    let (workbench, storage) = (Workbench::new(), Storage::new());
    make_tool_image(&workbench, &storage, &push_base(&native, &registry));
    let base = push_base(&set, &registry);
    // buildah 1.28 does not set BUILDPLATFORM by itself; later ones do.
    let own = format!("BUILDPLATFORM={}", busybox::native());
    let words = ["--platform", platform, "--build-arg", &own];
    build(&workbench, &storage, "foreign", &fragment(&workbench, &base), &base, &words);
    registry.stop();

    let root = mount(&storage, "foreign");
    assert!(root.join("usr/share/microshift/release").join(set.release_info_name()).is_file());
    let pool = fs::read_dir(root.join("usr/lib/bootc-embed/blobs/sha256")).expect("read the pool");
    let pool = pool.map(|entry| entry.expect("read the pool").file_name().to_string_lossy().into_owned());
    assert_eq!(pool.collect::<std::collections::BTreeSet<_>>(), set.kept());
    let machine = Machine::boot(&root);
    let imported = machine.import(&["--override-arch", arch]).success();
    assert!(imported.text().contains("6 imported, 0 already present, 0 failed"), "{imported}");
    machine.assert_resolves(&set, &host);
}

/// The emitted fragment behind the stage that it asks for.
pub(super) fn fragment(workbench: &Workbench, base: &str) -> String {
    let emitted = run(workbench.tool().args(["emit", "containerfile"])).success().text();
    format!("FROM {base} AS target\n{emitted}")
}

/// A system that names images and has none.
pub(super) fn push_base(set: &Set, registry: &DockerRegistry) -> String {
    let release_info = format!("usr/share/microshift/release/{}", set.release_info_name());
    let text = set.release_info(registry.host());
    // What the proof asks for: a system, the program that imports, and a policy that lets it.
    let files: [(&str, &[u8]); 5] = [
        (&release_info, text.as_bytes()),
        ("etc/crio/crio.conf.d/10-example.conf", b""),
        ("usr/lib/os-release", b"ID=test\n"),
        ("usr/bin/skopeo", b"#!/bin/sh\n"),
        ("etc/containers/policy.json", br#"{"default":[{"type":"insecureAcceptAnything"}]}"#),
    ];
    let image = Image::new(set.platform).layer(&busybox::layer(set.platform));
    let image = image.layer(&Layer::new(&files, Compression::Gzip)).command(&["/bin/sh"]).build();
    let name = format!("team/base-{}", set.platform.replace('/', "-"));
    let repository = Repository::new(&name).instances([&image]).tag("latest", &image.manifest);
    registry.push(&repository);
    repository.tagged(registry.host(), "latest")
}

/// The program under test with the libraries that it is linked to, on top of the base image.
pub(super) fn make_tool_image(workbench: &Workbench, storage: &Storage, base: &str) {
    let folder = workbench.folder("tool");
    let program = env!("CARGO_BIN_EXE_bootc-embed");
    let copy = |from: &str, to: &str| {
        let place = folder.join(to.trim_start_matches('/'));
        fs::create_dir_all(place.parent().expect("a file has a folder")).expect("make a folder of the tool's image");
        fs::copy(from, &place).unwrap_or_else(|e| panic!("copying {from} to {}: {e}", place.display()));
    };
    copy(program, "usr/local/bin/bootc-embed");
    let libraries = run(workbench.program("ldd").arg(program)).success().text();
    // `name => /path (address)`, and for the loader `/path (address)`.
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        copy(library, library);
    }
    fs::write(folder.join("Containerfile"), format!("FROM {base}\nCOPY lib /lib\nCOPY lib64 /lib64\nCOPY usr /usr\n"))
        .expect("write the Containerfile of the tool's image");
    fs::create_dir_all(folder.join("lib64")).expect("make a folder of the tool's image");
    let mut buildah = storage.buildah();
    buildah.args(["build", "--quiet", "--isolation=chroot", "--tls-verify=false", "--tag", TOOL_IMAGE]);
    run(buildah.arg(&folder)).success();
}

/// Builds a Containerfile as users do, but for the images that it begins with.
pub(super) fn build(workbench: &Workbench, storage: &Storage, name: &str, text: &str, base: &str, words: &[&str]) {
    let folder = workbench.folder(name);
    fs::write(folder.join("Containerfile"), text).expect("write the Containerfile");
    let mut buildah = storage.buildah();
    buildah.args(["build", "--isolation=chroot", "--network=host", "--tls-verify=false", "--tag", name]);
    for argument in [
        format!("BASE_IMAGE={base}"),
        format!("BOOTC_EMBED_IMAGE={TOOL_IMAGE}"),
        "BOOTC_EMBED_OPTIONS=--tls-verify=false".to_owned(),
        "PACKAGES=".to_owned(),
    ] {
        buildah.arg("--build-arg").arg(argument);
    }
    run(buildah.args(words).arg(&folder)).success();
}

/// The file system of an image.
pub(super) fn mount(storage: &Storage, image: &str) -> PathBuf {
    let container = run(storage.buildah().args(["from", "--pull-never", image])).success();
    let mounted = run(storage.buildah().args(["mount", container.text().trim()])).success();
    PathBuf::from(mounted.text().trim())
}
