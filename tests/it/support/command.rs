//! Running programs: a clean environment, captured output, and an error text that tells everything.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where programs are looked for. Debian keeps some of them in folders that only root's PATH has.
fn search_path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{own}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

/// Where a program is, if it is installed.
fn find(name: &str) -> Option<PathBuf> {
    search_path()
        .split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
}

/// A command without the environment of the caller but PATH, at home in `home`.
///
/// # Panics
/// If the program is not installed: a test without its program has failed.
pub fn program(name: &str, home: &Path) -> Command {
    let Some(path) = find(name) else {
        panic!("this test needs the program `{name}`, which is not installed; `make test` installs what tests need");
    };
    clean(Command::new(path), home)
}

/// Takes the caller's environment away from a command.
pub fn clean(mut command: Command, home: &Path) -> Command {
    command.env_clear().env("PATH", search_path()).env("HOME", home).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// Puts a folder of programs before all others.
pub fn prefer(command: &mut Command, folder: &Path) {
    command.env("PATH", format!("{}:{}", folder.display(), search_path()));
}

/// Writes a shell script that can be run at once.
///
/// # Panics
/// If it cannot be written.
pub fn write_script(path: &Path, text: &str) {
    // Another process writes it: what this one has open for writing may at any time be inherited by a
    // program that another test starts, and a file that is open for writing cannot be run.
    let source = path.with_extension("source");
    fs::write(&source, format!("#!/bin/sh\n{text}\n")).expect("write a script");
    let home = path.parent().expect("a script is in a folder");
    run(program("install", home).arg(&source).arg(path)).success();
    fs::remove_file(&source).expect("remove the source of a script");
}

/// What a program that has ended left behind.
#[derive(Debug)]
pub struct Finished {
    /// The command line.
    pub command: String,
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output, byte for byte.
    pub output: Vec<u8>,
    /// Standard error.
    pub errors: String,
}

impl Finished {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// The same, if the program did its job.
    ///
    /// # Panics
    /// If it did not, with all that is known.
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(self.code == Some(0), "expected success\n{self}");
        self
    }

    /// The same, if the program ended with this code.
    ///
    /// # Panics
    /// If it did not, with all that is known.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Self {
        assert!(self.code == Some(code), "expected exit code {code}\n{self}");
        self
    }

    /// The same, if standard error contains a text.
    ///
    /// # Panics
    /// If it does not, with all that is known.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.errors.contains(text), "expected `{text}` on standard error\n{self}");
        self
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or_else(|| "a signal".to_owned(), |code| format!("code {code}"));
        writeln!(f, "command: {}\nended with {code}", self.command)?;
        writeln!(f, "--- standard output\n{}\n--- standard error\n{}", self.text(), self.errors)
    }
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started; how it ends is for the caller to judge.
#[track_caller]
pub fn run(command: &mut Command) -> Finished {
    let line = describe(command);
    match command.output() {
        Ok(output) => Finished {
            command: line,
            code: output.status.code(),
            output: output.stdout,
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        },
        Err(e) => panic!("cannot start `{line}`: {e}"),
    }
}

/// A command line as one would type it.
fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
