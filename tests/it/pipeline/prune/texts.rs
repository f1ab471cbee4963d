//! Where pullspecs stand in a payload, and what only looks like one.

use super::{Sample, archive, chain, entry, read, with};
use bootc_embed::model::Reference;
use bootc_embed::prune::{Compression, Payload, Rewrite};
use std::collections::BTreeMap;

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

#[test]
fn pullspecs_are_found_by_what_is_around_them() {
    let sample = Sample::read();
    let hex = |digit: &str| digit.repeat(64);
    let old = format!("quay.io/a/b@sha256:{}", hex("1"));
    let new = format!("mirror.example/quay.io/a/b@sha256:{}", hex("2"));
    let other = format!("quay.io/c@sha256:{}", hex("3"));
    let apply = |text: String| {
        let image = with(&sample.images[0], |name, old| if name.starts_with("0000_26") { text.clone() } else { old });
        let rewrite = Rewrite {
            pullspecs: BTreeMap::from([(reference(&old), reference(&new))]),
            known: vec![reference(&old), reference(&other)],
            source: format!("quay.io/r@sha256:{}", hex("4")),
        };
        let file = "0000_26_ccm_images.yaml";
        let rewritten = rewrite.apply(&image.payload)?;
        let foreign: Vec<String> = rewritten
            .foreign
            .iter()
            .filter(|foreign| foreign.file == file)
            .map(|foreign| foreign.reference.clone())
            .collect();
        let text = String::from_utf8(rewritten.payload.file(file).unwrap().to_vec()).unwrap();
        anyhow::Ok((text, rewritten.replacements.get(file).copied().unwrap_or(0), foreign))
    };
    for (before, after) in [
        ("", ""),
        ("\"", "\""),
        ("image: ", "\n"),
        ("--images=cli=", ","),
        ("{\"a\":\"{\\\"x\\\":\\\"", "\\\"}\"}"),
        ("docker://", " "),
        ("ostree-unverified-registry:", "'"),
        ("It is ", "."),
        ("(", ")"),
        ("é", "é"),
        ("{\"script\":\"run\\n", "\\n\"}"),
        ("\\t", "\\r"),
        ("\\u003c", "\\u003e"),
        ("${IMAGE:-", "}"),
        ("", ": x"),
        ("pulls ", "..."),
    ] {
        let (text, count, foreign) = apply(format!("{before}{old}{after}")).unwrap();
        assert_eq!(text, format!("{before}{new}{after}"));
        assert_eq!((count, foreign.len()), (1, 0));
    }
    let twice = apply(format!("{old},{old} {other}")).unwrap();
    assert_eq!(twice, (format!("{new},{new} {other}"), 2, vec![]));
    for before in ["mirror.example/", ".", "mirror.example:5000/"] {
        let text = format!("<{before}{old}>");
        let foreign = vec![format!("{before}{old}")];
        assert_eq!(apply(text.clone()).unwrap(), (text, 0, foreign), "another image");
    }
    // What may or may not be another image, and other spellings of the same one: nobody is to guess.
    let spelled = |name: &str| format!("<{name}{}>", &old[old.find('@').expect("a digest")..]);
    for text in [
        format!("<x{old}>"),
        format!("<-{old}>"),
        format!("<_{old}>"),
        format!("<9{old}>"),
        spelled("quay.io/a/b:v1"),
        spelled("quay.io\\/a\\/b"),
    ] {
        let error = chain(apply(text.clone()).unwrap_err());
        assert!(error.contains("still names an image of `quay.io/a/b`"), "{text}: {error}");
    }
    for after in ["a", "0"] {
        let text = format!("{old}{after}");
        assert_eq!(apply(text.clone()).unwrap(), (text, 0, vec![]), "no digest");
    }
    for (before, after) in
        [("", ":tag"), ("", "/x"), ("", "@x"), ("", "-x"), ("", "_"), ("", ".x"), ("", "g"), ("@", "")]
    {
        let error = chain(apply(format!("{before}{old}{after}")).unwrap_err());
        assert!(error.contains(&format!("`0000_26_ccm_images.yaml` still has `{old}`")), "{after}: {error}");
    }
}

#[test]
fn files_that_are_no_text_stay_but_for_pullspecs() {
    let old = format!("quay.io/a/b@sha256:{}", "1".repeat(64));
    let new = format!("quay.io/n@sha256:{}", "2".repeat(64));
    let stream = file_of_sample("image-references");
    let bytes = |of: &str| [b"\xff\xfe\0".as_slice(), of.as_bytes(), b"\0\xff"].concat();
    let entries = [
        entry(tar::EntryType::Regular, "release-manifests/image-references", &stream),
        entry(tar::EntryType::Regular, "release-manifests/odd", &bytes(&old)),
        entry(tar::EntryType::Regular, "release-manifests/other", b"\xc3\x28"),
    ];
    let payload = read(&archive(&entries)).unwrap();
    let pullspecs = BTreeMap::from([(reference(&old), reference(&new))]);
    let rewrite = Rewrite { pullspecs, known: Vec::new(), source: "quay.io/r".to_owned() };
    let rewritten = rewrite.apply(&payload).unwrap();
    assert_eq!(rewritten.payload.file("odd"), Some(bytes(&new).as_slice()));
    assert_eq!(rewritten.payload.file("other"), payload.file("other"));
    assert_eq!(rewritten.replacements, BTreeMap::from([("odd".to_owned(), 1)]));
    let written = rewritten.payload.write().unwrap();
    assert_eq!(Payload::read(written.bytes.as_slice(), Compression::Gzip).unwrap(), rewritten.payload);
    let bad = Rewrite { pullspecs: BTreeMap::from([(reference(&old), reference("quay.io/n:v1"))]), ..rewrite };
    assert!(chain(bad.apply(&payload).unwrap_err()).contains("both need a digest"));
}

fn file_of_sample(name: &str) -> Vec<u8> {
    Sample::read().images[0].payload.file(name).unwrap().to_vec()
}
