//! Who is written to. A repository is asked under its own name, as containers/image does when it writes:
//! registries.conf says whether that is blocked or insecure, its mirrors are for reading.
//!
//! Here are manifests and what is there already; `upload` sends blobs.

use super::access::Scope;
use super::ask::{Answered, Ask, Place};
use super::attempts::Source;
use super::body::Body;
use super::failure::{Again, Failed, MAX_ERROR_BODY, full_text, one_line, other_host, read_capped};
use super::{Http, Inner};
use crate::model::manifest::{ACCEPTED, MAX_MANIFEST_SIZE};
use crate::model::{Descriptor, Digest, PinnedReference, Progress, RawManifest, Repository};
use crate::registry::{Answer, At, BlobStream, Error, Options, Registry};
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName};
use reqwest::{Method, StatusCode};
use std::sync::Arc;

/// What a registry says that a manifest's bytes hash to.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Quay's word on indexes some of whose manifests are absent.
const SPARSE_SUPPORT: HeaderName = HeaderName::from_static("x-sparse-manifest-support");

/// Repositories that are written to, and read back. Clones share everything.
#[derive(Clone)]
pub struct Destination {
    pub(super) inner: Arc<Inner>,
    /// Whether it is written to: who only looks need not be allowed to write.
    writes: bool,
}

/// A manifest as a registry serves it: nothing of it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The body.
    pub bytes: Vec<u8>,
    /// `Content-Type`, without parameters.
    pub content_type: Option<String>,
    /// What the registry says is the digest of the body.
    pub digest: Option<String>,
}

/// What a registry says of something that it has, without sending it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// In bytes; `None` where it does not say.
    pub size: Option<u64>,
    /// What it says is the digest.
    pub digest: Option<String>,
}

impl Destination {
    /// To write, with these settings; reads registries.conf. What is got around is told to `progress`.
    pub fn new(options: Options, progress: Arc<dyn Progress>) -> Result<Self, Error> {
        Ok(Self { inner: Http::new(options, progress)?.inner, writes: true })
    }

    /// The same to read only, over connections and with tokens of its own.
    pub fn reader(options: Options, progress: Arc<dyn Progress>) -> Result<Self, Error> {
        Ok(Self { writes: false, ..Self::new(options, progress)? })
    }

    fn scope(&self, repository: &Repository) -> Scope {
        if self.writes { Scope::push(repository) } else { Scope::pull(repository) }
    }

    /// Fails where settings forbid to write to a repository.
    pub fn check(&self, repository: &Repository) -> Result<(), Error> {
        self.source(repository).map(drop)
    }

    pub(super) fn source(&self, repository: &Repository) -> Result<Source, Error> {
        let object = || repository.to_string();
        let insecure = self.inner.registries_conf.destination(repository);
        let insecure = insecure.map_err(|reason| Error::Blocked { object: object(), reason })?;
        let endpoint = self.inner.endpoint(repository.host(), insecure || !self.inner.options.tls_verify)?;
        Ok(Source { repository: repository.clone(), endpoint, mirror: false })
    }

    /// What the registry says of sparse indexes; `None` where it says nothing.
    pub async fn supports_sparse(&self, repository: &Repository) -> Result<Option<bool>, Error> {
        let mut attempts = self.inner.attempts(vec![self.source(repository)?]);
        loop {
            match self.greeting_header(attempts.source(), &SPARSE_SUPPORT).await {
                Ok(value) => return Ok(value.and_then(|value| value.parse().ok())),
                Err(failed) => attempts.failed(failed).await?,
            }
        }
    }

    /// A header of `GET /v2/`, as it comes to who is let in.
    async fn greeting_header(&self, source: &Source, name: &HeaderName) -> Result<Option<String>, Failed> {
        let object = source.endpoint.host.clone();
        let greeting = source.endpoint.greeting(&object).await?;
        let url = source.endpoint.url(greeting.scheme, "");
        let wrong = |detail: String| Failed::for_good(Error::Answer { object: object.clone(), detail });
        let url = url.parse().map_err(|e| wrong(format!("{e}")))?;
        let (method, scope) = (Method::GET, Scope::push(&source.repository));
        let ask = Ask { method, place: Place::At(url), scope, headers: &[], body: None, object: &object };
        let answered = self.inner.ask(source, &ask).await?;
        Ok(text(answered.response.headers(), name))
    }

    /// What the registry says of a manifest without sending it; `None` where it has none.
    pub async fn head_manifest(&self, repository: &Repository, at: At<'_>) -> Result<Option<Held>, Error> {
        let accept = [(ACCEPT, ACCEPTED.join(", "))];
        self.head(repository, &format!("manifests/{at}"), &accept, &at.of(repository)).await
    }

    /// What the registry says of a blob without sending it; `None` where the repository has none.
    pub async fn head_blob(&self, repository: &Repository, digest: &Digest) -> Result<Option<Held>, Error> {
        self.head(repository, &format!("blobs/{digest}"), &[], &format!("{repository}@{digest}")).await
    }

