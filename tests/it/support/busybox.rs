//! Real root file systems for real architectures: Debian's static busybox.
//!
//! They are downloaded with apt once and kept below `target/`.

use super::command::{program, run};
use super::fixture::{Compression, Layer};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The command names that the root file systems have.
const APPLETS: [&str; 6] = ["sh", "echo", "cat", "uname", "ls", "sleep"];

/// Architectures as Debian calls them, with the platforms of images.
const ARCHITECTURES: [(&str, &str); 5] = [
    ("linux/amd64", "amd64"),
    ("linux/arm64", "arm64"),
    ("linux/ppc64le", "ppc64el"),
    ("linux/s390x", "s390x"),
    ("linux/arm/v7", "armhf"),
];

/// The platforms that there is a busybox for.
pub const PLATFORMS: [&str; 5] = ["linux/amd64", "linux/arm64", "linux/ppc64le", "linux/s390x", "linux/arm/v7"];

/// The platform of this machine.
///
/// # Panics
/// If there is no busybox for it.
pub fn native() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        "powerpc64" => "linux/ppc64le",
        "s390x" => "linux/s390x",
        other => panic!("there is no busybox for tests on {other}"),
    }
}

/// A root file system for a platform of [`PLATFORMS`]: `/bin/busybox` and a few names for it.
///
/// # Panics
/// If it is neither kept from an earlier run nor can be downloaded.
pub fn layer(platform: &str) -> Layer {
    // Many tests want the same few, and to compress them takes longer than most tests.
    static MADE: Mutex<BTreeMap<String, Layer>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(layer) = made.get(platform) {
        return layer.clone();
    }
    let layer = make_layer(platform);
    made.insert(platform.to_owned(), layer.clone());
    layer
}

fn make_layer(platform: &str) -> Layer {
    let busybox = executable(platform);
    let names: Vec<String> = APPLETS.iter().map(|name| format!("bin/{name}")).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("bin/busybox", &busybox)];
    files.extend(names.iter().map(|name| (name.as_str(), &b"->busybox"[..])));
    Layer::new(&files, Compression::Gzip)
}

/// The program itself, downloaded if need be.
fn executable(platform: &str) -> Vec<u8> {
    let known = ARCHITECTURES.iter().find(|(name, _)| *name == platform);
    let (_, architecture) = known.unwrap_or_else(|| panic!("there is no busybox for {platform}"));
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("busybox");
    let kept = cache.join(architecture);
    if let Ok(bytes) = fs::read(&kept) {
        return bytes;
    }
    fs::create_dir_all(&cache).expect("make the folder that keeps busybox");
    let bytes = download(architecture, &cache);
    let whole = tempfile::NamedTempFile::new_in(&cache).expect("make a file to keep busybox in");
    fs::write(whole.path(), &bytes).expect("keep busybox");
    whole.persist(&kept).expect("put busybox to its place");
    bytes
}

/// Downloads the package with apt, with a state of its own: the machine's is for its own architecture.
fn download(architecture: &str, cache: &Path) -> Vec<u8> {
    let work = tempfile::tempdir_in(cache).expect("make a folder for apt");
    for folder in ["state/lists/partial", "cache/archives/partial", "packages"] {
        fs::create_dir_all(work.path().join(folder)).expect("make a folder of apt");
    }
    fs::write(work.path().join("status"), "").expect("write apt's list of packages");
    let apt = |words: &[&str]| run(apt_get(architecture, work.path()).args(words));
    // One broken list of several, as while a mirror is being renewed, need not matter: apt goes on
    // with the lists that are whole, and checks what it downloads against those.
    let lists = apt(&["update"]);
    let downloaded = apt(&["download", "busybox-static"]);
    assert!(
        downloaded.code == Some(0),
        "cannot download busybox-static for {architecture}: this test needs apt with the package sources of \
         Debian\n{lists}\n{downloaded}"
    );
    let package = only_file(&work.path().join("packages"));
    let unpacked = run(program("dpkg-deb", work.path()).arg("--fsys-tarfile").arg(package)).success();
    let mut archive = tar::Archive::new(unpacked.output.as_slice());
    for entry in archive.entries().expect("read the package") {
        let mut entry = entry.expect("read the package");
        // `/bin/busybox` in older releases, `/usr/bin/busybox` in newer ones.
        if entry.path().is_ok_and(|path| path.ends_with("bin/busybox")) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("read busybox out of its package");
            return bytes;
        }
    }
    panic!("the package busybox-static for {architecture} has no busybox")
}

fn apt_get(architecture: &str, work: &Path) -> Command {
    let mut apt = program("apt-get", work);
    // The way to the package mirror is the machine's business.
    for name in ["http_proxy", "https_proxy", "no_proxy"] {
        if let Ok(value) = std::env::var(name) {
            apt.env(name, value);
        }
    }
    apt.current_dir(work.join("packages")).arg("--quiet");
    for option in [
        format!("APT::Architecture={architecture}"),
        format!("APT::Architectures={architecture}"),
        format!("Dir::State={}", work.join("state").display()),
        format!("Dir::State::status={}", work.join("status").display()),
        format!("Dir::Cache={}", work.join("cache").display()),
        "APT::Sandbox::User=root".to_owned(),
        "Acquire::Languages=none".to_owned(),
        "Acquire::Retries=3".to_owned(),
    ] {
        apt.arg("-o").arg(option);
    }
    apt
}

fn only_file(folder: &Path) -> PathBuf {
    let mut entries = fs::read_dir(folder).expect("read the folder of packages").filter_map(Result::ok);
    entries.next().expect("apt has downloaded a package").path()
}
