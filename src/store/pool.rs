//! The pool: every blob, manifest and index once, under its hex digest in `sha256/`.

use super::{Error, files, io_error};
use crate::model::{Descriptor, Digest, Hasher};
use cap_std_ext::cap_std::fs::{Dir, File, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use cap_std_ext::cap_tempfile::TempFile;
use cap_std_ext::dirext::CapStdExtDirExt as _;
use rustix::fs::OFlags;
use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// How much of a file is read at once.
const BUFFER: usize = 128 * 1024;

/// A folder of blobs. The store has one; a cache that builds share is another.
pub struct Pool {
    parent: Dir,
    dir: Dir,
    mtime: i64,
}

impl Pool {
    /// Opens the pool in the folder `path` below `parent`, making it if need be.
    pub fn create(parent: &Dir, path: &Path, mtime: i64) -> Result<Self, Error> {
        parent.create_dir_all(path.join("sha256")).map_err(io_error("creating", path))?;
        let parent = parent.open_dir(path).map_err(io_error("opening", path))?;
        let dir = parent.open_dir("sha256").map_err(io_error("opening", path.join("sha256")))?;
        Ok(Self { parent, dir, mtime })
    }

    /// Opens the pool in the folder `path` below `parent` to read from it; `None` where there is none.
    pub fn existing(parent: &Dir, path: &Path) -> Result<Option<Self>, Error> {
        let open = |parent: &Dir, name: &Path| parent.open_dir_optional(name).map_err(io_error("opening", name));
        let Some(parent) = open(parent, path)? else { return Ok(None) };
        Ok(open(&parent, Path::new("sha256"))?.map(|dir| Self { parent, dir, mtime: 0 }))
    }

    /// A folder that has blobs under their hex digests itself, as `dir:` has them, to read from it.
    pub fn flat(dir: Dir) -> Result<Self, Error> {
        let parent = dir.try_clone().map_err(io_error("opening", "."))?;
        Ok(Self { parent, dir, mtime: 0 })
    }

    /// Whether the blob is there. Files appear only after their digest was checked, so name and size tell.
    pub fn has(&self, blob: &Descriptor) -> Result<bool, Error> {
        match self.dir.symlink_metadata(blob.digest.hex()) {
            Ok(metadata) => Ok(metadata.is_file() && metadata.len() == blob.size),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(io_error("looking for", blob.digest.hex())(e)),
        }
    }

    /// Begins to write a blob, or goes on where an earlier run was cut off: what it left is hashed first.
    pub fn writer(&self, blob: &Descriptor) -> Result<BlobWriter<'_>, Error> {
        let name = partial_name(&blob.digest);
        let usual = |metadata: &Metadata| metadata.is_file() && metadata.nlink() == 1;
        if self
            .dir
            .symlink_metadata_optional(&name)
            .map_err(io_error("looking for", &name))?
            .is_some_and(|m| !usual(&m))
        {
            // Whatever it is, no run of this program has made it so: nothing is written through it.
            self.dir.remove_all_optional(&name).map_err(io_error("removing", &name))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).custom_flags(NO_FOLLOW);
        let mut file = self.dir.open_with(&name, &options).map_err(io_error("writing", &name))?;
        let (mut hasher, mut written) = (Hasher::default(), 0);
        let left = file.metadata().map_err(io_error("reading", &name))?.len();
        if left > blob.size {
            file.set_len(0).map_err(io_error("writing", &name))?;
        } else if left > 0 {
            written = hash(&mut file, &mut hasher).map_err(io_error("reading", &name))?;
        }
        Ok(BlobWriter { pool: self, file, name, hasher, resumed: written, written, blob: blob.clone() })
    }

    /// Writes a blob that is in memory.
    pub fn insert(&self, blob: &Descriptor, bytes: &[u8]) -> Result<(), Error> {
        let mut writer = self.writer(blob)?;
        if writer.resumed() > 0 {
            writer.discard()?;
            writer = self.writer(blob)?;
        }
        match writer.write(bytes) {
            Ok(()) => writer.commit(),
            Err(e) => writer.discard().and(Err(e)),
        }
    }

    /// Writes a blob from a reader. Other processes may write the same one at the same time, as in a cache
    /// that builds share.
    fn copy(&self, blob: &Descriptor, mut source: impl io::Read) -> Result<(), Error> {
        let mut file = TempFile::new(&self.dir).map_err(io_error("writing", blob.digest.hex()))?;
        let (mut hasher, mut written) = (Hasher::default(), 0);
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = source.read(&mut buffer).map_err(io_error("reading", blob.digest.hex()))?;
            written += read as u64;
            if written > blob.size || (read == 0 && written < blob.size) {
                return Err(Error::WrongSize { digest: blob.digest.clone(), wanted: blob.size, found: written });
            }
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            file.write_all(&buffer[..read]).map_err(io_error("writing", blob.digest.hex()))?;
        }
        let found = hasher.finish();
        if found != blob.digest {
            return Err(Error::WrongBytes { wanted: blob.digest.clone(), found });
        }
        files::finish(&self.dir, file, blob.digest.hex(), 0o644, self.mtime)
            .map_err(io_error("writing", blob.digest.hex()))
    }

    /// Takes a blob over from another pool if it has it, checking its bytes once more. A blob that
    /// was damaged there is removed from there and not taken.
    pub fn take_from(&self, other: &Pool, blob: &Descriptor) -> Result<bool, Error> {
        if !other.has(blob)? {
            return Ok(false);
        }
        match self.copy(blob, other.open(&blob.digest)?) {
            Err(Error::WrongBytes { .. } | Error::WrongSize { .. }) => {
                other.dir.remove_file(blob.digest.hex()).map_err(io_error("removing", blob.digest.hex()))?;
                Ok(false)
            }
            done => done.map(|()| true),
        }
    }

    /// Opens a blob to read.
    pub fn open(&self, digest: &Digest) -> Result<File, Error> {
        self.dir.open(digest.hex()).map_err(io_error("reading", digest.hex()))
    }

    /// Whether the blob is there and its bytes are right.
    pub fn verify(&self, blob: &Descriptor) -> Result<bool, Error> {
        if !self.has(blob)? {
            return Ok(false);
        }
        let (mut file, mut hasher) = (self.open(&blob.digest)?, Hasher::default());
        hash(&mut file, &mut hasher).map_err(io_error("reading", blob.digest.hex()))?;
        Ok(hasher.finish() == blob.digest)
    }

    /// A small blob whose bytes are right; `None` where there is none.
    pub fn read_small(&self, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let file = self.dir.open_optional(digest.hex()).map_err(io_error("reading", digest.hex()))?;
        let Some(file) = file else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(io_error("reading", digest.hex()))?;
        Ok(Some(bytes).filter(|bytes| Digest::of(bytes) == *digest))
    }

    /// Removes a blob; tells whether it was there.
    pub(super) fn remove(&self, digest: &Digest) -> Result<bool, Error> {
        self.dir.remove_file_optional(digest.hex()).map_err(io_error("removing", digest.hex()))
    }

    /// Gives a blob of an earlier run the mode and time of this one. Fails where it is missing.
    pub(super) fn settle_blob(&self, blob: &Descriptor) -> Result<(), Error> {
        if !self.has(blob)? {
            let missing = io::Error::other("it is not in the pool, or not of the size that is announced");
            return Err(io_error("linking to", blob.digest.to_string())(missing));
        }
        files::settle_file(&self.dir, blob.digest.hex(), self.mtime).map_err(io_error("finishing", blob.digest.hex()))
    }

    /// Removes what was begun of these blobs and not finished.
    pub(super) fn remove_partials(&self, blobs: &BTreeSet<Digest>) -> Result<(), Error> {
        for entry in self.dir.entries().map_err(io_error("listing", "blobs/sha256"))? {
            let name = entry.map_err(io_error("listing", "blobs/sha256"))?.file_name();
            let digest = name.to_str().and_then(|name| name.strip_suffix(PARTIAL)).map(Digest::from_hex);
            if digest.is_some_and(|digest| digest.is_ok_and(|digest| blobs.contains(&digest))) {
                self.dir.remove_file(&name).map_err(io_error("removing", &name))?;
            }
        }
        Ok(())
    }

    /// Gives the folders their modes and times.
    pub(super) fn settle(&self) -> Result<(), Error> {
        for path in ["sha256", "."] {
            files::settle(&self.parent, Path::new(path), self.mtime).map_err(io_error("finishing", path))?;
        }
        Ok(())
    }
}

