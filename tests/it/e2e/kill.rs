//! Killed at any instant, the next run finishes: nothing is broken, nothing comes twice.

use super::load::{Load, asked};
use crate::support::command::run;
use crate::support::random::Random;
use crate::support::tree::Tree;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Bytes per second of each transfer: a run of the set takes about a third of a second.
const SPEED: u64 = 10_000_000;

/// A seed for this run, or that of another one which is to be repeated.
pub fn seed() -> u64 {
    let given = std::env::var("BOOTC_EMBED_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let seed = given.unwrap_or_else(now);
    println!("seed {seed}; BOOTC_EMBED_SEED={seed} repeats it");
    seed
}

/// Whether this is `make soak`.
pub fn soaking() -> bool {
    std::env::var_os("BOOTC_EMBED_SOAK").is_some()
}

/// Starts a program and kills it after a while.
///
/// # Panics
/// If it failed by itself before.
fn kill_after(command: &mut Command, pause: Duration) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    std::thread::sleep(pause);
    // It may have ended by itself, which is as good an instant as any other.
    let _ = child.kill();
    let ended = child.wait_with_output().expect("the program ends");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() || ended.status.signal() == Some(9), "{:?}: {errors}", ended.status);
}

/// Fails where a blob was asked for that was complete.
#[track_caller]
fn assert_not_twice(load: &Load, before: &BTreeSet<String>) {
    let asked = asked(&load.registry.take_seen());
    let twice: Vec<_> = asked.intersection(before).collect();
    assert!(twice.is_empty(), "complete, and asked for again: {twice:#?}");
}

/// Two at a time: most of a run is waiting.
#[test]
fn a_run_that_was_killed_at_any_instant_is_finished_by_the_next_one() {
    let kills = if soaking() { 1000 } else { 100 };
    let seed = seed();
    std::thread::scope(|scope| {
        scope.spawn(|| kill(Random::new(seed), kills / 2));
        scope.spawn(|| kill(Random::new(!seed), kills / 2));
    });
}

/// Kills so many runs, from one to three in each store, and finishes each store.
fn kill(mut random: Random, kills: usize) {
    let load = Load::new();
    let path = |name: &str| load.workbench.path(name);
    run(&mut load.fetch(&load.earlier, &path("earlier"))).success();
    load.registry.throttle(SPEED);
    let start = Instant::now();
    run(&mut load.fetch(&load.wanted, &path("undisturbed"))).success();
    let typical = start.elapsed();
    let undisturbed = Tree::read(&path("undisturbed"));

    let (mut killed, mut round, mut kept) = (0, 0, 0);
    while killed < kills {
        round += 1;
        let store = path("store");
        if round % 2 == 0 {
            run(load.workbench.program("cp").arg("-a").arg(path("earlier")).arg(&store)).success();
        }
        let mut before = load.complete(&store);
        let mut instants = Vec::new();
        load.registry.take_seen();
        for _ in 0..=random.below(3) {
            let nanoseconds = u64::try_from(typical.as_nanos()).expect("a run is short");
            let pause = Duration::from_nanos(random.next() % nanoseconds);
            instants.push(pause);
            kill_after(&mut load.fetch(&load.wanted, &store), pause);
            killed += 1;
            assert_not_twice(&load, &before);
            before = load.complete(&store);
        }
        kept += before.len();
        let what = format!("store {round}, killed after {instants:?} of {typical:?}");
        let finished = run(&mut load.fetch(&load.wanted, &store));
        assert_eq!(finished.code, Some(0), "{what}: {finished}");
        assert_not_twice(&load, &before);
        undisturbed.assert_same(&Tree::read(&store), &what);
        fs::remove_dir_all(&store).expect("a store can be removed");
    }
    println!("{killed} kills in {round} stores; a run takes {typical:?}; {kept} complete blobs were kept");
    assert!(kept > round, "kills were too early to prove anything");
}

/// What came of a large blob before a kill is there for the next process.
#[test]
fn a_blob_that_was_cut_off_by_a_kill_is_read_on_from_there() {
    let load = Load::new();
    let path = |name: &str| load.workbench.path(name);
    run(&mut load.fetch(&load.wanted, &path("undisturbed"))).success();
    load.registry.throttle(200_000);
    let mut child = load.fetch(&load.wanted, &path("store")).stderr(Stdio::null()).spawn().expect("the program starts");
    // The largest one takes five seconds, so that this is well in the middle.
    std::thread::sleep(Duration::from_secs(2));
    child.kill().expect("it is still at work");
    child.wait().expect("it ends");
    load.registry.throttle(0);
    load.registry.take_seen();
    run(&mut load.fetch(&load.wanted, &path("store"))).success();
    let ranges: Vec<String> = load.registry.take_seen().into_iter().filter_map(|seen| seen.range).collect();
    assert!(ranges.iter().any(|range| range.len() > "bytes=100000-".len() - 1), "read on from {ranges:?}");
    Tree::read(&path("undisturbed")).assert_same(&Tree::read(&path("store")), "a blob in two parts");
}
