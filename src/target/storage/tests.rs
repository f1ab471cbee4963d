//! Storages as small as they can be, and every way in which one is not whole.

use super::*;
use crate::model::{Platform, Reference};
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_tempfile::{TempDir, tempdir};
use serde_json::json;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// One image in an overlay storage: an index, the instance for amd64, a config and two layers.
struct Sample {
    root: TempDir,
    id: String,
    index: Digest,
    instance: Digest,
}

/// Does something to a storage that leaves it less than whole.
type Damage<'d> = &'d dyn Fn(&Sample);

fn hex(c: char) -> String {
    c.to_string().repeat(64)
}

impl Sample {
    fn new() -> Self {
        let root = tempdir(ambient_authority()).unwrap();
        let config = br#"{"architecture":"amd64","os":"linux"}"#.to_vec();
        let config_digest = Digest::of(&config);
        let instance = json!({ "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": [],
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json",
                        "digest": config_digest, "size": config.len() } });
        let instance = instance.to_string().into_bytes();
        let entry = |digest: Digest, architecture: &str| {
            json!({ "mediaType": MANIFEST_TYPE, "digest": digest, "size": 1,
                    "platform": { "os": "linux", "architecture": architecture } })
        };
        let index = json!({ "schemaVersion": 2, "manifests": [
            entry(Digest::of(&instance), "amd64"), entry(Digest::of(b"other"), "arm64") ] });
        let index = index.to_string().into_bytes();
        let sample = Self {
            root,
            id: config_digest.hex().to_owned(),
            index: Digest::of(&index),
            instance: Digest::of(&instance),
        };
        let data: [(String, &[u8]); 4] = [
            (config_digest.to_string(), &config),
            (format!("manifest-{}", sample.index), &index),
            (format!("manifest-{}", sample.instance), &instance),
            ("manifest".to_owned(), &instance),
        ];
        let folder = format!("overlay-images/{}", sample.id);
        sample.root.create_dir_all(&folder).unwrap();
        for (key, bytes) in &data {
            sample.root.write(format!("{folder}/{}", file_name(key).unwrap()), bytes).unwrap();
        }
        let of = |value: &dyn Fn(&[u8]) -> serde_json::Value| -> serde_json::Map<_, _> {
            data.iter().map(|(key, bytes)| (key.clone(), value(bytes))).collect()
        };
        let images = json!([{
            "id": sample.id,
            "names": [format!("quay.io/a/b@{}", sample.index)],
            "layer": hex('2'),
            "big-data-names": data.iter().map(|(key, _)| key).collect::<Vec<_>>(),
            "big-data-sizes": of(&|bytes| json!(bytes.len())),
            "big-data-digests": of(&|bytes| json!(Digest::of(bytes))),
        }]);
        sample.root.write("overlay-images/images.json", images.to_string()).unwrap();
        sample.root.create_dir_all("overlay-layers").unwrap();
        let layers = json!([{ "id": hex('1') }, { "id": hex('2'), "parent": hex('1') }]);
        sample.root.write("overlay-layers/layers.json", layers.to_string()).unwrap();
        for layer in ['1', '2'] {
            sample.root.create_dir_all(format!("overlay/{}/diff", hex(layer))).unwrap();
        }
        sample
    }

    fn data(&self, key: &str) -> String {
        format!("overlay-images/{}/{}", self.id, file_name(key).unwrap())
    }

    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.root.read_to_string(path).unwrap();
        assert!(text.contains(from), "{text}");
        self.root.write(path, text.replace(from, to)).unwrap();
    }

    fn resolve(&self, reference: &str, platform: &str) -> Resolution {
        let reference: Reference = reference.parse().unwrap();
        read(&self.root).unwrap().resolve(&reference, &platform.parse::<Platform>().unwrap())
    }
}

#[test]
fn a_whole_storage_is_read() {
    let sample = Sample::new();
    let storage = read(&sample.root).unwrap();
    let [image] = storage.images.as_slice() else { panic!("one image is expected: {storage:?}") };
    assert!(image.missing.is_empty(), "{:?}", image.missing);
    assert_eq!(image.layers, [hex('2'), hex('1')]);
    assert_eq!(image.manifests.len(), 3);
    assert!(image.config.is_some());
}

#[test]
fn references_find_what_they_would_find_on_a_device() {
    let sample = Sample::new();
    let (id, index, manifest) = (sample.id.clone(), sample.index.clone(), sample.instance.clone());
    let found = |by_name| Resolution::Found { id: id.clone(), manifest: manifest.clone(), by_name };
    let named = vec![format!("quay.io/a/b@{index}")];
    for (reference, platform, expected) in [
        (format!("quay.io/a/b@{index}"), "linux/amd64", found(true)),
        (format!("quay.io/a/b@{manifest}"), "linux/amd64", found(false)),
        (format!("quay.io/a/b:v1@{index}"), "linux/amd64", found(false)),
        ("quay.io/a/b:v1".to_owned(), "linux/amd64", Resolution::Unknown { others: named.clone() }),
        (format!("quay.io/a/c@{index}"), "linux/amd64", Resolution::Unknown { others: Vec::new() }),
        (format!("quay.io/a/b@{}", Digest::of(b"x")), "linux/amd64", Resolution::Unknown { others: named.clone() }),
        (
            format!("quay.io/a/b@{index}"),
            "linux/arm64",
            Resolution::InstanceAbsent { id: id.clone(), index: index.clone(), instance: Digest::of(b"other") },
        ),
        (
            format!("quay.io/a/b@{index}"),
            "linux/s390x",
            Resolution::NoInstance { id: id.clone(), index: index.clone() },
        ),
    ] {
        assert_eq!(sample.resolve(&reference, platform), expected, "{reference} {platform}");
    }
}

