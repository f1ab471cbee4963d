//! References in text that is no image field: annotations, arguments, environments, scripts.

use crate::model::{Digest, Reference};

/// The longest word that is looked at; a reference has at most a few hundred characters.
const MAX_WORD: usize = 1024;
/// What stands after the colon of a taint, which else looks like a reference with a tag.
const TAINT_EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/// Prefixes that say that what follows is an image.
const IMAGE_SCHEMES: [&str; 2] = ["docker", "oci"];

/// What was found in a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A reference.
    Reference(Reference),
    /// A reference with a tag, `@`, and no digest after it: `x:tag@x:tag`.
    Doubled(String),
}

/// Finds references in a text. With a digest they count wherever they stand; with a tag only where
/// they are the whole text, or the whole value of something whose name contains `image`; where nothing
/// says `image`, the host must look like a registry. `name` is the key or the variable that the text is
/// the value of.
pub fn find(text: &str, name: &str) -> Vec<Found> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._:/@-".contains(c);
    let words = text.split(|c| !is_word(c)).filter(|word| word.contains('@') && word.len() <= MAX_WORD);
    let mut found: Vec<Found> = words.filter_map(with_at).collect();
    let whole = text.trim();
    if whole.contains('\n') {
        found.extend(whole.lines().filter_map(line).map(Found::Reference));
    } else {
        // A field that is called just `image` needs no tag.
        let bare = || if name == "image" { bare(whole) } else { None };
        let alone =
            || tagged(whole).filter(|reference| names_image(name) || is_registry(reference.repository().host()));
        found.extend(alone().or_else(|| assigned(whole)).or_else(bare).map(Found::Reference));
    }
    found
}

/// A word with `@` in it.
fn with_at(word: &str) -> Option<Found> {
    let mut word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if let Some((scheme, rest)) = word.split_once("://") {
        if !IMAGE_SCHEMES.contains(&scheme) {
            return None;
        }
        word = rest;
    }
    // `image:quay.io/…`: what comes before a registry, and is no registry with a port.
    while let Some((before, rest)) = word.split_once(':')
        && !before.contains('/')
        && !rest.starts_with(|c: char| c.is_ascii_digit())
        && rest.contains('/')
    {
        word = rest;
    }
    let (name, digest) = word.split_once('@')?;
    match word.parse::<Reference>() {
        Ok(reference) => reference.digest().is_some().then_some(Found::Reference(reference)),
        Err(_) => is_doubled(name, digest).then(|| Found::Doubled(word.to_owned())),
    }
}

/// Whether a text is a reference with a tag, `@`, and no digest.
pub fn is_doubled(name: &str, digest: &str) -> bool {
    let is_digest = digest.starts_with("sha256") || digest.parse::<Digest>().is_ok();
    !digest.is_empty() && !is_digest && tagged(name).is_some()
}

/// The value of `--some-image=REFERENCE`.
fn assigned(text: &str) -> Option<Reference> {
    let (name, value) = text.rsplit_once('=')?;
    if names_image(name) { tagged(value.trim_matches(['"', '\''])) } else { None }
}

/// The value in one line of a script, of a file of variables, or of YAML that is not whole.
fn line(line: &str) -> Option<Reference> {
    let line = line.trim();
    let at = line.find([':', '=']).filter(|_| line.len() <= MAX_WORD && !line.starts_with('#'))?;
    let (name, value) = (line.get(..at)?, line.get(at + 1..)?);
    let value = value.trim().trim_end_matches(',').trim_matches(['"', '\'']);
    if names_image(name) { tagged(value) } else { None }
}

/// Hosts that are registries by their names.
const REGISTRIES: [&str; 13] = [
    "quay.io",
    "docker.io",
    "ghcr.io",
    "gcr.io",
    "nvcr.io",
    "icr.io",
    "lscr.io",
    "cgr.dev",
    "pkg.dev",
    "azurecr.io",
    "jfrog.io",
    "mcr.microsoft.com",
    "public.ecr.aws",
];

