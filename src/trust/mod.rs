//! Layer 3, what a device trusts: its policy.json, and what that says of an image.
//!
//! * [`policy`]: containers-policy.json(5): which requirements are for an image.
//! * [`scopes`]: under which names an image is looked up in it.
//!
//! Nothing here verifies a signature.

mod json;
pub mod policy;
mod requirement;
pub mod scopes;

pub use policy::{Admission, Policy, PolicyError, admits};
pub use requirement::{Fulcio, Identity, KeyType, Keys, Pki, Requirement, Root, SignedBy, SigstoreSigned};
