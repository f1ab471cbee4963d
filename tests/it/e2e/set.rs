//! A set of images as real ones are: for many architectures, with all that registries and builders
//! put into indexes, named by a release-info file.

use crate::support::busybox;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fixture::{
    Blob, Compression, Entry, Format, Image, Index, Instance, Layer, Platform, Repository, Spelling, attestation,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// One image of the set.
pub struct Member {
    /// Its key in release-info.
    pub key: &'static str,
    /// What the registry holds of it.
    pub repository: Repository,
    /// The index, or the only manifest.
    pub top: Blob,
    /// The instances, those of other platforms too.
    pub instances: Vec<Instance>,
    /// The tag that workloads name it by; without one they name the digest.
    pub tag: Option<&'static str>,
}

impl Member {
    /// What workloads name.
    pub fn reference(&self, host: &str) -> String {
        match self.tag {
            Some(tag) => self.repository.tagged(host, tag),
            None => self.repository.pinned(host, &self.top),
        }
    }
}

/// Images, and the platform whose part of them is wanted.
pub struct Set {
    /// `linux/amd64` or `linux/arm64`: release-info knows no others.
    pub platform: &'static str,
    /// The images, in the order of release-info.
    pub images: Vec<Member>,
}

impl Set {
    /// The set for a platform. Each image prints its key, and has the busybox layers of all others.
    pub fn new(platform: &'static str) -> Self {
        let bases: BTreeMap<&str, Layer> =
            busybox::PLATFORMS.iter().map(|platform| (*platform, busybox::layer(platform))).collect();
        let images = vec![
            docker_list(&bases),
            odd_index(&bases),
            arm_variants(&bases),
            single(&bases, platform),
            tagged(&bases),
            twins(&bases),
        ];
        Self { platform, images }
    }

    /// Uploads everything, all platforms of it.
    pub fn push(&self, registry: &DockerRegistry) {
        for image in &self.images {
            registry.push(&image.repository);
        }
    }

    /// The release-info file.
    pub fn release_info(&self, host: &str) -> String {
        // Written by hand, because the order of the keys is the order of the images.
        let lines: Vec<String> =
            self.images.iter().map(|image| format!("    {:?}: {:?}", image.key, image.reference(host))).collect();
        format!("{{\n  \"release\": {{ \"base\": \"4.18.1\" }},\n  \"images\": {{\n{}\n  }}\n}}\n", lines.join(",\n"))
    }

    /// What that file is called.
    pub fn release_info_name(&self) -> &'static str {
        match self.platform {
            "linux/amd64" => "release-example-x86_64.json",
            "linux/arm64" => "release-example-aarch64.json",
            other => panic!("release-info has no file for {other}"),
        }
    }

    /// What a sparse copy keeps: indexes, and the wanted platform's manifests, configs and layers.
    pub fn kept(&self) -> BTreeSet<String> {
        let mut kept = BTreeSet::new();
        for image in &self.images {
            kept.insert(image.top.hex().to_owned());
            for instance in image.instances.iter().filter(|instance| self.is_wanted(&instance.platform)) {
                kept.insert(instance.manifest.hex().to_owned());
                kept.extend(instance.layers.iter().chain([&instance.config]).map(|blob| blob.hex().to_owned()));
            }
        }
        kept
    }

    /// The image with a key.
    pub fn image(&self, key: &str) -> &Member {
        let found = self.images.iter().find(|image| image.key == key);
        found.unwrap_or_else(|| panic!("the set has no image `{key}`"))
    }

    fn is_wanted(&self, platform: &Platform) -> bool {
        let wanted = Platform::new(self.platform);
        (&wanted.os, &wanted.architecture) == (&platform.os, &platform.architecture)
    }
}

/// An image for one platform that prints its key.
fn instance(bases: &BTreeMap<&str, Layer>, format: Format, platform: &str, key: &str) -> Instance {
    let base = match platform {
        // Debian has no busybox for these variants; the content of the next one will do.
        "linux/arm/v6" => "linux/arm/v7",
        "linux/arm64/v8" => "linux/arm64",
        same => same,
    };
    let image = Image::new(platform).format(format).layer(&bases[base]).command(&["/bin/cat", "/key"]);
    match format {
        Format::Docker => image.layer(&own_layer(platform, key, Compression::Gzip)).spelling(Spelling::DOCKER).build(),
        Format::Oci => image
            .layer(&own_layer(platform, key, Compression::None))
            .field("annotations", json!({ "org.opencontainers.image.title": key }))
            .field("x-unknown", json!([platform]))
            .build(),
    }
}