/// Whether a host can be told to be a registry. `db.example.com/app:5432` is no image.
fn is_registry(host: &str) -> bool {
    let name = host.split(':').next().unwrap_or(host);
    let is_known = |known: &&str| name == *known || name.strip_suffix(known).is_some_and(|rest| rest.ends_with('.'));
    let says_so = ["registry", "harbor", ".dkr.ecr."].iter().any(|word| name.contains(word));
    says_so || name == "localhost" || REGISTRIES.iter().any(is_known)
}

fn names_image(name: &str) -> bool {
    name.len() <= MAX_WORD && name.to_ascii_lowercase().contains("image")
}

/// A text that is a reference with a tag, written out, and nothing else.
fn tagged(text: &str) -> Option<Reference> {
    let tag = text.rsplit('/').next()?.split_once(':')?.1;
    bare(text).filter(|_| !TAINT_EFFECTS.contains(&tag))
}

/// A text that is a reference without a digest, in something that can be a registry.
fn bare(text: &str) -> Option<Reference> {
    let host = text.split('/').next()?;
    let is_label_domain = host == "kubernetes.io" || host.ends_with(".kubernetes.io");
    if text.len() > MAX_WORD || text.contains('@') || is_label_domain {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_from_other_words() {
        let hex = "4d5e238300ce6f427a1045d51d6b37a4e5c5633985208ebb44f91e7dd53897d9";
        let full = format!("quay.io/a/b@sha256:{hex}");
        let both = format!("quay.io:443/a/b:v1@sha256:{hex}");
        for (text, name, expected) in [
            (full.clone(), "", vec![full.as_str()]),
            (format!("--x={full},{both}."), "", vec![full.as_str(), &both]),
            (format!("\"{full}\";image:{full}"), "", vec![full.as_str(), &full]),
            (format!("oci://{full}"), "", vec![full.as_str()]),
            (format!("https://{full}"), "", vec![]),
            (format!("busybox@sha256:{hex}"), "", vec![]),
            ("quay.io/a/b:v1".into(), "", vec!["quay.io/a/b:v1"]),
            ("  localhost/b:v1\n".into(), "", vec!["localhost/b:v1"]),
            ("use quay.io/a/b:v1".into(), "", vec![]),
            ("--proxy-image=quay.io/a/b:v1".into(), "", vec!["quay.io/a/b:v1"]),
            ("--endpoint=quay.io/a/b:80".into(), "", vec![]),
            (
                "# image: quay.io/a/b:v0\nX_IMAGE='quay.io/a/b:v1'\n  - image: \"quay.io/a/c:v1\",".into(),
                "",
                vec!["quay.io/a/b:v1", "quay.io/a/c:v1"],
            ),
            ("quay.io/a/b".into(), "image", vec!["quay.io/a/b"]),
            ("quay.io/a/b".into(), "name", vec![]),
            ("https://quay.io/a/b:v1".into(), "image", vec![]),
            ("oidc.example.com/groups:admins".into(), "name", vec![]),
            ("db.example.com/app:5432".into(), "", vec![]),
            ("mirror.example.com/app:5432".into(), "RELATED_IMAGE_X", vec!["mirror.example.com/app:5432"]),
            ("eu.gcr.io/a/b:v1".into(), "", vec!["eu.gcr.io/a/b:v1"]),
            ("node-role.kubernetes.io/master:NoSchedule".into(), "", vec![]),
            ("example.com/gpu:NoExecute".into(), "", vec![]),
            ("registry.k8s.io/pause:3.10".into(), "", vec!["registry.k8s.io/pause:3.10"]),
            ("system:serviceaccount:a:b".into(), "", vec![]),
            ("/etc/x.d/y:ro".into(), "", vec![]),
            ("busybox:latest".into(), "image", vec![]),
            ("someone@example.com".into(), "", vec![]),
            ("quay.io/a/b:v1@quay.io/a/b:v1".into(), "", vec!["!quay.io/a/b:v1@quay.io/a/b:v1"]),
            ("quay.io/a/b:v1@sha256:{{ x }}".into(), "", vec![]),
            ("\u{e9}@@::@/@\u{1f600}".into(), "image", vec![]),
        ] {
            let found: Vec<String> = find(&text, name)
                .into_iter()
                .map(|found| match found {
                    Found::Reference(reference) => reference.to_string(),
                    Found::Doubled(text) => format!("!{text}"),
                })
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
