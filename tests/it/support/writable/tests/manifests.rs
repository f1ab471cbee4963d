//! Manifests: which are taken, who gets them, and what refers to them.

use super::{Behaviour, sparse, start};
use crate::support::fixture::{
    Blob, DOCKER_LIST, DOCKER_MANIFEST, Format, Image, OCI_INDEX, OCI_MANIFEST, Repository, digest,
};
use serde_json::{Value, json};

#[test]
fn an_image_needs_its_blobs() {
    for format in [Format::Docker, Format::Oci] {
        let (registry, client) = start(Behaviour::default());
        let set = sparse(format);
        let manifest = &set.kept.manifest;
        let refused = client.put_manifest("x", "v1", manifest);
        let digests = [&set.kept.config.digest, &set.kept.layers[0].digest];
        let errors = digests.map(|digest| ("MANIFEST_BLOB_UNKNOWN".to_owned(), json!(digest)));
        assert_eq!(refused.errors(), (400, errors.to_vec()));
        for blob in set.kept.layers.iter().chain([&set.kept.config]) {
            assert_eq!(client.put_blob("x", &blob.bytes, &blob.digest).status, 201);
        }
        let other = client.put_manifest("x", &set.missing.manifest.digest, manifest);
        assert_eq!(other.error(), (400, "DIGEST_INVALID".into()));
        assert_eq!(registry.manifest("x", &manifest.digest), None);
        for at in ["v1", &manifest.digest] {
            let taken = client.put_manifest("x", at, manifest);
            assert_eq!((taken.status, taken.header("docker-content-digest")), (201, manifest.digest.as_str()));
            assert!(taken.header("location").ends_with(&format!("/v2/x/manifests/{}", manifest.digest)));
            assert_eq!(registry.manifest("x", at), Some(manifest.bytes.clone()));
        }
        assert_eq!(registry.tags("x").get("v1"), Some(&manifest.digest));
        assert!(registry.tags("y").is_empty());
    }
}

#[test]
fn a_layer_that_is_always_elsewhere_is_not_needed() {
    let (registry, client) = start(Behaviour::default());
    let image = Image::new("windows/amd64").build();
    registry.put(&Repository { blobs: vec![image.config.clone()], ..Repository::new("x") });
    let mut manifest: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    manifest["layers"] = json!([{
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": digest(b"far"), "size": 3,
    }]);
    let manifest = Blob::new(OCI_MANIFEST, manifest.to_string().into_bytes());
    assert_eq!(client.put_manifest("x", "v1", &manifest).status, 201);
}

