//! How fast, with how many requests and in how much memory a set is fetched: `make bench`.
//!
//! Makes three sets of images, serves them with the real `docker-registry` on loopback (plainly, with TLS, and
//! behind a proxy that makes it 40 ms away), and lets this program, other programs and floors fetch them in turns.
//! What it finds is printed and written into `docs/performance.md`, which says more of all this.
//!
//! `BOOTC_EMBED_BENCH=quick` makes fewer rounds of less and writes nothing; `BOOTC_EMBED_BENCH_PATH` names folders
//! in which other programs are looked for first.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a program for developers")]

mod contenders;
mod content;
mod figures;
mod machine;
mod measure;
mod page;
mod proxy;
mod rounds;
mod sets;

#[path = "../../tests/it/support/command.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod command;
#[path = "../../tests/it/support/docker_registry.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod docker_registry;
#[path = "../../tests/it/support/fixture/mod.rs"]
#[allow(dead_code, unused_imports, reason = "tests need more of it")]
mod fixture;
#[path = "../support/mod.rs"]
mod support;

use contenders::{ASIDE, Contender, FAR_FLOOR, FLOORS, PEERS};
use content::Content;
use docker_registry::{DockerRegistry, Guards, Tls};
use machine::Machine;
use proxy::Proxy;
use rounds::{Arena, Outcome};
use sets::Set;
use std::fs;
use std::time::Instant;

/// How many images of the release are fetched, to see how cost grows.
pub const GROWTH: [usize; 4] = [25, 50, 100, 190];

/// Everything that was measured.
pub struct Measured {
    /// The product's set.
    pub product: Outcome,
    /// The same, 40 ms away.
    pub far: Outcome,
    /// The same, over TLS.
    pub tls: Outcome,
    /// The whole release and its parts, as in [`GROWTH`].
    pub release: Vec<Outcome>,
    /// One layer of 2 GiB.
    pub large: Option<Outcome>,
}

fn main() {
    // `cargo test --all-targets` starts benchmarks too, to see that they still can be.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    let quick = std::env::var("BOOTC_EMBED_BENCH").is_ok_and(|value| value == "quick");
    let start = Instant::now();
    let home = tempfile::tempdir().expect("make a folder");
    let machine = Machine::look();
    let peers: Vec<&Contender> = PEERS.iter().filter(|peer| machine.has(peer.program)).collect();
    let best: Vec<&Contender> = peers.iter().copied().filter(|peer| peer.best).collect();

    let storage = home.path().join("registry");
    let content = Content::new(&storage);
    let (product, release) = (Set::product(&content), Set::release(&content));
    let large = (!quick).then(|| Set::large(&content));
    println!("made the sets in {:.0} s", start.elapsed().as_secs_f64());

    let arena = |rounds, of_peers| {
        let (rounds, of_peers) = if quick { (1, 1) } else { (rounds, of_peers) };
        Arena { home: home.path(), path: &machine.path, warm_up: true, rounds, of_peers }
    };
    let registry = |tls| DockerRegistry::over(Some(&storage), Guards { tls, ..Guards::default() });
    let floors: Vec<&Contender> = FLOORS.iter().collect();
    let with = |lists: &[&[&'static Contender]]| lists.concat();

    let plain = registry(Tls::None);
    let everything = with(&[&floors, &ASIDE.each_ref(), if quick { &best } else { &peers }]);
    let product_near = arena(5, 3).fetch(&plain, plain.host(), &product, product.len(), &everything);
    let proxy = Proxy::before(plain.host());
    let far = arena(5, 2).fetch(&plain, proxy.host(), &product, product.len(), &with(&[&[&FAR_FLOOR], &best]));
    drop((proxy, plain));
    let guarded = registry(Tls::Authority);
    let tls = arena(5, 2).fetch(&guarded, guarded.host(), &product, product.len(), &with(&[&floors, &best]));
    drop(guarded);
    let plain = registry(Tls::None);
    // All sizes in each round: what they cost is compared.
    let mut parts: Vec<Outcome> = Vec::new();
    for round in 0..if quick { 1 } else { 3 } {
        for (part, count) in GROWTH.into_iter().enumerate() {
            let others = match (count == release.len(), round) {
                (false, _) => Vec::new(),
                (true, 0) => with(&[&floors[..2], &best]),
                (true, _) => floors[..2].to_vec(),
            };
            let arena = Arena { warm_up: round == 0, ..arena(1, 1) };
            let outcome = arena.fetch(&plain, plain.host(), &release, count, &others);
            match parts.get_mut(part) {
                Some(known) => known.add(outcome),
                None => parts.push(outcome),
            }
        }
    }
    let large = large.map(|set| {
        let others = with(&[&floors[1..2], &ASIDE.each_ref()[2..], &best]);
        arena(3, 1).fetch(&plain, plain.host(), &set, 1, &others)
    });
    drop(plain);

    let measured = Measured { product: product_near, far, tls, release: parts, large };
    let seconds = start.elapsed().as_secs_f64();
    let text = page::write(&figures::figures(&measured), &measured, &machine, seconds);
    println!("\n{text}");
    if !quick {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md");
        let old = fs::read_to_string(path).expect("read the page");
        fs::write(path, page::replace(&old, &text)).expect("write the page");
        println!("wrote {path}");
    }
}
