//! Manifests: which are taken, what is served, and the list of referrers.

use super::content::{Held, Stored};
use super::exchange::{Answer, Question};
use super::lie::Shown;
use super::{Inner, Sparse, State};
use crate::support::fixture::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};

const KNOWN: [&str; 4] = [DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX];

fn invalid(detail: &Value) -> Answer {
    Answer::refusal(400, "MANIFEST_INVALID", detail)
}

fn unknown(at: &str) -> Answer {
    Answer::refusal(404, "MANIFEST_UNKNOWN", &json!({ "name": at }))
}

impl Inner {
    /// PUT at a tag or a digest.
    pub(super) fn put_manifest(&self, state: &mut State, at: &str, question: &Question) -> Answer {
        if question.body.len() > self.behaviour.max_manifest {
            return Answer { status: 413, ..invalid(&json!("the manifest is too large")) };
        }
        let media_type = question.header("content-type").unwrap_or_default();
        let manifest = Held::new(&question.body, media_type.split(';').next().unwrap_or_default().trim());
        if at.contains(':') && at != manifest.digest {
            return Answer::refusal(400, "DIGEST_INVALID", &json!({ "digest": at }));
        }
        let repository = question.repository.as_str();
        if let Some(refusal) = self.refusal_of(state.repository(repository), &manifest) {
            return refusal;
        }
        let before = state.repository(repository).manifest(at).cloned();
        state.repository(repository).put(at, &manifest);
        let location = self.location(&format!("/v2/{repository}/manifests/{}", manifest.digest));
        let mut answer =
            Answer::new(201).header("Location", &location).header("Docker-Content-Digest", &manifest.digest);
        let subject = manifest.parsed()["subject"]["digest"].as_str().map(str::to_owned);
        if let Some(subject) = subject.filter(|_| self.behaviour.referrers) {
            answer = answer.header("OCI-Subject", &subject);
        }
        let aftermath = state.lies.wake(repository, at, before.as_ref());
        aftermath.happen(at, state.repository(repository));
        answer
    }

    /// Why a manifest is not taken.
    fn refusal_of(&self, stored: &Stored, manifest: &Held) -> Option<Answer> {
        let parsed = manifest.parsed();
        let stated = parsed["mediaType"].as_str();
        if !KNOWN.contains(&manifest.media_type.as_str())
            || !parsed.is_object()
            || stated.is_some_and(|stated| stated != manifest.media_type)
        {
            return Some(invalid(&json!("no manifest of its type")));
        }
        if manifest.is_index() {
            return self.refusal_of_index(stored, manifest, &parsed);
        }
        let layers = parsed["layers"].as_array().into_iter().flatten();
        let is_elsewhere = |blob: &&Value| {
            let media_type = blob["mediaType"].as_str().unwrap_or_default();
            media_type.contains("foreign") || media_type.contains("nondistributable")
        };
        let blobs = [&parsed["config"]].into_iter().chain(layers).filter(|blob| !is_elsewhere(blob));
        missing(blobs, |digest| stored.blobs.contains_key(digest))
    }

    fn refusal_of_index(&self, stored: &Stored, index: &Held, parsed: &Value) -> Option<Answer> {
        let children: Vec<&Value> = parsed["manifests"].as_array().into_iter().flatten().collect();
        let is_oci =
            |child: &&Value| child["mediaType"].as_str().is_some_and(|kind| kind.starts_with("application/vnd.oci."));
        if self.behaviour.quay && index.media_type == DOCKER_LIST && children.iter().any(is_oci) {
            return Some(invalid(&json!({ "message": "a manifest list cannot name OCI manifests" })));
        }
        let is_there = |digest: &str| stored.manifests.contains_key(digest);
        let first = children.iter().find_map(|child| child["digest"].as_str().filter(|digest| !is_there(digest)));
        match &self.behaviour.sparse {
            Sparse::Accept | Sparse::Quay(Some(true)) => None,
            Sparse::Refuse => missing(children.into_iter(), is_there),
            Sparse::RefuseVaguely => first.map(|_| invalid(&json!({}))),
            Sparse::Quay(_) => first.map(|digest| {
                invalid(&json!({ "message": format!("Could not find child manifest with digest `{digest}`") }))
            }),
            Sparse::List(platforms) => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let name = |child: &Value| {
                    format!("{}/{}", text(&child["platform"]["os"]), text(&child["platform"]["architecture"]))
                };
                let listed = children.into_iter().filter(|child| platforms.contains(&name(child)));
                missing(listed, is_there)
            }
        }
    }

    /// GET or HEAD at a tag or a digest.
    pub(super) fn read_manifest(state: &mut State, at: &str, question: &Question) -> Answer {
        let truth = state.content.get(&question.repository).and_then(|stored| stored.manifest(at)).cloned();
        let Some(Shown { held, content_type }) = state.lies.show(&question.repository, at, truth) else {
            return unknown(at);
        };
        // distribution serves OCI types to nobody who does not name them, and converts Docker types behind a tag.
        let converts = held.media_type.starts_with("application/vnd.oci.") || !at.contains(':');
        let accept = question.header("accept").unwrap_or_default();
        let named = accept.split(',').any(|one| one.split(';').next().unwrap_or_default().trim() == held.media_type);
        if converts && KNOWN.contains(&held.media_type.as_str()) && !named {
            return unknown(at);
        }
        let content_type = content_type.unwrap_or(held.media_type);
        Answer::content(&content_type, held.bytes).header("Docker-Content-Digest", &held.digest)
    }

    /// GET of the list of referrers.
    pub(super) fn read_referrers(&self, state: &State, subject: &str, question: &Question) -> Answer {
        if !self.behaviour.referrers {
            return Answer::new(404);
        }
        let manifests = state.content.get(&question.repository).map(|stored| stored.referrers(subject));
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests.unwrap_or_default() });
        Answer::content(OCI_INDEX, index.to_string().into_bytes())
    }
}

/// The refusal that names all descriptors whose content is not there.
fn missing<'a>(descriptors: impl Iterator<Item = &'a Value>, is_there: impl Fn(&str) -> bool) -> Option<Answer> {
    let digests = descriptors.map(|descriptor| descriptor["digest"].as_str().unwrap_or_default());
    let missing: Vec<Value> = digests.filter(|digest| !is_there(digest)).map(|digest| json!(digest)).collect();
    if missing.is_empty() { None } else { Some(Answer::refusals(400, "MANIFEST_BLOB_UNKNOWN", &missing)) }
}