    async fn head(
        &self,
        repository: &Repository,
        path: &str,
        headers: &[(HeaderName, String)],
        object: &str,
    ) -> Result<Option<Held>, Error> {
        let scope = self.scope(repository);
        let ask =
            Ask { method: Method::HEAD, place: Place::Below(path.to_owned()), scope, headers, body: None, object };
        let mut attempts = self.inner.attempts(vec![self.source(repository)?]);
        loop {
            let failed = match self.inner.ask(attempts.source(), &ask).await {
                Ok(answered) => match answered.response.status() {
                    StatusCode::OK => {
                        let headers = answered.response.headers();
                        let size = text(headers, &CONTENT_LENGTH).and_then(|size| size.parse().ok());
                        return Ok(Some(Held { size, digest: text(headers, &CONTENT_DIGEST) }));
                    }
                    StatusCode::NOT_FOUND => return Ok(None),
                    _ => self.inner.refusal(attempts.source(), answered, object).await,
                },
                Err(failed) => failed,
            };
            attempts.failed(failed).await?;
        }
    }

    /// A manifest as the registry serves it to who takes all types of manifests; `None` where it has none.
    pub async fn read(&self, repository: &Repository, at: At<'_>) -> Result<Option<Served>, Error> {
        let (object, path) = (at.of(repository), format!("manifests/{at}"));
        let mut attempts = self.inner.attempts(vec![self.source(repository)?]);
        loop {
            match self.read_once(attempts.source(), &path, &object).await {
                Ok(served) => return Ok(Some(served)),
                Err(Failed { error: Error::NotFound { .. }, .. }) => return Ok(None),
                Err(failed) => attempts.failed(failed).await?,
            }
        }
    }

    async fn read_once(&self, source: &Source, path: &str, object: &str) -> Result<Served, Failed> {
        let (method, scope, headers) = (Method::GET, self.scope(&source.repository), [(ACCEPT, ACCEPTED.join(", "))]);
        let ask = Ask { method, place: Place::Below(path.to_owned()), scope, headers: &headers, body: None, object };
        let answered = self.inner.ask(source, &ask).await?;
        if answered.response.status() != StatusCode::OK {
            return Err(self.inner.refusal(source, answered, object).await);
        }
        let response = answered.response;
        // A registry may send back what it was sent.
        let said = |name| text(response.headers(), name).map(|text| one_line(&self.inner.access.redact(&text)));
        let content_type = said(&CONTENT_TYPE).and_then(|t| Some(t.split(';').next()?.trim().to_owned()));
        let digest = said(&CONTENT_DIGEST);
        let bytes = read_capped(response, MAX_MANIFEST_SIZE, object, self.inner.options.stall).await?;
        Ok(Served { bytes, content_type, digest })
    }

    /// The pages of the list of what has a manifest as its subject; `None` where the registry has no lists.
    pub async fn referrers(&self, repository: &Repository, digest: &Digest) -> Result<Option<Vec<Vec<u8>>>, Error> {
        self.inner.pages(self.source(repository)?, digest).await
    }

    /// Writes a manifest, its very bytes.
    pub async fn put(&self, repository: &Repository, at: At<'_>, manifest: &RawManifest) -> Result<(), Error> {
        let object = at.of(repository);
        let headers = [(CONTENT_TYPE, manifest.descriptor().media_type)];
        let ask = Ask {
            method: Method::PUT,
            place: Place::Below(format!("manifests/{at}")),
            scope: Scope::push(repository),
            headers: &headers,
            body: Some(Bytes::copy_from_slice(manifest.bytes())),
            object: &object,
        };
        let mut attempts = self.inner.attempts(vec![self.source(repository)?]);
        loop {
            let failed = match self.inner.ask(attempts.source(), &ask).await {
                Ok(answered) if answered.response.status().is_success() => return Ok(()),
                Ok(answered) => self.inner.write_refusal(attempts.source(), answered, &object).await,
                Err(failed) => failed,
            };
            attempts.failed(failed).await?;
        }
    }
}

/// Who reads from here asks this registry and no other.
#[async_trait::async_trait]
impl Registry for Destination {
    async fn manifest_bytes(&self, repository: &Repository, at: At<'_>) -> Result<Answer, Error> {
        let (object, detail) = (at.of(repository), "404".to_owned());
        let served = self.read(repository, at).await?.ok_or(Error::NotFound { object, detail })?;
        Ok(Answer { bytes: served.bytes, content_type: served.content_type })
    }

    async fn blob(&self, image: &PinnedReference, blob: &Descriptor, from: u64) -> Result<BlobStream, Error> {
        let attempts = self.inner.attempts(vec![self.source(&image.repository)?]);
        Ok(Body::new(self.inner.clone(), attempts, blob, from).into_stream())
    }
}

impl Inner {
    /// The failure behind a refusal to write: all that the registry says of it.
    pub(super) async fn write_refusal(&self, source: &Source, answered: Answered, object: &str) -> Failed {
        let Answered { response, with_pass } = answered;
        let credentials = if with_pass { self.access.origin(&source.repository).await } else { None };
        let (status, headers) = (response.status(), response.headers().clone());
        let answered_by = other_host(&source.endpoint.host, Some(response.url()));
        let answered_by = answered_by.map(|host| format!(" (from `{host}`, where it sends us)")).unwrap_or_default();
        let body = read_capped(response, MAX_ERROR_BODY, object, self.options.stall).await.unwrap_or_default();
        let message = one_line(&self.access.redact(&full_text(status, &body))) + &answered_by;
        let failed = Failed::of_status("the registry", status, &headers, object, message.clone(), credentials);
        match failed {
            Failed { error: Error::Answer { object, .. }, again: Again::Never } => {
                Failed::for_good(Error::Refused { object, status: status.as_u16(), answer: message })
            }
            failed => failed,
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
