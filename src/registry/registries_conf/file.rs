//! One file of registries.conf: from its text to settings that make sense, or the reason why a
//! runtime refuses it. Pure.

use crate::model::grammar;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::{Table, Value};

/// What one file says.
#[derive(Debug, Default)]
pub struct File {
    /// The `[[registry]]` tables, each prefix once.
    pub registries: Vec<Registry>,
    /// `unqualified-search-registries`, where it is set.
    pub search: Option<Vec<String>>,
    /// `short-name-mode`, where it is set.
    pub mode: Option<Mode>,
    /// `credential-helpers`, where they are set.
    pub helpers: Option<Vec<String>>,
    /// `[aliases]`: a repository, or `None` where an earlier alias is taken back.
    pub aliases: BTreeMap<String, Option<String>>,
}

/// One `[[registry]]` table.
#[derive(Debug, Clone)]
pub struct Registry {
    /// The file it stands in.
    pub file: std::path::PathBuf,
    /// Which names it is for.
    pub prefix: String,
    /// What takes the place of the prefix; empty for some wildcards: the name stays.
    pub location: String,
    /// Whether plain HTTP and unknown certificates are good enough.
    pub insecure: bool,
    /// Whether nothing is to be pulled from there.
    pub blocked: bool,
    /// Whether a tag never asks the mirrors.
    pub mirror_by_digest_only: bool,
    /// What is asked first.
    pub mirrors: Vec<Mirror>,
}

/// A `[[registry.mirror]]`.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// What takes the place of the prefix.
    pub location: String,
    /// Whether plain HTTP and unknown certificates are good enough.
    pub insecure: bool,
    /// Which references it is asked for.
    pub pull: Pull,
}

/// `pull-from-mirror`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pull {
    /// All.
    #[default]
    All,
    /// Those with a digest.
    DigestOnly,
    /// Those without.
    TagOnly,
}

