//! Certificates of signers: that they lead to an authority of the policy, were valid when it counts,
//! are for signing code, and say who signed.
//!
//! Paths are built by webpki, which is a little stricter than the verifier of Go that runtimes use: the
//! signer's certificate must not be an authority itself, and of name constraints only those on hosts,
//! addresses and directory names are known.

use super::hostname;
use super::keys::PublicKey;
use super::pem;
use super::reason::CertificateReason;
use crate::trust::requirement::{Fulcio, Pki};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, RequiredEkuNotFoundContext};
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, Utf8StringRef};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage as MayDo, KeyUsages, SubjectAltName};

/// The most certificates of one chain, and the most bytes of its PEM. Real ones have four.
const MAX_CHAIN: usize = 32;
const MAX_PEM: usize = 256 * 1024;
/// The most authorities of a policy.
const MAX_AUTHORITIES: usize = 1000;
/// The last second that a certificate can name, at the end of the year 9999.
const END_OF_TIME: u64 = 253_402_300_799;

/// Who vouched for the signer, in the old form (the bytes are the text) and in the new one.
const ISSUER_V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
const ISSUER_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
const CODE_SIGNING_DER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
const ANY_USAGE: &str = "2.5.29.37.0";

/// Who may vouch for a signer's certificate.
#[derive(Debug, Default)]
pub struct Authorities {
    roots: Vec<Certificate>,
    intermediates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Takes in the certificates of some PEM. Blocks that are none are passed over, as long as one is.
    pub fn add_roots(&mut self, bytes: &[u8]) -> Result<(), String> {
        let blocks = pem::all(&String::from_utf8_lossy(bytes), MAX_AUTHORITIES);
        let blocks = blocks.iter().filter(|block| block.label == "CERTIFICATE" && !block.has_headers);
        let before = self.roots.len();
        self.roots.extend(blocks.filter_map(|block| Certificate::from_der(&block.der).ok()));
        if self.roots.len() > before { Ok(()) } else { Err("it holds no certificate".to_owned()) }
    }

    /// Takes in certificates between signers and roots, all of which must be readable.
    pub fn add_intermediates(&mut self, bytes: &[u8]) -> Result<(), String> {
        let found = certificates(&String::from_utf8_lossy(bytes), MAX_AUTHORITIES)?;
        self.intermediates.extend(found.into_iter().map(CertificateDer::from));
        Ok(())
    }
}

/// The only certificate of an annotation.
pub fn leaf(text: &str) -> Result<Vec<u8>, CertificateReason> {
    let unreadable = |why: &str| CertificateReason::Unreadable(why.to_owned());
    let mut found = bounded(text).map_err(CertificateReason::Unreadable)?;
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(unreadable("there is none")),
        (Some(_), false) => Err(unreadable("there are several")),
        (Some(leaf), true) => Ok(leaf),
    }
}

/// The certificates of a chain without the last, which is the authority: that one the policy knows.
pub fn between(chain: &str) -> Result<Vec<CertificateDer<'static>>, CertificateReason> {
    let mut found = bounded(chain).map_err(CertificateReason::Chain)?;
    found.pop();
    Ok(found.into_iter().map(CertificateDer::from).collect())
}

fn bounded(text: &str) -> Result<Vec<Vec<u8>>, String> {
    if text.len() > MAX_PEM {
        return Err(format!("it has more than {MAX_PEM} bytes"));
    }
    let found = certificates(text, MAX_CHAIN + 1)?;
    if found.len() > MAX_CHAIN { Err(format!("it has more than {MAX_CHAIN} certificates")) } else { Ok(found) }
}

/// All blocks of some PEM, each of which must be a certificate, with nothing behind them.
fn certificates(text: &str, most: usize) -> Result<Vec<Vec<u8>>, String> {
    let mut rest = text.trim();
    let mut found = Vec::new();
    while !rest.is_empty() && found.len() < most {
        let (block, after) = pem::next(rest).ok_or("it is no PEM")?;
        Certificate::from_der(&block.der).map_err(|e| e.to_string())?;
        found.push(block.der);
        rest = after;
    }
    Ok(found)
}

/// The key of a certificate of Fulcio's that was valid at a time, in seconds since 1970.
pub(super) fn of_fulcio(
    authorities: &Authorities,
    fulcio: &Fulcio,
    certificate: &str,
    chain: &str,
    time: i64,
) -> Result<PublicKey, CertificateReason> {
    let between = between(chain)?;
    let leaf = leaf(certificate)?;
    let seconds = u64::try_from(time).ok().filter(|seconds| *seconds <= END_OF_TIME);
    let seconds = seconds.ok_or_else(|| CertificateReason::Time(format!("{time} seconds after 1970")))?;
    let parsed = verify(authorities, &leaf, &between, Duration::from_secs(seconds))?;
    let issuer = issuer(&parsed).map_err(CertificateReason::NoIssuer)?;
    if issuer != fulcio.oidc_issuer {
        return Err(CertificateReason::Issuer { found: issuer, wanted: fulcio.oidc_issuer.clone() });
    }
    let names = Names::of(&parsed)?;
    names.check_email(&fulcio.subject_email)?;
    key(&parsed)
}

