//! registries.d: where signatures of images are, beside registries. Format: containers-registries.d(5);
//! what is read of which file is what containers/image does.
//!
//! [`RegistriesD`] is a value made from texts. A namespace that two files define makes runtimes refuse
//! every image, and so it is an error here.

use super::Error;
use crate::model::{Reference, Tree};
use crate::trust::scopes;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of the system.
pub const FOLDER: &str = "etc/containers/registries.d";

/// What all files say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistriesD {
    default: Option<Entry>,
    docker: BTreeMap<String, Entry>,
}

/// What is said of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file that says it.
    pub file: PathBuf,
    /// Where signatures are read: `http:`, `https:` or `file:`.
    pub lookaside: Option<String>,
    /// Whether signatures that are attached in the registry are looked for.
    pub use_sigstore_attachments: Option<bool>,
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<'a, T> {
    /// The value.
    pub value: T,
    /// The namespace that decides, `default-docker` among them; `None` where nothing is said.
    pub namespace: Option<&'a str>,
    /// The file that says so.
    pub file: Option<&'a Path>,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "default-docker")]
    default: Option<Written>,
    docker: Option<BTreeMap<String, Option<Written>>>,
}

#[derive(Deserialize)]
struct Written {
    lookaside: Option<String>,
    /// What `lookaside` was called first; it stands back behind that.
    sigstore: Option<String>,
    #[serde(rename = "use-sigstore-attachments")]
    use_sigstore_attachments: Option<bool>,
}

impl Written {
    fn entry(self, file: &Path) -> Entry {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Entry {
            file: file.to_owned(),
            lookaside: filled(self.lookaside).or(filled(self.sigstore)),
            use_sigstore_attachments: self.use_sigstore_attachments,
        }
    }
}

impl RegistriesD {
    /// Merges files, each with its path.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Result<Self, Error> {
        let mut all = Self::default();
        for (path, text) in files {
            let wrong = |detail: String| Error::Configuration { path: path.to_owned(), detail };
            let twice = |name: &str, other: &Entry| {
                wrong(format!("`{name}` is defined in {} too: runtimes refuse every image then", other.file.display()))
            };
            // An empty file says nothing.
            let file: Option<File> = serde_yaml::from_str(text).map_err(|e| wrong(e.to_string()))?;
            let Some(File { default, docker }) = file else { continue };
            if let Some(default) = default {
                if let Some(other) = &all.default {
                    return Err(twice("default-docker", other));
                }
                all.default = Some(default.entry(path));
            }
            for (name, written) in docker.unwrap_or_default() {
                if let Some(other) = all.docker.get(&name) {
                    return Err(twice(&name, other));
                }
                let nothing = Written { lookaside: None, sigstore: None, use_sigstore_attachments: None };
                all.docker.insert(name, written.unwrap_or(nothing).entry(path));
            }
        }
        Ok(all)
    }

    /// Reads files.
    pub fn read(paths: &[PathBuf]) -> Result<Self, Error> {
        let read = |path: &PathBuf| {
            let wrong = |e: std::io::Error| Error::Configuration { path: path.clone(), detail: e.to_string() };
            super::read_settings(path).map(|text| (path.clone(), text)).map_err(wrong)
        };
        let files: Vec<(PathBuf, String)> = paths.iter().map(read).collect::<Result<_, _>>()?;
        Self::parse(files.iter().map(|(path, text)| (path.as_path(), text.as_str())))
    }

    /// What runtimes of a root read.
    pub fn from_tree(tree: &Tree) -> Result<Self, Error> {
        let names = tree.names(FOLDER).into_iter().filter(|name| is_read(name));
        let paths: Vec<String> = names.map(|name| format!("{FOLDER}/{name}")).collect();
        let files = paths.iter().filter(|path| tree.file(path).is_some()).map(|path| {
            let shown = Path::new("/").join(path);
            match tree.bytes(path).map(str::from_utf8) {
                Some(Ok(text)) => Ok((shown, text)),
                Some(Err(e)) => Err(Error::Configuration { path: shown, detail: e.to_string() }),
                None => Err(Error::Configuration { path: shown, detail: "its content was not kept".to_owned() }),
            }
        });
        let files: Vec<(PathBuf, &str)> = files.collect::<Result<_, _>>()?;
        Self::parse(files.iter().map(|(path, text)| (path.as_path(), *text)))
    }

    /// Where signatures of an image are read; `None` where no file says it.
    pub fn lookaside(&self, reference: &Reference) -> Setting<'_, Option<&str>> {
        self.decide(reference, |entry| entry.lookaside.as_deref())
            .map_or(Setting { value: None, namespace: None, file: None }, |Setting { value, namespace, file }| {
                Setting { value: Some(value), namespace, file }
            })
    }

    /// Whether runtimes look for signatures that are attached to an image in its registry. The name is
    /// the one that is really asked: a mirror's.
    pub fn use_sigstore_attachments(&self, reference: &Reference) -> Setting<'_, bool> {
        let nothing = Setting { value: false, namespace: None, file: None };
        self.decide(reference, |entry| entry.use_sigstore_attachments).unwrap_or(nothing)
    }

    /// The narrowest namespace that says something.
    fn decide<'a, T>(&'a self, reference: &Reference, say: impl Fn(&'a Entry) -> Option<T>) -> Option<Setting<'a, T>> {
        let found = scopes::of_docker(reference).into_iter().find_map(|scope| {
            let (name, entry) = self.docker.get_key_value(&scope)?;
            Some((name.as_str(), entry, say(entry)?))
        });
        let default = || self.default.as_ref().and_then(|entry| Some(("default-docker", entry, say(entry)?)));
        let (name, entry, value) = found.or_else(default)?;
        Some(Setting { value, namespace: Some(name), file: Some(&entry.file) })
    }

    /// The namespaces that are defined, with their files.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.docker.iter().map(|(name, entry)| (name.as_str(), entry.file.as_path()))
    }
}

