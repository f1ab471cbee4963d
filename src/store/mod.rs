//! The store: one pool of blobs, one view per reference, the lock and the lists beside them.
//!
//! Layout in `ARCHITECTURE.md`. Everything appears by rename, blobs only after their digest was
//! checked, views only when complete, the lock last; so a run that was killed leaves nothing that
//! the next run could take for whole.

mod claims;
pub mod files;
mod pool;
mod view;

use claims::Claims;
pub use pool::{BlobWriter, Pool};
pub use view::view_entries;

use crate::model::plan::LOCK_VERSION;
use crate::model::{Descriptor, Digest, Plan};
use cap_std_ext::cap_std::fs::Dir;
use cap_std_ext::dirext::CapStdExtDirExt as _;
use rustix::fs::FlockOperation;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Where the store is in an image unless said otherwise, below its root.
pub const DEFAULT_PATH: &str = "usr/lib/bootc-embed";
/// The lock.
pub const LOCK: &str = "embed.lock.json";
/// The alias map.
pub const ALIASES: &str = "digest-aliases.json";
/// `<reference>,<key>` a line, as MicroShift's documented copy script reads it.
pub const IMAGE_LIST: &str = "image-list.txt";
/// The marker of an OCI layout.
pub const OCI_LAYOUT: &str = "oci-layout";
/// The images of the OCI layout.
pub const OCI_INDEX: &str = "index.json";

/// The most bytes that a lock is read of.
pub const MAX_LOCK_SIZE: u64 = 256 * 1024 * 1024;

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused.
    #[error("{action} `{path}`")]
    Io {
        /// In gerund form, for example `writing`.
        action: &'static str,
        /// Relative to the store.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The bytes are not those that the digest names.
    #[error("`{wanted}`: other bytes came (sha256 of what came: {found})")]
    WrongBytes {
        /// The digest asked for.
        wanted: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The blob ended early, or went on too long.
    #[error("`{digest}`: {found} bytes came where {wanted} are announced")]
    WrongSize {
        /// Of the blob.
        digest: Digest,
        /// The size its descriptor announces.
        wanted: u64,
        /// Bytes that came; for a blob that is too long, those before it was given up.
        found: u64,
    },
    /// Another process writes.
    #[error("another bootc-embed is writing to this store")]
    Busy,
    /// The lock cannot be used.
    #[error("the lock `{LOCK}` cannot be used: {0}")]
    Lock(String),
    /// The folder is somebody else's.
    #[error("this folder has a `{0}`, but no `{LOCK}`: it belongs to another tool")]
    Foreign(&'static str),
    /// There is no lock.
    #[error("there is no `{LOCK}` in this folder, so it is no store, or one that was never finished")]
    NotAStore,
}

impl Error {
    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Error::Io { source, .. } if source.to_string().contains("outside of the filesystem") => {
                "a link on the way leads out of the folder; nothing is written there"
            }
            Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run as root, or choose a place that you may write to (`--store`, `--root`)"
            }
            Error::Io { source, .. } if source.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
                "allow more open files (`ulimit -n`), or ask for less at once (`--jobs 2`)"
            }
            Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "make room and run the same command again: what is complete is not fetched twice"
            }
            Error::Io { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                "the place is mounted read-only; choose another (`--store`, `--root`)"
            }
            Error::WrongBytes { .. } => "a registry, proxy or mirror on the way changes content; do not ship it",
            Error::WrongSize { .. } => "the transfer was cut or the registry is at fault; run the same command again",
            Error::Foreign(_) => "choose another folder, or clear this one away yourself",
            Error::Busy => "wait until it has finished",
            Error::NotAStore => "`bootc-embed fetch INPUT --store DIR` makes one, or completes it",
            Error::Lock(_) => "`bootc-embed plan INPUT… -o LOCK` makes a new one",
            Error::Io { .. } => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

fn io_error(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
    let path = path.as_ref().to_owned();
    move |source| Error::Io { action, path, source }
}

/// A store that is being written. The folder is locked against other writers while this lives.
pub struct Store {
    dir: Dir,
    pool: Pool,
    mtime: i64,
    /// What earlier runs wrote, whole or cut off.
    claims: Claims,
    /// Whether an earlier run was cut off. Maybe by a power cut: then blobs have names before they have
    /// bytes.
    interrupted: bool,
    /// Holds the lock; also what is synced at the end.
    handle: OwnedFd,
}