#[test]
fn a_name_alone_does_not_resolve() {
    let sample = Sample::new();
    sample.root.remove_file(sample.data(&format!("manifest-{}", sample.index))).unwrap();
    let resolution = sample.resolve(&format!("quay.io/a/b@{}", sample.index), "linux/amd64");
    assert_eq!(resolution, Resolution::NoManifest { id: sample.id.clone(), digest: Some(sample.index.clone()) });
}

#[test]
fn what_is_not_whole_is_told() {
    let config = |sample: &Sample| sample.data(&format!("sha256:{}", sample.id));
    let layers = "overlay-layers/layers.json";
    let damages: [(Damage<'_>, &str); 7] = [
        (&|s| s.root.remove_dir_all(format!("overlay/{}", hex('1'))).unwrap(), "has no files"),
        (
            &|s| s.edit(layers, &format!(r#","parent":"{}""#, hex('1')), r#","parent":"../../etc""#),
            "cannot be a parent",
        ),
        (
            &|s| s.edit(layers, &format!(r#","parent":"{}""#, hex('1')), &format!(r#","parent":"{}""#, hex('2'))),
            "cannot be",
        ),
        (&|s| s.edit(layers, &format!(r#"{{"id":"{}"}},"#, hex('1')), ""), "has no record"),
        (&|s| s.edit(layers, r#""parent""#, r#""flags":{"incomplete":true},"parent""#), "is incomplete"),
        (&|s| s.root.write(config(s), r#"{"architecture":"amd63","os":"linux"}"#).unwrap(), "has other bytes"),
        (&|s| s.root.write(config(s), "").unwrap(), "has 0 bytes"),
    ];
    for (damage, words) in damages {
        let sample = Sample::new();
        damage(&sample);
        match sample.resolve(&format!("quay.io/a/b@{}", sample.index), "linux/amd64") {
            Resolution::Incomplete { missing, .. } => {
                assert!(missing.join("\n").contains(words), "{words}: {missing:?}");
            }
            resolution => panic!("{words}: {resolution:?}"),
        }
    }
}

#[test]
fn what_is_read_has_an_end() {
    let images = "overlay-images/images.json";
    let names = r#""big-data-names":["#;
    let again = |s: &Sample, key: &str| s.edit(images, names, &format!("{names}{}", format!(r#""{key}","#).repeat(50)));
    let more: [(Damage<'_>, bool); 5] = [
        (&|_| (), true),
        (&|s| again(s, "manifest"), false),
        // Of no use, but it is read for its digest.
        (&|s| again(s, "x"), false),
        (&|s| again(s, "is.missing"), false),
        // One chain of layers, of many images.
        (
            &|s| {
                let text = s.root.read_to_string(images).unwrap();
                let record = text.trim_matches(['[', ']']);
                let other = format!(r#"{{"id":"{}","layer":"{}"}}"#, hex('a'), hex('2'));
                s.root.write(images, format!("[{record},{}]", [other.as_str(); 50].join(","))).unwrap();
            },
            false,
        ),
    ];
    for (number, (change, good)) in more.into_iter().enumerate() {
        let sample = Sample::new();
        sample.root.write(sample.data("x"), "x".repeat(1000)).unwrap();
        change(&sample);
        match read_at_most(&sample.root, 32 * 1024) {
            Ok(_) => assert!(good, "{number}"),
            Err(e) => assert!(!good && matches!(e, Error::TooMuch(_)), "{number}: {e}"),
        }
    }
}

#[test]
fn keys_are_no_paths() {
    for (key, name) in [
        ("manifest", Some("manifest")),
        ("a.1", Some("a.1")),
        ("manifest-sha256:1", Some("=bWFuaWZlc3Qtc2hhMjU2OjE=")),
        ("..", None),
        ("", None),
        ("???", None),
        ("../../x", Some("=Li4vLi4veA==")),
    ] {
        assert_eq!(file_name(key).as_deref(), name, "{key}");
    }
    let id = hex('a');
    for (text, good) in [
        ("[]".to_owned(), true),
        (format!(r#"[{{"id":"{id}"}}]"#), true),
        (r#"[{"id":"../../etc"}]"#.to_owned(), false),
        ("{}".to_owned(), false),
    ] {
        assert_eq!(parse_images(text.as_bytes()).is_ok(), good, "{text}");
    }
    let nothing = tempdir(ambient_authority()).unwrap();
    assert!(matches!(read(&nothing), Err(Error::NoImage { .. })));
}