/// `short-name-mode`: what happens where a short name could be several images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// All of them are tried.
    Disabled,
    /// The user is asked; without a terminal nothing is pulled.
    Enforcing,
    /// The user is asked; without a terminal all are tried.
    #[default]
    Permissive,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawFile {
    #[serde(default)]
    registry: Vec<RawRegistry>,
    unqualified_search_registries: Option<Vec<String>>,
    #[serde(default)]
    short_name_mode: String,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    credential_helpers: Option<Vec<String>>,
    #[serde(default, rename = "additional-layer-store-auth-helper")]
    _auth_helper: String,
    #[serde(default)]
    registries: BTreeMap<String, RawVersion1>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawRegistry {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    pull_from_mirror: String,
    #[serde(default)]
    mirror: Vec<RawMirror>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawMirror {
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: String,
}

#[derive(Deserialize)]
struct RawVersion1 {
    #[serde(default)]
    registries: Vec<IgnoredAny>,
}

/// The keys of each table. Where none is written like this, one in other case counts.
const FILE_KEYS: [&str; 7] = [
    "registry",
    "unqualified-search-registries",
    "short-name-mode",
    "aliases",
    "credential-helpers",
    "additional-layer-store-auth-helper",
    "registries",
];
const REGISTRY_KEYS: [&str; 7] =
    ["prefix", "location", "insecure", "blocked", "mirror-by-digest-only", "pull-from-mirror", "mirror"];
const MIRROR_KEYS: [&str; 3] = ["location", "insecure", "pull-from-mirror"];
const VERSION_1_KEYS: [&str; 3] = ["search", "insecure", "block"];

impl File {
    /// Reads a text; `path` is where it stands.
    pub fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let table = text.parse::<Table>().map_err(|e| at_line(text, &e))?;
        let raw: RawFile = in_lower_case(table).try_into().map_err(|e: toml::de::Error| e.message().to_owned())?;
        let lists = raw.registries.iter().filter(|(_, list)| !list.registries.is_empty());
        if let Some((name, _)) = lists.into_iter().find(|(name, _)| VERSION_1_KEYS.contains(&name.as_str())) {
            return Err(format!(
                "`[registries.{name}]` is version 1 of the format, which runtimes since Podman 6 refuse; write it in \
                 version 2, as `[[registry]]` and `unqualified-search-registries`"
            ));
        }
        let mut registries = Vec::new();
        for registry in &raw.registry {
            registries.push(Registry::new(path, registry)?);
        }
        refuse_conflicts(&registries)?;
        // Of several tables for one prefix the first counts.
        let mut seen = BTreeSet::new();
        registries.retain(|registry| seen.insert(registry.prefix.clone()));
        let search = raw.unqualified_search_registries.map(|list| list.iter().map(|host| searched(host)).collect());
        let mode = match raw.short_name_mode.as_str() {
            "" => None,
            "disabled" => Some(Mode::Disabled),
            "enforcing" => Some(Mode::Enforcing),
            "permissive" => Some(Mode::Permissive),
            other => return Err(format!("`short-name-mode` is `{other}`, not enforcing, permissive or disabled")),
        };
        let aliases = raw.aliases.into_iter().map(|(name, value)| alias(name, &value)).collect::<Result<_, _>>()?;
        Ok(Self { registries, search: search.transpose()?, mode, helpers: raw.credential_helpers, aliases })
    }
}

impl Registry {
    fn new(path: &Path, raw: &RawRegistry) -> Result<Self, String> {
        let location = place(&raw.location)?;
        let prefix = if raw.prefix.is_empty() { location.clone() } else { place(&raw.prefix)? };
        let wildcard = prefix.starts_with("*.");
        if raw.prefix.is_empty() && location.is_empty() {
            return Err("a [[registry]] has neither `prefix` nor `location`".to_owned());
        }
        if location.is_empty() && !wildcard {
            return Err(format!("[[registry]] `{prefix}` has no `location`, which only `*.` prefixes can do without"));
        }
        if wildcard && prefix.contains(['/', '@', ':']) {
            return Err(format!("`prefix` `{prefix}`: behind `*.` there can be nothing but a host name"));
        }
        if !raw.pull_from_mirror.is_empty() {
            return Err(format!("[[registry]] `{prefix}` sets `pull-from-mirror`, which is for mirrors"));
        }
        let mirrors = raw.mirror.iter().map(|mirror| {
            let restricted = !mirror.pull_from_mirror.is_empty();
            let mirror = Mirror::new(&prefix, mirror)?;
            if raw.mirror_by_digest_only && restricted {
                return Err(format!(
                    "[[registry]] `{prefix}` sets `mirror-by-digest-only`, and its mirror `{}` `pull-from-mirror`: \
                     only one can be set",
                    mirror.location
                ));
            }
            Ok(mirror)
        });
        let mirrors = mirrors.collect::<Result<_, _>>()?;
        Ok(Self {
            file: path.to_owned(),
            prefix,
            location,
            insecure: raw.insecure,
            blocked: raw.blocked,
            mirror_by_digest_only: raw.mirror_by_digest_only,
            mirrors,
        })
    }
}

impl Mirror {
    fn new(prefix: &str, raw: &RawMirror) -> Result<Self, String> {
        let location = place(&raw.location)?;
        if location.is_empty() {
            return Err(format!("a mirror of [[registry]] `{prefix}` has no `location`"));
        }
        let pull = match raw.pull_from_mirror.as_str() {
            "" | "all" => Pull::All,
            "digest-only" => Pull::DigestOnly,
            "tag-only" => Pull::TagOnly,
            other => {
                return Err(format!(
                    "`pull-from-mirror` of `{location}` is `{other}`, not all, digest-only or tag-only"
                ));
            }
        };
        Ok(Self { location, insecure: raw.insecure, pull })
    }
}

/// A location or prefix, without what may stand behind it.
fn place(text: &str) -> Result<String, String> {
    let place = text.trim_end_matches('/');
    if place.starts_with("http://") || place.starts_with("https://") {
        return Err(format!("`{text}` is an address; write it without `http://` or `https://`"));
    }
    Ok(place.to_owned())
}

/// Fails where two tables of one location do not agree on what is safe there.
fn refuse_conflicts(registries: &[Registry]) -> Result<(), String> {
    let key = |registry: &Registry| {
        let key = if registry.location.is_empty() { &registry.prefix } else { &registry.location };
        key.clone()
    };
    let mut first: BTreeMap<String, &Registry> = BTreeMap::new();
    for registry in registries {
        let other = first.entry(key(registry)).or_insert(registry);
        for (name, differs) in
            [("insecure", registry.insecure != other.insecure), ("blocked", registry.blocked != other.blocked)]
        {
            if differs {
                return Err(format!("`{}` has several [[registry]] tables that differ in `{name}`", key(registry)));
            }
        }
    }
    Ok(())
}

fn searched(host: &str) -> Result<String, String> {
    let host = place(host)?;
    if grammar::is_host(&host) { Ok(host) } else { Err(format!("`{host}` to search in is no `host[:port]`")) }
}

/// An alias: a short name, and the repository it stands for.
fn alias(name: String, value: &str) -> Result<(String, Option<String>), String> {
    let bare = |text| grammar::Name::parse(text).filter(|name| name.tag.is_none() && name.digest.is_none());
    if bare(&name).is_none_or(|name| name.host().is_some()) {
        return Err(format!("alias `{name}` is no name without registry, tag and digest"));
    }
    if value.is_empty() {
        return Ok((name, None));
    }
    let full = bare(value).filter(|value| value.host().is_some());
    match full.and_then(|value| grammar::full_repository(value.repository)) {
        Some(full) => Ok((name, Some(full))),
        None => Err(format!("alias `{name}` is `{value}`, which is no repository with its registry and without a tag")),
    }
}

/// Runtimes take keys in any case; all that are known are brought into one.
fn in_lower_case(table: Table) -> Table {
    let mut table = fold(table, &FILE_KEYS);
    for registry in tables(table.get_mut("registry")) {
        *registry = fold(std::mem::take(registry), &REGISTRY_KEYS);
        for mirror in tables(registry.get_mut("mirror")) {
            *mirror = fold(std::mem::take(mirror), &MIRROR_KEYS);
        }
    }
    if let Some(Value::Table(lists)) = table.get_mut("registries") {
        *lists = fold(std::mem::take(lists), &VERSION_1_KEYS);
        // What else may stand there is nobody's.
        lists.retain(|key, _| VERSION_1_KEYS.contains(&key));
        for (_, list) in lists.iter_mut() {
            if let Value::Table(list) = list {
                *list = fold(std::mem::take(list), &["registries"]);
            }
        }
    }
    table
}

fn fold(table: Table, known: &[&str]) -> Table {
    let (exact, others): (Vec<_>, Vec<_>) = table.into_iter().partition(|(key, _)| known.contains(&key.as_str()));
    let mut folded: Table = exact.into_iter().collect();
    for (key, value) in others {
        let key = known.iter().find(|known| known.eq_ignore_ascii_case(&key)).map_or(key, |known| (*known).to_owned());
        folded.entry(key).or_insert(value);
    }
    folded
}

fn tables(value: Option<&mut Value>) -> impl Iterator<Item = &mut Table> {
    let array = value.and_then(|value| match value {
        Value::Array(array) => Some(array),
        _ => None,
    });
    array.into_iter().flatten().filter_map(|value| match value {
        Value::Table(table) => Some(table),
        _ => None,
    })
}

/// What is wrong with a text, and in which line.
fn at_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("line {}: {}", before.matches('\n').count() + 1, error.message()),
        None => error.message().to_owned(),
    }
}