/// What [`Store::publish`] took away: what an earlier set held and this one does not.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Views.
    pub views: usize,
    /// Files of the pool.
    pub blobs: usize,
}

impl Store {
    /// Opens the folder `path` below `parent` to write, making it if need be. Every file gets the
    /// modification time `mtime`, in seconds since 1970, so that equal sets are equal trees.
    pub fn create(parent: &Dir, path: &Path, mtime: i64) -> Result<Self, Error> {
        let dir = match parent.open_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                parent.create_dir_all(path).map_err(io_error("creating", path))?;
                parent.open_dir(path)
            }
            dir => dir,
        };
        let dir = dir.map_err(io_error("opening", path))?;
        // The handle of `Dir` cannot be locked; the lock lives as long as this second one.
        let handle = dir.reopen_as_ownedfd().map_err(io_error("opening", path))?;
        match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Busy),
            Err(e) => return Err(io_error("locking", path)(e.into())),
        }
        let known = read_claims(&dir)?;
        let mut claims = known.clone().unwrap_or_default();
        match read_lock(&dir)? {
            Some(plan) => claims.add(&plan),
            None if known.is_none() => {
                refuse_foreign(&dir)?;
                // Before the first folder is made: the next run must not take it for another tool's.
                write_claims(&dir, &claims, mtime)?;
            }
            None => {}
        }
        if known.is_some() {
            remove_leftovers(&dir)?;
        }
        let pool = Pool::create(&dir, Path::new("blobs"), mtime)?;
        Ok(Self { dir, pool, mtime, claims, interrupted: known.is_some(), handle })
    }

    /// Whether the bytes of a blob are there.
    pub fn holds(&self, blob: &Descriptor) -> Result<bool, Error> {
        if self.interrupted { self.pool.verify(blob) } else { self.pool.has(blob) }
    }

    /// Notes that all of `plan` is this program's own, before any of it is written.
    pub fn claim(&self, plan: &Plan) -> Result<(), Error> {
        let mut claims = self.claims.clone();
        claims.add(plan);
        write_claims(&self.dir, &claims, self.mtime)
    }

    /// The pool.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Makes the store that of `plan`, whose content must be in the pool: views, lists and lock are
    /// written, then what only an earlier set needed goes.
    pub fn publish(&self, plan: &Plan) -> Result<Removed, Error> {
        for descriptor in plan.content().into_values() {
            self.pool.settle_blob(descriptor)?;
        }
        for image in &plan.images {
            view::write(&self.dir, image, self.mtime)?;
        }
        // Blobs and views must outlast a power cut if the lists that name them do.
        self.sync()?;
        self.write(OCI_LAYOUT, b"{\"imageLayoutVersion\":\"1.0.0\"}\n")?;
        self.write(OCI_INDEX, &view::oci_index(plan))?;
        self.write(ALIASES, &json(&plan.aliases()))?;
        self.write(IMAGE_LIST, view::image_list(plan).as_bytes())?;
        self.write(LOCK, &json(plan))?;
        self.sync()?;
        let removed = self.remove_unused(plan)?;
        self.dir.remove_file_optional(Claims::FILE).map_err(io_error("removing", Claims::FILE))?;
        self.settle(plan)?;
        Ok(removed)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        files::write(&self.dir, name, bytes, 0o644, self.mtime).map_err(io_error("writing", name))
    }

    /// Removes what earlier runs wrote and this set does not need. Everything else is left alone: the
    /// store may share its folder with other tools' files.
    fn remove_unused(&self, plan: &Plan) -> Result<Removed, Error> {
        let mut needed = Claims::default();
        needed.add(plan);
        let unused = self.claims.without(&needed);
        self.pool.remove_partials(&needed.blobs)?;
        self.pool.remove_partials(&unused.blobs)?;
        let mut removed = Removed::default();
        for key in &unused.views {
            if self.dir.remove_all_optional(key).map_err(io_error("removing", key))? {
                removed.views += 1;
            }
        }
        for digest in &unused.blobs {
            removed.blobs += usize::from(self.pool.remove(digest)?);
        }
        Ok(removed)
    }

    /// Gives every folder its mode and time, once nothing is written into it any more.
    fn settle(&self, plan: &Plan) -> Result<(), Error> {
        self.pool.settle()?;
        let views = plan.images.iter().map(|image| image.reference.key());
        for path in views.chain([".".to_owned()]) {
            files::settle(&self.dir, Path::new(&path), self.mtime).map_err(io_error("finishing", &path))?;
        }
        Ok(())
    }

    /// Waits until what is written is on the disk: once for all files, for to wait for each takes longer
    /// than to fetch it.
    pub fn sync(&self) -> Result<(), Error> {
        rustix::fs::syncfs(&self.handle).map_err(|e| io_error("syncing", ".")(e.into()))
    }
}

