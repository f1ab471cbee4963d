//! Layer 2, discover: files → [`Release`]. One module a kind of input, each with a parser that
//! takes bytes; this one tells inputs apart by their content and reads them.

mod blueprint;
mod folders;
mod image_references;
mod list;
pub mod manifests;
pub mod quadlet;
pub mod release_info;
mod rootfs;
mod rpm;
mod walk;

pub use rootfs::{
    discover_tree as discover_root, has_crio, missing as missing_of_root, require_some, wanted as root_wanted,
};

use crate::model::{Failure, Origin, Platforms, Reference, Release};
use crate::store::parse_lock;
use anyhow::{Context as _, Result};
use folders::read_folder;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The most bytes that are read of an input file. The largest real ones, image-references and
/// locks of whole releases, have a few MiB.
const MAX_INPUT_SIZE: u64 = 64 * 1024 * 1024;

/// The kinds of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An RPM file with release-info inside.
    Rpm,
    /// A release-info JSON file, or a folder of them.
    ReleaseInfo,
    /// An installed root.
    Rootfs,
    /// An OpenShift `image-references` file (ImageStream JSON).
    ImageReferences,
    /// One reference a line.
    List,
    /// An osbuild blueprint.
    Blueprint,
    /// A bare reference.
    Image,
    /// An `embed.lock.json`.
    Lock,
    /// Kubernetes manifests: a stream of documents, or a folder of them.
    Manifests,
    /// Quadlets: a unit, or a folder of them.
    Quadlets,
    /// An OpenShift release, of which who calls has read the image-references.
    Release,
}

/// The words that force a kind, as in `rpm:FILE`.
const KINDS: [(&str, Kind); 11] = [
    ("rpm", Kind::Rpm),
    ("release-info", Kind::ReleaseInfo),
    ("rootfs", Kind::Rootfs),
    ("image-references", Kind::ImageReferences),
    ("list", Kind::List),
    ("blueprint", Kind::Blueprint),
    ("image", Kind::Image),
    ("lock", Kind::Lock),
    ("manifests", Kind::Manifests),
    ("quadlets", Kind::Quadlets),
    ("release", Kind::Release),
];

/// The architectures that names of files may have, as RPM writes them.
const ARCHITECTURES: [&str; 4] = ["x86_64", "aarch64", "ppc64le", "s390x"];

/// An input as the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The kind, where it was forced.
    pub kind: Option<Kind>,
    /// A path, `-` for standard input, or a reference.
    pub value: String,
    /// What was read already, of what is no file.
    pub bytes: Option<Vec<u8>>,
}

impl Input {
    /// Reads `[KIND:]VALUE`. Never fails: what is no known kind belongs to the value. `docker://` is how tools of
    /// containers write that a reference is one.
    pub fn parse(text: &str) -> Self {
        if let Some(reference) = text.strip_prefix("docker://") {
            return Self { kind: Some(Kind::Image), value: reference.to_owned(), bytes: None };
        }
        let known = |word: &str| KINDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
        match text.split_once(':').map(|(word, value)| (known(word), value)) {
            Some((Some(kind), value)) => Self { kind: Some(kind), value: value.to_owned(), bytes: None },
            _ => Self { kind: None, value: text.to_owned(), bytes: None },
        }
    }
}

/// Finds the images that all inputs name.
pub fn discover(inputs: &[Input], platforms: &Platforms) -> Result<Release> {
    let mut release = Release::default();
    for input in inputs {
        let found = discover_one(input, platforms).with_context(|| format!("reading input `{}`", input.value))?;
        release.merge(found);
    }
    if release.components.is_empty() {
        let failure = Failure::usage("the inputs name no image");
        let failure = match (release.invalid.first(), release.unreadable.first()) {
            (Some(invalid), _) => failure.hint(format!("{}: {}; {}", invalid.origin, invalid.cause, invalid.hint)),
            (None, Some((file, cause))) => failure.hint(format!("`{file}` cannot be read: {cause}")),
            (None, None) => failure.hint("`bootc-embed list INPUT` shows what an input names"),
        };
        return Err(failure.into());
    }
    Ok(release)
}

/// The architecture that a file is named for, as in `kustomization.aarch64.yaml`; `None` for others.
fn architecture_of(name: &str) -> Option<&'static str> {
    let (stem, _) = name.rsplit_once('.')?;
    let is_named_for =
        |architecture: &&str| stem.strip_suffix(architecture).is_some_and(|rest| rest.ends_with(['.', '-']));
    ARCHITECTURES.into_iter().find(is_named_for)
}

/// Whether a file is for the platforms, by its name.
fn is_for(name: &str, platforms: &Platforms) -> bool {
    architecture_of(name).is_none_or(|architecture| platforms.wants_rpm_architecture(architecture))
}

