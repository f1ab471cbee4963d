//! What happens to requests when it was told to.

use super::super::{On, WriteFault};
use super::{Behaviour, sparse, start};
use crate::support::fixture::{Format, OCI_MANIFEST, digest};
use std::error::Error as _;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// How long an answer is waited for that never comes.
const SHORT: Duration = Duration::from_millis(300);

/// Whether the connection was reset, as the causes of an error tell.
fn is_reset(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::ConnectionReset) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[test]
fn faults_come_to_the_requests_they_are_for_as_often_as_planned() {
    let (registry, client) = start(Behaviour::default());
    registry.fail(On::put("/manifests/v1"), 1, WriteFault::RetryAfter(429, 7));
    registry.fail(On::any("/manifests/v1"), 2, WriteFault::Status(503));
    registry.fail(On::head("/manifests/"), usize::MAX, WriteFault::Status(502));
    let (tag, other) = ("/v2/x/manifests/v1", "/v2/x/manifests/v2");
    for (method, path, status, after) in [
        ("PUT", other, 400, ""),
        ("GET", tag, 503, ""),
        ("PUT", tag, 429, "7"),
        ("HEAD", tag, 503, ""),
        ("HEAD", tag, 502, ""),
        ("HEAD", other, 502, ""),
        ("GET", tag, 404, ""),
        ("PUT", tag, 400, ""),
    ] {
        let answer = client.ask(method, path, &[], b"{}");
        assert_eq!((answer.status, answer.header("retry-after")), (status, after), "{method} {path}");
        let code = if ["429", "503"].contains(&status.to_string().as_str()) && method != "HEAD" { "TEST" } else { "" };
        assert!(answer.error().1.starts_with(code));
    }
    assert_eq!(registry.requests().iter().map(|asked| asked.bytes_in).collect::<Vec<_>>(), [2; 8]);
}

#[test]
fn connections_are_reset() {
    let (registry, client) = start(Behaviour::default());
    let set = sparse(Format::Oci);
    registry.put(&set.repository.clone().tag("v1", &set.kept.manifest));
    let manifest = &set.kept.manifest;
    let put = || {
        let request = client.request("PUT", "/v2/x/manifests/v2", &[("content-type", OCI_MANIFEST)]);
        client.send(request.body(manifest.bytes.clone()))
    };
    let get = || client.send(client.request("GET", "/v2/x/manifests/v1", &[("accept", OCI_MANIFEST)]));
    registry.fail(On::put("/v2"), 1, WriteFault::BreakUpload(3));
    assert!(is_reset(&put().err().expect("no answer")) && registry.tags("x").len() == 1);
    registry.fail(On::put("/v2"), 1, WriteFault::LoseAnswer);
    assert!(is_reset(&put().err().expect("no answer")));
    assert_eq!(registry.tags("x").get("v2"), Some(&manifest.digest), "the manifest came, the answer did not");
    registry.fail(On::get("/v1"), 1, WriteFault::BreakAnswer(3));
    assert!(is_reset(&get().err().expect("no whole answer")));
    registry.fail(On::get("/v1"), 1, WriteFault::LoseAnswer);
    assert!(is_reset(&get().err().expect("no answer")));
    assert_eq!(get().expect("an answer").body, manifest.bytes);
    let requests = registry.requests();
    let noted: Vec<_> = requests.iter().map(|asked| (asked.status, asked.bytes_in)).collect();
    assert_eq!(noted, [(0, 3), (0, manifest.bytes.len() as u64), (200, 0), (0, 0), (200, 0)]);
}

#[test]
fn answers_do_not_come() {
    let (registry, client) = start(Behaviour::default());
    registry.fail(On::post("/uploads/"), 1, WriteFault::Silence);
    registry.fail(On::post("/uploads/"), 1, WriteFault::Stall(4));
    for taken in [10, 4] {
        let request = client.request("POST", "/v2/x/blobs/uploads/", &[]).body(&b"0123456789"[..]);
        assert!(client.send(request.timeout(SHORT)).is_err_and(|e| e.is_timeout()));
        let last = registry.requests().pop().expect("a request");
        assert_eq!((last.status, last.bytes_in), (0, taken));
    }
    registry.fail(On::any("/v2/"), 1, WriteFault::Silence);
    let (host, start) = (registry.host().to_owned(), Instant::now());
    let waiting = std::thread::spawn(move || {
        let client = super::Client::of(&host);
        client.send(client.request("GET", "/v2/", &[]).timeout(Duration::from_secs(60))).is_err()
    });
    while registry.requests().len() < 3 {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(registry);
    assert!(waiting.join().expect("the client does not panic"), "the end of the registry ends its connections");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn answers_drip() {
    let (registry, client) = start(Behaviour::default());
    registry.fail(On::any(""), 2, WriteFault::Drip(Duration::from_millis(50)));
    let start = Instant::now();
    assert_eq!(client.ask("GET", "/v2/", &[], b"").body, b"{}");
    assert!(start.elapsed() >= Duration::from_millis(100), "two bytes, two pauses: {:?}", start.elapsed());
    let start = Instant::now();
    let path = format!("/v2/x/blobs/uploads/?digest={}", digest(b"0123"));
    assert_eq!(client.ask("POST", &path, &[], b"0123").status, 201);
    assert!(start.elapsed() >= Duration::from_millis(50), "one piece, one pause: {:?}", start.elapsed());
}
