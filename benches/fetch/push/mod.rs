//! How set A is pushed: each contender into an empty registry that was just started for it.

mod contenders;
mod page;

pub use page::page;

use crate::contenders::Contender;
use crate::docker_registry::{DockerRegistry, Tls};
use crate::rounds::{Course, Outcome};
use crate::sets::{NATIVE, Pushed, Set};
use crate::{Bench, command, content::Content, content::Item};
use contenders::{FLOORS, FROM_REGISTRY, FROM_STORE, PEERS, PEERS_OF_STORE, PRUNED};
use std::fs;
use std::path::{Path, PathBuf};

/// Everything that was measured.
pub struct Pushing {
    /// All platforms, from registry to registry.
    pub from_registry: Outcome,
    /// All platforms, from a store.
    pub from_store: Outcome,
    /// One platform, from a store, with pruned indexes.
    pub pruned: Outcome,
}

/// Measures all of it.
pub fn measure(bench: &Bench<'_>, set: &Set) -> Pushing {
    let registry = bench.registry(Tls::None);
    let there = |peers: &'static [Contender]| peers.iter().filter(|peer| bench.machine.has(peer.program));
    let turns = |name: &str, platforms: &str, own: &'static [Contender], peers: &'static [Contender]| {
        let lists = bench.home.join(format!("push {name}"));
        let pushed = set.pushed(platforms == "--all-platforms");
        write_lists(&lists, bench.content, &registry, set, &pushed);
        fetch(&lists, bench.home, platforms);
        let sizes = pushed.blobs.iter().map(|(blob, _)| blob.size);
        let manifests = pushed.instances.iter().chain(&pushed.indexes);
        let files = pushed.blobs.len() + manifests.clone().count();
        let bytes = sizes.chain(manifests.map(|(manifest, _)| manifest.size)).sum();
        let title = format!("pushing {name}: {files} files, {bytes} bytes");
        let course = Course { title, registry: &registry, lists: &lists, pushes: true, files, bytes };
        let contenders: Vec<&Contender> = own.iter().chain(&FLOORS).chain(there(peers)).collect();
        bench.arena(3, 2).turns(&course, &contenders)
    };
    Pushing {
        from_registry: turns("all from the registry", "--all-platforms", &FROM_REGISTRY, &PEERS),
        from_store: turns("all from a store", "--all-platforms", &FROM_STORE, &PEERS_OF_STORE),
        pruned: turns("native from a store", &format!("--platform={NATIVE}"), &PRUNED, &[]),
    }
}

/// Fills the store that is pushed.
fn fetch(lists: &Path, home: &Path, platforms: &str) {
    let mut own = command::clean(std::process::Command::new(env!("CARGO_BIN_EXE_bootc-embed")), home);
    own.args(["fetch", "--quiet", "--tls-verify=false", "--signatures=none", platforms, "--store"]);
    let input = format!("list:{}", lists.join("references").display());
    command::run(own.arg(lists.join("store")).arg(input)).success();
}

/// What contenders need to know: references, the same for `skopeo sync`, and for curl the requests of each step.
fn write_lists(folder: &Path, content: &Content, registry: &DockerRegistry, set: &Set, pushed: &Pushed<'_>) {
    let references = set.references(registry.host(), set.len());
    let mut sync = format!("{}:\n  tls-verify: false\n  images:\n", registry.host());
    for reference in references.lines() {
        let path = reference.split_once('/').and_then(|(_, rest)| rest.split_once('@'));
        let (path, digest) = path.expect("a reference has a path and a digest");
        sync.push_str(&format!("    {path}: [\"{digest}\"]\n"));
    }
    let begin = pushed.blobs.iter().map(|(blob, repositories)| {
        let said = format!("{} {} %header{{location}}", blob.digest, content.file(blob).display());
        format!("{}write-out = \"{said}\\n\"\n", post(repositories[0], ""))
    });
    let mount = pushed.blobs.iter().flat_map(|(blob, repositories)| {
        let of = |repository: &&str| post(repository, &format!("?mount={}&from={}", blob.digest, repositories[0]));
        repositories[1..].iter().map(of).collect::<Vec<String>>()
    });
    let put = |(manifest, repository): &(&Item, &str)| {
        let (file, kind): (PathBuf, _) = (content.file(manifest), &manifest.media_type);
        let url = format!("http://DESTINATION/v2/{repository}/manifests/{}", manifest.digest);
        request(&url, &format!("header = \"Content-Type: {kind}\"\nupload-file = \"{}\"\n", file.display()))
    };
    fs::create_dir_all(folder).expect("make a folder");
    for (name, text) in [
        ("references", references),
        ("sync.yaml", sync),
        ("begin", steps(begin)),
        ("mount", steps(mount)),
        ("instances", steps(pushed.instances.iter().map(put))),
        ("indexes", steps(pushed.indexes.iter().map(put))),
    ] {
        fs::write(folder.join(name), text).expect("write a list");
    }
}

/// Requests for curl; each has settings of its own.
fn steps(requests: impl Iterator<Item = String>) -> String {
    requests.collect::<Vec<String>>().join("next\n")
}

fn post(repository: &str, query: &str) -> String {
    request(&format!("http://DESTINATION/v2/{repository}/blobs/uploads/{query}"), "data = \"\"\n")
}

fn request(url: &str, more: &str) -> String {
    format!("fail\nurl = \"{url}\"\noutput = \"/dev/null\"\n{more}")
}
