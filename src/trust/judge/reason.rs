//! Why a requirement is not fulfilled, in one sentence a cause, and what the user can do.

use crate::model::SignatureError;

/// Why a signature, or an image without one, does not fulfil a requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// `reject`.
    #[error("the policy rejects every image here")]
    Reject,
    /// A requirement that no runtime has implemented.
    #[error("no runtime can check {0}")]
    Unimplemented(&'static str),
    /// No requirement at all.
    #[error("the policy has an empty list of requirements here")]
    NoRequirement,
    /// Nothing to look at.
    #[error("a signature is required, and there is none")]
    NoSignature,
    /// A file of which runtimes say that the whole image cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] SignatureError),
    /// An OpenPGP signature where a sigstore signature is required.
    #[error("it is an OpenPGP signature; a sigstore signature is required")]
    NotSigstore,
    /// A sigstore signature where an OpenPGP signature is required.
    #[error("it is a sigstore signature; an OpenPGP signature is required")]
    NotSimple,
    /// An attestation, a bundle, or something else of cosign's.
    #[error("it is a `{0}`, which is no signature of an image")]
    Attachment(String),
    /// More than runtimes read.
    #[error("its payload is larger than 4 MiB")]
    PayloadSize,
    /// Which rule the payload breaks.
    #[error("its payload is not what a runtime accepts: {0}")]
    Payload(String),
    /// Another manifest was signed.
    #[error("`{signed}` was signed, not `{wanted}`")]
    Digest {
        /// What was signed.
        signed: String,
        /// The manifest that is here.
        wanted: String,
    },
    /// Another name was signed.
    #[error("the name `{signed}` was signed; the policy wants {wanted}")]
    Identity {
        /// What was signed.
        signed: String,
        /// What would have been right.
        wanted: String,
    },
    /// A repository was signed, as cosign does by default, where tag or digest are asked for.
    #[error("the name `{signed}` was signed, without tag or digest; the policy wants one of both")]
    IdentityNameOnly {
        /// What was signed.
        signed: String,
    },
    /// What was signed is no name.
    #[error("the name `{}` was signed, which is no image reference", signed.escape_debug())]
    IdentityNoName {
        /// What was signed.
        signed: String,
    },
    /// A folder has no name that could be compared.
    #[error("the policy compares the name that the image is pulled by, and it has none here")]
    IdentityUnknown,
    /// The rule itself can never match.
    #[error("the policy's `signedIdentity` with `{0}` matches no name")]
    IdentityNoRule(String),
    /// An annotation is not there.
    #[error("its annotation `{0}` is missing")]
    AnnotationMissing(&'static str),
    /// The signature itself cannot be decoded.
    #[error("its annotation `dev.cosignproject.cosign/signature` is no base64")]
    SignatureBase64,
    /// A key or certificate that the policy names is not there.
    #[error("{path}, which the policy names, cannot be read: {cause}")]
    File {
        /// On the device.
        path: String,
        /// Why.
        cause: String,
    },
    /// What the policy gives as a key or certificate is none.
    #[error("the policy's {what} cannot be used: {cause}")]
    Key {
        /// `key`, `Rekor key`, `Fulcio authorities` …, and from where.
        what: String,
        /// Why.
        cause: String,
    },
    /// None of the keys made the signature.
    #[error("it was not made by {0}")]
    WrongKey(String),
    /// The record of the transparency log.
    #[error("its record of the transparency log {0}")]
    Rekor(RekorReason),
    /// The signer's certificate.
    #[error("its certificate {0}")]
    Certificate(CertificateReason),
    /// What checks OpenPGP signatures says.
    #[error("{0}")]
    Gpg(String),
}

/// What is wrong with a record of a transparency log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RekorReason {
    /// It is not what it should be.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// No key of the policy made it.
    #[error("is not signed by the policy's Rekor key")]
    Signature,
    /// It records another key or certificate.
    #[error("is for another key or certificate")]
    OtherKey,
    /// It records another signature.
    #[error("is for another signature")]
    OtherSignature,
    /// It records another payload.
    #[error("is for another payload")]
    OtherPayload,
}

/// What is wrong with the signer's certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateReason {
    /// It is none, or not one.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// One of those between it and the authority cannot be used.
    #[error("has a chain that cannot be read: {0}")]
    Chain(String),
    /// No authority of the policy vouches for it.
    #[error("leads to none of the policy's authorities: {0}")]
    Untrusted(String),
    /// At the time that counts: when it was recorded for Fulcio, now for others.
    #[error("was not valid at {0}")]
    Time(String),
    /// It is for something else.
    #[error("is not for signing code")]
    Usage,
    /// Fulcio's extension.
    #[error("does not say who vouched for the signer: {0}")]
    NoIssuer(String),
    /// Another one vouched for the signer.
    #[error("says that `{found}` vouched for the signer; the policy wants `{wanted}`")]
    Issuer {
        /// Who did.
        found: String,
        /// Who must.
        wanted: String,
    },
    /// It is another person's.
    #[error("is for {found}; the policy wants the e-mail address `{wanted}`")]
    Email {
        /// Whose it is.
        found: String,
        /// Whose it must be.
        wanted: String,
    },
    /// It is another host's.
    #[error("is for {found}; the policy wants the host name `{wanted}`")]
    Hostname {
        /// Whose it is.
        found: String,
        /// Whose it must be.
        wanted: String,
    },
}

impl Reason {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Reason::NoSignature => "sign the image of each platform, not only the index, or copy its signatures too; \
                                    without a signature the device refuses it"
                .to_owned(),
            Reason::IdentityNameOnly { signed } => format!(
                "set `signedIdentity` to `matchRepository` in the policy, or sign with \
                 `cosign sign --sign-container-identity {signed}:TAG`"
            ),
            Reason::Identity { .. } => "if the image is a copy of the one that was signed, set `signedIdentity` to \
                                        `remapIdentity` in the policy"
                .to_owned(),
            Reason::IdentityUnknown => {
                "for a `dir:` image set `signedIdentity` to `exactRepository` or `exactReference`".to_owned()
            }
            Reason::Digest { .. } => {
                "sign the manifest of the platform: a signature of the index is not looked at".to_owned()
            }
            Reason::File { path, .. } => format!("put {path} into the image, or correct the policy"),
            Reason::Attachment(_) => {
                "sign with `cosign sign --new-bundle-format=false`, or let cosign 2 sign: runtimes read only those"
                    .to_owned()
            }
            Reason::AnnotationMissing("dev.sigstore.cosign/bundle") => {
                "sign with `--tlog-upload`, or leave the Rekor key out of the policy".to_owned()
            }
            _ => return None,
        })
    }
}
