//! `Printer`: owns standard output, standard error and the progress bar.
//!
//! Results go to standard output, talk to standard error. Bars are drawn only on a terminal; elsewhere
//! a stage is a line when it begins.

use super::Format;
use super::errors::BrokenPipe;
use crate::model::Progress;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use owo_colors::OwoColorize as _;
use serde::Serialize;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

/// Prints.
pub struct Printer {
    format: Format,
    quiet: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Printer {
    /// A printer with the user's settings.
    pub fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet, bar: Mutex::new(None) }
    }

    /// Whether the user asked for JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints result data as it is.
    #[expect(clippy::unused_self, reason = "who prints must hold the printer")]
    pub fn data(&self, text: &str) -> Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(BrokenPipe.into()),
            done => Ok(done?),
        }
    }

    /// Prints a result as JSON, or what `text` makes of it.
    pub fn result<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        if self.is_json() { self.data(&(serde_json::to_string_pretty(value)? + "\n")) } else { self.data(&text(value)) }
    }

    /// Prints a line of talk.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.talk(line);
        }
    }

    /// Prints a warning.
    pub fn warn(&self, line: &str) {
        if !self.quiet {
            self.talk(&format!("{} {line}", "warning:".yellow().bold()));
        }
    }

    /// Prints an error and its hints.
    pub fn error(&self, line: &str, hints: &[String]) {
        self.finish();
        self.talk(&format!("{} {line}", "error:".red().bold()));
        for hint in hints {
            self.talk(&format!("{} {hint}", "hint:".cyan().bold()));
        }
    }

    /// Writes to standard error; colours vanish where they are not wanted. If nobody listens, so be it.
    fn talk(&self, line: &str) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let write = || {
            let _ = writeln!(anstream::stderr().lock(), "{line}");
        };
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn with_bar(&self, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            act(bar);
        }
    }
}

impl Progress for Printer {
    fn start(&self, title: &str, total: u64, bytes: bool) {
        if self.quiet {
            return;
        }
        if !io::stderr().is_terminal() {
            let amount = if bytes { super::size::show(total) } else { format!("{total} images") };
            return self.talk(&format!("{title} {amount}"));
        }
        let amount = if bytes { "{bytes}/{total_bytes} {bytes_per_sec} {eta}" } else { "{pos}/{len}" };
        let template = format!("{{msg:24}} [{{bar:30}}] {amount}");
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(title.to_owned());
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }

    fn advance(&self, amount: u64) {
        self.with_bar(|bar| bar.inc(amount));
    }

    fn finish(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}
