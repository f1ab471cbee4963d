//! Layer 3, what a device trusts: its policy.json, and what that says of an image.
//!
//! * [`policy`]: containers-policy.json(5): which requirements are for an image.
//! * [`openshift`]: ClusterImagePolicy and ImagePolicy objects, which say the same in another form, and
//!   [`read_policies`], which makes one policy of several files.
//! * [`scopes`]: under which names an image is looked up in it.
//! * [`judge`](mod@judge): what it says to the signatures that an image has.

mod json;
pub mod judge;
pub mod openshift;
mod policies;
pub mod policy;
mod requirement;
pub mod scopes;
mod strict;
mod written;

pub use judge::{Accepted, Candidate, CouldNotCheck, Gpg, Means, Reason, Rejection, Verdict, judge};
pub use policies::read_policies;
pub use policy::{Admission, Policy, PolicyError, admits};
pub use requirement::{Fulcio, Identity, KeyType, Keys, Pki, Requirement, Root, SignedBy, SigstoreSigned};
