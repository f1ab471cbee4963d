//! Folders as inputs: what kind a folder is of, and reading those of manifests and quadlets.

use super::{Kind, manifests, quadlet, release_info, rootfs};
use crate::model::progress::Silent;
use crate::model::{Failure, Platforms, Release, Tree};
use crate::target::{Keep, Wanted, folder};
use anyhow::{Context as _, Result};
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use std::path::Path;

/// How deep it is looked for manifests, and at how many files, to tell what a folder is.
const MAX_DEPTH: usize = 3;
const MAX_LOOKED_AT: usize = 1_000;
/// How often units may lead to files that were not wanted before.
const MAX_ROUNDS: usize = 3;

/// What a folder is: a root, or a folder of release-info files, quadlets or manifests.
pub fn kind(path: &Path) -> Result<Kind> {
    if path.join(rootfs::RELEASE_DIR).is_dir() || (path.join("usr").is_dir() && path.join("etc").is_dir()) {
        return Ok(Kind::Rootfs);
    }
    let names: Vec<String> =
        std::fs::read_dir(path)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    if names.iter().any(|name| release_info::file_architecture(name).is_some()) {
        return Ok(Kind::ReleaseInfo);
    }
    if names.iter().any(|name| quadlet::extension(name).is_some()) {
        return Ok(Kind::Quadlets);
    }
    if holds_yaml(path, MAX_DEPTH, &mut 0) {
        return Ok(Kind::Manifests);
    }
    Err(Failure::usage("the folder is neither an installed root nor does it hold release-info files, quadlets or manifests")
        .hint("a root has `usr` and `etc`; release-info files are named `release-x86_64.json` or `release-<component>-aarch64.json`; manifests `*.yaml`")
        .into())
}

fn holds_yaml(path: &Path, depth: usize, looked_at: &mut usize) -> bool {
    let Ok(entries) = std::fs::read_dir(path) else { return false };
    for entry in entries.filter_map(Result::ok) {
        *looked_at += 1;
        if *looked_at > MAX_LOOKED_AT {
            return false;
        }
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let is_yaml = || manifests::is_manifest(&name) && !name.ends_with(".json") && path.is_file();
        let is_folder = || depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_yaml() || (is_folder() && holds_yaml(&path, depth - 1, looked_at)) {
            return true;
        }
    }
    false
}

/// Reads a folder that the user named; `what` it should be.
pub fn read_folder(path: &Path, what: &str, wanted: &Wanted) -> Result<Tree> {
    let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(|e| {
        let hint = if what == "root" { "name a folder that holds an installed system" } else { "check the path" };
        Failure::usage(format!("the {what} `{}` cannot be opened", path.display())).because(e).hint(hint)
    })?;
    folder::read(&dir, wanted, &Silent).with_context(|| format!("reading the {what} `{}`", path.display()))
}

/// Finds the images of a folder of manifests.
pub fn manifests(path: &Path, platforms: &Platforms) -> Result<Release> {
    // Names first: a working copy holds much that is no manifest.
    let names = read_folder(path, "folder", &Wanted::default().place("", Keep::Name))?;
    let files = names.iter().map(|(path, _)| path).filter(|path| {
        let name = path.rsplit('/').next().unwrap_or(path);
        manifests::is_manifest(name)
    });
    let tree =
        read_folder(path, "folder", &files.fold(Wanted::default(), |wanted, path| wanted.place(path, Keep::Text)))?;
    Ok(manifests::discover_tree(&tree, "", &prefix(path), platforms))
}

/// Finds the images of a folder of quadlets, or of one of them.
pub fn quadlets(path: &Path, platforms: &Platforms) -> Result<Release> {
    if path.is_dir() {
        let tree = read_folder(path, "folder", &Wanted::default().place("", Keep::Text))?;
        return Ok(quadlet::discover_tree(&tree, &[""], &prefix(path), platforms));
    }
    let name = path.file_name().and_then(|name| name.to_str()).filter(|name| quadlet::extension(name).is_some());
    let Some(name) = name else {
        return Err(Failure::usage("it is not a quadlet, by its name")
            .hint("quadlets are named `*.container`, `*.image`, `*.volume` or `*.kube`")
            .into());
    };
    if !path.exists() {
        return Err(Failure::usage("there is no such file").hint("check the path").into());
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut wanted = Wanted::default().place(name, Keep::Text);
    // It may name image units beside it, and have drop-ins there.
    for entry in std::fs::read_dir(dir)?.filter_map(Result::ok) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_drop_ins = name
            .strip_suffix(".d")
            .is_some_and(|of| quadlet::extension(&format!("x.{of}")).or(quadlet::extension(of)).is_some());
        if quadlet::extension(&name) == Some("image") || is_drop_ins {
            wanted = wanted.place(&name, Keep::Text);
        }
    }
    let mut tree = read_folder(dir, "folder", &wanted)?;
    for _ in 0..MAX_ROUNDS {
        wanted = quadlet::missing(&tree, &[""]).iter().fold(wanted, |wanted, path| wanted.place(path, Keep::Text));
        tree = read_folder(dir, "folder", &wanted)?;
    }
    let prefix = if dir == Path::new(".") { String::new() } else { prefix(dir) };
    Ok(quadlet::discover_file(&tree, name, &prefix, platforms))
}

/// What stands before paths in a folder.
fn prefix(path: &Path) -> String {
    let path = path.to_string_lossy();
    if path.ends_with('/') { path.into_owned() } else { format!("{path}/") }
}
