//! All tests that need more than one module: one binary, so that it is linked once.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and find their samples by the environment"
)]

mod cli;
mod e2e;
mod generated;
mod layering;
#[cfg(feature = "openshift")]
mod openshift;
mod pipeline;
mod support;
mod trust;
mod validate;
