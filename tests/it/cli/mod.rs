//! The program as it is typed: its output, its errors and their exit codes.

mod bad_input;
mod discover;
mod output;
mod push;
pub mod samples;
mod workloads;
