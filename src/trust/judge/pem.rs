//! PEM as Go reads it: blocks between other text, with headers perhaps, and what is no block passed over.

use crate::trust::strict::base64;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// How many lines that begin a block but have no end may stand before one that has: each is looked for.
const MAX_UNENDED: usize = 100;

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it says that it is, for example `PUBLIC KEY`.
    pub label: String,
    /// Whether headers stand before its data.
    pub has_headers: bool,
    /// The data.
    pub der: Vec<u8>,
}

/// The next block of a text, and what follows it.
pub fn next(text: &str) -> Option<(Block, &str)> {
    let mut rest = text;
    for _ in 0..=MAX_UNENDED {
        // At the beginning of a line only.
        let at = if rest.starts_with(BEGIN) { 0 } else { rest.find(&format!("\n{BEGIN}"))? + 1 };
        rest = &rest[at + BEGIN.len()..];
        let (line, body) = rest.split_once('\n').unwrap_or((rest, ""));
        let Some(label) = line.trim_end().strip_suffix(DASHES) else { continue };
        let Some((content, after)) = until_end(body, label) else { continue };
        let (has_headers, data) = without_headers(content);
        let data: String = data.chars().filter(|c| !matches!(c, ' ' | '\t')).collect();
        if let Some(der) = base64(&data) {
            return Some((Block { label: label.to_owned(), has_headers, der }, after));
        }
    }
    None
}

/// All blocks of a text, at most so many.
pub fn all(text: &str, most: usize) -> Vec<Block> {
    let mut rest = text;
    let next = std::iter::from_fn(|| {
        let (block, after) = next(rest)?;
        rest = after;
        Some(block)
    });
    next.take(most).collect()
}

/// What stands before the line that ends a block, and what behind it.
fn until_end<'a>(body: &'a str, label: &str) -> Option<(&'a str, &'a str)> {
    let at = if body.starts_with(END) { 0 } else { body.find(&format!("\n{END}"))? + 1 };
    let (line, after) = body[at..].split_once('\n').unwrap_or((&body[at..], ""));
    let ends = line.strip_prefix(END)?.strip_prefix(label)?.strip_prefix(DASHES)?.trim_end().is_empty();
    ends.then_some((&body[..at], after))
}

/// `key: value` in the first lines.
fn without_headers(content: &str) -> (bool, &str) {
    let mut rest = content;
    while let Some((line, after)) = rest.split_once('\n')
        && line.contains(':')
    {
        rest = after;
    }
    (rest.len() < content.len(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_between_other_text() {
        let one = "-----BEGIN A B-----\naG\r\n k=\n-----END A B-----\n";
        let block = |label: &str, has_headers| Block { label: label.to_owned(), has_headers, der: b"hi".to_vec() };
        for (text, blocks, rest) in [
            (one.to_owned(), vec![block("A B", false)], ""),
            (format!("words\n{one}  {one}"), vec![block("A B", false)], ""),
            (format!("{one}{one}x"), vec![block("A B", false), block("A B", false)], "x"),
            (one.replace("aG", "Proc: 4\nName: x\n\naG"), vec![block("A B", true)], ""),
            (one.replace("END A B", "END A"), vec![], ""),
            (one.replace("aG", "?G"), vec![], ""),
            (format!("{}{one}", one.replace("aG", "?")), vec![block("A B", false)], ""),
            (one.trim_end().to_owned(), vec![block("A B", false)], ""),
            ("-----BEGIN ".repeat(1000), vec![], ""),
            (format!(" {one}"), vec![], ""),
        ] {
            assert_eq!(all(&text, 100), blocks, "{text}");
            if let [_] = blocks[..] {
                assert!(text.starts_with("words") || next(&text).unwrap().1 == rest, "{text}");
            }
        }
        assert_eq!(all(&one.repeat(50), 3).len(), 3);
    }
}
