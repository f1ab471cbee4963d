//! The http lane: raw manifests and blobs over HTTP(S), one connection pool for the whole set.
//!
//! Made on `reqwest`, the HTTP library below `oci-client`. That crate itself was tried and does not do:
//! it reads manifests and tokens of any size into memory, sends passwords to a token service without
//! TLS, asks `GET /v2/` before every request to a registry without authentication, and drops the
//! status of errors.
//!
//! Here is what is asked for, and where; `attempts` says what happens when that fails, `body` how a blob
//! is read on after a break, `destination` what is written and `upload` how a blob is, `beside` where what belongs to an image is asked for, `endpoint` what is known of a registry, `access` how it lets us in.

mod access;
mod ask;
mod attempts;
mod beside;
mod body;
mod destination;
mod endpoint;
mod failure;
mod pace;
mod upload;

pub use destination::{Destination, Held, Served};
pub(super) use endpoint::client;
pub(super) use failure::chain;
pub use upload::{Upload, Uploaded};

use super::auth::Keyring;
use super::certs::Certificates;
use super::lookaside::Lookaside;
use super::proxies;
use super::registries_conf::RegistriesConf;
use super::{Answer, At, BlobStream, Error, Options, Registry};
use crate::model::manifest::{ACCEPTED, MAX_MANIFEST_SIZE};
use crate::model::{Descriptor, Digest, PinnedReference, Progress, RawManifest, Reference, Repository};
use access::{Access, Scope};
use ask::{Ask, Place};
use attempts::{Attempts, Notes, Patience, Source};
use body::Body;
use endpoint::Endpoint;
use failure::{Failed, read_capped};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, RANGE};
use reqwest::{Client, Method, Response, StatusCode};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;

/// The lane. Clones share everything.
#[derive(Clone)]
pub struct Http {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    registries_conf: RegistriesConf,
    notes: Arc<Notes>,
    access: Access,
    /// By the folder with their certificates, and whether any other is good enough.
    clients: Mutex<HashMap<(Option<PathBuf>, bool), Client>>,
    /// By host, and whether anything goes there.
    endpoints: Mutex<HashMap<(String, bool), Arc<Endpoint>>>,
    /// By repository, and whether it is asked by digest.
    routes: Mutex<HashMap<(Repository, bool), Vec<Source>>>,
    /// Who answered for a tag of a repository; the digests behind it are there as well.
    answered_tags: Mutex<HashMap<Repository, Source>>,
    /// Who answered for a manifest.
    answered: Mutex<HashMap<PinnedReference, Source>>,
    /// Whether the registry lists referrers, by repository as it is asked for.
    lists_referrers: Mutex<HashMap<Repository, Arc<OnceCell<bool>>>>,
    lookaside: Lookaside,
    /// Who served bytes of a blob, since it was begun.
    servers: Mutex<HashMap<Digest, BTreeSet<String>>>,
    /// Who served wrong bytes of a blob.
    liars: Mutex<HashMap<Digest, BTreeSet<String>>>,
}

