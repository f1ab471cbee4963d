//! The oracle: a skopeo that verifies sigstore signatures, whose verdicts are the right ones.
//!
//! Debian 12 has 1.9, which cannot. `tests/oracle.sh` gets a newer one where the machine's is too old, and
//! keeps it below `target/`; it runs like any other program and sees the same files.

use super::command::{clean, prefer, program, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The first of Debian and Fedora that knows `pki` and more than one key. Also in `tests/oracle.sh`.
const MINIMUM: (u32, u32) = (1, 18);

/// The oracle, at home in `home`, without the environment of the caller.
///
/// # Panics
/// If there is none: a test without its oracle has failed.
pub fn skopeo(home: &Path) -> Command {
    clean(Command::new(path()), home)
}

/// Makes a program, for example the script that imports images, find the oracle where it runs `skopeo`.
///
/// # Panics
/// If there is none.
pub fn lend(command: &mut Command) {
    prefer(command, path().parent().expect("a program is in a folder"));
}

/// Where it is.
fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle/bin/skopeo");
        let own = PathBuf::from(program("skopeo", Path::new("/")).get_program());
        let found = [own, kept].into_iter().find(|path| version(path).is_some_and(|version| version >= MINIMUM));
        found.unwrap_or_else(|| {
            panic!(
                "this test needs skopeo {}.{} or newer, which is not here; `make test` or tests/oracle.sh gets it",
                MINIMUM.0, MINIMUM.1
            )
        })
    })
}

/// The version of a skopeo, if it runs.
fn version(path: &Path) -> Option<(u32, u32)> {
    if !path.is_file() {
        return None;
    }
    let finished = run(clean(Command::new(path), Path::new("/")).arg("--version"));
    let text = finished.text();
    let mut numbers = text.trim().strip_prefix("skopeo version ")?.split(['.', '-', ' ']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
