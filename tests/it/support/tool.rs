//! The program under test.

use super::command::clean;
use std::path::Path;
use std::process::Command;

/// bootc-embed without the environment of the caller, at home in `home`.
pub fn bootc_embed(home: &Path) -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_bootc-embed")), home)
}