/// A link is not written through.
#[expect(clippy::cast_possible_wrap, reason = "flags are bits")]
const NO_FOLLOW: i32 = OFlags::NOFOLLOW.bits() as i32;

/// What the file of a blob ends with while it is not whole.
const PARTIAL: &str = ".partial";

fn partial_name(digest: &Digest) -> String {
    format!("{}{PARTIAL}", digest.hex())
}

/// Hashes a file to its end, and tells how much that was.
fn hash(file: &mut impl io::Read, hasher: &mut Hasher) -> io::Result<u64> {
    let (mut buffer, mut size) = (vec![0; BUFFER], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(size),
            read => {
                hasher.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}

/// A blob on its way into the pool, in a file `<hex>.partial`. It gets its name by
/// [`BlobWriter::commit`] only; dropped before, what was written stays for the next writer.
pub struct BlobWriter<'pool> {
    pool: &'pool Pool,
    file: File,
    name: String,
    hasher: Hasher,
    resumed: u64,
    written: u64,
    blob: Descriptor,
}

impl BlobWriter<'_> {
    /// How much of the blob an earlier run has written.
    pub fn resumed(&self) -> u64 {
        self.resumed
    }

    /// How much of the blob is written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes the next bytes; refuses more than the descriptor announces.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.written + bytes.len() as u64 > self.blob.size {
            return Err(self.wrong_size(self.written + bytes.len() as u64));
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(io_error("writing", self.blob.digest.hex()))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Checks size and digest and gives the blob its name. What is wrong is removed.
    pub fn commit(self) -> Result<(), Error> {
        if self.written != self.blob.size {
            let error = self.wrong_size(self.written);
            self.discard()?;
            return Err(error);
        }
        let found = self.hasher.clone().finish();
        if found != self.blob.digest {
            let wanted = self.blob.digest.clone();
            self.discard()?;
            return Err(Error::WrongBytes { wanted, found });
        }
        let finish = || {
            files::settle_open(&self.file, 0o644, self.pool.mtime)?;
            self.pool.dir.rename(&self.name, &self.pool.dir, self.blob.digest.hex())
        };
        finish().map_err(io_error("writing", self.blob.digest.hex()))
    }

    /// Removes what was written.
    pub fn discard(self) -> Result<(), Error> {
        self.pool.dir.remove_file(&self.name).map_err(io_error("removing", &self.name))
    }

    fn wrong_size(&self, found: u64) -> Error {
        Error::WrongSize { digest: self.blob.digest.clone(), wanted: self.blob.size, found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std_ext::cap_std::ambient_authority;
    use cap_std_ext::cap_tempfile::tempdir;

    fn blob(bytes: &[u8]) -> Descriptor {
        Descriptor { media_type: "x".into(), digest: Digest::of(bytes), size: bytes.len() as u64 }
    }

    #[test]
    fn nothing_wrong_ever_appears() {
        let dir = tempdir(ambient_authority()).unwrap();
        let pool = Pool::create(&dir, Path::new("blobs"), 0).unwrap();
        let wanted = blob(b"right");
        assert!(matches!(pool.insert(&wanted, b"wrong"), Err(Error::WrongBytes { .. })));
        assert!(matches!(pool.insert(&wanted, b"rig"), Err(Error::WrongSize { found: 3, .. })));
        assert!(matches!(pool.insert(&wanted, b"right and more"), Err(Error::WrongSize { .. })));
        assert_eq!(dir.read_dir("blobs/sha256").unwrap().count(), 0);
        pool.insert(&wanted, b"right").unwrap();
        assert!(pool.has(&wanted).unwrap());
    }

    #[test]
    fn what_stands_in_the_place_of_a_partial_file_is_not_written_through() {
        let dir = tempdir(ambient_authority()).unwrap();
        let pool = Pool::create(&dir, Path::new("blobs"), 0).unwrap();
        let wanted = blob(b"right");
        let name = Path::new("blobs/sha256").join(partial_name(&wanted.digest));
        dir.write("theirs", b"the").unwrap();
        let in_the_way: [&dyn Fn(); 3] = [
            &|| dir.symlink("../../theirs", &name).unwrap(),
            &|| dir.hard_link("theirs", &dir, &name).unwrap(),
            &|| dir.create_dir(&name).unwrap(),
        ];
        for put in in_the_way {
            put();
            let mut writer = pool.writer(&wanted).unwrap();
            assert_eq!(writer.resumed(), 0);
            writer.write(b"right").unwrap();
            writer.commit().unwrap();
            assert_eq!(dir.read("theirs").unwrap(), b"the");
            assert!(pool.verify(&wanted).unwrap() && pool.remove(&wanted.digest).unwrap());
        }
    }

    #[test]
    fn a_damaged_blob_of_another_pool_is_not_taken() {
        let dir = tempdir(ambient_authority()).unwrap();
        let cache = Pool::create(&dir, Path::new("cache"), 0).unwrap();
        let pool = Pool::create(&dir, Path::new("blobs"), 0).unwrap();
        let wanted = blob(b"right");
        assert!(!pool.take_from(&cache, &wanted).unwrap());
        dir.write(Path::new("cache/sha256").join(wanted.digest.hex()), b"wrong").unwrap();
        assert!(!pool.take_from(&cache, &wanted).unwrap());
        assert!(!cache.has(&wanted).unwrap() && !pool.has(&wanted).unwrap());
        cache.insert(&wanted, b"right").unwrap();
        assert!(pool.take_from(&cache, &wanted).unwrap() && pool.has(&wanted).unwrap());
    }
}
