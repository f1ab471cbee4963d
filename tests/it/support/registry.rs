//! An in-process registry that can be told to fail, for what real ones do not do on command.
//!
//! Serves what it was given, counts requests, asks for credentials if told to, and breaks answers
//! whose path contains a given text.

use super::fixture::Repository;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// What to do with an answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answer with this status and an error envelope.
    Status(u16),
    /// Send these bytes instead.
    Replace(Vec<u8>),
    /// Announce the right length, send this many bytes, break off.
    BreakOff(usize),
    /// Announce and send only this many bytes.
    CutShort(usize),
    /// Send this many bytes more than there are.
    Pad(usize),
    /// Redirect there.
    Redirect(String),
}

/// Whether credentials are asked for; the right ones are `user` and `secret`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// No.
    None,
    /// HTTP basic.
    Basic,
    /// A token, which the token service gives for basic credentials.
    Bearer,
    /// A token, which the token service gives to anybody.
    AnonymousBearer,
    /// A token from a service whose answer never ends.
    EndlessToken,
    /// Credentials, which are refused and sent back in the message.
    Echo,
}

/// One request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Path and query; nothing where a proxy is asked for a tunnel.
    pub path: String,
    /// The value of `Authorization`.
    pub authorization: Option<String>,
    /// The value of `Proxy-Authorization`.
    pub proxy_authorization: Option<String>,
}

struct Inner {
    manifests: HashMap<(String, String), (Vec<u8>, String)>,
    blobs: HashMap<String, Vec<u8>>,
    faults: Mutex<Vec<(String, Fault)>>,
    seen: Mutex<Vec<Seen>>,
    auth: Auth,
    address: String,
}

/// The registry; it stops when this is dropped.
pub struct FaultyRegistry {
    inner: Arc<Inner>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FaultyRegistry {
    /// Serves repositories on loopback.
    pub fn start(repositories: &[Repository]) -> Self {
        Self::start_with(repositories, Auth::None)
    }

    /// Serves repositories that ask for credentials.
    pub fn start_with(repositories: &[Repository], auth: Auth) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        let mut inner = Inner {
            manifests: HashMap::new(),
            blobs: HashMap::new(),
            faults: Mutex::default(),
            seen: Mutex::default(),
            auth,
            address,
        };
        for repository in repositories {
            let by_digest = repository.manifests.iter().map(|manifest| (manifest.digest.clone(), manifest));
            let by_tag = repository.tags.iter().map(|(tag, digest)| {
                let manifest = repository.manifests.iter().find(|m| m.digest == *digest);
                (tag.clone(), manifest.expect("a tag points to a manifest of its repository"))
            });
            for (at, manifest) in by_digest.chain(by_tag) {
                let value = (manifest.bytes.clone(), manifest.media_type.clone());
                inner.manifests.insert((repository.name.clone(), at), value);
            }
            inner.blobs.extend(repository.blobs.iter().map(|blob| (blob.digest.clone(), blob.bytes.clone())));
        }
        let inner = Arc::new(inner);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let app = Router::new().fallback(answer).with_state(inner.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("the listener is usable");
                tokio::select! {
                    served = axum::serve(listener, app) => served.expect("serving works"),
                    _ = stopped => {}
                }
            });
        });
        Self { inner, stop: Some(stop), thread: Some(thread) }
    }

    /// Host and port, as references write them.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Breaks every answer whose path contains a text.
    pub fn fail(&self, path: &str, fault: Fault) {
        self.inner.faults.lock().expect("no panic while locked").push((path.to_owned(), fault));
    }

    /// Breaks nothing any more.
    pub fn heal(&self) {
        self.inner.faults.lock().expect("no panic while locked").clear();
    }

    /// The requests since the last call.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.inner.seen.lock().expect("no panic while locked"))
    }

    /// The paths of blobs that were asked for since the last call of `take_seen`.
    pub fn blob_requests(&self) -> usize {
        self.inner.seen.lock().expect("no panic while locked").iter().filter(|s| s.path.contains("/blobs/")).count()
    }
}

