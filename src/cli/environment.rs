//! The environment: the one place where variables, and the files they lead to, are found.

#![expect(clippy::disallowed_methods, reason = "this is that place")]

use crate::model::Failure;
use crate::registry::proxies::Proxies;
use crate::registry::registries_conf::{RegistriesConf, ShortName};
use crate::registry::{auth, certs, registries_d};
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
    let docker = path("DOCKER_CONFIG");
    let mut files = auth::default_files(auth::Folders {
        runtime: runtime.as_deref(),
        config: config.as_deref(),
        docker: docker.as_deref(),
        home: home.as_deref(),
    });
    if runtime.is_none() {
        files.insert(0, by_user.join("auth.json"));
    }
    auth::Search { files, required: false }
}

/// Where certificates stand: `--cert-dir`, else the folders that containers-certs.d(5) lists.
pub fn certs(cert_dir: Option<&Path>) -> certs::Search {
    let own = path("HOME").map(|home| home.join(".config/containers/certs.d"));
    let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    certs::Search { dir: cert_dir.map(Path::to_owned), folders: own.into_iter().chain(system).collect() }
}

/// The files of registries.d: of `dir`, else of the user's folder where there is one, else of the system's.
pub fn registries_d(dir: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
    let own = path("HOME").map(|home| home.join(".config/containers/registries.d")).filter(|dir| dir.exists());
    let folder = dir.map(Path::to_owned).or(own).unwrap_or_else(|| Path::new("/").join(registries_d::FOLDER));
    match files_of(&folder, b".yaml") {
        Ok(files) => Ok(files),
        Err(e) if dir.is_none() && e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Failure::usage(format!("`{}` is no folder that can be read", folder.display()))
            .because(e)
            .hint("`--registries-d` names a folder with `*.yaml` in the form of containers-registries.d(5)")),
    }
}

/// Where signatures are read that no registries.d says a place for: where `podman image sign` writes them.
pub fn lookaside() -> Option<PathBuf> {
    if rustix::process::getuid().is_root() {
        return Some(PathBuf::from("/var/lib/containers/sigstore"));
    }
    let data = path("XDG_DATA_HOME").or_else(|| path("HOME").map(|home| home.join(".local/share")));
    data.map(|data| data.join("containers/sigstore"))
}

/// The proxies; of the two ways to write a variable the one in capitals counts, as in Go.
pub fn proxies() -> Proxies {
    let either = |name: &str| {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        set(name).or_else(|| set(&name.to_lowercase()))
    };
    Proxies { http: either("HTTP_PROXY"), https: either("HTTPS_PROXY"), no_proxy: either("NO_PROXY") }
}

/// How to reach a cluster: `--kubeconfig`, else the first file of `KUBECONFIG` that is there, else `~/.kube/config`.
/// Where there is none, a pod can do without. A `KUBECONFIG` that leads nowhere is no leave to take another cluster.
#[cfg(feature = "openshift")]
pub fn kubeconfig(file: Option<&Path>) -> Option<PathBuf> {
    if let Some(file) = file {
        return Some(file.to_owned());
    }
    let listed: Vec<PathBuf> =
        path("KUBECONFIG").iter().flat_map(env::split_paths).filter(|path| !path.as_os_str().is_empty()).collect();
    let home = path("HOME").map(|home| home.join(".kube/config")).filter(|file| file.exists());
    let named = listed.iter().find(|file| file.exists()).or(listed.first()).cloned();
    named.or(home)
}

/// registries.conf and its drop-ins.
pub struct ConfFiles {
    /// In the order they are read.
    pub files: Vec<PathBuf>,
    /// The main file, where it is one that the user chose.
    pub chosen: Option<PathBuf>,
}

/// Finds registries.conf and its drop-ins as containers/image does. The main file: `file`, else one that
/// the environment names, else the user's, else the system's. Then only `*.conf` of folders: of `dir`
/// alone, or of the system's and the user's; the system's has no say where the user's main file is read
/// because it is there.
pub fn registries_conf(file: Option<&Path>, dir: Option<&Path>) -> Result<ConfFiles, Failure> {
    let system = PathBuf::from("/etc/containers");
    let user = path("HOME").map(|home| home.join(".config/containers"));
    let own = user.iter().map(|dir| dir.join("registries.conf")).find(|file| file.exists());
    let form = "in the form of containers-registries.conf(5)";
    let variables = ["CONTAINERS_REGISTRIES_CONF", "REGISTRIES_CONFIG_PATH"];
    let by_variable = || variables.into_iter().find_map(|name| Some((name, path(name)?)));
    let chosen = file.map(|file| ("--registries-conf", file.to_owned())).or_else(by_variable);
    if let Some((name, file)) = &chosen {
        let missing = |e| Failure::usage(format!("`{name}` is `{}`, which is not there", file.display())).because(e);
        file.metadata().map_err(|e| missing(e).hint(format!("name a file {form}")))?;
    }
    let chosen = chosen.map(|(_, file)| file);
    let only_user = chosen.is_none() && own.is_some();
    let main = chosen.clone().or(own).unwrap_or_else(|| system.join("registries.conf"));
    let mut files = vec![main];
    if let Some(dir) = dir {
        let wrong = || format!("`--registries-conf-dir` is `{}`, which is no folder that can be read", dir.display());
        files.extend(
            drop_ins(dir)
                .map_err(|e| Failure::usage(wrong()).because(e).hint(format!("name a folder with `*.conf` {form}")))?,
        );
        return Ok(ConfFiles { files, chosen });
    }
    let folders = (!only_user).then_some(system).into_iter().chain(user);
    for dir in folders.map(|dir| dir.join("registries.conf.d")) {
        match drop_ins(&dir) {
            Ok(drop_ins) => files.extend(drop_ins),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Failure::environment(format!("reading `{}`", dir.display())).because(e)),
        }
    }
    Ok(ConfFiles { files, chosen })
}

/// What this machine's registries.conf makes of a short name, for a hint: what is embedded must not depend
/// on it.
pub fn short_name(name: &str) -> Option<String> {
    let conf = registries_conf(None, None).ok()?;
    match RegistriesConf::read(&conf.files).ok()?.short_name(name) {
        ShortName::Alias { reference, file } => {
            Some(format!("on this machine it stands for `{reference}` ({})", file.display()))
        }
        ShortName::Search { references, file, .. } => {
            Some(format!("on this machine it is looked for as `{}` ({})", references.join("`, `"), file.display()))
        }
        ShortName::Full(_) | ShortName::Unresolved(_) => None,
    }
}

/// The `*.conf` of a folder, by name.
fn drop_ins(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    files_of(dir, b".conf")
}

/// What in a folder has names with this end, by name.
fn files_of(dir: &Path, end: &[u8]) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in dir.read_dir()? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().ends_with(end) && !entry.file_type()?.is_dir() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Whether the terminal says of itself that nothing can be drawn on it.
pub fn is_dumb_terminal() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}
