//! The payload with other pullspecs in it.
//!
//! Manifests have pullspecs as images, in arguments, in environments, and in JSON within ConfigMaps: always as the same
//! text. So texts are looked for, whatever the file is, and only where nothing continues them to another reference.

use super::payload::Payload;
use super::release::image_references;
use crate::model::{Failure, Reference};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// What stands between the repository and the digits.
const ALGORITHM: &[u8] = b"@sha256:";
const DIGITS: usize = 64;
/// The most bytes of a foreign reference that are told.
const MAX_SHOWN: usize = 512;
const IMAGE_REFERENCES: &str = "image-references";

/// What is to be rewritten.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// Old to new pullspec, of what changes.
    pub pullspecs: BTreeMap<Reference, Reference>,
    /// All pullspecs of the release.
    pub known: Vec<Reference>,
    /// The release that the new one is made of, by digest.
    pub source: String,
}

/// A payload that was rewritten.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// With the new pullspecs.
    pub payload: Payload,
    /// How many were replaced, by file below `release-manifests`; files without any are left out.
    pub replacements: BTreeMap<String, u64>,
    /// References by digest to images that are no part of the release. They were left alone.
    pub foreign: Vec<Foreign>,
}

/// A reference to an image that is no part of the release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Foreign {
    /// The file below `release-manifests`.
    pub file: String,
    /// As it stands there.
    pub reference: String,
}

impl Rewrite {
    /// Rewrites every file. `release-metadata` is looked at as the others are; its version stays.
    ///
    /// Errors: an old pullspec that cannot be replaced because of what stands around it, with its file.
    pub fn apply(&self, payload: &Payload) -> Result<Rewritten> {
        let table = self.table()?;
        let mut replacements = BTreeMap::new();
        let mut count = |file: &str, replaced: u64| {
            if replaced > 0 {
                *replacements.entry(file.to_owned()).or_insert(0) += replaced;
            }
        };
        let stream = self.stream(payload, &table, &mut count)?;
        let payload = payload.map(|file, content| {
            if file == IMAGE_REFERENCES {
                return Ok(Some(stream.clone()));
            }
            let (new, replaced) = table.replace(content);
            count(file, replaced);
            Ok((replaced > 0).then_some(new))
        })?;
        let mut own = Table::default();
        self.known.iter().chain(self.pullspecs.values()).for_each(|reference| own.insert(reference.as_str(), ""));
        let (mut foreign, repositories) = (Vec::new(), self.repositories());
        for (file, content) in payload.files() {
            check(&table, file, content)?;
            // What the source says of itself is no image of the release.
            let source = if file == IMAGE_REFERENCES { self.source.as_str() } else { "" };
            check_spellings(&repositories, file, content, source)?;
            let others = self::foreign(&own, content).into_iter().filter(|reference| *reference != self.source);
            foreign.extend(others.map(|reference| Foreign { file: file.to_owned(), reference }));
        }
        foreign.sort();
        foreign.dedup();
        Ok(Rewritten { payload, replacements, foreign })
    }

    /// The new `image-references`.
    fn stream(&self, payload: &Payload, table: &Table, count: &mut dyn FnMut(&str, u64)) -> Result<Vec<u8>> {
        let mut stream = image_references(payload)?;
        stream.change_texts(&mut |text| {
            let (new, replaced) = table.replace(text.as_bytes());
            count(IMAGE_REFERENCES, replaced);
            // Only pullspecs were replaced, by pullspecs: it is text as before.
            (replaced > 0).then(|| String::from_utf8_lossy(&new).into_owned())
        });
        let set = stream.set_from_release(&self.source);
        set.map_err(|error| Failure::check("changing image-references").because(error))?;
        Ok(stream.print())
    }

    /// By the digits of its digest, the repositories of what must not remain.
    fn repositories(&self) -> HashMap<Vec<u8>, Vec<String>> {
        let mut all: HashMap<Vec<u8>, Vec<String>> = HashMap::new();
        for (old, new) in self.pullspecs.iter().filter(|(old, new)| old != new) {
            let Some(digest) = old.digest().filter(|_| old.repository() != new.repository()) else { continue };
            all.entry(digest.hex().as_bytes().to_vec()).or_default().push(old.repository().to_string());
        }
        all
    }

    fn table(&self) -> Result<Table> {
        let mut table = Table::default();
        for (old, new) in self.pullspecs.iter().filter(|(old, new)| old != new) {
            if old.digest().is_none() || new.digest().is_none() {
                return Err(Failure::usage(format!("`{old}` becomes `{new}`: both need a digest")).into());
            }
            table.insert(old.as_str(), new.as_str());
        }
        Ok(table)
    }
}

/// No old pullspec may remain, but within the name of another image.
fn check(table: &Table, file: &str, content: &[u8]) -> Result<()> {
    for end in digests(content) {
        let Some((old, _)) = table.ending(content, end) else { continue };
        if !is_longer(content, end - old.len()) {
            return Err(Failure::check(format!("`{file}` still has `{old}`, with something around it"))
                .hint("the release names an image in a form that this program does not know")
                .into());
        }
    }
    Ok(())
}

