//! All tests that need more than one module: one binary, so that it is linked once.

mod cli;
mod generated;
mod layering;
mod pipeline;
mod support;
