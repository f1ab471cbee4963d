//! What our judge of OpenPGP signatures says beside its verdict; `verdicts` compares the verdicts.

use crate::support::busybox;
use crate::support::fixture::{Blob, Image};
use crate::support::signing::Keyring;
use bootc_embed::model::{Digest, RawManifest};
use bootc_embed::registry::proxy::gpg::SkopeoGpg;
use bootc_embed::trust::{Gpg as _, Keys};
use std::fs;

const A: &str = "a@example.invalid";
const B: &str = "b@example.invalid";
const TAGGED: &str = "registry.invalid/team/app:v1";

#[test]
fn who_signed_or_why_it_does_not_count() {
    let (keyring, image) = (Keyring::new(&[A, B]), Image::new(busybox::native()).build().manifest);
    let other = Blob::new(&image.media_type, [&image.bytes[..], b" "].concat());
    let manifest = RawManifest::new(image.bytes.clone(), None).expect("a manifest");
    let home = tempfile::tempdir().expect("make a folder");
    let path = |email: &str| {
        let path = home.path().join(email);
        fs::write(&path, keyring.public(email)).expect("write a key");
        path.display().to_string()
    };
    let files = |path: &str| fs::read(path).map_err(|e| e.to_string());
    let gpg = SkopeoGpg::new(&manifest, &files);
    let good = keyring.sign(A, TAGGED, &image);
    assert_eq!(gpg.claimed(&good), Ok(Ok(TAGGED.to_owned())));
    assert!(matches!(gpg.claimed(b"\x90"), Ok(Err(_))));

    let of_a = Keys::Data(vec![keyring.public(A)]);
    let verify = |signature: &[u8], keys: &Keys, reference: &str| {
        let verdict = gpg.verify(signature, keys, manifest.digest(), reference).expect("a verdict");
        verdict.map_or_else(|why| format!("no: {why}"), |by| format!("yes: {by}"))
    };
    let name_only = keyring.sign(A, "registry.invalid/team/app", &image);
    for (signature, keys, reference, said) in [
        (&good, &of_a, TAGGED, "yes: OpenPGP key "),
        (&good, &Keys::Paths(vec![path(B), path(A)]), TAGGED, "yes: OpenPGP key "),
        (&name_only, &of_a, "registry.invalid/team/app", "yes: OpenPGP key "),
        (&good, &of_a, "registry.invalid/team/app:v2", "is not accepted"),
        (&good, &Keys::Paths(vec![path(B)]), TAGGED, "no: Invalid GPG signature"),
        (&good, &Keys::Paths(vec!["/nowhere".to_owned()]), TAGGED, "no: reading the key /nowhere: "),
        (&good, &Keys::Data(vec![b"x".to_vec()]), TAGGED, "no: No public keys imported"),
        (&keyring.sign(A, TAGGED, &other), &of_a, TAGGED, "does not match"),
        (&keyring.sign_bytes(A, b"{}"), &of_a, TAGGED, "no: "),
    ] {
        let verdict = verify(signature, keys, reference);
        assert!(verdict.contains(said), "expected `{said}`, not `{verdict}`");
    }
    let of_other = gpg.verify(&good, &of_a, &Digest::of(b"other"), TAGGED);
    assert!(of_other.is_err(), "{of_other:?}");
}
