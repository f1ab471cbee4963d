//! That the registry is wrong in the very way it was told to be.

use super::{After, Auth, Fault, FaultyRegistry};
use crate::support::fixture::{Blob, Repository};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A registry with the blob `0123456789` in `x`, and the path of the blob.
fn registry() -> (FaultyRegistry, String) {
    let blob = Blob::new("x", b"0123456789".to_vec());
    let path = format!("/v2/x/blobs/{}", blob.digest);
    (FaultyRegistry::start(&[Repository { blobs: vec![blob], ..Repository::new("x") }]), path)
}

fn ask(stream: &mut TcpStream, method: &str, path: &str, more: &str) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).expect("a request can be sent");
}

/// Everything that comes on a connection of one request, and how it ended.
fn raw(registry: &FaultyRegistry, path: &str, more: &str) -> (String, Result<usize, ErrorKind>) {
    let mut stream = TcpStream::connect(registry.address()).expect("the registry listens");
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a time can be set");
    ask(&mut stream, "GET", path, more);
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).map_err(|e| e.kind());
    (String::from_utf8_lossy(&bytes).into_owned(), end)
}

/// An answer to one request on a connection that is closed after it.
fn answer(registry: &FaultyRegistry, path: &str, more: &str) -> String {
    raw(registry, path, &format!("Connection: close\r\n{more}")).0
}

