//! Where a reference is really pulled from: the `[[registry]]` that is for it, its mirrors, itself.
//!
//! Two look-ups decide. The name as it is written picks the `[[registry]]` with its mirrors; then the
//! name of every source, as it came out, is looked up again, and only that one tells whether it is
//! blocked. So a blocked registry with mirrors lives on by them, a mirror in a blocked registry is
//! left out, and `blocked` beside a `location` elsewhere blocks nothing.

use super::RegistriesConf;
use super::file::{Pull, Registry};
use crate::model::{Reference, Repository, grammar};
use std::path::PathBuf;

/// Where a reference is pulled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The `[[registry]]` that is for the reference.
    pub matched: Option<Matched>,
    /// Whether that one is `blocked`.
    pub blocked: bool,
    /// What is asked, in this order, until one has the image.
    pub sources: Vec<Source>,
    /// What would be asked if some setting were not there.
    pub skipped: Vec<Skipped>,
}

/// A `[[registry]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// Its `prefix`, or what stands for it.
    pub prefix: String,
    /// The file it stands in.
    pub file: PathBuf,
}

/// A repository that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `host[:port]/path`.
    pub repository: String,
    /// Whether plain HTTP and unknown certificates are good enough.
    pub insecure: bool,
    /// Whether it is a mirror.
    pub mirror: bool,
    /// Which setting brought it here.
    pub reason: String,
}

/// A repository that is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// `host[:port]/path`, or what the settings make of the name.
    pub repository: String,
    /// Whether it is a mirror.
    pub mirror: bool,
    /// Which setting keeps it away.
    pub reason: String,
}

impl RegistriesConf {
    /// Where runtimes that read these files pull a reference from.
    pub fn rewrite(&self, reference: &Reference) -> Route {
        self.route(reference.repository(), reference.digest().is_some())
    }

    /// The same for a repository, of which something is asked by digest or not.
    pub fn route(&self, repository: &Repository, digested: bool) -> Route {
        let name = repository.to_string();
        let Some(registry) = self.find(&name) else {
            let reason = "no [[registry]] is for it".to_owned();
            let sources = vec![Source { repository: name, insecure: false, mirror: false, reason }];
            return Route { matched: None, blocked: false, sources, skipped: Vec::new() };
        };
        let matched = Some(Matched { prefix: registry.prefix.clone(), file: registry.file.clone() });
        let mut route = Route { matched, blocked: registry.blocked, sources: Vec::new(), skipped: Vec::new() };
        let place = format!("[[registry]] `{}` in {}", registry.prefix, registry.file.display());
        for mirror in &registry.mirrors {
            let repository = moved(&name, &registry.prefix, &mirror.location);
            let restriction = match mirror.pull {
                _ if registry.mirror_by_digest_only && !digested => Some("`mirror-by-digest-only`"),
                Pull::DigestOnly if !digested => Some("`pull-from-mirror` digest-only"),
                Pull::TagOnly if digested => Some("`pull-from-mirror` tag-only"),
                _ => None,
            };
            if let Some(restriction) = restriction {
                let reason = format!("{restriction} of {place}");
                route.skipped.push(Skipped { repository, mirror: true, reason });
            } else {
                let reason = format!("mirror of {place}");
                route.sources.push(Source { repository, insecure: mirror.insecure, mirror: true, reason });
            }
        }
        let repository = moved(&name, &registry.prefix, &registry.location);
        let reason = if repository == name { place } else { format!("`location` of {place}") };
        route.sources.push(Source { repository, insecure: registry.insecure, mirror: false, reason });
        self.refuse(&mut route);
        route
    }

    /// Whether plain HTTP and unknown certificates are good enough to write to a repository. Runtimes write to
    /// the name itself, whatever its `location` and mirrors; fails with the setting that blocks it.
    pub fn destination(&self, repository: &Repository) -> Result<bool, String> {
        match self.find(&repository.to_string()) {
            Some(registry) if registry.blocked => {
                Err(format!("`blocked` of [[registry]] `{}` in {}", registry.prefix, registry.file.display()))
            }
            found => Ok(found.is_some_and(|registry| registry.insecure)),
        }
    }

    /// Takes out the sources that cannot be asked.
    fn refuse(&self, route: &mut Route) {
        // One name that is none makes runtimes give up before they ask anybody.
        let unusable =
            |source: &&Source| !grammar::is_full_repository(&source.repository) && !is_hostless(&source.repository);
        let broken = route.sources.iter().find(unusable);
        let broken = broken.map(|source| format!("`{}`, {}, is no repository", source.repository, source.reason));
        for source in std::mem::take(&mut route.sources) {
            let blocking = self.find(&source.repository).filter(|registry| registry.blocked);
            let blocked = blocking.map(|registry| {
                format!("`blocked` of [[registry]] `{}` in {}", registry.prefix, registry.file.display())
            });
            let hostless = is_hostless(&source.repository).then(|| format!("{}: it has no host", source.reason));
            match broken.clone().or(hostless).or(blocked) {
                Some(reason) => {
                    let Source { repository, mirror, .. } = source;
                    route.skipped.push(Skipped { repository, mirror, reason });
                }
                None => route.sources.push(source),
            }
        }
    }

    /// The `[[registry]]` that is for a repository: the longest prefix, and of several of one length
    /// the first in the order of their bytes.
    pub(super) fn find(&self, repository: &str) -> Option<&Registry> {
        let mut found: Option<&Registry> = None;
        for registry in self.registries.values() {
            let longer = registry.prefix.len() > found.map_or(0, |found| found.prefix.len());
            if longer && covered(repository, &registry.prefix).is_some() {
                found = Some(registry);
            }
        }
        found
    }
}

/// Whether a name is none of a registry because of an underscore or the like, which runtimes take
/// for a path: this one name cannot be asked, the others still are.
fn is_hostless(repository: &str) -> bool {
    let first = repository.split_once('/').map(|(first, _)| first);
    first.is_some_and(|first| first.contains('.') && !grammar::is_host(first)) && grammar::is_path(repository)
}

/// How much of a repository a prefix covers; `None` where it is not for it.
fn covered(repository: &str, prefix: &str) -> Option<usize> {
    let end = match prefix.strip_prefix('*').filter(|domain| domain.starts_with('.')) {
        // Only the first place where the domain stands is looked at, and only in the host.
        Some(domain) => repository.find(domain).filter(|at| !repository[..*at].contains('/'))? + domain.len(),
        None => repository.strip_prefix(prefix).map(|_| prefix.len())?,
    };
    matches!(repository.as_bytes().get(end), None | Some(b':' | b'/' | b'@')).then_some(end)
}

/// A repository with its prefix replaced; without a location it stays.
fn moved(repository: &str, prefix: &str, location: &str) -> String {
    match covered(repository, prefix) {
        Some(end) if !location.is_empty() => format!("{location}{}", &repository[end..]),
        _ => repository.to_owned(),
    }
}
