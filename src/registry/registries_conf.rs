//! registries.conf: finds the settings that the http lane cannot honour, so that none of them is
//! silently ignored. Format: containers-registries.conf(5), version 2.

use super::Error;
use crate::model::Repository;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Deserialize, Default)]
struct File {
    #[serde(default)]
    registry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror: Vec<serde::de::IgnoredAny>,
}

/// The settings of all files.
#[derive(Default)]
pub struct RegistriesConf {
    entries: Vec<(PathBuf, Entry)>,
}

impl RegistriesConf {
    /// Reads files; those that do not exist say nothing.
    pub fn read(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut conf = Self::default();
        for path in paths {
            let wrong = |detail: String| Error::Configuration { path: path.clone(), detail };
            match std::fs::read_to_string(path) {
                Ok(text) => conf.add(path, &text).map_err(wrong)?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(wrong(e.to_string())),
            }
        }
        Ok(conf)
    }

    fn add(&mut self, path: &Path, text: &str) -> Result<(), String> {
        let file: File = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        self.entries.extend(file.registry.into_iter().map(|entry| (path.to_owned(), entry)));
        Ok(())
    }

    /// Fails where a setting for `repository` changes which host is asked, or how.
    pub fn check(&self, repository: &Repository, tls_verify: bool) -> Result<(), Error> {
        let applies = |entry: &Entry| {
            let prefix = entry.prefix.as_deref().filter(|p| !p.is_empty()).or(entry.location.as_deref());
            prefix.is_some_and(|prefix| covers(prefix, repository))
        };
        for (path, entry) in self.entries.iter().filter(|(_, entry)| applies(entry)) {
            let prefix = entry.prefix.as_deref().or(entry.location.as_deref()).unwrap_or_default();
            let moved = entry.prefix.is_some() && entry.location.is_some() && entry.prefix != entry.location;
            let settings = [
                (entry.blocked, "blocked"),
                (!entry.mirror.is_empty(), "mirror"),
                (moved, "location"),
                (entry.insecure && tls_verify, "insecure"),
            ];
            if let Some((_, name)) = settings.iter().find(|(set, _)| *set) {
                let setting = format!("`{name}` of [[registry]] `{prefix}` in {}", path.display());
                return Err(Error::Setting { setting });
            }
        }
        Ok(())
    }
}

/// Whether a prefix, perhaps `*.example.com`, covers a repository.
fn covers(prefix: &str, repository: &Repository) -> bool {
    if let Some(domain) = prefix.strip_prefix('*') {
        return repository.host().ends_with(domain) && repository.host().len() > domain.len();
    }
    let full = repository.to_string();
    full.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reference;

    #[test]
    fn settings_that_apply_are_refused_and_others_are_not() {
        let text = r#"
            unqualified-search-registries = ["quay.io"]
            [aliases]
            "x" = "quay.io/x"
            [[registry]]
            location = "plain.io"
            [[registry]]
            prefix = "*.corp.example"
            blocked = true
            [[registry]]
            prefix = "quay.io/ns"
            location = "mirror.example/ns"
            [[registry]]
            location = "insecure.io"
            insecure = true
            [[registry]]
            location = "mirrored.io"
            [[registry.mirror]]
            location = "elsewhere.io"
        "#;
        let mut conf = RegistriesConf::default();
        conf.add(Path::new("registries.conf"), text).unwrap();
        for (reference, setting) in [
            ("plain.io/x:v1", None),
            ("quay.io/nsx/y:v1", None),
            ("corp.example/x:v1", None),
            ("a.corp.example/x:v1", Some("blocked")),
            ("quay.io/ns/y:v1", Some("location")),
            ("insecure.io/x:v1", Some("insecure")),
            ("mirrored.io/x:v1", Some("mirror")),
        ] {
            let reference: Reference = reference.parse().unwrap();
            let answer = conf.check(reference.repository(), true);
            match setting {
                None => assert!(answer.is_ok(), "{reference}"),
                Some(name) => assert!(answer.unwrap_err().to_string().contains(name), "{reference}"),
            }
        }
        assert!(RegistriesConf::default().add(Path::new("x"), "[[registry]]\nlocation = 3").is_err());
    }
}