fn discover_one(input: &Input, platforms: &Platforms) -> Result<Release> {
    let value = input.value.as_str();
    let path = Path::new(value);
    let kind = match input.kind {
        Some(kind) => kind,
        None if value == "-" => Kind::List,
        None if path.is_dir() => folders::kind(path)?,
        None if path.exists() => return discover_file(value, platforms),
        None => Kind::Image,
    };
    match kind {
        Kind::Image => image(input),
        Kind::Release => match &input.bytes {
            Some(bytes) => image_references::discover(value, bytes),
            None => Err(Failure::usage("a release is not read here")
                .hint("`list`, `plan`, `fetch` and `embed` read releases")
                .into()),
        },
        Kind::Rootfs => rootfs::discover(path, platforms),
        Kind::ReleaseInfo if path.is_dir() => release_info::discover_dir(path, platforms),
        Kind::Manifests if path.is_dir() => folders::manifests(path, platforms),
        Kind::Quadlets => folders::quadlets(path, platforms),
        Kind::Rpm if value != "-" => {
            let file = open(value)?;
            rpm::discover(io::BufReader::new(file), &file_name(value), platforms)
        }
        kind => parse(kind, value, &read_input(value)?, platforms),
    }
}

/// Finds out what a file is and reads it; once, because it may be a pipe.
fn discover_file(path: &str, platforms: &Platforms) -> Result<Release> {
    if quadlet::extension(path).is_some() {
        return folders::quadlets(Path::new(path), platforms);
    }
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    (&mut file).take(rpm::MAGIC.len() as u64).read_to_end(&mut bytes)?;
    if bytes == rpm::MAGIC {
        let input = io::Cursor::new(bytes).chain(io::BufReader::new(file));
        return rpm::discover(input, &file_name(path), platforms);
    }
    read_capped(file, &mut bytes)?;
    let is_yaml = matches!(Path::new(path).extension().and_then(|e| e.to_str()), Some("yaml" | "yml"));
    let kind = if is_yaml { Kind::Manifests } else { file_kind(without_mark(&bytes))? };
    parse(kind, path, &bytes, platforms)
}

/// Parses a file of a known kind.
fn parse(kind: Kind, path: &str, bytes: &[u8], platforms: &Platforms) -> Result<Release> {
    let name = if path == "-" { "standard input" } else { path };
    let bytes = without_mark(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(Failure::usage("the file is empty")
            .hint("name a file with content, or leave this input out")
            .into());
    }
    match kind {
        Kind::ReleaseInfo => release_info::discover_file(name, bytes, platforms),
        Kind::ImageReferences => image_references::discover(name, bytes),
        Kind::List => list::discover(name, bytes),
        Kind::Blueprint => blueprint::discover(name, bytes),
        Kind::Lock => lock(bytes),
        Kind::Manifests if is_for(&file_name(path), platforms) => Ok(manifests::scan_file(name, bytes, platforms)),
        Kind::Manifests => Err(Failure::usage(format!("by its name it is not for {platforms}"))
            .hint("choose the platform with `--platform`, or name the file of the other architecture")
            .into()),
        Kind::Rpm => Err(Failure::usage("an RPM is not read from standard input").hint("name the file").into()),
        Kind::Rootfs | Kind::Image | Kind::Quadlets | Kind::Release => {
            Err(Failure::usage("this kind of input is not a file").into())
        }
    }
}

/// Text without the byte order mark that some editors put before it.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Opens an input; one that is not there is the user's mistake.
fn open(path: &str) -> Result<File> {
    File::open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Failure::usage("there is no such file").because(e).hint("check the path").into(),
        _ => e.into(),
    })
}

fn image(input: &Input) -> Result<Release> {
    let mut release = Release::default();
    let origin = Origin { file: "command line".into(), key: "image".into() };
    let looks_like_path = input.kind.is_none() && (input.value.starts_with(['.', '/']) || !input.value.contains('/'));
    match reference(&input.value) {
        Ok(reference) => release.add(reference, origin, None),
        Err(_) if looks_like_path => {
            return Err(Failure::usage("no such file or directory, and not an image reference with a registry")
                .hint("check the path; an image is written with its registry, for example `quay.io/…`")
                .into());
        }
        Err(failure) => return Err(failure.into()),
    }
    Ok(release)
}

fn lock(bytes: &[u8]) -> Result<Release> {
    Ok(Release::from(&parse_lock(bytes)?))
}