impl Http {
    /// A lane with these settings; reads registries.conf. What is got around is told to `progress`.
    pub fn new(options: Options, progress: Arc<dyn Progress>) -> Result<Self, Error> {
        let registries_conf = RegistriesConf::read(&options.registries_conf)?;
        // What is wrong with settings for every host is told before any is asked.
        proxies::for_reqwest(&options.proxies)?;
        if options.certs.dir.is_some() {
            Certificates::for_host(&options.certs, "")?;
        }
        let keyring = Keyring::new(options.auth.clone(), &registries_conf);
        let lookaside = Lookaside::new(&options)?;
        let inner = Inner {
            registries_conf,
            notes: Arc::new(Notes::new(progress)),
            access: Access::new(keyring, proxies::secrets(&options.proxies)),
            clients: Mutex::default(),
            options,
            endpoints: Mutex::default(),
            routes: Mutex::default(),
            answered_tags: Mutex::default(),
            answered: Mutex::default(),
            lists_referrers: Mutex::default(),
            lookaside,
            servers: Mutex::default(),
            liars: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Inner {
    fn endpoint(&self, host: &str, insecure: bool) -> Result<Arc<Endpoint>, Error> {
        let key = (host.to_owned(), insecure);
        if let Some(known) = lock(&self.endpoints).get(&key) {
            return Ok(known.clone());
        }
        let client = self.client(host, insecure)?;
        let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, port.parse().ok()));
        let through = |scheme, port| proxies::proxy_for(&self.options.proxies, scheme, name, port);
        let proxy = match through("https", port.unwrap_or(443))? {
            None if insecure => through("http", port.unwrap_or(80))?,
            proxy => proxy,
        };
        let proxy = proxy.and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
        let endpoint = Arc::new(Endpoint::new(host, insecure, client, self.options.stall, proxy));
        Ok(lock(&self.endpoints).entry(key).or_insert(endpoint).clone())
    }

    /// Who speaks to a registry and its token service: all whose certificates stand in one folder share it.
    fn client(&self, host: &str, insecure: bool) -> Result<Client, Error> {
        let key = (self.options.certs.dir(host)?, insecure);
        if let Some(client) = lock(&self.clients).get(&key) {
            return Ok(client.clone());
        }
        let certificates = Certificates::for_host(&self.options.certs, host)?;
        let client = endpoint::client(certificates, insecure, proxies::for_reqwest(&self.options.proxies)?)?;
        Ok(lock(&self.clients).entry(key).or_insert(client).clone())
    }

    /// Where registries.conf says that a repository is, best first.
    fn route(&self, repository: &Repository, by_digest: bool) -> Result<Vec<Source>, Error> {
        let key = (repository.clone(), by_digest);
        if let Some(known) = lock(&self.routes).get(&key) {
            return Ok(known.clone());
        }
        let route = self.registries_conf.route(repository, by_digest);
        let mut sources = Vec::new();
        for source in route.sources {
            // Any tag: only the repository is wanted.
            let name: Reference = format!("{}:x", source.repository).parse().map_err(|e| Error::Blocked {
                object: repository.to_string(),
                reason: format!("{}: {e}", source.reason),
            })?;
            let insecure = source.insecure || !self.options.tls_verify;
            let endpoint = self.endpoint(name.repository().host(), insecure)?;
            sources.push(Source { repository: name.repository().clone(), endpoint, mirror: source.mirror });
        }
        if sources.is_empty() {
            let reasons: Vec<String> =
                route.skipped.iter().map(|skipped| format!("`{}`: {}", skipped.repository, skipped.reason)).collect();
            let from_tag = by_digest && lock(&self.answered_tags).contains_key(repository);
            if !from_tag {
                return Err(Error::Blocked { object: repository.to_string(), reason: reasons.join("; ") });
            }
        }
        lock(&self.routes).insert(key, sources.clone());
        Ok(sources)
    }

    /// Where a repository may be, best first; never nowhere.
    fn sources(&self, repository: &Repository, by_digest: bool) -> Result<Vec<Source>, Error> {
        let mut sources = self.route(repository, by_digest)?;
        if by_digest && let Some(source) = lock(&self.answered_tags).get(repository) {
            // An image that was found by its tag in a mirror for tags only is there as a whole.
            if !sources.iter().any(|known| known.repository == source.repository) {
                sources.push(source.clone());
            }
        }
        Ok(sources)
    }

    fn attempts(&self, sources: Vec<Source>) -> Attempts {
        let Options { retries, backoff, .. } = self.options;
        Attempts::new(sources, Patience { retries, backoff }, self.notes.clone())
    }

    /// Those that have not served wrong bytes of a blob yet.
    fn honest(&self, blob: &Digest, mut sources: Vec<Source>) -> Vec<Source> {
        if let Some(liars) = lock(&self.liars).get(blob) {
            sources.retain(|source| !liars.contains(&source.repository.to_string()));
        }
        sources
    }

    /// GETs a path of a repository.
    async fn get(
        &self,
        source: &Source,
        path: &str,
        headers: &[(HeaderName, String)],
        object: &str,
    ) -> Result<Response, Failed> {
        let (method, scope) = (Method::GET, Scope::pull(&source.repository));
        let ask = Ask { method, place: Place::Below(path.to_owned()), scope, headers, body: None, object };
        let answered = self.ask(source, &ask).await?;
        let status = answered.response.status();
        let out_of_range = status == StatusCode::RANGE_NOT_SATISFIABLE && headers.iter().any(|(n, _)| n == RANGE);
        if status == StatusCode::OK || status == StatusCode::PARTIAL_CONTENT || out_of_range {
            return Ok(answered.response);
        }
        Err(self.refusal(source, answered, object).await)
    }

    async fn manifest(&self, source: &Source, at: At<'_>) -> Result<Answer, Failed> {
        let object = at.of(&source.repository);
        let accept = [(ACCEPT, ACCEPTED.join(", "))];
        let response = self.get(source, &format!("manifests/{at}"), &accept, &object).await?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let content_type = content_type.and_then(|v| v.split(';').next()).map(|v| v.trim().to_owned());
        let bytes = read_capped(response, MAX_MANIFEST_SIZE, &object, self.options.stall).await?;
        if let At::Digest(wanted) = at {
            let found = Digest::of(&bytes);
            if found != *wanted {
                return Err(Failed::for_good(Error::WrongBytes { object, found }));
            }
        }
        // Where something else than a manifest came, another source may have one.
        let raw = RawManifest::new(bytes, content_type.as_deref());
        let raw = raw.map_err(|source| Failed::for_good(Error::Manifest { object, source }))?;
        Ok(Answer { bytes: raw.bytes().to_vec(), content_type })
    }

    fn tell_of_mirror(&self, repository: &Repository, at: At<'_>, source: &Source) {
        if source.mirror {
            let line = format!("`{}` is what the mirror `{}` says it is", at.of(repository), source.repository);
            self.notes.tell(line.clone(), &line);
        }
    }

    fn remember_server(&self, blob: &Digest, source: &Source) {
        lock(&self.servers).entry(blob.clone()).or_default().insert(source.repository.to_string());
    }
}

#[async_trait::async_trait]
impl Registry for Http {
    async fn manifest_bytes(&self, repository: &Repository, at: At<'_>) -> Result<Answer, Error> {
        let sources = self.inner.sources(repository, matches!(at, At::Digest(_)))?;
        let mut attempts = self.inner.attempts(sources);
        loop {
            match self.inner.manifest(attempts.source(), at).await {
                Ok(answer) => {
                    let (source, digest) = (attempts.source().clone(), Digest::of(&answer.bytes));
                    if matches!(at, At::Tag(_)) {
                        self.inner.tell_of_mirror(repository, at, &source);
                        lock(&self.inner.answered_tags).insert(repository.clone(), source.clone());
                    }
                    lock(&self.inner.answered).insert(repository.at(&digest), source);
                    return Ok(answer);
                }
                Err(failed) => attempts.failed(failed).await?,
            }
        }
    }

