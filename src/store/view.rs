//! Views: one `dir:` directory per reference, made of links into the pool; and the lists over all.
//!
//! The `dir:` format is containers/image's; the image list is MicroShift's; the layout is OCI's.

use super::{Error, files, io_error};
use crate::model::{Digest, Plan, PlannedImage};
use cap_std_ext::cap_std::fs::{Dir, DirBuilder, MetadataExt as _};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

/// What a view is called while it is being made.
pub(super) const TEMPORARY: &str = ".view-";
/// What `skopeo` writes into `version`, newline included.
const VERSION: &[u8] = b"Directory Transport Version: 1.1\n";

/// The files of a view that are links, by name, with what each links to.
pub fn view_entries(image: &PlannedImage) -> BTreeMap<String, Digest> {
    let mut entries = BTreeMap::new();
    entries.insert("manifest.json".to_owned(), image.manifest.digest.clone());
    for manifest in image.manifests().skip(1) {
        entries.insert(format!("{}.manifest.json", manifest.digest.hex()), manifest.digest.clone());
    }
    for blob in image.blobs() {
        entries.insert(blob.digest.hex().to_owned(), blob.digest.clone());
    }
    for signed in &image.signatures {
        // Those of what the view is made of stand without a name, those of all others with theirs.
        let of =
            if signed.digest == image.manifest.digest { String::new() } else { format!("{}.", signed.digest.hex()) };
        for (number, file) in (1..).zip(&signed.files) {
            entries.insert(format!("{of}signature-{number}"), file.digest.clone());
        }
    }
    entries
}

fn target(digest: &Digest) -> PathBuf {
    PathBuf::from(format!("../blobs/sha256/{}", digest.hex()))
}

/// Writes the view of an image, unless it is there already. It appears complete.
pub(super) fn write(store: &Dir, image: &PlannedImage, mtime: i64) -> Result<(), Error> {
    let key = image.reference.key();
    let entries = view_entries(image);
    if is_complete(store, &key, &entries, mtime).map_err(io_error("reading", &key))? {
        return Ok(());
    }
    let temporary = format!("{TEMPORARY}{key}");
    let make = || -> io::Result<()> {
        store.create_dir_with(&temporary, &DirBuilder::new())?;
        let view = store.open_dir(&temporary)?;
        for (name, digest) in &entries {
            files::link(&view, &target(digest), name, mtime)?;
        }
        files::write(&view, "version", VERSION, 0o644, mtime)?;
        if store.symlink_metadata(&key).is_ok() {
            store.remove_dir_all(&key)?;
        }
        store.rename(&temporary, store, &key)
    };
    make().map_err(io_error("writing the view", &key))
}

fn is_complete(store: &Dir, key: &str, entries: &BTreeMap<String, Digest>, mtime: i64) -> io::Result<bool> {
    let view = match store.open_dir(key) {
        Ok(view) => view,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    let of_this_time = |name: &str| view.symlink_metadata(name).is_ok_and(|metadata| metadata.mtime() == mtime);
    let links = |(name, digest): (&String, &Digest)| view.read_link(name).is_ok_and(|link| link == target(digest));
    let complete = entries.iter().all(links)
        && view.read("version").is_ok_and(|text| text == VERSION)
        && entries.keys().all(|name| of_this_time(name))
        && of_this_time("version");
    Ok(complete && view.entries()?.count() == entries.len() + 1)
}

/// `image-list.txt`: `<reference>,<key>` a line.
pub(super) fn image_list(plan: &Plan) -> String {
    let mut text = String::new();
    for image in &plan.images {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{},{}", image.reference, image.reference.key());
    }
    text
}

/// `index.json`: the pool as an OCI layout, every image under its reference.
pub(super) fn oci_index(plan: &Plan) -> Vec<u8> {
    let manifests: Vec<serde_json::Value> = plan
        .images
        .iter()
        .map(|image| {
            serde_json::json!({
                "mediaType": image.manifest.media_type,
                "digest": image.manifest.digest,
                "size": image.manifest.size,
                "annotations": { "org.opencontainers.image.ref.name": image.reference.to_string() },
            })
        })
        .collect();
    super::json(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": crate::model::manifest::OCI_INDEX,
        "manifests": manifests,
    }))
}
