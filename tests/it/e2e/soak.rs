//! A registry that fails by chance, for as long as one likes: a run succeeds with the very store, or
//! says why not and leaves one that the next run completes.

use super::kill::{seed, soaking};
use super::load::{Load, asked};
use crate::support::command::run;
use crate::support::random::Random;
use crate::support::tree::Tree;
use std::fs;
use std::time::{Duration, Instant};

/// How long this goes on.
fn time() -> Duration {
    let minutes = std::env::var("BOOTC_EMBED_SOAK_MINUTES").ok().and_then(|minutes| minutes.parse().ok());
    if soaking() { Duration::from_secs(60 * minutes.unwrap_or(60)) } else { Duration::from_secs(10) }
}

#[test]
fn runs_against_faults_of_chance_end_well_or_say_why_not() {
    let mut random = Random::new(seed());
    let load = Load::new();
    let path = |name: &str| load.workbench.path(name);
    run(&mut load.fetch(&load.earlier, &path("earlier"))).success();
    run(&mut load.fetch(&load.wanted, &path("undisturbed"))).success();
    let undisturbed = Tree::read(&path("undisturbed"));
    let store = path("store");
    let (start, time) = (Instant::now(), time());
    let (mut runs, mut well) = (0, 0);
    while start.elapsed() < time {
        runs += 1;
        // A new store, one that holds another set, or what the run before has left.
        let kind = random.below(3);
        if kind < 2 && store.exists() {
            fs::remove_dir_all(&store).expect("a store can be removed");
        }
        if kind == 1 {
            run(load.workbench.program("cp").arg("-a").arg(path("earlier")).arg(&store)).success();
        }
        let (faults, percent) = (random.next(), 1 + random.below(20));
        let before = load.complete(&store);
        load.registry.take_seen();
        load.registry.misbehave(faults, percent);
        let finished = run(&mut load.fetch(&load.wanted, &store));
        load.registry.heal();
        let what = format!("run {runs} with {percent} faults in a hundred of seed {faults}");
        let asked = asked(&load.registry.take_seen());
        assert!(asked.is_disjoint(&before), "{what}: a complete blob was asked for again");
        if finished.code == Some(0) {
            well += 1;
        } else {
            // Which image or blob it was.
            finished.fails_with(3).says("error: ").says(load.registry.address());
            load.complete(&store);
            if random.percent(50) {
                continue;
            }
            run(&mut load.fetch(&load.wanted, &store)).success();
        }
        undisturbed.assert_same(&Tree::read(&store), &what);
    }
    println!("{runs} runs in {time:?}, {well} of them ended well at once");
}
