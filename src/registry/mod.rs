//! Layer 3, the port to registries: one trait, two lanes behind it.
//!
//! * [`http`]: this program speaks to the registry itself. The default.
//! * [`proxy`]: skopeo speaks to it, for hosts whose configuration only containers/image knows.
//!
//! Both hand over raw bytes. What checks them lives here, once, so that no lane can forget it.

pub mod auth;
pub mod certs;
pub mod http;
mod lookaside;
pub mod proxies;
pub mod proxy;
pub mod registries_conf;
pub mod registries_d;
mod tls;
mod token;

use crate::model::manifest::{MAX_MANIFEST_SIZE, ManifestError};
use crate::model::{Descriptor, Digest, Hasher, PinnedReference, RawManifest, Repository};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The first wait before a request is repeated; the fourth is about eight times as long.
const BACKOFF: Duration = Duration::from_millis(500);
/// A connection on which nothing comes for this long has stalled.
const STALL: Duration = Duration::from_secs(30);

/// How the system says EMFILE.
const TOO_MANY_FILES: &str = "Too many open files";

/// What is said of a failure on the way through a proxy.
const BY_PROXY: &str = "through the proxy";

/// The most bytes that are read of a file with settings.
const MAX_SETTINGS: u64 = 16 * 1024 * 1024;

/// Reads a file with settings.
fn read_settings(path: &Path) -> std::io::Result<String> {
    String::from_utf8(read_settings_bytes(path)?).map_err(std::io::Error::other)
}

