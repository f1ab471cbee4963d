//! PEM and certificates of signers: any text, judged by itself and by an authority that is among the seeds.

#![no_main]

use bootc_embed::model::signature::{PAYLOAD_TYPE, SIGNATURE_ANNOTATION};
use bootc_embed::model::{Digest, Signature, Sigstore};
use bootc_embed::trust::judge::certificates::{Authorities, between, leaf};
use bootc_embed::trust::{Candidate, Identity, Keys, Means, Pki, Requirement, Root, SigstoreSigned, Verdict, judge};
use libfuzzer_sys::fuzz_target;
use std::time::{Duration, UNIX_EPOCH};

fuzz_target!(|data: &[u8]| {
    let _ = Authorities::default().add_roots(data);
    let _ = Authorities::default().add_intermediates(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (_, _) = (leaf(text), between(text));
    // The part before a form feed is the signer's certificate, the rest its chain and authorities.
    let (certificate, chain) = text.split_once('\x0c').unwrap_or((text, text));
    let root = Root::Pki(Pki {
        ca_roots: Keys::Data(vec![chain.as_bytes().to_vec()]),
        ca_intermediates: None,
        subject_email: Some("jane@example.com".to_owned()),
        subject_hostname: Some("a.example.com".to_owned()),
    });
    let requirement = SigstoreSigned { root, rekor: None, identity: Identity::MatchRepository };
    let annotations = [
        (SIGNATURE_ANNOTATION, "aGk="),
        ("dev.sigstore.cosign/certificate", certificate),
        ("dev.sigstore.cosign/chain", chain),
    ];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let sigstore = Sigstore { mime_type: PAYLOAD_TYPE.to_owned(), payload: Vec::new(), annotations };
    let signatures = [Ok(Signature::Sigstore(sigstore))];
    let manifest = Digest::of(b"");
    let candidate = Candidate { name: None, manifest: &manifest, signatures: &signatures };
    let now = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let means = Means { files: &|_| Err("there are none".to_owned()), now, gpg: None };
    let verdict = judge(&[Requirement::SigstoreSigned(requirement)], &candidate, &means);
    assert!(matches!(verdict, Verdict::Rejected(_)), "nobody signed, but: {verdict:?}");
});
