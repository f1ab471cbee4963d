//! `Printer`: owns standard output, standard error and the progress bar.
//!
//! Results go to standard output, talk to standard error. Bars are drawn only on a terminal; elsewhere
//! a stage is a line when it begins, and one every ten seconds.

use super::Format;
use super::errors::BrokenPipe;
use crate::model::Progress;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use owo_colors::OwoColorize as _;
use serde::Serialize;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a stage says how far it is where no bar can be drawn.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Prints.
pub struct Printer {
    format: Format,
    quiet: bool,
    bar: Mutex<Option<ProgressBar>>,
    stage: Mutex<Option<Stage>>,
}

/// A stage whose progress is told in lines.
struct Stage {
    title: String,
    total: u64,
    done: u64,
    bytes: bool,
    reported: Instant,
}

impl Stage {
    fn amount(&self, amount: u64) -> String {
        if self.bytes { super::size::show(amount) } else { super::size::images(amount) }
    }
}

/// Foreign text as one line that cannot steer a terminal.
fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Printer {
    /// A printer with the user's settings.
    pub fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet, bar: Mutex::new(None), stage: Mutex::new(None) }
    }

    /// Whether the user asked for JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// The format of results.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether results are for a terminal that shows colours.
    #[expect(clippy::unused_self, reason = "who prints must hold the printer")]
    pub fn colours_data(&self) -> bool {
        anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
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
            self.talk(&tame(line));
        }
    }

    /// Prints a warning.
    pub fn warn(&self, line: &str) {
        if !self.quiet {
            self.talk(&format!("{} {}", "warning:".yellow().bold(), tame(line)));
        }
    }

    /// Prints an error and its hints.
    pub fn error(&self, line: &str, hints: &[String]) {
        self.finish();
        self.talk(&format!("{} {}", "error:".red().bold(), tame(line)));
        for hint in hints {
            self.talk(&format!("{} {}", "hint:".cyan().bold(), tame(hint)));
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
            let stage = Stage { title: title.to_owned(), total, done: 0, bytes, reported: Instant::now() };
            self.talk(&format!("{title} {}", stage.amount(total)));
            *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage);
            return;
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
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stage) = stage.as_mut() {
            stage.done += amount;
            if stage.reported.elapsed() >= REPORT_INTERVAL {
                stage.reported = Instant::now();
                self.talk(&format!("{} {} of {}", stage.title, stage.amount(stage.done), stage.amount(stage.total)));
            }
        }
    }

    fn finish(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
