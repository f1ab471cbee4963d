//! What a registry's 401 asks for, and how a token service is asked.
//!
//! Source: distribution's "Token Authentication Specification"; challenges are RFC 7235.

use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde::Deserialize;

/// The most bytes that are read of a token service's answer; real ones have a few kB.
pub const MAX_TOKEN_ANSWER: u64 = 1024 * 1024;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A token that this service hands out.
    Bearer {
        /// The service.
        realm: String,
        /// Its name for the registry.
        service: Option<String>,
    },
    /// User and password.
    Basic,
    /// Nothing that is known here.
    Unknown,
}

impl Challenge {
    /// Reads the headers of a 401; a token is preferred where there is a choice.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::Unknown;
        for value in headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()) {
            for challenge in http_auth::parser::ChallengeParser::new(value).map_while(Result::ok) {
                let parameter = |name: &str| {
                    let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("bearer")
                    && let Some(realm) = parameter("realm")
                {
                    return Self::Bearer { realm, service: parameter("service") };
                }
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    found = Self::Basic;
                }
            }
        }
        found
    }
}

/// Where to ask for a token that is good for these scopes. Fails where the registry is on HTTPS and its
/// token service is not: a password would go out in clear text.
pub fn service_url(
    realm: &str,
    service: Option<&str>,
    scopes: &[String],
    registry_scheme: &str,
) -> Result<Url, String> {
    let mut url =
        Url::parse(realm).map_err(|e| format!("the registry's token service `{realm}` is no address: {e}"))?;
    match (registry_scheme, url.scheme()) {
        (_, "https") | ("http", "http") => {}
        ("https", "http") => return Err(format!("the registry is on https, its token service `{realm}` is not")),
        _ => return Err(format!("the registry's token service `{realm}` is no address on the web")),
    }
    let mut query = url.query_pairs_mut();
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    for scope in scopes {
        query.append_pair("scope", scope);
    }
    drop(query);
    Ok(url)
}

/// The token in a service's answer.
pub fn parse_answer(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(bytes).ok()?;
    answer.token.or(answer.access_token).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn challenges() {
        let bearer = |service: Option<&str>| Challenge::Bearer {
            realm: "https://auth.example/token".into(),
            service: service.map(Into::into),
        };
        for (values, expected) in [
            (vec![r#"Bearer realm="https://auth.example/token",service="r, x",scope="y""#], bearer(Some("r, x"))),
            (vec![r#"Basic realm="x", bearer Realm="https://auth.example/token""#], bearer(None)),
            (vec![r#"Basic realm="x""#, r#"Bearer realm="https://auth.example/token""#], bearer(None)),
            (vec!["basic realm=x"], Challenge::Basic),
            (vec!["Bearer service=x"], Challenge::Unknown),
            (vec!["Negotiate", "\u{7f}"], Challenge::Unknown),
            (vec![], Challenge::Unknown),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                if let Ok(value) = HeaderValue::from_str(value) {
                    headers.append(WWW_AUTHENTICATE, value);
                }
            }
            assert_eq!(Challenge::of(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn a_token_service_must_be_as_safe_as_its_registry() {
        let scopes = ["repository:team/app:pull,push".to_owned(), "repository:base:pull".to_owned()];
        let url = |realm, scheme| service_url(realm, Some("r x"), &scopes, scheme).map(String::from);
        let asked = "?service=r+x&scope=repository%3Ateam%2Fapp%3Apull%2Cpush&scope=repository%3Abase%3Apull";
        assert_eq!(url("https://a.example/t", "https").unwrap(), format!("https://a.example/t{asked}"));
        assert_eq!(url("http://a.example/t", "http").unwrap(), format!("http://a.example/t{asked}"));
        assert!(url("http://a.example/t", "https").is_err());
        assert!(url("file:///etc/passwd", "http").is_err());
        assert!(url("no address", "https").is_err());
    }

    #[test]
    fn answers() {
        assert_eq!(parse_answer(br#"{"token":"a","access_token":"b"}"#).as_deref(), Some("a"));
        assert_eq!(parse_answer(br#"{"access_token":"b","expires_in":300}"#).as_deref(), Some("b"));
        for wrong in ["{}", r#"{"token":""}"#, "[]", "<html>"] {
            assert_eq!(parse_answer(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
