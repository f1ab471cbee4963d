//! `Progress`: how a stage tells what it is doing. The command line draws it; tests use [`Silent`].

/// Told of the progress of long work. Amounts are bytes or images, as the stage says in `start`.
pub trait Progress: Send + Sync {
    /// A stage begins: its title, and how many units it has; `bytes` tells what a unit is.
    fn start(&self, title: &str, total: u64, bytes: bool);
    /// Some units are done.
    fn advance(&self, amount: u64);
    /// One piece of the stage begins, a blob for example, that has `size` units of its own.
    fn part(&self, name: &str, size: u64) -> Box<dyn Part>;
    /// Something is whole, an image for example; one line.
    fn done(&self, line: &str);
    /// Something went another way than it should, and work goes on; one line.
    fn note(&self, line: &str);
    /// The stage ends.
    fn finish(&self);
}

/// A piece of a stage that is under way. It ends when this is dropped; its units count for the stage too.
pub trait Part: Send {
    /// So many of its units are done. They can become fewer: some have to be done once more.
    fn at(&mut self, done: u64);
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: &str, _: u64, _: bool) {}
    fn advance(&self, _: u64) {}
    fn part(&self, _: &str, _: u64) -> Box<dyn Part> {
        Box::new(Silent)
    }
    fn done(&self, _: &str) {}
    fn note(&self, _: &str) {}
    fn finish(&self) {}
}

impl Part for Silent {
    fn at(&mut self, _: u64) {}
}
