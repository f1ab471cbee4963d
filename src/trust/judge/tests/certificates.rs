//! Signers with certificates: Fulcio's and a private PKI's, made here.

use super::rekor::record;
use super::*;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const SET: &str = "dev.sigstore.cosign/bundle";
const ISSUER: &str = "https://accounts.example.com";
const EMAIL: &str = "jane@example.com";

/// An authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2126, 1, 1));
    params
}

impl Authority {
    fn root(params: CertificateParams) -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn under(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn data(&self) -> String {
        STANDARD.encode(self.certificate.pem())
    }
}

/// What a signer's certificate says; valid in December 2025 and January 2026.
fn leaf_params() -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = vec![SanType::Rfc822Name(EMAIL.try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    (params.not_before, params.not_after) = (date_time_ymd(2025, 12, 1), date_time_ymd(2026, 2, 1));
    params.custom_extensions = vec![issuer_v2(ISSUER)];
    params
}

fn issuer_v1(text: &str) -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 1], text.as_bytes().to_vec())
}

fn issuer_v2(text: &str) -> CustomExtension {
    let der = [&[0x0c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 8], der)
}

/// Root, one authority between, signer and log.
struct Case {
    root: Authority,
    between: Authority,
    signer: Signer,
    log: Signer,
    manifest: Digest,
}

impl Case {
    fn new() -> Self {
        let root = Authority::root(authority_params("root"));
        let between = root.under(authority_params("between"));
        let manifest = Digest::of(b"manifest");
        Self { root, between, signer: Signer::new(), log: Signer::new(), manifest }
    }

    fn leaf(&self, change: impl Fn(&mut CertificateParams)) -> String {
        let mut params = leaf_params();
        change(&mut params);
        params.signed_by(&self.signer.key, &self.between.issuer).unwrap().pem()
    }

    fn chain(&self) -> String {
        self.between.certificate.pem() + &self.root.certificate.pem()
    }

