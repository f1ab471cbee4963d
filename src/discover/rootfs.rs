//! An installed root: its release-info files, the pause image of its CRI-O, and the workloads that are
//! installed in it: MicroShift's manifests, quadlets, bootc's logically bound images.

use super::release_info::Files;
use super::{add, manifests, quadlet, read_folder};
use crate::model::tree::normal;
use crate::model::{Failure, Platforms, Release, Tree, crio};
use crate::target::{Keep, Wanted};
use anyhow::Result;
use cap_std_ext::RootDir;
use cap_std_ext::cap_std::ambient_authority;
use serde::Deserialize;
use std::io;
use std::path::Path;

/// Where release-info is installed.
pub const RELEASE_DIR: &str = "usr/share/microshift/release";
/// Where MicroShift has manifests: in `manifests`, and in each folder of `manifests.d`.
const MICROSHIFT_DIRS: [&str; 2] = ["usr/lib/microshift", "etc/microshift"];
/// MicroShift's configuration, and its drop-ins, which win over it.
const CONFIG: &str = "etc/microshift/config.yaml";
const CONFIG_DROP_INS: &str = "etc/microshift/config.d";
/// How often units may lead to files that were not wanted before.
const MAX_ROUNDS: usize = 3;

/// Finds the images of a root. Links in it are followed as if it were `/`.
pub fn discover(path: &Path, platforms: &Platforms) -> Result<Release> {
    let mut wanted = wanted(Wanted::default());
    let mut tree = read_folder(path, "root", &wanted)?;
    for _ in 0..MAX_ROUNDS {
        let missing = missing(&tree);
        if missing.is_empty() {
            break;
        }
        wanted = missing.iter().fold(wanted, |wanted, path| wanted.place(path, Keep::Text));
        tree = read_folder(path, "root", &wanted)?;
    }
    let release = discover_tree(&tree, platforms)?;
    require_some(&release)?;
    Ok(release)
}

/// Fails where a root names no image.
pub fn require_some(release: &Release) -> Result<()> {
    if release.is_empty() {
        return Err(Failure::usage(format!("`/{RELEASE_DIR}` holds no release-info file, and nothing else in the root names an image"))
            .hint("install `microshift-release-info`, or manifests in `/usr/lib/microshift/manifests.d`, or quadlets in `/usr/share/containers/systemd`; or name what does name images")
            .into());
    }
    Ok(())
}

/// Files that units of a root lead to and that were not read with it.
pub fn missing(tree: &Tree) -> Vec<String> {
    let mut missing = quadlet::missing(tree, &quadlet::DIRS);
    let roots = kustomize_paths(tree).into_iter().flatten().map(|path| {
        let fixed: Vec<&str> = path.split('/').take_while(|part| !part.contains(['*', '?', '['])).collect();
        fixed.join("/")
    });
    // The whole root is never read for a setting's sake.
    missing.extend(roots.filter(|root| !root.is_empty() && tree.get(root).is_none()));
    missing
}

/// Where MicroShift's configuration says that manifests are; `None` where it does not say so.
fn kustomize_paths(tree: &Tree) -> Option<Vec<String>> {
    #[derive(Deserialize, Default)]
    struct Config {
        #[serde(default)]
        manifests: Manifests,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase")]
    struct Manifests {
        kustomize_paths: Option<Vec<String>>,
    }
    let drop_ins = tree.names(CONFIG_DROP_INS).into_iter().map(|name| format!("{CONFIG_DROP_INS}/{name}"));
    let files = std::iter::once(CONFIG.to_owned()).chain(drop_ins);
    let configs = files.filter_map(|file| serde_yaml::from_slice::<Config>(tree.bytes(&file)?).ok());
    let paths = configs.filter_map(|config| config.manifests.kustomize_paths).next_back()?;
    Some(paths.iter().filter_map(|path| normal(path)).collect())
}

/// The folders that a path with `*` in it stands for.
fn folders_like(tree: &Tree, pattern: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for part in pattern.split('/') {
        let below = found.into_iter().flat_map(|dir| {
            let at = |name: &str| if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
            match part.split_once('*') {
                None => vec![at(part)],
                Some((start, end)) => {
                    let fits = |name: &&str| {
                        name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
                    };
                    tree.names(&dir).into_iter().filter(fits).map(at).collect()
                }
            }
        });
        found = below.collect();
    }
    found
}

/// Also wants the files of a root that [`discover_tree`] reads.
#[must_use]
pub fn wanted(wanted: Wanted) -> Wanted {
    let places = [RELEASE_DIR, crio::CONF, crio::DROP_INS, quadlet::BOUND_DIR];
    let places = places.into_iter().chain(MICROSHIFT_DIRS).chain(quadlet::DIRS);
    places.fold(wanted, |wanted, place| wanted.place(place, Keep::Text))
}

/// Finds the images that the files of a root name.
pub fn discover_tree(tree: &Tree, platforms: &Platforms) -> Result<Release> {
    let mut files = Files::default();
    for name in tree.names(RELEASE_DIR) {
        let file = format!("{RELEASE_DIR}/{name}");
        let read = || tree.bytes(&file).map(<[u8]>::to_vec).ok_or_else(|| io::Error::other("it leads to no file"));
        files.offer(name, &format!("/{file}"), platforms, read)?;
    }
    let has_release_info = !files.is_empty();
    let place = format!("`/{RELEASE_DIR}`");
    let mut release = if has_release_info { files.release(platforms, &place)? } else { Release::default() };
    let settings = crio::images(tree).map_err(|e| {
        let failure = Failure::usage("reading CRI-O's settings").because(e);
        failure.hint("CRI-O would not start with it either")
    })?;
    if let Some((file, image)) = settings.pause {
        add(&mut release, &format!("/{file}"), "crio.image.pause_image".to_owned(), &image)?;
    }
    for dir in manifest_dirs(tree) {
        // MicroShift applies folders with a kustomization, and no others.
        if !tree.names(&dir).into_iter().any(manifests::is_kustomization) {
            continue;
        }
        release.merge(manifests::discover_tree(tree, &dir, "/", platforms));
    }
    release.merge(quadlet::discover_tree(tree, &quadlet::DIRS, "/", platforms));
    release.merge(quadlet::discover_bound(tree, "/", platforms));
    Ok(release)
}

/// The folders of manifests that MicroShift applies.
fn manifest_dirs(tree: &Tree) -> Vec<String> {
    let default =
        || MICROSHIFT_DIRS.iter().flat_map(|dir| ["manifests", "manifests.d/*"].map(|name| format!("{dir}/{name}")));
    let patterns = kustomize_paths(tree).unwrap_or_else(|| default().collect());
    patterns.iter().flat_map(|pattern| folders_like(tree, pattern)).collect()
}

/// Whether a root has CRI-O; a root that does not exist yet has none.
pub fn has_crio(path: &Path) -> bool {
    let root = RootDir::open_ambient_root(path, ambient_authority());
    root.is_ok_and(|root| ["etc/crio", "usr/bin/crio"].iter().any(|path| root.open(path).is_ok()))
}
