//! Simple signing: OpenPGP messages, and the folders in which runtimes look for them.

use crate::support::command::{program, run};
use crate::support::fixture::Blob;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::{NamedTempFile, TempDir};

/// GnuPG with secret keys of its own. They vanish with this value.
pub struct Keyring {
    directory: TempDir,
}

impl Keyring {
    /// A key for each e-mail address.
    ///
    /// # Panics
    /// If gpg cannot make them.
    pub fn new(emails: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("make a folder for keys");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).expect("close the folder of keys");
        let keyring = Self { directory };
        for email in emails {
            run(keyring.gpg().args(["--quick-generate-key", email, "rsa2048", "sign", "never"])).success();
        }
        keyring
    }

    /// A public key, as policies have it.
    pub fn public(&self, email: &str) -> Vec<u8> {
        run(self.gpg().args(["--export", email])).success().output
    }

    /// Signs a manifest under a reference: the file `signature-N`.
    pub fn sign(&self, email: &str, reference: &str, manifest: &Blob) -> Vec<u8> {
        let payload = json!({
            "critical": {
                "identity": { "docker-reference": reference },
                "image": { "docker-manifest-digest": manifest.digest },
                "type": "atomic container signature",
            },
            "optional": { "creator": "a test", "timestamp": 1_700_000_000 },
        });
        self.sign_bytes(email, payload.to_string().as_bytes())
    }

    /// Signs any bytes.
    ///
    /// # Panics
    /// If gpg cannot.
    pub fn sign_bytes(&self, email: &str, bytes: &[u8]) -> Vec<u8> {
        let message = NamedTempFile::new_in(self.directory.path()).expect("make a file to sign");
        fs::write(message.path(), bytes).expect("write what is signed");
        let mut gpg = self.gpg();
        run(gpg.args(["--local-user", email, "--output", "-", "--sign"]).arg(message.path())).success().output
    }

    fn gpg(&self) -> Command {
        let mut gpg = self.program("gpg");
        gpg.args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]);
        gpg
    }

    fn program(&self, name: &str) -> Command {
        let mut program = program(name, self.directory.path());
        program.env("GNUPGHOME", self.directory.path());
        program
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        // gpg leaves an agent behind. If it has ended by itself there is nothing to do.
        let _ = self.program("gpgconf").args(["--kill", "all"]).status();
    }
}

/// Writes signatures of a manifest to a lookaside folder, for a repository without its host. Returns where.
///
/// # Panics
/// If they cannot be written.
pub fn lookaside(folder: &Path, repository: &str, manifest: &Blob, signatures: &[Vec<u8>]) -> PathBuf {
    let place = folder.join(format!("{repository}@sha256={}", manifest.hex()));
    fs::create_dir_all(&place).expect("make a lookaside folder");
    for (at, signature) in signatures.iter().enumerate() {
        fs::write(place.join(format!("signature-{}", at + 1)), signature).expect("write a signature");
    }
    place
}
