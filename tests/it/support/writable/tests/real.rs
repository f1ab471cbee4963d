//! The same requests to the real docker-registry, and the same answers from it.

use super::super::Sparse;
use super::{Behaviour, Client, Reply, sparse, start};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fixture::{Blob, DOCKER_LIST, Format, OCI_INDEX, Repository, digest};
use serde_json::Value;

/// What was done, and what must be the same: status, errors, and some headers.
type Heard = Vec<(String, u16, Vec<(String, Value)>, Vec<String>)>;

/// Headers without what is each registry's own: its address, names of uploads, signatures of addresses.
fn headers(reply: &Reply) -> Vec<String> {
    let location = reply.header("location");
    let path = location.strip_prefix("http://").and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    let path = path.unwrap_or(location).split('?').next().unwrap_or_default();
    let path = path.split_inclusive("/uploads/").next().unwrap_or_default();
    let mut headers = vec![format!("location: {path}")];
    for name in ["range", "docker-content-digest", "content-type", "content-length"] {
        // Errors are worded as everybody likes.
        if reply.status < 400 || name == "docker-content-digest" {
            // Only text is said to be in UTF-8, and JSON by one of them.
            headers.push(format!("{name}: {}", reply.header(name).trim_end_matches("; charset=utf-8")));
        }
    }
    headers
}

/// Everything a client can do right and wrong. `has` is a blob in `from`.
fn talk(client: &Client, has: &Blob) -> Heard {
    let mut heard = Vec::new();
    let mut hear = |what: &str, reply: &Reply| {
        let (status, mut errors) = reply.errors();
        // Only of these is the detail said by both.
        errors.iter_mut().filter(|(code, _)| code != "MANIFEST_BLOB_UNKNOWN").for_each(|one| one.1 = Value::Null);
        heard.push((what.to_owned(), status, errors, headers(reply)));
    };
    let begin = "/v2/x/blobs/uploads/";
    hear("the base", &client.ask("GET", "/v2/", &[], b""));
    hear("an unknown blob", &client.ask("HEAD", &format!("/v2/x/blobs/{}", has.digest), &[], b""));
    hear("an unknown blob's bytes", &client.ask("GET", &format!("/v2/x/blobs/{}", has.digest), &[], b""));
    hear("mounting", &client.ask("POST", &format!("{begin}?mount={}&from=from", has.digest), &[], b""));
    let missed = digest(b"missed");
    hear("mounting what is not there", &client.ask("POST", &format!("{begin}?mount={missed}&from=from"), &[], b""));
    hear("all in one POST", &client.ask("POST", &format!("{begin}?digest={}", digest(b"one")), &[], b"one"));
    let begun = client.ask("POST", begin, &[], b"");
    hear("beginning", &begun);
    let part = client.ask("PATCH", begun.header("location"), &[], b"0123456789");
    hear("a part", &part);
    let status = client.ask("GET", part.header("location"), &[], b"");
    hear("where it stands", &status);
    let end = format!("{}&digest={}", part.header("location"), digest(b"0123456789ab"));
    hear("the end", &client.ask("PUT", &end, &[], b"ab"));
    hear("after the end", &client.ask("GET", part.header("location"), &[], b""));
    hear("the blob", &client.ask("HEAD", &format!("/v2/x/blobs/{}", digest(b"0123456789ab")), &[], b""));
    hear("a wrong digest", &client.put_blob("x", b"0123", &digest(b"")));
    let place = client.begin("x");
    hear("an address without its query", &client.ask("PATCH", place.split('?').next().unwrap(), &[], b"0"));
    let typed = client.ask("PATCH", &client.begin("x"), &[("content-type", "text/plain")], b"0");
    hear("a part with a type", &typed);
    let place = client.begin("x");
    client.ask("PATCH", &place, &[], b"0123");
    hear("an old address", &client.ask("PATCH", &place, &[], b"45"));
    hear("an end without a digest", &client.ask("PUT", &client.begin("x"), &[], b"0"));
    hear("taking back", &client.ask("DELETE", &client.begin("x"), &[], b""));
    for format in [Format::Docker, Format::Oci] {
        let set = sparse(format);
        let (manifest, index) = (&set.kept.manifest, &set.index);
        hear("a manifest without its blobs", &client.put_manifest("x", "v1", manifest));
        for blob in set.kept.layers.iter().chain([&set.kept.config]) {
            hear("a blob", &client.put_blob("x", &blob.bytes, &blob.digest));
        }
        hear("an index without its manifests", &client.put_manifest("x", "v1", index));
        hear("a manifest under another digest", &client.put_manifest("x", &index.digest, manifest));
        hear("a manifest", &client.put_manifest("x", &manifest.digest, manifest));
        hear("a sparse index", &client.put_manifest("x", "v1", index));
        hear("a manifest at a tag", &client.put_manifest("x", "v1", manifest));
        for (at, accept) in [("v1", manifest.media_type.as_str()), (&manifest.digest, &manifest.media_type)] {
            hear("HEAD of a manifest", &client.manifest("HEAD", "x", at, accept));
            hear("GET of a manifest", &client.manifest("GET", "x", at, accept));
        }
        let at_digest = client.manifest("GET", "x", &manifest.digest, "*/*");
        hear("GET of a manifest without its type", &at_digest);
        hear("HEAD of an unknown manifest", &client.manifest("HEAD", "x", "v9", OCI_INDEX));
        hear("GET of an unknown manifest", &client.manifest("GET", "x", &index.digest, DOCKER_LIST));
        hear("no manifest", &client.put_manifest("x", "v1", &Blob::new(&index.media_type, b"{".to_vec())));
    }
    hear("referrers", &client.ask("GET", &format!("/v2/x/referrers/{missed}"), &[], b""));
    heard
}

#[test]
fn docker_registry_says_the_same() {
    let has = Blob::new("a/b", b"what is there".to_vec());
    let repository = Repository { blobs: vec![has.clone()], ..Repository::new("from") };
    let real = DockerRegistry::start();
    real.push(&repository);
    let behaviour = Behaviour { sparse: Sparse::Refuse, whole_in_post: false, ..Behaviour::default() };
    let (ours, client) = start(behaviour);
    ours.put(&repository);
    let (expected, found) = (talk(&Client::of(real.host()), &has), talk(&client, &has));
    let different: Vec<_> = expected.iter().zip(&found).filter(|(expected, found)| expected != found).collect();
    assert!(different.is_empty(), "docker-registry, and ours: {different:#?}");
    assert_eq!(found.len(), expected.len());
}

#[test]
fn docker_registry_loses_a_broken_upload_too() {
    let real = DockerRegistry::start();
    let (_ours, client) = start(Behaviour { resumes: false, ..Behaviour::default() });
    for client in [&Client::of(real.host()), &client] {
        let place = client.begin("x");
        client.break_off(&place, b"012345");
        assert_eq!(client.ask("GET", &place, &[], b"").status, 404);
        let whole = client.put_blob("x", b"0123456789", &digest(b"0123456789"));
        assert_eq!(whole.status, 201, "it can be uploaded again");
    }
}
