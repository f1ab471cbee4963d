//! ClusterImagePolicy and ImagePolicy objects of OpenShift, which its machine-config-operator turns into
//! policy.json on every node.
//!
//! Source of the format: the API `config.openshift.io`, `v1` and `v1alpha1`, with the rules that its
//! server validates. What can change the meaning and is not known is an error; `metadata` and `status`
//! are not looked at.

use crate::model::grammar::{Name, is_host};
use crate::trust::json::{Fields, Json, Seed, wrong};
use crate::trust::policy::PolicyError;
use crate::trust::requirement::{Fulcio, Identity, Keys, Pki, Root, SigstoreSigned, is_named, is_prefix};
use serde::de::DeserializeSeed as _;
use std::cell::Cell;

/// The largest file that is read. Objects in a cluster are smaller than 1.5 MiB.
const MAX_SIZE: usize = 4 * 1024 * 1024;
/// What one file may become, in values and bytes of text.
const MAX_CONTENT: usize = 8 * MAX_SIZE;
/// The most documents of one file.
const MAX_DOCUMENTS: usize = 1000;
/// How many brackets may be open: the parser takes time by the square of that.
const MAX_OPEN: usize = 1000;
/// How deep lists of lists may nest.
const MAX_LISTS: usize = 8;
/// What the API allows in one object.
const MAX_SCOPES: usize = 256;
const MAX_SCOPE: usize = 512;

/// A policy for some images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePolicy {
    /// The namespace that an ImagePolicy is for; none for a ClusterImagePolicy.
    pub namespace: Option<String>,
    /// The names of images that it is for.
    pub scopes: Vec<String>,
    /// What these must fulfil.
    pub requirement: SigstoreSigned,
}

/// Reads the policies of a file of YAML or JSON. Objects of other kinds are passed over.
pub fn parse(bytes: &[u8]) -> Result<Vec<ImagePolicy>, PolicyError> {
    let mut policies = Vec::new();
    for document in documents(bytes)? {
        collect(document, MAX_LISTS, &mut policies)?;
    }
    Ok(policies)
}

/// Reads the policies of a document that was read already.
pub(super) fn of_document(document: Json) -> Result<Vec<ImagePolicy>, PolicyError> {
    let mut policies = Vec::new();
    collect(document, MAX_LISTS, &mut policies)?;
    Ok(policies)
}

fn documents(bytes: &[u8]) -> Result<Vec<Json>, PolicyError> {
    if bytes.len() > MAX_SIZE {
        return Err(wrong("", "it is larger than 4 MiB"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("", "it is no UTF-8"))?;
    if nests_too_deep(text) {
        return Err(wrong("", "it nests too deep"));
    }
    let budget = Cell::new(MAX_CONTENT);
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        if documents.len() == MAX_DOCUMENTS {
            return Err(wrong("", format!("it holds more than {MAX_DOCUMENTS} documents")));
        }
        documents.push(Seed(&budget).deserialize(document).map_err(|e| wrong("", e.to_string()))?);
    }
    Ok(documents)
}

/// Quotes are not looked at: nothing in a policy holds so many brackets.
fn nests_too_deep(text: &str) -> bool {
    let mut open = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MAX_OPEN
    })
}

