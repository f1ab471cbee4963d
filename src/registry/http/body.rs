//! The bytes of a blob, whatever happens on the way: what breaks off is asked for from where it broke.
//!
//! Nothing is checked here but lengths; who takes the bytes hashes them, and tells by
//! [`crate::registry::Registry::distrust`] if they were wrong.

use super::Inner;
use super::attempts::Attempts;
use super::failure::{Failed, chain, other_host};
use super::pace::Pace;
use crate::model::Descriptor;
use crate::registry::{BlobStream, Error};
use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::header::{CONTENT_ENCODING, CONTENT_RANGE, HeaderMap, RANGE};
use reqwest::{Response, StatusCode};
use std::sync::Arc;

/// A blob that is being read.
pub struct Body {
    inner: Arc<Inner>,
    attempts: Attempts,
    blob: Descriptor,
    /// How much of the blob has been handed out, or is not wanted.
    offset: u64,
    /// Where the present answer began.
    began: u64,
    /// How much of the present answer comes before the offset: some registries ignore ranges.
    skip: u64,
    answer: Option<Response>,
    /// Whether the registry's ranges can be relied on.
    ranges: bool,
    pace: Pace,
}

impl Body {
    /// The blob from an offset on. Nothing is asked for yet.
    pub fn new(inner: Arc<Inner>, attempts: Attempts, blob: &Descriptor, offset: u64) -> Self {
        let pace = Pace::new(inner.options.stall);
        let (blob, began) = (blob.clone(), offset);
        Self { inner, attempts, blob, offset, began, skip: 0, answer: None, ranges: true, pace }
    }

    /// The blob, chunk after chunk.
    pub fn into_stream(self) -> BlobStream {
        let next = |mut body: Self| async move { Ok(body.next().await?.map(|chunk| (chunk, body))) };
        futures_util::stream::try_unfold(self, next).boxed()
    }

    /// The next bytes; `None` at the end of the blob.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let failed = match self.step().await {
                Ok(chunk) => return Ok(chunk),
                Err(failed) => failed,
            };
            self.answer = None;
            if self.offset == self.blob.size && self.offset > self.began {
                // Only the end of the answer is missing.
                return Ok(None);
            }
            self.attempts.brought(self.offset - self.began);
            self.began = self.offset;
            self.attempts.failed(failed).await?;
        }
    }

    async fn step(&mut self) -> Result<Option<Bytes>, Failed> {
        loop {
            let object = format!("{}@{}", self.attempts.source().repository, self.blob.digest);
            if self.answer.is_none() {
                self.ask(&object).await?;
            }
            let Some(answer) = &mut self.answer else { continue };
            let from = other_host(&self.attempts.source().endpoint.host, Some(answer.url()));
            let stalled = |waited| Failed::stalled(&object, waited, from.as_deref());
            let chunk = self.pace.wait(answer.chunk()).await.map_err(stalled)?;
            let interrupted = |detail: String| Failed::for_now(Error::Interrupted { object: object.clone(), detail });
            let Some(mut chunk) = chunk.map_err(|e| interrupted(chain(&e)))? else {
                if self.offset >= self.blob.size && self.skip == 0 {
                    return Ok(None);
                }
                return Err(interrupted(format!("it ended at {} of {} bytes", self.offset, self.blob.size)));
            };
            self.pace.came(chunk.len());
            let unwanted = usize::try_from(self.skip).unwrap_or(usize::MAX).min(chunk.len());
            self.skip -= unwanted as u64;
            let _ = chunk.split_to(unwanted);
            if !chunk.is_empty() {
                self.offset += chunk.len() as u64;
                return Ok(Some(chunk));
            }
        }
    }

    /// Asks the present source for what is missing.
    async fn ask(&mut self, object: &str) -> Result<(), Failed> {
        let source = self.attempts.source();
        let ranged = self.offset > 0 && self.ranges;
        let range = ranged.then(|| (RANGE, format!("bytes={}-", self.offset)));
        let response = self.inner.get(source, &format!("blobs/{}", self.blob.digest), range.as_slice(), object).await?;
        let wrong = |detail: String| Error::Answer { object: object.to_owned(), detail };
        if let Some(encoding) = response.headers().get(CONTENT_ENCODING).filter(|value| *value != "identity") {
            let encoding = super::failure::one_line(&String::from_utf8_lossy(encoding.as_bytes()));
            let detail = format!("it was sent with `Content-Encoding: {encoding}`, which was not asked for");
            return Err(Failed::for_good(wrong(detail)));
        }
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            let found = size_of_range(response.headers()).unwrap_or(self.offset);
            return Err(Failed::for_good(Error::WrongSize {
                object: object.to_owned(),
                wanted: self.blob.size,
                found,
            }));
        }
        let whole = response.status() == StatusCode::OK;
        if !whole && range_start(response.headers()) != Some(self.offset) {
            self.ranges = false;
            return Err(Failed::for_now(wrong("the registry answered with another range".to_owned())));
        }
        let announced =
            response.content_length().map(|length| if whole { length } else { length.saturating_add(self.offset) });
        if let Some(announced) = announced.filter(|announced| *announced != self.blob.size) {
            let (object, wanted) = (object.to_owned(), self.blob.size);
            return Err(Failed::for_good(Error::WrongSize { object, wanted, found: announced }));
        }
        self.skip = if whole { self.offset } else { 0 };
        self.began = self.offset;
        self.inner.remember_server(&self.blob.digest, source);
        self.pace.begin();
        self.answer = Some(response);
        Ok(())
    }
}

/// The first byte of a partial answer: RFC 9110, `Content-Range: bytes FIRST-LAST/SIZE`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    text.trim().strip_prefix("bytes")?.trim_start().split('-').next()?.trim().parse().ok()
}

/// The size that is told where a range is refused: `Content-Range: bytes */SIZE`.
fn size_of_range(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().rsplit_once('/')?.1.parse().ok()
}
