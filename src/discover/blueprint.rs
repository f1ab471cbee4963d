//! An osbuild blueprint: the `source` of every `[[containers]]`.

use super::add;
use crate::model::{Failure, Release};
use anyhow::Result;
use serde::Deserialize;

#[derive(Deserialize)]
struct Blueprint {
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    source: String,
}

/// Finds the images of a blueprint.
pub fn discover(name: &str, bytes: &[u8]) -> Result<Release> {
    let wrong = || Failure::usage(format!("`{name}` is not a blueprint"));
    let text = std::str::from_utf8(bytes).map_err(|e| wrong().because(e))?;
    let blueprint: Blueprint = toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        wrong().because(format!("line {line}: {}", e.message())).hint("every `[[containers]]` needs a `source`")
    })?;
    let mut release = Release::default();
    for (number, container) in blueprint.containers.into_iter().enumerate() {
        add(&mut release, name, format!("containers[{number}].source"), &container.source)?;
    }
    Ok(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_sources() {
        let text = b"name = \"x\"\n[[containers]]\nsource = \"quay.io/a/b:1\"\nname = \"y\"\n\n[[containers]]\nsource = \"quay.io/a/c:1\"\n";
        assert_eq!(discover("x.toml", text).unwrap().components.len(), 2);
        let error = format!("{:#}", discover("x.toml", b"\n[[containers]]\nname = \"y\"\n").unwrap_err());
        assert!(error.contains("line 2") || error.contains("source"), "{error}");
    }
}
