//! What can go wrong between a registry and the store, and what comes of it: one table.
//!
//! A row breaks answers for one object of an image. Whatever happens, wrong content is never taken, and
//! where a run fails the next one finishes.

use super::platforms;
use super::rig::{LAYER_SIZE, LONGEST, RETRIES, Rig, TRIES, impatient, run};
use crate::support::fixture::{Compression, Format, Image, Index, Layer, Repository};
use crate::support::random::Random;
use crate::support::registry::{After, Auth, Fault, FaultyRegistry};
use crate::support::tree::Tree;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::Duration;

const ALWAYS: usize = usize::MAX;

/// Which object the answers of a row are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Index,
    Instance,
    Layer,
}

/// What comes of it.
#[derive(Debug)]
enum End {
    /// The right store.
    Right,
    /// The right store; after the first request, these parts of the object were asked for.
    Resumed(&'static [&'static str]),
    /// An error with these words in it.
    Wrong(&'static [&'static str]),
    /// One or the other, but no wrong content.
    Either(&'static [&'static str]),
}

/// An object, faults one after the other with how often each happens, what comes of them, and how often
/// the object is asked for.
type Row = (On, Vec<(usize, Fault)>, End, RangeInclusive<usize>);

fn row(on: On, faults: &[(usize, Fault)], end: End, asked: RangeInclusive<usize>) -> Row {
    (on, faults.to_vec(), end, asked)
}

/// Bodies that are not what was announced, or not all of it.
fn bodies() -> Vec<Row> {
    use End::{Either, Resumed, Right, Wrong};
    use Fault::{BreakOff, Chunked, CutShort, Gzip, Pad, Replace, Reset, WrongLength};
    use On::{Index, Instance, Layer};
    let zeros = || Replace(vec![0; LAYER_SIZE]);
    vec![
        row(Layer, &[(1, BreakOff(7))], Resumed(&["bytes=7-"]), 2..=2),
        row(Layer, &[(1, BreakOff(0))], Right, 2..=2),
        row(Layer, &[(3, BreakOff(7))], Resumed(&["bytes=7-", "bytes=14-", "bytes=21-"]), 4..=4),
        row(Layer, &[(ALWAYS, BreakOff(7))], Wrong(&["broke off", "4 tries"]), TRIES..=TRIES),
        row(Layer, &[(ALWAYS, BreakOff(LAYER_SIZE))], Right, 1..=1),
        row(Layer, &[(1, Reset(50_000))], Right, 2..=2),
        row(Layer, &[(ALWAYS, Reset(0))], Wrong(&["4 tries"]), TRIES..=TRIES),
        row(Layer, &[(1, Chunked.and(CutShort(7)))], Resumed(&["bytes=7-"]), 2..=2),
        row(Layer, &[(1, Chunked.and(BreakOff(7)))], Resumed(&["bytes=7-"]), 2..=2),
        // All of it came, but not the chunk that ends it.
        row(Layer, &[(ALWAYS, Chunked.and(BreakOff(LAYER_SIZE)))], Right, 1..=2),
        row(Layer, &[(ALWAYS, Chunked.and(CutShort(0)))], Wrong(&["0 of 100000 bytes"]), TRIES..=TRIES),
        row(Layer, &[(ALWAYS, CutShort(7))], Wrong(&["7 bytes"]), 1..=2),
        row(Layer, &[(ALWAYS, CutShort(0))], Wrong(&["0 bytes"]), 1..=2),
        row(Layer, &[(ALWAYS, Pad(1))], Wrong(&["100001 bytes"]), 1..=2),
        row(Layer, &[(ALWAYS, Chunked.and(Pad(1)))], Wrong(&["bytes"]), 1..=2),
        row(Layer, &[(1, WrongLength(3))], Either(&["bytes"]), 1..=2),
        row(Layer, &[(1, WrongLength(-3))], Either(&["bytes"]), 1..=2),
        row(Layer, &[(ALWAYS, WrongLength(3))], Wrong(&["bytes"]), 1..=TRIES),
        row(Layer, &[(ALWAYS, WrongLength(-3))], Wrong(&["bytes"]), 1..=TRIES),
        row(Layer, &[(1, zeros())], Either(&["other bytes"]), 1..=2),
        row(Layer, &[(ALWAYS, zeros())], Wrong(&["other bytes"]), 1..=2),
        // Half of it right, the rest wrong: what was right must not save what was not.
        row(Layer, &[(1, BreakOff(50_000)), (ALWAYS, zeros())], Wrong(&["other bytes"]), 2..=3),
        row(Layer, &[(ALWAYS, Gzip)], Wrong(&["gzip"]), 1..=2),
        row(Index, &[(1, BreakOff(7))], Right, 2..=2),
        row(Index, &[(1, Chunked.and(BreakOff(7)))], Right, 2..=2),
        row(Index, &[(ALWAYS, BreakOff(7))], Wrong(&["broke off", "4 tries"]), TRIES..=TRIES),
        row(Index, &[(ALWAYS, CutShort(7))], Wrong(&["other bytes"]), 1..=2),
        row(Instance, &[(ALWAYS, Pad(1))], Wrong(&["other bytes"]), 1..=2),
        row(Instance, &[(1, WrongLength(3))], Right, 2..=2),
        row(Instance, &[(ALWAYS, WrongLength(-3))], Wrong(&["other bytes"]), 1..=TRIES),
        row(Index, &[(ALWAYS, Replace(b"{}".to_vec()))], Wrong(&["other bytes"]), 1..=2),
        row(Index, &[(ALWAYS, Replace(vec![b' '; 5 << 20]))], Wrong(&["larger than 4194304 bytes"]), 1..=1),
        row(Index, &[(ALWAYS, Gzip)], Wrong(&["bytes"]), 1..=2),
    ]
}

