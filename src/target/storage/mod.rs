//! `Storage`: what a containers-storage holds, read as plain files, without the program that wrote it
//! and without being its user. Which of it a reference finds is in `resolution`.
//!
//! Format: containers/storage, `images.go`, `layers.go`. In the root of a storage, per driver:
//! ```text
//! <driver>-images/images.json       records of images
//! <driver>-images/<id>/<file>       their manifests, config and signatures: "big data", by a key
//! <driver>-layers/layers.json       records of layers, each with its parent
//! overlay/<layer>/diff, vfs/dir/<layer>
//! ```

mod resolution;

pub use resolution::Resolution;

use super::error::foreign;
use super::{Error, io_error};
use crate::model::manifest::MAX_MANIFEST_SIZE;
use crate::model::{Digest, Hasher};
use base64::Engine as _;
use cap_std_ext::cap_std::fs::Dir;
use serde::Deserialize;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read as _;

/// The drivers that this reads; the first is that of real hosts.
const DRIVERS: [&str; 2] = ["overlay", "vfs"];
/// The most bytes of a file with records. A device has some hundred images.
const MAX_RECORDS: u64 = 64 * 1024 * 1024;
/// The most bytes of manifests, configs and what else images have beside layers that are read, of all images.
const MAX_READ: usize = 256 * 1024 * 1024;
/// What each name of such a thing, and each layer of an image, counts for among them: images may share
/// what is small in their records and long when it is followed.
const STEP: usize = 1024;
/// What the keys of manifests begin with.
const MANIFEST: &str = "manifest";

/// The images of a storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// In the order of their records.
    pub images: Vec<StoredImage>,
}

/// One image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredImage {
    /// 64 hex digits; for most images those of the config's digest.
    pub id: String,
    /// What it is called.
    pub names: Vec<String>,
    /// Indexes and instances: key, such as `manifest-sha256:…`, and bytes.
    pub manifests: Vec<(String, Vec<u8>)>,
    /// Where it was kept.
    pub config: Option<Vec<u8>>,
    /// Ids of its layers, uppermost first.
    pub layers: Vec<String>,
    /// What should be there and is not, or is other than its record says.
    pub missing: Vec<String>,
}

/// A record of an image.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct ImageRecord {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    layer: String,
    #[serde(default)]
    big_data_names: Option<Vec<String>>,
    #[serde(default)]
    big_data_sizes: Option<BTreeMap<String, i64>>,
    #[serde(default)]
    big_data_digests: Option<BTreeMap<String, String>>,
}

/// A record of a layer.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
pub struct LayerRecord {
    id: String,
    #[serde(default)]
    parent: String,
    #[serde(default)]
    flags: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The records of an `images.json`.
pub fn parse_images(bytes: &[u8]) -> Result<Vec<ImageRecord>, Error> {
    let records: Vec<ImageRecord> =
        serde_json::from_slice(bytes).map_err(|e| Error::Malformed(format!("images.json cannot be read: {e}")))?;
    match records.iter().find(|record| !is_id(&record.id)) {
        Some(record) => Err(Error::Malformed(format!("images.json has an image of the id `{}`", foreign(&record.id)))),
        None => Ok(records),
    }
}

/// The records of a `layers.json`.
pub fn parse_layers(bytes: &[u8]) -> Result<Vec<LayerRecord>, Error> {
    serde_json::from_slice(bytes).map_err(|e| Error::Malformed(format!("layers.json cannot be read: {e}")))
}

/// Whether an id is one, and so can be a file's name.
fn is_id(text: &str) -> bool {
    Digest::from_hex(text).is_ok()
}

/// The name of the file that holds the data of a key (containers/storage, `makeBigDataBaseName`).
/// `None` where it would be no name of a file.
fn file_name(key: &str) -> Option<String> {
    if key.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'.') {
        return Some(key.to_owned()).filter(|key| !["", ".", ".."].contains(&key.as_str()));
    }
    let name = format!("={}", base64::engine::general_purpose::STANDARD.encode(key));
    Some(name).filter(|name| !name.contains('/') && name.len() <= 255)
}

/// Reads the root of a storage. One without any image is empty; a folder that is none is an error.
pub fn read(root: &Dir) -> Result<Storage, Error> {
    read_at_most(root, MAX_READ)
}

fn read_at_most(root: &Dir, most: usize) -> Result<Storage, Error> {
    let mut storage = Storage::default();
    let (left, mut found) = (Cell::new(most), false);
    for driver in DRIVERS {
        let images = small(root, &format!("{driver}-images/images.json"), MAX_RECORDS)?;
        let images = images.as_deref().map(parse_images).transpose()?;
        let mut layers = HashMap::new();
        // The second file has layers that need not survive a restart.
        for file in ["layers.json", "volatile-layers.json"] {
            let records = small(root, &format!("{driver}-layers/{file}"), MAX_RECORDS)?;
            let records = records.as_deref().map(parse_layers).transpose()?.unwrap_or_default();
            layers.extend(records.into_iter().map(|record| (record.id.clone(), record)));
        }
        found |= images.is_some() || !layers.is_empty() || root.is_dir(format!("{driver}-images"));
        for record in images.unwrap_or_default() {
            storage.images.push(Reader { root, driver, layers: &layers, left: &left }.image(record)?);
        }
    }
    if found {
        return Ok(storage);
    }
    Err(Error::NoImage {
        message: "this is no containers-storage of the drivers overlay or vfs".to_owned(),
        hint: "name the folder that has `overlay-images`, for example `/var/lib/containers/storage`".to_owned(),
    })
}

