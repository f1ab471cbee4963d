//! A list: one reference a line; `#` begins a comment.

use super::add;
use crate::model::{Failure, Release};
use anyhow::Result;

/// Finds the images of a list.
pub fn discover(name: &str, bytes: &[u8]) -> Result<Release> {
    let text =
        std::str::from_utf8(bytes).map_err(|e| Failure::usage(format!("the list `{name}` is not text")).because(e))?;
    let mut release = Release::default();
    for (number, line) in text.lines().enumerate() {
        let reference = line.split('#').next().unwrap_or_default().trim();
        if !reference.is_empty() {
            add(&mut release, name, format!("line {}", number + 1), reference)?;
        }
    }
    Ok(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_are_passed_over() {
        let release = discover("x", b"# all\r\n\r\nquay.io/a/b:1 # one\n\tquay.io/a/c:1\n").unwrap();
        let keys: Vec<&str> = release.components.iter().map(|c| c.found_in[0].key.as_str()).collect();
        assert_eq!(keys, ["line 3", "line 4"]);
        let error = format!("{:#}", discover("x", b"quay.io/a/b:1\nno reference\n").unwrap_err());
        assert!(error.contains("x: line 2"), "{error}");
    }
}