/// Headers that say what is not so, or say it oddly.
fn headers() -> Vec<Row> {
    use Fault::{BreakOff, Chunked, ContentDigest, ContentType, IgnoreRange, OddCase, WrongRange};
    use On::Layer;
    let other = || ContentDigest(format!("sha256:{}", "0".repeat(64)));
    let mut rows = Vec::new();
    for on in [On::Index, On::Instance, Layer] {
        for fault in
            [ContentType("text/html"), ContentType("application/json"), other(), OddCase, Chunked, OddCase.and(Chunked)]
        {
            rows.push(row(on, &[(ALWAYS, fault)], End::Right, 1..=1));
        }
    }
    rows.extend([
        row(Layer, &[(1, BreakOff(7)), (ALWAYS, IgnoreRange)], End::Right, 2..=2),
        row(Layer, &[(1, BreakOff(7)), (1, IgnoreRange.and(BreakOff(90))), (1, BreakOff(5))], End::Right, 4..=4),
        row(Layer, &[(1, BreakOff(7)), (1, WrongRange(8))], End::Right, 2..=3),
        row(Layer, &[(1, BreakOff(7)), (ALWAYS, WrongRange(0))], End::Right, 2..=3),
        row(Layer, &[(1, BreakOff(7)), (ALWAYS, OddCase)], End::Resumed(&["bytes=7-"]), 2..=2),
        row(Layer, &[(1, BreakOff(7)), (ALWAYS, Chunked)], End::Resumed(&["bytes=7-"]), 2..=2),
    ]);
    rows
}

