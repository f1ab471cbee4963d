//! Authorities that certify signers, for a while as Fulcio does or for long as a company does.

use super::key::{Key, Kind};
use crate::support::command::{program, run};
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

/// An authority: a root, or one below another.
pub struct Authority {
    key: Key,
    /// Its own certificate, PEM.
    pub pem: String,
    /// The certificates above it up to the root, PEM.
    above: String,
}

/// The certificate of a signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The certificate, PEM.
    pub pem: String,
    /// The authorities from the nearest to the root, PEM, as cosign keeps them in an annotation.
    pub chain: String,
}

/// What a certificate says of the signer.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// An e-mail address.
    pub email: Option<&'a str>,
    /// A host name.
    pub host: Option<&'a str>,
    /// Who vouches for the address: Fulcio's extension, in its old and its new form.
    pub issuer: Option<&'a str>,
    /// `extendedKeyUsage`, of which none will do too.
    pub usage: Option<&'a str>,
    /// How many days it is valid.
    pub days: u32,
}

impl Default for Subject<'_> {
    fn default() -> Self {
        Self { email: None, host: None, issuer: None, usage: Some("codeSigning"), days: 1 }
    }
}

impl Authority {
    /// A root.
    pub fn new() -> Self {
        let key = Key::new(Kind::P256);
        let pem = issue(None, &key, "a root that nobody knows", AUTHORITY, 20);
        Self { key, pem, above: String::new() }
    }

    /// An authority that this one has certified.
    pub fn below(&self) -> Self {
        let key = Key::new(Kind::P256);
        let pem = issue(Some(self), &key, "an authority in between", AUTHORITY, 10);
        Self { key, pem, above: self.chain() }
    }

    /// Certifies a signer.
    pub fn leaf(&self, key: &Key, subject: &Subject<'_>) -> Leaf {
        let mut extensions = "keyUsage=critical,digitalSignature\n".to_owned();
        if let Some(usage) = subject.usage {
            extensions += &format!("extendedKeyUsage={usage}\n");
        }
        let email = subject.email.map(|email| format!("email:{email}"));
        let names: Vec<String> = email.into_iter().chain(subject.host.map(|host| format!("DNS:{host}"))).collect();
        if !names.is_empty() {
            extensions += &format!("subjectAltName={}\n", names.join(","));
        }
        if let Some(issuer) = subject.issuer {
            let hex: Vec<String> = issuer.bytes().map(|byte| format!("{byte:02x}")).collect();
            extensions += &format!("1.3.6.1.4.1.57264.1.1=DER:{}\n", hex.join(":"));
            extensions += &format!("1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:{issuer}\n");
        }
        Leaf { pem: issue(Some(self), key, "a signer", &extensions, subject.days), chain: self.chain() }
    }

    /// From this one to the root.
    fn chain(&self) -> String {
        format!("{}{}", self.pem, self.above)
    }
}

/// The extensions of an authority.
const AUTHORITY: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";

/// A certificate for a key; without an issuer it is its own.
fn issue(issuer: Option<&Authority>, key: &Key, name: &str, extensions: &str, days: u32) -> String {
    static SERIAL: AtomicU32 = AtomicU32::new(1);
    let work = tempfile::tempdir_in(key.directory()).expect("make a folder for a certificate");
    let path = |name: &str| work.path().join(name);
    let openssl = || program("openssl", work.path());
    let subject = format!("/CN={name}");
    run(openssl().args(["req", "-new", "-subj", &subject, "-key"]).arg(key.private()).arg("-out").arg(path("request")))
        .success();
    fs::write(path("extensions"), extensions).expect("write the extensions of a certificate");
    let mut sign = openssl();
    sign.args(["x509", "-req", "-sha256", "-in"]).arg(path("request")).arg("-extfile").arg(path("extensions"));
    sign.arg("-days").arg(days.to_string());
    sign.arg("-set_serial").arg(SERIAL.fetch_add(1, Ordering::Relaxed).to_string());
    match issuer {
        None => sign.arg("-signkey").arg(key.private()),
        Some(issuer) => {
            fs::write(path("issuer"), &issuer.pem).expect("write the certificate of an authority");
            sign.arg("-CA").arg(path("issuer")).arg("-CAkey").arg(issuer.key.private())
        }
    };
    run(&mut sign).success().text()
}
