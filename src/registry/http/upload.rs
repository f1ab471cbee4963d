//! A blob on its way to a registry (OCI distribution-spec, "Pushing Blobs"): taken over from another
//! repository where the registry does that, else sent in one piece, and after a break from where it broke.
//!
//! Bytes are hashed while they go out; of wrong ones the last piece is kept back, so no registry takes them
//! for whole.

use super::access::{Renewed, Scope};
use super::ask::{Answered, Ask, Place, dress};
use super::attempts::{Attempts, Source};
use super::destination::Destination;
use super::failure::{Failed, one_line, other_host};
use crate::model::progress::Part;
use crate::model::{Descriptor, Digest, Hasher, PinnedReference, Repository};
use crate::registry::{BlobStream, Error, Registry};
use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, LOCATION, RANGE};
use reqwest::{Body, Method, Response, StatusCode, Url};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// How often it is told how far an upload is.
const TICK: Duration = Duration::from_millis(200);
/// So many times longer than a connection may be silent, a registry may need to store what it has got.
const STORING: u32 = 10;
/// So often a blob is sent anew because its bytes came wrong from where it is read.
const MAX_RESTARTS: u32 = 3;

/// How a blob came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    /// Taken over from another repository of the registry.
    Mounted,
    /// Sent: so many bytes, those included that had to be sent again.
    Sent(u64),
}

/// A blob that is to be written.
pub struct Upload<'a> {
    /// Where.
    pub to: &'a Repository,
    /// What.
    pub blob: &'a Descriptor,
    /// A repository of the same registry that may have it.
    pub from: Option<&'a Repository>,
    /// Where its bytes are read.
    pub source: &'a dyn Registry,
    /// A manifest there that names it.
    pub image: &'a PinnedReference,
}

/// Why an attempt ended.
enum Stop {
    /// The registry that is written to.
    There(Failed),
    /// The registry or store that is read from.
    Here(Error),
}

impl From<Failed> for Stop {
    fn from(failed: Failed) -> Self {
        Stop::There(failed)
    }
}

impl Destination {
    /// Makes sure that a blob is in a repository; tells `part` how far it is.
    pub async fn upload(&self, upload: &Upload<'_>, part: &mut dyn Part) -> Result<Uploaded, Error> {
        let mut run = Run {
            destination: self,
            upload,
            object: format!("{}@{}", upload.to, upload.blob.digest),
            attempts: self.inner.attempts(vec![self.source(upload.to)?]),
            from: upload.from,
            session: None,
            sent: Arc::default(),
            arrived: 0,
            restarts: 0,
        };
        loop {
            match run.attempt(part).await {
                Ok(uploaded) => return Ok(uploaded),
                Err(Stop::Here(error)) => run.distrust(error)?,
                Err(Stop::There(failed)) => run.attempts.failed(failed).await?,
            }
        }
    }
}

struct Run<'a> {
    destination: &'a Destination,
    upload: &'a Upload<'a>,
    object: String,
    attempts: Attempts,
    from: Option<&'a Repository>,
    /// Where an upload goes on that was begun.
    session: Option<Url>,
    /// Bytes that went out, in all attempts.
    sent: Arc<AtomicU64>,
    /// The most that the registry said had arrived. Only more of that is progress: what goes out may be lost.
    arrived: u64,
    restarts: u32,
}