/// The same for what need not be text.
fn read_settings_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)?.take(MAX_SETTINGS + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_SETTINGS { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// How to reach registries. Read from the command line and the environment by `cli`.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where credentials may stand.
    pub auth: auth::Search,
    /// Where certificates may stand.
    pub certs: certs::Search,
    /// Who is asked in the place of registries.
    pub proxies: proxies::Proxies,
    /// Off: any certificate is taken, and plain HTTP where HTTPS does not answer, as in skopeo.
    pub tls_verify: bool,
    /// How many requests may be under way at once.
    pub jobs: usize,
    /// registries.conf and its drop-ins.
    pub registries_conf: Vec<PathBuf>,
    /// The `*.yaml` of registries.d: where signatures are kept beside registries.
    pub registries_d: Vec<PathBuf>,
    /// Where signatures are looked for where no registries.d says it.
    pub lookaside: Option<PathBuf>,
    /// How often a request that failed for a passing reason is repeated.
    pub retries: u32,
    /// How long the first wait before that is; each is about twice the one before.
    pub backoff: Duration,
    /// A connection on which nothing comes for this long has stalled.
    pub stall: Duration,
    /// The first of them, where the user chose it: skopeo must be told.
    pub chosen_conf: Option<PathBuf>,
}

impl Default for Options {
    /// No settings but the safe ones.
    fn default() -> Self {
        Self {
            auth: auth::Search::default(),
            certs: certs::Search::default(),
            proxies: proxies::Proxies::default(),
            tls_verify: true,
            jobs: 4,
            registries_conf: Vec::new(),
            chosen_conf: None,
            registries_d: Vec::new(),
            lookaside: None,
            retries: 4,
            backoff: BACKOFF,
            stall: STALL,
        }
    }
}

/// Which manifest of a repository is asked for.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    /// What a tag points to now.
    Tag(&'a str),
    /// These bytes and no others.
    Digest(&'a Digest),
}

impl At<'_> {
    /// What is asked for, as messages name it.
    pub fn of(self, repository: &Repository) -> String {
        match self {
            At::Tag(tag) => format!("{repository}:{tag}"),
            At::Digest(digest) => format!("{repository}@{digest}"),
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Tag(tag) => f.write_str(tag),
            At::Digest(digest) => digest.fmt(f),
        }
    }
}

/// What can go wrong between this program and a registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// 404.
    #[error("`{object}` does not exist: {detail}")]
    NotFound {
        /// What was asked for.
        object: String,
        /// What the registry answered.
        detail: String,
    },
    /// 401 or 403.
    #[error("`{object}` is not accessible: {detail}")]
    Denied {
        /// What was asked for.
        object: String,
        /// What the registry answered.
        detail: String,
        /// Whether credentials were sent, and where they come from.
        credentials: Option<auth::Origin>,
    },
    /// No connection.
    #[error("`{host}` cannot be reached: {detail}")]
    Unreachable {
        /// The registry.
        host: String,
        /// The network's reason.
        detail: String,
    },
    /// Any other answer than the one asked for.
    #[error("`{object}`: {detail}")]
    Answer {
        /// What was asked for.
        object: String,
        /// Status and what the registry says of it.
        detail: String,
    },
    /// What is to be written cannot be had, or is not what it should be.
    #[error("what is to be pushed as `{object}` is not usable: {detail}")]
    Content {
        /// What was to be written.
        object: String,
        /// What is wrong with it where it is read.
        detail: String,
    },
    /// A registry that does not take what is written.
    #[error("`{object}` is refused: the registry answered {answer}")]
    Refused {
        /// What was to be written.
        object: String,
        /// For example 400.
        status: u16,
        /// Status, and all that the registry says of it.
        answer: String,
    },
    /// The connection broke while bytes were coming.
    #[error("`{object}` broke off: {detail}")]
    Interrupted {
        /// What was being read.
        object: String,
        /// The network's reason.
        detail: String,
    },
    /// More bytes than there may be.
    #[error("`{object}` is larger than {limit} bytes")]
    TooLarge {
        /// What was being read.
        object: String,
        /// The most that is accepted.
        limit: u64,
    },
    /// Other bytes than those asked for.
    #[error("`{object}`: the registry served other bytes (sha256 of what came: {found})")]
    WrongBytes {
        /// What was asked for.
        object: String,
        /// Digest of what came.
        found: Digest,
    },
    /// More bytes than announced, or fewer.
    #[error("`{object}` has {found} bytes where {wanted} are announced")]
    WrongSize {
        /// What was asked for.
        object: String,
        /// The size its descriptor announces.
        wanted: u64,
        /// The size that the registry tells.
        found: u64,
    },
    /// registries.conf keeps it away.
    #[error("`{object}` is not to be used: {reason}")]
    Blocked {
        /// What was asked for.
        object: String,
        /// The settings.
        reason: String,
    },
    /// Nothing helped.
    #[error("{tried}: {last}")]
    GaveUp {
        /// How often was tried, and what other sources said.
        tried: String,
        /// How the last try failed.
        last: Box<Error>,
    },
    /// The bytes are no manifest.
    #[error("`{object}` is not usable")]
    Manifest {
        /// What was asked for.
        object: String,
        /// Why not.
        #[source]
        source: ManifestError,
    },
    /// A setting that this lane cannot honour.
    #[error("{setting} is set, which the http lane does not cover")]
    Setting {
        /// The setting and the file it stands in.
        setting: String,
    },
    /// A program that knows credentials does not tell them.
    #[error("`{program}`, which {setting} names, {detail}")]
    Helper {
        /// The program.
        program: String,
        /// The setting that names it, and the file that it stands in.
        setting: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The address of a proxy is none.
    #[error("`{variable}` is no address of a proxy")]
    Proxy {
        /// The environment variable.
        variable: &'static str,
    },
    /// A file with settings is not usable.
    #[error("reading {path}: {detail}")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// skopeo is missing, too old, or failed in a way of its own.
    #[error("{0}")]
    Skopeo(String),
}

impl Error {
    /// How the last try failed.
    pub fn last(&self) -> &Self {
        if let Error::GaveUp { last, .. } = self { last.last() } else { self }
    }

    /// Whether what the registry serves is wrong, and not whether or how it serves.
    pub fn is_about_content(&self) -> bool {
        matches!(self, Error::WrongBytes { .. } | Error::WrongSize { .. } | Error::Manifest { .. })
    }

    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Error::NotFound { .. } => {
                "check the name; a private repository also answers so without credentials (`--authfile`)".to_owned()
            }
            Error::Denied { credentials: None, .. } => {
                "log in with `podman login`, or name a file with credentials: `--authfile FILE`".to_owned()
            }
            Error::Denied { credentials: Some(origin @ auth::Origin::File(_)), .. } => {
                format!("the credentials in {origin} were refused; log in again or name another file")
            }
            Error::Denied { credentials: Some(origin), .. } => {
                format!("the credentials of {origin} were refused; log in again or name a file: `--authfile FILE`")
            }
            Error::Unreachable { detail, .. } | Error::Interrupted { detail, .. } if detail.contains(BY_PROXY) => {
                "the proxy may not be there, or refuse: check `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`".to_owned()
            }
            Error::Unreachable { detail, .. } if detail.contains("not valid for name") => {
                "the registry's certificate is for other names: use one of them".to_owned()
            }
            Error::Unreachable { detail, .. } if detail.contains("certificate") => {
                "name the folder with the registry's CA (`*.crt`): `--cert-dir DIR`".to_owned()
            }
            Error::Unreachable { detail, .. } | Error::Interrupted { detail, .. }
                if detail.contains(TOO_MANY_FILES) =>
            {
                "allow more open files (`ulimit -n`), or ask for less at once (`--jobs 2`)".to_owned()
            }
            Error::Unreachable { detail, .. } if detail.contains("it speaks no TLS") => {
                "a registry without TLS needs `--tls-verify=false`, or `insecure = true` in registries.conf".to_owned()
            }
            Error::Unreachable { .. } => "check the name, the port and the network".to_owned(),
            Error::Interrupted { .. } => {
                "run the same command again: what is complete is not transferred twice".to_owned()
            }
            Error::WrongBytes { .. } => {
                "a proxy or mirror on the way may be changing content; do not ship it".to_owned()
            }
            Error::Setting { .. } => "let skopeo speak to the registry: `--transport proxy`".to_owned(),
            // Only what stands in a file gives way to another file.
            Error::Helper { program, setting, .. } if setting.starts_with("`credential-helpers`") => {
                format!("install or mend `{program}`, or name other settings: `--registries-conf FILE`")
            }
            Error::Helper { program, .. } => {
                format!("install or mend `{program}`, or name a file with credentials: `--authfile FILE`")
            }
            Error::Proxy { .. } => "write it as `http://HOST:PORT` (or https, socks5), or unset it".to_owned(),
            Error::Skopeo(_) => format!(
                "`--transport proxy` needs skopeo {}.{} or newer; without it use `--transport http`",
                proxy::MINIMUM_SKOPEO.0,
                proxy::MINIMUM_SKOPEO.1
            ),
            Error::Manifest { .. } => {
                "something else than the registry may have answered: look at the address with `curl`".to_owned()
            }
            Error::Configuration { path, .. } => format!("check `{}`, or name another", path.display()),
            Error::TooLarge { .. } => "no registry serves manifests or tokens of this size in good faith".to_owned(),
            Error::WrongSize { .. } => "the image was pushed wrongly, or something on the way cuts it".to_owned(),
            Error::Blocked { .. } => "change registries.conf, or name another with `--registries-conf`".to_owned(),
            Error::GaveUp { last, .. } => return last.hints(),
            Error::Content { .. } => {
                "the store, or who serves the set, is damaged: fetch the set anew (`bootc-embed fetch … --store DIR`)"
                    .to_owned()
            }
            Error::Refused { status: 413, .. } => {
                "a proxy before the registry may limit how much can be sent at once: raise its limit".to_owned()
            }
            Error::Refused { status: 405, .. } => {
                "the registry, or this repository, may be for reading only".to_owned()
            }
            Error::Refused { .. } | Error::Answer { .. } => return Vec::new(),
        };
        vec![hint]
    }
}