/// Fails where a folder without a lock has files that a store would replace.
fn refuse_foreign(dir: &Dir) -> Result<(), Error> {
    for name in ["blobs", OCI_LAYOUT, OCI_INDEX, IMAGE_LIST, ALIASES] {
        if dir.symlink_metadata_optional(name).map_err(io_error("looking for", name))?.is_some() {
            return Err(Error::Foreign(name));
        }
    }
    Ok(())
}

/// What a run that was cut off claimed; `None` where none was.
fn read_claims(dir: &Dir) -> Result<Option<Claims>, Error> {
    let text = dir.read_to_string_optional(Claims::FILE).map_err(io_error("reading", Claims::FILE))?;
    Ok(text.map(|text| Claims::parse(&text)))
}

/// Reads the lock of a finished store; `None` where there is none.
pub fn read_lock(dir: &Dir) -> Result<Option<Plan>, Error> {
    let file = match dir.open(LOCK) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error("reading", LOCK)(e)),
    };
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MAX_LOCK_SIZE), &mut bytes).map_err(io_error("reading", LOCK))?;
    parse_lock(&bytes).map(Some)
}

/// Parses a lock.
pub fn parse_lock(bytes: &[u8]) -> Result<Plan, Error> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let wrong = |e: serde_json::Error| Error::Lock(e.to_string());
    let Version { version } = serde_json::from_slice(bytes).map_err(wrong)?;
    if version != LOCK_VERSION {
        return Err(Error::Lock(format!("it is of version {version}, this program reads version {LOCK_VERSION}")));
    }
    let plan: Plan = serde_json::from_slice(bytes).map_err(wrong)?;
    if plan.images.is_empty() {
        return Err(Error::Lock("it names no image".to_owned()));
    }
    if let Some(empty) = plan.images.iter().find(|image| image.instances.is_empty()) {
        return Err(Error::Lock(format!("`{}` has no instance", empty.reference)));
    }
    Ok(plan)
}

/// The failure that says that a folder has no lock.
pub fn lock_missing(store: &Path) -> anyhow::Error {
    anyhow::Error::from(Error::NotAStore).context(format!("opening the store `{}`", store.display()))
}

/// The lock as text: what `embed.lock.json` holds.
pub fn lock_text(plan: &Plan) -> Vec<u8> {
    json(plan)
}

/// Pretty JSON with a newline at the end. The values are this program's own, so this cannot fail.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn write_claims(dir: &Dir, claims: &Claims, mtime: i64) -> Result<(), Error> {
    // Before the first blob: what names it has after a power cut must not be taken for whole.
    files::write_durably(dir, Claims::FILE, claims.text().as_bytes(), 0o644, mtime)
        .map_err(io_error("writing", Claims::FILE))
}

/// Removes what a killed run left between giving a file a temporary name and its own.
fn remove_leftovers(dir: &Dir) -> Result<(), Error> {
    for place in [".", "blobs/sha256"] {
        let Some(folder) = dir.open_dir_optional(place).map_err(io_error("opening", place))? else { continue };
        for entry in folder.entries().map_err(io_error("listing", place))? {
            let entry = entry.map_err(io_error("listing", place))?;
            let (name, is_file) = (entry.file_name(), entry.file_type().is_ok_and(|kind| kind.is_file()));
            let Some(name) = name.to_str() else { continue };
            if (files::is_temporary(name) && is_file) || name.starts_with(view::TEMPORARY) {
                folder.remove_all_optional(name).map_err(io_error("removing", name))?;
            }
        }
    }
    Ok(())
}