/// The key of a certificate that is valid now.
pub(super) fn of_pki(
    authorities: &Authorities,
    pki: &Pki,
    certificate: &str,
    chain: &str,
    now: SystemTime,
) -> Result<PublicKey, CertificateReason> {
    let mut between = between(chain)?;
    between.extend(authorities.intermediates.iter().cloned());
    let leaf = leaf(certificate)?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().min(Duration::from_secs(END_OF_TIME));
    let parsed = verify(authorities, &leaf, &between, now)?;
    let names = Names::of(&parsed)?;
    pki.subject_email.iter().try_for_each(|email| names.check_email(email))?;
    pki.subject_hostname.iter().try_for_each(|host| names.check_host(host))?;
    key(&parsed)
}

fn key(certificate: &Certificate) -> Result<PublicKey, CertificateReason> {
    let info = certificate.tbs_certificate.subject_public_key_info.to_der().map_err(|e| e.to_string());
    info.and_then(|der| PublicKey::from_der(&der)).map_err(CertificateReason::Unreadable)
}

/// Verifies that a certificate leads to an authority, at a time, for signing code.
fn verify(
    authorities: &Authorities,
    leaf: &[u8],
    between: &[CertificateDer<'_>],
    time: Duration,
) -> Result<Certificate, CertificateReason> {
    let unreadable = |e: &dyn std::fmt::Display| CertificateReason::Unreadable(e.to_string());
    let parsed = Certificate::from_der(leaf).map_err(|e| unreadable(&e))?;
    let leaf = CertificateDer::from(leaf);
    let end = EndEntityCert::try_from(&leaf).map_err(|e| unreadable(&cause(&e)))?;
    let at = UnixTime::since_unix_epoch(time);
    // Where the policy names the very certificate there is no path to build.
    if authorities.roots.contains(&parsed) {
        check_alone(&parsed, time)?;
        return Ok(parsed);
    }
    // webpki takes an authority at its word; runtimes want it valid too, and to be one.
    let usable = authorities.roots.iter().filter(|root| is_valid(root, time) && is_authority(root));
    let ders: Vec<CertificateDer<'_>> =
        usable.filter_map(|root| root.to_der().ok().map(CertificateDer::from)).collect();
    let anchors: Vec<TrustAnchor<'_>> =
        ders.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok()).collect();
    let verified = end.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, between, at, SigningCode, None, None);
    match verified {
        Ok(_) => Ok(parsed),
        Err(Error::CertExpired { .. } | Error::CertNotValidYet { .. } | Error::InvalidCertValidity) => {
            Err(CertificateReason::Time(date(time)))
        }
        Err(Error::RequiredEkuNotFoundContext(_)) => Err(CertificateReason::Usage),
        Err(_) if anchors.is_empty() && !authorities.roots.iter().any(|root| is_valid(root, time)) => {
            Err(CertificateReason::Untrusted(format!("none of them was valid at {}", date(time))))
        }
        Err(e) => Err(CertificateReason::Untrusted(cause(&e))),
    }
}

fn cause(error: &Error) -> String {
    match error {
        Error::UnknownIssuer => "its issuer is not known".to_owned(),
        Error::UnsupportedCriticalExtension => "it has a critical extension that is not known".to_owned(),
        Error::CaUsedAsEndEntity => "it is an authority itself".to_owned(),
        Error::EndEntityUsedAsCa | Error::PathLenConstraintViolated => "its issuer is no authority for it".to_owned(),
        Error::NameConstraintViolation => "its issuer is no authority for its names".to_owned(),
        Error::InvalidSignatureForPublicKey => "a signature in its chain is wrong".to_owned(),
        Error::MaximumSignatureChecksExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumPathDepthExceeded => "there are too many paths".to_owned(),
        other => other.to_string(),
    }
}

fn check_alone(certificate: &Certificate, time: Duration) -> Result<(), CertificateReason> {
    if !is_valid(certificate, time) {
        return Err(CertificateReason::Time(date(time)));
    }
    if is_for_signing(certificate) { Ok(()) } else { Err(CertificateReason::Usage) }
}

fn is_valid(certificate: &Certificate, time: Duration) -> bool {
    let validity = &certificate.tbs_certificate.validity;
    validity.not_before.to_unix_duration() <= time && time <= validity.not_after.to_unix_duration()
}

