//! Files that are generated and committed.