/// Whether a file of the folder is read at all.
pub fn is_read(name: &str) -> bool {
    // As it is written: capitals make it another file.
    name.strip_suffix(".yaml").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(files: &[(&str, &str)]) -> Result<RegistriesD, Error> {
        RegistriesD::parse(files.iter().map(|(path, text)| (Path::new(*path), *text)))
    }

    #[test]
    fn the_narrowest_namespace_that_says_something_decides() {
        let all = parse(&[
            ("a.yaml", "default-docker:\n  sigstore: file:///default\n  use-sigstore-attachments: true\n"),
            ("b.yaml", "docker:\n  quay.io:\n    lookaside: https://quay.example\n  quay.io/team/app:\n    use-sigstore-attachments: false\n"),
            ("c.yaml", "docker:\n  '*.example.com':\n    lookaside: file:///wild\n    sigstore: file:///old\n  empty.example:\n"),
            ("empty.yaml", ""),
        ])
        .unwrap();
        for (name, lookaside, attachments) in [
            ("quay.io/team/app:v1", Some("https://quay.example"), false),
            ("quay.io/team/other:v1", Some("https://quay.example"), true),
            ("a.example.com/x:1", Some("file:///wild"), true),
            ("empty.example/x", Some("file:///default"), true),
        ] {
            let reference: Reference = name.parse().unwrap();
            assert_eq!(all.lookaside(&reference).value, lookaside, "{name}");
            assert_eq!(all.use_sigstore_attachments(&reference).value, attachments, "{name}");
        }
        let app: Reference = "quay.io/team/app:v1".parse().unwrap();
        let setting = all.use_sigstore_attachments(&app);
        assert_eq!((setting.namespace, setting.file), (Some("quay.io/team/app"), Some(Path::new("b.yaml"))));
        assert_eq!(RegistriesD::default().lookaside(&app).value, None);
        assert!(!RegistriesD::default().use_sigstore_attachments(&app).value);
    }

    #[test]
    fn what_makes_runtimes_refuse_everything_is_an_error() {
        let docker = "docker:\n  quay.io:\n    lookaside: file:///x\n";
        for (files, why) in [
            (vec![("a.yaml", docker), ("b.yaml", docker)], "`quay.io` is defined in a.yaml too"),
            (vec![("a.yaml", "default-docker: {}"), ("b.yaml", "default-docker: {}")], "`default-docker` is defined"),
            (vec![("a.yaml", "docker: [")], "reading a.yaml"),
            (vec![("a.yaml", "docker:\n  x:\n    use-sigstore-attachments: maybe\n")], "reading a.yaml"),
        ] {
            let error = parse(&files).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
