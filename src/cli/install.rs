//! Puts emitted files below a root: the last step of `embed`, and what `emit -o` does.

use crate::emit::{Content, Output};
use crate::model::Failure;
use crate::store::files;
use anyhow::{Context as _, Result};
use cap_std_ext::cap_std::fs::Dir;
use cap_std_ext::dirext::CapStdExtDirExt as _;
use std::path::{Path, PathBuf};

/// Writes below a root, and remembers the folders it made, so that they get their times in the end.
pub struct Install<'a> {
    root: &'a Dir,
    mtime: i64,
    made: Vec<PathBuf>,
}

impl<'a> Install<'a> {
    /// Everything gets the modification time `mtime`, in seconds since 1970.
    pub fn new(root: &'a Dir, mtime: i64) -> Self {
        Self { root, mtime, made: Vec::new() }
    }

    /// Fails where something that is no folder stands in the way of an output.
    pub fn check(&self, output: &Output) -> Result<()> {
        for folder in Path::new(output.path).ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()) {
            if self.root.metadata_optional(folder)?.is_some_and(|metadata| !metadata.is_dir()) {
                return Err(Failure::environment(format!(
                    "`/{}` stands in the way: it is no folder",
                    folder.display()
                ))
                .hint("move it away, or embed into another root")
                .into());
            }
        }
        Ok(())
    }

    /// Makes a folder and those above it, as far as they are missing.
    pub fn folder(&mut self, path: &Path) -> Result<()> {
        let mut above: Vec<&Path> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
        above.reverse();
        for folder in above {
            if self.root.metadata_optional(folder)?.is_none() {
                self.made.push(folder.to_owned());
            }
        }
        self.root.create_dir_all(path).with_context(|| format!("making `/{}`", path.display()))
    }

    /// Writes a file or link; it appears whole or not at all.
    pub fn put(&mut self, output: &Output) -> Result<()> {
        let path = Path::new(output.path);
        let folder = path.parent().unwrap_or(Path::new(""));
        self.folder(folder)?;
        let put = || -> Result<()> {
            let folder =
                if folder.as_os_str().is_empty() { self.root.try_clone()? } else { self.root.open_dir(folder)? };
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            match &output.content {
                Content::File(text, mode) => files::write(&folder, name, text.as_bytes(), *mode, self.mtime)?,
                Content::Link(target) => {
                    folder.remove_file_optional(name)?;
                    files::link(&folder, Path::new(target), name, self.mtime)?;
                }
            }
            Ok(())
        };
        put().with_context(|| format!("writing `/{}`", output.path))
    }

    /// Removes a file that an earlier run wrote, if it is there.
    pub fn remove(&self, path: &str) -> Result<()> {
        self.root.remove_file_optional(path).map(drop).with_context(|| format!("removing `/{path}`"))
    }

    /// Gives the folders that were made their modes and times.
    pub fn finish(self) -> Result<()> {
        for folder in &self.made {
            let settled = files::settle(self.root, folder, self.mtime);
            settled.with_context(|| format!("finishing `/{}`", folder.display()))?;
        }
        Ok(())
    }
}
