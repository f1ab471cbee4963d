//! What a registry says that is not so, and what happens to content behind the back of who uploads it.

use super::content::{Held, Stored};
use crate::support::fixture;
use serde_json::{Value, json};

/// The type of the old signed manifests of Docker.
const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// Which digest `Docker-Content-Digest` names when other bytes are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// That of the bytes that are served.
    Served,
    /// That of the bytes that should be served.
    Right,
}

/// Something that is not so, at a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// The next reads find what was there before, or nothing; `None` is all reads.
    Stale(Option<usize>),
    /// Other bytes of a type.
    Bytes(Vec<u8>, &'static str, Claim),
    /// The same JSON in other bytes.
    Reformatted(Claim),
    /// A manifest of Docker's schema 1, whatever was asked for.
    Schema1,
    /// The right bytes under another type.
    ContentType(&'static str),
    /// Once: right after the PUT, somebody else puts other bytes of a type there.
    Overtaken(Vec<u8>, &'static str),
    /// Once: right after the PUT, a blob is gone.
    LosesBlob(String),
    /// HEAD of a blob tells another size, or none. A blob is never PUT at its digest, so this holds at once.
    Size(Option<u64>),
}

/// What is shown instead of the truth.
pub(super) struct Shown {
    pub(super) held: Held,
    /// The type, if it is not that of the bytes.
    pub(super) content_type: Option<String>,
}

struct Planned {
    repository: String,
    at: String,
    lie: Lie,
    awake: bool,
    /// What was there before.
    before: Option<Held>,
}

/// What happens after a PUT.
#[derive(Default)]
pub(super) struct Aftermath(Vec<Lie>);

impl Aftermath {
    pub(super) fn happen(self, at: &str, stored: &mut Stored) {
        for lie in self.0 {
            match lie {
                Lie::Overtaken(bytes, media_type) => stored.put(at, &Held::new(&bytes, media_type)),
                Lie::LosesBlob(digest) => {
                    stored.blobs.remove(&digest);
                }
                _ => {}
            }
        }
    }
}

/// All lies there are.
#[derive(Default)]
pub(super) struct Lies(Vec<Planned>);

impl Lies {
    /// A lie that sleeps until the next PUT there.
    pub(super) fn plan(&mut self, repository: &str, at: &str, lie: Lie) {
        let (repository, at) = (repository.to_owned(), at.to_owned());
        let awake = matches!(lie, Lie::Size(_));
        self.0.push(Planned { repository, at, lie, awake, before: None });
    }

    /// Wakes the lies about a place, where something else was before.
    pub(super) fn wake(&mut self, repository: &str, at: &str, before: Option<&Held>) -> Aftermath {
        let is_here = |planned: &Planned| planned.repository == repository && planned.at == at;
        let happens =
            |planned: &mut Planned| is_here(planned) && matches!(planned.lie, Lie::Overtaken(..) | Lie::LosesBlob(_));
        let happening = self.0.extract_if(.., happens).map(|planned| planned.lie).collect();
        for planned in self.0.iter_mut().filter(|planned| is_here(planned) && !planned.awake) {
            planned.awake = true;
            planned.before = before.cloned();
        }
        Aftermath(happening)
    }

    /// What a manifest is said to be.
    pub(super) fn show(&mut self, repository: &str, at: &str, truth: Option<Held>) -> Option<Shown> {
        let right = truth.as_ref().map_or_else(|| at.to_owned(), |held| held.digest.clone());
        let other = |bytes: &[u8], media_type: &str, claim: Claim| {
            let held = Held::new(bytes, media_type);
            Some(if claim == Claim::Right { Held { digest: right.clone(), ..held } } else { held })
        };
        let (mut held, mut content_type) = (truth, None);
        let is_here = |planned: &&mut Planned| planned.awake && planned.repository == repository && planned.at == at;
        for planned in self.0.iter_mut().filter(is_here) {
            match &mut planned.lie {
                Lie::Stale(left) if *left != Some(0) => {
                    *left = left.map(|left| left - 1);
                    held.clone_from(&planned.before);
                }
                Lie::Bytes(bytes, media_type, claim) => held = other(bytes, media_type, *claim),
                Lie::Reformatted(claim) => {
                    held = held.and_then(|held| other(&reformat(&held), &held.media_type, *claim));
                }
                Lie::Schema1 => held = Some(Held::new(&schema1(repository, at), SCHEMA1)),
                Lie::ContentType(other) => content_type = Some((*other).to_owned()),
                Lie::Stale(_) | Lie::Overtaken(..) | Lie::LosesBlob(_) | Lie::Size(_) => {}
            }
        }
        held.map(|held| Shown { held, content_type })
    }

    /// The size that HEAD of a blob tells.
    pub(super) fn size(&self, repository: &str, digest: &str, truth: Option<u64>) -> Option<u64> {
        let here = self.0.iter().filter(|planned| planned.repository == repository && planned.at == digest);
        here.fold(truth, |size, planned| if let Lie::Size(other) = planned.lie { other } else { size })
    }
}

/// The same JSON in other bytes.
fn reformat(held: &Held) -> Vec<u8> {
    let spelling = fixture::Spelling::TABS.write(&held.parsed());
    if spelling == held.bytes { fixture::Spelling::COMPACT.write(&held.parsed()) } else { spelling }
}

/// A manifest that looks as those of schema 1 do, without a true signature.
fn schema1(repository: &str, tag: &str) -> Vec<u8> {
    let layer = fixture::digest(b"");
    let manifest: Value = json!({
        "schemaVersion": 1,
        "name": repository,
        "tag": tag,
        "architecture": "amd64",
        "fsLayers": [{ "blobSum": layer }],
        "history": [{ "v1Compatibility": "{\"id\":\"0\",\"architecture\":\"amd64\",\"os\":\"linux\"}" }],
        "signatures": [{ "header": { "alg": "ES256" }, "signature": "AA", "protected": "AA" }],
    });
    fixture::Spelling::DOCKER.write(&manifest)
}
