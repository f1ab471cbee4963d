//! An in-process registry that takes uploads, in all the ways in which registries differ, and that fails and lies
//! when it is told to.
//!
//! It is as strict as the strictest of them: for example, blobs belong to one repository, and a manifest needs its
//! blobs there. `behaviour` is how registries differ, `fault` what happens to requests, `lie` what is said that is
//! not so. `server` leads from a request to `uploads` and `manifests`, which know no network.

mod authorization;
mod behaviour;
mod content;
mod exchange;
mod fault;
mod lie;
mod line;
mod manifests;
mod server;
mod tests;
mod uploads;

use super::fixture::Repository;
use super::loopback::Loopback;
use authorization::Scope;
pub use behaviour::{Auth, Behaviour, Sparse};
use content::{Held, Stored};
use fault::Faults;
pub use fault::{On, WriteFault};
use lie::Lies;
pub use lie::{Claim, Lie};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use uploads::Upload;

/// One request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// For example `PUT`.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Which host was asked: the registry, or the one for uploads.
    pub host: String,
    /// What was answered; 0 for nothing.
    pub status: u16,
    /// How much of the body was taken.
    pub bytes_in: u64,
    /// The value of `Authorization`.
    pub authorization: Option<String>,
    /// The value of `Range`.
    pub range: Option<String>,
    /// The value of `Content-Range`.
    pub content_range: Option<String>,
    /// The value of `Accept`.
    pub accept: Option<String>,
    /// The value of `Content-Type`.
    pub content_type: Option<String>,
}

/// The requests that came, by number; the first ones may be forgotten.
#[derive(Default)]
struct Log {
    forgotten: usize,
    asked: Vec<Asked>,
}

impl Log {
    fn add(&mut self, asked: Asked) -> usize {
        self.asked.push(asked);
        self.forgotten + self.asked.len() - 1
    }

    fn change(&mut self, number: usize, change: impl FnOnce(&mut Asked)) {
        let asked = number.checked_sub(self.forgotten).and_then(|at| self.asked.get_mut(at));
        asked.map(change);
    }
}

/// All that changes.
#[derive(Default)]
struct State {
    content: HashMap<String, Stored>,
    uploads: HashMap<String, Upload>,
    uploads_begun: usize,
    tokens: HashMap<String, Vec<Scope>>,
    tokens_given: usize,
    faults: Faults,
    lies: Lies,
    log: Log,
}

impl State {
    fn repository(&mut self, name: &str) -> &mut Stored {
        self.content.entry(name.to_owned()).or_default()
    }
}

struct Inner {
    behaviour: Behaviour,
    host: String,
    other_host: Option<String>,
    state: Mutex<State>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while locked")
    }
}

/// The registry; it stops when this is dropped, and every connection with it.
pub struct WritableRegistry {
    inner: Arc<Inner>,
    _servers: Vec<Loopback>,
}

impl WritableRegistry {
    /// Starts an empty registry on loopback.
    pub fn start(behaviour: Behaviour) -> Self {
        let (listener, host) = Loopback::listen();
        let mut listeners = vec![(listener, false)];
        let other_host = behaviour.uploads_elsewhere.then(|| {
            let (listener, host) = Loopback::listen();
            listeners.push((listener, true));
            host
        });
        let inner = Arc::new(Inner { behaviour, host, other_host, state: Mutex::default() });
        let servers = listeners.into_iter().map(|(listener, elsewhere)| {
            let inner = inner.clone();
            Loopback::serve(listener, move |listener| server::serve(listener, inner, elsewhere))
        });
        Self { _servers: servers.collect(), inner }
    }

    /// Host and port, as references write them.
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// Host and port of where uploads go, if that is elsewhere.
    pub fn other_host(&self) -> Option<&str> {
        self.inner.other_host.as_deref()
    }

    /// All requests until now, in the order in which they came.
    pub fn requests(&self) -> Vec<Asked> {
        self.inner.state().log.asked.clone()
    }

    /// Forgets the requests until now.
    pub fn forget_requests(&self) {
        let log = &mut self.inner.state().log;
        log.forgotten += log.asked.len();
        log.asked.clear();
    }

    /// Adds content, unasked and unchecked.
    pub fn put(&self, repository: &Repository) {
        self.inner.state().repository(&repository.name).add(repository);
    }

    /// The bytes that the registry has at a tag or a digest, whatever it says of them.
    pub fn manifest(&self, repository: &str, at: &str) -> Option<Vec<u8>> {
        Some(self.inner.state().content.get(repository)?.manifest(at)?.bytes.clone())
    }

    /// Digests by tag.
    pub fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        let state = self.inner.state();
        state.content.get(repository).map(|stored| stored.tags.clone()).unwrap_or_default()
    }

    /// Whether the repository has a blob.
    pub fn has_blob(&self, repository: &str, digest: &str) -> bool {
        self.inner.state().content.get(repository).is_some_and(|stored| stored.blobs.contains_key(digest))
    }

    /// Another writer puts a manifest at a tag.
    pub fn set_tag(&self, repository: &str, tag: &str, bytes: &[u8], media_type: &str) {
        self.inner.state().repository(repository).put(tag, &Held::new(bytes, media_type));
    }

    /// Loses a tag.
    pub fn remove_tag(&self, repository: &str, tag: &str) {
        self.inner.state().repository(repository).tags.remove(tag);
    }

    /// Loses a blob.
    pub fn remove_blob(&self, repository: &str, digest: &str) {
        self.inner.state().repository(repository).blobs.remove(digest);
    }

    /// The hour passes after which Quay forgets what no tag reaches; others forget nothing.
    pub fn expire(&self) {
        if self.inner.behaviour.quay {
            self.inner.state().content.values_mut().for_each(Stored::expire);
        }
    }

    /// No token that was given is good any more.
    pub fn expire_tokens(&self) {
        self.inner.state().tokens.clear();
    }

    /// The next requests of a kind that are not refused anyway meet a fault, as many as said. What was planned first
    /// comes first.
    pub fn fail(&self, on: On, times: usize, fault: WriteFault) {
        self.inner.state().faults.plan(on, times, fault);
    }

    /// Lies about a tag or a digest from the next good PUT there on.
    pub fn lie(&self, repository: &str, at: &str, lie: Lie) {
        self.inner.state().lies.plan(repository, at, lie);
    }

    /// The same at once, for what nobody puts there.
    pub fn lie_at_once(&self, repository: &str, at: &str, lie: Lie) {
        let mut state = self.inner.state();
        state.lies.plan(repository, at, lie);
        let before = state.repository(repository).manifest(at).cloned();
        let aftermath = state.lies.wake(repository, at, before.as_ref());
        aftermath.happen(at, state.repository(repository));
    }
}
