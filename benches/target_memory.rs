//! How much memory it takes to read an image of several GiB: `cargo bench --bench target_memory`.
//!
//! Makes an OCI layout of 3 GiB (one layer of four large files that do not compress, one of 100,000 small
//! files) in a temporary folder, reads it, and prints bytes, seconds and the peak of this process's memory.
//! Fails where that is more than 128 MiB. Made layers are read in a process of their own, so that making
//! them does not count.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a program for developers")]

use bootc_embed::model::progress::Silent;
use bootc_embed::model::{Digest, Platform};
use bootc_embed::target::image::read;
use bootc_embed::target::layout::Layout;
use bootc_embed::target::{Keep, LayoutName, Wanted};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufWriter, Read};
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use support::{Hashed, Noise, peak};

mod support;

/// The most memory that reading may take, in KiB.
const LIMIT: u64 = 128 * 1024;
const LARGE_FILES: u64 = 4;
const LARGE_FILE: u64 = 768 << 20;
const SMALL_FILES: u64 = 100_000;

fn main() {
    if let Some(path) = std::env::var_os("TARGET_MEMORY_LAYOUT") {
        return measure(Path::new(&path));
    }
    // `cargo test --all-targets` starts benchmarks too, to see that they still can be.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    make(folder.path());
    let own = std::env::current_exe().expect("this program is a file");
    let status = Command::new(own).env("TARGET_MEMORY_LAYOUT", folder.path()).status();
    assert!(status.is_ok_and(|status| status.success()), "reading takes too much memory, or failed");
}

fn measure(path: &Path) {
    let name = LayoutName { path: path.to_owned(), reference: None };
    let source = Layout::folder(&name).expect("the layout was made");
    // Each large file is hashed; of the small ones every tenth is kept.
    let wanted = Wanted::default().place("usr/large", Keep::Blob).place("usr/small/0", Keep::Text);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let before = own_peak();
    let start = Instant::now();
    let root = runtime.block_on(read(&source, &wanted, &Platform::host(), &Silent)).expect("the image can be read");
    let seconds = start.elapsed().as_secs_f64();
    let blobs = fs::read_dir(path.join("blobs/sha256")).expect("the layout was made");
    let bytes: u64 = blobs.flatten().filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum();
    let rate = u32::try_from(bytes >> 20).map_or(f64::NAN, |mib| f64::from(mib) / seconds);
    println!("{bytes} bytes in {seconds:.1} s ({rate:.0} MiB/s), {} nodes", root.tree.iter().count());
    println!("peak memory {} KiB, before {before} KiB", own_peak());
    assert!(own_peak() < LIMIT, "more than {LIMIT} KiB");
}

fn own_peak() -> u64 {
    peak("self").expect("Linux tells of processes")
}

fn make(path: &Path) {
    fs::create_dir_all(path.join("blobs/sha256")).expect("a folder can be made");
    let mut noise = Noise::default();
    let large = layer(path, |archive| {
        for number in 0..LARGE_FILES {
            append(archive, &format!("usr/large/{number}"), LARGE_FILE, (&mut noise).take(LARGE_FILE));
        }
    });
    let small = layer(path, |archive| {
        for number in 0..SMALL_FILES {
            let text = format!("file {number}\n").repeat(10);
            append(archive, &format!("usr/small/{}/{number}", number % 10), text.len() as u64, text.as_bytes());
        }
    });
    let (layers, diff_ids): (Vec<Value>, Vec<String>) = [large, small].into_iter().unzip();
    let platform = Platform::host();
    let config = json!({ "os": platform.os, "architecture": platform.architecture,
                         "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let config = blob(path, "application/vnd.oci.image.config.v1+json", &config);
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
    let manifest = blob(path, "application/vnd.oci.image.manifest.v1+json", &manifest);
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(path.join("index.json"), index.to_string()).expect("a file can be written");
    fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a file can be written");
}

fn blob(path: &Path, media_type: &str, value: &Value) -> Value {
    let bytes = value.to_string();
    let digest = Digest::of(bytes.as_bytes());
    fs::write(path.join("blobs/sha256").join(digest.hex()), &bytes).expect("a file can be written");
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

type Archive = tar::Builder<Hashed<GzEncoder<Hashed<BufWriter<File>>>>>;

fn append(archive: &mut Archive, name: &str, size: u64, content: impl Read) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(size);
    archive.append_data(&mut header, name, content).expect("an archive can be written");
}

/// Writes a layer; its descriptor and its uncompressed digest.
fn layer(path: &Path, fill: impl FnOnce(&mut Archive)) -> (Value, String) {
    let unnamed = path.join("blobs/sha256/unnamed");
    let file = BufWriter::new(File::create(&unnamed).expect("a file can be made"));
    let encoder = GzEncoder::new(Hashed::new(file), Compression::fast());
    let mut archive = tar::Builder::new(Hashed::new(encoder));
    fill(&mut archive);
    let unpacked = archive.into_inner().expect("an archive can be finished");
    let stored = unpacked.to.finish().expect("a layer can be finished");
    let (digest, size) = (stored.hasher.finish(), stored.size);
    stored.to.into_inner().expect("a layer can be written");
    fs::rename(unnamed, path.join("blobs/sha256").join(digest.hex())).expect("a file can be renamed");
    let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    (json!({ "mediaType": media_type, "digest": digest, "size": size }), unpacked.hasher.finish().to_string())
}
