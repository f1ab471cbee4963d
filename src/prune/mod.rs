//! Prune: a release that carries only some architectures. Pure: what is read and written elsewhere goes in and comes
//! out as bytes.
//!
//! ```text
//!  last layer ── Payload ──┐
//!  index of FROM ──────────┼── Content: version, components
//!                          │        │ their indexes
//!                          │     Outcome: which entries are kept, which go, and why
//!                          │        │ old → new pullspecs
//!                          └──── Rewritten payload ── new layer, config, manifest ── new index
//!                                                                                      Report
//! ```
//!
//! Bytes of manifests are cut and replaced in place, never written anew. Formats: openshift/oc
//! (`pkg/cli/admin/release`), the cluster-version-operator (`pkg/payload`).

pub mod archive;
pub mod choose;
pub mod image;
pub mod image_references;
pub mod json;
pub mod payload;
pub mod release;
pub mod report;
pub mod rewrite;

pub use choose::{Choice, Dropped, Kept, Outcome, Placeholders};
pub use image::{NewImage, new_image, new_index};
pub use image_references::ImageReferences;
pub use payload::{Compression, NewLayer, Payload};
pub use release::{Component, Content, ReleaseImage, release_entries};
pub use report::{NewRelease, PruneReport, RebuiltImage};
pub use rewrite::{Foreign, Rewrite, Rewritten};
