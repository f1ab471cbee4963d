//! Our verdicts on signed images are those of runtimes: policies, keys, identities and ways to be wrong,
//! each copied by the real skopeo from a registry, from a mirror or from a folder, and judged by us.
//!
//! A test for each kind. What both are asked is collected first, in the file of the kind; all differences
//! are told together.

mod compare;
mod identities;
mod keys;
mod payloads;
mod proofs;
mod rig;
mod simple;

use rig::Rig;
use std::time::Instant;

#[track_caller]
fn compare(add: fn(&mut Rig)) {
    let start = Instant::now();
    let mut rig = Rig::new();
    add(&mut rig);
    let made = start.elapsed();
    let outcome = rig.compare();
    let (verdicts, accepted) = (outcome.verdicts, outcome.accepted);
    println!("{verdicts} verdicts, {accepted} of them good; {made:?} to make them, {:?} in all", start.elapsed());
    assert!(
        outcome.differences.is_empty(),
        "{} of {verdicts} verdicts differ:\n{}",
        outcome.differences.len(),
        outcome.differences.join("\n")
    );
    // Two that say no to everything agree too.
    assert!(accepted > 10 && verdicts - accepted > 10, "the cases are one-sided: {accepted} of {verdicts} are good");
}

#[test]
fn on_keys_are_those_of_skopeo() {
    compare(keys::add);
}

#[test]
fn on_identities_are_those_of_skopeo() {
    compare(identities::add);
}

#[test]
fn on_payloads_are_those_of_skopeo() {
    compare(payloads::add);
}

#[test]
fn on_proofs_are_those_of_skopeo() {
    compare(proofs::add);
}

#[test]
fn on_simple_signatures_are_those_of_skopeo() {
    compare(simple::add);
}
