//! `Finding`, `Report`: what checks found, and the verdict over a target.

use super::digest::Digest;
use super::platform::Platform;
use super::release::Origin;
use serde::{Deserialize, Serialize};

/// The version of the report format.
pub const REPORT_VERSION: u32 = 1;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The image will not start offline, or must not be shipped.
    Error,
    /// It will start, but somebody should know.
    Warning,
}

/// One result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    /// The name of the check.
    pub check: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What it is about: a reference, a file.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The references that do not start offline because of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Nothing was found.
    Passed,
    /// An error was found.
    Failed,
    /// Only warnings were found.
    Warned,
    /// The user left it out, or the target has nothing that it could look at.
    Skipped,
    /// It could not be done: exit code 3.
    CouldNotCheck,
}

/// One check of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckResult {
    /// Its name.
    pub name: String,
    /// What it looks at, one sentence.
    pub description: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was skipped or could not be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is known of one reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It resolves to a complete native image without a network.
    Proven,
    /// It does not.
    Failed,
    /// A check that would tell could not be done, or was left out.
    Unknown,
}

/// A reference that the target's workloads name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceResult {
    /// What the workload names; not always a valid reference.
    pub reference: String,
    /// Whether it starts offline.
    pub verdict: Verdict,
    /// Everything that asks for it.
    pub found_in: Vec<Origin>,
}

/// An image that the target carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedImage {
    /// The name it is embedded under.
    pub reference: String,
    /// Where its files are, inside of the target.
    pub place: String,
    /// What the reference resolves to, where its manifest can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Bytes of all its files, those included that it shares.
    pub size: u64,
    /// Bytes that would go if this image went.
    pub own_size: u64,
    /// Its layers: digests and bytes, and how many images have them.
    pub layers: Vec<EmbeddedLayer>,
    /// What the policy of the device says to its signatures, where there is a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<SignatureResult>,
}

/// What a policy says to the signatures of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignatureResult {
    /// Whether it accepts the image.
    pub outcome: SignatureOutcome,
    /// The policy.
    pub policy: String,
    /// The scope of it that decides.
    pub scope: String,
    /// For each requirement of an image that is accepted: which signature fulfils it, and whose that is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// The first reason why it is not, or why that could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a policy accepts an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SignatureOutcome {
    /// It does.
    Accepted,
    /// It does not.
    Rejected,
    /// Nobody here can tell.
    CouldNotCheck,
}

/// A layer of an embedded image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedLayer {
    /// Its digest.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// How many embedded images have it.
    pub images: usize,
}

/// References by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Summary {
    /// All that are named.
    pub references: usize,
    /// Proven to start offline.
    pub proven: usize,
    /// Proven not to.
    pub failed: usize,
    /// Could not be told.
    pub unknown: usize,
}

/// How much of a device was there to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The images and the system that starts them.
    System,
    /// The images alone: what imports them was not looked at.
    Store,
}

/// What `validate` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`REPORT_VERSION`]; fields are only ever added.
    pub version: u32,
    /// What was looked at.
    pub target: String,
    /// How much of a device it is.
    pub scope: Scope,
    /// The platforms that the set must serve; empty where all.
    pub platforms: Vec<Platform>,
    /// References by verdict.
    pub summary: Summary,
    /// Bytes of all embedded files, each once.
    pub size: u64,
    /// What the workloads name, in the order it was found.
    pub references: Vec<ReferenceResult>,
    /// What the user left out of the judgement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<String>,
    /// What was found, errors first.
    pub findings: Vec<Finding>,
    /// The checks, in the order they were made.
    pub checks: Vec<CheckResult>,
    /// What the target carries.
    pub embedded: Vec<EmbeddedImage>,
}
