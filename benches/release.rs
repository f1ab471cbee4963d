//! What it takes to prune a whole release: `cargo bench --bench release`.
//!
//! Makes a release of 190 components for four platforms, three small layers each, pushes it to the real
//! `docker-registry`, and has this program prune it to two platforms into another one, twice. Prints seconds, requests and
//! the peak of memory; fails where that is more than 128 MiB.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a program for developers")]

#[path = "../tests/it/support/command.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod command;
#[path = "../tests/it/support/docker_registry.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod docker_registry;
#[path = "../tests/it/support/fixture/mod.rs"]
#[allow(dead_code, unused_imports, reason = "tests need more of it")]
mod fixture;
#[allow(dead_code, reason = "another benchmark needs more of it")]
mod support;

use docker_registry::DockerRegistry;
use fixture::{Blob, Compression, Format, Image, Index, Instance, Layer, Repository};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The most memory that pruning may take, in KiB.
const LIMIT: u64 = 128 * 1024;
const COMPONENTS: usize = 190;
const PLATFORMS: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/ppc64le", "linux/s390x"];

fn main() {
    // `cargo test --all-targets` starts benchmarks too, to see that they still can be.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    let (source, destination) = (DockerRegistry::start(), DockerRegistry::start());
    let names = components(&source);
    release(&source, &names);
    for round in ["first", "second"] {
        let (before, read) = (destination.requests().len(), source.requests().len());
        let (seconds, peak) = prune(&source, &destination);
        let requests = destination.requests();
        let written = requests[before..].iter().filter(|request| !["GET", "HEAD"].contains(&request.method.as_str()));
        println!(
            "{round} run: {seconds:.1} s, {} requests to the source, {} to the destination, {} of them writes; peak memory {} MiB",
            source.requests().len() - read,
            requests.len() - before,
            written.count(),
            peak >> 10
        );
        assert!(peak < LIMIT, "more than {LIMIT} KiB");
    }
}

/// Pushes the components; tells their pullspecs.
fn components(source: &DockerRegistry) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for number in 0..COMPONENTS {
        let name = if number == 0 { "pod".to_owned() } else { format!("component-{number}") };
        let instances: Vec<Instance> = PLATFORMS.iter().map(|platform| instance(&name, number, platform)).collect();
        let index: Blob = Index::new(Format::Docker).instances(&instances).build();
        let repository = Repository::new("release/components").instances(&instances).index(&index);
        source.push(&repository);
        names.push((name, repository.pinned(source.host(), &index)));
    }
    names
}

fn instance(name: &str, number: usize, platform: &str) -> Instance {
    let layer = |text: &str, times| Layer::new(&[("file", text.repeat(times).as_bytes())], Compression::Gzip);
    Image::new(platform)
        .format(Format::Docker)
        .layer(&layer(platform, 3000))
        .layer(&layer(&format!("{platform} {}", number / 10), 3000))
        .layer(&layer(&format!("{platform} {name}"), 3000))
        .build()
}

/// Pushes the release, with manifests of some MiB as real ones have.
fn release(source: &DockerRegistry, names: &[(String, String)]) {
    let tag = |(name, pullspec): &(String, String)| json!({ "name": name, "from": { "kind": "DockerImage", "name": pullspec } });
    let tags: Vec<Value> = names.iter().map(tag).collect();
    let stream = json!({ "kind": "ImageStream", "apiVersion": "image.openshift.io/v1",
                         "metadata": { "name": "4.99.0" }, "spec": { "tags": tags } });
    let metadata = json!({ "kind": "cincinnati-metadata-v0", "version": "4.99.0",
                           "metadata": { "release.openshift.io/architecture": "multi" } });
    let (stream, metadata) = (stream.to_string(), metadata.to_string());
    let mut files: Vec<(String, String)> =
        vec![("image-references".into(), stream), ("release-metadata".into(), metadata)];
    for (number, (name, pullspec)) in names.iter().enumerate() {
        let text = format!("# {name}\nimage: {pullspec}\n")
            + &format!("field-{number}: some text of a manifest\n").repeat(1500);
        files.push((format!("0000_50_{name}.yaml"), text));
    }
    let files: Vec<(String, String)> =
        files.into_iter().map(|(name, text)| (format!("release-manifests/{name}"), text)).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let payload = Layer::new(&files, Compression::Gzip);
    let images: Vec<Instance> = PLATFORMS
        .iter()
        .map(|platform| {
            let base = Layer::new(&[("cvo", platform.as_bytes())], Compression::Gzip);
            Image::new(platform).format(Format::Docker).layer(&base).layer(&payload).build()
        })
        .collect();
    let index = Index::new(Format::Docker).instances(&images).build();
    source.push(&Repository::new("release/ocp").instances(&images).index(&index).tag("v1", &index));
}

/// Seconds, and the peak of memory in KiB.
fn prune(source: &DockerRegistry, destination: &DockerRegistry) -> (f64, u64) {
    let start = Instant::now();
    let mut pruning = Command::new(env!("CARGO_BIN_EXE_bootc-embed"))
        .args(["prune-release", "--tls-verify=false", "--quiet", "--platform=linux/amd64", "--platform=linux/arm64"])
        .arg(format!("--to={}/edge/release:v1", destination.host()))
        .arg(format!("--to-components={}/edge/components", destination.host()))
        .arg(format!("{}/release/ocp:v1", source.host()))
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let (process, mut peak) = (pruning.id().to_string(), 0);
    let status = loop {
        peak = support::peak(&process).unwrap_or(0).max(peak);
        if let Some(status) = pruning.try_wait().expect("the program ends") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "it failed");
    (start.elapsed().as_secs_f64(), peak)
}
