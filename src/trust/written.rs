//! Requirements as policy.json writes them, and as they must be written for another place.

use super::requirement::{Fulcio, Identity, KeyType, Keys, Pki, Requirement, Root, SignedBy, SigstoreSigned};
use crate::model::Reference;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

impl Requirement {
    /// The requirement as JSON: what is read of it is this requirement again.
    pub fn to_json(&self) -> Value {
        match self {
            Self::InsecureAcceptAnything => json!({ "type": "insecureAcceptAnything" }),
            Self::Reject => json!({ "type": "reject" }),
            Self::SignedBaseLayer(identity) => {
                json!({ "type": "signedBaseLayer", "baseLayerIdentity": identity.to_json() })
            }
            Self::SignedBy(SignedBy { key_type, keys, identity }) => {
                let mut fields = object("signedBy", identity);
                fields.insert("keyType".into(), json!(key_type.name()));
                // Of data, unlike elsewhere, there is no list.
                match keys {
                    Keys::Paths(paths) => drop(fields.insert("keyPaths".into(), json!(paths))),
                    Keys::Data(data) => drop(fields.insert("keyData".into(), json!(STANDARD.encode(data.concat())))),
                }
                Value::Object(fields)
            }
            Self::SigstoreSigned(SigstoreSigned { root, rekor, identity }) => {
                let mut fields = object("sigstoreSigned", identity);
                match root {
                    Root::Keys(keys) => put(&mut fields, "key", keys),
                    Root::Fulcio(Fulcio { ca, oidc_issuer, subject_email }) => {
                        let mut fulcio = Map::new();
                        put(&mut fulcio, "ca", ca);
                        fulcio.insert("oidcIssuer".into(), json!(oidc_issuer));
                        fulcio.insert("subjectEmail".into(), json!(subject_email));
                        fields.insert("fulcio".into(), Value::Object(fulcio));
                    }
                    Root::Pki(pki) => drop(fields.insert("pki".into(), pki.to_json())),
                }
                if let Some(rekor) = rekor {
                    put(&mut fields, "rekorPublicKey", rekor);
                }
                Value::Object(fields)
            }
        }
    }

    /// The same requirement for an image in a folder, which has no name that a policy knows: what is
    /// said of the name it is pulled by is said of `reference` itself. `None` for what is not asked at boot:
    /// what no image fulfils, and OpenPGP signatures, which are judged before shipping and need gpg.
    #[must_use]
    pub fn for_folder(&self, reference: &Reference) -> Option<Self> {
        match self {
            Self::SigstoreSigned(SigstoreSigned { root, rekor, identity }) => {
                let identity = identity.for_folder(reference);
                Some(Self::SigstoreSigned(SigstoreSigned { root: root.clone(), rekor: rekor.clone(), identity }))
            }
            _ => None,
        }
    }

    /// The files that it names.
    pub fn paths(&self) -> Vec<&str> {
        let mut all: Vec<&Keys> = Vec::new();
        match self {
            Self::SignedBy(signed) => all.push(&signed.keys),
            Self::SigstoreSigned(signed) => {
                all.extend(&signed.rekor);
                match &signed.root {
                    Root::Keys(keys) => all.push(keys),
                    Root::Fulcio(fulcio) => all.push(&fulcio.ca),
                    Root::Pki(pki) => all.extend([&pki.ca_roots].into_iter().chain(&pki.ca_intermediates)),
                }
            }
            _ => {}
        }
        let paths = all.into_iter().filter_map(|keys| if let Keys::Paths(paths) = keys { Some(paths) } else { None });
        paths.flatten().map(String::as_str).collect()
    }
}

fn object(kind: &str, identity: &Identity) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("type".into(), json!(kind));
    fields.insert("signedIdentity".into(), identity.to_json());
    fields
}

/// Puts `<name>Path`, `<name>Paths`, `<name>Data` or `<name>Datas`. Single ones are understood by older runtimes too.
fn put(fields: &mut Map<String, Value>, name: &str, keys: &Keys) {
    let (suffix, value) = match keys {
        Keys::Paths(paths) => match paths.as_slice() {
            [path] => ("Path", json!(path)),
            paths => ("Paths", json!(paths)),
        },
        Keys::Data(datas) => match datas.as_slice() {
            [data] => ("Data", json!(STANDARD.encode(data))),
            datas => ("Datas", datas.iter().map(|data| STANDARD.encode(data)).collect()),
        },
    };
    fields.insert(format!("{name}{suffix}"), value);
}

impl KeyType {
    fn name(self) -> &'static str {
        match self {
            Self::GpgKeys => "GPGKeys",
            Self::SignedByGpgKeys => "signedByGPGKeys",
            Self::X509Certificates => "X509Certificates",
            Self::SignedByX509Cas => "signedByX509CAs",
        }
    }
}

impl Pki {
    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        put(&mut fields, "caRoots", &self.ca_roots);
        if let Some(intermediates) = &self.ca_intermediates {
            put(&mut fields, "caIntermediates", intermediates);
        }
        for (key, value) in [("subjectEmail", &self.subject_email), ("subjectHostname", &self.subject_hostname)] {
            fields.extend(value.as_ref().map(|value| (key.to_owned(), json!(value))));
        }
        Value::Object(fields)
    }
}

