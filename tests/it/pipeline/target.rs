//! Images as trees: from a registry in memory, from OCI layouts as folders and as archives.

use super::{platforms, resolve_all, wait};
use crate::support::fixture::{
    Blob, Compression, Entry, Format, Image, Index, Instance, Layer, OCI_MANIFEST, Repository, attestation,
};
use crate::support::memory::MemoryRegistry;
use bootc_embed::model::progress::{Part, Silent};
use bootc_embed::model::{Kind, Platform, Progress};
use bootc_embed::target::image::{ImageRoot, Source, read};
use bootc_embed::target::layout::Layout;
use bootc_embed::target::remote::Remote;
use bootc_embed::target::{Error, Keep, LayoutName, Wanted};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const NAME: &str = "example.com/os/image";

/// Does something to a layout that leaves it less than whole.
type Damage<'d> = &'d dyn Fn(&Path, &Instance);

fn wanted() -> Wanted {
    Wanted::default().place("etc", Keep::Text).place("usr/lib/store", Keep::Blob)
}

fn platform(text: &str) -> Platform {
    text.parse().expect("a platform")
}

/// An image of two layers: the upper one hides a file, and hides another behind an opaque folder.
fn instance(platform: &str, format: Format, compression: Compression) -> Instance {
    let lower = Layer::new(
        &[("etc/a", b"a"), ("etc/gone", b"x"), ("etc/d/low", b"x"), ("usr/other", b"not read"), ("etc/l", b"->a")],
        Compression::Gzip,
    );
    let text = platform.repeat(3000);
    let upper = Layer::new(
        &[
            ("etc/d/high", b"high"),
            ("etc/d/.wh..wh..opq", b""),
            ("etc/.wh.gone", b""),
            ("usr/lib/store/p", text.as_bytes()),
        ],
        compression,
    );
    Image::new(platform).format(format).layer(&lower).layer(&upper).build()
}

fn repository(instances: &[&Instance], entries: Vec<Entry>, format: Format) -> Repository {
    let index = entries.into_iter().fold(Index::new(format), Index::entry).build();
    Repository::new("os/image").instances(instances.iter().copied()).index(&index).tag("v1", &index)
}

fn read_from(source: &dyn Source, platform_name: &str) -> Result<ImageRoot, Error> {
    wait(read(source, &wanted(), &platform(platform_name), &Silent))
}

fn read_remote(registry: &MemoryRegistry, reference: &str, platform: &str) -> Result<ImageRoot, Error> {
    read_from(&Remote::new(registry, &reference.parse().expect("a reference")), platform)
}

