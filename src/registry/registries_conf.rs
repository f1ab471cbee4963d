//! registries.conf: where registries are really asked, and what short names stand for.
//! Format: containers-registries.conf(5) and containers-registries.conf.d(5), version 2.
//!
//! [`RegistriesConf`] is a value made from texts. What one file says is in `file`, what follows for
//! a reference in `route`, for a short name in `short_names`, which files a root has in `root`.

mod file;
mod root;
mod route;
mod short_names;
#[cfg(test)]
mod tests;

pub use route::{Matched, Route, Skipped, Source};
pub use short_names::ShortName;

use super::Error;
use file::{File, Mode, Registry};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The settings of all files, merged.
#[derive(Debug, Default)]
pub struct RegistriesConf {
    /// By prefix.
    registries: BTreeMap<String, Registry>,
    /// Where short names are searched, and the file that says so.
    search: Option<(Vec<String>, PathBuf)>,
    mode: Mode,
    /// Who is asked for credentials, and the file that says so.
    helpers: Option<(Vec<String>, PathBuf)>,
    /// By short name: what it stands for, `None` where that was taken back, and the file.
    aliases: BTreeMap<String, (Option<String>, PathBuf)>,
}

impl RegistriesConf {
    /// Merges files, each with its path: the main one, then its drop-ins in the order of their
    /// names. A later file replaces a `[[registry]]` of the same prefix, an alias of the same name, and
    /// each of the other values that it sets.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Result<Self, Error> {
        let mut conf = Self::default();
        for (path, text) in files {
            let file =
                File::parse(path, text).map_err(|detail| Error::Configuration { path: path.to_owned(), detail })?;
            conf.registries.extend(file.registries.into_iter().map(|registry| (registry.prefix.clone(), registry)));
            conf.aliases.extend(file.aliases.into_iter().map(|(name, alias)| (name, (alias, path.to_owned()))));
            conf.search = file.search.map(|hosts| (hosts, path.to_owned())).or(conf.search);
            conf.mode = file.mode.unwrap_or(conf.mode);
            conf.helpers = file.helpers.map(|names| (names, path.to_owned())).or(conf.helpers);
        }
        Ok(conf)
    }

    /// Reads files; those that do not exist say nothing.
    pub fn read(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut files = Vec::new();
        for path in paths {
            match super::read_settings(path) {
                Ok(text) => files.push((path.as_path(), text)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::Configuration { path: path.clone(), detail: e.to_string() }),
            }
        }
        Self::parse(files.iter().map(|(path, text)| (*path, text.as_str())))
    }

    /// `credential-helpers`, and the file that sets them: the programs that are asked for credentials, in
    /// this order; `containers-auth.json` among them stands for the files. `None` where there are none.
    pub fn credential_helpers(&self) -> Option<(&[String], &Path)> {
        let (names, file) = self.helpers.as_ref().filter(|(names, _)| !names.is_empty())?;
        Some((names, file))
    }
}
