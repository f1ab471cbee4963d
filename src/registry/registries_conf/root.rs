//! Which files of a root are its registries.conf.
//!
//! Up to containers/image 5.39 runtimes read `/etc/containers` alone. Since 5.40, that is Podman 6,
//! they also read what a distribution puts into `/usr/share/containers`, and folders that are for
//! root alone. A root that has those files has runtimes that read them, so they are read here
//! wherever they are.

use super::RegistriesConf;
use crate::model::Tree;
use crate::registry::Error;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The main file: the first that is there.
const MAIN: [&str; 2] = ["etc/containers/registries.conf", "usr/share/containers/registries.conf"];

/// Folders of drop-ins. Of two files of one name the later folder's counts.
const DROP_INS: [&str; 4] = [
    "usr/share/containers/registries.conf.d",
    "usr/share/containers/registries.rootful.conf.d",
    "etc/containers/registries.conf.d",
    "etc/containers/registries.rootful.conf.d",
];

impl RegistriesConf {
    /// What runtimes of a root read when they run as root.
    pub fn from_tree(tree: &Tree) -> Result<Self, Error> {
        let main = MAIN.into_iter().find(|path| tree.file(path).is_some()).map(str::to_owned);
        let mut drop_ins = BTreeMap::new();
        for dir in DROP_INS {
            for name in tree.names(dir).into_iter().filter(|name| name.strip_suffix(".conf").is_some()) {
                let path = format!("{dir}/{name}");
                if tree.file(&path).is_some() {
                    drop_ins.insert(name, path);
                }
            }
        }
        let files = main.into_iter().chain(drop_ins.into_values()).map(|path| {
            let shown = Path::new("/").join(&path);
            match tree.bytes(&path).map(str::from_utf8) {
                Some(Ok(text)) => Ok((shown, text.to_owned())),
                Some(Err(e)) => Err(Error::Configuration { path: shown, detail: e.to_string() }),
                None => Err(Error::Configuration { path: shown, detail: "its content was not kept".to_owned() }),
            }
        });
        let files: Vec<(PathBuf, String)> = files.collect::<Result<_, _>>()?;
        Self::parse(files.iter().map(|(path, text)| (path.as_path(), text.as_str())))
    }
}