/// The layer that no other image has. It is small, because no test is about its size.
fn own_layer(platform: &str, key: &str, compression: Compression) -> Layer {
    let text = format!("{key} on {platform}\n");
    Layer::new(&[("key", text.as_bytes())], compression)
}

fn everywhere(bases: &BTreeMap<&str, Layer>, format: Format, key: &str) -> Vec<Instance> {
    busybox::PLATFORMS.iter().map(|platform| instance(bases, format, platform, key)).collect()
}

/// A Docker manifest list.
fn docker_list(bases: &BTreeMap<&str, Layer>) -> Member {
    let key = "docker-list";
    let instances = everywhere(bases, Format::Docker, key);
    let top = Index::new(Format::Docker).instances(&instances).spelling(Spelling::DOCKER).build();
    let repository = Repository::new("team/docker-list").instances(&instances).index(&top);
    Member { key, repository, top, instances, tag: None }
}

/// An OCI index with white space, annotations, attestations, and fields that nobody knows.
fn odd_index(bases: &BTreeMap<&str, Layer>) -> Member {
    let key = "odd_index";
    let instances = everywhere(bases, Format::Oci, key);
    let attestations: Vec<Instance> = instances.iter().map(attestation).collect();
    let mut index = Index::new(Format::Oci)
        .instances(&instances)
        .annotation("org.opencontainers.image.title", "odd \u{fc}ber \"quoted\" \\ \u{1f980}")
        .field("x-unknown", json!({ "deep": [1, 2.50, null, { "manifests": [] }] }))
        .spelling(Spelling::ODD);
    for (attestation, subject) in attestations.iter().zip(&instances) {
        index = index.entry(Entry::attestation(attestation, subject).field("x-entry", json!(true)));
    }
    let top = index.build();
    let repository = Repository::new("team/odd.index").instances(&instances).instances(&attestations).index(&top);
    Member { key, repository, top, instances, tag: None }
}

/// An index whose entries have variants.
fn arm_variants(bases: &BTreeMap<&str, Layer>) -> Member {
    let key = "arm-variants";
    let platforms = ["linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "linux/amd64"];
    let instances: Vec<Instance> =
        platforms.iter().map(|platform| instance(bases, Format::Oci, platform, key)).collect();
    let top = Index::new(Format::Oci).instances(&instances).spelling(Spelling::TABS).build();
    let repository = Repository::new("team/deep/er/arm-variants").instances(&instances).index(&top);
    Member { key, repository, top, instances, tag: None }
}

/// An image for one platform without an index, as the payload of OpenShift has them.
fn single(bases: &BTreeMap<&str, Layer>, platform: &str) -> Member {
    let key = "single";
    let only = instance(bases, Format::Docker, platform, key);
    let repository = Repository::new("team/single").instances([&only]);
    Member { key, repository, top: only.manifest.clone(), instances: vec![only], tag: None }
}

/// An index that is named by its tag.
fn tagged(bases: &BTreeMap<&str, Layer>) -> Member {
    let key = "tagged";
    let instances = everywhere(bases, Format::Oci, key);
    let top = Index::new(Format::Oci).instances(&instances).build();
    let repository = Repository::new("team/tagged").instances(&instances).index(&top).tag("v1.2", &top);
    Member { key, repository, top, instances, tag: Some("v1.2") }
}

/// An index with a gzip and a zstd instance for each platform; which one is taken depends on the taker.
fn twins(bases: &BTreeMap<&str, Layer>) -> Member {
    let key = "twins";
    let (mut index, mut instances) = (Index::new(Format::Oci), Vec::new());
    for platform in ["linux/amd64", "linux/arm64"] {
        let [gzip, zstd] = [Compression::Gzip, Compression::Zstd].map(|compression| {
            let image = Image::new(platform).layer(&bases[platform]).layer(&own_layer(platform, key, compression));
            image.command(&["/bin/cat", "/key"]).build()
        });
        index = index.entry(Entry::new(&gzip)).entry(Entry::zstd_twin(&zstd));
        instances.extend([gzip, zstd]);
    }
    let top = index.build();
    let repository = Repository::new("team/twins").instances(&instances).index(&top);
    Member { key, repository, top, instances, tag: None }
}
