//! Blobs on their way in: uploads that begin, go on, break off and end, and blobs that are mounted.

use super::exchange::{Answer, Place, Question};
use super::{Inner, State};
use crate::support::fixture;
use serde_json::{Value, json};

/// The only type that distribution takes pieces under, if there is a type.
const BYTES: &str = "application/octet-stream";

/// An upload that has begun.
#[derive(Debug, Default)]
pub(super) struct Upload {
    repository: String,
    bytes: Vec<u8>,
}

fn unknown_upload() -> Answer {
    Answer::refusal(404, "BLOB_UPLOAD_UNKNOWN", &Value::Null)
}

impl Inner {
    /// POST: an upload begins, unless the blob is there at once.
    pub(super) fn begin(&self, state: &mut State, question: &Question) -> Answer {
        let repository = question.repository.as_str();
        if let (Some(digest), Some(from), true) =
            (question.parameter("mount"), question.parameter("from"), self.behaviour.mounts)
        {
            let blob = state.content.get(from).and_then(|stored| stored.blobs.get(digest)).cloned();
            if let Some(blob) = blob {
                state.repository(repository).blobs.insert(digest.to_owned(), blob);
                return self.created(repository, digest);
            }
        }
        if let (Some(digest), true) = (question.parameter("digest"), self.behaviour.whole_in_post) {
            return self.store(state, repository, digest, question.body.clone());
        }
        state.uploads_begun += 1;
        let name = format!("upload-{}", state.uploads_begun);
        let upload = Upload { repository: repository.to_owned(), bytes: Vec::new() };
        let answer = self.progress(202, &name, &upload);
        state.uploads.insert(name, upload);
        answer
    }

    /// What concerns an upload that has begun.
    pub(super) fn go_on(&self, state: &mut State, name: &str, question: &Question) -> Answer {
        let Some(upload) = state.uploads.get_mut(name).filter(|upload| upload.repository == question.repository) else {
            return unknown_upload();
        };
        // distribution signs where an upload stands, and refuses an address without that.
        let Some(stands) = question.parameter("_state") else {
            return Answer::refusal(404, "BLOB_UPLOAD_INVALID", &json!("this address was not given by the registry"));
        };
        let is_old = stands != upload.bytes.len().to_string();
        if is_old && !self.behaviour.resumes {
            state.uploads.remove(name);
            return Answer::refusal(404, "BLOB_UPLOAD_INVALID", &json!("the address is out of date"));
        }
        let media_type = question.header("content-type").unwrap_or_else(|| BYTES.to_owned());
        if question.method == "PATCH" && media_type != BYTES {
            return Answer::refusal(500, "UNKNOWN", &json!({}));
        }
        let writes = ["PATCH", "PUT"].contains(&question.method.as_str());
        if writes && (is_old || !begins_at(question, upload.bytes.len())) {
            return Answer::refusal(416, "RANGE_INVALID", &json!({ "length": upload.bytes.len() }));
        }
        match question.method.as_str() {
            "GET" => self.progress(204, name, upload),
            "DELETE" => {
                state.uploads.remove(name);
                Answer::new(204)
            }
            "PATCH" => {
                upload.bytes.extend(&question.body);
                self.progress(202, name, upload)
            }
            "PUT" => {
                // Whether it ends well or not, it is over.
                let mut bytes = state.uploads.remove(name).unwrap_or_default().bytes;
                bytes.extend(&question.body);
                let digest = question.parameter("digest").unwrap_or_default();
                self.store(state, &question.repository, digest, bytes)
            }
            _ => Answer::refusal(405, "UNSUPPORTED", &Value::Null),
        }
    }

    /// A body that ended too early: its bytes are kept, or the upload is forgotten.
    pub(super) fn broken_off(&self, state: &mut State, question: &Question) {
        let Place::Upload(name) = &question.place else { return };
        if !self.behaviour.resumes {
            state.uploads.remove(name);
            return;
        }
        let goes_on = |upload: &&mut Upload| question.parameter("_state") == Some(&upload.bytes.len().to_string());
        if let Some(upload) = state.uploads.get_mut(name).filter(goes_on) {
            upload.bytes.extend(&question.body);
        }
    }

    fn store(&self, state: &mut State, repository: &str, digest: &str, bytes: Vec<u8>) -> Answer {
        if digest != fixture::digest(&bytes) {
            let detail = json!({ "digest": digest, "reason": "the content has another digest" });
            return Answer::refusal(400, "DIGEST_INVALID", &detail);
        }
        state.repository(repository).blobs.insert(digest.to_owned(), bytes);
        self.created(repository, digest)
    }

    fn created(&self, repository: &str, digest: &str) -> Answer {
        let location = self.location(&format!("/v2/{repository}/blobs/{digest}"));
        Answer::new(201).header("Location", &location).header("Docker-Content-Digest", digest)
    }

    /// Where an upload stands and where it goes on. The first byte is told of only with the second, as by
    /// distribution.
    fn progress(&self, status: u16, name: &str, upload: &Upload) -> Answer {
        let length = upload.bytes.len();
        let path = format!("/v2/{}/blobs/uploads/{name}?_state={length}", upload.repository);
        let location = match &self.other_host {
            Some(other) => format!("http://{other}{path}"),
            None => self.location(&path),
        };
        Answer::new(status)
            .header("Location", &location)
            .header("Range", &format!("0-{}", length.max(1) - 1))
            .header("Docker-Upload-UUID", name)
    }
}

/// Whether `Content-Range`, if there is one, is the place and the length of the body.
fn begins_at(question: &Question, place: usize) -> bool {
    let Some(range) = question.header("content-range") else { return true };
    let bounds = range.strip_prefix("bytes ").unwrap_or(&range).split_once('-');
    let bounds = bounds.and_then(|(from, to)| Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?)));
    bounds.is_some_and(|(from, to)| from == place && to + 1 == place + question.body.len())
}
