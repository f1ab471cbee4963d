//! `Printer`: owns standard output, standard error and the progress bar.
//!
//! Results go to standard output, talk to standard error. Bars are drawn only on a terminal; elsewhere
//! a stage is a line when it begins, one for everything that is whole, and one every ten seconds.

use super::Format;
use super::errors::BrokenPipe;
use crate::model::Progress;
use crate::model::progress::Part;
use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use owo_colors::OwoColorize as _;
use serde::Serialize;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a stage says how far it is where no bar can be drawn.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Prints. Clones print to the same place.
#[derive(Clone)]
pub struct Printer {
    inner: Arc<Inner>,
}

struct Inner {
    format: Format,
    quiet: bool,
    /// Whether standard error is a terminal that can be drawn on.
    bars_wanted: bool,
    bars: Mutex<Option<Bars>>,
    stage: Mutex<Option<Stage>>,
}

/// What is drawn on a terminal: a bar for each piece under way, and below them one for all.
struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    bytes: bool,
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
        let bars_wanted = io::stderr().is_terminal() && !super::environment::is_dumb_terminal();
        let (bars, stage) = (Mutex::new(None), Mutex::new(None));
        Self { inner: Arc::new(Inner { format, quiet, bars_wanted, bars, stage }) }
    }

    /// Whether the user asked for JSON.
    pub fn is_json(&self) -> bool {
        self.inner.format == Format::Json
    }

    /// The format of results.
    pub fn format(&self) -> Format {
        self.inner.format
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
        if !self.inner.quiet {
            self.talk(&tame(line));
        }
    }

    /// Prints a warning.
    pub fn warn(&self, line: &str) {
        if !self.inner.quiet {
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

    /// Says that the user has ended the run, below what was drawn last: a terminal that shows Ctrl-C as
    /// `^C` has moved on, so nobody knows where the bars are that could be cleared away.
    pub fn interrupted(&self, hint: &str) {
        let bars = lock(&self.inner.bars).take();
        if let Some(bars) = bars {
            bars.all.set_draw_target(ProgressDrawTarget::hidden());
            self.talk("");
        }
        self.error("interrupted", &[hint.to_owned()]);
    }

    /// Writes to standard error; colours vanish where they are not wanted. If nobody listens, so be it.
    fn talk(&self, line: &str) {
        let write = || {
            let _ = writeln!(anstream::stderr().lock(), "{line}");
        };
        match &*lock(&self.inner.bars) {
            Some(bars) => bars.all.suspend(write),
            None => write(),
        }
    }

    /// Changes the stage that is told in lines, and says a line if the last one is old.
    fn report(&self, change: impl FnOnce(&mut Stage)) {
        let mut stage = lock(&self.inner.stage);
        let Some(stage) = stage.as_mut() else { return };
        change(stage);
        if stage.reported.elapsed() >= REPORT_INTERVAL {
            stage.reported = Instant::now();
            self.talk(&format!("{} {} of {}", stage.title, stage.amount(stage.done), stage.amount(stage.total)));
        }
    }
}

impl Progress for Printer {
    fn start(&self, title: &str, total: u64, bytes: bool) {
        if self.inner.quiet {
            return;
        }
        if !self.inner.bars_wanted {
            let stage = Stage { title: title.to_owned(), total, done: 0, bytes, reported: Instant::now() };
            self.talk(&format!("{title} {}", stage.amount(total)));
            *lock(&self.inner.stage) = Some(stage);
            return;
        }
        let amount = match (bytes, is_wide()) {
            (true, true) => "{bytes}/{total_bytes}  {bytes_per_sec}  {eta}",
            (true, false) => "{bytes}/{total_bytes}",
            (false, _) => "{pos}/{len}",
        };
        let bar = if is_wide() { " [{wide_bar}]" } else { "" };
        let total = ProgressBar::new(total);
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let total = bars.add(styled(total, &format!("{{msg}}{bar} {amount}")));
        total.set_message(title.to_owned());
        total.tick();
        *lock(&self.inner.bars) = Some(Bars { all: bars, total, bytes });
    }

    fn advance(&self, amount: u64) {
        if let Some(bars) = &*lock(&self.inner.bars) {
            bars.total.inc(amount);
        }
        self.report(|stage| stage.done = stage.done.saturating_add(amount));
    }

    fn part(&self, name: &str, size: u64) -> Box<dyn Part> {
        let bar = lock(&self.inner.bars).as_ref().map(|bars| {
            let amount = match (bars.bytes, is_wide()) {
                (true, true) => "[{wide_bar}] {bytes:>10}/{total_bytes:10}",
                (true, false) => "{bytes:>10}",
                (false, _) => "{pos}/{len}",
            };
            // Above the total, which stays where it is.
            let bar = bars.all.insert_before(&bars.total, ProgressBar::new(size));
            let bar = styled(bar, &format!("  {{msg:16}} {amount}"));
            bar.set_message(short(name));
            bar
        });
        Box::new(Piece { printer: self.clone(), bar, done: 0 })
    }

    fn done(&self, line: &str) {
        // On a terminal, the bars say enough.
        if lock(&self.inner.bars).is_none() {
            self.say(&format!("  {line}"));
        }
    }

    fn note(&self, line: &str) {
        self.warn(line);
    }

    fn finish(&self) {
        if let Some(bars) = lock(&self.inner.bars).take() {
            // If the terminal is gone, nobody sees what is left on it.
            let _ = bars.all.clear();
            bars.all.set_draw_target(ProgressDrawTarget::hidden());
        }
        lock(&self.inner.stage).take();
    }
}

/// A piece of a stage: a bar of its own on a terminal.
struct Piece {
    printer: Printer,
    bar: Option<ProgressBar>,
    done: u64,
}

impl Part for Piece {
    fn at(&mut self, done: u64) {
        let before = std::mem::replace(&mut self.done, done);
        // Not after the stage has ended: the bar would draw itself anew.
        if let Some(bars) = &*lock(&self.printer.inner.bars) {
            if let Some(bar) = &self.bar {
                bar.set_position(done);
            }
            if done >= before { bars.total.inc(done - before) } else { bars.total.dec(before - done) }
        }
        self.printer.report(|stage| stage.done = (stage.done + done).saturating_sub(before));
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let (Some(bar), Some(bars)) = (&self.bar, &*lock(&self.printer.inner.bars)) {
            bar.finish_and_clear();
            bars.all.remove(bar);
        }
    }
}

/// Whether a terminal has room for bars, a rate and the time that is left.
fn is_wide() -> bool {
    rustix::termios::tcgetwinsize(io::stderr()).is_ok_and(|size| size.ws_col >= 72)
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        // The templates are this file's own.
        Err(_) => bar,
    }
}

/// The last part of a name, where digests differ, as long as a bar has room for.
fn short(name: &str) -> String {
    let name = tame(name);
    let (repository, digest) = name.split_once("@sha256:").unwrap_or((&name, ""));
    let last = repository.rsplit('/').next().unwrap_or(repository);
    last.chars().take(7).chain("@".chars()).chain(digest.chars().take(8)).collect()
}

/// A poisoned lock only means that another thread panicked; what is drawn is still whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
