//! Scopes: the names under which policy.json knows images, from the narrowest to the widest.

use crate::model::Reference;
use crate::model::grammar::is_digest;

/// The scopes of a `dir:` image: its folder, then every folder above it but `/`, whose place the
/// transport's own default takes. The path must be absolute and without links, because runtimes
/// follow them before they look.
pub fn of_dir(path: &str) -> Vec<String> {
    let path = clean(path);
    let above = path.match_indices('/').map(|(at, _)| &path[..at]).filter(|path| !path.is_empty());
    let mut scopes: Vec<String> = above.chain([path.as_str()]).map(str::to_owned).collect();
    scopes.reverse();
    scopes
}

/// The scopes of a `docker:` image: the reference, its repository, each namespace, the registry,
/// and `*.` before each domain above the registry's own. Of a reference with tag and digest the
/// digest is asked for, as CRI-O does.
pub fn of_docker(reference: &Reference) -> Vec<String> {
    let repository = reference.repository().to_string();
    let identity = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => format!("{repository}@{digest}"),
        (None, tag) => format!("{repository}:{}", tag.unwrap_or("latest")),
    };
    let mut scopes = vec![identity, repository.clone()];
    scopes.extend(repository.rmatch_indices('/').map(|(at, _)| repository[..at].to_owned()));
    let host = reference.repository().host().split(':').next().unwrap_or_default();
    scopes.extend(host.match_indices('.').map(|(at, _)| format!("*{}", &host[at..])));
    scopes
}

/// Fails where no image of a transport can be known by a scope, which runtimes take for an error in
/// the policy. Transports that nobody knows have any scope.
pub(super) fn check(transport: &str, scope: &str) -> Result<(), String> {
    match transport {
        "dir" | "oci" | "oci-archive" | "sif" => check_path(scope),
        "docker-archive" | "tarball" => Err(format!("cannot be: `{transport}` has no scope but `\"\"`")),
        "docker-daemon" if is_digest(scope) => Err("cannot be: a digest is no scope of `docker-daemon`".to_owned()),
        "containers-storage" => check_storage(scope),
        "atomic" if !is_atomic(scope) => {
            Err("cannot be: a scope of `atomic` is `host/namespace/stream:tag`".to_owned())
        }
        _ => Ok(()),
    }
}

fn check_path(scope: &str) -> Result<(), String> {
    if !scope.starts_with('/') {
        return Err("cannot be: a scope is an absolute path here".to_owned());
    }
    if scope == "/" {
        return Err("cannot be: the scope for everything is `\"\"`".to_owned());
    }
    let clean = clean(scope);
    if clean == scope { Ok(()) } else { Err(format!("cannot be: write the path as `{clean}`")) }
}

/// `[driver@/root]name@id`, of which the name may be missing.
fn check_storage(scope: &str) -> Result<(), String> {
    let form = || "cannot be: a scope of `containers-storage` begins with `[driver@/root]` or `[/root]`".to_owned();
    let (store, name) = scope.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(form)?;
    let root = match store.split_once('@') {
        Some((driver, root)) if !driver.is_empty() => root,
        Some(_) => "",
        None => store,
    };
    if !root.starts_with('/') {
        return Err(form());
    }
    let is_id = |text: &str| is_digest(&format!("sha256:{text}"));
    let parts: Vec<&str> = name.splitn(3, '@').collect();
    let fits = match parts[..] {
        [_, id] => is_id(id) || is_digest(id),
        [_, digest, id] => is_digest(digest) && is_id(id),
        _ => true,
    };
    if fits { Ok(()) } else { Err("cannot be: what follows `@` is neither digest nor image id".to_owned()) }
}

/// `host[/namespace[/stream[:tag]]]`.
fn is_atomic(scope: &str) -> bool {
    match scope.split('/').collect::<Vec<_>>()[..] {
        [_] => true,
        [_, namespace] => !namespace.contains(':'),
        [_, namespace, stream] => !namespace.contains(':') && stream.matches(':').count() <= 1,
        _ => false,
    }
}

/// An absolute path without `.`, `..` and needless slashes.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_narrow_to_wide() {
        assert_eq!(of_dir("/usr/lib/x"), ["/usr/lib/x", "/usr/lib", "/usr"]);
        assert_eq!(of_dir("/usr//./lib/../x/"), ["/usr/x", "/usr"]);
        assert_eq!(of_dir("/"), ["/"]);
        let scopes = |text: &str| of_docker(&text.parse().unwrap());
        assert_eq!(
            scopes("a.b.example.com:5000/team/app:v1"),
            [
                "a.b.example.com:5000/team/app:v1",
                "a.b.example.com:5000/team/app",
                "a.b.example.com:5000/team",
                "a.b.example.com:5000",
                "*.b.example.com",
                "*.example.com",
                "*.com",
            ]
        );
        let pinned = format!("localhost/app:v1@sha256:{}", "a".repeat(64));
        assert_eq!(scopes(&pinned), [&pinned.replace(":v1", ""), "localhost/app", "localhost"]);
        assert_eq!(scopes("docker.io/x")[..2], ["docker.io/library/x:latest", "docker.io/library/x"]);
    }
}
