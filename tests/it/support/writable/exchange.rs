//! A request as the registry reads it, and an answer as it is meant: no network here.

use axum::http::HeaderMap;
use axum::http::request::Parts;
use reqwest::Url;
use serde_json::{Value, json};

/// What a path names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// `/v2/`.
    Base,
    /// `/token`.
    Token,
    /// A manifest at a tag or a digest.
    Manifest(String),
    /// A blob.
    Blob(String),
    /// Where uploads begin.
    Uploads,
    /// An upload that has begun.
    Upload(String),
    /// What refers to a manifest.
    Referrers(String),
    /// Nothing.
    #[default]
    Nowhere,
}

/// A request.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) method: String,
    /// The repository; empty where the path names none.
    pub(super) repository: String,
    pub(super) place: Place,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    /// Empty until it has been read.
    pub(super) body: Vec<u8>,
}

impl Question {
    pub(super) fn new(parts: &Parts) -> Self {
        let path = parts.uri.path();
        let (repository, place) = place(path).unwrap_or_default();
        let query = Url::parse(&format!("http://registry{}", parts.uri)).ok();
        let query = query.iter().flat_map(|url| url.query_pairs().into_owned().collect::<Vec<_>>()).collect();
        Self {
            method: parts.method.to_string(),
            repository,
            place,
            query,
            headers: parts.headers.clone(),
            body: Vec::new(),
        }
    }

    /// All values of a parameter.
    pub(super) fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A header; if it came more than once, all values with commas between.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        if values.is_empty() { None } else { Some(values.join(", ")) }
    }
}

fn place(path: &str) -> Option<(String, Place)> {
    let rest = match path {
        "/token" => return Some((String::new(), Place::Token)),
        "/v2/" | "/v2" => return Some((String::new(), Place::Base)),
        _ => path.strip_prefix("/v2/")?,
    };
    for (part, make) in [
        ("/blobs/uploads/", Place::Upload as fn(String) -> Place),
        ("/blobs/", Place::Blob),
        ("/manifests/", Place::Manifest),
        ("/referrers/", Place::Referrers),
    ] {
        if let Some((repository, name)) = rest.split_once(part) {
            let place = make(name.to_owned());
            let begins = place == Place::Upload(String::new());
            return Some((repository.to_owned(), if begins { Place::Uploads } else { place }));
        }
    }
    None
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// What HEAD says of the length.
    pub(super) length: Option<u64>,
}

impl Answer {
    /// An answer without a body.
    pub(super) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), length: Some(0) }
    }

    /// Bytes of a type.
    pub(super) fn content(media_type: &str, body: Vec<u8>) -> Self {
        Self { length: Some(body.len() as u64), body, ..Self::new(200) }.header("Content-Type", media_type)
    }

    /// An error.
    pub(super) fn refusal(status: u16, code: &str, detail: &Value) -> Self {
        Self::refusals(status, code, std::slice::from_ref(detail))
    }

    /// An error for each of some details.
    pub(super) fn refusals(status: u16, code: &str, details: &[Value]) -> Self {
        let message = code.to_lowercase().replace('_', " ");
        let errors = details.iter().map(|detail| json!({ "code": code, "message": message, "detail": detail }));
        let body = json!({ "errors": errors.collect::<Vec<_>>() }).to_string().into_bytes();
        Self { status, ..Self::content("application/json", body) }
    }

    /// One more header.
    #[must_use]
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}
