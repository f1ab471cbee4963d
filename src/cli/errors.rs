//! From an error to words and an exit code.

use super::environment;
use super::printer::Printer;
#[cfg(feature = "openshift")]
use crate::cluster;
use crate::model::reference::ReferenceError;
use crate::model::{Failure, Kind};
use crate::{registry, store, target};
use std::process::ExitCode;

/// Prints an error with its whole chain once, then hints; returns the exit code.
pub fn report(printer: &Printer, error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    let mut parts: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // Libraries like to repeat their cause in their own message.
        if !parts.last().is_some_and(|last| last.contains(&text)) {
            parts.push(text);
        }
        let own = if let Some(failure) = cause.downcast_ref::<Failure>() {
            failure.hints.clone()
        } else if let Some(error) = cause.downcast_ref::<registry::Error>() {
            error.hints()
        } else if let Some(error) = cause.downcast_ref::<store::Error>() {
            error.hints()
        } else if let Some(error) = cause.downcast_ref::<target::Error>() {
            error.hints()
        } else if let Some(ReferenceError::ShortName(name)) = cause.downcast_ref::<ReferenceError>() {
            environment::short_name(name).into_iter().collect()
        } else {
            of_cluster(cause).map(|(_, hints)| hints).unwrap_or_default()
        };
        hints.extend(own);
    }
    printer.error(&parts.join(": "), &hints);
    ExitCode::from(kind(error).exit_code())
}

/// The outermost failure that knows its kind; what knows none came from the environment.
fn kind(error: &anyhow::Error) -> Kind {
    let known = error.chain().find_map(|cause| {
        let failure = cause.downcast_ref::<Failure>().map(|failure| failure.kind);
        let lock = cause.downcast_ref::<store::Error>().and_then(|error| match error {
            store::Error::Lock(_) | store::Error::NotAStore | store::Error::Foreign(_) => Some(Kind::Usage),
            _ => None,
        });
        let target = || cause.downcast_ref::<target::Error>().map(target::Error::kind);
        failure.or(lock).or_else(target).or_else(|| of_cluster(cause).map(|(kind, _)| kind))
    });
    known.unwrap_or(Kind::Environment)
}

/// Kind and hints of an error of `cluster`.
#[cfg(feature = "openshift")]
fn of_cluster(cause: &(dyn std::error::Error + 'static)) -> Option<(Kind, Vec<String>)> {
    cause.downcast_ref::<cluster::Error>().map(|error| (error.kind(), error.hints()))
}

/// Without that module, none is one of its errors.
#[cfg(not(feature = "openshift"))]
fn of_cluster(_: &(dyn std::error::Error + 'static)) -> Option<(Kind, Vec<String>)> {
    None
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<BrokenPipe>().is_some())
}

/// Standard output was closed by its reader.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub struct BrokenPipe;
