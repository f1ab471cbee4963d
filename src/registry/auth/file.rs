//! A file with credentials: what its text says of a repository. Pure.
//!
//! Format: containers-auth.json(5), which docker's `config.json` shares; docker's older `.dockercfg` is
//! its `auths` alone. Secrets appear in no message.

use crate::model::Repository;
use base64::Engine as _;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
}

/// What a file says of a repository.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What is for it.
    pub entry: Option<FoundEntry>,
    /// Where docker keeps the credentials of every registry.
    pub store: Option<String>,
}

/// What is for a repository.
#[derive(Debug, PartialEq, Eq)]
pub enum FoundEntry {
    /// User and password.
    Password(String, String),
    /// A helper has them.
    Helper {
        /// Its name, without `docker-credential-`.
        name: String,
        /// The setting that names it.
        setting: String,
    },
    /// A setting that no lane of this program honours.
    Unsupported(String),
}

/// The forms that a file can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// containers-auth.json(5) and docker's `config.json`.
    Current,
    /// `.dockercfg`.
    Legacy,
}

/// Reads a file for one repository, as containers/image does. A helper of the registry comes before all
/// else; then the most specific key wins: the whole repository, its parents, the registry; last,
/// keys that are written in another way, as old docker files have them.
pub fn find(text: &str, form: Form, repository: &Repository) -> Result<Found, String> {
    if text.trim().is_empty() {
        return Ok(Found::default());
    }
    let parsed = match form {
        Form::Current => serde_json::from_str::<AuthFile>(text),
        Form::Legacy => serde_json::from_str(text).map(|auths| AuthFile { auths, ..AuthFile::default() }),
    };
    // The parser's own message would quote the file, and with it the secrets.
    let file = parsed.map_err(|e| format!("not an auth file (line {}, column {})", e.line(), e.column()))?;
    Ok(Found { entry: file.entry(form, repository)?, store: file.creds_store.filter(|store| !store.is_empty()) })
}

impl AuthFile {
    fn entry(&self, form: Form, repository: &Repository) -> Result<Option<FoundEntry>, String> {
        let host = repository.host();
        // Helpers know registries, no namespaces in them.
        if let Some(name) = self.cred_helpers.get(host) {
            return Ok(Some(FoundEntry::Helper { name: name.clone(), setting: format!("credHelpers.{host}") }));
        }
        let full = repository.to_string();
        let mut key = if form == Form::Current { full.as_str() } else { host };
        loop {
            if let Some(entry) = self.auths.get(key) {
                return entry.read(key);
            }
            match key.rsplit_once('/') {
                Some((parent, _)) => key = parent,
                None => break,
            }
        }
        match self.auths.iter().find(|(key, _)| host_of(key, form) == normal(host)) {
            Some((key, entry)) => entry.read(key),
            None => Ok(None),
        }
    }
}

/// The registry that a key, perhaps a URL, is for.
fn host_of(key: &str, form: Form) -> &str {
    let bare = key.strip_prefix("http://").unwrap_or(key);
    let bare = bare.strip_prefix("https://").unwrap_or(bare);
    let address = bare.len() != key.len() || form == Form::Legacy;
    normal(if address { bare.split('/').next().unwrap_or(bare) } else { bare })
}

/// One name for Docker Hub, which has several.
fn normal(host: &str) -> &str {
    if matches!(host, "docker.io" | "registry-1.docker.io") { "index.docker.io" } else { host }
}

