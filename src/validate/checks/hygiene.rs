//! Modes, and what must not be shipped.

use super::Problems;
use crate::model::tree::{Node, NodeKind, parents};
use crate::validate::embedded::Set;
use crate::validate::{Facts, Problem};

/// Files with credentials that some system reads on purpose.
const KNOWN_SECRETS: [&str; 3] = ["etc/crio/openshift-pull-secret", "etc/ostree/auth.json", "usr/lib/ostree/auth.json"];

/// Every file and folder of a set.
fn nodes<'f>(facts: &'f Facts<'_>, set: &Set) -> impl Iterator<Item = (&'f str, &'f Node)> {
    let place = facts.tree().resolve(&set.place).map_or(set.place.clone(), |(path, _)| path);
    let own = facts.tree().iter().filter(move |(path, _)| {
        place.is_empty() || *path == place || path.strip_prefix(&place).is_some_and(|rest| rest.starts_with('/'))
    });
    own.filter(|(_, node)| !matches!(node.kind, NodeKind::Link(_)))
}

fn count(
    facts: &Facts<'_>,
    set: &Set,
    wrong: impl Fn(&Node) -> bool,
    what: &str,
    hint: &'static str,
) -> Option<Problem> {
    let found: Vec<&str> = nodes(facts, set).filter(|(_, node)| wrong(node)).map(|(path, _)| path).collect();
    let first = found.first()?;
    let message = format!("{} {what}, `/{first}` among them", found.len());
    Some(Problem::new(set.shown(), message).hint(hint))
}

/// Everybody can read the sets.
pub fn readable(facts: &Facts<'_>) -> Problems {
    let mut problems = Vec::new();
    for set in &facts.sets {
        let wrong = |node: &Node| {
            node.mode & if node.is_dir() { 0o005 } else { 0o004 } != if node.is_dir() { 0o005 } else { 0o004 }
        };
        let hint = "give files mode 0644 and folders 0755 (`chmod -R a+rX`)";
        problems.extend(count(facts, set, wrong, "files and folders cannot be read by every user", hint));
        let above =
            parents(&set.place).find(|path| facts.tree().get(path).is_some_and(|n| n.is_dir() && n.mode & 0o001 == 0));
        if let Some(above) = above {
            let message = format!("`/{above}` on the way to it cannot be entered by every user");
            problems.push(Problem::new(set.shown(), message).hint(hint));
        }
    }
    Ok(problems)
}

/// Nobody else can change the sets.
pub fn not_writable(facts: &Facts<'_>) -> Problems {
    let wrong = |node: &Node| node.mode & 0o002 != 0;
    let hint = "take the right away (`chmod -R o-w`)";
    let what = "files and folders can be changed by every user";
    Ok(facts.sets.iter().filter_map(|set| count(facts, set, wrong, what, hint)).collect())
}

/// Whether a file holds credentials for registries.
fn holds_credentials(bytes: &[u8]) -> bool {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(bytes) else { return false };
    let secret = |entry: &serde_json::Value| {
        ["auth", "identitytoken", "registrytoken", "password"]
            .iter()
            .any(|key| entry[*key].as_str().is_some_and(|s| !s.is_empty()))
    };
    let entries = json.get("auths").unwrap_or(&json).as_object();
    entries.is_some_and(|entries| entries.values().any(secret))
}

/// No credentials are left.
pub fn secrets(facts: &Facts<'_>) -> Problems {
    let files = facts.tree().iter().filter_map(|(path, node)| Some((path, node.file()?.bytes.as_deref()?)));
    let secret = files.filter(|(path, bytes)| is_secret_name(path) && holds_credentials(bytes));
    let problems = secret.map(|(path, _)| {
        let problem =
            Problem::new(format!("/{path}"), "it holds credentials of registries; who has the image has them");
        if KNOWN_SECRETS.contains(&path) {
            problem
                .hint("an image that starts offline needs none; leave it out if updates do not need it either")
                .warning()
        } else {
            problem.hint("remove it, in the same RUN that made it; give secrets to a build with `--secret`")
        }
    });
    Ok(problems.collect())
}

/// The ends of the paths where tools keep credentials.
pub const SECRET_NAMES: [&str; 6] =
    ["auth.json", ".docker/config.json", ".dockercfg", "openshift-pull-secret", "pull-secret.json", "pull-secret.txt"];

fn is_secret_name(path: &str) -> bool {
    // Samples in documentation are nobody's credentials.
    !path.starts_with("usr/share/doc/") && SECRET_NAMES.iter().any(|name| path.ends_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_from_empty_files() {
        for (text, secret) in [
            (r#"{"auths":{"quay.io":{"auth":"dTpw"}}}"#, true),
            (r#"{"auths":{"quay.io":{"auth":""}}}"#, false),
            (r#"{"auths":{}}"#, false),
            (r#"{"quay.io":{"auth":"dTpw","email":"x"}}"#, true),
            (r#"{"auths":{"quay.io":{"identitytoken":"x"}}}"#, true),
            ("[]", false),
            ("x", false),
        ] {
            assert_eq!(holds_credentials(text.as_bytes()), secret, "{text}");
        }
    }
}
