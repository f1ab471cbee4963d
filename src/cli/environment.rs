//! The environment: the one place where variables, and the files they lead to, are found.

#![expect(clippy::disallowed_methods, reason = "this is that place")]

use crate::model::Failure;
use crate::registry::auth;
use std::env;
use std::path::{Path, PathBuf};

/// An environment variable that names a path; empty counts as unset, as in containers/image.
fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Modification time of everything that is written: `SOURCE_DATE_EPOCH`, else 0.
pub fn source_date_epoch() -> Result<i64, Failure> {
    match env::var("SOURCE_DATE_EPOCH") {
        Ok(value) if !value.is_empty() => value.trim().parse().map_err(|e: std::num::ParseIntError| {
            Failure::usage(format!("`SOURCE_DATE_EPOCH` is `{value}`, which is no number of seconds")).because(e)
        }),
        _ => Ok(0),
    }
}

/// Where credentials stand: `--authfile`, else `REGISTRY_AUTH_FILE`, else the files that
/// containers-auth.json(5) lists.
pub fn auth_files(authfile: Option<&Path>) -> auth::Search {
    if let Some(file) = authfile.map(Path::to_owned).or_else(|| path("REGISTRY_AUTH_FILE")) {
        return auth::Search { files: vec![file], required: true };
    }
    let home = path("HOME");
    let runtime = path("XDG_RUNTIME_DIR");
    let by_user = PathBuf::from(format!("/run/containers/{}", rustix::process::getuid().as_raw()));
    let config = path("XDG_CONFIG_HOME").or_else(|| home.as_deref().map(|home| home.join(".config")));
    let mut files = auth::default_files(runtime.as_deref(), config.as_deref(), home.as_deref());
    if runtime.is_none() {
        files.insert(0, by_user.join("auth.json"));
    }
    auth::Search { files, required: false }
}

/// registries.conf and its drop-ins, in the order they are read: the user's file instead of the
/// system's where there is one, then only `*.conf` of the drop-in folders.
pub fn registries_conf() -> Vec<PathBuf> {
    let user = path("HOME").map(|home| home.join(".config/containers"));
    let system = PathBuf::from("/etc/containers");
    let mut files: Vec<PathBuf> = Vec::new();
    if let Some(file) = path("CONTAINERS_REGISTRIES_CONF") {
        files.push(file);
    } else {
        let candidates = user.iter().chain([&system]).map(|dir| dir.join("registries.conf"));
        files.extend(candidates.into_iter().find(|file| file.exists()));
    }
    for dir in [&system].into_iter().chain(&user) {
        let Ok(entries) = dir.join("registries.conf.d").read_dir() else { continue };
        let mut drop_ins: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
        drop_ins.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
        drop_ins.sort();
        files.extend(drop_ins);
    }
    files
}
