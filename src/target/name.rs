//! `Target`: what the user names to be read.

use super::Error;
use crate::model::Reference;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A folder or an image, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A folder with the files of an operating system.
    Rootfs(PathBuf),
    /// A folder that `fetch` filled.
    Store(PathBuf),
    /// The folder of a containers-storage, for example `/var/lib/containers/storage`.
    Storage(PathBuf),
    /// A folder with an OCI layout.
    Oci(LayoutName),
    /// A tar archive of an OCI layout.
    OciArchive(LayoutName),
    /// What `docker save` writes.
    DockerArchive {
        /// The file.
        path: PathBuf,
        /// One of the image's names.
        reference: Option<String>,
    },
    /// An image in a containers-storage, in skopeo's words: `[[driver@root+run]]name` or `@id`.
    ContainersStorage(String),
    /// An image in a registry.
    Docker(Reference),
}

/// An image in an OCI layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutName {
    /// The layout.
    pub path: PathBuf,
    /// Its `org.opencontainers.image.ref.name`; a layout with one image needs none.
    pub reference: Option<String>,
}

impl Target {
    /// How targets are written.
    pub const FORMS: [&'static str; 8] = [
        "rootfs:DIR",
        "store:DIR",
        "storage:DIR",
        "oci:DIR[:REF]",
        "oci-archive:FILE[:REF]",
        "docker-archive:FILE[:REF]",
        "containers-storage:REF",
        "docker://REF",
    ];

    /// A folder without a word before it is what it looks like: a store, an OCI layout, else a root.
    fn of_folder(text: &str) -> Option<Self> {
        let path = Path::new(text);
        let has = |name: &str| path.join(name).is_file();
        if !path.is_dir() {
            None
        } else if has("embed.lock.json") {
            // A store is a layout too; its lock says more.
            Some(Target::Store(path.to_owned()))
        } else if has("oci-layout") {
            Some(Target::Oci(LayoutName { path: path.to_owned(), reference: None }))
        } else {
            Some(Target::Rootfs(path.to_owned()))
        }
    }
}

impl LayoutName {
    /// Reads `DIR[:REF]`.
    pub fn parse(text: &str) -> Self {
        let (path, reference) = split_reference(text);
        Self { path, reference }
    }
}

/// A path up to the first colon, then a name, as containers/image reads it.
fn split_reference(text: &str) -> (PathBuf, Option<String>) {
    let (path, reference) = text.split_once(':').map_or((text, None), |(path, name)| (path, Some(name)));
    (path.into(), reference.filter(|name| !name.is_empty()).map(str::to_owned))
}

impl FromStr for Target {
    type Err = Error;

    /// Looks at the file system only for a text that has no known word before its first colon.
    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(reference) = text.strip_prefix("docker://") {
            return Ok(Target::Docker(reference.parse()?));
        }
        let (word, rest) = text.split_once(':').unwrap_or((text, ""));
        let target = match word {
            _ if rest.is_empty() => None,
            "rootfs" => Some(Target::Rootfs(rest.into())),
            "store" => Some(Target::Store(rest.into())),
            "storage" => Some(Target::Storage(rest.into())),
            "oci" => Some(Target::Oci(LayoutName::parse(rest))),
            "oci-archive" => Some(Target::OciArchive(LayoutName::parse(rest))),
            "docker-archive" => {
                let (path, reference) = split_reference(rest);
                Some(Target::DockerArchive { path, reference })
            }
            "containers-storage" => Some(Target::ContainersStorage(rest.to_owned())),
            _ => None,
        };
        target.or_else(|| Self::of_folder(text)).ok_or_else(|| Error::Name(text.to_owned()))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |f: &mut fmt::Formatter<'_>, word: &str, path: &Path, name: Option<&str>| {
            write!(f, "{word}:{}", path.display())?;
            name.map_or(Ok(()), |name| write!(f, ":{name}"))
        };
        match self {
            Target::Rootfs(path) => named(f, "rootfs", path, None),
            Target::Store(path) => named(f, "store", path, None),
            Target::Storage(path) => named(f, "storage", path, None),
            Target::Oci(layout) => named(f, "oci", &layout.path, layout.reference.as_deref()),
            Target::OciArchive(layout) => named(f, "oci-archive", &layout.path, layout.reference.as_deref()),
            Target::DockerArchive { path, reference } => named(f, "docker-archive", path, reference.as_deref()),
            Target::ContainersStorage(name) => write!(f, "containers-storage:{name}"),
            Target::Docker(reference) => write!(f, "docker://{reference}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_alike() {
        let layout =
            |path: &str, name: Option<&str>| LayoutName { path: path.into(), reference: name.map(str::to_owned) };
        let archive =
            |name: Option<&str>| Target::DockerArchive { path: "a.tar".into(), reference: name.map(str::to_owned) };
        for (text, target) in [
            ("rootfs:/sysroot", Target::Rootfs("/sysroot".into())),
            ("store:usr/lib/x", Target::Store("usr/lib/x".into())),
            ("storage:/var/lib/containers/storage", Target::Storage("/var/lib/containers/storage".into())),
            ("oci:dir", Target::Oci(layout("dir", None))),
            ("oci:dir:quay.io/a/b:v1", Target::Oci(layout("dir", Some("quay.io/a/b:v1")))),
            ("oci-archive:a.tar:v1", Target::OciArchive(layout("a.tar", Some("v1")))),
            ("docker-archive:a.tar", archive(None)),
            ("docker-archive:a.tar:quay.io/a/b:v1", archive(Some("quay.io/a/b:v1"))),
            (
                "containers-storage:[overlay@/a+/b]quay.io/a",
                Target::ContainersStorage("[overlay@/a+/b]quay.io/a".into()),
            ),
            ("docker://quay.io/a/b:v1", Target::Docker("quay.io/a/b:v1".parse().unwrap())),
        ] {
            assert_eq!(text.parse::<Target>().unwrap(), target, "{text}");
            assert_eq!(target.to_string(), text);
        }
        assert_eq!("oci:dir:".parse::<Target>().unwrap(), Target::Oci(layout("dir", None)));
        for wrong in ["", "rootfs:", "containers-storage:", "ftp:x", "/does/not/exist", "docker://busybox", "docker:x"]
        {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_folder_is_what_it_looks_like() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().to_str().unwrap();
        assert!(matches!(text.parse().unwrap(), Target::Rootfs(_)));
        std::fs::write(folder.path().join("oci-layout"), "{}").unwrap();
        assert!(matches!(text.parse().unwrap(), Target::Oci(_)));
        std::fs::write(folder.path().join("embed.lock.json"), "{}").unwrap();
        assert!(matches!(text.parse().unwrap(), Target::Store(_)));
    }
}
