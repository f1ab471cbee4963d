//! `sigstoreSigned`: the keys and authorities of a requirement, and one signature judged by them. The
//! order of the steps is that of containers/image, which decides what reason is given.

use super::Candidate;
use super::certificates::{self, Authorities};
use super::identity;
use super::keys::PublicKey;
use super::payload::Payload;
use super::reason::{Reason, RekorReason};
use super::rekor;
use crate::model::signature::{MAX_SIGNATURE_SIZE, SIGNATURE_ANNOTATION, Sigstore};
use crate::trust::requirement::{Fulcio, Identity, Keys, Pki, Root as Roots, SigstoreSigned};
use crate::trust::strict::base64;
use std::time::SystemTime;

/// The record of a transparency log.
const SET_ANNOTATION: &str = "dev.sigstore.cosign/bundle";
/// The signer's certificate.
const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";
/// Those between it and an authority, and the authority last.
const CHAIN_ANNOTATION: &str = "dev.sigstore.cosign/chain";

/// Reads a file of the device.
type Files<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, String>;

/// What a requirement trusts, read and ready.
pub struct Root<'a> {
    signer: Signer<'a>,
    rekor: Option<Vec<PublicKey>>,
}

enum Signer<'a> {
    /// Each with what it is called.
    Keys(Vec<(String, PublicKey)>),
    Fulcio(&'a Fulcio, Authorities),
    Pki(&'a Pki, Authorities),
}

/// How many keys one signature is tried with at most.
pub fn tries(signed: &SigstoreSigned) -> usize {
    let count = |keys: &Keys| match keys {
        Keys::Paths(paths) => paths.len(),
        Keys::Data(datas) => datas.len(),
    };
    let keys = if let Roots::Keys(keys) = &signed.root { count(keys) } else { 1 };
    keys.saturating_mul(signed.rekor.as_ref().map_or(1, |keys| count(keys) + 1))
}

impl<'a> Root<'a> {
    /// Reads the keys of a requirement. One that cannot be read is enough for runtimes to give up.
    pub fn load(signed: &'a SigstoreSigned, files: Files<'_>) -> Result<Self, Reason> {
        let signer = match &signed.root {
            Roots::Keys(keys) => Signer::Keys(public_keys(keys, "key", files)?),
            Roots::Fulcio(fulcio) => {
                let what = "Fulcio authority";
                Signer::Fulcio(fulcio, authorities(&fulcio.ca, None, what, files)?)
            }
            Roots::Pki(pki) => {
                let intermediates = pki.ca_intermediates.as_ref();
                Signer::Pki(pki, authorities(&pki.ca_roots, intermediates, "root certificate", files)?)
            }
        };
        let rekor = signed.rekor.as_ref().map(|keys| rekor_keys(keys, files)).transpose()?;
        Ok(Self { signer, rekor })
    }

    /// Judges one signature: who made it.
    pub fn judge(
        &self,
        sigstore: &Sigstore,
        candidate: &Candidate<'_>,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<String, Reason> {
        if sigstore.payload.len() as u64 > MAX_SIGNATURE_SIZE {
            return Err(Reason::PayloadSize);
        }
        let text = annotation(sigstore, SIGNATURE_ANNOTATION)?;
        let by = match &self.signer {
            Signer::Keys(keys) => self.by_key(keys, sigstore, text)?,
            Signer::Fulcio(fulcio, authorities) => {
                let set = annotation(sigstore, SET_ANNOTATION)?;
                let certificate = annotation(sigstore, CERTIFICATE_ANNOTATION)?;
                let rekor = self.rekor.as_deref().unwrap_or_default();
                let record = rekor::Record { key: pem_of(certificate)?, signature: text, payload: &sigstore.payload };
                let time = rekor::verify(rekor, set, &record).map_err(Reason::Rekor)?;
                let chain = sigstore.annotations.get(CHAIN_ANNOTATION).map_or("", String::as_str);
                let key = certificates::of_fulcio(authorities, fulcio, certificate, chain, time);
                made_by(&key.map_err(Reason::Certificate)?, "the key of its certificate", sigstore, text)?;
                format!("{}, vouched for by {}", fulcio.subject_email, fulcio.oidc_issuer)
            }
            Signer::Pki(pki, authorities) => {
                let certificate = annotation(sigstore, CERTIFICATE_ANNOTATION)?;
                let chain = sigstore.annotations.get(CHAIN_ANNOTATION).map_or("", String::as_str);
                let key = certificates::of_pki(authorities, pki, certificate, chain, now);
                made_by(&key.map_err(Reason::Certificate)?, "the key of its certificate", sigstore, text)?;
                let subjects: Vec<&str> =
                    [&pki.subject_email, &pki.subject_hostname].into_iter().flatten().map(String::as_str).collect();
                format!("{}, by certificate", subjects.join(" and "))
            }
        };
        let payload = Payload::parse(&sigstore.payload)?;
        let wanted = candidate.manifest.to_string();
        if payload.digest != wanted {
            return Err(Reason::Digest { signed: payload.digest, wanted });
        }
        identity::check(identity, candidate.name, &payload.reference)?;
        Ok(by)
    }

    /// Which of the keys made the signature, and, if asked for, had it recorded.
    fn by_key(&self, keys: &[(String, PublicKey)], sigstore: &Sigstore, text: &str) -> Result<String, Reason> {
        let recorded = match &self.rekor {
            None => keys,
            Some(rekor) => {
                let set = annotation(sigstore, SET_ANNOTATION)?;
                let verify = |key: &PublicKey| {
                    let record = rekor::Record { key: key.der.clone(), signature: text, payload: &sigstore.payload };
                    rekor::verify(rekor, set, &record)
                };
                let mut failure = None;
                // Of several keys all but one are others than the one that was recorded.
                let is_news = |failure: &Option<_>| matches!(failure, None | Some(RekorReason::OtherKey));
                let found = keys.iter().find(|(_, key)| match verify(key) {
                    Ok(_) => true,
                    Err(e) => {
                        if is_news(&failure) {
                            failure = Some(e);
                        }
                        false
                    }
                });
                match (found, failure) {
                    (Some(key), _) => std::slice::from_ref(key),
                    (None, Some(e)) => return Err(Reason::Rekor(e)),
                    (None, None) => &[],
                }
            }
        };
        let signature = base64(text).ok_or(Reason::SignatureBase64)?;
        let by = recorded.iter().find(|(_, key)| key.verifies(&sigstore.payload, &signature));
        let name = |(name, key): &(String, PublicKey)| format!("{name} (sha256 {})", key.short());
        by.map(name).ok_or_else(|| {
            Reason::WrongKey(match keys {
                [only] => name(only),
                keys => format!("any of the policy's {} keys", keys.len()),
            })
        })
    }
}

fn made_by(key: &PublicKey, name: &str, sigstore: &Sigstore, text: &str) -> Result<(), Reason> {
    let signature = base64(text).ok_or(Reason::SignatureBase64)?;
    let is_good = key.verifies(&sigstore.payload, &signature);
    if is_good { Ok(()) } else { Err(Reason::WrongKey(name.to_owned())) }
}

fn annotation<'s>(sigstore: &'s Sigstore, key: &'static str) -> Result<&'s str, Reason> {
    sigstore.annotations.get(key).map(String::as_str).ok_or(Reason::AnnotationMissing(key))
}

/// The certificate as a log records it.
fn pem_of(certificate: &str) -> Result<Vec<u8>, Reason> {
    rekor::only_block(certificate).map_err(|e| Reason::Certificate(super::CertificateReason::Unreadable(e)))
}

fn public_keys(keys: &Keys, what: &str, files: Files<'_>) -> Result<Vec<(String, PublicKey)>, Reason> {
    let read = |(name, bytes): (String, Vec<u8>)| match PublicKey::from_pem(&bytes) {
        Ok(key) => Ok((name, key)),
        Err(cause) => Err(Reason::Key { what: name, cause }),
    };
    load(keys, what, files)?.into_iter().map(read).collect()
}

fn rekor_keys(keys: &Keys, files: Files<'_>) -> Result<Vec<PublicKey>, Reason> {
    let is_usable = |(name, key): (String, PublicKey)| {
        let cause = || "a key of a transparency log must be for ECDSA".to_owned();
        if key.is_ecdsa { Ok(key) } else { Err(Reason::Key { what: name, cause: cause() }) }
    };
    public_keys(keys, "Rekor key", files)?.into_iter().map(is_usable).collect()
}

fn authorities(roots: &Keys, between: Option<&Keys>, what: &str, files: Files<'_>) -> Result<Authorities, Reason> {
    let mut authorities = Authorities::default();
    for (what, bytes) in load(roots, what, files)? {
        authorities.add_roots(&bytes).map_err(|cause| Reason::Key { what, cause })?;
    }
    for (what, bytes) in between.map_or(Ok(Vec::new()), |keys| load(keys, "intermediate certificate", files))? {
        authorities.add_intermediates(&bytes).map_err(|cause| Reason::Key { what, cause })?;
    }
    Ok(authorities)
}

/// The bytes of keys, each with what it is called.
fn load(keys: &Keys, what: &str, files: Files<'_>) -> Result<Vec<(String, Vec<u8>)>, Reason> {
    match keys {
        Keys::Data(datas) => {
            let number = |at| if datas.len() > 1 { format!("{what} {}", at + 1) } else { what.to_owned() };
            Ok(datas.iter().enumerate().map(|(at, data)| (number(at), data.clone())).collect())
        }
        Keys::Paths(paths) => {
            let read = |path: &String| match files(path) {
                Ok(bytes) => Ok((format!("{what} {path}"), bytes)),
                Err(cause) => Err(Reason::File { path: path.clone(), cause }),
            };
            paths.iter().map(read).collect()
        }
    }
}