    async fn blob(&self, image: &PinnedReference, blob: &Descriptor, from: u64) -> Result<BlobStream, Error> {
        let sources = self.inner.sources(&image.repository, true)?;
        let honest = self.inner.honest(&blob.digest, sources.clone());
        let attempts = self.inner.attempts(if honest.is_empty() { sources } else { honest });
        if from == 0 {
            lock(&self.inner.servers).remove(&blob.digest);
        }
        Ok(Body::new(self.inner.clone(), attempts, blob, from).into_stream())
    }

    async fn tag_beside(&self, image: &PinnedReference, tag: &str) -> Result<Option<Answer>, Error> {
        let source = self.server(image).await?;
        self.inner.tag_at(source, tag).await
    }

    async fn referrers(&self, image: &PinnedReference) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let source = self.server(image).await?;
        Box::pin(self.inner.referrers_at(source, &image.digest)).await
    }

    async fn lookaside(&self, image: &PinnedReference) -> Result<Vec<Vec<u8>>, Error> {
        let source = self.server(image).await?;
        self.inner.lookaside.read(&source.repository.at(&image.digest)).await
    }

    fn distrust(&self, image: &PinnedReference, blob: &Digest) -> bool {
        let servers = lock(&self.inner.servers).remove(blob).unwrap_or_default();
        if servers.len() > 1 {
            // Which of them it was comes out when one alone is asked.
            return true;
        }
        for server in &servers {
            let line = format!("`{server}` served other bytes as {blob}, and is not asked for it again");
            self.inner.notes.tell(line.clone(), &line);
        }
        lock(&self.inner.liars).entry(blob.clone()).or_default().extend(servers);
        let sources = self.inner.sources(&image.repository, true).unwrap_or_default();
        !self.inner.honest(blob, sources).is_empty()
    }
}

/// A poisoned lock only means that another request panicked; the map is still whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
