//! What went wrong with one request, and whether it is worth another.

use super::error::{Error, chain, one_line};
use super::types::Status;
use crate::model::ImageStreamTag;
use http_body_util::LengthLimitError;
use std::error::Error as StdError;
use std::time::Duration;

/// Why a request failed.
pub struct Failed {
    /// What is said of it if nothing helps.
    pub error: Error,
    /// Whether the same request may do better.
    pub again: Again,
}

/// Whether the same request may do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The answer would be the same.
    Never,
    /// It may or may not be: the cluster does not say.
    AFewTimes,
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

    /// No answer came in time.
    pub fn silent(server: &str, waited: Duration) -> Self {
        let detail = format!("no answer came in {:.1} s", waited.as_secs_f32());
        Self { error: Error::Unreachable { server: server.to_owned(), detail }, again: Again::Soon }
    }

    /// A request that got no answer: nobody there, a broken connection, no credentials to send.
    pub fn of_request(server: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
                // Its own message has the address, which may hold a password.
                return Self::for_good(Error::Proxy { detail: "only http and socks5 are spoken to it".to_owned() });
            }
            _ => {}
        }
        if let Some(detail) = of_credentials(error) {
            return Self::for_good(Error::Credentials { detail });
        }
        let detail = chain(error);
        // getaddrinfo(3) has no kinds that the standard library would tell apart.
        let lasting = is_of_tls(error)
            || matches!(error, kube::Error::RustlsTls(_))
            || ["Name or service not known", "No address associated"].iter().any(|text| detail.contains(text));
        let again = if lasting { Again::Never } else { Again::Soon };
        Self { error: Error::Unreachable { server: server.to_owned(), detail }, again }
    }

    /// An answer that broke off, or is too large.
    pub fn of_body(to: &ImageStreamTag, server: &str, error: &(dyn StdError + 'static), limit: usize) -> Self {
        if error.is::<LengthLimitError>() {
            let detail = format!("it is larger than {limit} bytes");
            return Self::for_good(Error::Answer { to: to.clone(), detail });
        }
        let error = Error::Unreachable { server: server.to_owned(), detail: chain(error) };
        Self { error, again: Again::Soon }
    }

    /// A refusal. `wait` is `Retry-After`, in seconds.
    pub fn of_status(to: &ImageStreamTag, code: u16, wait: Option<&str>, body: &[u8]) -> Self {
        let said: Status = serde_json::from_slice(body).unwrap_or_default();
        let detail = if said.message.is_empty() { format!("HTTP status {code}") } else { one_line(&said.message) };
        let to = to.clone();
        let error = match code {
            401 => Error::Unauthorized { to, detail },
            403 => Error::Forbidden { to, detail },
            404 => Error::NotFound { to, detail },
            _ => Error::Refused { to, code, detail },
        };
        let again = match (again(code, &said.reason), wait.and_then(|text| text.trim().parse().ok())) {
            (Again::Soon, Some(seconds)) => Again::After(Duration::from_secs(seconds)),
            (again, _) => again,
        };
        Self { error, again }
    }
}

/// Whether what Kubernetes refuses for this reason it may accept later. Of the statuses of HTTP, those count that
/// something between this program and the API answers with.
pub fn again(code: u16, reason: &str) -> Again {
    match reason {
        // `AlreadyExists`: somebody else made the stream meanwhile.
        "Conflict" | "AlreadyExists" | "ServerTimeout" | "Timeout" | "TooManyRequests" | "ServiceUnavailable" => {
            Again::Soon
        }
        "InternalError" => Again::AFewTimes,
        "" | "Unknown" => match code {
            408 | 409 | 429 | 502..=504 => Again::Soon,
            500 => Again::AFewTimes,
            _ => Again::Never,
        },
        _ => Again::Never,
    }
}

/// What a kubeconfig says of credentials, and does not work. What a program was
/// told and what it printed is not repeated: credentials may be in it.
fn of_credentials(error: &(dyn StdError + 'static)) -> Option<String> {
    use kube::client::AuthError;
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<AuthError>() {
            Some(AuthError::AuthExecRun { status, .. }) => return Some(format!("the program for them: {status}")),
            Some(AuthError::AuthExecParse(_)) => return Some("what the program for them printed is none".to_owned()),
            Some(error) => return Some(chain(error)),
            None => cause = error.source(),
        }
    }
    None
}

/// Whether TLS is what failed, however deep in there that stands.
fn is_of_tls(error: &(dyn StdError + 'static)) -> bool {
    // What an `io::Error` holds is not its source.
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || held.is_some_and(|held| is_of_tls(held)) || error.source().is_some_and(is_of_tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_refusals_are_worth_another_try() {
        for (code, reason, wanted) in [
            (409, "Conflict", Again::Soon),
            (409, "AlreadyExists", Again::Soon),
            (500, "ServerTimeout", Again::Soon),
            (504, "Timeout", Again::Soon),
            (429, "TooManyRequests", Again::Soon),
            (503, "ServiceUnavailable", Again::Soon),
            (500, "InternalError", Again::AFewTimes),
            (0, "InternalError", Again::AFewTimes),
            (403, "Forbidden", Again::Never),
            (401, "Unauthorized", Again::Never),
            (404, "NotFound", Again::Never),
            (422, "Invalid", Again::Never),
            (400, "BadRequest", Again::Never),
            (409, "", Again::Soon),
            (502, "", Again::Soon),
            (503, "", Again::Soon),
            (500, "", Again::AFewTimes),
            (302, "", Again::Never),
            (404, "", Again::Never),
            (0, "", Again::Never),
            (0, "Something", Again::Never),
        ] {
            assert_eq!(again(code, reason), wanted, "{code} {reason}");
        }
    }

    #[test]
    fn a_cluster_may_say_when() {
        let to = "team/app:v1".parse().unwrap();
        let again = |code, wait| Failed::of_status(&to, code, wait, b"").again;
        assert_eq!(again(429, Some("7")), Again::After(Duration::from_secs(7)));
        assert_eq!(again(429, Some("soon")), Again::Soon);
        assert_eq!(again(403, Some("7")), Again::Never);
    }
}
