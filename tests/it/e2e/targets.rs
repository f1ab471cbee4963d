//! Images that real programs made and keep, read without them: everywhere the same tree, and a storage
//! judged as podman and skopeo judge it.

use super::Workbench;
use crate::support::busybox;
use crate::support::command::run;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fixture::{Compression, Format, Image, Index, Layer, Repository};
use crate::support::lane::{lane, options};
use crate::support::storage::Storage;
use bootc_embed::model::progress::Silent;
use bootc_embed::model::{Digest, Platform, Reference, Tree};
use bootc_embed::registry::http::Http;
use bootc_embed::target::docker_archive::DockerArchive;
use bootc_embed::target::image::{Source, read};
use bootc_embed::target::layout::Layout;
use bootc_embed::target::local::Local;
use bootc_embed::target::remote::Remote;
use bootc_embed::target::storage::{self, Resolution};
use bootc_embed::target::{Keep, Target, Wanted, folder};
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The image that buildah makes.
const NAME: &str = "localhost/os:v1";

/// Builds an image of two layers; the upper one deletes, replaces and links. Returns its root as a folder has it.
fn build(storage: &Storage, workbench: &Workbench) -> Tree {
    let lower = workbench.folder("lower");
    for (path, text) in [
        ("etc/kept", "kept"),
        ("etc/gone", "gone"),
        ("etc/d/low", "low"),
        ("usr/lib/store/blob", "blob"),
        ("usr/share/unwanted", "unwanted"),
        ("srv/led-to", "led to"),
    ] {
        fs::create_dir_all(lower.join(path).parent().expect("a path in a folder")).expect("make a folder");
        fs::write(lower.join(path), text).expect("write a file");
    }
    symlink("../srv/led-to", lower.join("etc/link")).expect("make a link");
    let container = run(storage.buildah().args(["from", "scratch"])).success().text().trim().to_owned();
    run(storage.buildah().args(["copy", "-q", &container]).arg(&lower).arg("/")).success();
    run(storage.buildah().args(["commit", "-q", &container, "localhost/lower"])).success();
    let container = run(storage.buildah().args(["from", "localhost/lower"])).success().text().trim().to_owned();
    let root = run(storage.buildah().args(["mount", &container])).success().text().trim().to_owned();
    let root = Path::new(&root);
    fs::remove_file(root.join("etc/gone")).expect("delete a file");
    fs::remove_dir_all(root.join("etc/d")).expect("delete a folder");
    fs::create_dir(root.join("etc/d")).expect("make a folder");
    fs::write(root.join("etc/d/high"), "high").expect("write a file");
    fs::hard_link(root.join("etc/d/high"), root.join("etc/d/hard")).expect("make a hard link");
    // Sorted before the link, so that a layer has the file that nobody wants first.
    fs::create_dir(root.join("aaa")).expect("make a folder");
    fs::write(root.join("aaa/object"), "object").expect("write a file");
    fs::hard_link(root.join("aaa/object"), root.join("etc/object")).expect("make a hard link");
    fs::create_dir_all(root.join("usr/lib/store").join("n".repeat(120))).expect("make a folder");
    fs::write(root.join("usr/lib/store").join("n".repeat(120)).join("m".repeat(120)), "long").expect("write a file");
    let dir = Dir::open_ambient_dir(root, ambient_authority()).expect("open the root");
    let tree = folder::read(&dir, &wanted(), &Silent).expect("read the root");
    run(storage.buildah().args(["umount", &container])).success();
    run(storage.buildah().args(["commit", "-q", &container, NAME])).success();
    tree
}

fn wanted() -> Wanted {
    Wanted::default().place("etc", Keep::Text).place("usr/lib/store", Keep::Blob).name("object")
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made").block_on(future)
}

