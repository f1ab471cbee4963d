//! How fast is too slow.

use std::time::Duration;
use tokio::time::Instant;

/// Fewer bytes a second, over the time that is allowed without any, are a stalled connection.
const SLOWEST: f64 = 1024.0;

/// Tells a slow connection from one that has stalled. Only time spent waiting for the network counts:
/// who takes the bytes may be slow for reasons of its own.
pub struct Pace {
    allowed: Duration,
    waited: Duration,
    bytes: usize,
}

impl Pace {
    /// Nothing may come for so long.
    pub fn new(allowed: Duration) -> Self {
        Self { allowed, waited: Duration::ZERO, bytes: 0 }
    }

    /// Forgets what was.
    pub fn begin(&mut self) {
        (self.waited, self.bytes) = (Duration::ZERO, 0);
    }

    /// Waits for something; fails with how long nothing, or next to nothing, came.
    pub async fn wait<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Duration> {
        let start = Instant::now();
        let done = tokio::time::timeout(self.allowed, future).await.map_err(|_| self.allowed)?;
        self.waited += start.elapsed();
        if self.waited >= self.allowed {
            #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
            let rate = self.bytes as f64 / self.waited.as_secs_f64();
            if rate < SLOWEST {
                return Err(self.waited);
            }
            self.begin();
        }
        Ok(done)
    }

    /// So much has come.
    pub fn came(&mut self, bytes: usize) {
        self.bytes += bytes;
    }
}
