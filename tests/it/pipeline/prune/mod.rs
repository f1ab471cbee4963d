//! A release that carries only some architectures: on a release of seven components for four platforms, which the real
//! release tooling assembled of made-up content, and on what is no release.

mod bad;
mod laws;
mod sample;
mod texts;

use bootc_embed::model::{Digest, Failure, Platform, RawManifest};
use bootc_embed::prune::{Compression, Content, Payload, ReleaseImage, new_image};
use std::collections::BTreeMap;
use std::path::Path;

/// What the sample's new images are made of.
struct Sample {
    /// amd64 and arm64.
    images: Vec<ReleaseImage>,
    /// The release's index over them.
    index: RawManifest,
    /// The indexes of its components.
    indexes: BTreeMap<Digest, RawManifest>,
}

/// A file of the sample.
fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/release").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(name: &str) -> String {
    String::from_utf8(file(name)).expect("a text")
}

fn raw(bytes: Vec<u8>) -> RawManifest {
    RawManifest::new(bytes, None).expect("a manifest")
}

fn platform(name: &str) -> Platform {
    name.parse().expect("a platform")
}

fn layer(name: &str) -> Payload {
    Payload::read(file(name).as_slice(), Compression::Gzip).expect("a payload")
}

impl Sample {
    fn read() -> Self {
        let (config, manifest) = (text("release-arm64.config.json"), text("release-arm64.manifest.json"));
        let own = config.replace("\"arm64\"", "\"amd64\"");
        let amd64 = manifest.replace(&digest(&config), &digest(&own));
        // The sample has the manifest of one architecture; the other is made of it.
        let listed = "sha256:f1ca12273c20bfbbf45fb18774b9535a2951530c7d3515ef430967b69b422c6a";
        let index = text("release-multi.list.json").replace(listed, &digest(&amd64));
        let image = |name: &str, manifest: String, config: String| ReleaseImage {
            platform: platform(name),
            manifest: raw(manifest.into_bytes()),
            config: config.into_bytes(),
            payload: layer("layer-promoted-top.tar.gz"),
        };
        let images = vec![image("linux/amd64", amd64, own), image("linux/arm64", manifest, config)];
        let lists = COMPONENTS.map(|name| raw(file(&format!("list-{name}.json"))));
        let indexes = lists.into_iter().map(|list| (list.digest().clone(), list)).collect();
        Self { images, index: raw(index.into_bytes()), indexes }
    }

    fn content(&self) -> Content {
        Content::read(&self.images, true).expect("a release")
    }
}

/// The components of the sample, in their order.
const COMPONENTS: [&str; 7] = [
    "aws-cloud-controller-manager",
    "cli",
    "cluster-cloud-controller-manager-operator",
    "cluster-version-operator",
    "machine-config-operator",
    "pod",
    "rhel-coreos",
];

fn digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

/// A header and content.
fn entry(kind: tar::EntryType, path: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o444);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn regular(path: &str, content: &str) -> Vec<u8> {
    entry(tar::EntryType::Regular, path, content.as_bytes())
}

/// An archive with its end.
fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

fn read(bytes: &[u8]) -> Result<Payload, Failure> {
    Payload::read(bytes, Compression::Plain)
}

/// The whole chain of a failure.
fn chain(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

/// The image with other files; its config and manifest fit.
fn with(image: &ReleaseImage, change: impl Fn(&str, String) -> String) -> ReleaseImage {
    let entries: Vec<Vec<u8>> = image
        .payload
        .files()
        .map(|(name, content)| {
            let content = change(name, String::from_utf8(content.to_vec()).unwrap());
            regular(&format!("release-manifests/{name}"), &content)
        })
        .collect();
    let layer = read(&archive(&entries)).unwrap();
    let made = new_image(image, &layer.write().unwrap()).unwrap();
    ReleaseImage { manifest: made.manifest, config: made.config, payload: layer, platform: image.platform.clone() }
}