/// Reads what a text names.
fn tree(text: &str, lane: &Http) -> Tree {
    wait(async {
        let source: Box<dyn Source + '_> = match text.parse().expect("a target") {
            Target::Oci(name) => Box::new(Layout::folder(&name).expect("a layout")),
            Target::OciArchive(name) => Box::new(Layout::archive(&name).expect("an archive")),
            Target::DockerArchive { path, reference } => {
                Box::new(DockerArchive::open(&path, reference.as_deref()).expect("an archive"))
            }
            Target::ContainersStorage(name) => Box::new(Local::new(&name).await.expect("skopeo")),
            Target::Docker(reference) => Box::new(Remote::new(lane, &reference)),
            target => panic!("{target} is no image"),
        };
        let root = read(source.as_ref(), &wanted(), &Platform::host(), &Silent).await;
        let root = root.unwrap_or_else(|e| panic!("{text} cannot be read: {e}: {:?}", std::error::Error::source(&e)));
        assert!(root.labels.contains_key("io.buildah.version"), "{text}: {:?}", root.labels);
        root.tree
    })
}

#[test]
fn an_image_is_the_same_wherever_it_is() {
    let (storage, workbench, registry) = (Storage::new(), Workbench::new(), DockerRegistry::start());
    let expected = build(&storage, &workbench);
    let path = |name: &str| workbench.path(name).display().to_string();
    let from = format!("containers-storage:{NAME}");
    let remote = format!("docker://{}/os:v1", registry.host());
    let local = format!("containers-storage:{}{NAME}", storage.specifier());
    let copies = [
        (format!("oci:{}:v1", path("layout")), "", ""),
        (format!("oci:{}", path("zstd")), "--dest-compress-format=zstd", "--dest-compress"),
        (format!("oci-archive:{}:v1", path("oci.tar")), "", ""),
        (format!("docker-archive:{}:{NAME}", path("docker.tar")), "", ""),
        (remote, "--dest-tls-verify=false", ""),
    ];
    for (to, option, other) in &copies {
        let options = [option, other].into_iter().filter(|option| !option.is_empty());
        run(storage.skopeo().arg("copy").args(options).args([&from, to])).success();
    }
    run(storage.podman().args(["save", "-q", "--format=docker-archive", "-o", &path("saved.tar"), NAME])).success();
    // Pulled again: the manifest of the storage names compressed layers, which the storage does not have.
    let pulled = "localhost/pulled:v1";
    let stored = format!("containers-storage:{pulled}");
    run(storage.skopeo().args(["copy", &copies[0].0, &stored])).success();
    let second = Storage::new();
    run(second.skopeo().args(["copy", "--src-tls-verify=false", &copies[4].0, &stored])).success();
    let lane = lane(options());
    let texts = copies.iter().map(|(text, _, _)| text.clone());
    let others = [
        format!("docker-archive:{}", path("saved.tar")),
        local,
        format!("containers-storage:{}{pulled}", storage.specifier()),
        format!("containers-storage:{}{pulled}", second.specifier()),
    ];
    for text in texts.chain(others) {
        let found = tree(&text, &lane);
        let lines = |tree: &Tree| tree.iter().map(|(path, node)| format!("{path} {node:?}")).collect::<Vec<_>>();
        assert_eq!(lines(&found), lines(&expected), "{text}");
    }
    assert!(expected.get("etc/gone").is_none() && expected.get("etc/d/low").is_none());
    assert_eq!(expected.bytes("etc/object"), Some(&b"object"[..]));
    assert_eq!(expected.bytes("etc/link"), Some(&b"led to"[..]));
}

#[test]
fn an_image_that_is_not_stored_is_a_wrong_name() {
    let storage = Storage::new();
    let name = format!("{}localhost/nothing:v1", storage.specifier());
    let read = async { read(&Local::new(&name).await?, &wanted(), &Platform::host(), &Silent).await };
    let error = wait(read).expect_err("nothing is stored");
    assert_eq!(error.kind(), bootc_embed::model::Kind::Usage, "{error}");
}