impl Run<'_> {
    async fn attempt(&mut self, part: &mut dyn Part) -> Result<Uploaded, Stop> {
        let source = self.attempts.source().clone();
        let size = self.upload.blob.size;
        let state = match self.session.clone() {
            Some(place) => self.state(&source, place).await?,
            None => None,
        };
        // What the registry does not know any more is begun anew.
        let (mut place, arrived) = match state {
            Some(state) => state,
            None => match self.begin(&source).await? {
                Some(place) => (place, 0),
                None => return Ok(Uploaded::Mounted),
            },
        };
        part.at(arrived);
        self.attempts.brought(arrived.saturating_sub(self.arrived));
        self.arrived = self.arrived.max(arrived);
        self.session = Some(place.clone());
        if arrived > 0 && arrived < size {
            let range = (CONTENT_RANGE, format!("{arrived}-{}", size - 1));
            let response = self.send(&source, Method::PATCH, place.clone(), arrived, Some(range), part).await?;
            place = location(&response).ok_or_else(|| self.nowhere())?;
            self.session = Some(place.clone());
        }
        place.query_pairs_mut().append_pair("digest", &self.upload.blob.digest.to_string());
        let from = if arrived == 0 { 0 } else { size };
        match self.send(&source, Method::PUT, place, from, None, part).await {
            Ok(_) => Ok(Uploaded::Sent(self.sent.load(Relaxed))),
            Err(Stop::There(failed)) if arrived > 0 && matches!(failed.error, Error::Refused { .. }) => {
                // What had arrived before may be what is wrong.
                self.session = None;
                Err(Stop::There(Failed::for_now(failed.error)))
            }
            Err(stop) => Err(stop),
        }
    }

    /// Begins an upload; `None` where the registry took the blob over from another repository.
    async fn begin(&mut self, source: &Source) -> Result<Option<Url>, Failed> {
        let Upload { to, blob, .. } = self.upload;
        let (mut path, mut scope) = ("blobs/uploads/".to_owned(), Scope::push(to));
        if let Some(from) = self.from {
            // Neither has characters that would have to be escaped.
            path = format!("{path}?mount={}&from={}", blob.digest, from.path());
            scope = Scope::mount(to, from);
        }
        let ask = Ask {
            method: Method::POST,
            place: Place::Below(path),
            scope,
            headers: &[(CONTENT_LENGTH, "0".to_owned())],
            body: Some(Bytes::new()),
            object: &self.object,
        };
        let answered = self.destination.inner.ask(source, &ask).await;
        match answered {
            Ok(answered) => match answered.response.status() {
                StatusCode::CREATED if self.from.is_some() => Ok(None),
                StatusCode::ACCEPTED => location(&answered.response).map(Some).ok_or_else(|| self.nowhere()),
                status if self.from.is_some() && status.is_client_error() && !is_passing(status) => {
                    // Whoever may not read there may still write here.
                    self.from = None;
                    Box::pin(self.begin(source)).await
                }
                status if status.is_success() => {
                    let detail = format!("the registry answered {status} where an upload should have begun");
                    Err(Failed::for_good(Error::Answer { object: self.object.clone(), detail }))
                }
                _ => Err(self.destination.inner.write_refusal(source, answered, &self.object).await),
            },
            Err(failed) if self.from.is_some() && matches!(failed.error, Error::Denied { .. }) => {
                self.from = None;
                Box::pin(self.begin(source)).await
            }
            Err(failed) => Err(failed),
        }
    }

    /// Where an upload goes on, and how much of it has arrived; `None` where the registry does not tell.
    async fn state(&self, source: &Source, place: Url) -> Result<Option<(Url, u64)>, Failed> {
        let (method, scope) = (Method::GET, Scope::push(self.upload.to));
        let at = Place::At(place.clone());
        let ask = Ask { method, place: at, scope, headers: &[], body: None, object: &self.object };
        let answered = self.destination.inner.ask(source, &ask).await?;
        let status = answered.response.status();
        if status.is_client_error() {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(self.destination.inner.write_refusal(source, answered, &self.object).await);
        }
        let range = answered.response.headers().get(RANGE).and_then(|range| range.to_str().ok());
        // `0-0` is said of nothing, and of one byte: then the first is sent again.
        let last = range.and_then(|range| range.trim_start_matches("bytes=").strip_prefix("0-")?.parse().ok());
        let arrived = last.filter(|last| *last > 0).map_or(0, |last: u64| last.saturating_add(1));
        let place = location(&answered.response).unwrap_or(place);
        Ok((arrived <= self.upload.blob.size).then_some((place, arrived)))
    }

    /// Sends what follows `from` as the body of a request.
    async fn send(
        &self,
        source: &Source,
        method: Method,
        place: Url,
        from: u64,
        range: Option<(HeaderName, String)>,
        part: &mut dyn Part,
    ) -> Result<Response, Stop> {
        let Upload { to, blob, image, source: content, .. } = self.upload;
        let (inner, endpoint, scope) = (&self.destination.inner, &source.endpoint, Scope::push(to));
        endpoint.open().await;
        let greeting = endpoint.greeting(&self.object).await?;
        let (url, own) = inner.url(source, &Place::At(place), &self.object).await?;
        let pass = if own { inner.access.pass(source, &scope, greeting, &self.object).await? } else { None };
        let length = blob.size.saturating_sub(from);
        let mut headers =
            vec![(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_LENGTH, length.to_string())];
        headers.extend(range);
        let failure = Arc::new(Mutex::new(None));
        let body = if length == 0 {
            Body::from(Bytes::new())
        } else {
            let bytes = content.blob(image, blob, from).await.map_err(Stop::Here)?;
            let sent = self.sent.clone();
            Outgoing::new(bytes, blob, from, sent, failure.clone(), self.object.clone()).into_body()
        };
        let request = dress(endpoint.client.request(method, url), &headers, pass.as_ref()).body(body);
        let (before, mut seen, mut moved) = (self.sent.load(Relaxed), 0, Instant::now());
        let stall = endpoint.stall;
        let given_up = || {
            let sent = self.sent.load(Relaxed) - before;
            part.at(from + sent);
            if sent > seen {
                (seen, moved) = (sent, Instant::now());
            }
            moved.elapsed() >= if sent >= length { stall * STORING } else { stall }
        };
        let answer = endpoint.send_while(request, &self.object, TICK.min(stall), given_up).await;
        if let Some(error) = super::lock(&failure).take() {
            return Err(Stop::Here(error));
        }
        let answered = Answered { response: answer?, with_pass: pass.is_some() };
        let status = answered.response.status();
        if status.is_success() {
            return Ok(answered.response);
        }
        let elsewhere = other_host(&endpoint.host, Some(answered.response.url())).is_some();
        if status == StatusCode::UNAUTHORIZED && own && !elsewhere {
            let headers = answered.response.headers();
            let renewed = inner.access.renew(source, &scope, pass.as_ref(), headers, greeting, &self.object).await?;
            if matches!(renewed, Renewed::ByAnother(_) | Renewed::Here(Some(_))) {
                let detail = "what lets us in had expired".to_owned();
                return Err(Failed::for_now(Error::Interrupted { object: self.object.clone(), detail }).into());
            }
        }
        Err(inner.write_refusal(source, answered, &self.object).await.into())
    }

    /// Goes on after bytes that came wrong, where others may come.
    fn distrust(&mut self, error: Error) -> Result<(), Error> {
        let digest: &Digest = &self.upload.blob.digest;
        let wrong = matches!(error.last(), Error::Content { .. });
        if !wrong || self.restarts == MAX_RESTARTS || !self.upload.source.distrust(self.upload.image, digest) {
            return Err(error);
        }
        self.restarts += 1;
        self.session = None;
        Ok(())
    }

    fn nowhere(&self) -> Failed {
        let detail = "the registry does not say where to upload to".to_owned();
        Failed::for_good(Error::Answer { object: self.object.clone(), detail })
    }
}

