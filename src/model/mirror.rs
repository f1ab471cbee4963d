//! `Mirror`: where the images of one place stand in another, as the user writes it: `[SOURCE=]MIRROR`.

use super::reference::{Reference, Repository};
use std::fmt;

/// Where a mirror has the repositories of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Which repositories: a registry, or the beginning of a path; `None` for all of them, by their path.
    source: Option<String>,
    location: String,
}

impl std::str::FromStr for Mirror {
    type Err = String;

    /// `MIRROR`, or `SOURCE=MIRROR`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (source, location) = text.split_once('=').map_or((None, text), |(source, to)| (Some(source), to));
        let usable = |name: &str| format!("{name}/x:v1").parse::<Reference>().is_ok();
        let parts = source.into_iter().chain([location]);
        if let Some(wrong) = parts.into_iter().find(|part| !usable(part.trim_end_matches('/'))) {
            return Err(format!(
                "`{wrong}` is no registry, nor the beginning of a repository: write MIRROR or SOURCE=MIRROR"
            ));
        }
        let cut = |text: &str| text.trim_end_matches('/').to_owned();
        Ok(Self { source: source.map(cut), location: cut(location) })
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{source}={}", self.location),
            None => f.write_str(&self.location),
        }
    }
}

impl Mirror {
    /// Whether it is for some repositories only.
    pub fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// The repository that stands for another one there; `None` where it is not for it.
    pub fn of(&self, repository: &Repository) -> Option<Repository> {
        let name = repository.to_string();
        let rest = match &self.source {
            None => format!("/{}", repository.path()),
            Some(source) => {
                name.strip_prefix(source.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))?.to_owned()
            }
        };
        let moved: Reference = format!("{}{rest}:v1", self.location).parse().ok()?;
        Some(moved.repository().clone())
    }

    /// What stands for what in the words of runtimes, for a repository that this mirror has as `to`: all that the
    /// user has mapped where a source is named, else the repository alone.
    pub fn rule(&self, repository: &Repository, to: &Repository) -> (String, String) {
        match &self.source {
            Some(source) => (source.clone(), self.location.clone()),
            None => (repository.to_string(), to.to_string()),
        }
    }
}

/// The repository that stands for another one on mirrors: of several, the one with the longest source counts.
pub fn destination(mirrors: &[Mirror], repository: &Repository) -> Option<Repository> {
    chosen(mirrors, repository).map(|(_, to)| to)
}

/// The mirror that counts for a repository, and its repository there.
pub fn chosen<'a>(mirrors: &'a [Mirror], repository: &Repository) -> Option<(&'a Mirror, Repository)> {
    let fitting = mirrors.iter().filter_map(|mirror| Some((mirror, mirror.of(repository)?)));
    fitting.max_by_key(|(mirror, _)| mirror.source.as_ref().map_or(0, String::len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_stand_for_repositories() {
        let of = |mirror: &str, name: &str| {
            let name: Reference = name.parse().unwrap();
            mirror.parse::<Mirror>().unwrap().of(name.repository()).map(|to| to.to_string())
        };
        for (mirror, name, to) in [
            ("m.example:5000", "quay.io/team/app:v1", Some("m.example:5000/team/app")),
            ("m.example/quay/", "quay.io/team/app:v1", Some("m.example/quay/team/app")),
            ("quay.io=m.example/q", "quay.io/team/app:v1", Some("m.example/q/team/app")),
            ("quay.io/team/app=m.example/x", "quay.io/team/app:v1", Some("m.example/x")),
            ("quay.io/te=m.example/x", "quay.io/team/app:v1", None),
            ("other.io=m.example/x", "quay.io/team/app:v1", None),
        ] {
            assert_eq!(of(mirror, name).as_deref(), to, "{mirror} {name}");
        }
        let mirrors = ["m.example", "quay.io/team=t.example", "quay.io=q.example"];
        let mirrors: Vec<Mirror> = mirrors.iter().map(|mirror| mirror.parse().unwrap()).collect();
        for (name, to) in [
            ("quay.io/team/app:v1", "t.example/app"),
            ("quay.io/teams/app:v1", "q.example/teams/app"),
            ("docker.io/app:v1", "m.example/library/app"),
            // Where the longest source gives no name, the next one counts.
            ("quay.io/team:v1", "q.example/team"),
        ] {
            let name: Reference = name.parse().unwrap();
            assert_eq!(
                destination(&mirrors, name.repository()).map(|to| to.to_string()).as_deref(),
                Some(to),
                "{name}"
            );
            assert_eq!(destination(&mirrors[1..1], name.repository()), None);
        }
        for wrong in ["", "=", "m.example=", "UPPER/x=m.example", "m.example/A", "short"] {
            assert!(wrong.parse::<Mirror>().is_err(), "{wrong}");
        }
    }
}
