//! Signing images as others do: keys, authorities, transparency logs and signatures are made anew by
//! every test, with the `openssl` and `gpg` programs.
//!
//! A signature as cosign attaches it, on the tag `sha256-<hex>.sig` of the same repository:
//!
//! ```ignore
//! let key = Key::new(Kind::P256);
//! let signature = Signature::new(&key, "registry.invalid/team/app:v1", &instance.manifest);
//! let repository = Repository::new("team/app").instances([&instance]).tag("v1", &instance.manifest);
//! let repository = attach(repository, &instance.manifest, &[signature]);
//! registry.push(&repository);
//! fs::write("key.pub", key.public())?; // for `keyPath` of a policy
//! ```
//!
//! The same in a view or a lookaside folder is `signature.file()`. With a transparency log, or with a
//! certificate in place of a key that the policy knows:
//!
//! ```ignore
//! let log = Log::new();
//! let logged = Signature::new(&key, reference, manifest).logged(&log, key.public(), now());
//! let authority = Authority::new();
//! let leaf = authority.leaf(&key, &Subject { email: Some("a@example.invalid"), ..Subject::default() });
//! let certified = Signature::new(&key, reference, manifest).certified(&leaf); // then `.logged(&log, &leaf.pem, …)`
//! ```
//!
//! Simple signing and cosign's bundles:
//!
//! ```ignore
//! let keyring = Keyring::new(&["a@example.invalid"]);
//! let simple = keyring.sign("a@example.invalid", reference, &instance.manifest);
//! lookaside(&folder, "team/app", &instance.manifest, &[simple]);
//! let referrer = bundle(&key, &instance.manifest);
//! let repository = refer(repository, &instance.manifest, &[referrer]);
//! ```

mod bundle;
mod certificate;
mod cosign;
mod gpg;
mod key;
mod rekor;
mod tests;

pub use bundle::{BUNDLE, bundle, fallback_tag, refer};
pub use certificate::{Authority, Leaf, Subject};
pub use cosign::{Signature, attach, attachment, payload, tag};
pub use gpg::{Keyring, lookaside};
pub use key::{Key, Kind};
pub use rekor::Log;

use super::fixture::Instance;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
///
/// # Panics
/// If the clock is wrong.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_secs()
}

/// Writes an image beside its signatures into a new folder, as `dir:` has it.
///
/// # Panics
/// If it cannot be written.
pub fn write_view(dir: &Path, image: &Instance, signatures: &[Vec<u8>]) {
    fs::create_dir(dir).expect("make a folder for an image");
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).expect("write an image");
    write("version", b"Directory Transport Version: 1.1\n");
    write("manifest.json", &image.manifest.bytes);
    for blob in image.layers.iter().chain([&image.config]) {
        write(blob.hex(), &blob.bytes);
    }
    for (at, signature) in signatures.iter().enumerate() {
        write(&format!("signature-{}", at + 1), signature);
    }
}