/// What a file that is no RPM is, by its content.
fn file_kind(bytes: &[u8]) -> Result<Kind> {
    #[derive(Deserialize)]
    struct Json {
        kind: Option<String>,
        #[serde(rename = "apiVersion")]
        api_version: Option<String>,
        images: Option<serde_json::Value>,
    }
    let text = bytes.trim_ascii();
    if text.is_empty() {
        // Any kind will do: the parser says that the file is empty.
        return Ok(Kind::List);
    }
    if text.starts_with(b"{") {
        let unknown = || {
            Failure::usage("the file is JSON of no known kind")
                .hint("known are release-info, image-references, embed.lock.json and manifests")
        };
        let json: Json = serde_json::from_slice(text).map_err(|e| unknown().because(e))?;
        return match (json.kind.as_deref(), json.images, json.api_version) {
            (Some("ImageStream"), ..) => Ok(Kind::ImageReferences),
            (Some(_), _, Some(_)) => Ok(Kind::Manifests),
            (_, Some(serde_json::Value::Array(_)), _) => Ok(Kind::Lock),
            (_, Some(serde_json::Value::Object(_)), _) => Ok(Kind::ReleaseInfo),
            _ => Err(unknown().into()),
        };
    }
    let Ok(text) = std::str::from_utf8(text) else {
        return Err(Failure::usage("the file is neither an RPM nor text")
            .hint("force what it is with `KIND:PATH`, for example `rpm:FILE`")
            .into());
    };
    let is_header = |line: &str| line.trim().replace(' ', "") == "[[containers]]";
    let first =
        text.lines().map(str::trim_end).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    let is_manifest = first == "---" || ["apiVersion:", "kind:", "--- "].iter().any(|begin| first.starts_with(begin));
    Ok(match () {
        () if text.lines().any(is_header) => Kind::Blueprint,
        () if is_manifest => Kind::Manifests,
        () => Kind::List,
    })
}

fn read_input(path: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == "-" {
        read_capped(io::stdin().lock(), &mut bytes)?;
    } else {
        read_capped(open(path)?, &mut bytes)?;
    }
    Ok(bytes)
}

fn read_capped(input: impl io::Read, bytes: &mut Vec<u8>) -> Result<()> {
    input.take(MAX_INPUT_SIZE + 1).read_to_end(bytes)?;
    if bytes.len() as u64 > MAX_INPUT_SIZE {
        return Err(Failure::usage(format!("the file is larger than {} MiB", MAX_INPUT_SIZE >> 20)).into());
    }
    Ok(())
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Parses a reference; the failure carries the hint.
fn reference(text: &str) -> Result<Reference, Failure> {
    text.parse::<Reference>().map_err(|e| {
        let hint = e.hint();
        Failure::usage("invalid image reference").because(e).hint(hint)
    })
}

/// Adds a reference that stands at a key of a file.
fn add(release: &mut Release, file: &str, key: String, text: &str) -> Result<()> {
    let origin = Origin { file: file.to_owned(), key };
    let parsed = reference(text).with_context(|| origin.to_string())?;
    release.add(parsed, origin, None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_content() {
        for (text, kind) in [
            (&b"  {\"images\":{\"a\":\"quay.io/a/b:1\"}}"[..], Kind::ReleaseInfo),
            (b"{\"release\":{\"base\":\"4\"},\"images\":{}}", Kind::ReleaseInfo),
            (b"{\"kind\":\"ImageStream\"}", Kind::ImageReferences),
            (b"{\"version\":1,\"platforms\":[],\"images\":[]}", Kind::Lock),
            (b"name = \"x\"\n[[ containers ]]\nsource = \"y\"\n", Kind::Blueprint),
            (b"# images\nquay.io/a/b:1\n", Kind::List),
            (b"# x\napiVersion: v1\nkind: Pod\n", Kind::Manifests),
            (b"---\n# Source: chart/x.yaml\n", Kind::Manifests),
            (b"{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}", Kind::Manifests),
        ] {
            assert_eq!(file_kind(text).unwrap(), kind, "{}", String::from_utf8_lossy(text));
        }
        assert!(file_kind(b"{\"x\":1}").is_err());
        assert!(file_kind(b"{broken").is_err());
        assert!(file_kind(b"\xff\xfe\x00").is_err());
    }

    #[test]
    fn inputs_are_kinds_or_values() {
        let input = |text: &str| Input::parse(text);
        assert_eq!(input("rpm:a.rpm"), Input { kind: Some(Kind::Rpm), value: "a.rpm".into(), bytes: None });
        assert_eq!(input("quay.io:443/a/b:v1"), Input { kind: None, value: "quay.io:443/a/b:v1".into(), bytes: None });
        assert_eq!(input("image:quay.io/a/b:v1").value, "quay.io/a/b:v1");
    }
}
