//! Files that the user names to be written: whole or not at all, and never in place of a device.

use crate::store::files;
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes a file, with the modification time `mtime` in seconds since 1970, or now. A link is followed; what
/// is no file, such as `/dev/stdout` or a pipe, is written to.
pub fn write(path: &Path, bytes: &[u8], mtime: Option<i64>) -> io::Result<()> {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let real = if path.is_symlink() { path.canonicalize()? } else { path.to_owned() };
    let folder = real.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = real.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidFilename)?;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let mtime = mtime.unwrap_or_else(|| i64::try_from(now()).unwrap_or_default());
    files::write(&Dir::open_ambient_dir(folder, ambient_authority())?, name, bytes, 0o644, mtime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt as _, symlink};

    #[test]
    fn only_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("old"), "old and longer").unwrap();
        symlink("old", path("link")).unwrap();
        symlink("/dev/null", path("null")).unwrap();
        for name in ["new", "old", "link", "null"] {
            write(&path(name), b"text", Some(0)).unwrap();
        }
        assert_eq!(fs::read_to_string(path("new")).unwrap(), "text");
        assert_eq!(fs::read_to_string(path("old")).unwrap(), "text");
        assert!(path("link").is_symlink() && path("null").is_symlink());
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        assert!(write(folder.path(), b"text", None).is_err() && write(&path("new/"), b"text", None).is_err());
        symlink("gone", path("dangling")).unwrap();
        assert!(write(&path("dangling"), b"text", None).is_err());
    }
}
