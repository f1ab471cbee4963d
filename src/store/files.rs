//! Files that appear whole or not at all, with modes and times of one's choice. That they outlast a
//! power cut is for who writes them to see to, once for all of them.

use cap_std_ext::cap_std::fs::{Dir, File, MetadataExt as _, OpenOptions, Permissions, PermissionsExt as _};
use cap_std_ext::cap_tempfile::TempFile;
use cap_std_ext::dirext::CapStdExtDirExt as _;
use rustix::fs::{AtFlags, Timespec, Timestamps};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes a file into `dir`. It is on the disk when this returns.
pub fn write_durably(dir: &Dir, name: &str, bytes: &[u8], mode: u32, mtime: i64) -> io::Result<()> {
    write_synced(dir, name, bytes, mode, mtime, true)?;
    Ok(rustix::fs::fsync(dir.reopen_as_ownedfd()?)?)
}

/// Writes a file into `dir`. Nobody else may write the same one meanwhile.
pub fn write(dir: &Dir, name: &str, bytes: &[u8], mode: u32, mtime: i64) -> io::Result<()> {
    write_synced(dir, name, bytes, mode, mtime, false)
}

fn write_synced(dir: &Dir, name: &str, bytes: &[u8], mode: u32, mtime: i64, sync: bool) -> io::Result<()> {
    // A name that can be known beforehand: what is left of a run that was killed goes when the file is
    // written the next time.
    let partial = format!(".{}.partial", name.trim_start_matches('.'));
    dir.remove_file_optional(&partial)?;
    let mut options = OpenOptions::new();
    let mut file = dir.open_with(&partial, options.write(true).create_new(true))?;
    let mut fill = || {
        file.write_all(bytes)?;
        settle_open(&file, mode, mtime)?;
        if sync { file.sync_all() } else { Ok(()) }
    };
    if let Err(e) = fill() {
        // What matters is why it could not be written.
        let _ = dir.remove_file(&partial);
        return Err(e);
    }
    dir.rename(&partial, dir, name)
}

/// Gives a file that was written its mode, its time and then its name.
pub(super) fn finish(dir: &Dir, file: TempFile<'_>, name: &str, mode: u32, mtime: i64) -> io::Result<()> {
    settle_open(file.as_file(), mode, mtime)?;
    // It gets its name by way of /proc. Where too few more files can be opened for that, it is called
    // unsupported; so see whether that is the reason.
    let open_four = || -> io::Result<Vec<Dir>> { (0..4).map(|_| dir.try_clone()).collect() };
    file.replace(name).map_err(|e| open_four().err().unwrap_or(e))
}

/// Gives an open file its mode and its time.
pub(super) fn settle_open(file: &File, mode: u32, mtime: i64) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(rustix::fs::futimens(file, &times(mtime))?)
}

/// Makes a symbolic link in `dir`; what stood there before must be gone.
pub fn link(dir: &Dir, target: &Path, name: &str, mtime: i64) -> io::Result<()> {
    dir.symlink(target, name)?;
    Ok(rustix::fs::utimensat(dir, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Gives a folder mode 0755 and its time, once nothing is written into it any more.
pub fn settle(parent: &Dir, path: &Path, mtime: i64) -> io::Result<()> {
    if parent.metadata(path)?.mode() & 0o7777 != 0o755 {
        parent.set_permissions(path, Permissions::from_mode(0o755))?;
    }
    Ok(rustix::fs::utimensat(parent, path, &times(mtime), AtFlags::empty())?)
}

/// Gives a file of an earlier run mode 0644 and its time, where it has others.
pub(super) fn settle_file(dir: &Dir, name: &str, mtime: i64) -> io::Result<()> {
    let metadata = dir.symlink_metadata(name)?;
    if metadata.mode() & 0o7777 != 0o644 {
        dir.set_permissions(name, Permissions::from_mode(0o644))?;
    }
    if metadata.mtime() != mtime {
        rustix::fs::utimensat(dir, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

/// Whether a name is of the form that `cap-tempfile` gives on the way to the right one: a UUID.
pub(super) fn is_temporary(name: &str) -> bool {
    let dashes: Vec<usize> = name.match_indices('-').map(|(at, _)| at).collect();
    name.len() == 36 && dashes == [8, 13, 18, 23] && name.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
