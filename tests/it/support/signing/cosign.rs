//! Signatures as cosign attaches them to images, up to version 2 and on request still in version 3.

use crate::support::fixture::{Blob, Instance, OCI_MANIFEST, Platform, Repository};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::certificate::Leaf;
use super::key::Key;
use super::rekor::Log;

const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const LOGGED: &str = "dev.sigstore.cosign/bundle";

/// A signature of a manifest. Tests may change every part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The type of the layer.
    pub media_type: String,
    /// What was signed.
    pub payload: Vec<u8>,
    /// The signature, and what proves who made it when.
    pub annotations: BTreeMap<String, String>,
}

impl Signature {
    /// Signs a manifest under a reference; cosign itself leaves tag and digest out of it.
    pub fn new(key: &Key, reference: &str, manifest: &Blob) -> Self {
        Self::of(key, payload(reference, &manifest.digest))
    }

    /// Signs any bytes.
    pub fn of(key: &Key, payload: Vec<u8>) -> Self {
        let signature = STANDARD.encode(key.sign(&payload));
        let annotations = BTreeMap::from([(SIGNATURE.to_owned(), signature)]);
        Self { media_type: PAYLOAD.to_owned(), payload, annotations }
    }

    /// Adds or replaces an annotation.
    #[must_use]
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds the certificate of the signer, with the authorities above it.
    #[must_use]
    pub fn certified(self, leaf: &Leaf) -> Self {
        self.annotation(CERTIFICATE, &leaf.pem).annotation(CHAIN, &leaf.chain)
    }

    /// Adds what a transparency log answers. `signer` is the public key or the certificate, PEM, `time` in
    /// seconds since 1970.
    #[must_use]
    pub fn logged(self, log: &Log, signer: &str, time: u64) -> Self {
        let entry = log.entry(self.base64(), &self.payload, signer, time);
        self.annotation(LOGGED, &entry)
    }

    /// The signature in base64.
    pub fn base64(&self) -> &str {
        self.annotations.get(SIGNATURE).map_or("", String::as_str)
    }

    /// The file `signature-N` of a view or a lookaside folder.
    pub fn file(&self) -> Vec<u8> {
        let json = json!({
            "mimeType": self.media_type,
            "payload": STANDARD.encode(&self.payload),
            "annotations": self.annotations,
        });
        [b"\0sigstore-json\n", json.to_string().as_bytes()].concat()
    }

    /// The layer of an attachment.
    fn blob(&self) -> Blob {
        Blob::new(&self.media_type, self.payload.clone())
    }
}

/// What cosign signs.
pub fn payload(reference: &str, digest: &str) -> Vec<u8> {
    let json = json!({
        "critical": {
            "identity": { "docker-reference": reference },
            "image": { "docker-manifest-digest": digest },
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    json.to_string().into_bytes()
}

/// The tag of a manifest's signatures.
pub fn tag(manifest: &Blob) -> String {
    format!("sha256-{}.sig", manifest.hex())
}

/// The image that carries signatures, a layer each.
pub fn attachment(signatures: &[Signature]) -> Instance {
    let layers: Vec<Blob> = signatures.iter().map(Signature::blob).collect();
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    // cosign knows no platform, and writes the fields of Go's structure as they are.
    let config = json!({
        "architecture": "", "created": "0001-01-01T00:00:00Z", "history": [{ "created": "0001-01-01T00:00:00Z" }],
        "os": "", "rootfs": { "type": "layers", "diff_ids": diff_ids }, "config": {},
    });
    let config = Blob::new("application/vnd.oci.image.config.v1+json", config.to_string().into_bytes());
    let descriptors = layers.iter().zip(signatures).map(|(layer, signature)| {
        let mut descriptor = layer.descriptor();
        descriptor["annotations"] = json!(signature.annotations);
        descriptor
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": descriptors.collect::<Vec<Value>>(),
    });
    let manifest = Blob::new(OCI_MANIFEST, manifest.to_string().into_bytes());
    Instance { manifest, config, layers, platform: Platform::new("unknown/unknown") }
}

/// Adds signatures of a manifest to its repository.
pub fn attach(repository: Repository, manifest: &Blob, signatures: &[Signature]) -> Repository {
    let attachment = attachment(signatures);
    repository.instances([&attachment]).tag(&tag(manifest), &attachment.manifest)
}
