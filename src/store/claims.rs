//! Claims: what a run is about to write, noted before it writes, so that whatever happens to it the
//! next run knows which views and blobs are this program's own. Nothing else is ever removed.

use crate::model::{Digest, Plan};
use std::collections::BTreeSet;

/// Views and blobs that belong to this program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Keys of views.
    pub views: BTreeSet<String>,
    /// Files of the pool.
    pub blobs: BTreeSet<Digest>,
}

impl Claims {
    /// The file, beside the lock. It is there only while a run is under way, or was cut off.
    pub const FILE: &'static str = ".embed.claims";

    /// Adds what a plan names.
    pub fn add(&mut self, plan: &Plan) {
        self.views.extend(plan.images.iter().map(|image| image.reference.key()));
        self.blobs.extend(plan.content().into_keys().cloned());
    }

    /// What is claimed here and not there.
    pub fn without(&self, other: &Claims) -> Claims {
        Claims {
            views: self.views.difference(&other.views).cloned().collect(),
            blobs: self.blobs.difference(&other.blobs).cloned().collect(),
        }
    }

    /// Reads the file. A line that is no claim claims nothing, least of all a path.
    pub fn parse(text: &str) -> Self {
        let mut claims = Self::default();
        for line in text.lines() {
            match line.split_once(' ').map(|(kind, hex)| (kind, Digest::from_hex(hex))) {
                Some(("view", Ok(key))) => drop(claims.views.insert(key.hex().to_owned())),
                Some(("blob", Ok(digest))) => drop(claims.blobs.insert(digest)),
                _ => {}
            }
        }
        claims
    }

    /// Writes the file.
    pub fn text(&self) -> String {
        let views = self.views.iter().map(|key| format!("view {key}\n"));
        let blobs = self.blobs.iter().map(|digest| format!("blob {}\n", digest.hex()));
        views.chain(blobs).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_claims_are_read() {
        let hex = "0".repeat(64);
        let text = format!("view {hex}\nblob {hex}\nview ../../etc\nblob x\nother {hex}\n\n");
        let claims = Claims::parse(&text);
        assert_eq!((claims.views.len(), claims.blobs.len()), (1, 1));
        assert_eq!(Claims::parse(&claims.text()), claims);
    }
}
