//! The three sets of images that are fetched; the first is pushed too.

use crate::content::{Content, Item};
use crate::fixture::{OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The platform that is fetched.
pub const NATIVE: &str = "linux/amd64";
const MB: u64 = 1_000_000;
const KB: u64 = 1_000;
/// One layer of set C.
const LARGE: u64 = 2 << 30;

/// One image, and under which name.
struct Image {
    repository: String,
    index: Item,
    /// Each with its blobs; what is fetched is the first.
    instances: Vec<(Item, Vec<Item>)>,
}

/// What a push of a set brings to a registry.
pub struct Pushed<'a> {
    /// Blobs, largest first, each with the repositories that have it.
    pub blobs: Vec<(&'a Item, Vec<&'a str>)>,
    /// Instances, each with its repository.
    pub instances: Vec<(&'a Item, &'a str)>,
    /// Indexes; none where not all that they name is pushed.
    pub indexes: Vec<(&'a Item, &'a str)>,
}

/// A file that must be fetched.
pub struct Wanted {
    /// The path of its URL.
    pub path: String,
    /// As it is named.
    pub hex: String,
    /// In bytes.
    pub size: u64,
}

/// Some images.
pub struct Set(Vec<Image>);

/// A layer by name and size: what has the same name is the same layer.
type Recipe = Vec<(String, u64)>;

impl Set {
    /// How a product's set looks: 12 images, each for four platforms, four layers each. The first layer is that
    /// of all images, the second that of every third, the other two are the image's own; about 250 MB
    /// altogether. Layers of the three foreign platforms have a quarter of that size, which is to the good of
    /// what fetches all platforms.
    pub fn product(content: &Content) -> Self {
        let platforms = [(NATIVE, 1), ("linux/arm64", 4), ("linux/ppc64le", 4), ("linux/s390x", 4)];
        Self::make(content, "product", &platforms, 12, |image| {
            let own = image as u64;
            vec![
                ("base".to_owned(), 40 * MB),
                (format!("middle-{}", image % 3), 30 * MB),
                (format!("own-{image}"), (4 + own * 7 % 12) * MB),
                (format!("top-{image}"), (100 + own * 50) * KB),
            ]
        })
    }

    /// How the images of a whole release look, but for their size, so that the work per image is all there is:
    /// 190 images of six layers of 4 to 100 kB. The first is that of all, the second that of ten images.
    pub fn release(content: &Content) -> Self {
        Self::make(content, "release", &[(NATIVE, 1)], 190, |image| {
            let own = (0..4).map(|layer| {
                let number = image * 4 + layer;
                (format!("own-{number}"), (4 + number as u64 * 37 % 97) * KB)
            });
            [("base".to_owned(), 100 * KB), (format!("middle-{}", image / 10), 60 * KB)]
                .into_iter()
                .chain(own)
                .collect()
        })
    }

    /// One image with one layer of 2 GiB.
    pub fn large(content: &Content) -> Self {
        let image = Image::new(content, "large", vec![vec![content.noise(LARGE)]], &[(NATIVE, 1)]);
        Self(vec![image])
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A list of the first images by the digest of their index, one reference a line.
    pub fn references(&self, host: &str, count: usize) -> String {
        self.0[..count].iter().map(|image| format!("{host}/{}@{}\n", image.repository, image.index.digest)).collect()
    }

    /// Everything that must be fetched of the first images, each file once.
    pub fn wanted(&self, count: usize) -> Vec<Wanted> {
        let mut wanted = BTreeMap::new();
        for image in &self.0[..count] {
            let (instance, blobs) = &image.instances[0];
            let manifests = [&image.index, instance].map(|item| (item, "manifests"));
            for (item, kind) in manifests.into_iter().chain(blobs.iter().map(|item| (item, "blobs"))) {
                let path = format!("/v2/{}/{kind}/{}", image.repository, item.digest);
                let hex = item.hex().to_owned();
                wanted.entry(hex.clone()).or_insert(Wanted { path, hex, size: item.size });
            }
        }
        wanted.into_values().collect()
    }

    /// Everything that must be pushed, of all platforms or only of the native one.
    pub fn pushed(&self, all_platforms: bool) -> Pushed<'_> {
        let mut blobs: BTreeMap<&str, (&Item, Vec<&str>)> = BTreeMap::new();
        let (mut instances, mut indexes) = (Vec::new(), Vec::new());
        for image in &self.0 {
            let repository = image.repository.as_str();
            let count = if all_platforms { image.instances.len() } else { 1 };
            for (instance, of) in &image.instances[..count] {
                instances.push((instance, repository));
                for blob in of {
                    blobs.entry(blob.hex()).or_insert((blob, Vec::new())).1.push(repository);
                }
            }
            if all_platforms {
                indexes.push((&image.index, repository));
            }
        }
        let mut blobs: Vec<_> = blobs.into_values().collect();
        blobs.sort_by_key(|(blob, _)| Reverse(blob.size));
        Pushed { blobs, instances, indexes }
    }

