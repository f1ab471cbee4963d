//! The pool: every blob, manifest and index once, under its hex digest in `sha256/`.

use super::{Error, files, io_error};
use crate::model::{Descriptor, Digest, Hasher};
use cap_std_ext::cap_std::fs::{Dir, File};
use cap_std_ext::cap_tempfile::TempFile;
use cap_std_ext::dirext::CapStdExtDirExt as _;
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

    /// Whether the blob is there. Files appear only after their digest was checked, so name and size tell.
    pub fn has(&self, blob: &Descriptor) -> Result<bool, Error> {
        match self.dir.symlink_metadata(blob.digest.hex()) {
            Ok(metadata) => Ok(metadata.is_file() && metadata.len() == blob.size),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(io_error("looking for", blob.digest.hex())(e)),
        }
    }

    /// Begins to write a blob.
    pub fn writer(&self, blob: &Descriptor) -> Result<BlobWriter<'_>, Error> {
        let file = TempFile::new(&self.dir).map_err(io_error("writing", blob.digest.hex()))?;
        Ok(BlobWriter { file, hasher: Hasher::default(), written: 0, blob: blob.clone(), mtime: self.mtime })
    }

    /// Writes a blob that is in memory.
    pub fn insert(&self, blob: &Descriptor, bytes: &[u8]) -> Result<(), Error> {
        let mut writer = self.writer(blob)?;
        writer.write(bytes)?;
        writer.commit()
    }

    /// Takes a blob over from another pool if it has it, checking its bytes once more. A blob that
    /// was damaged there is removed from there and not taken.
    pub fn take_from(&self, other: &Pool, blob: &Descriptor) -> Result<bool, Error> {
        if !other.has(blob)? {
            return Ok(false);
        }
        let mut source = other.open(&blob.digest)?;
        let mut writer = self.writer(blob)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = source.read(&mut buffer).map_err(io_error("reading", blob.digest.hex()))?;
            if read == 0 {
                break;
            }
            writer.write(&buffer[..read])?;
        }
        match writer.commit() {
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
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer).map_err(io_error("reading", blob.digest.hex()))? {
                0 => return Ok(hasher.finish() == blob.digest),
                read => hasher.update(&buffer[..read]),
            }
        }
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

    /// Makes the names of the blobs durable; each blob's bytes are, since it has its name.
    pub(super) fn sync(&self) -> Result<(), Error> {
        let handle = self.dir.reopen_as_ownedfd().map_err(io_error("opening", "blobs/sha256"))?;
        rustix::fs::fsync(handle).map_err(|e| io_error("syncing", "blobs/sha256")(e.into()))
    }

    /// Gives the folders their modes and times.
    pub(super) fn settle(&self) -> Result<(), Error> {
        for path in ["sha256", "."] {
            files::settle(&self.parent, Path::new(path), self.mtime).map_err(io_error("finishing", path))?;
        }
        Ok(())
    }
}

/// A blob on its way into the pool. It appears there by [`BlobWriter::commit`] only; dropped, it is gone.
pub struct BlobWriter<'pool> {
    file: TempFile<'pool>,
    hasher: Hasher,
    written: u64,
    blob: Descriptor,
    mtime: i64,
}

impl BlobWriter<'_> {
    /// Takes the next bytes; refuses more than the descriptor announces.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written += bytes.len() as u64;
        if self.written > self.blob.size {
            return Err(self.wrong_size());
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(io_error("writing", self.blob.digest.hex()))
    }

    /// Checks size and digest and gives the blob its name.
    pub fn commit(self) -> Result<(), Error> {
        if self.written != self.blob.size {
            return Err(self.wrong_size());
        }
        let found = self.hasher.finish();
        if found != self.blob.digest {
            return Err(Error::WrongBytes { wanted: self.blob.digest, found });
        }
        files::finish(self.file, self.blob.digest.hex(), 0o644, self.mtime)
            .map_err(io_error("writing", self.blob.digest.hex()))
    }

    fn wrong_size(&self) -> Error {
        Error::WrongSize { digest: self.blob.digest.clone(), wanted: self.blob.size, found: self.written }
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
