//! What went wrong with one request, whether it is worth another try, and the words for it.

use super::endpoint::Endpoint;
use super::pace::Pace;
use crate::registry::auth::Origin;
use crate::registry::{BY_PROXY, Error};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use std::time::{Duration, SystemTime};

/// How much of an error page is read for its message.
pub const MAX_ERROR_BODY: u64 = 64 * 1024;
/// A registry that asks to wait longer than this is as good as gone.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What is said of a server that answers something else than TLS.
pub const NO_TLS: &str = "it speaks no TLS";

/// Why a request failed.
pub struct Failed {
    /// What is said of it if nothing helps.
    pub error: Error,
    /// Whether the same request may do better.
    pub again: Again,
}

/// Whether the same request to the same registry may do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The answer would be the same.
    Never,
    /// It may.
    Soon,
    /// It may, but not before this time has passed.
    After(Duration),
}

impl Failed {
    /// A failure that no other try will mend.
    pub fn for_good(error: Error) -> Self {
        Self { error, again: Again::Never }
    }

    /// A failure of the moment.
    pub fn for_now(error: Error) -> Self {
        Self { error, again: Again::Soon }
    }

    /// Nothing came for too long, or too little.
    /// `from` is who should have sent something, where that is not the registry itself.
    pub fn stalled(object: &str, waited: Duration, from: Option<&str>) -> Self {
        let from = from.map(|host| format!(" from `{host}`")).unwrap_or_default();
        let seconds = waited.as_secs_f32();
        let detail = format!("the connection has stalled (next to nothing came{from} for {seconds:.1} s)");
        Self::for_now(Error::Interrupted { object: object.to_owned(), detail })
    }

    /// A request that got no answer: nobody there, a redirect that is not followed, a broken connection.
    /// `followed` is where it was redirected to.
    pub fn of_request(endpoint: &Endpoint, object: &str, error: &reqwest::Error, followed: Option<&Url>) -> Self {
        let host = &endpoint.host;
        let (object, mut host, mut detail) = (object.to_owned(), host.clone(), chain(error));
        if let Some(asked) = other_host(&host, followed.or(error.url())) {
            detail += &format!(" (asked for `{host}`: it redirects there, or has its tokens from there)");
            host = asked;
        }
        if let Some(proxy) = &endpoint.proxy {
            detail += &format!(" ({BY_PROXY} `{proxy}`)");
        }
        if error.is_redirect() {
            Self::for_good(Error::Answer { object, detail })
        } else if is_lasting(error, &detail) {
            Self::for_good(Error::Unreachable { host, detail })
        } else if error.is_connect() || error.is_timeout() {
            Self::for_now(Error::Unreachable { host, detail })
        } else {
            Self::for_now(Error::Interrupted { object, detail })
        }
    }

    /// An answer of another status than was asked for. `who` gave it, and says `message`.
    pub fn of_status(
        who: &str,
        status: StatusCode,
        headers: &HeaderMap,
        object: &str,
        message: String,
        credentials: Option<Origin>,
    ) -> Self {
        let object = object.to_owned();
        match status {
            StatusCode::NOT_FOUND => return Self::for_good(Error::NotFound { object, detail: message }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Self::for_good(Error::Denied { object, detail: message, credentials });
            }
            _ => {}
        }
        let passing = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
        let answered = |detail: String| Error::Answer { object: object.clone(), detail };
        if !passing {
            return Self::for_good(answered(format!("{who} answered {message}")));
        }
        match retry_after(headers, SystemTime::now()) {
            Some(wait) if wait > LONGEST_WAIT => Self::for_good(answered(format!(
                "{who} answered {message}, and asks to come back in {} s",
                wait.as_secs()
            ))),
            Some(wait) => Self { error: answered(format!("{who} answered {message}")), again: Again::After(wait) },
            None => Self::for_now(answered(format!("{who} answered {message}"))),
        }
    }
}

/// Whether who could not be connected to will not be there in a moment either: a name that does not
/// exist, a certificate that is not trusted, a server that does not speak TLS.
fn is_lasting(error: &reqwest::Error, detail: &str) -> bool {
    // getaddrinfo(3) has no kinds that the standard library would tell apart.
    let no_name = detail.contains("Name or service not known") || detail.contains("No address associated");
    no_name || error.is_builder() || is_of_tls(error)
}