impl Drop for FaultyRegistry {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed by its own thread.
            let _ = thread.join();
        }
    }
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let authorization = text(request.headers(), header::AUTHORIZATION);
    let proxy_authorization = text(request.headers(), header::PROXY_AUTHORIZATION);
    let seen = Seen { path: path.clone(), authorization: authorization.clone(), proxy_authorization };
    inner.seen.lock().expect("no panic while locked").push(seen);
    if path.starts_with("/token") {
        return token(inner.auth, authorization.as_deref());
    }
    if let Some(refusal) = challenge(&inner, authorization.as_deref()) {
        return refusal;
    }
    let (status, content_type, bytes) = content(&inner, request.uri().path());
    let faults = inner.faults.lock().expect("no panic while locked").clone();
    match faults.into_iter().find(|(part, _)| path.contains(part.as_str())) {
        Some((_, fault)) => broken(fault, content_type, bytes),
        None => (status, [(header::CONTENT_TYPE, content_type)], bytes).into_response(),
    }
}

/// What stands at a path.
fn content(inner: &Inner, path: &str) -> (StatusCode, String, Vec<u8>) {
    let unknown = |code: &str| {
        let body =
            format!(r#"{{"errors":[{{"code":"{code}","message":"{}"}}]}}"#, code.to_lowercase().replace('_', " "));
        (StatusCode::NOT_FOUND, "application/json".to_owned(), body.into_bytes())
    };
    let rest = path.trim_start_matches("/v2/");
    if rest.is_empty() {
        return (StatusCode::OK, "application/json".to_owned(), b"{}".to_vec());
    }
    if let Some((name, at)) = rest.split_once("/manifests/") {
        return match inner.manifests.get(&(name.to_owned(), at.to_owned())) {
            Some((bytes, content_type)) => (StatusCode::OK, content_type.clone(), bytes.clone()),
            None => unknown("MANIFEST_UNKNOWN"),
        };
    }
    match rest.split_once("/blobs/").and_then(|(_, digest)| inner.blobs.get(digest)) {
        Some(bytes) => (StatusCode::OK, "application/octet-stream".to_owned(), bytes.clone()),
        None => unknown("BLOB_UNKNOWN"),
    }
}

fn broken(fault: Fault, content_type: String, bytes: Vec<u8>) -> Response {
    let typed = [(header::CONTENT_TYPE, content_type)];
    match fault {
        Fault::Status(status) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, r#"{"errors":[{"code":"TEST","message":"the test says no"}]}"#).into_response()
        }
        Fault::Replace(bytes) => (typed, bytes).into_response(),
        Fault::CutShort(length) => (typed, bytes[..length.min(bytes.len())].to_vec()).into_response(),
        Fault::Pad(length) => (typed, [bytes, vec![0; length]].concat()).into_response(),
        Fault::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Fault::BreakOff(length) => {
            let total = bytes.len();
            let part = Bytes::from(bytes[..length.min(total)].to_vec());
            let broken = std::io::Error::other("the test breaks the connection");
            let stream = futures_util::stream::iter([Ok(part), Err(broken)]);
            let response = Response::builder().header(header::CONTENT_LENGTH, total);
            response.body(Body::from_stream(stream)).expect("a response")
        }
    }
}

/// The refusal, unless the right credentials came.
fn challenge(inner: &Inner, authorization: Option<&str>) -> Option<Response> {
    let (right, challenge) = match inner.auth {
        Auth::None => return None,
        Auth::Basic => ("Basic dXNlcjpzZWNyZXQ=", "Basic realm=\"test\"".to_owned()),
        Auth::Echo => ("", "Basic realm=\"test\"".to_owned()),
        Auth::Bearer | Auth::AnonymousBearer | Auth::EndlessToken => {
            ("Bearer let-me-in", format!("Bearer realm=\"http://{}/token\",service=\"test\"", inner.address))
        }
    };
    let said = match (inner.auth, authorization) {
        // So long that a secret stands where a message is cut.
        (Auth::Echo, Some(value)) => format!("you sent {value} {} {value}", "x".repeat(260)),
        _ => "authentication required".to_owned(),
    };
    let body = format!(r#"{{"errors":[{{"code":"UNAUTHORIZED","message":"{said}"}}]}}"#);
    (authorization != Some(right))
        .then(|| (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], body).into_response())
}

fn token(auth: Auth, authorization: Option<&str>) -> Response {
    if auth == Auth::EndlessToken {
        let chunks = std::iter::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 8192])));
        return Body::from_stream(futures_util::stream::iter(chunks)).into_response();
    }
    if auth == Auth::AnonymousBearer || authorization == Some("Basic dXNlcjpzZWNyZXQ=") {
        (StatusCode::OK, r#"{"token":"let-me-in"}"#).into_response()
    } else {
        (StatusCode::UNAUTHORIZED, "wrong user or password").into_response()
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
