//! The main job from end to end on an embedded registry: no network, no other program needed.
//!
//! `cargo run --release --example quickstart`
//!
//! Makes three images for four platforms and a release-info RPM that names them by index digest,
//! serves them on loopback, embeds them into a temporary root, and shows what was kept and saved.
//! Where skopeo is installed, a view is imported with the registry gone.

#![allow(clippy::print_stdout, reason = "an example talks")]

use anyhow::{Context as _, Result, bail, ensure};
use bootc_embed::cli;
use bootc_embed::model::manifest::{OCI_INDEX, OCI_MANIFEST};
use bootc_embed::model::plan::AliasMap;
use bootc_embed::model::{Digest, Platform, Reference};
use bootc_embed::serve::{Content, serve};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

const PLATFORMS: [&str; 4] = ["amd64", "arm64", "ppc64le", "s390x"];
const IMAGES: [&str; 3] = ["demo/web", "demo/database", "demo/queue"];

fn main() -> Result<ExitCode> {
    let work = tempfile::tempdir()?;
    let (layout, root) = (work.path().join("layout"), work.path().join("root"));
    let rpm = work.path().join("microshift-release-info.rpm");

    heading("1. A registry on loopback with three images for four platforms");
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let references = make_images(&layout, &address)?;
    let (stop, registry) = start_registry(&layout, listener)?;
    anstream::println!("serving at http://{address}");

    heading("2. A release-info RPM that names them by the digest of their index");
    make_rpm(&rpm, &references)?;
    let host = Platform::host();
    let known = PLATFORMS.contains(&host.architecture.as_str());
    let platform = if known { host } else { Platform::new("linux", "amd64") };
    let (input, platform) = (format!("rpm:{}", rpm.display()), platform.to_string());
    bootc_embed(&["list", &input, "--platform", &platform])?;

    heading("3. What it takes, and what is saved against a copy of all platforms");
    bootc_embed(&["plan", &input, "--platform", &platform, "--tls-verify=false"])?;

    heading("4. The main job: bootc-embed embed rpm:FILE --root DIR");
    let root_text = root.display().to_string();
    bootc_embed(&["embed", &input, "--root", &root_text, "--platform", &platform, "--tls-verify=false"])?;

    heading("5. Which index maps to which native digest (digest-aliases.json)");
    let store = root.join("usr/lib/bootc-embed");
    let aliases: AliasMap = serde_json::from_slice(&std::fs::read(store.join("digest-aliases.json"))?)?;
    for alias in &aliases.aliases {
        anstream::println!("{}", alias.reference);
        for (platform, digest) in &alias.instances {
            anstream::println!("    {platform} -> {digest}");
        }
    }

    heading("6. The registry is gone; does the index digest resolve?");
    drop(stop);
    registry.join().map_err(|_| anyhow::anyhow!("the registry panicked"))??;
    match import(&store, &aliases.aliases[0].reference, &platform, work.path())? {
        Some(line) => anstream::println!("{line}"),
        None => anstream::println!("skopeo is not installed; with it, the view would now be imported and looked up"),
    }
    anstream::println!("\nDone. In a Containerfile this is one line: RUN bootc-embed embed");
    Ok(ExitCode::SUCCESS)
}

fn heading(text: &str) {
    anstream::println!("\n\x1b[1m{text}\x1b[0m");
}

/// Runs the program as a user would, in this process.
fn bootc_embed(arguments: &[&str]) -> Result<()> {
    let code = cli::run(std::iter::once("bootc-embed").chain(arguments.iter().copied()));
    ensure!(code == ExitCode::SUCCESS, "bootc-embed {} failed", arguments.join(" "));
    Ok(())
}

/// Writes an OCI layout with all images; returns their references by index digest.
fn make_images(layout: &Path, address: &str) -> Result<Vec<String>> {
    std::fs::create_dir_all(layout.join("blobs/sha256"))?;
    let mut named = Vec::new();
    let mut references = Vec::new();
    for image in IMAGES {
        let mut instances = Vec::new();
        for architecture in PLATFORMS {
            // The base is the same for all images of a platform, so it must be stored once.
            let base = layer("base", architecture, 400_000)?;
            let own = layer(image, architecture, 60_000)?;
            let diff_ids: Vec<Digest> = [&base, &own].iter().map(|(tar, _)| Digest::of(tar)).collect();
            let config = json!({
                "architecture": architecture, "os": "linux", "config": { "Cmd": ["/hello"] },
                "rootfs": { "type": "layers", "diff_ids": diff_ids },
            });
            let layers = [base, own].map(|(_, gzip)| put(layout, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip));
            let layers: Vec<Value> = layers.into_iter().collect::<Result<_>>()?;
            let config = put(layout, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
            let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers });
            let mut entry = put(layout, OCI_MANIFEST, manifest.to_string().as_bytes())?;
            entry["platform"] = json!({ "os": "linux", "architecture": architecture });
            instances.push(entry);
        }
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": instances });
        // Registries serve what was pushed, odd white space included; its digest depends on it.
        let text = serde_json::to_string_pretty(&index)?.replace("  ", "\t") + "\n\n";
        let mut entry = put(layout, OCI_INDEX, text.as_bytes())?;
        references.push(format!("{address}/{image}@{}", Digest::of(text.as_bytes())));
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": format!("{address}/{image}:v1") });
        named.push(entry);
    }
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    std::fs::write(layout.join("index.json"), json!({ "schemaVersion": 2, "manifests": named }).to_string())?;
    Ok(references)
}

