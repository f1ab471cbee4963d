//! How fast, with how many requests and in how much memory a set is fetched and pushed: `make bench`.
//!
//! Makes three sets of images, serves them with the real `docker-registry` on loopback (plainly, with TLS, and
//! behind a proxy that makes it 40 ms away), and lets this program, other programs and floors fetch them in turns; the
//! first set is also pushed (`push`). What it finds is printed and written into `docs/performance.md`, which says more of all this.
//!
//! `BOOTC_EMBED_BENCH=quick` makes fewer rounds of less and writes nothing; `BOOTC_EMBED_BENCH_ONLY` (`fetch`, `push`)
//! makes one part; `BOOTC_EMBED_BENCH_PATH` names folders in which other programs are looked for first.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a program for developers")]

mod contenders;
mod content;
mod figures;
mod machine;
mod measure;
mod page;
mod proxy;
mod push;
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
use std::path::Path;
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
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let quick = variable("BOOTC_EMBED_BENCH") == "quick";
    let only = variable("BOOTC_EMBED_BENCH_ONLY");
    let start = Instant::now();
    let home = tempfile::tempdir().expect("make a folder");
    let machine = Machine::look();
    let content = Content::new(&home.path().join("registry"));
    let product = Set::product(&content);
    println!("made set A in {:.0} s", start.elapsed().as_secs_f64());
    let bench = Bench { home: home.path(), machine: &machine, content: &content, quick };
    if only != "push" {
        let start = Instant::now();
        let measured = bench.fetch(&product);
        let figures = figures::figures(&measured);
        bench.keep("make bench", &page::write(&figures, &measured, &machine, start.elapsed().as_secs_f64()));
    }
    if only != "fetch" {
        let start = Instant::now();
        let pushed = push::measure(&bench, &product);
        bench.keep("make bench, pushing", &push::page(&pushed, &machine, start.elapsed().as_secs_f64()));
    }
}

/// What all parts need.
pub struct Bench<'a> {
    /// All that is written goes here.
    pub home: &'a Path,
    /// The machine.
    pub machine: &'a Machine,
    /// What the registry serves.
    pub content: &'a Content,
    /// Whether it is only to see that it works.
    pub quick: bool,
}

impl Bench<'_> {
    /// So many rounds, and so many of them with other programs.
    pub fn arena(&self, rounds: usize, of_peers: usize) -> Arena<'_> {
        let (rounds, of_peers) = if self.quick { (1, 1) } else { (rounds, of_peers) };
        Arena { home: self.home, path: &self.machine.path, warm_up: true, rounds, of_peers }
    }

    /// A registry with what was made.
    pub fn registry(&self, tls: Tls) -> DockerRegistry {
        DockerRegistry::over(Some(&self.home.join("registry")), Guards { tls, ..Guards::default() })
    }

    fn fetch(&self, product: &Set) -> Measured {
        let Self { machine, content, quick, .. } = *self;
        let peers: Vec<&Contender> = PEERS.iter().filter(|peer| machine.has(peer.program)).collect();
        let best: Vec<&Contender> = peers.iter().copied().filter(|peer| peer.best).collect();
        let release = Set::release(content);
        let large = (!quick).then(|| Set::large(content));
        let floors: Vec<&Contender> = FLOORS.iter().collect();
        let with = |lists: &[&[&'static Contender]]| lists.concat();

        let plain = self.registry(Tls::None);
        let everything = with(&[&floors, &ASIDE.each_ref(), if quick { &best } else { &peers }]);
        let near = self.arena(5, 3).fetch(&plain, plain.host(), product, product.len(), &everything);
        let proxy = Proxy::before(plain.host());
        let far = with(&[&[&FAR_FLOOR], &best]);
        let far = self.arena(5, 2).fetch(&plain, proxy.host(), product, product.len(), &far);
        drop((proxy, plain));
        let guarded = self.registry(Tls::Authority);
        let tls = with(&[&floors, &best]);
        let tls = self.arena(5, 2).fetch(&guarded, guarded.host(), product, product.len(), &tls);
        drop(guarded);
        let plain = self.registry(Tls::None);
        // All sizes in each round: what they cost is compared.
        let mut parts: Vec<Outcome> = Vec::new();
        for round in 0..if quick { 1 } else { 3 } {
            for (part, count) in GROWTH.into_iter().enumerate() {
                let others = match (count == release.len(), round) {
                    (false, _) => Vec::new(),
                    (true, 0) => with(&[&floors[..2], &best]),
                    (true, _) => floors[..2].to_vec(),
                };
                let arena = Arena { warm_up: round == 0, ..self.arena(1, 1) };
                let outcome = arena.fetch(&plain, plain.host(), &release, count, &others);
                match parts.get_mut(part) {
                    Some(known) => known.add(outcome),
                    None => parts.push(outcome),
                }
            }
        }
        let large = large.map(|set| {
            let others = with(&[&floors[1..2], &ASIDE.each_ref()[2..], &best]);
            self.arena(3, 1).fetch(&plain, plain.host(), &set, 1, &others)
        });
        Measured { product: near, far, tls, release: parts, large }
    }

    /// Prints what was made, and puts it into its place in the page.
    fn keep(&self, made_by: &str, text: &str) {
        println!("\n{text}");
        if !self.quick {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md");
            let old = fs::read_to_string(path).expect("read the page");
            fs::write(path, page::replace(&old, made_by, text)).expect("write the page");
            println!("wrote {path}");
        }
    }
}
