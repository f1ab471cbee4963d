//! What the registry serves, written as `docker-registry` keeps it (its "filesystem" storage), which is much
//! faster than an upload. Layers are archives of files of this machine, so that they are as compressible, and
//! their sizes as uneven, as those of real images; the same bytes every time on the same machine.

use crate::fixture::Blob;
use crate::support::{Hashed, Noise};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufWriter, Read as _};
use std::path::{Path, PathBuf};

/// Where files are taken from.
const SOURCES: [&str; 4] = ["/usr/bin", "/usr/lib", "/usr/sbin", "/usr/share"];
/// Smaller files would make an archive of headers.
const SMALLEST: u64 = 2 << 10;
/// What is taken of one file at most: without it one large file would be a whole layer.
const MOST_OF_A_FILE: u64 = 4 << 20;

/// A blob or manifest of the registry.
#[derive(Debug, Clone)]
pub struct Item {
    /// `sha256:…`
    pub digest: String,
    /// In bytes.
    pub size: u64,
    /// As descriptors and requests name it.
    pub media_type: String,
    /// What is in a layer before compression; empty for anything else.
    diff_id: String,
}

impl Item {
    /// The digest without `sha256:`.
    pub fn hex(&self) -> &str {
        self.digest.trim_start_matches("sha256:")
    }

    /// What a manifest says of it.
    pub fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.size })
    }

    /// What a config says of a layer.
    pub fn diff_id(&self) -> &str {
        &self.diff_id
    }
}

/// The registry's storage.
pub struct Content {
    root: PathBuf,
    files: Vec<PathBuf>,
}

impl Content {
    /// An empty storage in a folder.
    pub fn new(folder: &Path) -> Self {
        let root = folder.join("docker/registry/v2");
        fs::create_dir_all(root.join("blobs/sha256")).expect("make the registry's storage");
        let mut files = Vec::new();
        for source in SOURCES {
            collect(Path::new(source), &mut files);
        }
        files.sort();
        assert!(!files.is_empty(), "none of {} has files to make layers of", SOURCES.join(", "));
        Self { root, files }
    }

    /// A layer of about this size. Its number says where among the files it begins; layers of different numbers
    /// always differ.
    pub fn layer(&self, number: usize, size: u64) -> Item {
        let unnamed = self.root.join(format!("blobs/layer-{number}"));
        let file = BufWriter::new(File::create(&unnamed).expect("make a layer"));
        let encoder = GzEncoder::new(Hashed::new(file), Compression::fast());
        let mut archive = tar::Builder::new(Hashed::new(encoder));
        append(&mut archive, "etc/layer", number.to_string().as_bytes());
        let piece = (size / 4).clamp(1, MOST_OF_A_FILE);
        for path in self.files.iter().cycle().skip(number * 61 % self.files.len()) {
            if archive.get_ref().to.get_ref().size >= size {
                break;
            }
            let mut bytes = Vec::new();
            // A file that cannot be read, or is removed just now, is not needed.
            if File::open(path).and_then(|file| file.take(piece).read_to_end(&mut bytes)).is_ok() {
                append(&mut archive, &path.to_string_lossy(), &bytes);
            }
        }
        let archive = archive.into_inner().expect("finish an archive");
        let diff_id = archive.hasher.finish().to_string();
        let stored = archive.to.finish().expect("finish a layer");
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        self.name(&unnamed, stored, media_type, diff_id)
    }

    /// A layer of noise of exactly this size, not compressed.
    pub fn noise(&self, size: u64) -> Item {
        let unnamed = self.root.join("blobs/noise");
        let mut stored = Hashed::new(BufWriter::new(File::create(&unnamed).expect("make a layer")));
        std::io::copy(&mut Noise::default().take(size), &mut stored).expect("write a layer");
        self.name(&unnamed, stored, "application/vnd.oci.image.layer.v1.tar", String::new())
    }

    /// A config, an instance or an index.
    pub fn document(&self, media_type: &str, value: &Value) -> Item {
        let Blob { digest, bytes, media_type } = Blob::new(media_type, value.to_string().into_bytes());
        let item = Item { digest, size: bytes.len() as u64, media_type, diff_id: String::new() };
        fs::write(self.place(&item), bytes).expect("write a document");
        item
    }

    /// Makes a blob known to a repository.
    pub fn link_blob(&self, repository: &str, item: &Item) {
        self.link(&format!("repositories/{repository}/_layers/sha256"), item);
    }

    /// Makes a manifest known to a repository.
    pub fn link_manifest(&self, repository: &str, item: &Item) {
        self.link(&format!("repositories/{repository}/_manifests/revisions/sha256"), item);
    }

    fn link(&self, place: &str, item: &Item) {
        let folder = self.root.join(place).join(item.hex());
        fs::create_dir_all(&folder).expect("make a repository");
        fs::write(folder.join("link"), &item.digest).expect("link into a repository");
    }

    fn name(&self, unnamed: &Path, stored: Hashed<BufWriter<File>>, media_type: &str, diff_id: String) -> Item {
        let (digest, size) = (stored.hasher.finish().to_string(), stored.size);
        stored.to.into_inner().expect("write a layer");
        let diff_id = if diff_id.is_empty() { digest.clone() } else { diff_id };
        let item = Item { digest, size, media_type: media_type.to_owned(), diff_id };
        fs::rename(unnamed, self.place(&item)).expect("name a layer");
        item
    }

    fn place(&self, item: &Item) -> PathBuf {
        let file = self.file(item);
        fs::create_dir_all(file.with_file_name("")).expect("make a blob's folder");
        file
    }

    /// The file with the bytes of something.
    pub fn file(&self, item: &Item) -> PathBuf {
        self.root.join("blobs/sha256").join(&item.hex()[..2]).join(item.hex()).join("data")
    }
}

fn append(archive: &mut tar::Builder<impl std::io::Write>, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path.trim_start_matches('/'), bytes).expect("write an archive");
}

/// The files of a folder and those below it; links are not followed.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => collect(&entry.path(), files),
            Ok(metadata) if metadata.is_file() && metadata.len() >= SMALLEST => files.push(entry.path()),
            _ => {}
        }
    }
}
