//! `Failure`: an error that knows what kind it is and what the user can do about it.

use std::error::Error;
use std::fmt;

/// What a failure means for the caller; each kind has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The work was done and the answer is no: a budget is exceeded, the content does not fit. Exit code 1.
    Check,
    /// What the user gave is wrong: an option, an input file, a reference. Exit code 2.
    Usage,
    /// The world around failed: network, access, disk, a missing program. Exit code 3.
    Environment,
}

impl Kind {
    /// The exit code of a program that ends with this kind of failure.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Check => 1,
            Kind::Usage => 2,
            Kind::Environment => 3,
        }
    }
}

/// An error with its kind, hints for the user, and its cause.
#[derive(Debug)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What the user can do, one sentence each.
    pub hints: Vec<String>,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, hints: Vec::new(), message: message.into(), source: None }
    }

    /// The content does not pass a check or a budget.
    pub fn check(message: impl Into<String>) -> Self {
        Self::new(Kind::Check, message)
    }

    /// The user's input is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The environment failed.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Kind::Environment, message)
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Names the error behind this one.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
