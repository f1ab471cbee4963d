//! Layer 2, validate: says whether what a target carries will start offline, and why not.
//!
//! A check is data: a name, a severity, a sentence and a function over [`Facts`]. Nothing here reads
//! files; everything is judged from a [`Tree`](crate::model::Tree) and from what its workloads name.

mod checks;
mod embedded;
mod explain;
mod facts;
mod judgement;
mod report;
mod storage;
mod units;
mod view;

pub use checks::{CHECKS, SECRET_NAMES, missing_programs};
pub use embedded::{DEFAULT_PLACES, MAPPING};
pub use explain::{Explanation, Step, StepOutcome, explain};
pub use facts::{DevicePolicy, Facts, Subject};
pub use report::run;

use crate::model::{Finding, Severity};
use std::borrow::Cow;

/// One thing that is looked at.
pub struct Check {
    /// Its name, for `--skip` and `--only`.
    pub name: &'static str,
    /// How much its findings weigh.
    pub severity: Severity,
    /// What must be so, one sentence.
    pub description: &'static str,
    /// Whether no reference counts as proven without it.
    pub proves: bool,
    /// What it needs; where that is missing the check is left out.
    pub needs: Needs,
    /// Looks.
    pub run: fn(&Facts<'_>) -> Result<Vec<Problem>, CannotCheck>,
}

/// What a check needs to have anything to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing but names of images.
    References,
    /// Embedded images, as files or in a containers-storage.
    Set,
    /// Embedded images as files: a containers-storage has no lists, and layers only unpacked.
    Files,
    /// Embedded images as files, and a policy that they must fulfil.
    Policy,
    /// A whole system.
    System,
    /// A whole system with an embedded set.
    SystemWithSet,
    /// The same, or a root with an embedded set and a policy for its import.
    ImportPolicy,
}

/// The check could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CannotCheck(pub String);

/// The most characters of a subject or a message.
const MAX_TEXT: usize = 2000;

/// What is wrong: a [`Finding`] that does not yet know how much it weighs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A reference or a file.
    pub subject: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do.
    pub hint: Option<Cow<'static, str>>,
    /// The references that do not start because of it.
    pub references: Vec<String>,
    /// Where this one weighs less than its check.
    pub severity: Option<Severity>,
}

impl Problem {
    /// Something wrong with a subject.
    fn new(subject: impl Into<String>, message: impl Into<String>) -> Self {
        // Foreign names may be of any length; so much helps to find them.
        let cut = |text: String| if text.len() > MAX_TEXT { text.chars().take(MAX_TEXT).collect() } else { text };
        let (subject, message) = (cut(subject.into()), cut(message.into()));
        Self { subject, message, hint: None, references: Vec::new(), severity: None }
    }

    fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn warning(mut self) -> Self {
        self.severity = Some(Severity::Warning);
        self
    }

    /// These references do not start because of it.
    fn stops(mut self, references: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.references.extend(references.into_iter().map(Into::into));
        self
    }

    fn finding(self, check: &Check) -> Finding {
        Finding {
            check: check.name.to_owned(),
            severity: self.severity.unwrap_or(check.severity),
            subject: self.subject,
            message: self.message,
            hint: self.hint.map(Cow::into_owned),
            references: self.references,
        }
    }
}