#[test]
fn what_is_no_manifest_is_refused() {
    let (_registry, client) = start(Behaviour { max_manifest: 100, ..Behaviour::default() });
    for (media_type, text, status) in [
        ("text/plain", "{}", 400),
        (OCI_INDEX, "[]", 400),
        (OCI_INDEX, "{", 400),
        (OCI_INDEX, &format!(r#"{{"mediaType":"{DOCKER_LIST}"}}"#), 400),
        (OCI_INDEX, &format!(r#"{{"manifests":[]{}}}"#, " ".repeat(100)), 413),
        (OCI_INDEX, r#"{"manifests":[]}"#, 201),
    ] {
        let answer = client.put_manifest("x", "v1", &Blob::new(media_type, text.as_bytes().to_vec()));
        assert_eq!(answer.status, status, "{media_type} {text}");
        assert_eq!(answer.error().1, if status == 201 { "" } else { "MANIFEST_INVALID" });
    }
}

#[test]
fn a_manifest_is_for_those_who_name_its_type() {
    let (registry, client) = start(Behaviour::default());
    for format in [Format::Docker, Format::Oci] {
        let set = sparse(format);
        registry.put(&set.repository.clone().index(&set.index).tag("v1", &set.index));
        let by_digest = set.index.digest.as_str();
        let all = format!("{OCI_MANIFEST}, {DOCKER_MANIFEST};q=0.5,{OCI_INDEX} ,{DOCKER_LIST}");
        // Only behind a tag are the types of Docker converted.
        let unnamed = if format == Format::Docker { 200 } else { 404 };
        for (at, accept, status) in [
            ("v1", all.as_str(), 200),
            ("v1", set.index.media_type.as_str(), 200),
            ("v1", "", 404),
            ("v1", "*/*", 404),
            ("v1", set.kept.manifest.media_type.as_str(), 404),
            (by_digest, all.as_str(), 200),
            (by_digest, "", unnamed),
            ("v2", all.as_str(), 404),
            (set.missing.manifest.digest.as_str(), all.as_str(), 404),
        ] {
            let answer = client.manifest("GET", "x", at, accept);
            let head = client.manifest("HEAD", "x", at, accept);
            assert_eq!((answer.status, head.status), (status, status), "{format:?} {at} {accept}");
            assert!(head.body.is_empty());
            if status == 404 {
                assert_eq!(answer.error(), (404, "MANIFEST_UNKNOWN".into()));
                continue;
            }
            assert_eq!(answer.body, set.index.bytes);
            for reply in [&answer, &head] {
                assert_eq!(reply.header("content-type"), set.index.media_type);
                assert_eq!(reply.header("docker-content-digest"), by_digest);
                assert_eq!(reply.header("content-length"), set.index.bytes.len().to_string());
            }
        }
    }
    assert_eq!(client.manifest("DELETE", "x", "v1", "").error(), (405, "UNSUPPORTED".into()));
    assert_eq!(client.ask("GET", "/v2/x/tags/list", &[], b"").status, 404);
}

#[test]
fn another_writer_takes_the_tag() {
    let (registry, client) = start(Behaviour::default());
    registry.set_tag("x", "v1", b"{}", OCI_INDEX);
    registry.set_tag("x", "v1", b"{ }", OCI_INDEX);
    assert_eq!(client.manifest("GET", "x", "v1", OCI_INDEX).body, b"{ }");
    assert_eq!(client.manifest("GET", "x", &digest(b"{}"), OCI_INDEX).body, b"{}");
}

#[test]
fn referrers_are_listed_or_not() {
    let set = sparse(Format::Oci);
    let subject = set.index.digest.as_str();
    let kinds = [json!("application/x-signature"), Value::Null];
    let signatures = kinds.clone().map(|kind| {
        let image = Image::new("unknown/unknown").field("subject", set.index.descriptor());
        image.field("artifactType", kind).field("annotations", json!({ "a": "b" })).build()
    });
    for (referrers, status, header) in [(true, 200, subject), (false, 404, "")] {
        let (registry, client) = start(Behaviour { referrers, ..Behaviour::default() });
        registry.put(&Repository { blobs: vec![signatures[0].config.clone()], ..Repository::new("x") });
        for signature in &signatures {
            let taken = client.put_manifest("x", &signature.manifest.digest, &signature.manifest);
            assert_eq!((taken.status, taken.header("oci-subject")), (201, header));
        }
        let list = client.ask("GET", &format!("/v2/x/referrers/{subject}"), &[], b"");
        assert_eq!(list.status, status);
        if !referrers {
            continue;
        }
        assert_eq!(list.header("content-type"), OCI_INDEX);
        let list: Value = serde_json::from_slice(&list.body).unwrap();
        // What names no type is of the type of its config.
        for (signature, kind) in signatures.iter().zip([&kinds[0], &json!(signatures[1].config.media_type)]) {
            let mut descriptor = signature.manifest.descriptor();
            descriptor["artifactType"] = kind.clone();
            descriptor["annotations"] = json!({ "a": "b" });
            assert!(list["manifests"].as_array().unwrap().contains(&descriptor), "{list} {descriptor}");
        }
        let none = client.ask("GET", &format!("/v2/x/referrers/{}", digest(b"")), &[], b"");
        assert!(String::from_utf8_lossy(&none.body).contains(r#""manifests":[]"#));
    }
}
