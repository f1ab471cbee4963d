//! What CRI-O's configuration says of images and where they are: crio.conf(5).

use super::tree::Tree;
use serde::Deserialize;

/// The main file.
pub const CONF: &str = "etc/crio/crio.conf";
/// Its drop-ins, which win over it, later names over earlier ones.
pub const DROP_INS: &str = "etc/crio/crio.conf.d";

/// What the files of a root say together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    /// The pause image and the file that sets it.
    pub pause: Option<(String, String)>,
    /// Patterns of images that are never collected as garbage.
    pub pinned: Vec<String>,
    /// The storage, where it is not the one of storage.conf, and the file that sets it.
    pub root: Option<(String, String)>,
}

/// A file that CRI-O would not start with.
#[derive(Debug, thiserror::Error)]
#[error("`/{file}` is no configuration of CRI-O: {detail}")]
pub struct CrioError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub detail: String,
}

#[derive(Deserialize, Default)]
struct Conf {
    #[serde(default)]
    crio: Crio,
}

#[derive(Deserialize, Default)]
struct Crio {
    root: Option<String>,
    #[serde(default)]
    image: Section,
}

#[derive(Deserialize, Default)]
struct Section {
    pause_image: Option<String>,
    pinned_images: Option<Vec<String>>,
}

/// Reads the files of a root. Of each setting the last file that has it counts.
pub fn images(tree: &Tree) -> Result<Images, CrioError> {
    let drop_ins = tree.names(DROP_INS).into_iter().map(|name| format!("{DROP_INS}/{name}"));
    let mut images = Images::default();
    for file in std::iter::once(CONF.to_owned()).chain(drop_ins) {
        // Folders among the drop-ins, and a main file that is not there.
        let Some(bytes) = tree.bytes(&file) else { continue };
        let conf: Conf = toml::from_str(&String::from_utf8_lossy(bytes))
            .map_err(|e| CrioError { file: file.clone(), detail: e.message().to_owned() })?;
        let Crio { root, image: Section { pause_image, pinned_images } } = conf.crio;
        images.root = root.filter(|root| !root.is_empty()).map(|root| (file.clone(), root)).or(images.root);
        images.pause = pause_image.map(|image| (file, image)).or(images.pause);
        images.pinned = pinned_images.unwrap_or(images.pinned);
    }
    images.pause = images.pause.filter(|(_, image)| !image.is_empty());
    Ok(images)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tree::{File, Node, NodeKind};

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (name, text) in files {
            let file = File { size: text.len() as u64, digest: None, bytes: Some(text.as_bytes().into()) };
            tree.insert(&format!("etc/crio/{name}"), Node { mode: 0o644, kind: NodeKind::File(file) });
        }
        tree
    }

    #[test]
    fn the_last_file_that_sets_something_wins() {
        let tree = tree(&[
            ("crio.conf", "[crio.runtime]\nx = 1\n[crio.image]\npause_image = \"a\"\npinned_images = [\"p\"]\n"),
            ("crio.conf.d/10.conf", "[crio.image]\nglobal_auth_file=\"/x\"\npause_image = \"quay.io/a/pod\"\n"),
            ("crio.conf.d/20.conf", "[crio.image]\npinned_images = []\n"),
            ("crio.conf.d/30.conf", "[crio]\n"),
        ]);
        let images = images(&tree).unwrap();
        assert_eq!(images.pause, Some(("etc/crio/crio.conf.d/10.conf".into(), "quay.io/a/pod".into())));
        assert!(images.pinned.is_empty());
    }

    #[test]
    fn broken_and_empty_files() {
        assert!(images(&tree(&[("crio.conf", "[crio.image\n")])).is_err());
        assert_eq!(images(&tree(&[("crio.conf", "[crio.image]\npause_image = \"\"\n")])).unwrap(), Images::default());
    }
}
