//! Running one command, and what it cost.

use crate::docker_registry::Request;
use crate::support::peak;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often memory is looked at. What the kernel tells is the peak until then, so only the very end can be missed.
const LOOK: Duration = Duration::from_millis(5);
/// The unit of times in proc(5), in seconds: 100 a second on every architecture of today.
const TICK: f64 = 0.01;

/// What one run cost.
#[derive(Debug, Clone)]
pub struct Run {
    /// Wall clock.
    pub seconds: f64,
    /// Of all its processes, user and system.
    pub cpu: f64,
    /// Peak memory of the process itself, in KiB.
    pub peak: u64,
    /// Bytes that the registry has sent.
    pub bytes: u64,
    /// Requests that it has answered.
    pub requests: usize,
    /// Those that were for blobs.
    pub blob_requests: usize,
    /// What came to the registry that it was pushed to.
    pub taken: Taken,
}

/// What comes to a registry that is pushed to.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// Requests that it has answered.
    pub requests: usize,
    /// Those that send blobs: the beginning, every piece and the end of an upload; also a blob that is taken over from
    /// another repository.
    pub uploads: usize,
    /// Bytes that it has read, headers and manifests included.
    pub bytes: u64,
}

impl Run {
    /// Adds what the registry says of it.
    pub fn served(&mut self, requests: &[Request]) {
        self.bytes = requests.iter().map(|request| request.bytes).sum();
        self.requests = requests.len();
        self.blob_requests = requests.iter().filter(|request| request.path.contains("/blobs/")).count();
    }

    /// Adds what the registry says that it was pushed to.
    pub fn took(&mut self, requests: &[Request], bytes: u64) {
        let uploads = requests.iter().filter(|request| request.path.contains("/blobs/uploads/")).count();
        self.taken = Taken { requests: requests.len(), uploads, bytes };
    }
}

/// Runs a command to its end; what it says where it fails.
pub fn run(command: &mut Command) -> Result<Run, String> {
    let said = tempfile::NamedTempFile::new().expect("make a file for messages");
    let errors = said.reopen().expect("open the file for messages");
    let before = children();
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(errors).spawn().expect("start a program");
    let process = child.id().to_string();
    let ended = AtomicBool::new(false);
    let (status, seconds, peak) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !ended.load(Relaxed) {
                most = peak(&process).unwrap_or(0).max(most);
                std::thread::sleep(LOOK);
            }
            most
        });
        let status = child.wait().expect("wait for a program");
        let seconds = start.elapsed().as_secs_f64();
        ended.store(true, Relaxed);
        (status, seconds, watcher.join().expect("look at memory"))
    });
    if !status.success() {
        return Err(format!("{status}\n{}", fs::read_to_string(said.path()).unwrap_or_default()));
    }
    let cpu = children() - before;
    Ok(Run { seconds, cpu, peak, bytes: 0, requests: 0, blob_requests: 0, taken: Taken::default() })
}

/// Seconds of all processes that this one has waited for, and of those that they have.
fn children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux tells of processes");
    // The second field may contain blanks; it ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')').expect("proc(5)");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |field: usize| fields[field - 3].parse::<f64>().expect("proc(5)");
    (ticks(16) + ticks(17)) * TICK
}

/// The value in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[length / 2],
        length => f64::midpoint(values[length / 2 - 1], values[length / 2]),
    }
}
