//! Contenders fetch or push in turns, so that what else the machine does falls on all of them.

use crate::command::program;
use crate::contenders::{AGAIN, Contender, Kind, OWN};
use crate::docker_registry::{DockerRegistry, Guards};
use crate::measure::{Run, median, run};
use crate::sets::{Set, Wanted};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Where and how often.
pub struct Arena<'a> {
    /// All that is written goes here: one file system for all.
    pub home: &'a Path,
    /// Where programs are.
    pub path: &'a str,
    /// Whether this program runs once before, unmeasured: a registry that has just been started is slower.
    pub warm_up: bool,
    /// How many turns.
    pub rounds: usize,
    /// In how many of them other programs take part: most are slow, and need not be known as well.
    pub of_peers: usize,
}

/// What came of it.
pub struct Outcome {
    /// Files that must be fetched, manifests included.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
    /// Of each contender what it cost, in the order in which they were given; this program first.
    pub rows: Vec<(&'static Contender, Vec<Run>)>,
}

impl Outcome {
    /// Adds another round of the same; who is not known yet is not taken in.
    pub fn add(&mut self, other: Self) {
        for (contender, more) in other.rows {
            if let Some((_, runs)) = self.rows.iter_mut().find(|(known, _)| known.name == contender.name) {
                runs.extend(more);
            }
        }
    }

    /// The runs of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &(&'static Contender, Vec<Run>)> {
        self.rows.iter().filter(move |(contender, runs)| contender.kind == kind && !runs.is_empty())
    }

    /// Of this program.
    pub fn own(&self) -> &[Run] {
        self.of(Kind::Own).next().map_or(&[], |(_, runs)| runs)
    }

    /// The fastest of a kind, which is the one that this program has most trouble to follow.
    pub fn fastest(&self, kind: Kind) -> Option<&(&'static Contender, Vec<Run>)> {
        self.of(kind).max_by(|(_, a), (_, b)| self.times(a).total_cmp(&self.times(b)))
    }

    /// How many times as long this program takes as another one: the median over turns, in which both had the
    /// same machine.
    pub fn times(&self, runs: &[Run]) -> f64 {
        median(self.own().iter().zip(runs).map(|(own, other)| own.seconds / other.seconds))
    }
}

/// The median.
pub fn seconds(runs: &[Run]) -> f64 {
    median(runs.iter().map(|run| run.seconds))
}

/// What is done, and what it takes.
pub struct Course<'a> {
    /// In messages.
    pub title: String,
    /// From where.
    pub registry: &'a DockerRegistry,
    /// The folder with what contenders need to know.
    pub lists: &'a Path,
    /// Whether it goes to another registry, which is empty and just started.
    pub pushes: bool,
    /// Files that must be moved, manifests included.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
}

impl Arena<'_> {
    /// Lets this program and others fetch the first images of a set in turns, by the name under which the
    /// registry is reached.
    ///
    /// # Panics
    /// If this program fails. Another one that fails is left out.
    pub fn fetch(
        &self,
        registry: &DockerRegistry,
        host: &str,
        set: &Set,
        count: usize,
        others: &[&'static Contender],
    ) -> Outcome {
        let wanted = set.wanted(count);
        let lists = self.home.join("lists");
        let scheme = if registry.cert_dir().exists() { "https" } else { "http" };
        write_lists(&lists, &format!("{scheme}://{host}"), &wanted);
        fs::write(lists.join("references"), set.references(host, count)).expect("write a list");
        let (files, bytes) = (wanted.len(), wanted.iter().map(|file| file.size).sum());
        let title = format!("{count} images, {files} files, {bytes} bytes, {host}");
        let course = Course { title, registry, lists: &lists, pushes: false, files, bytes };
        self.turns(&course, &[&[&OWN, &AGAIN], others].concat())
    }

    /// Lets contenders run in turns, this program first.
    ///
    /// # Panics
    /// If this program fails. Another one that fails is left out.
    pub fn turns(&self, course: &Course<'_>, contenders: &[&'static Contender]) -> Outcome {
        let mut rows: Vec<(&'static Contender, Vec<Run>)> = contenders.iter().map(|one| (*one, Vec::new())).collect();
        let mut place = Place::fresh(self.home, course);
        if self.warm_up {
            self.run(contenders[0], course, &mut place).unwrap_or_else(|text| panic!("{text}"));
        }
        for round in 0..self.rounds {
            rows.retain_mut(|(contender, runs)| {
                let of_kind = if contender.kind.is_peer() { self.of_peers } else { self.rounds };
                if round >= of_kind.min(contender.rounds) {
                    return true;
                }
                if !contender.kind.is_again() {
                    place.retire();
                    place = Place::fresh(self.home, course);
                    rustix::fs::sync();
                }
                match self.run(contender, course, &mut place) {
                    Ok(run) => runs.push(run),
                    Err(text) if matches!(contender.kind, Kind::Own | Kind::Again) => panic!("{text}"),
                    Err(text) => {
                        println!("`{}` failed and is left out: {text}", contender.name);
                        return false;
                    }
                }
                check_sums(&place.out);
                true
            });
        }
        place.retire();
        println!("{}", course.title);
        for (contender, runs) in &rows {
            let all: String = runs.iter().map(|run| format!(" {:.3}", run.seconds)).collect();
            println!("  {:50}{all}", contender.name);
        }
        Outcome { files: course.files, bytes: course.bytes, rows }
    }

    fn run(&self, contender: &Contender, course: &Course<'_>, place: &mut Place) -> Result<Run, String> {
        let certificates = course.registry.cert_dir();
        let tls = if certificates.exists() { certificates.as_path() } else { Path::new("") };
        let mut command = program("sh", self.home);
        command.arg("-c").arg(contender.whole_script()).env("PATH", self.path);
        command.env("OUT", &place.out).env("LISTS", course.lists).env("TLS", tls);
        command.env("JOBS", contender.jobs.to_string()).env("OWN", env!("CARGO_BIN_EXE_bootc-embed"));
        command.env("DEST", place.destination.as_ref().map_or("", DockerRegistry::host));
        let (seen, there) = (course.registry.requests().len(), place.destination.as_ref().map(Seen::now));
        let mut run = run(&mut command)?;
        run.served(&course.registry.requests()[seen..]);
        if let (Some(destination), Some(before)) = (&place.destination, there) {
            run.took(&destination.requests()[before.requests..], destination.bytes_read() - before.bytes);
        }
        Ok(run)
    }
}

