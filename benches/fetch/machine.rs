//! The machine and the programs on it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs, and how they say their version.
const PROGRAMS: [(&str, &str); 6] = [
    ("docker-registry", "--version"),
    ("curl", "--version"),
    ("openssl", "version"),
    ("skopeo", "--version"),
    ("crane", "version"),
    ("oras", "version"),
];

/// What was found.
pub struct Machine {
    /// Where programs are looked for.
    pub path: String,
    /// Processor and system.
    pub hardware: String,
    /// Programs with their versions.
    pub programs: Vec<String>,
    /// Programs that are not there.
    pub missing: Vec<&'static str>,
}

impl Machine {
    /// Looks.
    pub fn look() -> Self {
        let folders = ["BOOTC_EMBED_BENCH_PATH", "PATH"].map(|name| std::env::var(name).unwrap_or_default());
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folders.join(":"));
        let path = path.trim_start_matches(':').to_owned();
        let (mut programs, mut missing) = (Vec::new(), Vec::new());
        for (name, word) in PROGRAMS {
            match find(&path, name) {
                Some(file) => programs.push(version(&file, name, word)),
                None => missing.push(name),
            }
        }
        Self { path, hardware: hardware(), programs, missing }
    }

    /// Whether a program is there.
    pub fn has(&self, program: &str) -> bool {
        find(&self.path, program).is_some()
    }
}

fn find(path: &str, name: &str) -> Option<PathBuf> {
    path.split(':').filter(|folder| !folder.is_empty()).map(|folder| Path::new(folder).join(name)).find(|p| p.is_file())
}

/// The first word of what a program says of its version that begins with a digit.
fn version(file: &Path, name: &str, word: &str) -> String {
    let output = Command::new(file).arg(word).output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output).into_owned();
    let mut words = text.split_whitespace().map(|word| word.trim_start_matches('v'));
    let number = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    number.map_or_else(|| name.to_owned(), |number| format!("{name} {number}"))
}

fn hardware() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("a processor of unknown name", |(_, model)| model.trim());
    let sha = if processors.contains("sha_ni") || processors.contains("sha2") { "with" } else { "without" };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    format!("{cores} cores of {model}, {sha} instructions for SHA-256; Linux {kernel}")
}
