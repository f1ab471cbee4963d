//! Judging: views that were judged by containers/image, and signatures that are made here.

mod certificates;
mod rekor;
mod signed;
mod views;

use super::*;
use crate::model::signature::SIGNATURE_ANNOTATION;
use crate::trust::Policy;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::PublicKeyData as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

/// 2026-01-01, in seconds since 1970.
const NOW: u64 = 1_767_225_600;

/// A file that is committed.
fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/signatures").join(path)
}

/// The requirements of a policy's default.
fn requirements(json: &str) -> Vec<Requirement> {
    let policy = Policy::parse(format!(r#"{{"default":[{json}]}}"#).as_bytes()).unwrap();
    policy.requirements("none", &[]).0.to_vec()
}

/// Keys stand among the committed files.
fn means() -> Means<'static> {
    let files = &|path: &str| fs::read(data(path.trim_start_matches('/'))).map_err(|_| "it is not there".to_owned());
    Means { files, now: UNIX_EPOCH + Duration::from_secs(NOW), gpg: None }
}

/// What a device says to signatures of a manifest.
fn judged(policy: &str, name: Option<&str>, manifest: &Digest, signatures: &[Sigstore]) -> Verdict {
    let name = name.map(|text| text.parse::<Reference>().unwrap());
    let signatures: Vec<_> = signatures.iter().cloned().map(|sigstore| Ok(Signature::Sigstore(sigstore))).collect();
    let candidate = Candidate { name: name.as_ref(), manifest, signatures: &signatures };
    judge(&requirements(policy), &candidate, &means())
}

/// `accept`, or the reason.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted(_) => "accept".to_owned(),
        Verdict::Rejected(rejection) => rejection.reason.to_string(),
        Verdict::CouldNotCheck(cause) => format!("? {cause}"),
    }
}

/// A key that signs.
struct Signer {
    pair: EcdsaKeyPair,
    key: rcgen::KeyPair,
}

impl Signer {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.serialized_der()).unwrap();
        Self { pair, key }
    }

    fn pem(&self) -> String {
        let der = STANDARD.encode(self.key.subject_public_key_info());
        format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n")
    }

    /// Its PEM as policies hold it.
    fn data(&self) -> String {
        STANDARD.encode(self.pem())
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// A signature of a payload.
    fn signature(&self, payload: &[u8]) -> Sigstore {
        let annotations = [(SIGNATURE_ANNOTATION.to_owned(), STANDARD.encode(self.sign(payload)))];
        Sigstore { mime_type: PAYLOAD_TYPE.to_owned(), payload: payload.to_vec(), annotations: annotations.into() }
    }
}

/// A payload as cosign writes it.
fn payload(reference: &str, digest: &Digest) -> Vec<u8> {
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"{reference}"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
    )
    .into_bytes()
}