    /// Judged with a certificate, a chain, and when a log has recorded it.
    fn judged(&self, requirement: &str, certificate: &str, chain: &str, time: Option<i64>) -> Verdict {
        let mut sigstore = self.signer.signature(&payload("a.io/x:v1", &self.manifest));
        if let Some(time) = time {
            let set = record(&self.log, certificate, &sigstore, |entry, _| entry["integratedTime"] = time.into());
            sigstore.annotations.insert(SET.to_owned(), set);
        }
        for (key, value) in [(CERTIFICATE, certificate), (CHAIN, chain)] {
            if !value.is_empty() {
                sigstore.annotations.insert(key.to_owned(), value.to_owned());
            }
        }
        judged(&format!(r#"{{"type":"sigstoreSigned",{requirement}}}"#), Some("a.io/x:v1"), &self.manifest, &[sigstore])
    }

    fn fulcio(&self, certificate: &str, chain: &str, time: i64) -> Verdict {
        self.judged(&self.fulcio_requirement(&self.root.data()), certificate, chain, Some(time))
    }

    fn fulcio_requirement(&self, ca: &str) -> String {
        let log = self.log.data();
        format!(
            r#""fulcio":{{"caData":"{ca}","oidcIssuer":"{ISSUER}","subjectEmail":"{EMAIL}"}},"rekorPublicKeyData":"{log}""#
        )
    }
}

fn seconds(now: u64) -> i64 {
    i64::try_from(now).unwrap()
}

#[test]
fn certificates_of_fulcio() {
    let case = Case::new();
    let (chain, now) = (case.chain(), seconds(NOW));
    let judged = |change: &dyn Fn(&mut CertificateParams)| word(&case.fulcio(&case.leaf(change), &chain, now));
    let usages = |usages: &[ExtendedKeyUsagePurpose]| usages.to_vec();
    let any = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::Any];
    for (what, verdict) in [
        ("as it is", judged(&|_| {})),
        ("without usage", judged(&|params| params.extended_key_usages.clear())),
        ("any usage", judged(&|params| params.extended_key_usages = usages(&any))),
        ("the old issuer", judged(&|params| params.custom_extensions = vec![issuer_v1(ISSUER)])),
        ("both issuers", judged(&|params| params.custom_extensions.push(issuer_v1(ISSUER)))),
        (
            "several addresses",
            judged(&|params| params.subject_alt_names.push(SanType::Rfc822Name("x@y".try_into().unwrap()))),
        ),
    ] {
        assert_eq!(verdict, "accept", "{what}");
    }
    let email = |email: &'static str| {
        judged(&|params| params.subject_alt_names = vec![SanType::Rfc822Name(email.try_into().unwrap())])
    };
    let critical = || {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        extension
    };
    for (verdict, why) in [
        (judged(&|params| params.extended_key_usages = usages(&any[..1])), "is not for signing code"),
        (
            email("Jane@example.com"),
            "is for `Jane@example.com`; the policy wants the e-mail address `jane@example.com`",
        ),
        (
            judged(&|params| params.subject_alt_names.clear()),
            "is for no e-mail address; the policy wants the e-mail address `jane@example.com`",
        ),
        (
            judged(&|params| params.custom_extensions = vec![issuer_v2("https://x")]),
            "says that `https://x` vouched for the signer; the policy wants `https://accounts.example.com`",
        ),
        (
            judged(&|params| params.custom_extensions.push(issuer_v1("https://x"))),
            "does not say who vouched for the signer: it says `https://x` and `https://accounts.example.com`",
        ),
        (
            judged(&|params| params.custom_extensions.push(issuer_v2(ISSUER))),
            "does not say who vouched for the signer: it stands there twice",
        ),
        (
            judged(&|params| params.custom_extensions.clear()),
            "does not say who vouched for the signer: the extension is missing",
        ),
        (
            judged(&|params| params.custom_extensions.push(critical())),
            "cannot be read: it has a critical extension that is not known",
        ),
        (
            word(&case.fulcio(&case.leaf(|_| {}), &chain, now + 3 * 31 * 86400)),
            "was not valid at Sat, 04 Apr 2026 00:00:00 GMT",
        ),
        (word(&case.fulcio(&case.leaf(|_| {}), &chain, -1)), "was not valid at -1 seconds after 1970"),
        (
            word(&case.fulcio(&case.leaf(|_| {}), &chain, 1 << 52)),
            "was not valid at 4503599627370496 seconds after 1970",
        ),
        (
            word(&case.fulcio(&case.leaf(|_| {}), "", now)),
            "leads to none of the policy's authorities: its issuer is not known",
        ),
        // The last of a chain is the authority, and is taken from the policy alone.
        (
            word(&case.fulcio(&case.leaf(|_| {}), &case.between.certificate.pem(), now)),
            "leads to none of the policy's authorities: its issuer is not known",
        ),
        (word(&case.fulcio(&case.leaf(|_| {}), "words", now)), "has a chain that cannot be read: it is no PEM"),
        (
            word(&case.fulcio(&case.leaf(|_| {}), &chain.repeat(17), now)),
            "has a chain that cannot be read: it has more than 32 certificates",
        ),
    ] {
        assert_eq!(verdict, format!("its certificate {why}"));
    }
}

#[test]
fn a_certificate_is_of_use_only_with_its_key_and_authority() {
    let case = Case::new();
    let (chain, now) = (case.chain(), seconds(NOW));
    let other = Case::new();
    // By the key of another certificate.
    let leaf = leaf_params().signed_by(&other.signer.key, &case.between.issuer).unwrap().pem();
    assert_eq!(word(&case.fulcio(&leaf, &chain, now)), "it was not made by the key of its certificate");
    let unknown = "its certificate leads to none of the policy's authorities: its issuer is not known";
    let requirement = case.fulcio_requirement(&other.root.data());
    let verdict = case.judged(&requirement, &case.leaf(|_| {}), &chain, Some(now));
    assert_eq!(
        word(&verdict),
        "its certificate leads to none of the policy's authorities: a signature in its chain is wrong"
    );
    let no_authority = STANDARD.encode(case.leaf(|_| {}));
    let verdict =
        case.judged(&case.fulcio_requirement(&no_authority), &case.leaf(|_| {}).replace("xx", ""), &chain, Some(now));
    assert_eq!(word(&verdict), unknown);
    let verdict = case.judged(&case.fulcio_requirement("aGk="), &case.leaf(|_| {}), &chain, Some(now));
    assert_eq!(word(&verdict), "the policy's Fulcio authority cannot be used: it holds no certificate");
    let mut expired = authority_params("root");
    expired.not_after = date_time_ymd(2021, 1, 1);
    let root = Authority::root(expired);
    let leaf = leaf_params().signed_by(&case.signer.key, &root.issuer).unwrap().pem();
    let verdict = case.judged(&case.fulcio_requirement(&root.data()), &leaf, "", Some(now));
    let why = "its certificate leads to none of the policy's authorities: none of them was valid at Thu, 01 Jan 2026 00:00:00 GMT";
    assert_eq!(word(&verdict), why);
    let verdict = case.judged(&case.fulcio_requirement(&case.root.data()), "", &chain, None);
    assert_eq!(word(&verdict), "its annotation `dev.sigstore.cosign/bundle` is missing");
}

