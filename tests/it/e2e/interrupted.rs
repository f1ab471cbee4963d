//! Disturbed otherwise than by being killed: Ctrl-C, a second writer, too few file descriptors.

use super::load::Load;
use crate::support::command::{Finished, run};
use crate::support::tree::Tree;
use rustix::process::{Pid, Signal};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// So slow that a run does not end by itself while a test looks at it.
const SLOW: u64 = 20_000;

/// Waits until something is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: not after 20 seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a program and runs it on another thread.
fn start(mut command: Command) -> std::thread::JoinHandle<Finished> {
    std::thread::spawn(move || run(&mut command))
}

#[test]
fn an_interrupted_run_ends_at_once_and_says_how_to_go_on() {
    let load = Load::new();
    let path = |name: &str| load.workbench.path(name);
    run(&mut load.fetch(&load.wanted, &path("undisturbed"))).success();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let store = path(&format!("store-{code}"));
        load.registry.take_seen();
        load.registry.throttle(SLOW);
        let mut fetch = load.fetch(&load.wanted, &store);
        let child = fetch.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        until("it asks for blobs", || load.registry.blob_requests() > 0);
        let start = Instant::now();
        rustix::process::kill_process(Pid::from_child(&child), signal).expect("a signal can be sent");
        let ended = child.wait_with_output().expect("the program ends");
        assert!(start.elapsed() < Duration::from_secs(1), "it went on for {:?}", start.elapsed());
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{errors}");
        assert!(errors.contains("run the same command again"), "{errors}");
        assert!(!store.join("embed.lock.json").exists());
        load.registry.throttle(0);
        run(&mut load.fetch(&load.wanted, &store)).success();
        Tree::read(&path("undisturbed")).assert_same(&Tree::read(&store), &format!("after {signal:?}"));
    }
}

#[test]
fn a_second_writer_is_turned_away_and_the_first_one_finishes() {
    let load = Load::new();
    let path = |name: &str| load.workbench.path(name);
    run(&mut load.fetch(&load.wanted, &path("undisturbed"))).success();
    load.registry.take_seen();
    load.registry.throttle(SLOW);
    let first = start(load.fetch(&load.wanted, &path("store")));
    until("the first writer asks for blobs", || load.registry.blob_requests() > 0);
    let second = run(&mut load.fetch(&load.earlier, &path("store")));
    second.fails_with(3).says("another bootc-embed is writing to this store").says("hint: wait");
    load.registry.throttle(0);
    first.join().expect("the first writer ends").success();
    Tree::read(&path("undisturbed")).assert_same(&Tree::read(&path("store")), "a store with two writers");
}

#[test]
fn of_writers_that_start_together_one_wins_and_the_store_is_right() {
    let load = Load::new();
    let path = |name: &str| load.workbench.path(name);
    run(&mut load.fetch(&load.wanted, &path("undisturbed"))).success();
    let undisturbed = Tree::read(&path("undisturbed"));
    for round in 0..10 {
        // A folder that is new is made by all of them at once; in the other one there is something to replace.
        let store = path(&format!("store-{}", round / 2));
        if round % 2 == 1 {
            run(&mut load.fetch(&load.earlier, &store)).success();
        }
        let writers: Vec<_> = (0..3).map(|_| start(load.fetch(&load.wanted, &store))).collect();
        let mut done = 0;
        for writer in writers {
            let finished = writer.join().expect("a writer ends");
            match finished.code {
                Some(0) => done += 1,
                _ => drop(finished.fails_with(3).says("another bootc-embed is writing to this store")),
            }
        }
        assert!(done > 0, "round {round}: nobody finished");
        undisturbed.assert_same(&Tree::read(&store), &format!("round {round}, {done} of three finished"));
    }
}

#[test]
fn too_few_file_descriptors_are_told_of_and_the_next_run_finishes() {
    let load = Load::new();
    let path = |name: &str| load.workbench.path(name);
    run(&mut load.fetch(&load.wanted, &path("undisturbed"))).success();
    let undisturbed = Tree::read(&path("undisturbed"));
    let (mut told, mut managed) = (0, 0);
    // With fewer, the runtime of the program cannot begin.
    for limit in (12..36).step_by(2).chain([64]) {
        let store = path(&format!("store-{limit}"));
        let fetch = load.fetch(&load.wanted, &store);
        let mut shell = load.workbench.program("sh");
        shell.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh"]);
        shell.envs(fetch.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let finished = run(shell.arg(fetch.get_program()).args(fetch.get_args()));
        if finished.code == Some(0) {
            managed += 1;
        } else {
            told += 1;
            finished.fails_with(3).says("Too many open files").says("hint: ");
            run(&mut load.fetch(&load.wanted, &store)).success();
        }
        undisturbed.assert_same(&Tree::read(&store), &format!("after {limit} file descriptors"));
    }
    assert!(told > 3 && managed > 0, "{told} runs had too few, {managed} enough");
}
