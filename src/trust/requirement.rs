//! One requirement of a policy: its kinds, and how they are read.
//!
//! The rules are those of containers/image: exactly one source of keys, an empty path as good as
//! none, and so on. Keys are not looked at: a runtime does that when it has a signature.

use super::json::{Fields, Json, Taken};
use super::policy::PolicyError;
use crate::model::grammar::{Name, full_repository, is_host, is_path};

/// What an image must fulfil.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing.
    InsecureAcceptAnything,
    /// What no image can.
    Reject,
    /// A simple signature.
    SignedBy(SignedBy),
    /// A signature of the image below; no runtime has implemented it.
    SignedBaseLayer(Identity),
    /// A sigstore signature.
    SigstoreSigned(SigstoreSigned),
}

/// A requirement of a simple signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    /// What kind of keys they are.
    pub key_type: KeyType,
    /// Any of these may have signed.
    pub keys: Keys,
    /// What must have been signed.
    pub identity: Identity,
}

/// `keyType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// OpenPGP keys; the only kind that runtimes have implemented.
    GpgKeys,
    /// Keys that are signed by OpenPGP keys.
    SignedByGpgKeys,
    /// Certificates.
    X509Certificates,
    /// Certificates of these authorities.
    SignedByX509Cas,
}

/// Where keys stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// In files of the device.
    Paths(Vec<String>),
    /// In the policy.
    Data(Vec<Vec<u8>>),
}

/// A requirement of a sigstore signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigstoreSigned {
    /// Who must have signed.
    pub root: Root,
    /// Keys of a transparency log that must have recorded it.
    pub rekor: Option<Keys>,
    /// What must have been signed.
    pub identity: Identity,
}

/// Who must have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// Any of these keys.
    Keys(Keys),
    /// Somebody whom Fulcio knows.
    Fulcio(Fulcio),
    /// Somebody with a certificate.
    Pki(Pki),
}

/// `fulcio`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fulcio {
    /// Its authorities.
    pub ca: Keys,
    /// Who vouched for the signer.
    pub oidc_issuer: String,
    /// The signer.
    pub subject_email: String,
}

/// `pki`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pki {
    /// The authorities.
    pub ca_roots: Keys,
    /// Authorities between them and the signer.
    pub ca_intermediates: Option<Keys>,
    /// The signer.
    pub subject_email: Option<String>,
    /// The signer's host.
    pub subject_hostname: Option<String>,
}

/// `signedIdentity`: which name must have been signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The one the image is pulled by.
    MatchExact,
    /// The same; for a pull by digest, any tag of the same repository.
    MatchRepoDigestOrExact,
    /// Any name in the same repository.
    MatchRepository,
    /// This one.
    ExactReference(String),
    /// Any in this repository.
    ExactRepository(String),
    /// As `matchRepoDigestOrExact`, after a prefix was replaced.
    RemapIdentity {
        /// Of the name that is pulled.
        prefix: String,
        /// Of the name that was signed.
        signed_prefix: String,
    },
}

impl Requirement {
    /// Reads one of a list.
    pub(super) fn read(place: &str, value: Json) -> Result<Self, PolicyError> {
        let mut fields = Fields::new(place, value)?;
        let requirement = match fields.text("type")?.unwrap_or_default().as_str() {
            "insecureAcceptAnything" => Requirement::InsecureAcceptAnything,
            "reject" => Requirement::Reject,
            "signedBy" => Requirement::SignedBy(SignedBy::read(&mut fields)?),
            "signedBaseLayer" => {
                let identity = fields.take("baseLayerIdentity");
                let identity = identity.ok_or_else(|| fields.wrong("has no `baseLayerIdentity`"))?;
                Requirement::SignedBaseLayer(Identity::read(&format!("{place}.baseLayerIdentity"), identity)?)
            }
            "sigstoreSigned" => Requirement::SigstoreSigned(SigstoreSigned::read(place, &mut fields)?),
            other => return Err(fields.wrong(format!("has the unknown type `{other}`"))),
        };
        fields.end()?;
        Ok(requirement)
    }
}

