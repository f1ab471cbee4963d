//! TLS as folders of certificates want it: the system's authorities, those of the folder, and client
//! certificates.
//!
//! containers/image also takes a server whose own certificate stands in the folder, even one that is
//! marked as an authority, as `openssl req -x509` makes it. rustls refuses such a certificate, so it is
//! compared here, byte for byte; its names and dates are checked all the same, and the handshake proves
//! that the server has its key.

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;
use std::sync::Arc;
use x509_cert::der::{Decode as _, Encode as _};

/// The certificates in a PEM file.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(certificates) if certificates.is_empty() => {
            Err("there is no certificate in it (PEM is expected)".to_owned())
        }
        Ok(certificates) => Ok(certificates),
        Err(e) => Err(e.to_string()),
    }
}

/// A client's certificate, with those that vouch for it, and its key in PEM.
pub fn identity(chain: Vec<CertificateDer<'static>>, key: &[u8]) -> Result<Arc<CertifiedKey>, String> {
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| format!("no usable key (PEM is expected): {e}"))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map(Arc::new).map_err(|e| e.to_string())
}

/// A configuration that trusts the system's authorities and these certificates, or anybody, and shows
/// one of `identities` to a server that asks for it.
pub fn config(
    trusted: Vec<CertificateDer<'static>>,
    identities: Vec<Arc<CertifiedKey>>,
    verify: bool,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let usual = Verifier::new_with_extra_roots(trusted.clone(), provider.clone()).map_err(|e| e.to_string())?;
    let verifier: Arc<dyn ServerCertVerifier> =
        if verify { Arc::new(Folder { usual, trusted }) } else { Arc::new(Anybody { usual }) };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(Identities(identities))))
}

/// Which of several certificates a server gets to see: as in Go, the first that it can verify and
/// whose authority it names, else none.
#[derive(Debug)]
struct Identities(Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Identities {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let named = |certificate: &CertificateDer<'_>| {
            let issuer = x509_cert::Certificate::from_der(certificate).and_then(|c| c.tbs_certificate.issuer.to_der());
            issuer.is_ok_and(|issuer| authorities.contains(&issuer.as_slice()))
        };
        let fits = |identity: &&Arc<CertifiedKey>| {
            identity.key.choose_scheme(schemes).is_some() && (authorities.is_empty() || identity.cert.iter().any(named))
        };
        self.0.iter().find(fits).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Judges by the system's authorities and by a folder.
#[derive(Debug)]
struct Folder {
    usual: Verifier,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Folder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.trusted.iter().any(|trusted| trusted.as_ref() == end_entity.as_ref()) {
            return self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        verify_dates(end_entity, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Takes any certificate, as `--tls-verify=false` wants it.
#[derive(Debug)]
struct Anybody {
    usual: Verifier,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    // A certificate that nobody looked at proves nothing, whoever has its key.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Fails outside of the time for which a certificate was made.
fn verify_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = x509_cert::Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let validity = parsed.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500
    ///   -subj /CN=registry.example -addext subjectAltName=DNS:registry.example,IP:127.0.0.1
    const SELF_SIGNED: &str = "\
-----BEGIN CERTIFICATE-----
MIIBsDCCAVagAwIBAgIUYoKifLS9LJJidi5CCmYYw68fGncwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQcmVnaXN0cnkuZXhhbXBsZTAgFw0yNjExMjExMzIwMjlaGA8y
MTI2MTAyODEzMjAyOVowGzEZMBcGA1UEAwwQcmVnaXN0cnkuZXhhbXBsZTBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABK5tfsMKRQc3OpqphZqb1y6SBPIEn4uurS8O
ThDibsFlOlM9jPgui8Zy72NdqTEQPJf6XRunoeprQxyhInm6E4CjdjB0MB0GA1Ud
DgQWBBSb68WjURbk9vQkziXVIejkbCsQBzAfBgNVHSMEGDAWgBSb68WjURbk9vQk
ziXVIejkbCsQBzAPBgNVHRMBAf8EBTADAQH/MCEGA1UdEQQaMBiCEHJlZ2lzdHJ5
LmV4YW1wbGWHBH8AAAEwCgYIKoZIzj0EAwIDSAAwRQIhAJJTeweCsZIgsfNjj5bX
S9Ks32TgEjMLULM0roo/gZyuAiAh3wVRb+HiRVhduiyWZYw2FnvLTE7zhziteZ5A
ak5Ykw==
-----END CERTIFICATE-----
";
    /// Seconds since 1970: its first day, and its last.
    const FROM: u64 = 1_795_267_229;
    const TO: u64 = 4_948_867_229;

    fn verify(trusted: bool, name: &str, now: u64) -> Result<(), String> {
        let certificate = certificates(SELF_SIGNED.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let trusted = if trusted { certificate.clone() } else { Vec::new() };
        let usual = Verifier::new_with_extra_roots(trusted.clone(), provider).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let verified = Folder { usual, trusted }.verify_server_cert(&certificate[0], &[], &name, &[], now);
        verified.map(|_| ()).map_err(|e| format!("{e:?}"))
    }

    #[test]
    fn a_servers_own_certificate_is_taken_from_the_folder_and_nowhere_else() {
        assert_eq!(verify(true, "registry.example", FROM + 60), Ok(()));
        assert_eq!(verify(true, "127.0.0.1", TO - 60), Ok(()));
        for (trusted, name, now, words) in [
            (false, "registry.example", FROM + 60, "InvalidCertificate"),
            (true, "other.example", FROM + 60, "NotValidForName"),
            (true, "127.0.0.2", FROM + 60, "NotValidForName"),
            (true, "registry.example", FROM - 60, "NotValidYet"),
            (true, "registry.example", TO + 60, "Expired"),
        ] {
            let error = verify(trusted, name, now).unwrap_err();
            assert!(error.contains(words), "{name}: {error}");
        }
    }

    #[test]
    fn files_without_certificates_are_told() {
        assert!(certificates(b"junk").unwrap_err().contains("no certificate in it"));
        assert!(identity(Vec::new(), b"junk").unwrap_err().contains("key"));
        assert!(config(Vec::new(), Vec::new(), true).is_ok());
    }
}