fn collect(document: Json, lists: usize, policies: &mut Vec<ImagePolicy>) -> Result<(), PolicyError> {
    if document == Json::Null {
        return Ok(());
    }
    let mut fields = Fields::new("", document).map_err(|e| wrong("", format!("a document {}", e.detail)))?;
    let version = fields.text("apiVersion")?.unwrap_or_default();
    let kind = fields.text("kind")?.unwrap_or_default();
    match kind.as_str() {
        "ClusterImagePolicy" | "ImagePolicy" => {
            let (name, namespace) = metadata(&mut fields);
            let place = format!("{kind}/{name}");
            if !matches!(version.as_str(), "config.openshift.io/v1" | "config.openshift.io/v1alpha1") {
                return Err(wrong(&place, format!("has the unknown `apiVersion` `{version}`")));
            }
            fields.take("status");
            let spec = fields.take("spec").ok_or_else(|| wrong(&place, "has no `spec`"))?;
            fields.end().map_err(|e| wrong(&place, e.detail))?;
            let namespace = (kind == "ImagePolicy").then(|| namespace.unwrap_or_else(|| "default".to_owned()));
            policies.push(policy(&format!("{place}.spec"), spec, namespace)?);
        }
        kind if kind.ends_with("List") => {
            let items = match fields.take("items") {
                Some(Json::List(items)) => items,
                None | Some(Json::Null) => Vec::new(),
                Some(_) => return Err(wrong(kind, "has `items` that are no list")),
            };
            if lists == 0 {
                return Err(wrong(kind, "holds lists of lists"));
            }
            for item in items {
                collect(item, lists - 1, policies)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Name and namespace. What else is there, and whether it is what it should be, does not matter.
fn metadata(fields: &mut Fields) -> (String, Option<String>) {
    let metadata = fields.take("metadata").and_then(|metadata| Fields::new("metadata", metadata).ok());
    let Some(mut metadata) = metadata else { return (String::new(), None) };
    let mut text = |key| metadata.text(key).ok().flatten();
    (text("name").unwrap_or_default(), text("namespace"))
}

fn policy(place: &str, spec: Json, namespace: Option<String>) -> Result<ImagePolicy, PolicyError> {
    let mut fields = Fields::new(place, spec)?;
    let scopes = fields.texts("scopes")?.filter(|scopes| !scopes.is_empty());
    let scopes = scopes.ok_or_else(|| fields.wrong("has no `scopes`"))?;
    if scopes.len() > MAX_SCOPES {
        return Err(fields.wrong(format!("has more than {MAX_SCOPES} `scopes`")));
    }
    if let Some(scope) = scopes.iter().find(|scope| !is_scope(scope)) {
        let scope: String = scope.chars().take(MAX_SCOPE).collect();
        return Err(fields.wrong(format!(
            "has the scope `{}`, which is none: `host`, `host/namespace`, `host/repository[:tag][@digest]` and \
             `*.host` are",
            scope.escape_debug()
        )));
    }
    let mut policy = object(&mut fields, "policy")?;
    fields.end()?;
    let (root, rekor) = root(object(&mut policy, "rootOfTrust")?)?;
    let place = policy.place("signedIdentity");
    let identity = match policy.take("signedIdentity") {
        None | Some(Json::Null) => Identity::MatchRepoDigestOrExact,
        Some(value) => identity(Fields::new(&place, value)?)?,
    };
    policy.end()?;
    Ok(ImagePolicy { namespace, scopes, requirement: SigstoreSigned { root, rekor, identity } })
}

fn root(mut fields: Fields) -> Result<(Root, Option<Keys>), PolicyError> {
    let kind = needed(&mut fields, "policyType")?;
    let found = match kind.as_str() {
        "PublicKey" => {
            let mut key = object(&mut fields, "publicKey")?;
            let data = pem(&mut key, "keyData", "PUBLIC KEY")?;
            let rekor = optional_pem(&mut key, "rekorKeyData", "PUBLIC KEY")?;
            key.end()?;
            (Root::Keys(data), rekor)
        }
        "FulcioCAWithRekor" => {
            let mut fulcio = object(&mut fields, "fulcioCAWithRekor")?;
            let ca = pem(&mut fulcio, "fulcioCAData", "CERTIFICATE")?;
            let rekor = pem(&mut fulcio, "rekorKeyData", "PUBLIC KEY")?;
            let mut subject = object(&mut fulcio, "fulcioSubject")?;
            let (oidc_issuer, subject_email) =
                (needed(&mut subject, "oidcIssuer")?, needed(&mut subject, "signedEmail")?);
            subject.end()?;
            fulcio.end()?;
            (Root::Fulcio(Fulcio { ca, oidc_issuer, subject_email }), Some(rekor))
        }
        "PKI" => {
            let mut pki = object(&mut fields, "pki")?;
            let ca_roots = pem(&mut pki, "caRootsData", "CERTIFICATE")?;
            let ca_intermediates = optional_pem(&mut pki, "caIntermediatesData", "CERTIFICATE")?;
            let mut subject = object(&mut pki, "pkiCertificateSubject")?;
            let subject_email = subject.text("email")?.filter(|text| !text.is_empty());
            let subject_hostname = subject.text("hostname")?.filter(|text| !text.is_empty());
            if subject_email.is_none() && subject_hostname.is_none() {
                return Err(subject.wrong("needs `email` or `hostname`"));
            }
            subject.end()?;
            pki.end()?;
            (Root::Pki(Pki { ca_roots, ca_intermediates, subject_email, subject_hostname }), None)
        }
        other => return Err(fields.wrong(format!("has the unknown `policyType` `{other}`"))),
    };
    fields.end()?;
    Ok(found)
}

fn identity(mut fields: Fields) -> Result<Identity, PolicyError> {
    let kind = needed(&mut fields, "matchPolicy")?;
    let name = |fields: &mut Fields, key: &str, fits: fn(&str) -> bool| {
        let text = needed(fields, key)?;
        let host = text.split('/').next().unwrap_or_default();
        let is_full = is_domain(host) && fits(&text);
        if is_full { Ok(text) } else { Err(fields.wrong(format!("`{key}`: `{text}` is no full name"))) }
    };
    let identity = match kind.as_str() {
        "MatchRepoDigestOrExact" => Identity::MatchRepoDigestOrExact,
        "MatchRepository" => Identity::MatchRepository,
        "ExactRepository" => {
            let mut exact = object(&mut fields, "exactRepository")?;
            let repository = name(&mut exact, "repository", is_repository)?;
            exact.end()?;
            Identity::ExactRepository(repository)
        }
        "RemapIdentity" => {
            let mut remap = object(&mut fields, "remapIdentity")?;
            let prefix = name(&mut remap, "prefix", is_prefix)?;
            let signed_prefix = name(&mut remap, "signedPrefix", is_prefix)?;
            remap.end()?;
            Identity::RemapIdentity { prefix, signed_prefix }
        }
        other => return Err(fields.wrong(format!("has the unknown `matchPolicy` `{other}`"))),
    };
    fields.end()?;
    Ok(identity)
}

fn is_repository(text: &str) -> bool {
    is_named(text) && Name::parse(text).is_some_and(|name| name.tag.is_none() && name.digest.is_none())
}

fn object(fields: &mut Fields, key: &str) -> Result<Fields, PolicyError> {
    let place = fields.place(key);
    let value = fields.take(key).ok_or_else(|| fields.wrong(format!("has no `{key}`")))?;
    Fields::new(&place, value)
}

fn needed(fields: &mut Fields, key: &str) -> Result<String, PolicyError> {
    let text = fields.text(key)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| fields.wrong(format!("has no `{key}`")))
}

fn pem(fields: &mut Fields, key: &str, label: &str) -> Result<Keys, PolicyError> {
    optional_pem(fields, key, label)?.ok_or_else(|| fields.wrong(format!("has no `{key}`")))
}

/// PEM in base64, from its first line to its last: the API server looks at these two.
fn optional_pem(fields: &mut Fields, key: &str, label: &str) -> Result<Option<Keys>, PolicyError> {
    let Some(bytes) = fields.bytes(key)?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    if whole.starts_with(begin.as_bytes()) && whole.ends_with(end.as_bytes()) {
        return Ok(Some(Keys::Data(vec![bytes])));
    }
    Err(fields.wrong(format!("`{key}` is no base64 of PEM from `{begin}` to `{end}`")))
}

/// A full domain, or `localhost`, with a port perhaps.
fn is_domain(text: &str) -> bool {
    let name = text.split(':').next().unwrap_or_default();
    is_host(text) && (name.contains('.') || name == "localhost")
}

fn is_scope(text: &str) -> bool {
    if text.len() > MAX_SCOPE {
        return false;
    }
    if let Some(domain) = text.strip_prefix("*.") {
        return is_host(domain) && !domain.contains(':');
    }
    match text.split_once('/') {
        None => is_domain(text),
        Some((host, _)) => is_domain(host) && Name::parse(text).is_some(),
    }
}

/// Whether a scope is another one or stands within it, as machine-config-operator sees it.
pub(super) fn is_nested(inner: &str, outer: &str) -> bool {
    if inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/')) {
        return true;
    }
    let Some(domain) = outer.strip_prefix('*') else { return false };
    // A port, a tag or a digest ends the part that is compared; before a tag stands a path, which is none.
    let end = if inner.contains(':') { ':' } else { '/' };
    let host = inner.split(end).next().unwrap_or_default();
    host.ends_with(domain) && !host.contains('/')
}

#[cfg(test)]
mod tests;
