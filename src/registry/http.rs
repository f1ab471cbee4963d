//! The http lane: raw manifests and blobs over HTTP(S), one connection pool for the whole set.
//!
//! Made on `reqwest`, the HTTP library below `oci-client`. That crate itself was tried and does not do:
//! it reads manifests and tokens of any size into memory, sends passwords to a token service without
//! TLS, asks `GET /v2/` before every request to a registry without authentication, and drops the
//! status of errors.

use super::auth::{Credentials, Keyring, Origin};
use super::certs::Certificates;
use super::proxies;
use super::registries_conf::RegistriesConf;
use super::token::{Challenge, MAX_TOKEN_ANSWER, parse_answer, service_url};
use super::{Answer, At, BlobStream, Error, Options, Registry};
use crate::model::manifest::{ACCEPTED, MAX_MANIFEST_SIZE};
use crate::model::{Descriptor, PinnedReference, Repository};
use futures_util::{StreamExt, TryStreamExt};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Response, StatusCode};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

/// A registry that does not take a connection in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A registry that sends nothing for this time has stalled.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// A registry that needs longer than this to hand out a token will not.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(60);
/// More redirects than this are a loop.
const MAX_REDIRECTS: usize = 10;
/// A shorter secret would blot out half of every message.
const SHORTEST_SECRET: usize = 4;
/// How much of an error page is read for its message.
const MAX_ERROR_BODY: u64 = 64 * 1024;

/// The lane.
pub struct Http {
    clients: Mutex<HashMap<Option<PathBuf>, reqwest::Client>>,
    keyring: Keyring,
    options: Options,
    registries_conf: RegistriesConf,
    hosts: Mutex<HashMap<String, Arc<OnceCell<&'static str>>>>,
    authorizations: Mutex<HashMap<Repository, Arc<AsyncMutex<Option<HeaderValue>>>>>,
    /// What must not appear in a message.
    secrets: Mutex<BTreeSet<String>>,
}

impl Http {
    /// A lane with these settings; reads certificates and registries.conf.
    pub fn new(options: Options) -> Result<Self, Error> {
        let registries_conf = RegistriesConf::read(&options.registries_conf)?;
        // What is wrong with settings for every host is told before any is asked.
        proxies::for_reqwest(&options.proxies)?;
        if options.certs.dir.is_some() {
            Certificates::for_host(&options.certs, "")?;
        }
        Ok(Self {
            clients: Mutex::default(),
            keyring: Keyring::new(options.auth.clone(), &registries_conf),
            registries_conf,
            hosts: Mutex::default(),
            authorizations: Mutex::default(),
            secrets: Mutex::new(proxies::secrets(&options.proxies).into_iter().collect()),
            options,
        })
    }

    /// Who speaks to a registry and its token service: all whose certificates stand in one folder share it.
    fn client(&self, host: &str) -> Result<reqwest::Client, Error> {
        let dir = self.options.certs.dir(host)?;
        if let Some(client) = lock(&self.clients).get(&dir) {
            return Ok(client.clone());
        }
        let verify = self.options.tls_verify;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("bootc-embed/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .proxy(proxies::for_reqwest(&self.options.proxies)?)
            .redirect(reqwest::redirect::Policy::custom(follow))
            .tls_danger_accept_invalid_certs(!verify);
        if let Some(certificates) = Certificates::for_host(&self.options.certs, host)? {
            builder = builder.tls_backend_preconfigured(certificates.client_config(verify)?);
        }
        let wrong = |e| Error::Configuration { path: dir.clone().unwrap_or_default(), detail: chain(&e) };
        let client = builder.build().map_err(wrong)?;
        Ok(lock(&self.clients).entry(dir.clone()).or_insert(client).clone())
    }

    /// `https`, or `http` where certificates are not verified and HTTPS does not answer.
    async fn scheme(&self, host: &str) -> Result<&'static str, Error> {
        if self.options.tls_verify {
            return Ok("https");
        }
        let client = self.client(host)?;
        let cell = lock(&self.hosts).entry(host.to_owned()).or_default().clone();
        let probe = || async {
            let https = client.get(format!("https://{}/v2/", api_host(host))).send().await;
            if https.is_ok() { "https" } else { "http" }
        };
        Ok(cell.get_or_init(probe).await)
    }

