//! Uploads of blobs: the whole way, the wrong turns, and what breaks off.

use super::super::{On, WriteFault};
use super::{Behaviour, start};
use crate::support::fixture::{Blob, Repository, digest};

const BYTES: &[u8] = b"0123456789";

#[test]
fn an_upload_goes_on_where_the_last_answer_says() {
    let (registry, client) = start(Behaviour { relative_locations: true, resumes: true, ..Behaviour::default() });
    let name = digest(BYTES);
    let begun = client.ask("POST", "/v2/team/x/blobs/uploads/", &[], b"");
    assert_eq!((begun.status, begun.header("range"), begun.header("content-length")), (202, "0-0", "0"));
    let first = begun.header("location").to_owned();
    assert!(first.starts_with("/v2/team/x/blobs/uploads/"), "{first}");
    let part = client.ask("PATCH", &first, &[("content-range", "0-3")], b"0123");
    assert_eq!((part.status, part.header("range")), (202, "0-3"));
    let place = part.header("location").to_owned();
    let status = client.ask("GET", &place, &[], b"");
    assert_eq!((status.status, status.header("range"), status.header("location")), (204, "0-3", place.as_str()));
    for (place, range) in [(&place, "5-9"), (&place, "4-6"), (&place, "bytes=4-9"), (&first, "4-9"), (&first, "0-5")] {
        let wrong = client.ask("PATCH", place, &[("content-range", range)], b"456789");
        assert_eq!(wrong.error(), (416, "RANGE_INVALID".into()), "{place} {range}");
    }
    let rest = client.ask("PATCH", &place, &[], b"456");
    let done = client.ask("PUT", &format!("{}&digest={name}", rest.header("location")), &[], b"789");
    assert_eq!((done.status, done.header("docker-content-digest")), (201, name.as_str()));
    let blob = done.header("location").to_owned();
    let head = client.ask("HEAD", &blob, &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, "10"));
    assert_eq!(head.header("docker-content-digest"), name);
    assert_eq!(client.ask("GET", &blob, &[], b"").body, BYTES);
    assert!(registry.has_blob("team/x", &name) && !registry.has_blob("team/y", &name));
    assert_eq!(client.ask("HEAD", &format!("/v2/team/y/blobs/{name}"), &[], b"").status, 404);
    assert_eq!(client.ask("GET", &format!("/v2/team/y/blobs/{name}"), &[], b"").error(), (404, "BLOB_UNKNOWN".into()));
    registry.remove_blob("team/x", &name);
    assert_eq!(client.ask("HEAD", &blob, &[], b"").status, 404);
}

#[test]
fn requests_are_noted() {
    let (registry, client) = start(Behaviour::default());
    let place = client.begin("x");
    registry.forget_requests();
    let headers = [
        ("content-range", "0-9"),
        ("content-type", "application/octet-stream"),
        ("accept", "a/b"),
        ("range", "bytes=1-"),
    ];
    client.ask("PATCH", &place, &headers, BYTES);
    let requests = registry.requests();
    let [patch] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((patch.method.as_str(), patch.status, patch.bytes_in), ("PATCH", 202, 10));
    assert_eq!(format!("http://{}{}", patch.host, patch.path), place);
    let noted = [&patch.content_range, &patch.content_type, &patch.accept, &patch.range].map(Option::as_deref);
    assert_eq!(noted, headers.map(|(_, value)| Some(value)));
    assert_eq!(patch.authorization, None);
}