/// Answers of other statuses, redirects, and connections on which nothing comes.
fn answers() -> Vec<Row> {
    use End::{Resumed, Right, Wrong};
    use Fault::{Drip, Redirect, RetryAfter, Silence, SilenceAfter, Status};
    use On::{Index, Layer};
    let mut rows = Vec::new();
    for on in [Index, Layer] {
        let passing: [(u16, &[&str]); 6] = [
            (408, &["answered 408", "4 tries"]),
            (429, &["answered 429", "4 tries"]),
            (500, &["answered 500", "4 tries"]),
            (502, &["answered 502", "4 tries"]),
            (503, &["answered 503", "4 tries"]),
            (504, &["answered 504", "4 tries"]),
        ];
        for (status, words) in passing {
            rows.push(row(on, &[(RETRIES, Status(status))], Right, TRIES..=TRIES));
            rows.push(row(on, &[(ALWAYS, Status(status))], Wrong(words), TRIES..=TRIES));
        }
        let lasting: [(u16, &[&str]); 9] = [
            (400, &["answered 400"]),
            (401, &["not accessible: 401"]),
            (403, &["not accessible: 403"]),
            (404, &["does not exist: 404"]),
            (405, &["answered 405"]),
            (410, &["answered 410"]),
            (416, &["answered 416"]),
            (451, &["answered 451"]),
            (501, &["answered 501"]),
        ];
        for (status, words) in lasting {
            rows.push(row(on, &[(ALWAYS, Status(status))], Wrong(words), 1..=1));
        }
        rows.extend([
            row(on, &[(1, Silence)], Right, 2..=2),
            row(on, &[(ALWAYS, Silence)], Wrong(&["stalled", "4 tries"]), TRIES..=TRIES),
            row(on, &[(ALWAYS, SilenceAfter(0))], Wrong(&["stalled", "4 tries"]), TRIES..=TRIES),
            row(on, &[(1, RetryAfter(429, After::Text("soon")))], Right, 2..=2),
            row(on, &[(1, RetryAfter(503, After::Seconds(0)))], Right, 2..=2),
            row(on, &[(1, RetryAfter(404, After::Seconds(0)))], Wrong(&["does not exist: 404"]), 1..=1),
            row(on, &[(ALWAYS, Redirect("/v2/none/blobs/x".into()))], Wrong(&["does not exist"]), 1..=1),
        ]);
    }
    rows.extend([
        row(Index, &[(1, SilenceAfter(7))], Right, 2..=2),
        row(Layer, &[(1, SilenceAfter(7))], Resumed(&["bytes=7-"]), 2..=2),
        row(Layer, &[(2, SilenceAfter(7)), (1, Status(500))], Right, 4..=4),
        // Twenty bytes before it stalls: fewer than a KiB a second are no transfer.
        row(Layer, &[(1, Drip(Duration::from_millis(10)))], Right, 2..=2),
        row(Layer, &[(ALWAYS, Drip(Duration::from_millis(10)))], Wrong(&["stalled", "4 tries"]), TRIES..=TRIES),
    ]);
    rows
}