/// Where a contender's work goes: a folder, or an empty registry that has just been started over it.
struct Place {
    out: PathBuf,
    destination: Option<DockerRegistry>,
}

/// What a registry had got before.
struct Seen {
    requests: usize,
    bytes: u64,
}

impl Seen {
    fn now(registry: &DockerRegistry) -> Self {
        Self { requests: registry.requests().len(), bytes: registry.bytes_read() }
    }
}

impl Place {
    fn fresh(home: &Path, course: &Course<'_>) -> Self {
        let out = fresh(home);
        let destination = course.pushes.then(|| DockerRegistry::over(Some(&out), Guards::default()));
        Self { out, destination }
    }

    fn retire(&mut self) {
        // Nobody writes there any more.
        self.destination = None;
        retire(&self.out);
    }
}

/// A fresh folder.
fn fresh(home: &Path) -> PathBuf {
    tempfile::Builder::new().prefix("out-").tempdir_in(home).expect("make a folder").keep()
}

/// Frees the space of what was fetched, and leaves nothing to be written behind the next contender's back. Files are
/// made empty, not removed: for minutes after many were removed, ext4 passes over each of their inodes whenever it
/// makes a file, and all who make many files would be measured for what was removed before.
fn retire(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => retire(&entry.path()),
            // A file that may not be written stays as large as it is until the end.
            Ok(kind) if kind.is_file() => drop(File::options().write(true).truncate(true).open(entry.path())),
            _ => {}
        }
    }
}

/// What floors fetch: curl's configuration for all and for each of two lanes of the same size, and the names of
/// the files that come of it.
fn write_lists(folder: &Path, registry: &str, wanted: &[Wanted]) {
    fs::create_dir_all(folder).expect("make a folder");
    let mut files: Vec<&Wanted> = wanted.iter().collect();
    files.sort_by_key(|file| Reverse(file.size));
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut lanes = [0, 0];
    for Wanted { path, hex, size } in files {
        let lane = usize::from(lanes[1] < lanes[0]);
        lanes[lane] += size;
        let mut add = |list: &str, text: String| texts.entry(list.to_owned()).or_default().push_str(&text);
        let mut urls = String::new();
        writeln!(urls, "url = \"{registry}{path}\"").expect("write to memory");
        for list in ["all".to_owned(), format!("lane{}", lane + 1)] {
            add(&list, format!("{urls}output = \"{hex}\"\n"));
            add(&format!("{list}.names"), format!("{hex}\n"));
        }
        add("nowhere", format!("{urls}output = \"/dev/null\"\n"));
    }
    for (name, text) in texts {
        fs::write(folder.join(name), text).expect("write a list");
    }
}

/// A floor that has other bytes than it should is none. Files are named by their digests.
fn check_sums(out: &Path) {
    let entries = fs::read_dir(out).expect("read what was fetched").flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("sums.")) {
        let sums = fs::read_to_string(entry.path()).expect("read sums");
        assert!(!sums.is_empty(), "a floor hashed nothing");
        for line in sums.lines() {
            let (sum, name) = line.split_once(' ').expect("a sum has a name");
            assert_eq!(sum, name.trim_start_matches([' ', '*']), "a floor fetched other bytes");
        }
    }
}