impl Entry {
    fn read(&self, key: &str) -> Result<Option<FoundEntry>, String> {
        if self.identitytoken.as_ref().is_some_and(|token| !token.is_empty()) {
            return Ok(Some(FoundEntry::Unsupported(format!("auths.{key}.identitytoken"))));
        }
        // Where a helper has the credentials, docker leaves an empty entry behind.
        let Some(auth) = self.auth.as_deref().filter(|auth| !auth.is_empty()) else { return Ok(None) };
        let wrong = || format!("`auths.{key}.auth` is not the base64 of `user:password`");
        let decoded = base64::engine::general_purpose::STANDARD.decode(auth.trim()).map_err(|_| wrong())?;
        let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
        let (user, password) = decoded.split_once(':').ok_or_else(wrong)?;
        Ok(Some(FoundEntry::Password(user.to_owned(), password.trim_matches('\0').to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reference;

    fn repository(text: &str) -> Repository {
        text.parse::<Reference>().unwrap().repository().clone()
    }

    fn basic(user: &str) -> String {
        format!(r#"{{"auth":"{}"}}"#, base64::engine::general_purpose::STANDARD.encode(format!("{user}:p:w")))
    }

    fn user(text: &str, form: Form, reference: &str) -> Option<String> {
        match find(text, form, &repository(reference)).unwrap().entry? {
            FoundEntry::Password(user, password) => (password == "p:w").then_some(user),
            other => panic!("{reference}: {other:?}"),
        }
    }

    #[test]
    fn the_most_specific_key_wins() {
        let auths = format!(
            r#"{{"quay.io":{},"quay.io/ns":{},"quay.io/ns/repo":{},"https://index.docker.io/v1/":{},"empty.io":{{}}}}"#,
            basic("host"),
            basic("ns"),
            basic("repo"),
            basic("hub")
        );
        for (reference, current, legacy) in [
            ("quay.io/other/x", Some("host"), Some("host")),
            ("quay.io/nsx/x", Some("host"), Some("host")),
            ("quay.io/ns/x", Some("ns"), Some("host")),
            ("quay.io/ns/repo", Some("repo"), Some("host")),
            ("quay.io/ns/repo/deeper:v1", Some("repo"), Some("host")),
            ("docker.io/busybox", Some("hub"), Some("hub")),
            ("empty.io/x", None, None),
            ("elsewhere.io/x", None, None),
        ] {
            let file = format!(r#"{{"auths":{auths}}}"#);
            assert_eq!(user(&file, Form::Current, reference).as_deref(), current, "{reference}");
            assert_eq!(user(&auths, Form::Legacy, reference).as_deref(), legacy, "{reference}");
        }
    }

    #[test]
    fn keys_as_old_files_have_them() {
        for (key, reference, current, legacy) in [
            ("index.docker.io", "docker.io/x/y", true, true),
            ("registry-1.docker.io", "docker.io/x/y", true, true),
            ("http://quay.io/v2/", "quay.io/x", true, true),
            ("https://quay.io", "quay.io/x", true, true),
            ("http://https://quay.io/v1", "quay.io/x", true, true),
            ("quay.io/other", "quay.io/x", false, true),
        ] {
            let auths = format!(r#"{{"{key}":{}}}"#, basic("u"));
            let file = format!(r#"{{"auths":{auths}}}"#);
            assert_eq!(user(&file, Form::Current, reference).is_some(), current, "{key}");
            assert_eq!(user(&auths, Form::Legacy, reference).is_some(), legacy, "{key}");
        }
    }

    #[test]
    fn what_needs_another_program_is_named() {
        let helper = |key: &str| {
            Some(FoundEntry::Helper { name: "secretservice".into(), setting: format!("credHelpers.{key}") })
        };
        let all = format!(
            r#"{{"credHelpers":{{"quay.io":"secretservice","docker.io/ns":"x","a.io/ns":"x"}},"credsStore":"desktop",
                "auths":{{"quay.io":{0},"quay.io/ns/x":{0},"docker.io":{{}}}}}}"#,
            basic("u")
        );
        for (reference, entry) in [("quay.io/ns/x", helper("quay.io")), ("docker.io/ns/x", None), ("a.io/ns/x", None)] {
            let found = find(&all, Form::Current, &repository(reference)).unwrap();
            assert_eq!(found, Found { entry, store: Some("desktop".into()) }, "{reference}");
        }
        let token = r#"{"auths":{"quay.io":{"identitytoken":"x"}},"credsStore":""}"#;
        let unsupported = Some(FoundEntry::Unsupported("auths.quay.io.identitytoken".into()));
        let found = find(token, Form::Current, &repository("quay.io/ns/x")).unwrap();
        assert_eq!(found, Found { entry: unsupported, store: None });
    }

    #[test]
    fn broken_files_are_named_without_their_content() {
        let at = repository("quay.io/ns/x");
        for (file, form) in [
            (r#"{"auths":{"quay.io":{"auth":"c2VjcmV0"}}}"#, Form::Current),
            (r#"{"auths":{"quay.io":{"auth":"!secret"}}}"#, Form::Current),
            (r#"["secret"]"#, Form::Current),
            (r#"{"secret":"c2VjcmV0"}"#, Form::Legacy),
        ] {
            let error = find(file, form, &at).unwrap_err();
            assert!(!error.contains("secret") && !error.contains("c2Vj"), "{error}");
        }
        assert_eq!(find("", Form::Current, &at).unwrap(), Found::default());
    }
}
