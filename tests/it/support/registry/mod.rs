//! An in-process registry that can be told to fail, for what real ones do not do on command.
//!
//! Serves what it was given, notes requests, asks for credentials if told to, and breaks answers
//! whose path contains a given text. It speaks HTTP by itself (`delivery`), because libraries refuse
//! to send what is wrong; `fault` is what can be wrong, `content` what is right.

mod connection;
mod content;
mod delivery;
mod fault;
mod tests;

use super::fixture::Repository;
use super::loopback::Loopback;
use content::Content;
pub use content::RIGHT;
use fault::Faults;
pub use fault::{After, Fault};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

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
    /// The same, but each token is good for so many requests only.
    ExpiringBearer(u32),
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
    /// The value of `Range`.
    pub range: Option<String>,
}

struct Inner {
    content: Content,
    faults: Mutex<Faults>,
    seen: Mutex<Vec<Seen>>,
    auth: Auth,
    /// For how many requests each token is still good; keys are values of `Authorization`.
    tokens: Mutex<HashMap<String, u32>>,
    address: String,
    /// Bytes per second of each answer; 0 is as fast as can be.
    speed: AtomicU64,
}

/// The registry; it stops when this is dropped, and every connection with it.
pub struct FaultyRegistry {
    inner: Arc<Inner>,
    _server: Loopback,
}

impl FaultyRegistry {
    /// Serves repositories on loopback.
    pub fn start(repositories: &[Repository]) -> Self {
        Self::start_with(repositories, Auth::None)
    }

    /// Serves repositories that ask for credentials.
    pub fn start_with(repositories: &[Repository], auth: Auth) -> Self {
        let (listener, address) = Loopback::listen();
        let inner = Arc::new(Inner {
            content: Content::of(repositories),
            faults: Mutex::default(),
            seen: Mutex::default(),
            auth,
            tokens: Mutex::default(),
            address,
            speed: AtomicU64::new(0),
        });
        let served = inner.clone();
        Self { inner, _server: Loopback::serve(listener, |listener| connection::serve(listener, served)) }
    }

    /// Host and port, as references write them.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Breaks every answer whose path contains a text.
    pub fn fail(&self, path: &str, fault: Fault) {
        self.faults().plan(path, None, fault);
    }

    /// Breaks the next answers whose path contains a text, as many as said. What was planned first
    /// comes first.
    pub fn fail_times(&self, path: &str, times: usize, fault: Fault) {
        self.faults().plan(path, Some(times), fault);
    }

    /// Breaks so many answers out of a hundred by a fault of chance that a client can get over.
    pub fn misbehave(&self, seed: u64, percent: usize) {
        self.faults().misbehave(seed, percent);
    }

    /// Breaks nothing any more.
    pub fn heal(&self) {
        *self.faults() = Faults::default();
    }

    /// Sends at most so many bytes of each answer in a second; 0 is as fast as can be.
    pub fn throttle(&self, speed: u64) {
        self.inner.speed.store(speed, Relaxed);
    }

    /// The requests since the last call.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.inner.seen.lock().expect("no panic while locked"))
    }

    /// The paths of blobs that were asked for since the last call of `take_seen`.
    pub fn blob_requests(&self) -> usize {
        self.inner.seen.lock().expect("no panic while locked").iter().filter(|s| s.path.contains("/blobs/")).count()
    }

    fn faults(&self) -> std::sync::MutexGuard<'_, Faults> {
        self.inner.faults.lock().expect("no panic while locked")
    }
}