    /// GETs a path of a repository, with credentials where the registry asks for them.
    async fn get(
        &self,
        repository: &Repository,
        path: &str,
        accept: Option<&str>,
        object: &str,
    ) -> Result<Response, Error> {
        self.registries_conf.check(repository, self.options.tls_verify)?;
        let scheme = self.scheme(repository.host()).await?;
        let url = format!("{scheme}://{}/v2/{}/{path}", api_host(repository.host()), repository.path());
        let slot = lock(&self.authorizations).entry(repository.clone()).or_default().clone();
        let known = slot.lock().await.clone();
        let response = self.send(&url, accept, known.as_ref(), repository, object).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            // Which credentials were refused matters to 403 only.
            let sent = known.filter(|_| response.status() == StatusCode::FORBIDDEN);
            let origin = match sent {
                Some(_) => self.keyring.find(repository).await.ok().flatten().map(|found| found.origin),
                None => None,
            };
            return self.expect_ok(response, object, origin).await;
        }
        let credentials = self.keyring.find(repository).await?;
        let origin = credentials.as_ref().map(|c| c.origin.clone());
        let fresh = {
            let mut slot = slot.lock().await;
            // Another request may have renewed it while this one waited.
            if *slot == known {
                *slot = self.authorize(repository, &response, credentials.as_ref(), object).await?;
            }
            slot.clone()
        };
        let Some(fresh) = fresh else { return self.expect_ok(response, object, origin).await };
        let response = self.send(&url, accept, Some(&fresh), repository, object).await?;
        self.expect_ok(response, object, origin).await
    }

    async fn send(
        &self,
        url: &str,
        accept: Option<&str>,
        authorization: Option<&HeaderValue>,
        repository: &Repository,
        object: &str,
    ) -> Result<Response, Error> {
        let mut request = self.client(repository.host())?.get(url);
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        request.send().await.map_err(|e| failed_request(repository.host(), object, &e))
    }

    /// The value of `Authorization` that answers a 401; `None` where there is nothing to answer with.
    async fn authorize(
        &self,
        repository: &Repository,
        refusal: &Response,
        credentials: Option<&Credentials>,
        object: &str,
    ) -> Result<Option<HeaderValue>, Error> {
        let value = match Challenge::of(refusal.headers()) {
            Challenge::Bearer { realm, service } => {
                let exchange = self.token(repository, &realm, service.as_deref(), credentials, object);
                let silent = |_| Error::Unreachable {
                    host: repository.host().to_owned(),
                    detail: "the registry's token service does not answer".to_owned(),
                };
                let token = tokio::time::timeout(TOKEN_TIMEOUT, exchange).await.map_err(silent)??;
                Some(format!("Bearer {token}"))
            }
            Challenge::Basic => credentials.map(|c| self.basic(c)),
            Challenge::Unknown => None,
        };
        Ok(value.and_then(|value| HeaderValue::from_str(&value).ok()).map(|mut value| {
            value.set_sensitive(true);
            value
        }))
    }

    fn basic(&self, credentials: &Credentials) -> String {
        use base64::Engine as _;
        let pair = format!("{}:{}", credentials.user, credentials.password);
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        lock(&self.secrets).extend([credentials.password.clone(), pair.clone()]);
        format!("Basic {pair}")
    }

    /// Asks a token service for a token to pull from a repository.
    async fn token(
        &self,
        repository: &Repository,
        realm: &str,
        service: Option<&str>,
        credentials: Option<&Credentials>,
        object: &str,
    ) -> Result<String, Error> {
        let origin = credentials.map(|c| c.origin.clone());
        let denied = |detail: String| Error::Denied { object: object.to_owned(), detail, credentials: origin.clone() };
        let scheme = self.scheme(repository.host()).await?;
        let url = service_url(realm, service, repository.path(), scheme).map_err(|e| denied(one_line(&e)))?;
        let authorization = credentials.map(|c| self.basic(c)).and_then(|value| HeaderValue::from_str(&value).ok());
        let mut request = self.client(repository.host())?.get(url);
        if let Some(mut authorization) = authorization {
            authorization.set_sensitive(true);
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = request.send().await.map_err(|e| failed_request(repository.host(), object, &e))?;
        let status = response.status();
        let body = read_capped(response, MAX_TOKEN_ANSWER, object).await?;
        match parse_answer(&body).filter(|_| status == StatusCode::OK) {
            Some(token) => {
                lock(&self.secrets).insert(token.clone());
                Ok(token)
            }
            None => Err(denied(format!("the token service answered {}", self.message(status, &body)))),
        }
    }

    /// The response if it is a 200, else what it means.
    async fn expect_ok(
        &self,
        response: Response,
        object: &str,
        credentials: Option<Origin>,
    ) -> Result<Response, Error> {
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let body = read_capped(response, MAX_ERROR_BODY, object).await.unwrap_or_default();
        let (object, detail) = (object.to_owned(), self.message(status, &body));
        Err(match status {
            StatusCode::NOT_FOUND => Error::NotFound { object, detail },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Denied { object, detail, credentials },
            _ => Error::Answer { object, detail: format!("the registry answered {detail}") },
        })
    }

    /// What an answer that is no 200 says, on one line. Secrets go before the line is cut, or half of one could stay.
    fn message(&self, status: StatusCode, body: &[u8]) -> String {
        one_line(&self.redact(&status_text(status, body)))
    }

    /// Foreign text without the secrets that were sent: a server may send them back.
    fn redact(&self, text: &str) -> String {
        let secrets = lock(&self.secrets);
        let mut text = text.to_owned();
        for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
            text = text.replace(secret.as_str(), "***");
        }
        text
    }
}

