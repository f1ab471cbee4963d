//! The grammar of names: what is a host, a repository, a short name. Source: the grammar of
//! distribution/reference in the version that containers/image carries, which knows no IPv6 hosts.
//!
//! `oci_spec` has it as one regular expression; to compile that takes 30 ms and 15 MiB of every start of
//! the program, more than all else that a run without news does. A test compares the two.

/// The longest name of a repository, registry included.
const MAX_NAME: usize = 255;
/// Where names without a registry are, for those who do not ask a configuration.
const DEFAULT_HOST: &str = "docker.io";

/// The parts of `[first/]path[:tag][@digest]`; whether `first` is a registry is not decided here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// Everything before the tag and the digest.
    pub repository: &'a str,
    /// The tag.
    pub tag: Option<&'a str>,
    /// The digest.
    pub digest: Option<&'a str>,
}

impl<'a> Name<'a> {
    /// The parts of a text, if it has the form.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let last = rest.rfind('/').map_or(0, |at| at + 1);
        let (repository, tag) = match rest[last..].find(':') {
            Some(at) => (&rest[..last + at], Some(&rest[last + at + 1..])),
            None => (rest, None),
        };
        let named = repository.len() <= MAX_NAME
            && (is_path(repository) || repository.split_once('/').is_some_and(|(a, b)| is_host(a) && is_path(b)));
        (named && tag.is_none_or(is_tag) && digest.is_none_or(is_digest)).then_some(Self { repository, tag, digest })
    }

    /// The registry, if the first part can be nothing else.
    pub fn host(&self) -> Option<&'a str> {
        let (first, _) = self.repository.split_once('/')?;
        (first.contains(['.', ':']) || first == "localhost").then_some(first)
    }

    /// Tag and digest as they are written behind a repository; `:latest` where there is neither.
    pub fn suffix(&self) -> String {
        match (self.tag, self.digest) {
            (None, None) => ":latest".to_owned(),
            (Some(tag), None) => format!(":{tag}"),
            (None, Some(digest)) => format!("@{digest}"),
            (Some(tag), Some(digest)) => format!(":{tag}@{digest}"),
        }
    }
}

/// The repository of a name with Docker Hub's short forms written out; `None` where it is no name.
pub fn full_repository(repository: &str) -> Option<String> {
    let (host, path) = match (Name { repository, tag: None, digest: None }).host() {
        Some("index.docker.io") => (DEFAULT_HOST, &repository["index.docker.io/".len()..]),
        Some(host) => (host, &repository[host.len() + 1..]),
        None => (DEFAULT_HOST, repository),
    };
    let library = if host == DEFAULT_HOST && !path.contains('/') { "library/" } else { "" };
    let full = format!("{host}/{library}{path}");
    (is_host(host) && is_path(path) && full.len() <= MAX_NAME).then_some(full)
}

/// Whether a text is a repository, registry included, with nothing left to write out.
pub fn is_full_repository(text: &str) -> bool {
    full_repository(text).is_some_and(|full| full == text)
}

/// `host` or `host:port`.
pub fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let word = |c: u8| c.is_ascii_alphanumeric();
    let component = |part: &str| {
        let bytes = part.as_bytes();
        bytes.iter().all(|&c| word(c) || c == b'-')
            && bytes.first().is_some_and(|&c| word(c))
            && bytes.last().is_some_and(|&c| word(c))
    };
    name.split('.').all(component)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()))
}

/// The part of a repository below its registry.
pub fn is_path(text: &str) -> bool {
    text.split('/').all(|component| {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        // Between words stand single dots, one or two underscores, or any number of dashes.
        component.starts_with(word)
            && component.ends_with(word)
            && component
                .split(word)
                .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|c| c == b'-'))
    })
}

/// What stands behind the colon of a reference.
pub fn is_tag(text: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    let rest = |c: u8| word(c) || c == b'.' || c == b'-';
    text.len() <= 128 && text.bytes().next().is_some_and(word) && text.bytes().all(rest)
}

/// Whether a text is a digest of one of the algorithms that the runtimes know.
pub fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let both = format!("a.b/c:v1@{digest}");
        for (text, repository, host, suffix) in [
            ("busybox", "busybox", None, ":latest"),
            ("host:5000", "host", None, ":5000"),
            ("host:5000/a", "host:5000/a", Some("host:5000"), ":latest"),
            ("localhost/a", "localhost/a", Some("localhost"), ":latest"),
            ("team/a__b--c.d:V_1", "team/a__b--c.d", None, ":V_1"),
            ("Team/a", "Team/a", None, ":latest"),
            (both.as_str(), "a.b/c", Some("a.b"), &both["a.b/c".len()..]),
        ] {
            let name = Name::parse(text).unwrap();
            assert_eq!((name.repository, name.host(), name.suffix().as_str()), (repository, host, suffix), "{text}");
        }
        for text in
            ["", "/", "a//b", "a/B", "a:", "a@sha256:1", "a:b:c", "a:v1/b:v", "_a", "a_", "a..b", "a___b", "-/a"]
        {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }

    #[test]
    fn short_forms_are_written_out() {
        for (text, full) in [
            ("busybox", Some("docker.io/library/busybox")),
            ("docker.io/busybox", Some("docker.io/library/busybox")),
            ("index.docker.io/a/b", Some("docker.io/a/b")),
            ("mirror.example", Some("docker.io/library/mirror.example")),
            ("mirror.example/a", Some("mirror.example/a")),
            ("team/a", Some("docker.io/team/a")),
            ("mirror.example:x/a", None),
            ("a.b/", None),
        ] {
            assert_eq!(full_repository(text).as_deref(), full, "{text}");
            assert_eq!(is_full_repository(text), full == Some(text), "{text}");
        }
    }
}
