//! What is said that is not so.

use super::super::{Claim, Lie};
use super::{Behaviour, Client, sparse, start};
use crate::support::fixture::{Format, OCI_INDEX, OCI_MANIFEST, digest};
use serde_json::Value;

const OTHER: &[u8] = br#"{"schemaVersion":2,"manifests":[]}"#;

/// Body, type and digest at the tag `v1`, or only a status.
fn read(client: &Client) -> Result<(Vec<u8>, String, String), u16> {
    let [get, head] = ["GET", "HEAD"].map(|method| client.manifest(method, "x", "v1", OCI_INDEX));
    assert_eq!((get.status, get.header("content-type")), (head.status, head.header("content-type")));
    if get.status != 200 {
        return Err(get.status);
    }
    let (kind, digest) = (get.header("content-type").to_owned(), get.header("docker-content-digest").to_owned());
    Ok((get.body, kind, digest))
}

#[test]
fn what_was_put_is_not_what_is_read() {
    let set = sparse(Format::Oci);
    let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    for (lie, kind, claim) in [
        (Lie::Bytes(OTHER.to_vec(), OCI_INDEX, Claim::Served), OCI_INDEX, Claim::Served),
        (Lie::Bytes(OTHER.to_vec(), OCI_INDEX, Claim::Right), OCI_INDEX, Claim::Right),
        (Lie::Reformatted(Claim::Served), OCI_INDEX, Claim::Served),
        (Lie::Reformatted(Claim::Right), OCI_INDEX, Claim::Right),
        (Lie::Schema1, schema1, Claim::Served),
        (Lie::ContentType("text/html"), "text/html", Claim::Right),
    ] {
        let (registry, client) = start(Behaviour::default());
        registry.lie("x", "v1", lie.clone());
        assert_eq!(read(&client), Err(404), "it sleeps until the PUT");
        let taken = client.put_manifest("x", "v1", &set.index);
        assert_eq!((taken.status, taken.header("docker-content-digest")), (201, set.index.digest.as_str()));
        for _ in 0..2 {
            let (bytes, found_kind, found_digest) = read(&client).expect("an answer");
            assert_eq!(bytes == set.index.bytes, matches!(lie, Lie::ContentType(_)), "{lie:?}");
            assert_eq!(found_kind, kind, "{lie:?}");
            assert_eq!(found_digest, if claim == Claim::Right { set.index.digest.clone() } else { digest(&bytes) });
            if let Lie::Reformatted(_) = lie {
                let same = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
                assert_eq!(same(&bytes), same(&set.index.bytes));
            }
        }
        assert_eq!(registry.manifest("x", "v1"), Some(set.index.bytes.clone()), "the truth");
        let by_digest = client.manifest("GET", "x", &set.index.digest, OCI_INDEX);
        assert_eq!(by_digest.body, set.index.bytes, "a lie is about one place");
    }
}

#[test]
fn what_was_there_before_stays_for_a_while() {
    let set = sparse(Format::Oci);
    for before in [None, Some(OTHER)] {
        for reads in [Some(4), None] {
            let (registry, client) = start(Behaviour::default());
            if let Some(before) = before {
                registry.set_tag("x", "v1", before, OCI_INDEX);
            }
            registry.lie("x", "v1", Lie::Stale(reads));
            assert_eq!(client.put_manifest("x", "v1", &set.index).status, 201);
            assert_eq!(client.put_manifest("x", "v1", &set.index).status, 201, "trying again is no help");
            let stale = before.ok_or(404).map(|bytes| (bytes.to_vec(), OCI_INDEX.to_owned(), digest(bytes)));
            // Each of these is a GET and a HEAD.
            for _ in 0..2 {
                assert_eq!(read(&client), stale);
            }
            let fresh = Ok((set.index.bytes.clone(), OCI_INDEX.to_owned(), set.index.digest.clone()));
            assert_eq!(read(&client), if reads.is_some() { fresh } else { stale });
        }
    }
}

#[test]
fn something_happens_after_the_put() {
    let set = sparse(Format::Oci);
    let (registry, client) = start(Behaviour::default());
    registry.put(&set.repository);
    let layer = &set.kept.layers[0].digest;
    registry.lie("x", &set.kept.manifest.digest, Lie::LosesBlob(layer.clone()));
    registry.lie("x", "v1", Lie::Overtaken(OTHER.to_vec(), OCI_INDEX));
    assert_eq!(client.put_manifest("x", &set.missing.manifest.digest, &set.kept.manifest).status, 400);
    assert!(registry.has_blob("x", layer), "a refused PUT is followed by nothing");
    assert_eq!(client.put_manifest("x", &set.kept.manifest.digest, &set.kept.manifest).status, 201);
    assert!(!registry.has_blob("x", layer));
    assert_eq!(client.manifest("GET", "x", &set.kept.manifest.digest, OCI_MANIFEST).status, 200);
    let taken = client.put_manifest("x", "v1", &set.index);
    assert_eq!(taken.header("docker-content-digest"), set.index.digest);
    assert_eq!(registry.tags("x").get("v1"), Some(&digest(OTHER)));
    assert_eq!(client.put_manifest("x", "v1", &set.index).status, 201);
    assert_eq!(registry.tags("x").get("v1"), Some(&set.index.digest), "once only");
}

#[test]
fn an_absent_instance_has_bytes_of_another() {
    let set = sparse(Format::Oci);
    let (registry, client) = start(Behaviour::default());
    let (missing, kept) = (&set.missing.manifest, &set.kept.manifest);
    for claim in [Claim::Served, Claim::Right] {
        registry.lie_at_once("x", &missing.digest, Lie::Bytes(kept.bytes.clone(), OCI_MANIFEST, claim));
        let found = client.manifest("GET", "x", &missing.digest, OCI_MANIFEST);
        assert_eq!((found.status, &found.body), (200, &kept.bytes));
        let right = if claim == Claim::Right { missing } else { kept };
        assert_eq!(found.header("docker-content-digest"), right.digest);
    }
    registry.lie_at_once("x", "v1", Lie::Overtaken(OTHER.to_vec(), OCI_INDEX));
    assert_eq!(client.manifest("GET", "x", "v1", OCI_INDEX).body, OTHER);
}

#[test]
fn head_tells_another_size_of_a_blob_or_none() {
    let set = sparse(Format::Oci);
    let (registry, client) = start(Behaviour::default());
    registry.put(&set.repository);
    let blob = &set.kept.config;
    let path = format!("/v2/x/blobs/{}", blob.digest);
    for size in [Some(3), None] {
        registry.lie("x", &blob.digest, Lie::Size(size));
        let head = client.ask("HEAD", &path, &[], b"");
        assert_eq!((head.status, head.header("content-length")), (200, size.map_or("", |_| "3")));
        assert_eq!(head.header("transfer-encoding"), "");
        assert_eq!(client.ask("GET", &path, &[], b"").body, blob.bytes);
    }
}