/// Whether the same request may do better later.
fn is_passing(status: StatusCode) -> bool {
    [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status)
}

/// Where an answer says that an upload goes on.
fn location(response: &Response) -> Option<Url> {
    response.url().join(response.headers().get(LOCATION)?.to_str().ok()?).ok()
}

/// The bytes of a blob on their way out.
struct Outgoing {
    bytes: BlobStream,
    blob: Descriptor,
    at: u64,
    /// Only of the whole blob the digest can be told.
    hasher: Option<Hasher>,
    sent: Arc<AtomicU64>,
    failure: Arc<Mutex<Option<Error>>>,
    object: String,
}

impl Outgoing {
    fn new(
        bytes: BlobStream,
        blob: &Descriptor,
        from: u64,
        sent: Arc<AtomicU64>,
        failure: Arc<Mutex<Option<Error>>>,
        object: String,
    ) -> Self {
        let hasher = (from == 0).then(Hasher::default);
        Self { bytes, blob: blob.clone(), at: from, hasher, sent, failure, object }
    }

    fn into_body(self) -> Body {
        Body::wrap_stream(futures_util::stream::unfold(Some(self), |outgoing| async move {
            let mut outgoing = outgoing?;
            match outgoing.next().await {
                Ok(chunk) => chunk.map(|chunk| (Ok(chunk), Some(outgoing))),
                Err(error) => {
                    let said = io::Error::other(one_line(&error.to_string()));
                    *super::lock(&outgoing.failure) = Some(error);
                    Some((Err(said), None))
                }
            }
        }))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let size = self.blob.size;
        let wrong = |detail: String| Error::Content { object: self.object.clone(), detail };
        let wrong_size = |found| wrong(format!("it has {found} bytes where {size} are announced"));
        let Some(chunk) = self.bytes.next().await.transpose()? else {
            return if self.at == size { Ok(None) } else { Err(wrong_size(self.at)) };
        };
        self.at += chunk.len() as u64;
        if self.at > size {
            return Err(wrong_size(self.at));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&chunk);
        }
        if self.at == size
            && let Some(hasher) = self.hasher.take()
        {
            let found = hasher.finish();
            if found != self.blob.digest {
                return Err(wrong(format!("it has other bytes, which hash to {found}")));
            }
        }
        self.sent.fetch_add(chunk.len() as u64, Relaxed);
        Ok(Some(chunk))
    }
}
