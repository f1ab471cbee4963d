//! Real RPM packages, made by rpmbuild.

use super::command::{program, run};
use std::fs;
use std::path::{Path, PathBuf};

/// How the payload is compressed: zstd on Enterprise Linux 9, xz on 8, gzip before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// zstd.
    Zstd,
    /// xz.
    Xz,
    /// gzip.
    Gzip,
}

impl Payload {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Xz, Self::Gzip];

    fn macro_value(self) -> &'static str {
        match self {
            Self::Zstd => "w19.zstdio",
            Self::Xz => "w7.xzdio",
            Self::Gzip => "w9.gzdio",
        }
    }
}

/// Builds a noarch package in `directory`, and says where it is. Paths are absolute, as installed.
///
/// # Panics
/// If rpmbuild is missing or fails.
pub fn build(directory: &Path, name: &str, files: &[(&str, &[u8])], payload: Payload) -> PathBuf {
    let top = tempfile::tempdir_in(directory).expect("make a folder for rpmbuild");
    let content = top.path().join("content");
    for (path, bytes) in files {
        let file = content.join(path.trim_start_matches('/'));
        let folder = file.parent().expect("a file of a package has a folder");
        fs::create_dir_all(folder).expect("make a folder of the package");
        fs::write(&file, bytes).expect("write a file of the package");
    }
    let spec = top.path().join("package.spec");
    fs::write(&spec, specification(name, &content, files)).expect("write the spec file");
    let finished = run(program("rpmbuild", top.path())
        .args(["-bb", "--quiet"])
        .arg("--define")
        .arg(format!("_topdir {}", top.path().display()))
        .arg("--define")
        .arg(format!("_tmppath {}", top.path().display()))
        .arg("--define")
        .arg(format!("_binary_payload {}", payload.macro_value()))
        .arg(&spec))
    .success();
    let built = top.path().join(format!("RPMS/noarch/{name}-1.0-1.noarch.rpm"));
    assert!(built.is_file(), "rpmbuild wrote no {}\n{finished}", built.display());
    let place = directory.join(format!("{name}-1.0-1.noarch.rpm"));
    fs::rename(&built, &place).expect("move the package to its place");
    place
}

fn specification(name: &str, content: &Path, files: &[(&str, &[u8])]) -> String {
    let list: String = files.iter().map(|(path, _)| format!("{path}\n")).collect();
    // Digests of files are sha256, as in the packages of Enterprise Linux.
    format!(
        "%define _binary_filedigest_algorithm 8\n\
         Name: {name}\nVersion: 1.0\nRelease: 1\nSummary: A package for a test\nLicense: MIT\nBuildArch: noarch\n\
         %description\nA package for a test.\n\
         %install\nmkdir -p %{{buildroot}}\ncp -a {content}/. %{{buildroot}}/\n\
         %files\n{list}",
        content = content.display()
    )
}
