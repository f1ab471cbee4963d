//! An installed root: its release-info files and the pause image of its CRI-O.

use super::add;
use super::release_info::Files;
use crate::model::{Failure, Platforms, Release};
use anyhow::{Context as _, Result};
use cap_std_ext::RootDir;
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use serde::Deserialize;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

/// Where release-info is installed.
pub const RELEASE_DIR: &str = "usr/share/microshift/release";
/// CRI-O's configuration, and its drop-ins, which win over it.
const CRIO_CONF: &str = "etc/crio/crio.conf";
const CRIO_DROP_INS: &str = "etc/crio/crio.conf.d";
/// The most bytes of one configuration file.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// Finds the images of a root. Links in it are followed as if it were `/`.
pub fn discover(path: &Path, platforms: &Platforms) -> Result<Release> {
    let root = open(path)?;
    let mut files = Files::default();
    for name in names(&root, RELEASE_DIR)? {
        let file = format!("{RELEASE_DIR}/{name}");
        files.offer(&name, &format!("/{file}"), platforms, || read(&root, &file))?;
    }
    let mut release = files.release(platforms, &format!("`/{RELEASE_DIR}`"))?;
    if let Some((file, image)) = pause_image(&root)? {
        add(&mut release, &format!("/{file}"), "crio.image.pause_image".to_owned(), &image)?;
    }
    Ok(release)
}

/// Whether a root has CRI-O; a root that does not exist yet has none.
pub fn has_crio(path: &Path) -> bool {
    let root = open(path);
    root.is_ok_and(|root| ["etc/crio", "usr/bin/crio"].iter().any(|path| root.open(path).is_ok()))
}

fn open(path: &Path) -> Result<RootDir> {
    Ok(RootDir::open_ambient_root(path, ambient_authority()).map_err(|e| {
        Failure::usage(format!("the root `{}` cannot be opened", path.display()))
            .because(e)
            .hint("name a folder that holds an installed system")
    })?)
}

/// The names in a folder of the root, sorted; none where there is no such folder.
fn names(root: &RootDir, dir: &str) -> Result<Vec<String>> {
    let list = || -> io::Result<Vec<String>> {
        let Some(folder) = root.open_optional(dir)? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in Dir::from_std_file(folder).entries()? {
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    };
    list().with_context(|| format!("listing `/{dir}`"))
}

fn read(root: &RootDir, path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    root.open(path)?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The pause image and the file that sets it; the last file that does wins, as in CRI-O.
fn pause_image(root: &RootDir) -> Result<Option<(String, String)>> {
    let drop_ins = names(root, CRIO_DROP_INS)?.into_iter().map(|name| format!("{CRIO_DROP_INS}/{name}"));
    let mut found = None;
    for file in std::iter::once(CRIO_CONF.to_owned()).chain(drop_ins) {
        let bytes = match read(root, &file) {
            Ok(bytes) => bytes,
            // Folders among the drop-ins, and a main file that is not there.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => continue,
            Err(e) => return Err(e).with_context(|| format!("reading `/{file}`")),
        };
        let text = String::from_utf8_lossy(&bytes);
        if let Some(image) = parse_pause_image(&text).with_context(|| format!("reading `/{file}`"))? {
            found = Some((file, image));
        }
    }
    Ok(found.filter(|(_, image)| !image.is_empty()))
}

/// `pause_image` of a CRI-O configuration file.
fn parse_pause_image(text: &str) -> Result<Option<String>> {
    #[derive(Deserialize, Default)]
    struct Conf {
        #[serde(default)]
        crio: Crio,
    }
    #[derive(Deserialize, Default)]
    struct Crio {
        #[serde(default)]
        image: Image,
    }
    #[derive(Deserialize, Default)]
    struct Image {
        pause_image: Option<String>,
    }
    let conf: Conf = toml::from_str(text).map_err(|e| {
        Failure::usage("not a CRI-O configuration")
            .because(e.message().to_owned())
            .hint("CRI-O would not start with it either")
    })?;
    Ok(conf.crio.image.pause_image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_image_is_found_among_other_settings() {
        let text =
            "[crio.runtime]\nx = 1\n[crio.image]\nglobal_auth_file=\"/x\"\npause_image = \"quay.io/a/pod@sha256:00\"\n";
        assert_eq!(parse_pause_image(text).unwrap().unwrap(), "quay.io/a/pod@sha256:00");
        assert_eq!(parse_pause_image("[crio]\n").unwrap(), None);
        assert!(parse_pause_image("[crio.image\n").is_err());
    }
}