/// Every reference to a set of images, right and wrong ones, as podman, skopeo and this program see it.
#[test]
fn a_storage_is_judged_as_podman_and_skopeo_judge_it() {
    let native = busybox::native();
    let (foreign, _) = super::foreign();
    // Images of one config are one image in a storage, so each has a command of its own.
    let image = |platform: &str, format, command: &str| {
        let layer = Layer::new(&[("a", platform.as_bytes())], Compression::Gzip);
        Image::new(platform).format(format).layer(&layer).command(&[command]).build()
    };
    let (native_image, foreign_image) = (image(native, Format::Oci, "app"), image(foreign, Format::Oci, "app"));
    let index = Index::new(Format::Oci).instances([&native_image, &foreign_image]).build();
    let repository = Repository::new("team/app").instances([&native_image, &foreign_image]).index(&index);
    let repository = repository.tag("v1", &index);
    let single = image(native, Format::Docker, "single");
    let other = Repository::new("team/single").instances([&single]).tag("v1", &single.manifest);
    let lone = image(native, Format::Oci, "lone");
    let lone_index = Index::new(Format::Oci).instances([&lone, &foreign_image]).build();
    let third = Repository::new("team/lone").instances([&lone, &foreign_image]).index(&lone_index);
    let (registry, storage) = (DockerRegistry::start(), Storage::new());
    registry.push(&repository);
    registry.push(&other);
    registry.push(&third);
    let host = registry.host();
    let copy = |from: &str, to: &str| {
        let mut skopeo = storage.skopeo();
        skopeo.args(["copy", "--src-tls-verify=false", "--preserve-digests", &format!("docker://{host}/{from}")]);
        run(skopeo.arg(format!("containers-storage:{host}/{to}"))).success();
    };
    let (at_index, at_native) = (format!("@{}", index.digest), format!("@{}", native_image.manifest.digest));
    copy(&format!("team/app{at_index}"), &format!("team/app{at_index}"));
    copy("team/single:v1", "team/single:v1");
    // An instance under a name of its own, without its index.
    copy(&format!("team/lone@{}", lone.manifest.digest), "team/lone:v2");

    let at_foreign = format!("@{}", foreign_image.manifest.digest);
    let at_single = format!("@{}", single.manifest.digest);
    let mut checked = (0, 0);
    for name in [
        format!("team/app{at_index}"),
        format!("team/app:any{at_index}"),
        format!("team/app{at_native}"),
        format!("team/app{at_foreign}"),
        "team/app:v1".to_owned(),
        "team/app".to_owned(),
        "team/single:v1".to_owned(),
        "team/single:v2".to_owned(),
        format!("team/single{at_single}"),
        format!("team/single:v9{at_single}"),
        format!("team/single{at_native}"),
        "team/lone:v2".to_owned(),
        format!("team/lone@{}", lone.manifest.digest),
        format!("team/lone@{}", lone_index.digest),
        format!("team/lone:v2@{}", lone_index.digest),
        format!("team/lone{at_index}"),
        format!("team/nothing{at_index}"),
    ] {
        let reference = format!("{host}/{name}");
        let dir = Dir::open_ambient_dir(storage.graph(), ambient_authority()).expect("open the storage");
        let images = storage::read(&dir).expect("read the storage");
        let own: Reference = reference.parse().expect("a reference");
        let resolution = images.resolve(&own, &native.parse().expect("a platform"));
        let is_found = matches!(resolution, Resolution::Found { .. });
        let raw = run(storage.skopeo().args(["inspect", "--raw"]).arg(format!("containers-storage:{reference}")));
        assert_eq!(is_found, raw.code == Some(0), "{name}: {resolution:?}\n{raw}");
        if let Resolution::Found { manifest, .. } = &resolution {
            let expected = own.digest().unwrap_or(manifest);
            assert_eq!(Digest::of(&raw.output), *expected, "{name}: {resolution:?}");
            // podman also finds an image by its digest alone, whatever its repository; CRI-O does not.
            run(storage.podman().args(["image", "exists", &reference])).success();
        }
        if is_found { checked.0 += 1 } else { checked.1 += 1 }
    }
    assert!(checked.0 > 5 && checked.1 > 4, "{checked:?}");

    // By the digest of its index, too, an image is read as the instance of the platform.
    let name = format!("{}{host}/team/app{at_index}", storage.specifier());
    let read = async { read(&Local::new(&name).await?, &wanted(), &Platform::host(), &Silent).await };
    assert_eq!(wait(read).expect("the image is stored").digest.to_string(), native_image.manifest.digest);
}
