//! What tests are made of: content, real programs, and ways to look at results.

pub mod browser;
pub mod busybox;
pub mod command;
pub mod docker_registry;
pub mod files;
pub mod fixture;
pub mod lane;
pub mod loopback;
pub mod memory;
pub mod oracle;
pub mod random;
pub mod registry;
pub mod rpm;
pub mod signing;
pub mod storage;
pub mod tool;
pub mod tree;
pub mod tunnel;
pub mod writable;