/// What is wrong with what a row came to, if anything.
fn judge(rig: &Rig, whole: &Tree, row: &Row) -> Result<(), String> {
    let (on, faults, end, asked) = row;
    let object = match on {
        On::Index => &rig.index,
        On::Instance => &rig.instance,
        On::Layer => &rig.layer,
    };
    for (times, fault) in faults {
        rig.registry.fail_times(&object.digest, *times, fault.clone());
    }
    let store = rig.store();
    let ran = rig.run(store.path(), impatient());
    rig.registry.heal();
    let requests = ran.asked(&object.digest);
    let mut wrong = String::new();
    let mut check = |right: bool, what: &str| {
        if !right {
            let _ = write!(wrong, "\n    {what}");
        }
    };
    check(asked.contains(&requests.len()), &format!("asked {} times, not {asked:?}", requests.len()));
    check(ran.elapsed < LONGEST, &format!("took {:?}", ran.elapsed));
    match (&ran.error, end) {
        (None, End::Wrong(_)) => check(false, "no error"),
        (None, _) => {
            let differences = whole.differences(&Tree::read(store.path()));
            check(differences.is_empty(), &format!("another store: {differences:?}"));
            let told = ran.notes.iter().filter(|note| note.contains(&object.digest)).count();
            check(told >= requests.len() - 1, &format!("only {told} repeats were told: {:?}", ran.notes));
        }
        (Some(error), End::Wrong(words) | End::Either(words)) => {
            check(words.iter().all(|words| error.contains(words)), &format!("not {words:?}: {error}"));
            check(error.contains(&object.digest), &format!("does not name the object: {error}"));
            check(!store.path().join("embed.lock.json").exists(), "a lock was written");
            let next = rig.run(store.path(), impatient());
            check(next.error.is_none(), &format!("the next run failed: {:?}", next.error));
            if next.error.is_none() {
                let differences = whole.differences(&Tree::read(store.path()));
                check(differences.is_empty(), &format!("another store after the next run: {differences:?}"));
            }
        }
        (Some(error), _) => check(false, error),
    }
    if let End::Resumed(ranges) = end {
        let found: Vec<Option<&str>> = requests.iter().skip(1).map(|seen| seen.range.as_deref()).collect();
        let expected: Vec<Option<&str>> = ranges.iter().copied().map(Some).collect();
        check(found == expected, &format!("asked for {found:?}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("{on:?} {faults:.200?} -> {end:?}{wrong}")) }
}

#[track_caller]
fn judge_all(rows: &[Row]) {
    let rig = Rig::new(Auth::None);
    let whole = rig.whole();
    let wrong: Vec<String> = rows.iter().filter_map(|row| judge(&rig, &whole, row).err()).collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n  {}", wrong.len(), rows.len(), wrong.join("\n  "));
}

#[test]
fn wrong_bodies_are_never_taken_and_cut_ones_are_completed() {
    judge_all(&bodies());
}

#[test]
fn headers_are_hints_and_bytes_decide() {
    judge_all(&headers());
}

#[test]
fn what_may_be_better_in_a_moment_is_repeated_and_nothing_else() {
    judge_all(&answers());
}

#[test]
fn a_registry_that_says_when_to_come_back_is_obeyed_within_reason() {
    let rig = Rig::new(Auth::None);
    let whole = rig.whole();
    let layer = &rig.layer.digest;
    for after in [After::Seconds(1), After::Date(1)] {
        for status in [429, 503] {
            let store = rig.store();
            rig.registry.fail_times(layer, 1, Fault::RetryAfter(status, after));
            let ran = rig.run(store.path(), impatient());
            assert_eq!((ran.error.as_deref(), ran.asked(layer).len()), (None, 2), "{status} {after:?}");
            let enough = Duration::from_secs(1)..Duration::from_secs(6);
            assert!(enough.contains(&ran.elapsed), "{status} {after:?}: {:?}", ran.elapsed);
            whole.assert_same(&Tree::read(store.path()), "after a wait");
        }
    }
    for after in [After::Seconds(3600), After::Date(3600)] {
        rig.registry.fail(layer, Fault::RetryAfter(503, after));
        let ran = rig.run(rig.store().path(), impatient());
        rig.registry.heal();
        let error = ran.error.clone().expect("nobody waits for an hour");
        assert!(
            error.contains("answered 503") && ["3600", "3599", "hour"].iter().any(|time| error.contains(time)),
            "{after:?}: {error}"
        );
        assert_eq!(ran.asked(layer).len(), 1, "{after:?}");
        assert!(ran.elapsed < LONGEST, "{after:?}: {:?}", ran.elapsed);
    }
}

#[test]
fn a_transfer_that_is_reset_again_and_again_gets_there() {
    let rig = Rig::new(Auth::None);
    let whole = rig.whole();
    let mut random = Random::new(2);
    for round in 0..20 {
        let at: Vec<usize> = (0..=random.below(RETRIES)).map(|_| random.below(LAYER_SIZE)).collect();
        for at in &at {
            rig.registry.fail_times(&rig.layer.digest, 1, Fault::Reset(*at));
        }
        let store = rig.store();
        let ran = rig.run(store.path(), impatient());
        rig.registry.heal();
        assert_eq!(ran.error, None, "round {round}: reset after {at:?}");
        whole.assert_same(&Tree::read(store.path()), &format!("round {round}: reset after {at:?}"));
    }
}

/// What came before does not count for ever: a registry that goes away in the middle is given up.
#[test]
fn a_registry_that_goes_away_in_the_middle_of_a_large_blob_is_given_up() {
    let large = Layer::of_archive(&Random::new(2).bytes(3_000_000), Compression::None);
    let image = Image::new("linux/amd64").layer(&large).build();
    let index = Index::new(Format::Oci).instances([&image]).build();
    let registry = FaultyRegistry::start(&[Repository::new("team/app").instances([&image]).index(&index)]);
    let layer = &image.layers[0].digest;
    registry.fail_times(layer, 1, Fault::BreakOff(2_000_000));
    registry.fail(layer, Fault::Status(503));
    let store = tempfile::tempdir().unwrap();
    let reference = format!("{}/team/app@{}", registry.address(), index.digest);
    let ran = run(&registry, &[reference], &platforms(&["linux/amd64"]), store.path(), impatient());
    let error = ran.error.as_ref().expect("it is given up");
    assert!(error.contains("given up after 4 tries") && error.contains("answered 503"), "{error}");
    assert_eq!(ran.asked(layer).len(), TRIES, "{:?}", ran.notes);
}
