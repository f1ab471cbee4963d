//! Ctrl-C: the program ends at once, and says how to go on.

#![expect(clippy::disallowed_methods, reason = "a signal comes while the work is anywhere")]

use super::args::AGAIN;
use super::printer::Printer;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// So long work has to end by itself; what does not wait for anything cannot be told to.
const GRACE: Duration = Duration::from_millis(300);

/// Waits for SIGINT or SIGTERM; says so, sends the exit code for who can drop the work, and with it the
/// programs that were started for it, and then ends this one. Whatever is being written stays as it is: that
/// the next run can go on after any instant is what the store sees to, not this.
pub async fn watch(printer: Printer, ended: oneshot::Sender<u8>) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers, the system ends the program.
        return;
    };
    let code = tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    };
    printer.interrupted(AGAIN);
    // Nobody listens where the work has just ended.
    let _ = ended.send(code);
    tokio::time::sleep(GRACE).await;
    std::process::exit(i32::from(code));
}