/// Whether a certificate may sign others, for code.
fn is_authority(certificate: &Certificate) -> bool {
    let tbs = &certificate.tbs_certificate;
    let is_old = tbs.version != x509_cert::Version::V3;
    let constraints = tbs.get::<BasicConstraints>();
    let usage = tbs.get::<MayDo>();
    let may_sign = match usage {
        Ok(None) => true,
        Ok(Some((_, usage))) => usage.0.contains(KeyUsages::KeyCertSign),
        Err(_) => false,
    };
    let is_ca = match constraints {
        Ok(None) => is_old,
        Ok(Some((_, constraints))) => constraints.ca,
        Err(_) => false,
    };
    is_ca && may_sign && is_for_signing(certificate)
}

/// Whether it says that it is for signing code, or does not say for what it is.
fn is_for_signing(certificate: &Certificate) -> bool {
    match certificate.tbs_certificate.get::<ExtendedKeyUsage>() {
        Ok(None) => true,
        Ok(Some((_, usages))) => usages.0.iter().any(|usage| {
            let usage = usage.to_string();
            usage == CODE_SIGNING || usage == ANY_USAGE
        }),
        Err(_) => false,
    }
}

/// The same for webpki, which asks for every certificate of a path.
struct SigningCode;

impl ExtendedKeyUsageValidator for SigningCode {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let (mut is_empty, mut fits) = (true, false);
        let mut present = Vec::new();
        for usage in usages {
            let usage = usage?.to_decoded_oid();
            is_empty = false;
            let text = usage.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
            fits = fits || text == CODE_SIGNING || text == ANY_USAGE;
            present.push(usage);
        }
        if is_empty || fits {
            return Ok(());
        }
        let required = webpki::KeyUsage::required(CODE_SIGNING_DER);
        Err(Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext { required, present }))
    }
}

/// Who vouched for the signer. Two answers must agree.
fn issuer(certificate: &Certificate) -> Result<String, String> {
    let extensions = certificate.tbs_certificate.extensions.iter().flatten();
    let (mut old, mut new) = (None, None);
    for extension in extensions {
        let value = extension.extn_value.as_bytes();
        let (slot, text) = if extension.extn_id == ISSUER_V1 {
            (&mut old, String::from_utf8_lossy(value).into_owned())
        } else if extension.extn_id == ISSUER_V2 {
            let text = Utf8StringRef::from_der(value).map_err(|_| "it is no text".to_owned())?;
            (&mut new, text.as_str().to_owned())
        } else {
            continue;
        };
        if slot.replace(text).is_some() {
            return Err("it stands there twice".to_owned());
        }
    }
    match (old, new) {
        (Some(old), Some(new)) if old != new => Err(format!("it says `{old}` and `{new}`")),
        (Some(issuer), _) | (None, Some(issuer)) => Ok(issuer),
        (None, None) => Err("the extension is missing".to_owned()),
    }
}

/// For whom a certificate is.
#[derive(Default)]
struct Names {
    emails: Vec<String>,
    hosts: Vec<String>,
    addresses: Vec<Vec<u8>>,
}

impl Names {
    fn of(certificate: &Certificate) -> Result<Self, CertificateReason> {
        let found = certificate.tbs_certificate.get::<SubjectAltName>();
        let found = found.map_err(|e| CertificateReason::Unreadable(e.to_string()))?;
        let mut names = Self::default();
        for name in found.map(|(_, names)| names.0).unwrap_or_default() {
            match name {
                GeneralName::Rfc822Name(email) => names.emails.push(email.to_string()),
                GeneralName::DnsName(host) => names.hosts.push(host.to_string()),
                GeneralName::IpAddress(address) => names.addresses.push(address.as_bytes().to_vec()),
                _ => {}
            }
        }
        Ok(names)
    }

    /// Exactly this address, upper and lower case told apart.
    fn check_email(&self, wanted: &str) -> Result<(), CertificateReason> {
        if self.emails.iter().any(|email| email == wanted) {
            return Ok(());
        }
        Err(CertificateReason::Email { found: listed(&self.emails, "no e-mail address"), wanted: wanted.to_owned() })
    }

    fn check_host(&self, wanted: &str) -> Result<(), CertificateReason> {
        if hostname::matches(wanted, &self.hosts, &self.addresses) {
            return Ok(());
        }
        Err(CertificateReason::Hostname { found: listed(&self.hosts, "no host name"), wanted: wanted.to_owned() })
    }
}

fn listed(names: &[String], none: &str) -> String {
    match names {
        [] => none.to_owned(),
        names => names.iter().take(5).map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", "),
    }
}

fn date(time: Duration) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + time)
}
