//! policy.json: which requirements are for an image, and whether it can be used without a
//! signature. Format and strictness: containers-policy.json(5) and containers/image.

use super::json::{Fields, Json, wrong};
use super::requirement::{KeyType, Requirement};
use super::scopes;
use std::collections::{BTreeMap, BTreeSet};

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(super) default: Vec<Requirement>,
    /// By transport, then by scope; `""` is the transport's own default.
    pub(super) transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

/// Why bytes are no policy. Runtimes that read them refuse every image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}{}{detail}",
    if file.is_empty() { String::new() } else { format!("{file}: ") },
    if place.is_empty() { String::new() } else { format!("`{place}` ") }
)]
pub struct PolicyError {
    /// The file, as it was given; empty where it is known from elsewhere.
    pub file: String,
    /// Where in the document, for example `transports.docker.quay.io[0]`; empty for all of it.
    pub place: String,
    /// What is wrong.
    pub detail: String,
}

impl PolicyError {
    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        vec!["with a policy that cannot be read no image starts; containers-policy.json(5) has the format".to_owned()]
    }
}

/// What a policy says to an image that may or may not be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It can be used.
    Accepts,
    /// It cannot be used, whatever signs it: the reason.
    Rejects(String),
    /// It can be used with the right signature: which.
    NeedsSignature(String),
}

impl Policy {
    /// Reads a policy. Anything that a runtime would not understand is an error, because there it
    /// is one too: keys that are unknown or stand twice, lists of requirements that are empty,
    /// scopes that can never be asked for.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        Self::read(Json::parse(bytes)?)
    }

    pub(super) fn read(json: Json) -> Result<Self, PolicyError> {
        let mut fields = Fields::new("", json).map_err(|e| wrong("", format!("the policy {}", e.detail)))?;
        let default = fields.take("default").ok_or_else(|| wrong("", "there is no `default`"))?;
        let default = requirements("default", default)?;
        let mut transports = BTreeMap::new();
        if let Some(value) = fields.take("transports") {
            for (transport, value) in object("transports", value)? {
                let place = format!("transports.{transport}");
                let mut by_scope = BTreeMap::new();
                for (scope, value) in object(&place, value)? {
                    let place = format!("{place}.{scope}");
                    if !scope.is_empty() {
                        scopes::check(&transport, &scope).map_err(|why| wrong(&place, why))?;
                    }
                    by_scope.insert(scope, requirements(&place, value)?);
                }
                transports.insert(transport, by_scope);
            }
        }
        fields.end()?;
        Ok(Self { default, transports })
    }

    /// The requirements for an image of a transport that is known by some scopes, the narrowest
    /// first (see [`scopes`]), and what decided: `docker:quay.io/team`, `docker:` or `default`.
    pub fn requirements(&self, transport: &str, scopes: &[String]) -> (&[Requirement], String) {
        if let Some(by_scope) = self.transports.get(transport) {
            for scope in scopes.iter().map(String::as_str).chain([""]) {
                if let Some(requirements) = by_scope.get(scope) {
                    return (requirements, format!("{transport}:{scope}"));
                }
            }
        }
        (&self.default, "default".to_owned())
    }
}

impl Policy {
    /// The files that its requirements name: keys and certificates.
    pub fn paths(&self) -> BTreeSet<&str> {
        let scoped = self.transports.values().flat_map(BTreeMap::values);
        std::iter::once(&self.default).chain(scoped).flatten().flat_map(Requirement::paths).collect()
    }
}

/// What requirements, of which all must be fulfilled, mean for an image.
pub fn admits(requirements: &[Requirement]) -> Admission {
    let refused = requirements.iter().find_map(|requirement| match requirement {
        Requirement::Reject => Some("`reject`"),
        Requirement::SignedBaseLayer(_) => Some("`signedBaseLayer`, which no runtime can check"),
        Requirement::SignedBy(signed) if signed.key_type != KeyType::GpgKeys => {
            Some("`signedBy` with a `keyType` that no runtime can check")
        }
        _ => None,
    });
    let signature = requirements.iter().find_map(|requirement| match requirement {
        Requirement::SignedBy(_) => Some("`signedBy`"),
        Requirement::SigstoreSigned(_) => Some("`sigstoreSigned`"),
        _ => None,
    });
    match (refused, signature) {
        (Some(reason), _) => Admission::Rejects(reason.to_owned()),
        (None, Some(reason)) => Admission::NeedsSignature(reason.to_owned()),
        (None, None) if requirements.is_empty() => Admission::Rejects("an empty list".to_owned()),
        (None, None) => Admission::Accepts,
    }
}

fn object(place: &str, value: Json) -> Result<Vec<(String, Json)>, PolicyError> {
    match value {
        Json::Object(fields) => Ok(fields),
        _ => Err(wrong(place, "is no object")),
    }
}

