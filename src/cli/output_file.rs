//! A file that the user named, begun before work is done that cannot be taken back.

use anyhow::{Context as _, Result};
use std::path::Path;

/// Begins a file that gets its name when it is whole.
pub fn begin(path: &Path) -> Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let file = tempfile::Builder::new().prefix(".aliases").permissions(mode).tempfile_in(folder);
    file.with_context(|| format!("writing `{}`", path.display()))
}
