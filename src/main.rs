//! Parses, runs, maps to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    bootc_embed::cli::run(std::env::args_os())
}