/// A layer with one file that compresses badly: the tar and its gzip form.
fn layer(name: &str, architecture: &str, size: usize) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut state = Digest::of(format!("{name} {architecture}").as_bytes());
    let mut noise = Vec::with_capacity(size);
    while noise.len() < size {
        noise.extend_from_slice(state.hex().as_bytes());
        state = Digest::of(&noise[noise.len() - 64..]);
    }
    let mut header = tar::Header::new_gnu();
    header.set_size(noise.len() as u64);
    header.set_mode(0o755);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, name, noise.as_slice())?;
    let tar = tar.into_inner()?;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar)?;
    Ok((tar, gzip.finish()?))
}

/// Writes a blob; returns its descriptor.
fn put(layout: &Path, media_type: &str, bytes: &[u8]) -> Result<Value> {
    let digest = Digest::of(bytes);
    std::fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes)?;
    Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
}

/// The registry in a thread of its own; it ends when the sender is dropped.
type Registry = (tokio::sync::oneshot::Sender<()>, std::thread::JoinHandle<Result<()>>);

fn start_registry(layout: &Path, listener: std::net::TcpListener) -> Result<Registry> {
    let content = Content::of_layout(layout)?;
    listener.set_nonblocking(true)?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let stopped = async {
                // An error only says that the sender is gone, which is what is waited for.
                let _ = stopped.await;
            };
            serve(content, listener, stopped).await
        })
    });
    Ok((stop, thread))
}

/// A release-info package as MicroShift makes them: no architecture, a file for each of two.
fn make_rpm(path: &Path, references: &[String]) -> Result<()> {
    let images: serde_json::Map<String, Value> =
        IMAGES.iter().zip(references).map(|(name, reference)| (name.replace("demo/", ""), json!(reference))).collect();
    let info = serde_json::to_string_pretty(&json!({ "release": { "base": "quickstart" }, "images": images }))?;
    let mut builder =
        rpm::PackageBuilder::new("microshift-release-info", "1.0", "MIT", "noarch", "Images of the quickstart");
    for architecture in ["x86_64", "aarch64"] {
        let place = format!("/usr/share/microshift/release/release-{architecture}.json");
        builder.with_file_contents(info.clone(), rpm::FileOptions::new(place))?;
    }
    builder.build()?.write_file(path)?;
    Ok(())
}

/// Imports a view with stock skopeo and looks its index up by digest; `None` without skopeo.
fn import(store: &Path, reference: &Reference, platform: &str, work: &Path) -> Result<Option<String>> {
    if Command::new("skopeo").arg("--version").output().is_err() {
        return Ok(None);
    }
    let (graph, run) = (work.join("storage"), work.join("run"));
    let name = format!("containers-storage:[vfs@{}+{}]{reference}", graph.display(), run.display());
    let view = format!("dir:{}", store.join(reference.key()).display());
    let architecture = platform.rsplit('/').next().unwrap_or(platform);
    let copy =
        ["--override-arch", architecture, "--insecure-policy", "copy", "--quiet", "--preserve-digests", &view, &name];
    let copied = Command::new("skopeo").args(copy).output()?;
    if !copied.status.success() {
        let reason = String::from_utf8_lossy(&copied.stderr);
        return Ok(Some(format!("skopeo cannot import here (it needs root or a user namespace): {}", reason.trim())));
    }
    let inspected = Command::new("skopeo").args(["inspect", "--raw", &name]).output()?;
    let digest = reference.digest().context("the quickstart names images by digest")?;
    if Digest::of(&inspected.stdout) != *digest {
        bail!("{reference} does not resolve: {}", String::from_utf8_lossy(&inspected.stderr));
    }
    Ok(Some(format!("imported by skopeo; `{reference}` resolves to its index, byte for byte")))
}