/// Writes an OCI layout with these images under these names.
fn write_layout(path: &Path, repository: &Repository, images: &[(&str, &Blob)]) {
    let blobs = path.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    for blob in repository.manifests.iter().chain(&repository.blobs) {
        fs::write(blobs.join(blob.hex()), &blob.bytes).unwrap();
    }
    let entry = |(name, blob): &(&str, &Blob)| {
        let mut entry = blob.descriptor();
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        entry
    };
    let index = json!({ "schemaVersion": 2, "manifests": images.iter().map(entry).collect::<Vec<_>>() });
    fs::write(path.join("index.json"), index.to_string()).unwrap();
    fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

fn layout_name(path: &Path, reference: Option<&str>) -> LayoutName {
    LayoutName { path: path.to_owned(), reference: reference.map(str::to_owned) }
}

#[test]
fn the_instance_of_the_platform_is_read() {
    for (format, compression) in
        [(Format::Oci, Compression::Zstd), (Format::Oci, Compression::None), (Format::Docker, Compression::Gzip)]
    {
        let (amd, arm) = (instance("linux/amd64", format, compression), instance("linux/arm64", format, compression));
        let proof = attestation(&amd);
        let entries = vec![Entry::attestation(&proof, &amd), Entry::new(&arm), Entry::new(&amd)];
        let registry = MemoryRegistry::new(vec![repository(&[&amd, &arm, &proof], entries, format)]);
        for (name, of) in [("linux/amd64", &amd), ("linux/arm64", &arm)] {
            let root = read_remote(&registry, &format!("{NAME}:v1"), name).unwrap();
            assert_eq!(root.digest.to_string(), of.manifest.digest);
            assert_eq!(root.platform.to_string(), name);
            let paths: Vec<&str> = root.tree.iter().map(|(path, _)| path).collect();
            let expected =
                ["etc", "etc/a", "etc/d", "etc/d/high", "etc/l", "usr", "usr/lib", "usr/lib/store", "usr/lib/store/p"];
            assert_eq!(paths, expected);
            assert_eq!(root.tree.bytes("etc/l"), Some(&b"a"[..]));
            assert_eq!(root.tree.bytes("usr/lib/store/p").unwrap(), name.repeat(3000).as_bytes());
        }
        let error = read_remote(&registry, &format!("{NAME}:v1"), "linux/s390x").unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{error}");
        assert!(error.hints()[0].contains("linux/arm64, linux/amd64"), "{:?}", error.hints());
        let error = read_remote(&registry, &format!("{NAME}@{}", arm.manifest.digest), "linux/amd64").unwrap_err();
        assert!(error.to_string().contains("is for linux/arm64, not for linux/amd64"), "{error}");
        let error = read_remote(&registry, &format!("{NAME}@{}", proof.manifest.digest), "linux/amd64").unwrap_err();
        assert_eq!(error.kind(), Kind::Check, "{error}");
    }
}

#[test]
fn what_a_registry_serves_is_judged_and_what_it_does_not_is_not() {
    let image = instance("linux/amd64", Format::Oci, Compression::Gzip);
    let mut damaged = image.clone();
    damaged.layers[1].bytes[100] ^= 1;
    let mut short = image.clone();
    short.layers[0].bytes.truncate(50);
    let mut gone = image.clone();
    gone.layers[0].digest = format!("sha256:{}", "0".repeat(64));
    for (served, kind, words) in [
        (&damaged, Kind::Check, "other bytes"),
        (&short, Kind::Check, "it has 50 bytes instead of"),
        (&gone, Kind::Environment, "does not exist"),
    ] {
        let registry = MemoryRegistry::new(vec![repository(&[served], vec![Entry::new(&image)], Format::Oci)]);
        let error = read_remote(&registry, &format!("{NAME}:v1"), "linux/amd64").unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[test]
fn a_config_that_names_other_layers_is_damage() {
    let image = instance("linux/amd64", Format::Oci, Compression::Gzip);
    for (layers, words) in [
        (vec![image.layers[0].descriptor()], "its manifest has 1 layers, its config 2"),
        (vec![image.layers[1].descriptor(), image.layers[0].descriptor()], "config says"),
    ] {
        let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST,
                               "config": image.config.descriptor(), "layers": layers });
        let manifest = Blob::new(OCI_MANIFEST, manifest.to_string().into_bytes());
        let other = Instance { manifest, ..image.clone() };
        let registry = MemoryRegistry::new(vec![repository(&[&other], vec![Entry::new(&other)], Format::Oci)]);
        let error = read_remote(&registry, &format!("{NAME}:v1"), "linux/amd64").unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }) && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_layout_is_the_same_as_a_folder_and_as_an_archive() {
    let image = instance("linux/amd64", Format::Oci, Compression::Gzip);
    let other = instance("linux/arm64", Format::Oci, Compression::Zstd);
    let repository = repository(&[&image, &other], vec![Entry::new(&other), Entry::new(&image)], Format::Oci);
    let index = repository.manifests.last().unwrap().clone();
    let expected = read_remote(&MemoryRegistry::new(vec![repository.clone()]), &format!("{NAME}:v1"), "linux/amd64");
    let expected = expected.unwrap().tree;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layout");
    write_layout(&path, &repository, &[("multi", &index), ("arm", &other.manifest)]);
    let file = folder.path().join("layout.tar");
    let mut archive = tar::Builder::new(fs::File::create(&file).unwrap());
    archive.append_dir_all(".", &path).unwrap();
    archive.finish().unwrap();
    for is_archive in [false, true] {
        let open = |name| {
            let name = layout_name(if is_archive { &file } else { &path }, name);
            if is_archive { Layout::archive(&name) } else { Layout::folder(&name) }.unwrap()
        };
        assert_eq!(read_from(&open(Some("multi")), "linux/amd64").unwrap().tree, expected);
        assert_eq!(read_from(&open(Some("arm")), "linux/arm64").unwrap().digest.to_string(), other.manifest.digest);
        for (name, hint) in [(None, "multi, arm"), (Some("x"), "multi, arm")] {
            let error = read_from(&open(name), "linux/amd64").unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.hints()[0].contains(hint), "{:?}", error.hints());
        }
    }
}

