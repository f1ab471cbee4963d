//! Layer 4, words: the values that all stages share. No I/O, no async, no terminal.

pub mod choice;
pub mod crio;
pub mod digest;
pub mod failure;
pub mod fields;
pub mod finding;
pub mod grammar;
#[cfg(feature = "openshift")]
pub mod image_stream;
pub mod lint;
pub mod manifest;
pub mod mirror;
pub mod plan;
pub mod platform;
pub mod progress;
pub mod reference;
pub mod release;
pub mod retain;
pub mod signature;
pub mod tree;
pub mod unit;

pub use digest::{Digest, Hasher};
pub use failure::{Failure, Kind};
pub use finding::{Finding, Report, Severity};
#[cfg(feature = "openshift")]
pub use image_stream::ImageStreamTag;
pub use lint::{Fault, lint};
pub use manifest::{Descriptor, Manifest, RawManifest};
pub use plan::{Instance, Plan, PlannedImage};
pub use platform::{Platform, Platforms};
pub use progress::Progress;
pub use reference::{PinnedReference, Reference, Repository};
pub use release::{Component, Invalid, Origin, Pull, Release};
pub use retain::RetainError;
pub use signature::{Signature, SignatureError, Sigstore};
pub use tree::Tree;
