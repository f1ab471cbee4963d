//! Layers: any bytes, and archives whose headers are made whole again, one upon another.
//!
//! The first byte says how the rest is read, the second what is wanted, the third where the layers part.

#![no_main]

use bootc_embed::model::Tree;
use bootc_embed::model::tree::NodeKind;
use bootc_embed::target::layers::{Layer, Layers};
use bootc_embed::target::{Error, Keep, Wanted};
use libfuzzer_sys::fuzz_target;

const BLOCK: usize = 512;

fuzz_target!(|data: &[u8]| {
    let Some(([how, what, part], rest)) = data.split_first_chunk() else { return };
    let wanted = match what % 4 {
        0 => Wanted::default().place("", Keep::Text),
        1 => Wanted::default().place("a", Keep::Text).name("z"),
        2 => Wanted::default().place("a/b/c", Keep::Blob).place("d", Keep::Name).name(".x/z"),
        _ => Wanted::default().name("z"),
    };
    let archives: Vec<Vec<u8>> = match how % 3 {
        0 => vec![rest.to_vec()],
        1 => {
            // Layers begin at blocks.
            let (lower, upper) = rest.split_at(rest.len() / BLOCK * usize::from(*part) / 256 * BLOCK);
            vec![repaired(lower), repaired(upper)]
        }
        _ => rest.split(|byte| *byte == b'\r').take(4).map(written).collect(),
    };
    if let Ok(tree) = read(&wanted, &archives) {
        bootc_embed_fuzz::check(&tree);
        for (path, node) in tree.iter() {
            if let (NodeKind::File(file), Some(Keep::Text)) = (&node.kind, wanted.keep(path)) {
                let bytes = file.bytes.as_ref().expect("small files are kept");
                assert_eq!(bytes.len() as u64, file.size, "{path}");
            }
        }
    }
});

fn read(wanted: &Wanted, archives: &[Vec<u8>]) -> Result<Tree, Error> {
    let mut layers = Layers::new(wanted, archives.len());
    let unnamed = Layer { descriptor: None, diff_id: None };
    loop {
        let todo = layers.todo()?;
        if todo.is_empty() {
            return layers.tree();
        }
        for number in todo {
            layers.read(number, &unnamed, archives[number].as_slice())?;
        }
    }
}

/// An archive whose headers have the checksums that they should have.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + BLOCK) {
        at += BLOCK;
        if header.iter().all(|byte| *byte == 0) {
            continue;
        }
        sum(header);
        let size: String = header[124..136].iter().map(|byte| char::from(*byte)).collect();
        let size = usize::from_str_radix(size.trim_matches([' ', '\0']), 8).unwrap_or(0);
        at = at.saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK)).min(bytes.len());
    }
    bytes
}

fn sum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

/// An archive with an entry for each line: its type, its path, and after a tab its target or content.
fn written(lines: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    for line in lines.split(|byte| *byte == b'\n').take(64) {
        let Some((kind, rest)) = line.split_first() else { continue };
        let (path, text) = match rest.iter().position(|byte| *byte == b'\t') {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &[][..]),
        };
        let is_link = b"12".contains(kind);
        if path.len() > 100 {
            entry(&mut archive, b'L', b"././@LongLink", b"", path);
        }
        if is_link && text.len() > 100 {
            entry(&mut archive, b'K', b"././@LongLink", b"", text);
        }
        let (target, content) = if is_link { (text, &[][..]) } else { (&[][..], text) };
        entry(&mut archive, *kind, path, target, content);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

fn entry(archive: &mut Vec<u8>, kind: u8, path: &[u8], target: &[u8], content: &[u8]) {
    let mut header = [0; BLOCK];
    let (path, target) = (&path[..path.len().min(100)], &target[..target.len().min(100)]);
    header[..path.len()].copy_from_slice(path);
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[156] = kind;
    header[157..157 + target.len()].copy_from_slice(target);
    header[257..265].copy_from_slice(b"ustar  \0");
    sum(&mut header);
    archive.extend_from_slice(&header);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
}