#[test]
fn a_layout_that_is_damaged_is_told_from_one_that_cannot_be_read() {
    let blob = |path: &Path, blob: &Blob| path.join("blobs/sha256").join(blob.hex());
    let damages: [(Damage<'_>, Kind, &str); 7] = [
        (&|path, image| fs::remove_file(blob(path, &image.layers[0])).unwrap(), Kind::Check, "not in the layout"),
        (&|path, image| fs::write(blob(path, &image.layers[0]), "x").unwrap(), Kind::Check, "it has 1 bytes"),
        (&|path, image| fs::write(blob(path, &image.config), "{}").unwrap(), Kind::Check, "config sha256:"),
        (&|path, image| fs::write(blob(path, &image.manifest), "{}").unwrap(), Kind::Check, "manifest sha256:"),
        (
            &|path, image| {
                fs::remove_file(blob(path, &image.layers[0])).unwrap();
                std::os::unix::fs::symlink("/etc/passwd", blob(path, &image.layers[0])).unwrap();
            },
            Kind::Environment,
            "reading `/blobs",
        ),
        (&|path, _| fs::write(path.join("index.json"), "[").unwrap(), Kind::Check, "index.json"),
        (&|path, _| fs::remove_file(path.join("oci-layout")).unwrap(), Kind::Usage, "no OCI layout"),
    ];
    for (damage, kind, words) in damages {
        let image = instance("linux/amd64", Format::Oci, Compression::Gzip);
        let repository = repository(&[&image], vec![Entry::new(&image)], Format::Oci);
        let folder = tempfile::tempdir().unwrap();
        write_layout(folder.path(), &repository, &[("v1", &image.manifest)]);
        damage(folder.path(), &image);
        let source = Layout::folder(&layout_name(folder.path(), None)).unwrap();
        let error = read_from(&source, "linux/amd64").unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn a_store_is_a_layout_whose_images_are_read() {
    let image = instance("linux/amd64", Format::Oci, Compression::Gzip);
    let repository = repository(&[&image], vec![Entry::new(&image)], Format::Oci);
    let registry = MemoryRegistry::new(vec![repository]);
    let reference = format!("{NAME}:v1");
    let resolved = resolve_all(std::slice::from_ref(&reference), &platforms(&["linux/amd64"]), &registry).unwrap();
    let folder = tempfile::tempdir().unwrap();
    super::fill(folder.path(), &resolved, &registry).unwrap();
    let source = Layout::folder(&layout_name(folder.path(), None)).unwrap();
    let expected = read_remote(&registry, &reference, "linux/amd64").unwrap().tree;
    assert_eq!(read_from(&source, "linux/amd64").unwrap().tree, expected);
}

#[test]
fn progress_is_told_in_the_bytes_of_layers() {
    #[derive(Default)]
    struct Told {
        total: AtomicU64,
        done: AtomicU64,
        ended: AtomicU64,
    }
    impl Progress for Told {
        fn start(&self, _: &str, total: u64, _: bool) {
            self.total.fetch_add(total, Ordering::Relaxed);
        }
        fn advance(&self, amount: u64) {
            self.done.fetch_add(amount, Ordering::Relaxed);
        }
        fn part(&self, _: &str, _: u64) -> Box<dyn Part> {
            Box::new(Silent)
        }
        fn done(&self, _: &str) {}
        fn note(&self, _: &str) {}
        fn finish(&self) {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
    }
    let image = instance("linux/amd64", Format::Oci, Compression::Gzip);
    let registry = MemoryRegistry::new(vec![repository(&[&image], vec![Entry::new(&image)], Format::Oci)]);
    let reference = format!("{NAME}:v1").parse().unwrap();
    let told = Told::default();
    wait(read(&Remote::new(&registry, &reference), &wanted(), &platform("linux/amd64"), &told)).unwrap();
    let size: usize = image.layers.iter().map(|layer| layer.bytes.len()).sum();
    assert_eq!(told.total.into_inner(), size as u64);
    assert_eq!(told.done.into_inner(), size as u64);
    assert_eq!(told.ended.into_inner(), 1);
}
