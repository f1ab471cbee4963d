//! In what registries differ: sparse indexes, and what Quay does.

use super::super::Sparse;
use super::{Behaviour, instance, sparse, start};
use crate::support::fixture::{DOCKER_LIST, Entry, Format, Image, Index, OCI_INDEX};
use serde_json::{Value, json};

#[test]
fn a_sparse_index_is_taken_or_refused_as_each_registry_does() {
    let set = sparse(Format::Oci);
    let missing = set.missing.manifest.digest.as_str();
    let list = |platforms: &[&str]| Sparse::List(platforms.iter().map(|platform| (*platform).to_owned()).collect());
    let unknown = Some(("MANIFEST_BLOB_UNKNOWN", json!(missing)));
    let message = format!("Could not find child manifest with digest `{missing}`");
    let not_found = Some(("MANIFEST_INVALID", json!({ "message": message })));
    for (sparse, error, header) in [
        (Sparse::Accept, None, ""),
        (Sparse::Refuse, unknown.clone(), ""),
        (Sparse::RefuseVaguely, Some(("MANIFEST_INVALID", json!({}))), ""),
        (list(&["linux/amd64"]), None, ""),
        (list(&["linux/amd64", "linux/arm64"]), unknown, ""),
        (Sparse::Quay(None), not_found.clone(), ""),
        (Sparse::Quay(Some(false)), not_found, "false"),
        (Sparse::Quay(Some(true)), None, "true"),
    ] {
        let (registry, client) = start(Behaviour { sparse: sparse.clone(), ..Behaviour::default() });
        assert_eq!(client.ask("GET", "/v2/", &[], b"").header("x-sparse-manifest-support"), header);
        registry.put(&set.repository);
        let answer = client.put_manifest("x", "v1", &set.index);
        let status = if error.is_some() { 400 } else { 201 };
        let errors: Vec<(String, Value)> = error.into_iter().map(|(code, detail)| (code.to_owned(), detail)).collect();
        assert_eq!(answer.errors(), (status, errors), "{sparse:?}");
        assert_eq!(registry.tags("x").is_empty(), status == 400, "{sparse:?}");
        registry.put(&set.repository.clone().instances([&set.missing]));
        assert_eq!(client.put_manifest("x", "v1", &set.index).status, 201, "{sparse:?}, with all instances");
    }
}

#[test]
fn each_missing_instance_is_an_error() {
    let set = sparse(Format::Docker);
    let (_registry, client) = start(Behaviour { sparse: Sparse::Refuse, ..Behaviour::default() });
    let digests = [&set.kept, &set.missing].map(|instance| json!(instance.manifest.digest));
    let errors = digests.map(|digest| ("MANIFEST_BLOB_UNKNOWN".to_owned(), digest));
    assert_eq!(client.put_manifest("x", "v1", &set.index).errors(), (400, errors.to_vec()));
}

#[test]
fn quay_refuses_lists_of_oci_manifests() {
    let child = instance("linux/amd64", Format::Oci);
    for (quay, format, error) in [
        (true, Format::Docker, (400, "MANIFEST_INVALID")),
        (true, Format::Oci, (201, "")),
        (false, Format::Docker, (201, "")),
    ] {
        let (_registry, client) = start(Behaviour { quay, ..Behaviour::default() });
        let index = Index::new(format).entry(Entry::new(&child)).build();
        assert_eq!(client.put_manifest("x", "v1", &index).error(), (error.0, error.1.to_owned()), "{quay} {format:?}");
    }
    let (registry, client) = start(Behaviour { quay: true, ..Behaviour::default() });
    let set = sparse(Format::Docker);
    registry.put(&set.repository);
    assert_eq!(client.put_manifest("x", "v1", &set.index).status, 201);
    assert_eq!(client.manifest("HEAD", "x", "v1", DOCKER_LIST).status, 200);
}

#[test]
fn quay_forgets_what_no_tag_reaches() {
    let set = sparse(Format::Oci);
    let lonely = instance("linux/s390x", Format::Oci);
    let referrer = |subject: &Value| Image::new("unknown/unknown").field("subject", subject.clone()).build();
    let signature = referrer(&set.index.descriptor());
    let of_signature = referrer(&signature.manifest.descriptor());
    let of_lonely = referrer(&lonely.manifest.descriptor());
    let repository = set.repository.instances([&lonely, &signature, &of_signature, &of_lonely]);
    let repository = repository.index(&set.index).tag("v1", &set.index);
    for quay in [true, false] {
        let (registry, _) = start(Behaviour { quay, ..Behaviour::default() });
        registry.put(&repository);
        registry.expire();
        for kept in [&set.index, &set.kept.manifest, &signature.manifest, &of_signature.manifest] {
            assert_eq!(registry.manifest("x", &kept.digest).as_ref(), Some(&kept.bytes));
        }
        for lost in [&lonely.manifest, &of_lonely.manifest] {
            assert_eq!(registry.manifest("x", &lost.digest).is_none(), quay);
        }
        for (blob, kept) in
            [(&set.kept.layers[0], true), (&set.kept.config, true), (&signature.config, true), (&lonely.config, !quay)]
        {
            assert_eq!(registry.has_blob("x", &blob.digest), kept);
        }
        registry.set_tag("x", "v1", b"{}", OCI_INDEX);
        registry.expire();
        assert_eq!(registry.manifest("x", &set.index.digest).is_none(), quay);
    }
}
