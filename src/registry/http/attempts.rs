//! One object, several tries: which source is asked next, how long to wait, and when to give up.
//!
//! All sources are asked in their order before anything is asked twice. An answer that will not
//! change (404, 401, wrong bytes) takes its source out; what may be better in a moment is asked again.

use super::endpoint::Endpoint;
use super::failure::{Again, Failed};
use crate::model::{Progress, Repository};
use crate::registry::Error;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// No wait between two tries is longer, unless the registry asks for it.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// So long the same failure is not told of again.
const SILENCE: Duration = Duration::from_secs(60);
/// A try that brought as much as this does not count: a transfer of gigabytes may break off many times.
const ENOUGH: u64 = 1024 * 1024;

/// A repository that may have what is asked for.
#[derive(Clone)]
pub struct Source {
    /// As it is asked for there.
    pub repository: Repository,
    /// The registry it is in.
    pub endpoint: Arc<Endpoint>,
    /// Whether a setting brought it here.
    pub mirror: bool,
}

/// How often and how patiently.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often everything is asked once more.
    pub retries: u32,
    /// The first wait; each is about twice the one before.
    pub backoff: Duration,
}

/// Tells the user of failures that were got around; of the same one, which many requests meet, now and then.
pub struct Notes {
    progress: Arc<dyn Progress>,
    told: Mutex<HashMap<String, Instant>>,
}

impl Notes {
    /// Tells `progress`.
    pub fn new(progress: Arc<dyn Progress>) -> Self {
        Self { progress, told: Mutex::default() }
    }

    /// Tells of `subject`, unless that was done just before.
    pub fn tell(&self, subject: String, line: &str) {
        let now = Instant::now();
        let before = super::lock(&self.told).insert(subject, now);
        if before.is_none_or(|before| now.duration_since(before) > SILENCE) {
            self.progress.note(line);
        }
    }
}

/// The tries for one object.
pub struct Attempts {
    /// With their place in the order they were given in.
    sources: Vec<(usize, Source)>,
    at: usize,
    patience: Patience,
    retried: u32,
    backoff: ExponentialBackoff,
    /// The last failure of each source.
    failures: BTreeMap<usize, (Source, Error)>,
    notes: Arc<Notes>,
}

impl Attempts {
    /// Begins with the first source that is not known to be in trouble. There must be one.
    pub fn new(sources: Vec<Source>, patience: Patience, notes: Arc<Notes>) -> Self {
        let sources: Vec<(usize, Source)> = sources.into_iter().enumerate().collect();
        let (well, ill): (Vec<_>, Vec<_>) = sources.into_iter().partition(|(_, source)| !source.endpoint.is_shunned());
        Self {
            sources: well.into_iter().chain(ill).collect(),
            at: 0,
            patience,
            retried: 0,
            backoff: delays(patience),
            failures: BTreeMap::new(),
            notes,
        }
    }

    /// Who is to be asked now. There always is one: [`Attempts::failed`] tells when there is none.
    pub fn source(&self) -> &Source {
        &self.sources[self.at].1
    }

    /// So much came before the try failed.
    pub fn brought(&mut self, bytes: u64) {
        if bytes >= ENOUGH {
            self.retried = 0;
            self.backoff = delays(self.patience);
        }
    }

    /// Takes note of a failure of [`Attempts::source`]: goes on to the next source, or waits and begins
    /// anew; fails when there is nothing left to try.
    pub async fn failed(&mut self, failed: Failed) -> Result<(), Error> {
        let Failed { error, again } = failed;
        let (place, source) = self.sources[self.at].clone();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let text = format!("{error}{cause}");
        self.failures.insert(place, (source.clone(), error));
        match again {
            Again::Never => drop(self.sources.remove(self.at)),
            Again::Soon | Again::After(_) => {
                self.at += 1;
                if let Again::After(wait) = again {
                    source.endpoint.close(wait);
                } else {
                    source.endpoint.shun();
                }
            }
        }
        if let Some((_, next)) = self.sources.get(self.at) {
            let kind = if source.mirror { "mirror " } else { "" };
            let line = format!("{kind}`{}` failed, `{}` is asked instead: {text}", source.repository, next.repository);
            self.notes.tell(format!("{} {}", source.repository, again == Again::Never), &line);
            return Ok(());
        }
        if self.sources.is_empty() || self.retried >= self.patience.retries {
            return Err(self.give_up());
        }
        self.at = 0;
        self.retried += 1;
        let wait = self.backoff.next().unwrap_or(self.patience.backoff);
        let said = if let Again::After(asked) = again { asked.max(wait) } else { wait };
        let line = format!(
            "{text}; trying again in {:.1} s ({} of {})",
            said.as_secs_f32(),
            self.retried,
            self.patience.retries
        );
        self.notes.tell(format!("{} {text}", self.retried), &line);
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// What is said in the end: the failure of the last source, then how often was tried, and what the
    /// others said.
    fn give_up(&mut self) -> Error {
        let failures = std::mem::take(&mut self.failures);
        let mut failures: Vec<(Source, Error)> = failures.into_values().collect();
        let Some((_, last)) = failures.pop() else {
            // `failed` has just put one in.
            return Error::Answer { object: String::new(), detail: "nothing was asked".to_owned() };
        };
        let mut parts: Vec<String> = Vec::new();
        if self.retried > 0 {
            parts.push(format!("given up after {} tries", self.retried + 1));
        }
        parts.extend(failures.iter().map(|(source, error)| format!("mirror `{}`: {error}", source.repository)));
        if parts.is_empty() { last } else { Error::GaveUp { tried: parts.join("; "), last: Box::new(last) } }
    }
}

fn delays(patience: Patience) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(patience.backoff)
        .with_max_delay(LONGEST_BACKOFF)
        .with_jitter()
        .without_max_times()
        .build()
}
