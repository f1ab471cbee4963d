//! Bundles, as cosign 3 refers them to an image: manifests with a `subject`. On registries that do not
//! list referrers an index on the tag `sha256-<hex>` does.

use super::key::Key;
use crate::support::fixture::{Blob, Entry, Format, Index, Instance, OCI_MANIFEST, Platform, Repository};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// The type of a bundle, and of the manifest that carries it.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A bundle that signs a manifest, in the manifest that refers it.
pub fn bundle(key: &Key, subject: &Blob) -> Instance {
    let predicate = "https://sigstore.dev/cosign/sign/v1";
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": subject.hex() } }],
        "predicateType": predicate,
        "predicate": {},
    })
    .to_string();
    let kind = "application/vnd.in-toto+json";
    let signed = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
    let bundle = json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": "a key of a test" } },
        "dsseEnvelope": {
            "payload": STANDARD.encode(&statement),
            "payloadType": kind,
            "signatures": [{ "sig": STANDARD.encode(key.sign(signed.as_bytes())) }],
        },
    });
    let layer = Blob::new(BUNDLE, bundle.to_string().into_bytes());
    let config = Blob::new("application/vnd.oci.empty.v1+json", b"{}".to_vec());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": BUNDLE,
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
        "subject": subject.descriptor(),
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": predicate,
        },
    });
    let manifest = Blob::new(OCI_MANIFEST, manifest.to_string().into_bytes());
    Instance { manifest, config, layers: vec![layer], platform: Platform::new("unknown/unknown") }
}

/// The tag under which an index lists what refers to a manifest.
pub fn fallback_tag(subject: &Blob) -> String {
    format!("sha256-{}", subject.hex())
}

/// Adds referrers of a manifest to its repository, with the index on the fallback tag.
pub fn refer(repository: Repository, subject: &Blob, referrers: &[Instance]) -> Repository {
    let entries = referrers.iter().map(|referrer| {
        // As cosign writes it: the type of the artifact is that of the config.
        Entry::nameless(&referrer.manifest).field("artifactType", json!(referrer.config.media_type))
    });
    let index = entries.fold(Index::new(Format::Oci), Index::entry).build();
    repository.instances(referrers).index(&index).tag(&fallback_tag(subject), &index)
}