/// A file of limited size; `None` where there is none.
fn small(root: &Dir, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    match root.metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(Error::Malformed(format!("`/{path}` is no file"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error(path)(e)),
    }
    let mut bytes = Vec::new();
    let file = root.open(path).map_err(io_error(path))?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io_error(path))?;
    if bytes.len() as u64 > limit {
        return Err(Error::Malformed(format!("`/{path}` has more than {} MiB", limit >> 20)));
    }
    Ok(Some(bytes))
}

struct Reader<'r> {
    root: &'r Dir,
    driver: &'static str,
    layers: &'r HashMap<String, LayerRecord>,
    /// How much may still be read.
    left: &'r Cell<usize>,
}

impl Reader<'_> {
    fn take(&self, bytes: usize) -> Result<(), Error> {
        self.left.set(self.left.get().checked_sub(bytes).ok_or(Error::TooMuch(MAX_READ >> 20))?);
        Ok(())
    }

    fn image(&self, record: ImageRecord) -> Result<StoredImage, Error> {
        let mut image = StoredImage::default();
        let config = format!("sha256:{}", record.id);
        for key in record.big_data_names.iter().flatten() {
            self.take(STEP)?;
            match self.data(&record, key)? {
                Err(why) => image.missing.push(format!("`{}` {why}", foreign(key))),
                Ok(Some(bytes)) if key.starts_with(MANIFEST) => image.manifests.push((key.clone(), bytes)),
                Ok(Some(bytes)) if *key == config => image.config = Some(bytes),
                Ok(_) => {}
            }
        }
        self.chain(&record, &mut image)?;
        image.names = record.names.unwrap_or_default();
        image.id = record.id;
        Ok(image)
    }

    /// The data of a key, if it is small; or what is wrong with it.
    fn data(&self, record: &ImageRecord, key: &str) -> Result<Result<Option<Vec<u8>>, String>, Error> {
        let Some(name) = file_name(key) else { return Ok(Err("has a key that no file can have".to_owned())) };
        let path = format!("{}-images/{}/{name}", self.driver, record.id);
        match self.root.metadata(&path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Ok(Err("is no file".to_owned())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Err("is missing".to_owned())),
            Err(e) => return Err(io_error(&path)(e)),
        }
        let mut file = self.root.open(&path).map_err(io_error(&path))?;
        let (mut hasher, mut bytes, mut size) = (Hasher::default(), Vec::new(), 0_u64);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = file.read(&mut buffer).map_err(io_error(&path))?;
            if count == 0 {
                break;
            }
            self.take(count)?;
            size += count as u64;
            hasher.update(&buffer[..count]);
            if size <= MAX_MANIFEST_SIZE {
                bytes.extend_from_slice(&buffer[..count]);
            }
        }
        let known = record.big_data_sizes.as_ref().and_then(|sizes| sizes.get(key));
        if let Some(known) = known.filter(|known| u64::try_from(**known) != Ok(size)) {
            return Ok(Err(format!("has {size} bytes instead of {known}")));
        }
        let found = hasher.finish().to_string();
        let known = record.big_data_digests.as_ref().and_then(|digests| digests.get(key));
        if known.is_some_and(|known| *known != found) {
            return Ok(Err(format!("has other bytes (their digest: {found})")));
        }
        Ok(Ok(Some(bytes).filter(|_| size <= MAX_MANIFEST_SIZE)))
    }

    /// The folder with a layer's files.
    fn files(&self, layer: &str) -> String {
        if self.driver == "vfs" { format!("vfs/dir/{layer}") } else { format!("overlay/{layer}/diff") }
    }

    /// Follows the layers of an image down to the lowest.
    fn chain(&self, record: &ImageRecord, image: &mut StoredImage) -> Result<(), Error> {
        let (mut next, mut seen) = (record.layer.clone(), HashSet::new());
        while !next.is_empty() {
            if !is_id(&next) || !seen.insert(next.clone()) {
                image.missing.push(format!("layer `{}` cannot be a parent", foreign(&next)));
                return Ok(());
            }
            self.take(STEP)?;
            image.layers.push(next.clone());
            let Some(layer) = self.layers.get(&next) else {
                image.missing.push(format!("layer {next} has no record"));
                return Ok(());
            };
            // A layer that was being written when the machine went down is removed when the storage is next used.
            let flag = layer.flags.as_ref().and_then(|flags| flags.get("incomplete"));
            if flag == Some(&serde_json::Value::Bool(true)) {
                image.missing.push(format!("layer {next} is incomplete"));
            } else if !self.root.is_dir(self.files(&next)) {
                image.missing.push(format!("layer {next} has no files"));
            }
            next.clone_from(&layer.parent);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