/// The host of an address, where it is not this registry's own.
pub fn other_host(host: &str, url: Option<&Url>) -> Option<String> {
    let url = url?;
    let name = url.host_str()?;
    let asked = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
    let own = super::endpoint::api_host(host);
    (asked != own && own.split(':').next() != Some(asked.as_str())).then_some(asked)
}

/// Whether TLS is what failed, however deep in there that stands.
fn is_of_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    // What an `io::Error` holds is not its source.
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || held.is_some_and(|held| is_of_tls(held)) || error.source().is_some_and(is_of_tls)
}

/// `Retry-After` of RFC 9110: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Reads a body that must not be larger than `limit`, nor take a break longer than `stall`.
pub async fn read_capped(response: Response, limit: u64, object: &str, stall: Duration) -> Result<Vec<u8>, Failed> {
    let (mut response, mut pace) = (response, Pace::new(stall));
    let mut bytes = Vec::new();
    loop {
        let chunk = pace.wait(response.chunk()).await.map_err(|waited| Failed::stalled(object, waited, None))?;
        let broken =
            |e: reqwest::Error| Failed::for_now(Error::Interrupted { object: object.to_owned(), detail: chain(&e) });
        let Some(chunk) = chunk.map_err(broken)? else { return Ok(bytes) };
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(Failed::for_good(Error::TooLarge { object: object.to_owned(), limit }));
        }
        pace.came(chunk.len());
        bytes.extend_from_slice(&chunk);
    }
}

/// The status and what the registry says of it: its error envelope (distribution-spec, "Error
/// Codes") where it sends one.
pub fn status_text(status: StatusCode, body: &[u8]) -> String {
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

/// The same with the codes, and what the first error is about: who writes must know why a registry refuses.
pub fn full_text(status: StatusCode, body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Envelope {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        code: Option<String>,
        message: Option<String>,
        detail: Option<serde_json::Value>,
    }
    let envelope: Option<Envelope> = serde_json::from_slice(body).ok();
    let errors = envelope.map(|envelope| envelope.errors).unwrap_or_default();
    let Some(first) = errors.first() else { return status_text(status, body) };
    let mut text = status.as_u16().to_string();
    text += &first.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
    text += &first.message.as_ref().filter(|m| !m.is_empty()).map(|m| format!(", {m}")).unwrap_or_default();
    match &first.detail {
        None | Some(serde_json::Value::Null) => {}
        Some(serde_json::Value::String(detail)) => text += &format!(" ({detail})"),
        Some(serde_json::Value::Object(detail)) if detail.is_empty() => {}
        Some(detail) => text += &format!(" ({detail})"),
    }
    if errors.len() > 1 {
        text += &format!("; {} errors in all", errors.len());
    }
    text
}

/// Foreign text as one short line without control characters, fit for a terminal.
pub fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    line.trim().to_owned()
}

/// What the TLS library says, for people.
fn in_words(text: &str) -> String {
    for (begins, words) in [
        ("received corrupt message of type InvalidContentType", NO_TLS),
        ("peer closed connection without sending TLS close_notify", "the connection was cut"),
        ("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", "its certificate is that of an authority"),
    ] {
        if text.starts_with(begins) {
            return words.to_owned();
        }
    }
    text.to_owned()
}

/// The causes of an error of the HTTP library; its own message leaves them out and repeats the address.
pub fn chain(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = in_words(&one_line(&error.to_string()));
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        cause = error.source();
    }
    // Its own message has the address, which may be a signed one.
    if parts.is_empty() { "the request failed".to_owned() } else { parts.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (text, wait) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            assert_eq!(retry_after(&headers, now), wait.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn which_answers_are_worth_another_try() {
        let again = |status: u16, headers: &HeaderMap| {
            let status = StatusCode::from_u16(status).unwrap();
            Failed::of_status("the registry", status, headers, "x", status.to_string(), None).again
        };
        let mut headers = HeaderMap::new();
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(again(status, &headers), Again::Soon, "{status}");
        }
        for status in [400, 401, 403, 404, 405, 410, 413, 415, 416, 422, 451, 501] {
            assert_eq!(again(status, &headers), Again::Never, "{status}");
        }
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        assert_eq!(again(429, &headers), Again::After(Duration::from_secs(7)));
        assert_eq!(again(403, &headers), Again::Never);
        headers.insert(RETRY_AFTER, HeaderValue::from_static("3600"));
        assert_eq!(again(429, &headers), Again::Never);
    }
}