fn requirements(place: &str, value: Json) -> Result<Vec<Requirement>, PolicyError> {
    let list = match value {
        Json::List(list) if !list.is_empty() => list,
        Json::List(_) | Json::Null => return Err(wrong(place, "is empty; `reject` is what refuses all")),
        _ => return Err(wrong(place, "is no list of requirements")),
    };
    let read = |(at, value)| Requirement::read(&format!("{place}[{at}]"), value);
    list.into_iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(default: &str) -> Result<Policy, PolicyError> {
        Policy::parse(format!(r#"{{"default":[{default}]}}"#).as_bytes())
    }

    #[test]
    fn the_narrowest_scope_decides() {
        let text = r#"{"default":[{"type":"reject"}],"transports":{
            "docker":{"":[{"type":"insecureAcceptAnything"}],"a.io/x":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"}],
                "*.b.io":[{"type":"sigstoreSigned","keyData":"aGk="},{"type":"reject"}]},
            "dir":{"/usr/lib":[{"type":"sigstoreSigned","keyPath":"/k"}]},
            "unheard-of":{"any scope":[{"type":"reject"}]}}}"#;
        let policy = Policy::parse(text.as_bytes()).unwrap();
        let docker = |text: &str| scopes::of_docker(&text.parse().unwrap());
        let signature = |kind: &str| Admission::NeedsSignature(format!("`{kind}`"));
        let reject = Admission::Rejects("`reject`".to_owned());
        for (transport, scopes, decides, admission) in [
            ("docker", docker("a.io/x/y:1"), "docker:a.io/x", signature("signedBy")),
            ("docker", docker("a.io/xy:1"), "docker:", Admission::Accepts),
            ("docker", docker("c.b.io/x:1"), "docker:*.b.io", reject.clone()),
            ("dir", scopes::of_dir("/usr/lib/x"), "dir:/usr/lib", signature("sigstoreSigned")),
            ("dir", scopes::of_dir("/usr/libx"), "default", reject.clone()),
            ("oci", scopes::of_dir("/usr/lib/x"), "default", reject.clone()),
        ] {
            let (requirements, by) = policy.requirements(transport, &scopes);
            assert_eq!((by.as_str(), admits(requirements)), (decides, admission), "{transport} {scopes:?}");
        }
    }

    #[test]
    fn what_no_runtime_can_check_is_refused() {
        for requirement in [
            r#"{"type":"signedBy","keyType":"X509Certificates","keyPath":"/k"}"#,
            r#"{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}"#,
        ] {
            let policy = policy(requirement).unwrap();
            assert!(matches!(admits(policy.requirements("x", &[]).0), Admission::Rejects(_)), "{requirement}");
        }
        assert!(matches!(admits(&[]), Admission::Rejects(_)));
    }

    #[test]
    fn whole_documents() {
        for (text, why) in [
            ("", "EOF"),
            ("null", "the policy is no object"),
            ("[]", "the policy is no object"),
            ("{}", "there is no `default`"),
            (r#"{"default":null}"#, "`default` is empty"),
            (r#"{"default":[]}"#, "`default` is empty"),
            (r#"{"default":{}}"#, "`default` is no list"),
            (r#"{"default":[null]}"#, "`default[0]` is no object"),
            (r#"{"default":[{"type":"reject"}],"Transports":{}}"#, "unknown key `Transports`"),
            (r#"{"default":[{"type":"reject"}],"transports":null}"#, "`transports` is no object"),
            (r#"{"default":[{"type":"reject"}],"transports":{"dir":[]}}"#, "`transports.dir` is no object"),
            (r#"{"default":[{"type":"reject"}],"transports":{"dir":{"/x":[]}}}"#, "`transports.dir./x` is empty"),
            (r#"{"default":[{"type":"reject"}],"default":[{"type":"reject"}]}"#, "stands twice"),
            (r#"{"default":[{"type":"reject"}]} x"#, "trailing"),
        ] {
            let error = Policy::parse(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(why), "{text}\n{error}");
            assert!(!error.hints().is_empty());
        }
        for (transport, scope, fits) in [
            ("dir", "/", false),
            ("dir", "x", false),
            ("oci", "/x/", false),
            ("dir", "/x", true),
            ("dir", "", true),
            ("docker", "any thing", true),
            ("tarball", "/x", false),
            ("containers-storage", "quay.io/x", false),
            ("containers-storage", "[overlay@/var/lib/containers/storage]", true),
            ("containers-storage", "[/var/lib/containers/storage]quay.io/x:v1", true),
            ("containers-storage", "[overlay@x]quay.io/x", false),
            ("containers-storage", "[/s]x@y", false),
            ("atomic", "h/n/s:t", true),
            ("atomic", "h/n/s:t/x", false),
            ("unheard-of", "/", true),
        ] {
            let text = format!(
                r#"{{"default":[{{"type":"reject"}}],"transports":{{"{transport}":{{"{scope}":[{{"type":"reject"}}]}}}}}}"#
            );
            assert_eq!(Policy::parse(text.as_bytes()).is_ok(), fits, "{text}");
        }
    }

    /// The odd ones are as in containers/image: null counts as given, an empty list only sometimes.
    #[test]
    fn requirements_one_by_one() {
        let signed = |rest: &str| format!(r#"{{"type":"signedBy",{rest}}}"#);
        let gpg = |rest: &str| signed(&format!(r#""keyType":"GPGKeys",{rest}"#));
        let sigstore = |rest: &str| format!(r#"{{"type":"sigstoreSigned",{rest}}}"#);
        let fulcio = |rest: &str| sigstore(&format!(r#""fulcio":{{{rest}}},"rekorPublicKeyData":"aGk=""#));
        let identity = |rest: &str| gpg(&format!(r#""keyPath":"/k","signedIdentity":{{{rest}}}"#));
        let who = r#""oidcIssuer":"i","subjectEmail":"e""#;
        for (fits, text) in [
            (false, r#"{"type":"none"}"#.to_owned()),
            (false, "{}".to_owned()),
            (false, r#"{"type":"reject","x":1}"#.to_owned()),
            (true, gpg(r#""keyPaths":[]"#)),
            (true, gpg(r#""keyData":"""#)),
            (true, gpg(r#""keyData":[1,255]"#)),
            (false, gpg(r#""keyData":[256]"#)),
            (false, gpg(r#""keyData":"x""#)),
            (false, gpg(r#""keyData":"aGk""#)),
            (false, gpg(r#""keyPath":"""#)),
            (false, gpg(r#""keyPaths":null"#)),
            (false, gpg(r#""keyPath":"/k","keyPaths":null"#)),
            (false, gpg(r#""keyDatas":["aGk="]"#)),
            (false, signed(r#""keyPath":"/k""#)),
            (false, signed(r#""keyType":"gpg","keyPath":"/k""#)),
            (false, r#"{"type":"signedBaseLayer"}"#.to_owned()),
            (true, sigstore(r#""keyPath":null,"keyData":"aGk=""#)),
            (false, sigstore(r#""keyPaths":[]"#)),
            (false, sigstore(r#""keyPath":"/k","keyPaths":[]"#)),
            (false, sigstore(r#""keyPath":"/k","keyDatas":null"#)),
            (true, sigstore(r#""keyDatas":["aGk=",null]"#)),
            (false, sigstore(r#""keyPath":"/k","keyData":"aGk=""#)),
            (true, sigstore(r#""keyPath":"/k","rekorPublicKeyPaths":["/r"]"#)),
            (false, sigstore(r#""keyPath":"/k","rekorPublicKeyPath":"/r","rekorPublicKeyData":"aGk=""#)),
            (true, fulcio(&format!(r#""caPath":"/c",{who}"#))),
            (false, sigstore(&format!(r#""fulcio":{{"caPath":"/c",{who}}}"#))),
            (false, fulcio(who)),
            (false, fulcio(r#""caPath":"/c","oidcIssuer":"","subjectEmail":"e""#)),
            (true, sigstore(r#""pki":{"caRootsPath":"/c","subjectHostname":"h"}"#)),
            (false, sigstore(r#""pki":{"caRootsPath":"/c"}"#)),
            (false, sigstore(r#""pki":{"caRootsPath":"/c","subjectEmail":"e"},"rekorPublicKeyPath":"/r""#)),
            (true, identity(r#""type":"matchRepository""#)),
            (false, identity(r#""type":"matchRepository","x":1"#)),
            (true, identity(r#""type":"exactReference","dockerReference":"busybox:1""#)),
            (false, identity(r#""type":"exactReference","dockerReference":"busybox""#)),
            (true, identity(r#""type":"exactRepository","dockerRepository":"a.io/x""#)),
            (false, identity(r#""type":"exactRepository","dockerRepository":"a.io/X""#)),
            (true, identity(r#""type":"remapIdentity","prefix":"a.io:1/x","signedPrefix":"b""#)),
            (false, identity(r#""type":"remapIdentity","prefix":"a.io""#)),
            (false, identity(r#""type":"remapIdentity","prefix":"a_b","signedPrefix":"b""#)),
            (false, gpg(r#""keyPath":"/k","signedIdentity":null"#)),
        ] {
            assert_eq!(policy(&text).is_ok(), fits, "{text}\n{:?}", policy(&text));
        }
    }
}
