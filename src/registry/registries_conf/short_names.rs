//! What a short name stands for: an alias, else every registry that is searched.

use super::RegistriesConf;
use super::file::Mode;
use crate::model::grammar::{Name, full_repository};
use std::path::PathBuf;

/// What a name is pulled as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShortName {
    /// It is not short. The name as runtimes keep it.
    Full(String),
    /// One image, by `[aliases]`.
    Alias {
        /// What the name stands for.
        reference: String,
        /// The file that says so.
        file: PathBuf,
    },
    /// What it could be, by `unqualified-search-registries`.
    Search {
        /// What is tried, in this order.
        references: Vec<String>,
        /// The file that lists the registries.
        file: PathBuf,
        /// Whether runtimes without a terminal refuse it, because several are possible and
        /// `short-name-mode` is enforcing.
        refused: bool,
    },
    /// Neither an alias nor a registry to search, or no name at all: the reason.
    Unresolved(String),
}

impl RegistriesConf {
    /// What runtimes that read these files pull for a name as a workload writes it.
    ///
    /// A runtime may also remember what a user chose, in a file of its own; a device without users
    /// has none.
    pub fn short_name(&self, text: &str) -> ShortName {
        let unresolved = |why: &str| ShortName::Unresolved(format!("`{text}` {why}"));
        let Some(name) = Name::parse(text) else { return unresolved("is no image reference") };
        let written_out = |repository: &str| full_repository(repository).map(|full| full + &name.suffix());
        if name.host().is_some() {
            return written_out(name.repository).map_or_else(|| unresolved("is no image reference"), ShortName::Full);
        }
        // An alias that was taken back leaves the name to the registries that are searched.
        if let Some((Some(alias), file)) = self.aliases.get(name.repository) {
            return ShortName::Alias { reference: format!("{alias}{}", name.suffix()), file: file.clone() };
        }
        let Some((hosts, file)) = self.search.as_ref().filter(|(hosts, _)| !hosts.is_empty()) else {
            return unresolved("is a short name, but no alias and no `unqualified-search-registries` are set for it");
        };
        let references = hosts.iter().map(|host| written_out(&format!("{host}/{}", name.repository)));
        let Some(references) = references.collect::<Option<Vec<_>>>() else {
            return unresolved("is no name in one of `unqualified-search-registries`");
        };
        let refused = references.len() > 1 && self.mode == Mode::Enforcing;
        ShortName::Search { references, file: file.clone(), refused }
    }
}