/// An old image must not remain in another spelling either: with a tag beside its digest, with slashes as JSON may
/// escape them, behind text that could be a name but is none.
fn check_spellings(old: &HashMap<Vec<u8>, Vec<String>>, file: &str, content: &[u8], own: &str) -> Result<()> {
    for end in digests(content) {
        let Some(repositories) = old.get(&content[end - DIGITS..end]) else { continue };
        let name_end = end - DIGITS - ALGORITHM.len();
        let spelled = |byte: &&u8| in_name(**byte) || b":\\".contains(byte);
        let length = content[..name_end].iter().rev().take(MAX_SHOWN).take_while(spelled).count();
        let name = String::from_utf8_lossy(&content[name_end - length..name_end]).replace('\\', "");
        let untagged = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name,
            _ => name.as_str(),
        };
        let is_own = !own.is_empty() && content[..end].ends_with(own.as_bytes());
        let left = repositories.iter().find(|repository| {
            let before = untagged.strip_suffix(repository.as_str());
            // Below a path, or in a domain, it is another name.
            before.is_some_and(|before| !before.ends_with(['/', '.']) || before.ends_with("://"))
        });
        if let (false, Some(left)) = (is_own, left) {
            let digest = String::from_utf8_lossy(&content[name_end..end]);
            return Err(Failure::check(format!("`{file}` still names an image of `{left}` ({digest}), as `{name}`"))
                .hint("the release names an image in a form that this program does not know")
                .into());
        }
    }
    Ok(())
}

/// What a file names by digest and is no image of the release, old or new.
fn foreign(own: &Table, content: &[u8]) -> Vec<String> {
    let is_own = |end: usize| own.ending(content, end).is_some_and(|(text, _)| starts(content, end - text.len()));
    let others = digests(content).filter(|end| !is_own(*end));
    others.map(|end| String::from_utf8_lossy(&content[begin(content, end)..end]).into_owned()).collect()
}

/// Texts that end with a digest, by its digits, and what takes their place.
#[derive(Default)]
struct Table(HashMap<Vec<u8>, Vec<(String, String)>>);

impl Table {
    fn insert(&mut self, old: &str, new: &str) {
        let digits = old.as_bytes()[old.len().saturating_sub(DIGITS)..].to_vec();
        let same = self.0.entry(digits).or_default();
        same.push((old.to_owned(), new.to_owned()));
        // The longest first: it may end with another.
        same.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
    }

    /// The longest text that ends at a place.
    fn ending(&self, content: &[u8], end: usize) -> Option<(&str, &str)> {
        let same = self.0.get(&content[end - DIGITS..end])?;
        let found = same.iter().find(|(old, _)| content[..end].ends_with(old.as_bytes()))?;
        Some((&found.0, &found.1))
    }

    /// Replaces every text that nothing continues, once; and how many there were.
    fn replace(&self, content: &[u8]) -> (Vec<u8>, u64) {
        let (mut new, mut done, mut count) = (Vec::new(), 0, 0);
        for end in digests(content) {
            let Some((old, by)) = self.ending(content, end) else { continue };
            let start = end - old.len();
            if start < done || !starts(content, start) || !ends(content, end) {
                continue;
            }
            new.extend_from_slice(&content[done..start]);
            new.extend_from_slice(by.as_bytes());
            (done, count) = (end, count + 1);
        }
        new.extend_from_slice(&content[done..]);
        (new, count)
    }
}

/// Where the digits of a digest end, `@sha256:` and 64 of them.
fn digests(content: &[u8]) -> impl Iterator<Item = usize> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let ats = content.iter().enumerate().filter(|(_, byte)| **byte == b'@').map(|(at, _)| at);
    ats.filter(|at| content[*at..].starts_with(ALGORITHM)).map(|at| at + ALGORITHM.len()).filter_map(move |start| {
        let digits = content.get(start..start + DIGITS)?;
        let more = content.get(start + DIGITS).is_some_and(is_digit);
        (!more && digits.iter().all(is_digit)).then_some(start + DIGITS)
    })
}

/// Whether a byte can stand within the name of an image.
fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-/".contains(&byte)
}

/// Whether what begins here is the end of a longer name. A transport before it (`docker://`) makes no longer name.
fn is_longer(content: &[u8], start: usize) -> bool {
    let before = &content[..start];
    before.last().is_some_and(|byte| in_name(*byte)) && !before.ends_with(b"://") && !is_escape(before)
}

/// Whether a text ends with what stands for a byte that is in no name: an escape of JSON and YAML (`\n`, `\u003c`), or
/// the default of a shell's variable (`${IMAGE:-`).
fn is_escape(before: &[u8]) -> bool {
    let letters = |text: &[u8], letters: &[u8]| matches!(text, [.., b'\\', letter] if letters.contains(letter));
    let is_unicode = before.len() >= 6
        && before[before.len() - 6..].starts_with(b"\\u")
        && before[before.len() - 4..].iter().all(u8::is_ascii_hexdigit);
    letters(before, b"nrtbf") || is_unicode || before.ends_with(b":-")
}

/// Whether a reference may begin here. A colon stands before one where a transport does
/// (`ostree-unverified-registry:quay.io/…`): in a reference itself, only a port or a tag follows it.
fn starts(content: &[u8], start: usize) -> bool {
    !is_longer(content, start) && content[..start].last() != Some(&b'@')
}

/// Whether a reference may end here, behind the digits of its digest. The stop of a sentence may follow.
fn ends(content: &[u8], end: usize) -> bool {
    match content.get(end) {
        Some(b'.') => content.get(end + 1).is_none_or(|byte| *byte == b'.' || !in_name(*byte)),
        // A key of YAML.
        Some(b':') => content.get(end + 1).is_none_or(u8::is_ascii_whitespace),
        Some(byte) => !in_name(*byte) && !b":@".contains(byte),
        None => true,
    }
}

/// Where the reference that ends here begins, as far as that can be told.
fn begin(content: &[u8], end: usize) -> usize {
    let name_end = end - DIGITS - ALGORITHM.len();
    let least = name_end.saturating_sub(MAX_SHOWN);
    let length = content[least..name_end].iter().rev().take_while(|byte| in_name(**byte) || **byte == b':').count();
    let start = name_end - length;
    let transport = content[start..name_end].windows(3).rposition(|part| part == b"://");
    transport.map_or(start, |at| start + at + 3)
}