#[test]
fn a_fault_is_what_is_sent() {
    let (registry, path) = registry();
    let part = "Range: bytes=4-\r\n";
    let drip = Fault::Drip(Duration::from_millis(1));
    for (fault, more, head, body) in [
        (None, "", "HTTP/1.1 200 OK\r\n", "0123456789"),
        (None, part, "HTTP/1.1 206 Partial Content\r\n", "456789"),
        (None, part, "Content-Range: bytes 4-9/10\r\n", "456789"),
        (None, "Range: bytes=4-5\r\n", "Content-Length: 2\r\n", "45"),
        (None, "Range: bytes=10-\r\n", "416 Range Not Satisfiable\r\n", ""),
        (None, "Range: bytes=10-\r\n", "Content-Range: bytes */10\r\n", ""),
        (Some(Fault::RetryAfter(503, After::Seconds(7))), "", "Retry-After: 7\r\n", r#"{"errors":"#),
        (Some(Fault::RetryAfter(429, After::Text("soon"))), "", "Retry-After: soon\r\n", r#"{"errors":"#),
        (Some(Fault::RetryAfter(429, After::Date(9))), "", " GMT\r\n", r#"{"errors":"#),
        (Some(Fault::CutShort(4)), "", "Content-Length: 4\r\n", "0123"),
        (Some(Fault::CutShort(4)), part, "Content-Range: bytes 4-7/10\r\n", "4567"),
        (Some(Fault::Pad(2)), "", "Content-Length: 12\r\n", "0123456789\0\0"),
        (Some(Fault::WrongLength(3)), "", "Content-Length: 13\r\n", "0123456789"),
        (Some(Fault::WrongLength(-3)), "", "Content-Length: 7\r\n", "0123456789"),
        (Some(Fault::BreakOff(3)), "", "Content-Length: 10\r\n", "012"),
        (Some(Fault::BreakOff(3)), part, "Content-Length: 6\r\n", "456"),
        (Some(Fault::Redirect("/there".into())), "", "Location: /there\r\n", ""),
        (Some(Fault::ContentType("text/html")), "", "Content-Type: text/html\r\n", "0123456789"),
        (Some(Fault::ContentDigest("sha256:0".into())), "", "Docker-Content-Digest: sha256:0\r\n", "0123456789"),
        (Some(Fault::Gzip), "", "Content-Encoding: gzip\r\n", "\u{1f}"),
        (Some(Fault::IgnoreRange), part, "HTTP/1.1 200 OK\r\n", "0123456789"),
        (Some(Fault::WrongRange(8)), part, "Content-Range: bytes 8-9/10\r\n", "89"),
        (Some(Fault::WrongRange(8)), "", "HTTP/1.1 200 OK\r\n", "0123456789"),
        (Some(Fault::OddCase), "", "cOnTeNt-lEnGtH: 10\r\n", "0123456789"),
        (Some(Fault::Chunked), "", "Transfer-Encoding: chunked\r\n", "a\r\n0123456789\r\n0\r\n\r\n"),
        (Some(Fault::Chunked.and(Fault::CutShort(2))), "", "chunked\r\n", "2\r\n01\r\n0\r\n\r\n"),
        (Some(Fault::Chunked.and(Fault::BreakOff(2))), "", "chunked\r\n", "2\r\n01\r\n"),
        (Some(drip), "", "Content-Length: 10\r\n", "0123456789"),
        (Some(Fault::Replace(b"other".to_vec())), "", "Content-Length: 5\r\n", "other"),
    ] {
        if let Some(fault) = &fault {
            registry.fail(&path, fault.clone());
        }
        let found = answer(&registry, &path, more);
        let (found_head, found_body) = found.split_once("\r\n\r\n").expect("an empty line");
        assert!(format!("{found_head}\r\n").contains(head), "{fault:?} {more}: {found}");
        let right = if ["", "{", "\u{1f}"].contains(&&body[..body.len().min(1)]) {
            found_body.starts_with(body)
        } else {
            found_body == body
        };
        assert!(right, "{fault:?} {more}: {found}");
        registry.heal();
    }
}

#[test]
fn connections_end_as_they_were_told_to() {
    let (registry, path) = registry();
    let silent = Err(ErrorKind::WouldBlock);
    for (fault, end, body) in [
        // The connection stays for the next request.
        (None, silent, Some("0123456789")),
        (Some(Fault::Silence), silent, None),
        (Some(Fault::SilenceAfter(3)), silent, Some("012")),
        (Some(Fault::Reset(3)), Err(ErrorKind::ConnectionReset), Some("012")),
    ] {
        if let Some(fault) = &fault {
            registry.fail(&path, fault.clone());
        }
        let (found, found_end) = raw(&registry, &path, "");
        assert_eq!(found_end, end, "{fault:?}: {found}");
        assert_eq!(found.split_once("\r\n\r\n").map(|(_, body)| body), body, "{fault:?}");
        registry.heal();
    }
}

#[test]
fn a_connection_takes_more_than_one_request() {
    let (registry, path) = registry();
    let mut stream = TcpStream::connect(registry.address()).unwrap();
    ask(&mut stream, "HEAD", &path, "");
    ask(&mut stream, "GET", "/v2/", "");
    ask(&mut stream, "PUT", &path, "");
    ask(&mut stream, "GET", "/v2/x/manifests/v1", "Range: bytes=1-\r\nConnection: close\r\n");
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let answers: Vec<&str> = text.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(answers.len(), 4, "{text}");
    assert!(answers[0].contains("Content-Length: 10\r\n") && answers[0].ends_with("\r\n\r\n"), "{text}");
    assert!(answers[1].starts_with("200 ") && answers[1].ends_with("\r\n\r\n{}"), "{text}");
    assert!(answers[2].starts_with("405 ") && answers[3].starts_with("404 "), "{text}");
    let seen = registry.take_seen();
    assert_eq!((seen.len(), seen[3].range.as_deref()), (4, Some("bytes=1-")));
}

#[test]
fn faults_come_as_often_as_planned_and_by_chance_as_seeded() {
    let (registry, path) = registry();
    registry.fail_times(&path, 2, Fault::Status(500));
    registry.fail_times(&path, 1, Fault::Status(429));
    let statuses = |count: usize| -> Vec<String> {
        let answers = (0..count).map(|_| answer(&registry, &path, ""));
        answers.map(|answer| answer.split(' ').nth(1).unwrap_or("none").to_owned()).collect()
    };
    assert_eq!(statuses(4), ["500", "500", "429", "200"]);
    registry.misbehave(7, 50);
    let first = statuses(40);
    assert!(first.iter().filter(|status| *status == "200").count() > 10 && first.iter().any(|s| s != "200"));
    registry.misbehave(7, 50);
    assert_eq!(statuses(40), first);
}

#[test]
fn tokens_expire() {
    let registry = FaultyRegistry::start_with(&[], Auth::ExpiringBearer(2));
    assert!(answer(&registry, "/v2/", "").contains("WWW-Authenticate: Bearer realm"));
    for token in ["let-me-in-0", "let-me-in-1"] {
        assert!(answer(&registry, "/token", "").contains(token));
        let answers = [(); 3].map(|()| answer(&registry, "/v2/", &format!("Authorization: Bearer {token}\r\n")));
        let statuses = answers.each_ref().map(|answer| &answer[9..12]);
        assert_eq!(statuses, ["200", "200", "401"]);
    }
    registry.fail("/token", Fault::Status(500));
    assert!(answer(&registry, "/token", "").starts_with("HTTP/1.1 500"));
}

#[test]
fn a_throttled_answer_takes_its_time_and_the_end_of_the_registry_ends_it() {
    let (registry, path) = registry();
    let start = Instant::now();
    registry.throttle(100);
    assert!(answer(&registry, &path, "").ends_with("0123456789"));
    assert!(start.elapsed() >= Duration::from_millis(100), "{:?}", start.elapsed());
    registry.fail(&path, Fault::Silence);
    let mut stream = TcpStream::connect(registry.address()).unwrap();
    ask(&mut stream, "GET", &path, "");
    drop(registry);
    // Closed, or reset because the request was not read; what matters is that it does not wait.
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let end = stream.read(&mut [0]);
    assert!(matches!(&end, Ok(0)) || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
}