/// Bytes of a blob as they come; nothing is checked yet.
pub type BlobStream = BoxStream<'static, Result<Bytes, Error>>;

/// Manifest bytes as they came, with the registry's word for their type.
pub struct Answer {
    /// The body.
    pub bytes: Vec<u8>,
    /// `Content-Type`, where the lane knows it.
    pub content_type: Option<String>,
}

/// A lane to registries.
#[async_trait::async_trait]
pub trait Registry: Send + Sync {
    /// Manifest bytes, unchecked but for [`MAX_MANIFEST_SIZE`]. Callers use [`Registry::manifest`].
    async fn manifest_bytes(&self, repository: &Repository, at: At<'_>) -> Result<Answer, Error>;

    /// Bytes of a blob that the manifest `image` names, from an offset on; unchecked.
    async fn blob(&self, image: &PinnedReference, blob: &Descriptor, from: u64) -> Result<BlobStream, Error>;

    /// Hears that the bytes of a blob turned out to be wrong; tells whether asking once more, from its
    /// beginning, may bring others.
    fn distrust(&self, image: &PinnedReference, blob: &Digest) -> bool {
        let _ = (image, blob);
        false
    }

    /// What a tag in the repository of an image points to, where the image itself is served from: what
    /// belongs to an image is asked of nobody else. `None` where there is no such tag.
    async fn tag_beside(&self, image: &PinnedReference, tag: &str) -> Result<Option<Answer>, Error> {
        match self.manifest_bytes(&image.repository, At::Tag(tag)).await {
            Ok(answer) => Ok(Some(answer)),
            Err(e) if matches!(e.last(), Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The manifests whose subject is this one, as indexes in pages (OCI distribution-spec, "Listing
    /// Referrers"); unchecked. `None` where the registry or the lane has no such list.
    async fn referrers(&self, image: &PinnedReference) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let _ = image;
        Ok(None)
    }

    /// The signatures that a lookaside store of registries.d has for a manifest, in their order; unchecked.
    async fn lookaside(&self, image: &PinnedReference) -> Result<Vec<Vec<u8>>, Error> {
        let _ = image;
        Ok(Vec::new())
    }

    /// A manifest whose bytes are those asked for.
    async fn manifest(&self, repository: &Repository, at: At<'_>) -> Result<RawManifest, Error> {
        let answer = self.manifest_bytes(repository, at).await?;
        let object = || at.of(repository);
        if answer.bytes.len() as u64 > MAX_MANIFEST_SIZE {
            return Err(Error::TooLarge { object: object(), limit: MAX_MANIFEST_SIZE });
        }
        if let At::Digest(wanted) = at {
            let found = Digest::of(&answer.bytes);
            if found != *wanted {
                return Err(Error::WrongBytes { object: object(), found });
            }
        }
        RawManifest::new(answer.bytes, answer.content_type.as_deref())
            .map_err(|source| Error::Manifest { object: object(), source })
    }

    /// A small blob, checked, in memory.
    async fn small_blob(&self, image: &PinnedReference, blob: &Descriptor) -> Result<Vec<u8>, Error> {
        self.whole_blob(image, blob, MAX_MANIFEST_SIZE).await
    }

    /// A blob of at most so many bytes, checked, in memory.
    async fn whole_blob(&self, image: &PinnedReference, blob: &Descriptor, limit: u64) -> Result<Vec<u8>, Error> {
        let object = || format!("{}@{}", image.repository, blob.digest);
        if blob.size > limit {
            return Err(Error::TooLarge { object: object(), limit });
        }
        let (mut stream, mut hasher, mut bytes) = (self.blob(image, blob, 0).await?, Hasher::default(), Vec::new());
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            hasher.update(&chunk);
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > blob.size {
                return Err(Error::TooLarge { object: object(), limit: blob.size });
            }
        }
        let found = hasher.finish();
        if found == blob.digest { Ok(bytes) } else { Err(Error::WrongBytes { object: object(), found }) }
    }
}
