//! What a registry has and whom it gives it to.

use super::delivery::{Delivery, End};
use super::{Auth, Inner};
use crate::support::fixture::{OCI_INDEX, Repository};
use serde_json::{Value, json};
use std::collections::HashMap;

/// `user:secret`, as HTTP basic sends it.
pub const RIGHT: &str = "Basic dXNlcjpzZWNyZXQ=";

/// Bytes, their type and their digest.
struct Held {
    bytes: Vec<u8>,
    media_type: String,
    digest: String,
}

/// Manifests by repository and tag or digest; blobs by digest.
#[derive(Default)]
pub(super) struct Content {
    manifests: HashMap<(String, String), Held>,
    blobs: HashMap<String, Held>,
    /// Descriptors of referrers by repository and subject, and how many go on a page.
    referrers: HashMap<String, (usize, HashMap<String, Vec<Value>>)>,
}

impl Content {
    pub(super) fn of(repositories: &[Repository]) -> Self {
        let mut content = Self::default();
        for repository in repositories {
            let by_digest = repository.manifests.iter().map(|manifest| (manifest.digest.clone(), manifest));
            let by_tag = repository.tags.iter().map(|(tag, digest)| {
                let manifest = repository.manifest(digest);
                (tag.clone(), manifest.expect("a tag points to a manifest of its repository"))
            });
            for (at, blob) in by_digest.chain(by_tag) {
                let (bytes, media_type, digest) = (blob.bytes.clone(), blob.media_type.clone(), blob.digest.clone());
                content.manifests.insert((repository.name.clone(), at), Held { bytes, media_type, digest });
            }
            if let Some(page) = repository.referrers {
                let mut by_subject: HashMap<String, Vec<Value>> = HashMap::new();
                for manifest in &repository.manifests {
                    let parsed: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
                    if let Some(subject) = parsed["subject"]["digest"].as_str() {
                        by_subject.entry(subject.to_owned()).or_default().push(manifest.descriptor());
                    }
                }
                content.referrers.insert(repository.name.clone(), (page, by_subject));
            }
            for blob in &repository.blobs {
                let (bytes, digest) = (blob.bytes.clone(), blob.digest.clone());
                let held = Held { bytes, media_type: "application/octet-stream".into(), digest: digest.clone() };
                content.blobs.insert(digest, held);
            }
        }
        content
    }

    /// What stands at a path. Like the real one, this gives parts of blobs only.
    pub(super) fn at(&self, path: &str, range: Option<&str>) -> Delivery {
        let unknown = |code: &str| {
            let message = code.to_lowercase().replace('_', " ");
            let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
            Delivery::new(404, "application/json", body.into_bytes())
        };
        let found = |held: &Held| {
            Delivery::new(200, &held.media_type, held.bytes.clone()).header("Docker-Content-Digest", &held.digest)
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let rest = path.trim_start_matches("/v2/");
        if rest.is_empty() {
            return Delivery::new(200, "application/json", b"{}".to_vec());
        }
        if let Some((name, at)) = rest.split_once("/manifests/") {
            let held = self.manifests.get(&(name.to_owned(), at.to_owned()));
            return held.map_or_else(|| unknown("MANIFEST_UNKNOWN"), found);
        }
        if let Some((name, subject)) = rest.split_once("/referrers/") {
            return self.referrers(name, subject, query).unwrap_or_else(|| unknown("NOT_FOUND"));
        }
        let Some(held) = rest.split_once("/blobs/").and_then(|(_, digest)| self.blobs.get(digest)) else {
            return unknown("BLOB_UNKNOWN");
        };
        let mut delivery = found(held).header("Accept-Ranges", "bytes");
        delivery.range = range.and_then(parse_range);
        delivery
    }

    /// A page of the list of referrers; none where the registry has no such lists.
    fn referrers(&self, name: &str, subject: &str, query: &str) -> Option<Delivery> {
        let (page, by_subject) = self.referrers.get(name)?;
        let all = by_subject.get(subject).map(Vec::as_slice).unwrap_or_default();
        let from: usize = query.strip_prefix("from=").and_then(|from| from.parse().ok()).unwrap_or(0);
        let until = all.len().min(from + page);
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": &all[from.min(until)..until] });
        let delivery = Delivery::new(200, OCI_INDEX, index.to_string().into_bytes());
        let next = format!("</v2/{name}/referrers/{subject}?from={until}>; rel=\"next\"");
        Some(if until < all.len() { delivery.header("Link", &next) } else { delivery })
    }
}

/// Reads `bytes=FROM-` and `bytes=FROM-TO`.
fn parse_range(value: &str) -> Option<(usize, Option<usize>)> {
    let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
    let to = if to.is_empty() { None } else { Some(to.parse().ok()?) };
    Some((from.parse().ok()?, to))
}

impl Inner {
    /// The refusal, unless the right credentials came.
    pub(super) fn challenge(&self, authorization: Option<&str>) -> Option<Delivery> {
        let bearer = format!("Bearer realm=\"http://{}/token\",service=\"test\"", self.address);
        let (right, challenge) = match self.auth {
            Auth::None => return None,
            Auth::Basic => (authorization == Some(RIGHT), "Basic realm=\"test\"".to_owned()),
            Auth::Echo => (false, "Basic realm=\"test\"".to_owned()),
            Auth::ExpiringBearer(_) => (self.use_up(authorization), bearer),
            Auth::Bearer | Auth::AnonymousBearer | Auth::EndlessToken => {
                (authorization == Some("Bearer let-me-in"), bearer)
            }
        };
        if right {
            return None;
        }
        let said = match (self.auth, authorization) {
            // So long that a secret stands where a message is cut.
            (Auth::Echo, Some(value)) => format!("you sent {value} {} {value}", "x".repeat(260)),
            _ => "authentication required".to_owned(),
        };
        let body = format!(r#"{{"errors":[{{"code":"UNAUTHORIZED","message":"{said}"}}]}}"#);
        Some(Delivery::new(401, "application/json", body.into_bytes()).header("WWW-Authenticate", &challenge))
    }

    /// What the token service answers.
    pub(super) fn token(&self, authorization: Option<&str>) -> Delivery {
        let given =
            |token: &str| Delivery::new(200, "application/json", format!(r#"{{"token":"{token}"}}"#).into_bytes());
        match self.auth {
            Auth::EndlessToken => {
                let mut endless = Delivery::new(200, "application/json", vec![b' '; 8192]);
                (endless.chunked, endless.end) = (true, End::Endless);
                endless
            }
            Auth::ExpiringBearer(uses) => {
                let mut tokens = self.tokens.lock().expect("no panic while locked");
                let token = format!("let-me-in-{}", tokens.len());
                tokens.insert(format!("Bearer {token}"), uses);
                given(&token)
            }
            Auth::AnonymousBearer => given("let-me-in"),
            _ if authorization == Some(RIGHT) => given("let-me-in"),
            _ => Delivery::new(401, "text/plain", b"wrong user or password".to_vec()),
        }
    }

    /// Whether a token is still good; it is good for one request less afterwards.
    fn use_up(&self, authorization: Option<&str>) -> bool {
        let mut tokens = self.tokens.lock().expect("no panic while locked");
        match authorization.and_then(|value| tokens.get_mut(value)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }
}
