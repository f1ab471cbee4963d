//! `Progress`: how a stage tells what it is doing. The command line draws it; tests use [`Silent`].

/// Told of the progress of long work. Amounts are bytes or images, as the stage says in `start`.
pub trait Progress: Send + Sync {
    /// A stage begins: its title, and how many units it has; `bytes` tells what a unit is.
    fn start(&self, title: &str, total: u64, bytes: bool);
    /// Some units are done.
    fn advance(&self, amount: u64);
    /// The stage ends.
    fn finish(&self);
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: &str, _: u64, _: bool) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
}
