//! What a user sees of a fetch while it goes on: bars on a terminal, lines elsewhere, and in the end a
//! summary; and that what hangs is given up.

use super::load::Load;
use crate::support::command::{prefer, run, write_script};
use crate::support::registry::Fault;
use rustix::process::{Pid, Signal};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn in_a_pipe_each_finished_image_is_a_line() {
    let load = Load::new();
    let store = load.workbench.path("store");
    let fetched = run(&mut load.fetch(&load.wanted, &store)).success();
    assert!(!fetched.errors.contains(['\r', '\u{1b}']), "a bar is drawn into a pipe\n{fetched}");
    for (at, reference) in load.wanted.iter().enumerate() {
        assert_eq!(fetched.errors.matches(&format!("{reference}\n")).count(), 1, "{fetched}");
        assert!(fetched.errors.contains(&format!("  {}/{} ", at + 1, load.wanted.len())), "{fetched}");
    }
    let text = fetched.text();
    for words in ["8 images in ", "  fetched  ", " blobs in ", "/s\n", "  saved    "] {
        assert!(text.contains(words), "no `{words}`\n{fetched}");
    }
    let second = run(load.fetch(&load.wanted, &store).args(["--format", "json"])).success();
    let summary: serde_json::Value = serde_json::from_slice(&second.output).expect("JSON");
    assert_eq!((&summary["fetched"], &summary["fetchedBytes"]), (&0.into(), &0.into()), "{summary}");
    assert!(summary["savedBytes"].as_u64() >= summary["bytes"].as_u64(), "{summary}");
    assert!(summary["durationMs"].is_u64(), "{summary}");
    let quiet = run(load.fetch(&load.wanted, &load.workbench.path("quiet")).arg("--quiet")).success();
    assert_eq!(quiet.errors, "");
    let alone = run(&mut load.fetch(&load.wanted[..1], &load.workbench.path("alone"))).success();
    assert!(!alone.text().contains("saved"), "nothing is saved of a single image\n{alone}");
}

/// `script` gives the program a terminal, and writes down what it draws there.
fn on_a_terminal(load: &Load, before: &str) -> Command {
    let fetch = load.fetch(&load.wanted, &load.workbench.path("store"));
    let words: Vec<String> = std::iter::once(fetch.get_program())
        .chain(fetch.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let mut script = load.workbench.program("script");
    script.args(["-q", "-e", "-c", &format!("{before} exec {}", words.join(" ")), "/dev/null"]);
    script.env("TERM", "xterm-256color").env("CONTAINERS_REGISTRIES_CONF", "/dev/null");
    script
}

#[test]
fn on_a_terminal_there_is_a_bar_for_all_and_one_for_each_blob() {
    let load = Load::new();
    load.registry.throttle(1_000_000);
    let drawn = run(&mut on_a_terminal(&load, "stty cols 100;")).success();
    let text = drawn.text();
    for words in ["Fetching", "\u{1b}[", "=", "MiB/s", "8 images in "] {
        assert!(text.contains(words), "no `{words}`\n{drawn}");
    }
    // The large layer comes for about a second, in a bar of its own.
    let own = text.split(['\r', '\n']).filter(|line| line.contains('@') && line.contains("=>")).count();
    assert!(own > 3, "only {own} drawings of a blob's bar\n{drawn}");
    assert!(!text.contains("  1/8 "), "lines for images are for pipes\n{drawn}");

    let mut dumb = on_a_terminal(&load, "");
    let dumb = run(dumb.env("TERM", "dumb")).success().text();
    assert!(dumb.contains("  8/8 ") && !dumb.contains("=>"), "a terminal that cannot be drawn on gets lines: {dumb}");
}

#[test]
fn a_run_on_a_terminal_that_is_interrupted_ends_at_once() {
    let load = Load::new();
    load.registry.throttle(100_000);
    let pid = load.workbench.path("pid");
    let mut script = on_a_terminal(&load, &format!("echo $$ > '{}';", pid.display()));
    let drawing = std::thread::spawn(move || run(&mut script));
    let start = Instant::now();
    while load.registry.blob_requests() < 3 {
        assert!(start.elapsed() < Duration::from_secs(20), "no blob is asked for");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    let pid: i32 = std::fs::read_to_string(pid).expect("it was started").trim().parse().expect("a number");
    let start = Instant::now();
    rustix::process::kill_process(Pid::from_raw(pid).expect("a process"), Signal::INT).expect("it is there");
    let drawn = drawing.join().expect("no panic").fails_with(130);
    assert!(start.elapsed() < Duration::from_secs(2), "it took {:?}", start.elapsed());
    let text = drawn.text();
    assert!(text.contains("interrupted") && text.contains("run the same command again"), "{drawn}");
}

#[test]
fn what_takes_too_long_altogether_is_given_up() {
    let load = Load::new();
    let store = load.workbench.path("store");
    load.registry.fail("/blobs/", Fault::Silence);
    let start = Instant::now();
    let late = run(load.fetch(&load.wanted, &store).args(["--timeout", "1s"])).fails_with(3);
    late.says("not done after 1 s").says("hint: run the same command again");
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    load.registry.heal();
    run(load.fetch(&load.wanted, &store).args(["--timeout", "1h"])).success();
}

#[test]
fn a_skopeo_that_hangs_is_given_up_and_ended() {
    let load = Load::new();
    let folder = load.workbench.folder("bin");
    let pid = load.workbench.path("pid");
    write_script(
        &folder.join("skopeo"),
        &format!(
            "if [ \"$1\" = --version ]; then echo skopeo version 1.9.3; exit; fi\necho $$ > {}\nexec sleep 1000",
            pid.display()
        ),
    );
    let mut fetch = load.fetch(&load.wanted[..1], &load.workbench.path("store"));
    prefer(&mut fetch, &folder);
    run(fetch.args(["--transport", "proxy", "--timeout", "1s"])).fails_with(3).says("not done after 1 s");
    assert_gone(&pid);

    // So it is after Ctrl-C.
    std::fs::remove_file(&pid).expect("remove the number of a process");
    let mut fetch = load.fetch(&load.wanted[..1], &load.workbench.path("store"));
    prefer(&mut fetch, &folder);
    let child = fetch.args(["--transport", "proxy"]).stderr(Stdio::null()).spawn().expect("the program starts");
    let start = Instant::now();
    while std::fs::read_to_string(&pid).unwrap_or_default().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(20), "skopeo was not started");
        std::thread::sleep(Duration::from_millis(5));
    }
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).expect("it is there");
    assert_eq!(child.wait_with_output().expect("it ends").status.code(), Some(130));
    assert_gone(&pid);
}

/// Waits until the process whose number stands in a file is gone.
#[track_caller]
fn assert_gone(pid: &Path) {
    let pid = std::fs::read_to_string(pid).expect("skopeo was started");
    let start = Instant::now();
    let is_there = || {
        let line = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !line.is_empty() && !line.contains(") Z ")
    };
    while is_there() {
        assert!(start.elapsed() < Duration::from_secs(10), "skopeo was left behind");
        std::thread::sleep(Duration::from_millis(20));
    }
}