impl Identity {
    fn to_json(&self) -> Value {
        match self {
            Self::MatchExact => json!({ "type": "matchExact" }),
            Self::MatchRepoDigestOrExact => json!({ "type": "matchRepoDigestOrExact" }),
            Self::MatchRepository => json!({ "type": "matchRepository" }),
            Self::ExactReference(text) => json!({ "type": "exactReference", "dockerReference": text }),
            Self::ExactRepository(text) => json!({ "type": "exactRepository", "dockerRepository": text }),
            Self::RemapIdentity { prefix, signed_prefix } => {
                json!({ "type": "remapIdentity", "prefix": prefix, "signedPrefix": signed_prefix })
            }
        }
    }

    /// What must have been signed, as far as a folder can be asked for it. By digest any name of the
    /// repository will do there; that it has a tag too is for the verdict before shipping.
    fn for_folder(&self, reference: &Reference) -> Self {
        let repository = reference.repository().to_string();
        let by_digest = reference.digest();
        let exact = |repository: &str| match (by_digest, reference.tag()) {
            (Some(digest), _) => Self::ExactReference(format!("{repository}@{digest}")),
            (None, tag) => Self::ExactReference(format!("{repository}:{}", tag.unwrap_or("latest"))),
        };
        let digest_or_exact = |repository: &str| {
            if by_digest.is_some() { Self::ExactRepository(repository.to_owned()) } else { exact(repository) }
        };
        match self {
            Self::MatchExact => exact(&repository),
            Self::MatchRepoDigestOrExact => digest_or_exact(&repository),
            Self::MatchRepository => Self::ExactRepository(repository),
            Self::ExactReference(_) | Self::ExactRepository(_) => self.clone(),
            Self::RemapIdentity { prefix, signed_prefix } => match repository.strip_prefix(prefix) {
                Some("") => digest_or_exact(signed_prefix),
                Some(rest) if rest.starts_with('/') => digest_or_exact(&format!("{signed_prefix}{rest}")),
                _ => digest_or_exact(&repository),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Policy;
    use super::*;

    const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn read(requirement: &Value) -> Requirement {
        let text = json!({ "default": [requirement] }).to_string();
        let policy = Policy::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}\n{e}"));
        policy.requirements("dir", &[]).0[0].clone()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let identity =
            |identity: Value| json!({ "type": "sigstoreSigned", "keyPath": "/k", "signedIdentity": identity });
        for value in [
            json!({ "type": "insecureAcceptAnything" }),
            json!({ "type": "reject" }),
            json!({ "type": "signedBaseLayer", "baseLayerIdentity": { "type": "matchExact" } }),
            json!({ "type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k" }),
            json!({ "type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/k", "/l"] }),
            json!({ "type": "signedBy", "keyType": "GPGKeys", "keyData": "aGk=" }),
            json!({ "type": "sigstoreSigned", "keyDatas": ["aGk=", "aG8="], "rekorPublicKeyPaths": ["/r", "/s"] }),
            json!({ "type": "sigstoreSigned", "keyPaths": ["/k", "/l"], "rekorPublicKeyData": "aGk=" }),
            json!({ "type": "sigstoreSigned", "rekorPublicKeyPath": "/r",
                "fulcio": { "caData": "aGk=", "oidcIssuer": "i", "subjectEmail": "e" } }),
            json!({ "type": "sigstoreSigned", "pki": { "caRootsPath": "/c", "subjectHostname": "h" } }),
            json!({ "type": "sigstoreSigned", "pki": { "caRootsData": "aGk=", "caIntermediatesPath": "/i", "subjectEmail": "e" } }),
            identity(json!({ "type": "matchExact" })),
            identity(json!({ "type": "matchRepository" })),
            identity(json!({ "type": "exactReference", "dockerReference": "a.io/x:1" })),
            identity(json!({ "type": "exactRepository", "dockerRepository": "a.io/x" })),
            identity(json!({ "type": "remapIdentity", "prefix": "a.io", "signedPrefix": "b.io" })),
        ] {
            let requirement = read(&value);
            assert_eq!(read(&requirement.to_json()), requirement, "{value}");
        }
    }

    #[test]
    fn a_folder_is_asked_for_what_its_name_would_be_asked_for() {
        let (tag, digest) = ("a.io/team/x:v1".to_owned(), format!("a.io/team/x:v1@{DIGEST}"));
        let exact = |text: &str| Identity::ExactReference(text.to_owned());
        let repository = |text: &str| Identity::ExactRepository(text.to_owned());
        let remap =
            |prefix: &str| Identity::RemapIdentity { prefix: prefix.to_owned(), signed_prefix: "b.io/y".to_owned() };
        let by_digest = format!("a.io/team/x@{DIGEST}");
        for (identity, name, expected) in [
            (Identity::MatchExact, &tag, exact("a.io/team/x:v1")),
            (Identity::MatchExact, &digest, exact(&by_digest)),
            (Identity::MatchRepoDigestOrExact, &tag, exact("a.io/team/x:v1")),
            (Identity::MatchRepoDigestOrExact, &digest, repository("a.io/team/x")),
            (Identity::MatchRepository, &tag, repository("a.io/team/x")),
            (repository("c.io/z"), &tag, repository("c.io/z")),
            (remap("a.io"), &digest, repository("b.io/y/team/x")),
            (remap("a.io/team/x"), &tag, exact("b.io/y:v1")),
            (remap("a.io/te"), &digest, repository("a.io/team/x")),
        ] {
            let reference: Reference = name.parse().unwrap();
            assert_eq!(identity.for_folder(&reference), expected, "{identity:?} {name}");
        }
        assert_eq!(Requirement::Reject.for_folder(&tag.parse().unwrap()), None);
    }
}
