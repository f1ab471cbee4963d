//! From a request to its answer: it is noted, refused, broken off, or done, and then sent.

use super::exchange::{Answer, Place, Question};
use super::fault::WriteFault;
use super::line::{Lines, Scissors};
use super::{Asked, Inner, State};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::handler::HandlerWithoutStateExt as _;
use axum::http::{StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use serde_json::{Value, json};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long a connection is left alone before it is reset: a reset may overtake what was sent.
const BEFORE_RESET: Duration = Duration::from_millis(20);

/// Serves for ever. `elsewhere` is the port for uploads only.
pub(super) async fn serve(listener: TcpListener, inner: Arc<Inner>, elsewhere: bool) {
    let handler = move |ConnectInfo(scissors): ConnectInfo<Scissors>, request: Request| {
        let inner = inner.clone();
        // A task of its own sees a body break off; hyper forgets who is asked when the connection ends.
        let answering = tokio::spawn(async move { handle(&inner, &scissors, request, elsewhere).await });
        async move { answering.await.expect("no panic while answering") }
    };
    let service = handler.into_make_service_with_connect_info::<Scissors>();
    axum::serve(Lines(listener), service).await.expect("serving has no end");
}

async fn handle(inner: &Inner, scissors: &Scissors, request: Request, elsewhere: bool) -> Response {
    let (parts, body) = request.into_parts();
    let mut question = Question::new(&parts);
    let path = parts.uri.to_string();
    let (number, refusal, fault) = {
        let mut state = inner.state();
        let number = state.log.add(asked(&question, &path));
        let refusal = match (elsewhere, &question.place) {
            (true, Place::Upload(_)) => None,
            (true, _) => Some(Answer::new(404)),
            (false, _) => inner.refuse(&state, &question),
        };
        let fault = if refusal.is_none() { state.faults.take(&question.method, &path) } else { None };
        (number, refusal, fault)
    };
    let whole = take(inner, number, body, fault.as_ref(), &mut question.body).await;
    if let Some(WriteFault::Stall(_) | WriteFault::Silence) = fault {
        return std::future::pending().await;
    }
    let mut state = inner.state();
    if !whole {
        if refusal.is_none() {
            inner.broken_off(&mut state, &question);
        }
        scissors.cut();
        return Response::default();
    }
    let answer = match (refusal, &fault) {
        (Some(refusal), _) => refusal,
        (None, Some(WriteFault::Status(status))) => failure(*status),
        (None, Some(WriteFault::RetryAfter(status, seconds))) => {
            failure(*status).header("Retry-After", &seconds.to_string())
        }
        (None, _) => inner.answer(&mut state, &question),
    };
    if fault == Some(WriteFault::LoseAnswer) {
        scissors.cut();
        return Response::default();
    }
    state.log.change(number, |asked| asked.status = answer.status);
    drop(state);
    deliver(answer, question.method == "HEAD", fault.as_ref(), scissors)
}

fn asked(question: &Question, path: &str) -> Asked {
    Asked {
        method: question.method.clone(),
        path: path.to_owned(),
        host: question.header("host").unwrap_or_default(),
        status: 0,
        bytes_in: 0,
        authorization: question.header("authorization"),
        range: question.header("range"),
        content_range: question.header("content-range"),
        accept: question.header("accept"),
        content_type: question.header("content-type"),
    }
}

fn failure(status: u16) -> Answer {
    Answer::refusal(status, "TEST", &json!("the test says no"))
}

/// Takes the body, also of a request that is refused: an answer before the end of a body may get lost. Tells
/// whether all of it came.
async fn take(inner: &Inner, number: usize, body: Body, fault: Option<&WriteFault>, taken: &mut Vec<u8>) -> bool {
    let limit = fault.map_or(usize::MAX, WriteFault::limit);
    let pause = fault.and_then(WriteFault::pause);
    let mut stream = body.into_data_stream();
    while taken.len() < limit {
        match stream.next().await {
            None => break,
            Some(Err(_)) => return false,
            Some(Ok(piece)) => {
                if let Some(pause) = pause {
                    tokio::time::sleep(pause).await;
                }
                taken.extend(&piece[..piece.len().min(limit - taken.len())]);
                inner.state().log.change(number, |asked| asked.bytes_in = taken.len() as u64);
            }
        }
    }
    !matches!(fault, Some(WriteFault::BreakUpload(_)))
}

impl Inner {
    /// Does what was asked for.
    fn answer(&self, state: &mut State, question: &Question) -> Answer {
        let repository = question.repository.as_str();
        match (question.method.as_str(), &question.place) {
            ("GET", Place::Token) => Self::token(state, question),
            ("GET", Place::Base) => self.base(),
            ("PUT", Place::Manifest(at)) => self.put_manifest(state, at, question),
            ("GET" | "HEAD", Place::Manifest(at)) => Self::read_manifest(state, at, question),
            ("GET" | "HEAD", Place::Referrers(subject)) => self.read_referrers(state, subject, question),
            ("GET" | "HEAD", Place::Blob(digest)) => {
                let Some(blob) = state.content.get(repository).and_then(|stored| stored.blobs.get(digest)) else {
                    return Answer::refusal(404, "BLOB_UNKNOWN", &json!({ "digest": digest }));
                };
                let answer = Answer::content("application/octet-stream", blob.clone());
                let answer = answer.header("Docker-Content-Digest", digest);
                Answer { length: state.lies.size(repository, digest, answer.length), ..answer }
            }
            ("POST", Place::Uploads) => self.begin(state, question),
            (_, Place::Upload(name)) => self.go_on(state, name, question),
            (_, Place::Nowhere) => Answer::new(404),
            _ => Answer::refusal(405, "UNSUPPORTED", &Value::Null),
        }
    }

    fn base(&self) -> Answer {
        let answer = Answer::content("application/json", b"{}".to_vec());
        match self.behaviour.sparse {
            super::Sparse::Quay(Some(support)) => answer.header("X-Sparse-Manifest-Support", &support.to_string()),
            _ => answer,
        }
    }

    /// `Location`, as this registry writes it.
    pub(super) fn location(&self, path: &str) -> String {
        if self.behaviour.relative_locations { path.to_owned() } else { format!("http://{}{path}", self.host) }
    }
}

fn deliver(answer: Answer, without_body: bool, fault: Option<&WriteFault>, scissors: &Scissors) -> Response {
    let mut response = Response::builder().status(StatusCode::from_u16(answer.status).expect("a status is one"));
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    let length = if without_body { answer.length } else { Some(answer.body.len() as u64) };
    if let Some(length) = length.filter(|_| answer.status != 204) {
        response = response.header(header::CONTENT_LENGTH, length);
    }
    let body = match fault {
        _ if without_body => Body::empty(),
        Some(WriteFault::BreakAnswer(length)) => broken(answer.body, *length, scissors.clone()),
        Some(WriteFault::Drip(pause)) => dripping(answer.body, *pause),
        _ => Body::from(answer.body),
    };
    response.body(body).expect("a registry writes good headers")
}

fn broken(mut bytes: Vec<u8>, length: usize, scissors: Scissors) -> Body {
    bytes.truncate(length);
    let reset = async move {
        tokio::time::sleep(BEFORE_RESET).await;
        scissors.cut();
        Err(io::Error::from(ErrorKind::ConnectionReset))
    };
    let pieces: BoxStream<io::Result<Bytes>> = stream::iter([Ok(bytes.into())]).chain(stream::once(reset)).boxed();
    Body::from_stream(pieces)
}

fn dripping(bytes: Vec<u8>, pause: Duration) -> Body {
    Body::from_stream(stream::iter(bytes).then(move |byte| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, io::Error>(Bytes::copy_from_slice(&[byte]))
    }))
}
