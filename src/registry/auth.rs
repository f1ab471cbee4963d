//! Credentials: which files they stand in and which of them are for a repository.
//!
//! Format: containers-auth.json(5), which docker's config.json shares. Parsers take text; [`Search`]
//! reads the files. Credentials appear in no message and no `Debug`.

use super::Error;
use crate::model::Repository;
use base64::Engine as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where credentials may stand, best first.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The files; one that does not exist is passed over unless `required`.
    pub files: Vec<PathBuf>,
    /// The user named the file, so it must exist.
    pub required: bool,
}

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The secret.
    pub password: String,
    /// The file they stand in.
    pub file: PathBuf,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials of {} from {}", self.user, self.file.display())
    }
}

#[derive(Deserialize)]
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

/// What one file says of a repository.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Password(String, String),
    Unsupported(String),
    Nothing,
}

impl Search {
    /// The credentials for `repository`, from the first file that has any.
    pub fn find(&self, repository: &Repository) -> Result<Option<Credentials>, Error> {
        for path in &self.files {
            let unreadable = |detail: String| Error::Configuration { path: path.clone(), detail };
            let text = match std::fs::read_to_string(path) {
                Ok(text) => text,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && !self.required => continue,
                Err(e) => return Err(unreadable(e.to_string())),
            };
            match find_in(&text, repository).map_err(unreadable)? {
                Found::Password(user, password) => {
                    return Ok(Some(Credentials { user, password, file: path.clone() }));
                }
                Found::Unsupported(setting) => {
                    return Err(Error::Setting { setting: format!("`{setting}` in {}", path.display()) });
                }
                Found::Nothing => {}
            }
        }
        Ok(None)
    }
}

/// The files that containers/image searches when none is named, best first.
pub fn default_files(runtime_dir: Option<&Path>, config_home: Option<&Path>, home: Option<&Path>) -> Vec<PathBuf> {
    let containers = [runtime_dir, config_home].into_iter().flatten().map(|dir| dir.join("containers/auth.json"));
    containers.chain(home.map(|home| home.join(".docker/config.json"))).collect()
}

/// Reads an auth file for one repository. The most specific key wins: the whole repository, its
/// parents, then the registry; last, keys that are URLs, as old docker files have them.
fn find_in(text: &str, repository: &Repository) -> Result<Found, String> {
    if text.trim().is_empty() {
        return Ok(Found::Nothing);
    }
    // The parser's own message would quote the file, and with it the secrets.
    let file: AuthFile = serde_json::from_str(text)
        .map_err(|e| format!("not an auth file (line {}, column {})", e.line(), e.column()))?;
    let full = repository.to_string();
    let mut key = full.as_str();
    loop {
        if let Some(helper) = file.cred_helpers.get(key) {
            return Ok(Found::Unsupported(format!("credHelpers.{key} = {helper}")));
        }
        if let Some(entry) = file.auths.get(key) {
            return entry.read(key);
        }
        match key.rsplit_once('/') {
            Some((parent, _)) => key = parent,
            None => break,
        }
    }
    let host = repository.host();
    if let Some((key, entry)) = file.auths.iter().find(|(key, _)| host_of(key) == host) {
        return entry.read(key);
    }
    Ok(match file.creds_store {
        Some(store) if !store.is_empty() => Found::Unsupported(format!("credsStore = {store}")),
        _ => Found::Nothing,
    })
}

/// The registry that an old key, perhaps a URL, is for.
fn host_of(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    match rest.unwrap_or("").split('/').next().unwrap_or("") {
        "index.docker.io" => "docker.io",
        host => host,
    }
}

impl Entry {
    fn read(&self, key: &str) -> Result<Found, String> {
        if self.identitytoken.as_ref().is_some_and(|token| !token.is_empty()) {
            return Ok(Found::Unsupported(format!("auths.{key}.identitytoken")));
        }
        let Some(auth) = self.auth.as_deref().filter(|auth| !auth.is_empty()) else { return Ok(Found::Nothing) };
        let wrong = || format!("`auths.{key}.auth` is not the base64 of `user:password`");
        let decoded = base64::engine::general_purpose::STANDARD.decode(auth.trim()).map_err(|_| wrong())?;
        let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
        let (user, password) = decoded.split_once(':').ok_or_else(wrong)?;
        Ok(Found::Password(user.to_owned(), password.trim_end_matches('\0').to_owned()))
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

    #[test]
    fn the_most_specific_key_wins() {
        let file = format!(
            r#"{{"auths":{{"quay.io":{},"quay.io/ns":{},"quay.io/ns/repo":{},"https://index.docker.io/v1/":{},"empty.io":{{}}}}}}"#,
            basic("host"),
            basic("ns"),
            basic("repo"),
            basic("hub")
        );
        for (reference, user) in [
            ("quay.io/other/x", Some("host")),
            ("quay.io/nsx/x", Some("host")),
            ("quay.io/ns/x", Some("ns")),
            ("quay.io/ns/repo", Some("repo")),
            ("quay.io/ns/repo/deeper:v1", Some("repo")),
            ("docker.io/busybox", Some("hub")),
            ("empty.io/x", None),
            ("elsewhere.io/x", None),
        ] {
            let found = find_in(&file, &repository(reference)).unwrap();
            let expected = user.map_or(Found::Nothing, |user| Found::Password(user.into(), "p:w".into()));
            assert_eq!(found, expected, "{reference}");
        }
    }

    #[test]
    fn what_needs_another_program_is_named() {
        let at = repository("quay.io/ns/x");
        for (file, setting) in [
            (r#"{"credHelpers":{"quay.io":"secretservice"}}"#, "credHelpers.quay.io = secretservice"),
            (r#"{"credsStore":"desktop"}"#, "credsStore = desktop"),
            (r#"{"auths":{"quay.io":{"identitytoken":"x"}}}"#, "auths.quay.io.identitytoken"),
        ] {
            assert_eq!(find_in(file, &at).unwrap(), Found::Unsupported(setting.into()));
        }
    }

    #[test]
    fn broken_files_are_named_without_their_content() {
        let at = repository("quay.io/ns/x");
        for file in [
            r#"{"auths":{"quay.io":{"auth":"c2VjcmV0"}}}"#,
            r#"{"auths":{"quay.io":{"auth":"!secret"}}}"#,
            r#"["secret"]"#,
        ] {
            let error = find_in(file, &at).unwrap_err();
            assert!(!error.contains("secret") && !error.contains("c2Vj"), "{error}");
        }
        assert_eq!(find_in("", &at).unwrap(), Found::Nothing);
    }

    #[test]
    fn a_missing_file_is_an_error_only_where_the_user_named_it() {
        let files = vec![PathBuf::from("/nonexistent/auth.json")];
        let at = repository("quay.io/ns/x");
        assert!(Search { files: files.clone(), required: false }.find(&at).unwrap().is_none());
        assert!(Search { files, required: true }.find(&at).is_err());
    }
}