    fn make(
        content: &Content,
        name: &str,
        platforms: &[(&str, u64)],
        count: usize,
        recipe: impl Fn(usize) -> Recipe,
    ) -> Self {
        let names = |image: usize| -> Vec<Recipe> {
            let of = |(platform, smaller): &(&str, u64)| {
                let layers = recipe(image).into_iter();
                layers.map(|(layer, size)| (format!("{name}/{platform}/{layer}"), size / smaller)).collect()
            };
            platforms.iter().map(of).collect()
        };
        let layers = layers(content, (0..count).flat_map(names).flatten().collect());
        let image = |number: usize| {
            let of = |recipe: Recipe| recipe.iter().map(|(layer, _)| layers[layer].clone()).collect();
            Image::new(content, &format!("{name}/{number}"), names(number).into_iter().map(of).collect(), platforms)
        };
        Self((0..count).map(image).collect())
    }
}

impl Image {
    /// Puts manifests over layers, which are given by platform; the first platform is the native one.
    fn new(content: &Content, name: &str, layers: Vec<Vec<Item>>, platforms: &[(&str, u64)]) -> Self {
        let repository = format!("bench/{name}");
        let mut entries: Vec<Value> = Vec::new();
        let mut instances = Vec::new();
        for (layers, (platform, _)) in layers.into_iter().zip(platforms) {
            let (os, architecture) = platform.split_once('/').expect("a platform has two words");
            let diff_ids: Vec<&str> = layers.iter().map(Item::diff_id).collect();
            let config = json!({ "os": os, "architecture": architecture, "config": { "Cmd": [name] },
                                 "rootfs": { "type": "layers", "diff_ids": diff_ids } });
            let config = content.document("application/vnd.oci.image.config.v1+json", &config);
            let descriptors: Vec<Value> = layers.iter().map(Item::descriptor).collect();
            let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST,
                                   "config": config.descriptor(), "layers": descriptors });
            let manifest = content.document(OCI_MANIFEST, &manifest);
            let blobs: Vec<Item> = layers.into_iter().chain([config]).collect();
            for blob in &blobs {
                content.link_blob(&repository, blob);
            }
            content.link_manifest(&repository, &manifest);
            let mut entry = manifest.descriptor();
            entry["platform"] = json!({ "os": os, "architecture": architecture });
            entries.push(entry);
            instances.push((manifest, blobs));
        }
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
        let index = content.document(OCI_INDEX, &index);
        content.link_manifest(&repository, &index);
        Self { repository, index, instances }
    }
}

/// Makes layers, as many at once as there are processors.
fn layers(content: &Content, sizes: BTreeMap<String, u64>) -> BTreeMap<String, Item> {
    let work = Mutex::new(sizes.into_iter().enumerate());
    let made = Mutex::new(BTreeMap::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let next = work.lock().expect("no panic while locked").next();
                    let Some((number, (name, size))) = next else { return };
                    let layer = content.layer(number, size);
                    made.lock().expect("no panic while locked").insert(name, layer);
                }
            });
        }
    });
    made.into_inner().expect("no panic while locked")
}
