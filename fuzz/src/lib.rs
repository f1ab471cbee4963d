//! What several targets share: the files of a root, written in one input.
//!
//! ```text
//! === PATH [OCTAL MODE]
//! the content, up to the next such line; `$d0`, `$s0` and `$k0` in those below, and in its own path,
//! are the digits of the sha256 of the first file's content, its size, and the name that
//! containers-storage gives the file of a manifest of that digest
//! === PATH -> TARGET OF A LINK
//! ```
//!
//! Digests that follow the content keep an input whole where one of its files is changed.

use base64::Engine as _;
use bootc_embed::model::tree::{Node, NodeKind, normal};
use bootc_embed::model::{Digest, Tree};
use bootc_embed::target::{Keep, Keeper};

/// The most files of one input.
const MAX_FILES: usize = 64;
/// The most bytes of one path, and of one file.
const MAX_PATH: usize = 4096;
const MAX_FILE: usize = 256 * 1024;

/// A file or a link of an input.
pub struct File {
    /// Without leading slash, `.` and `..`.
    pub path: String,
    /// `mode & 0o7777`.
    pub mode: u32,
    /// Where it leads to, if it is a link.
    pub link: Option<String>,
    /// Empty if it is a link.
    pub content: Vec<u8>,
}

/// The files of an input.
pub fn files(input: &[u8]) -> Vec<File> {
    let mut files: Vec<File> = Vec::new();
    let mut sections: Vec<(&[u8], Vec<&[u8]>)> = Vec::new();
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        match (line.strip_prefix(b"=== "), sections.last_mut()) {
            (Some(head), _) => sections.push((head, Vec::new())),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    let mut contents: Vec<(Digest, usize)> = Vec::new();
    for (head, lines) in sections.into_iter().take(MAX_FILES) {
        let is_link = head.windows(4).any(|part| part == b" -> ");
        let content = if is_link { Vec::new() } else { filled(&lines.concat(), &contents) };
        contents.push((Digest::of(&content), content.len()));
        let head = String::from_utf8_lossy(&filled(head, &contents)).trim_end_matches('\n').to_owned();
        let (head, link) = match head.split_once(" -> ") {
            Some((path, target)) => (path, Some(target.to_owned())),
            None => (head.as_str(), None),
        };
        let (path, mode) = match head.rsplit_once(' ').map(|(path, mode)| (path, u32::from_str_radix(mode, 8))) {
            Some((path, Ok(mode))) => (path, mode & 0o7777),
            _ => (head, 0o755),
        };
        let is_small = path.len() <= MAX_PATH && content.len() <= MAX_FILE;
        if let Some(path) = normal(path).filter(|path| is_small && !path.is_empty() && !path.contains('\0')) {
            files.push(File { path, mode, link, content });
        }
    }
    files
}

/// The text with digests, sizes and names in their places.
fn filled(text: &[u8], contents: &[(Digest, usize)]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        filled.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let number = rest.get(2).and_then(|digit| char::from(*digit).to_digit(36));
        let content = number.and_then(|number| contents.get(number as usize));
        let value = match (rest.get(1), content) {
            (Some(b'd'), Some((digest, _))) => Some(digest.hex().to_owned()),
            (Some(b's'), Some((_, size))) => Some(size.to_string()),
            (Some(b'k'), Some((digest, _))) => {
                let name = base64::engine::general_purpose::STANDARD.encode(format!("manifest-{digest}"));
                Some(format!("={name}"))
            }
            _ => None,
        };
        match value {
            Some(value) => {
                filled.extend_from_slice(value.as_bytes());
                rest = &rest[3..];
            }
            None => {
                filled.push(b'$');
                rest = &rest[1..];
            }
        }
    }
    filled.extend_from_slice(rest);
    filled
}

/// The tree of an input, of which everything is wanted.
pub fn tree(input: &[u8]) -> Tree {
    let (mut tree, mut keeper) = (Tree::default(), Keeper::default());
    for File { path, mode, link, content } in files(input) {
        let kind = match link {
            Some(target) => NodeKind::Link(target),
            None => {
                let read = keeper.read(&path, content.len() as u64, Keep::Blob, content.as_slice());
                NodeKind::File(read.expect("bytes in memory"))
            }
        };
        tree.insert(&path, Node { mode, kind });
    }
    tree
}

/// What holds of every tree, whatever it was read from.
pub fn check(tree: &Tree) {
    for (path, _) in tree.iter() {
        assert_eq!(normal(path).as_deref(), Some(path));
        assert!(!path.is_empty());
        for parent in bootc_embed::model::tree::parents(path) {
            assert!(tree.get(parent).is_some_and(Node::is_dir), "`{parent}` above `{path}` is no folder");
        }
        if let Some((found, node)) = tree.resolve(path) {
            assert!(!matches!(node.kind, NodeKind::Link(_)), "`{path}` leads to the link `{found}`");
            assert_eq!(tree.get(&found), Some(node));
            assert_eq!(tree.names(path), tree.names(&found));
        }
    }
}
