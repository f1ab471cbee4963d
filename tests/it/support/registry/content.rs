//! What a registry has and whom it gives it to.

use super::delivery::{Delivery, End};
use super::{Auth, Inner};
use crate::support::fixture::Repository;
use std::collections::HashMap;

/// `user:secret`, as HTTP basic sends it.
const RIGHT: &str = "Basic dXNlcjpzZWNyZXQ=";

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
        let path = path.split('?').next().unwrap_or(path);
        let rest = path.trim_start_matches("/v2/");
        if rest.is_empty() {
            return Delivery::new(200, "application/json", b"{}".to_vec());
        }
        if let Some((name, at)) = rest.split_once("/manifests/") {
            let held = self.manifests.get(&(name.to_owned(), at.to_owned()));
            return held.map_or_else(|| unknown("MANIFEST_UNKNOWN"), found);
        }
        let Some(held) = rest.split_once("/blobs/").and_then(|(_, digest)| self.blobs.get(digest)) else {
            return unknown("BLOB_UNKNOWN");
        };
        let mut delivery = found(held).header("Accept-Ranges", "bytes");
        delivery.range = range.and_then(parse_range);
        delivery
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