#[test]
fn what_has_another_digest_is_refused_and_the_upload_over() {
    let (registry, client) = start(Behaviour::default());
    for end in [format!("&digest={}", digest(b"other")), "&digest=nonsense".into(), String::new()] {
        let place = client.begin("x");
        let refused = client.ask("PUT", &format!("{place}{end}"), &[], BYTES);
        assert_eq!(refused.error(), (400, "DIGEST_INVALID".into()), "{end}");
        assert_eq!(client.ask("GET", &place, &[], b"").error(), (404, "BLOB_UPLOAD_UNKNOWN".into()));
    }
    assert!(!registry.has_blob("x", &digest(BYTES)));
    let place = client.begin("x");
    let bare = place.split('?').next().unwrap();
    assert_eq!(client.ask("PATCH", bare, &[], BYTES).error(), (404, "BLOB_UPLOAD_INVALID".into()));
    assert_eq!(client.ask("PATCH", &place.replace("/x/", "/y/"), &[], BYTES).status, 404);
    let typed = client.ask("PATCH", &place, &[("content-type", "text/plain")], BYTES);
    assert_eq!(typed.error(), (500, "UNKNOWN".into()));
    assert_eq!(client.ask("DELETE", &place, &[], b"").status, 204);
    assert_eq!(client.ask("PATCH", &place, &[], BYTES).status, 404);
}

#[test]
fn one_post_brings_a_blob_or_begins_an_upload() {
    for (whole_in_post, status) in [(true, 201), (false, 202)] {
        let (registry, client) = start(Behaviour { whole_in_post, ..Behaviour::default() });
        // Written as some libraries do.
        let name = digest(BYTES).replace(':', "%3A");
        let answer = client.ask("POST", &format!("/v2/x/blobs/uploads/?digest={name}"), &[], BYTES);
        assert_eq!((answer.status, registry.has_blob("x", &digest(BYTES))), (status, status == 201));
    }
    let (_registry, client) = start(Behaviour::default());
    let wrong = client.ask("POST", &format!("/v2/x/blobs/uploads/?digest={}", digest(b"")), &[], BYTES);
    assert_eq!(wrong.error(), (400, "DIGEST_INVALID".into()));
}

#[test]
fn a_blob_is_mounted_or_an_upload_begins() {
    let blob = Blob::new("a/b", BYTES.to_vec());
    let from = Repository { blobs: vec![blob.clone()], ..Repository::new("from") };
    for (mounts, source, status) in [(true, "from", 201), (true, "empty", 202), (false, "from", 202)] {
        let (registry, client) = start(Behaviour { mounts, ..Behaviour::default() });
        registry.put(&from);
        let path = format!("/v2/x/blobs/uploads/?mount={}&from={source}", blob.digest);
        let answer = client.ask("POST", &path, &[], b"");
        assert_eq!((answer.status, registry.has_blob("x", &blob.digest)), (status, status == 201));
        let place = if status == 201 { format!("/v2/x/blobs/{}", blob.digest) } else { "/v2/x/blobs/uploads/".into() };
        assert!(answer.header("location").starts_with(&format!("http://{}{place}", registry.host())));
    }
}

#[test]
fn a_broken_upload_is_kept_or_forgotten() {
    for resumes in [true, false] {
        let (registry, client) = start(Behaviour { resumes, ..Behaviour::default() });
        registry.fail(On::patch("/uploads/"), 1, WriteFault::BreakUpload(6));
        let by_the_server = client.begin("x");
        let broken = client.send(client.request("PATCH", &by_the_server, &[]).body(BYTES)).err();
        assert!(broken.is_some_and(|e| !e.is_timeout() && !e.is_status()));
        let by_the_client = client.begin("x");
        client.break_off(&by_the_client, &BYTES[..6]);
        for place in [by_the_server, by_the_client] {
            let status = client.ask("GET", &place, &[], b"");
            if !resumes {
                assert_eq!(status.error(), (404, "BLOB_UPLOAD_UNKNOWN".into()));
                continue;
            }
            assert_eq!((status.status, status.header("range")), (204, "0-5"));
            assert_eq!(client.ask("PATCH", &place, &[], &BYTES[6..]).status, 416, "the old place is out of date");
            let place = format!("{}&digest={}", status.header("location"), digest(BYTES));
            assert_eq!(client.ask("PUT", &place, &[("content-range", "6-9")], &BYTES[6..]).status, 201);
        }
        let taken: Vec<_> = registry.requests().into_iter().filter(|asked| asked.status == 0).collect();
        assert_eq!(taken.iter().map(|asked| asked.bytes_in).collect::<Vec<_>>(), [6, 6]);
    }
}
