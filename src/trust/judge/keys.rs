//! Public keys: read from PEM, and asked whether they made a signature. The hash is always SHA-256, as
//! in containers/image, whatever the size of the key.

use super::pem;
use crate::model::Digest;
use aws_lc_rs::signature::{self as algorithms, ParsedPublicKey, VerificationAlgorithm};
use x509_cert::der::asn1::{AnyRef, BitString, Null, ObjectIdentifier};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// A key.
#[derive(Debug)]
pub struct PublicKey {
    /// `SubjectPublicKeyInfo`.
    pub der: Vec<u8>,
    /// Whether it is for ECDSA, as keys of a transparency log must be.
    pub is_ecdsa: bool,
    key: ParsedPublicKey,
}

impl PublicKey {
    /// Reads the first block of PEM: `PUBLIC KEY` or `RSA PUBLIC KEY`.
    pub fn from_pem(bytes: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(bytes);
        let (block, _) = pem::next(&text).ok_or("it is no PEM")?;
        match block.label.as_str() {
            "PUBLIC KEY" => Self::from_der(&block.der),
            "RSA PUBLIC KEY" => {
                let parameters = Some(AnyRef::from(Null).into());
                let algorithm = AlgorithmIdentifierOwned { oid: RSA, parameters };
                let subject_public_key = BitString::from_bytes(&block.der).map_err(|e| e.to_string())?;
                let info = SubjectPublicKeyInfoOwned { algorithm, subject_public_key };
                Self::from_der(&info.to_der().map_err(|e| e.to_string())?)
            }
            label => Err(format!("it is PEM of a `{}`, not of a `PUBLIC KEY`", label.escape_debug())),
        }
    }

    /// Reads a `SubjectPublicKeyInfo`.
    pub fn from_der(der: &[u8]) -> Result<Self, String> {
        let broken = || "it is no public key".to_owned();
        let info = SubjectPublicKeyInfoOwned::from_der(der).map_err(|_| broken())?;
        let curve = info.algorithm.parameters.as_ref().and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
        let algorithm: &'static dyn VerificationAlgorithm = match (info.algorithm.oid, curve) {
            (RSA, _) => &algorithms::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            (ED25519, _) => &algorithms::ED25519,
            (EC, Some(P256)) => &algorithms::ECDSA_P256_SHA256_ASN1,
            (EC, Some(P384)) => &algorithms::ECDSA_P384_SHA256_ASN1,
            (EC, Some(P521)) => &algorithms::ECDSA_P521_SHA256_ASN1,
            (EC, _) => return Err("its elliptic curve is none of P-256, P-384 and P-521".to_owned()),
            (other, _) => return Err(format!("keys of the kind {other} are not supported")),
        };
        let key = info.subject_public_key.as_bytes().ok_or_else(broken)?;
        // Go knows points in full only.
        if info.algorithm.oid == EC && key.first() != Some(&0x04) {
            return Err("its elliptic curve point is compressed, which runtimes do not read".to_owned());
        }
        let key = ParsedPublicKey::new(algorithm, key).map_err(|_| broken())?;
        Ok(Self { der: der.to_vec(), is_ecdsa: info.algorithm.oid == EC, key })
    }

    /// Whether the key made the signature of the message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    /// Its first digits, as `openssl pkey -pubin -outform DER | sha256sum` prints them.
    pub fn short(&self) -> String {
        Digest::of(&self.der).short().to_owned()
    }
}