#[async_trait::async_trait]
impl Registry for Http {
    async fn manifest_bytes(&self, repository: &Repository, at: At<'_>) -> Result<Answer, Error> {
        let object = at.of(repository);
        let response = self.get(repository, &format!("manifests/{at}"), Some(&ACCEPTED.join(", ")), &object).await?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let content_type = content_type.and_then(|v| v.split(';').next()).map(|v| v.trim().to_owned());
        let bytes = read_capped(response, MAX_MANIFEST_SIZE, &object).await?;
        Ok(Answer { bytes, content_type })
    }

    async fn blob(&self, image: &PinnedReference, blob: &Descriptor) -> Result<BlobStream, Error> {
        let object = format!("{}@{}", image.repository, blob.digest);
        let response = self.get(&image.repository, &format!("blobs/{}", blob.digest), None, &object).await?;
        let interrupted = move |e: reqwest::Error| Error::Interrupted { object: object.clone(), detail: chain(&e) };
        Ok(response.bytes_stream().map_err(interrupted).boxed())
    }
}

/// Follows redirects, but never out of TLS. Credentials do not follow to another host: the HTTP
/// library removes them.
fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let was_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if was_secure && attempt.url().scheme() != "https" {
        attempt.error("the registry redirects from https to http")
    } else if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("too many redirects")
    } else {
        attempt.follow()
    }
}

/// The host that serves a registry's API: Docker Hub's is not the one in its references.
fn api_host(host: &str) -> &str {
    if host == "docker.io" { "registry-1.docker.io" } else { host }
}

/// A poisoned lock only means that another request panicked; the map is still whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn read_capped(response: Response, limit: u64, object: &str) -> Result<Vec<u8>, Error> {
    let mut stream = response.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| Error::Interrupted { object: object.to_owned(), detail: chain(&e) })?;
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(Error::TooLarge { object: object.to_owned(), limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The status and what the registry says of it: its error envelope (distribution-spec, "Error
/// Codes") where it sends one.
fn status_text(status: StatusCode, body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Envelope {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        message: Option<String>,
    }
    let envelope: Option<Envelope> = serde_json::from_slice(body).ok();
    let message = envelope.and_then(|envelope| envelope.errors.into_iter().next()?.message);
    match message.filter(|message| !message.is_empty()) {
        Some(message) => format!("{}, {message}", status.as_u16()),
        None => status.to_string(),
    }
}

/// Foreign text as one short line without control characters, fit for a terminal.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    line.trim().to_owned()
}

/// A request that got no answer: nobody there, a redirect that is not followed, or a broken connection.
fn failed_request(host: &str, object: &str, error: &reqwest::Error) -> Error {
    let (object, detail) = (object.to_owned(), chain(error));
    if error.is_redirect() {
        Error::Answer { object, detail }
    } else if error.is_connect() || error.is_timeout() {
        Error::Unreachable { host: host.to_owned(), detail }
    } else {
        Error::Interrupted { object, detail }
    }
}

/// An error of the HTTP library with its causes; its own message leaves them out and repeats the URL.
fn chain(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = one_line(&error.to_string());
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        cause = error.source();
    }
    if parts.is_empty() { one_line(&error.to_string()) } else { parts.join(": ") }
}
