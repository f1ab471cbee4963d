//! Judges the signatures of a manifest as containers/image does: which requirement accepts which of
//! them, and why the others are not accepted.
//!
//! * `identity`: which name must have been signed.
//! * [`payload`]: what was signed.
//! * `sigstore`: `sigstoreSigned`, with `keys`, [`rekor`] and [`certificates`].
//!
//! Nothing here reads a file, looks at a clock or runs a program: [`Means`] does that. OpenPGP
//! signatures are judged by who implements [`Gpg`].

pub mod certificates;
mod hostname;
mod identity;
mod keys;
pub mod payload;
mod pem;
mod reason;
pub mod rekor;
mod sigstore;
#[cfg(test)]
mod tests;

pub use reason::{CertificateReason, Reason, RekorReason};

use super::requirement::{KeyType, Keys, Requirement, SignedBy};
use crate::model::signature::{PAYLOAD_TYPE, Signature, SignatureError, Sigstore};
use crate::model::{Digest, Reference};
use sigstore::Root;
use std::cell::Cell;

/// How many keys may be tried on signatures before nobody wants to wait any longer.
const MAX_TRIES: usize = 100_000;

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The name it is pulled by. `dir:` has none; there only `exactReference` and `exactRepository` can
    /// match. Of a name with tag and digest the digest counts, as for CRI-O.
    pub name: Option<&'a Reference>,
    /// Digest of the manifest whose signatures are judged: the instance's, never the index's.
    pub manifest: &'a Digest,
    /// `signature-1`, `signature-2` and so on: each as parsed, or why it cannot be read.
    pub signatures: &'a [Result<Signature, SignatureError>],
}

/// What judging may ask for.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// The bytes of a key or certificate that the policy names by its absolute path on the device.
    pub files: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
    /// When certificates of `pki` must be valid.
    pub now: std::time::SystemTime,
    /// Who checks OpenPGP signatures. Without anybody the verdict on them is that it could not be
    /// checked.
    pub gpg: Option<&'a dyn Gpg>,
}

/// Who checks OpenPGP signatures.
pub trait Gpg {
    /// The name that a simple signature claims to be for, which is not to be trusted, or why it cannot
    /// be read.
    fn claimed(&self, signature: &[u8]) -> Result<Result<String, String>, CouldNotCheck>;

    /// Whether a signature is by one of the keys, for this manifest and for exactly this name: by
    /// whom, or why not.
    fn verify(
        &self,
        signature: &[u8],
        keys: &Keys,
        manifest: &Digest,
        reference: &str,
    ) -> Result<Result<String, String>, CouldNotCheck>;
}

/// Why nobody knows what a device would say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CouldNotCheck(pub String);

/// What a device would say to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every requirement is fulfilled: by what, one entry a requirement.
    Accepted(Vec<Accepted>),
    /// A requirement is not fulfilled: the first.
    Rejected(Rejection),
    /// That is not known.
    CouldNotCheck(CouldNotCheck),
}

/// What fulfils a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The number of the signature, counted from 1; none for `insecureAcceptAnything`.
    pub signature: Option<usize>,
    /// Who made it, for example `key /etc/pki/x.pub (sha256 2e1d…)`.
    pub by: String,
}

/// A requirement that is not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{requirement}: {}{reason}", if let Some(n) = signature { format!("signature {n}: ") } else { String::new() })]
pub struct Rejection {
    /// Which, for example `` `sigstoreSigned` ``.
    pub requirement: String,
    /// The number of the signature that the reason is about, counted from 1; none if there was none.
    pub signature: Option<usize>,
    /// Why that one is not accepted: the one that came nearest.
    pub reason: Reason,
    /// Why the others are not, with their numbers.
    pub others: Vec<(usize, Reason)>,
}

impl Rejection {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        self.reason.hint()
    }
}

/// Why a requirement is not fulfilled, or that this is not known.
enum Failure {
    Rejected(Vec<(Option<usize>, Reason)>),
    CouldNotCheck(CouldNotCheck),
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Failure::Rejected(vec![(None, reason)])
    }
}

/// Judges an image by requirements, all of which must be fulfilled; within one any good signature will
/// do. What rejects the image for certain counts more than what could not be checked.
pub fn judge(requirements: &[Requirement], candidate: &Candidate<'_>, means: &Means<'_>) -> Verdict {
    let tries = Cell::new(0);
    let judging = Judging { candidate, means, tries: &tries };
    let (mut accepted, mut unknown) = (Vec::new(), None);
    for requirement in requirements {
        match judging.requirement(requirement) {
            Ok(by) => accepted.push(by),
            Err(Failure::CouldNotCheck(cause)) => unknown = unknown.or(Some(cause)),
            Err(Failure::Rejected(reasons)) => return Verdict::Rejected(rejection(name(requirement), reasons)),
        }
    }
    match unknown {
        Some(cause) => Verdict::CouldNotCheck(cause),
        None if requirements.is_empty() => {
            Verdict::Rejected(rejection("no requirement", vec![(None, Reason::NoRequirement)]))
        }
        None => Verdict::Accepted(accepted),
    }
}

fn name(requirement: &Requirement) -> &'static str {
    match requirement {
        Requirement::InsecureAcceptAnything => "`insecureAcceptAnything`",
        Requirement::Reject => "`reject`",
        Requirement::SignedBy(_) => "`signedBy`",
        Requirement::SignedBaseLayer(_) => "`signedBaseLayer`",
        Requirement::SigstoreSigned(_) => "`sigstoreSigned`",
    }
}