impl SignedBy {
    fn read(fields: &mut Fields) -> Result<Self, PolicyError> {
        let identity = signed_identity(fields)?;
        let key_type = match fields.text("keyType")?.unwrap_or_default().as_str() {
            "GPGKeys" => KeyType::GpgKeys,
            "signedByGPGKeys" => KeyType::SignedByGpgKeys,
            "X509Certificates" => KeyType::X509Certificates,
            "signedByX509CAs" => KeyType::SignedByX509Cas,
            other => return Err(fields.wrong(format!("has the unknown `keyType` `{other}`"))),
        };
        // Here, unlike everywhere else, a key that says nothing counts, and an empty list is one.
        let given = ["keyPath", "keyPaths", "keyData"].into_iter().filter(|key| fields.has(key)).count();
        let path = fields.text("keyPath")?.filter(|path| !path.is_empty()).map(|path| Keys::Paths(vec![path]));
        let paths = fields.texts("keyPaths")?.map(Keys::Paths);
        let data = fields.bytes("keyData")?.map(|data| Keys::Data(vec![data]));
        match path.or(paths).or(data) {
            Some(keys) if given == 1 => Ok(Self { key_type, keys, identity }),
            _ => Err(fields.wrong("needs exactly one of `keyPath`, `keyPaths` and `keyData`")),
        }
    }
}

impl SigstoreSigned {
    fn read(place: &str, fields: &mut Fields) -> Result<Self, PolicyError> {
        let identity = signed_identity(fields)?;
        let mut roots: Vec<Root> = many_keys(fields, "key")?.into_iter().map(Root::Keys).collect();
        if let Some(value) = fields.take("fulcio") {
            roots.push(Root::Fulcio(Fulcio::read(&format!("{place}.fulcio"), value)?));
        }
        if let Some(value) = fields.take("pki") {
            roots.push(Root::Pki(Pki::read(&format!("{place}.pki"), value)?));
        }
        let (Some(root), true) = (roots.pop(), roots.is_empty()) else {
            return Err(
                fields.wrong("needs exactly one of `keyPath`, `keyPaths`, `keyData`, `keyDatas`, `fulcio` and `pki`")
            );
        };
        let mut logs = many_keys(fields, "rekorPublicKey")?;
        let rekor = logs.pop();
        if !logs.is_empty() {
            return Err(fields.wrong("has more than one of `rekorPublicKeyPath`, `…Paths`, `…Data` and `…Datas`"));
        }
        match (&root, &rekor) {
            (Root::Fulcio(_), None) => Err(fields.wrong("has `fulcio`, which needs a `rekorPublicKey…`")),
            (Root::Pki(_), Some(_)) => Err(fields.wrong("has `pki`, with which no `rekorPublicKey…` can stand")),
            _ => Ok(Self { root, rekor, identity }),
        }
    }
}

impl Fulcio {
    fn read(place: &str, value: Json) -> Result<Self, PolicyError> {
        let mut fields = Fields::new(place, value)?;
        let ca = one_key(&mut fields, "ca")?.ok_or_else(|| fields.wrong("needs `caPath` or `caData`"))?;
        let mut needed = |key| {
            let text = fields.text(key)?.filter(|text| !text.is_empty());
            text.ok_or_else(|| fields.wrong(format!("has no `{key}`")))
        };
        let (oidc_issuer, subject_email) = (needed("oidcIssuer")?, needed("subjectEmail")?);
        fields.end()?;
        Ok(Self { ca, oidc_issuer, subject_email })
    }
}

impl Pki {
    fn read(place: &str, value: Json) -> Result<Self, PolicyError> {
        let mut fields = Fields::new(place, value)?;
        let ca_roots = one_key(&mut fields, "caRoots")?;
        let ca_roots = ca_roots.ok_or_else(|| fields.wrong("needs `caRootsPath` or `caRootsData`"))?;
        let ca_intermediates = one_key(&mut fields, "caIntermediates")?;
        let subject_email = fields.text("subjectEmail")?.filter(|text| !text.is_empty());
        let subject_hostname = fields.text("subjectHostname")?.filter(|text| !text.is_empty());
        if subject_email.is_none() && subject_hostname.is_none() {
            return Err(fields.wrong("needs `subjectEmail` or `subjectHostname`"));
        }
        fields.end()?;
        Ok(Self { ca_roots, ca_intermediates, subject_email, subject_hostname })
    }
}

