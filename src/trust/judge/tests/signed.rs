//! Signatures that are made here: names, keys, and more of both than anybody has.

use super::*;

/// The table of identities that was run with skopeo: the name that was signed, and whether it is
/// accepted for `repo@…` and `repo:v1` by default, by `matchRepository`, by `remapIdentity` for both,
/// and by `exactRepository`.
#[test]
fn identities_as_they_were_run() {
    let signer = Signer::new();
    let (instance, index) = (Digest::of(b"instance"), Digest::of(b"index"));
    let key = signer.data();
    let policy =
        |identity: &str| format!(r#"{{"type":"sigstoreSigned","keyData":"{key}","signedIdentity":{{{identity}}}}}"#);
    let remap = r#""type":"remapIdentity","prefix":"mirror.example.com/r","signedPrefix":"quay.io/repo""#;
    let default = r#""type":"matchRepoDigestOrExact""#;
    let columns = [
        (policy(default), format!("quay.io/repo/a@{index}")),
        (policy(default), format!("quay.io/repo/a@{instance}")),
        (policy(default), "quay.io/repo/a:v1".to_owned()),
        (policy(r#""type":"matchRepository""#), "quay.io/repo/a:v1".to_owned()),
        (policy(r#""type":"matchRepository""#), format!("quay.io/repo/a@{index}")),
        (policy(remap), format!("mirror.example.com/r/a@{index}")),
        (policy(remap), "mirror.example.com/r/a:v1".to_owned()),
        (policy(r#""type":"exactRepository","dockerRepository":"quay.io/repo/a""#), "other.io/x:v1".to_owned()),
    ];
    for (signed, verdicts) in [
        ("quay.io/repo/a".to_owned(), [false, false, false, true, true, false, false, true]),
        ("quay.io/repo/a:v1".to_owned(), [true; 8]),
        ("quay.io/repo/a:v2".to_owned(), [true, true, false, true, true, true, false, true]),
        (format!("quay.io/repo/a@{instance}"), [true, true, false, true, true, true, false, true]),
        (format!("quay.io/repo/a@{index}"), [true, true, false, true, true, true, false, true]),
    ] {
        let signature = signer.signature(&payload(&signed, &instance));
        for ((policy, name), expected) in columns.iter().zip(verdicts) {
            let verdict = judged(policy, Some(name), &instance, std::slice::from_ref(&signature));
            assert_eq!(matches!(verdict, Verdict::Accepted(_)), expected, "{signed}, {name}, {policy}: {verdict:?}");
        }
    }
}

/// An OpenPGP program that knows two signatures.
struct Program;

impl Gpg for Program {
    fn claimed(&self, signature: &[u8]) -> Result<Result<String, String>, CouldNotCheck> {
        match signature {
            b"broken" => Ok(Err("it is no OpenPGP message".to_owned())),
            b"crash" => Err(CouldNotCheck("gpg crashed".to_owned())),
            b"other name" => Ok(Ok("a.io/y:v1".to_owned())),
            _ => Ok(Ok("a.io/x:v1".to_owned())),
        }
    }

    fn verify(
        &self,
        signature: &[u8],
        _: &Keys,
        _: &Digest,
        reference: &str,
    ) -> Result<Result<String, String>, CouldNotCheck> {
        assert_eq!(reference, "a.io/x:v1");
        Ok(if signature == b"good" { Ok("jane".to_owned()) } else { Err("no such key".to_owned()) })
    }
}

/// What signatures, each by its first word or as it is, give with requirements.
fn with_gpg(policy: &str, signatures: &[Result<Signature, SignatureError>], gpg: Option<&dyn Gpg>) -> Verdict {
    let name: Reference = "a.io/x:v1".parse().unwrap();
    let manifest = Digest::of(b"manifest");
    let candidate = Candidate { name: Some(&name), manifest: &manifest, signatures };
    judge(&requirements(policy), &candidate, &Means { gpg, ..means() })
}

#[test]
fn simple_signatures_are_asked_about() {
    let policy = r#"{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"}"#;
    let simple = |text: &str| Ok(Signature::Simple(text.as_bytes().to_vec()));
    let sigstore = || Ok(Signature::Sigstore(Sigstore::default()));
    for (signatures, expected) in [
        (vec![simple("good")], "accept"),
        (vec![simple("bad"), simple("crash"), simple("good")], "accept"),
        (vec![simple("bad"), simple("crash")], "? gpg crashed"),
        (vec![simple("bad")], "no such key"),
        (vec![simple("broken")], "it is no OpenPGP message"),
        (vec![simple("other name")], "the name `a.io/y:v1` was signed; the policy wants `a.io/x:v1`"),
        (vec![sigstore()], "it is a sigstore signature; an OpenPGP signature is required"),
        (vec![], "a signature is required, and there is none"),
        // One that cannot be read spoils all.
        (vec![simple("good"), Err(SignatureError::Empty)], "it cannot be read: it is empty"),
    ] {
        assert_eq!(word(&with_gpg(policy, &signatures, Some(&Program))), expected, "{signatures:?}");
    }
    let nobody = with_gpg(policy, &[simple("good")], None);
    assert!(matches!(nobody, Verdict::CouldNotCheck(_)), "{nobody:?}");
    // What is certain counts more than what is not known.
    for (policies, rejects) in [
        (format!(r#"{policy},{{"type":"reject"}}"#), true),
        (format!(r#"{policy},{{"type":"insecureAcceptAnything"}}"#), false),
    ] {
        let verdict = with_gpg(&policies, &[simple("good")], None);
        assert_eq!(matches!(verdict, Verdict::Rejected(_)), rejects, "{verdict:?}");
    }
    let x509 = policy.replace("GPGKeys", "X509Certificates");
    assert_eq!(word(&with_gpg(&x509, &[simple("good")], Some(&Program))), "no runtime can check this `keyType`");
}

#[test]
fn all_requirements_and_any_signature() {
    let (first, second) = (Signer::new(), Signer::new());
    let manifest = Digest::of(b"manifest");
    let by = |signer: &Signer| format!(r#"{{"type":"sigstoreSigned","keyData":"{}"}}"#, signer.data());
    let both = format!(r#"{{"type":"insecureAcceptAnything"}},{},{}"#, by(&first), by(&second));
    let good = payload("a.io/x:v1", &manifest);
    let signatures = [second.signature(&good), first.signature(&good)];
    let judged = |policy: &str, signatures: &[Sigstore]| judged(policy, Some("a.io/x:v1"), &manifest, signatures);
    let Verdict::Accepted(accepted) = judged(&both, &signatures) else { panic!("both have signed") };
    assert_eq!(accepted.iter().map(|accepted| accepted.signature).collect::<Vec<_>>(), [None, Some(2), Some(1)]);
    assert!(accepted[1].by.starts_with("key (sha256 "), "{accepted:?}");
    let Verdict::Rejected(rejection) = judged(&both, &signatures[..1]) else { panic!("one has not signed") };
    assert!(matches!(rejection.reason, Reason::WrongKey(_)), "{rejection}");
    assert!(rejection.to_string().starts_with("`sigstoreSigned`: signature 1: it was not made by key"), "{rejection}");

    // The reason that is told is of the one that came nearest; a repository alone is what cosign signs.
    let near = first.signature(&payload("a.io/x", &manifest));
    let signatures = [second.signature(&good), near];
    let Verdict::Rejected(rejection) = judged(&by(&first), &signatures) else { panic!("no tag was signed") };
    assert_eq!(rejection.signature, Some(2));
    assert_eq!(rejection.reason, Reason::IdentityNameOnly { signed: "a.io/x".to_owned() });
    let hint = rejection.hint().unwrap();
    assert!(hint.contains("matchRepository") && hint.contains("--sign-container-identity a.io/x:TAG"), "{hint}");
    assert!(matches!(rejection.others[..], [(1, Reason::WrongKey(_))]), "{rejection:?}");

    for (policy, why) in [
        (r#"{"type":"reject"}"#, "the policy rejects every image here"),
        (
            r#"{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}"#,
            "no runtime can check `signedBaseLayer`",
        ),
    ] {
        assert_eq!(word(&judged(policy, &signatures)), why);
    }
    assert!(matches!(
        judge(&[], &Candidate { name: None, manifest: &manifest, signatures: &[] }, &means()),
        Verdict::Rejected(_)
    ));
}

#[test]
fn keys_that_are_none() {
    let signer = Signer::new();
    let manifest = Digest::of(b"manifest");
    let signature = signer.signature(&payload("a.io/x:v1", &manifest));
    let judged = |key: &str| {
        let policy = format!(r#"{{"type":"sigstoreSigned",{key}}}"#);
        word(&judged(&policy, Some("a.io/x:v1"), &manifest, std::slice::from_ref(&signature)))
    };
    let data = |pem: &str| format!(r#""keyData":"{}""#, STANDARD.encode(pem));
    // A character less is no base64, whatever the key.
    let cut = signer.pem().replacen("MFkw", "MFk", 1);
    let block =
        |label: &str, der: &[u8]| format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der));
    for (key, why) in [
        (data(""), "the policy's key cannot be used: it is no PEM"),
        (data(&cut), "the policy's key cannot be used: it is no PEM"),
        (data(&block("PUBLIC KEY", b"hi")), "the policy's key cannot be used: it is no public key"),
        (data(&block("RSA PUBLIC KEY", b"hi")), "the policy's key cannot be used: it is no public key"),
        (
            data(&block("CERTIFICATE", b"hi")),
            "the policy's key cannot be used: it is PEM of a `CERTIFICATE`, not of a `PUBLIC KEY`",
        ),
        (
            r#""keyPaths":["/p256.pub","/gone"]"#.to_owned(),
            "/gone, which the policy names, cannot be read: it is not there",
        ),
        (format!(r#""keyDatas":["{}","aGk="]"#, signer.data()), "the policy's key 2 cannot be used: it is no PEM"),
        (r#""keyPaths":["/p256.pub","/p384.pub"]"#.to_owned(), "it was not made by any of the policy's 2 keys"),
        (data(&signer.pem()), "accept"),
        // Only the first block is read.
        (data(&format!("words\n{}{cut}", signer.pem())), "accept"),
    ] {
        assert_eq!(judged(&key), why, "{key}");
    }
}

#[test]
fn an_rsa_key_in_its_old_form_is_read() {
    let pem = fs::read(data("rsa4096.pub")).unwrap();
    let key = super::super::keys::PublicKey::from_pem(&pem).unwrap();
    // 24 bytes that say that it is RSA, then the old form.
    let old =
        format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", STANDARD.encode(&key.der[24..]));
    assert_eq!(super::super::keys::PublicKey::from_pem(old.as_bytes()).unwrap().der, key.der);
}

#[test]
fn more_than_anybody_has_comes_to_an_end() {
    let manifest = Digest::of(b"manifest");
    let signature = Signer::new().signature(&payload("a.io/x:v1", &manifest));
    let one = format!(r#"{{"type":"sigstoreSigned","keyData":"{}"}}"#, Signer::new().data());
    let verdict = judged(&one, Some("a.io/x:v1"), &manifest, &vec![signature.clone(); 3000]);
    let Verdict::Rejected(rejection) = verdict else { panic!("{verdict:?}") };
    assert_eq!((rejection.signature, rejection.others.len()), (Some(1), 2999));
    let keys = vec!["\"aGk=\""; 100_001].join(",");
    let many = format!(r#"{{"type":"sigstoreSigned","keyDatas":[{keys}]}}"#);
    let verdict = judged(&many, Some("a.io/x:v1"), &manifest, std::slice::from_ref(&signature));
    assert_eq!(word(&verdict), "? with these signatures and keys there would be more than 100000 to try");
    let mut huge = signature;
    huge.payload = vec![b' '; 4 * 1024 * 1024 + 1];
    assert_eq!(word(&judged(&one, Some("a.io/x:v1"), &manifest, &[huge])), "its payload is larger than 4 MiB");
}