fn rejection(requirement: &str, mut reasons: Vec<(Option<usize>, Reason)>) -> Rejection {
    let nearest = reasons.iter().enumerate().max_by_key(|(at, (_, reason))| (nearness(reason), usize::MAX - at));
    let nearest = nearest.map_or(0, |(at, _)| at);
    let (signature, reason) = if reasons.is_empty() { (None, Reason::NoSignature) } else { reasons.remove(nearest) };
    let others = reasons.into_iter().filter_map(|(number, reason)| Some((number?, reason))).collect();
    Rejection { requirement: requirement.to_owned(), signature, reason, others }
}

/// How far a signature came: what is of another kind or by another key is not what the user wonders
/// about where one by the right key is there too.
fn nearness(reason: &Reason) -> u8 {
    match reason {
        Reason::NotSigstore | Reason::NotSimple | Reason::Attachment(_) => 0,
        Reason::WrongKey(_) | Reason::AnnotationMissing(_) | Reason::SignatureBase64 => 1,
        Reason::Payload(_) | Reason::Digest { .. } => 3,
        Reason::Identity { .. } | Reason::IdentityNoName { .. } => 4,
        Reason::IdentityNameOnly { .. } | Reason::IdentityUnknown => 5,
        Reason::Unreadable(_) => 6,
        _ => 2,
    }
}

struct Judging<'a> {
    candidate: &'a Candidate<'a>,
    means: &'a Means<'a>,
    tries: &'a Cell<usize>,
}

impl Judging<'_> {
    fn requirement(&self, requirement: &Requirement) -> Result<Accepted, Failure> {
        match requirement {
            Requirement::InsecureAcceptAnything => {
                Ok(Accepted { signature: None, by: "a policy that accepts anything".to_owned() })
            }
            Requirement::Reject => Err(Reason::Reject.into()),
            Requirement::SignedBaseLayer(_) => Err(Reason::Unimplemented("`signedBaseLayer`").into()),
            Requirement::SignedBy(signed) => {
                if signed.key_type != KeyType::GpgKeys {
                    return Err(Reason::Unimplemented("this `keyType`").into());
                }
                self.any(|signature| match signature {
                    Signature::Simple(bytes) => self.simple(signed, bytes),
                    Signature::Sigstore(_) => Err(Reason::NotSimple.into()),
                })
            }
            Requirement::SigstoreSigned(signed) => {
                // Only with a signature at hand do runtimes look at the keys.
                let mut root = None;
                self.any(|signature| {
                    let sigstore = attached(signature)?;
                    self.count(sigstore::tries(signed))?;
                    let root = root.get_or_insert_with(|| Root::load(signed, self.means.files));
                    let root = root.as_ref().map_err(Clone::clone)?;
                    let now = self.means.now;
                    Ok(root.judge(sigstore, self.candidate, &signed.identity, now)?)
                })
            }
        }
    }

    /// The first signature that is good, else what is wrong with each.
    fn any(&self, mut judge: impl FnMut(&Signature) -> Result<String, Failure>) -> Result<Accepted, Failure> {
        let numbered = || self.candidate.signatures.iter().enumerate().map(|(at, signature)| (at + 1, signature));
        // Where one cannot be read runtimes look at none.
        if let Some((number, error)) = numbered().find_map(|(number, found)| Some((number, found.as_ref().err()?))) {
            return Err(Failure::Rejected(vec![(Some(number), Reason::Unreadable(error.clone()))]));
        }
        let (mut reasons, mut unknown) = (Vec::new(), None);
        for (number, signature) in numbered() {
            let Ok(signature) = signature else { continue };
            match judge(signature) {
                Ok(by) => return Ok(Accepted { signature: Some(number), by }),
                Err(Failure::CouldNotCheck(cause)) => unknown = unknown.or(Some(cause)),
                Err(Failure::Rejected(why)) => {
                    reasons.extend(why.into_iter().map(|(_, reason)| (Some(number), reason)));
                }
            }
        }
        match unknown {
            Some(cause) => Err(Failure::CouldNotCheck(cause)),
            None if reasons.is_empty() => Err(Reason::NoSignature.into()),
            None => Err(Failure::Rejected(reasons)),
        }
    }

    fn simple(&self, signed: &SignedBy, signature: &[u8]) -> Result<String, Failure> {
        let Some(gpg) = self.means.gpg else {
            let cause = "nobody is there to check OpenPGP signatures, which `signedBy` asks for".to_owned();
            return Err(Failure::CouldNotCheck(CouldNotCheck(cause)));
        };
        let claimed = gpg.claimed(signature).map_err(Failure::CouldNotCheck)?.map_err(Reason::Gpg)?;
        identity::check(&signed.identity, self.candidate.name, &claimed)?;
        let verified = gpg.verify(signature, &signed.keys, self.candidate.manifest, &claimed);
        Ok(verified.map_err(Failure::CouldNotCheck)?.map_err(Reason::Gpg)?)
    }

    /// Counts keys that are about to be tried.
    fn count(&self, tries: usize) -> Result<(), Failure> {
        self.tries.set(self.tries.get().saturating_add(tries));
        if self.tries.get() <= MAX_TRIES {
            return Ok(());
        }
        let cause = format!("with these signatures and keys there would be more than {MAX_TRIES} to try");
        Err(Failure::CouldNotCheck(CouldNotCheck(cause)))
    }
}

/// A signature as cosign attaches it to an image; not another thing that it attaches.
fn attached(signature: &Signature) -> Result<&Sigstore, Reason> {
    match signature {
        Signature::Simple(_) => Err(Reason::NotSigstore),
        Signature::Sigstore(sigstore) if sigstore.mime_type != PAYLOAD_TYPE => {
            let kind: String = sigstore.mime_type.chars().take(100).collect();
            Err(Reason::Attachment(kind.escape_debug().to_string()))
        }
        Signature::Sigstore(sigstore) => Ok(sigstore),
    }
}