/// `<name>Path` or `<name>Data`; empty paths and null say nothing.
fn one_key(fields: &mut Fields, name: &str) -> Taken<Keys> {
    let path = fields.text(&format!("{name}Path"))?.filter(|path| !path.is_empty());
    let data = fields.bytes(&format!("{name}Data"))?;
    match (path, data) {
        (Some(_), Some(_)) => Err(fields.wrong(format!("has both `{name}Path` and `{name}Data`"))),
        (Some(path), None) => Ok(Some(Keys::Paths(vec![path]))),
        (None, data) => Ok(data.map(|data| Keys::Data(vec![data]))),
    }
}

/// All of `<name>Path`, `<name>Paths`, `<name>Data` and `<name>Datas` that say something.
fn many_keys(fields: &mut Fields, name: &str) -> Result<Vec<Keys>, PolicyError> {
    let path = fields.text(&format!("{name}Path"))?.filter(|path| !path.is_empty());
    let paths = filled(fields, &format!("{name}Paths"), Fields::texts)?;
    let data = fields.bytes(&format!("{name}Data"))?;
    let datas = filled(fields, &format!("{name}Datas"), Fields::many_bytes)?;
    let paths = [path.map(|path| vec![path]), paths].into_iter().flatten().map(Keys::Paths);
    let datas = [data.map(|data| vec![data]), datas].into_iter().flatten().map(Keys::Data);
    Ok(paths.chain(datas).collect())
}

/// A list that must not be empty where it stands.
fn filled<T>(fields: &mut Fields, key: &str, take: fn(&mut Fields, &str) -> Taken<Vec<T>>) -> Taken<Vec<T>> {
    if !fields.has(key) {
        return Ok(None);
    }
    let list = take(fields, key)?.filter(|list| !list.is_empty());
    list.map(Some).ok_or_else(|| fields.wrong(format!("`{key}` is empty")))
}

fn signed_identity(fields: &mut Fields) -> Result<Identity, PolicyError> {
    let place = fields.place("signedIdentity");
    fields.take("signedIdentity").map_or(Ok(Identity::MatchRepoDigestOrExact), |value| Identity::read(&place, value))
}

impl Identity {
    fn read(place: &str, value: Json) -> Result<Self, PolicyError> {
        let mut fields = Fields::new(place, value)?;
        let mut named = |key: &str, fits: fn(&str) -> bool, what: &str| {
            let text = fields.text(key)?.ok_or_else(|| fields.wrong(format!("has no `{key}`")))?;
            if fits(&text) { Ok(text) } else { Err(fields.wrong(format!("`{key}`: `{text}` is {what}"))) }
        };
        let identity = match named("type", |_| true, "")?.as_str() {
            "matchExact" => Identity::MatchExact,
            "matchRepoDigestOrExact" => Identity::MatchRepoDigestOrExact,
            "matchRepository" => Identity::MatchRepository,
            "exactReference" => {
                let what = "no reference with a tag or digest";
                Identity::ExactReference(named("dockerReference", is_pointed, what)?)
            }
            "exactRepository" => Identity::ExactRepository(named("dockerRepository", is_named, "no repository")?),
            "remapIdentity" => Identity::RemapIdentity {
                prefix: named("prefix", is_prefix, "no host, namespace or repository")?,
                signed_prefix: named("signedPrefix", is_prefix, "no host, namespace or repository")?,
            },
            other => return Err(fields.wrong(format!("has the unknown type `{other}`"))),
        };
        fields.end()?;
        Ok(identity)
    }
}

pub(super) fn is_named(text: &str) -> bool {
    let is_digest = text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    !is_digest && Name::parse(text).is_some_and(|name| full_repository(name.repository).is_some())
}

fn is_pointed(text: &str) -> bool {
    is_named(text) && Name::parse(text).is_some_and(|name| name.tag.is_some() || name.digest.is_some())
}

/// A host, or a name that may begin with one.
pub(super) fn is_prefix(text: &str) -> bool {
    is_host(text) || text.split_once('/').is_some_and(|(host, path)| is_host(host) && is_path(path))
}
