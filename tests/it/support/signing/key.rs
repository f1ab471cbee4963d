//! Keys that sign, of every kind that runtimes accept.

use crate::support::command::{program, run};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempDir};

/// What a key is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ECDSA, as cosign makes keys.
    P256,
    /// ECDSA.
    P384,
    /// ECDSA.
    P521,
    /// The smallest RSA key that is accepted.
    Rsa2048,
    /// RSA as Red Hat has it. It takes a second to make.
    Rsa4096,
    /// Ed25519.
    Ed25519,
}

/// A pair of keys. The private one vanishes with this value.
pub struct Key {
    kind: Kind,
    directory: TempDir,
    public: String,
}

impl Key {
    /// Makes one.
    ///
    /// # Panics
    /// If openssl cannot.
    pub fn new(kind: Kind) -> Self {
        let directory = tempfile::tempdir().expect("make a folder for a key");
        let words: &[&str] = match kind {
            Kind::P256 => &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Kind::P384 => &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            Kind::P521 => &["EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
            Kind::Rsa2048 => &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            Kind::Rsa4096 => &["RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
            Kind::Ed25519 => &["ED25519"],
        };
        let home = directory.path();
        let private = home.join("private.pem");
        run(program("openssl", home).args(["genpkey", "-algorithm"]).args(words).arg("-out").arg(&private)).success();
        let public = run(program("openssl", home).args(["pkey", "-pubout", "-in"]).arg(&private)).success().text();
        Self { kind, directory, public }
    }

    /// The public key, PEM.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The public key as RSA keys once were written: `RSA PUBLIC KEY`.
    pub fn traditional(&self) -> String {
        let mut openssl = program("openssl", self.directory.path());
        run(openssl.args(["rsa", "-RSAPublicKey_out", "-in"]).arg(self.private())).success().text()
    }

    /// The public key of ECDSA with its point compressed.
    pub fn compressed(&self) -> String {
        let mut openssl = program("openssl", self.directory.path());
        openssl.args(["ec", "-pubout", "-conv_form", "compressed", "-in"]).arg(self.private());
        run(&mut openssl).success().text()
    }

    /// Signs bytes; all but Ed25519 sign their SHA-256, whatever the curve.
    ///
    /// # Panics
    /// If openssl cannot.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let message = NamedTempFile::new_in(self.directory.path()).expect("make a file to sign");
        fs::write(message.path(), bytes).expect("write what is signed");
        let mut openssl = program("openssl", self.directory.path());
        if self.kind == Kind::Ed25519 {
            openssl.args(["pkeyutl", "-sign", "-rawin", "-inkey"]).arg(self.private()).arg("-in");
        } else {
            openssl.args(["dgst", "-sha256", "-sign"]).arg(self.private());
        }
        run(openssl.arg(message.path())).success().output
    }

    /// The file with the private key.
    pub(super) fn private(&self) -> PathBuf {
        self.directory.path().join("private.pem")
    }

    /// A folder for files of this key.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }
}
