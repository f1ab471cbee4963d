//! Signature tags that a mirror lacks, and the commands that bring them there.

use crate::model::mirror::{Mirror, destination};
use crate::model::{Digest, Plan, Repository};
use std::fmt::Write as _;

/// A signature tag that should be on a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The manifest that is signed.
    pub signs: Digest,
    /// Where the tag was found.
    pub from: Repository,
    /// Where it should be.
    pub to: Repository,
    /// The tag.
    pub name: String,
    /// What it points to.
    pub digest: Digest,
}

/// What a mirror has at a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The same.
    Same,
    /// Nothing.
    Missing,
    /// Something else.
    Other(Digest),
}

/// The signature tags of a plan that should be on mirrors, each once.
pub fn tags(plan: &Plan, mirrors: &[Mirror]) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    for image in &plan.images {
        let from = image.reference.repository();
        let Some(to) = destination(mirrors, from) else { continue };
        for signed in &image.signatures {
            let Some(attached) = &signed.tag else { continue };
            let tag = Tag {
                signs: signed.digest.clone(),
                from: from.clone(),
                to: to.clone(),
                name: format!("sha256-{}.sig", signed.digest.hex()),
                digest: attached.manifest.digest.clone(),
            };
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
    tags
}

/// What to do, as a script.
pub fn script(tags: &[(Tag, Found)]) -> String {
    let missing = tags.iter().filter(|(_, found)| *found == Found::Missing).count();
    let mut text = format!(
        "# {missing} of {} signature tags are missing on the mirror. Written by bootc-embed {}.\n",
        tags.len(),
        env!("CARGO_PKG_VERSION")
    );
    if missing > 0 {
        text += "# They are ordinary images, and must arrive byte for byte.\n";
    }
    for (tag, found) in tags {
        // Writing to a String cannot fail.
        let _ = match found {
            Found::Same => Ok(()),
            Found::Missing => writeln!(
                text,
                "skopeo copy --preserve-digests docker://{}:{} docker://{}:{}",
                tag.from, tag.name, tag.to, tag.name
            ),
            Found::Other(digest) => writeln!(
                text,
                "# {}:{} is another one there ({digest}, not {}): look at it before it is replaced",
                tag.to, tag.name, tag.digest
            ),
        };
    }
    text
}
