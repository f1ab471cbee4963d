//! The http lane with settings for tests: nobody's credentials, plain HTTP, no repeats, short waits; and
//! somebody who listens to what it tells.

use bootc_embed::model::Progress;
use bootc_embed::model::progress::{Part, Silent};
use bootc_embed::registry::Options;
use bootc_embed::registry::http::Http;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Settings to begin with.
pub fn options() -> Options {
    let stall = Duration::from_secs(5);
    Options { tls_verify: false, retries: 0, backoff: Duration::from_millis(1), stall, ..Options::default() }
}

/// The lane; what it tells is heard by nobody.
///
/// # Panics
/// If the settings are wrong.
pub fn lane(options: Options) -> Http {
    Http::new(options, Arc::new(Silent)).expect("the settings can be used")
}

/// Remembers what is told of failures that were got around. Clones remember together.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    /// All notes since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic while locked"))
    }
}

impl Progress for Notes {
    fn start(&self, _: &str, _: u64, _: bool) {}
    fn advance(&self, _: u64) {}
    fn part(&self, _: &str, _: u64) -> Box<dyn Part> {
        Box::new(Silent)
    }
    fn done(&self, _: &str) {}
    fn note(&self, line: &str) {
        self.0.lock().expect("no panic while locked").push(line.to_owned());
    }
    fn finish(&self) {}
}
