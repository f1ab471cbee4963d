//! Archives as builders write them, and as no builder should.

use super::*;
use proptest::prelude::*;
use std::io::Write as _;
use tar::EntryType::{self, Directory, Link, Regular, Symlink};

/// Path, kind, and content or target.
type Entry<'e> = (&'e str, EntryType, &'e str);

fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(if *kind == Directory { 0o755 } else { 0o644 });
        header.set_size(if *kind == Regular { text.len() as u64 } else { 0 });
        // The builder refuses paths that lead out; the header's own field takes them.
        let raw = path.contains("..") || path.starts_with('/');
        if raw {
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        }
        if matches!(kind, Link | Symlink) && (raw || text.contains("..")) {
            header.as_gnu_mut().unwrap().linkname[..text.len()].copy_from_slice(text.as_bytes());
            if !raw {
                header.set_path(path).unwrap();
            }
            header.set_cksum();
            builder.append(&header, std::io::empty()).unwrap();
        } else if raw {
            header.set_cksum();
            builder.append(&header, text.as_bytes()).unwrap();
        } else if matches!(kind, Link | Symlink) {
            builder.append_link(&mut header, path, text).unwrap();
        } else {
            builder.append_data(&mut header, path, if *kind == Regular { text.as_bytes() } else { b"" }).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// What is promised of a layer that keeps its promises.
fn promise(stored: &[u8], unpacked: &[u8]) -> Layer {
    let descriptor = Descriptor { media_type: "x".into(), digest: Digest::of(stored), size: stored.len() as u64 };
    Layer { descriptor: Some(descriptor), diff_id: Some(Digest::of(unpacked)) }
}

fn read_all(wanted: &Wanted, stored: &[(Layer, Vec<u8>)]) -> Result<(Tree, usize), Error> {
    let (mut layers, mut reads) = (Layers::new(wanted, stored.len()), 0);
    loop {
        let todo = layers.todo()?;
        if todo.is_empty() {
            return Ok((layers.tree()?, reads));
        }
        for number in todo {
            reads += 1;
            layers.read(number, &stored[number].0, stored[number].1.as_slice())?;
        }
    }
}

fn tree(wanted: &Wanted, layers: &[&[Entry<'_>]]) -> Result<(Tree, usize), Error> {
    let stored: Vec<_> = layers.iter().map(|entries| archive(entries)).map(|a| (promise(&a, &a), a)).collect();
    read_all(wanted, &stored)
}

/// The tree as text: `path=content`, `path/`, `path->target`.
fn text(tree: &Tree) -> String {
    let line = |(path, node): (&str, &Node)| match &node.kind {
        NodeKind::Dir => format!("{path}/"),
        NodeKind::Link(target) => format!("{path}->{target}"),
        NodeKind::File(file) => {
            let bytes = file.bytes.as_deref().map_or("?".into(), String::from_utf8_lossy);
            format!("{path}={bytes}")
        }
        NodeKind::Special => format!("{path}!"),
    };
    tree.iter().map(line).collect::<Vec<_>>().join(" ")
}

fn all() -> Wanted {
    Wanted::default().place("", Keep::Text)
}

#[test]
fn upper_layers_change_lower_ones() {
    let lower: &[Entry<'_>] = &[
        ("d/", Directory, ""),
        ("d/a", Regular, "a"),
        ("d/s/b", Regular, "b"),
        ("f", Regular, "f"),
        ("l", Symlink, "d"),
    ];
    for (upper, expected) in [
        (&[("d/.wh.a", Regular, "")][..], "d/ d/s/ d/s/b=b f=f l->d"),
        (&[("d/.wh.s", Regular, ""), (".wh.f", Regular, "")], "d/ d/a=a l->d"),
        (&[("d/.wh..wh..opq", Regular, ""), ("d/n", Regular, "n")], "d/ d/n=n f=f l->d"),
        // An opaque folder hides lower content only, wherever its mark stands in the layer.
        (
            &[("d/n", Regular, "n"), ("d/s/m", Regular, "m"), ("d/.wh..wh..opq", Regular, "")],
            "d/ d/n=n d/s/ d/s/m=m f=f l->d",
        ),
        (&[("d/a", Regular, "new"), ("d/.wh.a", Regular, "")], "d/ d/a=new d/s/ d/s/b=b f=f l->d"),
        (&[("d", Regular, "file now")], "d=file now f=f l->d"),
        (&[("f/x", Regular, "x")], "d/ d/a=a d/s/ d/s/b=b f/ f/x=x l->d"),
        // A link that a lower layer has is replaced, never followed.
        (&[("l/x", Regular, "x")], "d/ d/a=a d/s/ d/s/b=b f=f l/ l/x=x"),
        (
            &[("./d/a", Regular, "1"), ("/d/a", Regular, "2"), ("d/./x/../a", Regular, "3")],
            "d/ d/a=3 d/s/ d/s/b=b f=f l->d",
        ),
        (&[("d/s/", Directory, ""), (".wh..wh.plnk", Regular, "")], "d/ d/a=a d/s/ d/s/b=b f=f l->d"),
        (&[("abs", Symlink, "/d/a")], "abs->/d/a d/ d/a=a d/s/ d/s/b=b f=f l->d"),
    ] {
        let (tree, _) = tree(&all(), &[lower, upper]).unwrap();
        assert_eq!(text(&tree), expected, "{upper:?}");
    }
}

#[test]
fn hard_links_are_what_they_link_to() {
    let wanted = Wanted::default().place("etc", Keep::Text).name("auth.json");
    let object = "sysroot/ostree/repo/objects/ab/c.file";
    for (layers, expected, reads) in [
        (vec![&[("etc/a", Regular, "x"), ("etc/b", Link, "etc/a")][..]], "etc/ etc/a=x etc/b=x", 1),
        // As ostree writes: the object first, which nobody asked for.
        (vec![&[(object, Regular, "x"), ("etc/a", Link, object)]], "etc/ etc/a=x", 2),
        (vec![&[(object, Regular, "x"), ("root/auth.json", Link, object)]], "root/ root/auth.json=x", 2),
        // Only the layer with the link is read again.
        (
            vec![&[("etc/z", Regular, "z")], &[(object, Regular, "x"), ("etc/a", Link, object)]],
            "etc/ etc/a=x etc/z=z",
            3,
        ),
        (vec![&[("x/1", Regular, "x"), ("x/2", Link, "x/1"), ("etc/a", Link, "./x/2")]], "etc/ etc/a=x", 3),
        (
            vec![&[("etc/a", Regular, "low")], &[("etc/b", Link, "/etc/a"), ("etc/.wh.a", Regular, "")]],
            "etc/ etc/b=low",
            2,
        ),
        (vec![&[("x/1", Symlink, "../etc/c"), ("etc/a", Link, "x/1")]], "etc/ etc/a->../etc/c", 2),
        (
            vec![&[("etc/a", Regular, "1"), ("etc/b", Link, "etc/a"), ("etc/a", Regular, "2")]],
            "etc/ etc/a=2 etc/b=1",
            1,
        ),
    ] {
        let (tree, count) = tree(&wanted, &layers).unwrap();
        assert_eq!(text(&tree), expected, "{layers:?}");
        assert_eq!(count, reads, "{layers:?}");
    }
    for (entries, words) in [
        (&[("etc/a", Link, "nowhere")][..], "which is not there"),
        (&[("etc/a", Link, "../../etc/passwd")], "out of the root"),
        (&[("etc/d/", Directory, ""), ("etc/a", Link, "etc/d")], "folder"),
    ] {
        let error = tree(&wanted, &[entries]).unwrap_err();
        assert!(error.to_string().contains(words), "{entries:?}: {error}");
    }
}

#[test]
fn links_lead_on_to_what_nobody_asked_for() {
    let wanted = Wanted::default().place("etc/crio", Keep::Text);
    let lower: &[Entry<'_>] = &[("usr/etc/crio/a", Regular, "a"), ("srv/z", Regular, "z"), ("usr/other", Regular, "o")];
    let upper: &[Entry<'_>] = &[("etc", Symlink, "usr/etc"), ("usr/etc/crio/l", Symlink, "/srv/z")];
    let (tree, _) = tree(&wanted, &[lower, upper]).unwrap();
    assert_eq!(tree.bytes("etc/crio/a"), Some(&b"a"[..]));
    assert_eq!(tree.bytes("etc/crio/l"), Some(&b"z"[..]));
    assert!(tree.get("usr/other").is_none());
}

#[test]
fn a_link_ends_where_an_upper_layer_has_something_below_it() {
    let wanted = Wanted::default().place("etc/crio/conf", Keep::Text);
    let lower: &[Entry<'_>] = &[("etc", Symlink, "usr/etc"), ("usr/etc/crio/conf", Regular, "a")];
    let (before, _) = tree(&wanted, &[lower]).unwrap();
    assert_eq!(before.bytes("etc/crio/conf"), Some(&b"a"[..]));
    let (after, _) = tree(&wanted, &[lower, &[("etc/other", Regular, "o")]]).unwrap();
    assert!(after.get("etc").is_some_and(Node::is_dir) && after.bytes("etc/crio/conf").is_none());
}

#[test]
fn files_wanted_by_name_are_hidden_like_others() {
    let wanted = Wanted::default().name("auth.json");
    let lower: &[Entry<'_>] = &[("root/.x/auth.json", Regular, "secret")];
    for (upper, expected) in [
        (&[("root/y", Regular, "")][..], "root/ root/.x/ root/.x/auth.json=secret"),
        (&[("root/.x", Regular, "")], "root/"),
        (&[("root", Symlink, "x")], ""),
        (&[("root/.x/auth.json", Symlink, "x")], "root/ root/.x/"),
        (&[("root/.x/auth.json/", Directory, "")], "root/ root/.x/"),
        (&[("root/.wh..x", Regular, "")], "root/"),
    ] {
        let (tree, _) = tree(&wanted, &[lower, upper]).unwrap();
        assert_eq!(text(&tree), expected, "{upper:?}");
    }
}

#[test]
fn every_compression_gives_the_same() {
    let entries: Vec<(String, String)> = (0..300).map(|n| (format!("d/{n:03}"), format!("{n}").repeat(500))).collect();
    let entries: Vec<Entry<'_>> = entries.iter().map(|(path, text)| (path.as_str(), Regular, text.as_str())).collect();
    let plain = archive(&entries);
    let half = plain.len() / 2;
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"skip"].concat();
    let expected = tree(&all(), &[&entries]).unwrap().0;
    assert_eq!(expected.iter().count(), 301);
    for (name, stored) in [
        ("gzip", gzip(&plain)),
        ("two members", [gzip(&plain[..half]), gzip(&plain[half..])].concat()),
        ("zstd", zstd(&plain)),
        ("two frames", [zstd(&plain[..half]), zstd(&plain[half..])].concat()),
        ("chunked", [skipped.clone(), zstd(&plain), skipped].concat()),
    ] {
        let (tree, _) = read_all(&all(), &[(promise(&stored, &plain), stored)]).unwrap();
        assert_eq!(tree, expected, "{name}");
    }
}

#[test]
fn other_bytes_than_promised_are_damage() {
    let plain = archive(&[("a", Regular, "a"), ("b", Regular, &"b".repeat(2000))]);
    let good = gzip(&plain);
    let layer = promise(&good, &plain);
    let flip = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let wrong_diff = Layer { diff_id: Some(Digest::of(b"x")), ..layer.clone() };
    let bare = Layer { descriptor: None, ..layer.clone() };
    let wrong_bare = Layer { descriptor: None, ..wrong_diff.clone() };
    for (layer, stored, words) in [
        (&layer, good[..good.len() - 9].to_vec(), "instead of"),
        (&layer, Vec::new(), "it has 0 bytes"),
        (&layer, [&good[..], b"x"].concat(), "more than"),
        (&layer, flip(12), "other bytes"),
        (&layer, flip(good.len() - 1), "other bytes"),
        (&wrong_diff, good.clone(), "config says"),
        (&wrong_bare, good.clone(), "config says"),
        (&wrong_bare, plain.clone(), "config says"),
    ] {
        let error = read_all(&all(), &[(layer.clone(), stored)]).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{words}: {error:?}");
        assert!(error.to_string().contains(words) && error.to_string().contains("sha256:"), "{error}");
    }
    read_all(&all(), &[(bare, good.clone())]).unwrap();
    read_all(&all(), &[(layer, good.clone())]).unwrap();
}

#[test]
fn what_no_builder_writes_is_refused_by_name() {
    let name = "x".repeat(5000);
    let long = archive(&[(name.as_str(), Regular, "")]);
    let mut huge = tar::Header::new_gnu();
    huge.set_entry_type(EntryType::GNULongName);
    huge.set_size(1 << 40);
    huge.set_cksum();
    let huge = [huge.as_bytes().to_vec(), vec![b'x'; 3 << 20]].concat();
    let cut = archive(&[("first", Regular, "1"), ("cut", Regular, &"2".repeat(3000))]);
    for (plain, words) in [
        (archive(&[("../../etc/passwd", Regular, "x")]), "`../../etc/passwd` leads out of the root"),
        (archive(&[("a/../../b", Regular, "x")]), "`a/../../b` leads out of the root"),
        (archive(&[("a/.wh...", Regular, "x")]), "whiteout of nothing"),
        (archive(&[("a/.wh.", Regular, "x")]), "whiteout of nothing"),
        (long, "longer path"),
        (huge, "a header has more than"),
        (cut[..2048].to_vec(), "`cut`"),
        (vec![b'x'; 4096], "cannot be read"),
    ] {
        let layer = promise(&plain, &plain);
        let error = read_all(&all(), &[(layer.clone(), plain)]).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{words}: {error:?}");
        let message = error.to_string();
        assert!(message.contains(words) && message.contains(&layer.name()), "{words}: {message}");
    }
}

#[test]
fn what_is_kept_of_bombs_has_an_end() {
    let mut room = Room::default();
    assert!((0..MAX_NODES).all(|_| room.take(1).is_ok()) && room.take(1).is_err());
    assert!(Room::default().take(MAX_PATH_BYTES + 1).is_err());
    // A megabyte of links that lead on and on ends, too.
    let chain: Vec<(String, String)> = (0..50).map(|n| (format!("x/{n}"), format!("x/{}", n + 1))).collect();
    let mut entries: Vec<Entry<'_>> = chain.iter().map(|(a, b)| (a.as_str(), Link, b.as_str())).collect();
    entries.push(("etc/a", Link, "x/0"));
    assert!(tree(&Wanted::default().place("etc", Keep::Text), &[&entries]).is_err());
}

#[test]
fn a_source_that_fails_is_no_damage() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
        }
    }
    let plain = archive(&[("a", Regular, &"a".repeat(5000))]);
    for from in [&plain[..0], &plain[..3], &plain[..700]] {
        let error = Layers::new(&all(), 1).read(0, &promise(&plain, &plain), from.chain(Broken)).unwrap_err();
        assert!(matches!(error, Error::Source { .. }), "{error:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage anywhere ends in an error or in a tree, and never in a panic.
    #[test]
    fn damaged_archives_never_panic(
        at in prop::collection::vec((0_usize..6000, any::<u8>()), 1..6),
        cut in 0_usize..7000,
        compress in 0_u8..3,
    ) {
        let long = "long/".repeat(60);
        let mut bytes = archive(&[
            ("etc/", Directory, ""), ("etc/a", Regular, &"a".repeat(900)), ("etc/l", Symlink, "../a"),
            ("etc/h", Link, "etc/a"), (&long, Regular, "x"), ("etc/.wh.a", Regular, ""), ("d/.wh..wh..opq", Regular, ""),
        ]);
        let good = bytes.clone();
        let mut stored = match compress { 0 => bytes.clone(), 1 => gzip(&good), _ => zstd(&good) };
        for (position, value) in at {
            let length = stored.len();
            stored[position % length] = value;
            bytes[position % good.len()] ^= value;
            // A header whose checksum is right gets further.
            let block = position % good.len() / 512 * 512;
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes().copy_from_slice(&bytes[block..block + 512]);
            header.set_cksum();
            bytes[block..block + 512].copy_from_slice(header.as_bytes());
        }
        stored.truncate(cut);
        for damaged in [stored, bytes] {
            let mut layer = promise(&damaged, b"");
            layer.diff_id = None;
            let _ = read_all(&all(), &[(layer, damaged)]);
        }
    }

    /// Nothing that is no archive is taken for one with files.
    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..2000)) {
        for head in [&[][..], &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd], &[0x5a, 0x2a, 0x4d, 0x18]] {
            let damaged = [head, &noise].concat();
            let _ = read_all(&all(), &[(promise(&damaged, b""), damaged)]);
        }
    }
}