#[test]
fn certificates_of_a_private_pki() {
    let case = Case::new();
    let chain = case.chain();
    let root = case.root.data();
    let pki = |subject: &str| format!(r#""pki":{{"caRootsData":"{root}",{subject}}}"#);
    let between = format!(r#""caIntermediatesData":"{}","#, case.between.data());
    let email = format!(r#""subjectEmail":"{EMAIL}""#);
    let host = r#""subjectHostname":"build.example.com""#;
    let with_host = |params: &mut CertificateParams| {
        params.subject_alt_names.push(SanType::DnsName("*.example.com".try_into().unwrap()));
    };
    let judged = |requirement: &str, change: &dyn Fn(&mut CertificateParams), chain: &str| {
        word(&case.judged(&pki(requirement), &case.leaf(change), chain, None))
    };
    assert_eq!(judged(&email, &|_| {}, &chain), "accept");
    assert_eq!(judged(&format!("{between}{email}"), &|_| {}, ""), "accept");
    assert_eq!(judged(&format!("{email},{host}"), &with_host, &chain), "accept");
    assert_eq!(judged(host, &with_host, &chain), "accept");
    assert_eq!(judged(&email, &|params| params.extended_key_usages.clear(), &chain), "accept");
    for (verdict, why) in [
        (judged(host, &|_| {}, &chain), "is for no host name; the policy wants the host name `build.example.com`"),
        (
            judged(&email, &|params| params.not_after = date_time_ymd(2025, 12, 31), &chain),
            "was not valid at Thu, 01 Jan 2026 00:00:00 GMT",
        ),
        (
            judged(&email, &|params| params.not_before = date_time_ymd(2026, 1, 2), &chain),
            "was not valid at Thu, 01 Jan 2026 00:00:00 GMT",
        ),
        (
            judged(
                &format!("{email},{host}"),
                &|params| {
                    params.subject_alt_names = vec![SanType::DnsName("build.example.com".try_into().unwrap())];
                },
                &chain,
            ),
            "is for no e-mail address; the policy wants the e-mail address `jane@example.com`",
        ),
        (judged(&email, &|_| {}, ""), "leads to none of the policy's authorities: its issuer is not known"),
        (word(&case.judged(&pki(&email), "words", &chain, None)), "cannot be read: it is no PEM"),
        (word(&case.judged(&pki(&email), " \n", &chain, None)), "cannot be read: there is none"),
        (word(&case.judged(&pki(&email), &chain, &chain, None)), "cannot be read: there are several"),
        (
            word(&case.judged(&pki(&email), &" ".repeat(300_000), "", None)),
            "cannot be read: it has more than 262144 bytes",
        ),
    ] {
        assert_eq!(verdict, format!("its certificate {why}"));
    }
    let missing = word(&case.judged(&pki(&email), "", &chain, None));
    assert_eq!(missing, "its annotation `dev.sigstore.cosign/certificate` is missing");
    let file = r#""pki":{"caRootsPath":"/gone.pem","subjectEmail":"a@b"}"#;
    let verdict = word(&case.judged(file, &case.leaf(|_| {}), &chain, None));
    assert_eq!(verdict, "/gone.pem, which the policy names, cannot be read: it is not there");
    // The policy may name the very certificate, which vouches for itself.
    let alone = leaf_params().self_signed(&case.signer.key).unwrap().pem();
    let requirement = format!(r#""pki":{{"caRootsData":"{}",{email}}}"#, STANDARD.encode(&alone));
    assert_eq!(word(&case.judged(&requirement, &alone, "", None)), "accept");
}
