//! What is no release, or one that must not be pruned: each with its own error.

use super::{Sample, archive, chain, entry, file, platform, raw, read, regular, with};
use bootc_embed::model::manifest::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX};
use bootc_embed::model::{Digest, Failure, Kind};
use bootc_embed::prune::archive::{MAX_ENTRIES, MAX_FILE};
use bootc_embed::prune::{
    Choice, Compression, Content, NewLayer, Payload, ReleaseImage, new_image, new_index, release_entries,
};
use std::collections::BTreeMap;
use std::io::Read;

#[test]
fn layers_that_are_no_payload() {
    let ok = || regular("release-manifests/a", "x");
    let long = "x".repeat(150);
    let pax = |record: &str| entry(tar::EntryType::XHeader, "pax", record.as_bytes());
    let mut broken = archive(&[ok()]);
    broken[0] = b'R';
    let mut padded = archive(&[ok()]);
    padded[512 + 1] = b'y';
    for (bytes, cause) in [
        (archive(&[]), "it has no folder `release-manifests`"),
        (archive(&[regular("usr/bin/x", "x")]), "entry `usr/bin/x` stands outside of `release-manifests/`"),
        (archive(&[ok(), regular("release-manifests-2/a", "x")]), "stands outside"),
        (archive(&[regular("release-manifests/../../etc/passwd", "x")]), "leads elsewhere"),
        (archive(&[regular("/release-manifests/a", "x")]), "leads elsewhere"),
        (archive(&[regular("release-manifests//a", "x")]), "leads elsewhere"),
        (archive(&[regular("../release-manifests/a", "x")]), "leads elsewhere"),
        (archive(&[regular("release-manifests", "x")]), "no folder `release-manifests`"),
        (archive(&[regular("release-manifests/.wh.a", "")]), "removes a file"),
        (archive(&[entry(tar::EntryType::Symlink, "release-manifests/a", b"")]), "is a link"),
        (archive(&[entry(tar::EntryType::Link, "release-manifests/a", b"")]), "is a hard link"),
        (archive(&[entry(tar::EntryType::Char, "release-manifests/a", b"")]), "is a device"),
        (archive(&[entry(tar::EntryType::GNUSparse, "release-manifests/a", b"")]), "of an unusual type"),
        (archive(&[entry(tar::EntryType::XGlobalHeader, "pax", b"")]), "of an unusual type"),
        (archive(&[entry(tar::EntryType::Directory, "release-manifests/a", b"x")]), "a folder with content"),
        (archive(&[regular("release-manifests/a/", "x")]), "the name of a folder"),
        (archive(&[ok(), ok()]), "entry `release-manifests/a` stands there twice"),
        (archive(&[ok(), regular("release-manifests/a/b", "x")]), "which is no folder"),
        (archive(&[pax("22 path=../etc/passwd\n"), ok()]), "leads elsewhere"),
        (archive(&[pax("10 size=9\n"), ok()]), "has a size"),
        (archive(&[pax("nonsense"), ok()]), "records that cannot be read"),
        (archive(&[ok(), pax("9 path=a\n")]), "ends with a name of nothing"),
        (broken, "no header of an archive"),
        (padded, "has something behind its content"),
        (ok(), "the archive breaks off"),
        (archive(&[ok()])[..600].to_vec(), "breaks off"),
        ([archive(&[ok()]), ok()].concat(), "behind the end of the archive"),
        (Vec::new(), "the archive breaks off"),
    ] {
        let error = read(&bytes).unwrap_err();
        assert_eq!(error.kind, Kind::Check);
        assert!(!error.hints.is_empty());
        let text = chain(error);
        assert!(text.contains(cause) && text.starts_with("reading the release's last layer: "), "{cause}: {text}");
    }
    let named = format!("{} path=release-manifests/{long}\n", long.len() + 28);
    let gnu = entry(tar::EntryType::GNULongName, "././@LongLink", format!("release-manifests/{long}\0").as_bytes());
    for extension in [pax(&named), gnu] {
        let bytes = archive(&[extension, ok()]);
        let payload = read(&bytes).unwrap();
        assert_eq!(payload.file(&long), Some(b"x".as_slice()));
        assert_eq!(payload.archive(), bytes);
    }
    let error = read(&archive(&[ok()])).unwrap().image_references().unwrap_err();
    assert!(error.to_string().contains("it has no `release-manifests/image-references`"));
}

#[test]
fn bombs_and_damage() {
    let mut header = tar::Header::new_ustar();
    header.set_path("release-manifests/a").unwrap();
    header.set_size(MAX_FILE + 1);
    header.set_cksum();
    let error = chain(read(header.as_bytes()).unwrap_err());
    assert!(error.contains("`release-manifests/a` has 16777217 bytes"), "{error}");
    let many: Vec<Vec<u8>> = (0..=MAX_ENTRIES).map(|n| regular(&format!("release-manifests/{n}"), "")).collect();
    assert!(chain(read(&archive(&many)).unwrap_err()).contains("more than 20000 entries"));
    // A GiB of zeros, compressed.
    let bomb = zstd::stream::read::Encoder::new(std::io::repeat(0).take(1 << 30), 1).unwrap();
    let error = chain(Payload::read(bomb, Compression::Zstd).unwrap_err());
    assert!(error.contains("it has more than 268435456 bytes"), "{error}");
    let whole = file("layer-promoted-top.tar.gz");
    let mut flipped = whole.clone();
    flipped[1000] ^= 1;
    let garbage = [whole.as_slice(), b"more"].concat();
    for bytes in [&whole[..1000], &whole[..whole.len() - 1], flipped.as_slice(), garbage.as_slice(), b"", b"x"] {
        let error = chain(Payload::read(bytes, Compression::Gzip).unwrap_err());
        assert!(error.starts_with("unpacking the release's last layer: "), "{error}");
    }
    assert!(Payload::read(whole.as_slice(), Compression::Zstd).is_err());
    assert!(Payload::read(whole.as_slice(), Compression::Plain).is_err());
}

#[test]
fn releases_that_contradict_themselves() {
    let sample = Sample::read();
    let cli = "127.0.0.1:5710/openshift-release-dev/ocp-v4.0-art-dev@sha256:b7f64e14341c351575085540a9c6f5ba2b3b6a44220c7872e7eed9c077626ed1";
    for (name, old, new, cause) in [
        ("image-references", "\"ImageStream\"", "\"Pod\"", "its kind is `Pod` instead of `ImageStream`"),
        (
            "image-references",
            "\"name\": \"4.20.0\"",
            "\"name\": \"4.20.1\"",
            "image-references is of version `4.20.1`, but release-metadata of `4.20.0`",
        ),
        ("image-references", cli, "quay.io/a/cli:v1", "component `cli` is `quay.io/a/cli:v1`, which has no digest"),
        ("image-references", cli, "cli", "reading the image of component `cli`"),
        ("image-references", "DockerImage", "ImageStreamTag", "is a `ImageStreamTag` instead of a `DockerImage`"),
        (
            "image-references",
            "\"name\": \"cli\"",
            "\"name\": \"pod\"",
            "component `pod` stands in image-references twice",
        ),
        ("image-references", "{", "[", "reading image-references"),
        ("release-metadata", "cincinnati-metadata-v0", "x", "of kind `x` instead of `cincinnati-metadata-v0`"),
        ("release-metadata", "\"multi\"", "\"amd64\"", "it can only be \"multi\""),
        (
            "release-metadata",
            "release.openshift.io/architecture",
            "x",
            "the release is an index, but its release-metadata has no",
        ),
        ("release-metadata", "{", "", "reading release-metadata"),
    ] {
        let change = |file: &str, text: String| if file == name { text.replace(old, new) } else { text };
        let error = Content::read(&[with(&sample.images[1], change)], true).unwrap_err();
        assert!(error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).is_some_and(|f| f.kind == Kind::Check));
        let error = chain(error);
        assert!(error.contains(cause) && error.starts_with("reading the release for linux/arm64"), "{cause}: {error}");
    }
    let error = chain(Content::read(&sample.images[..1], false).unwrap_err());
    assert!(error.contains("the release is a single image, but"), "{error}");
    let no_marker = |file: &str, text: String| {
        if file == "release-metadata" { text.replace("release.openshift.io/architecture", "x") } else { text }
    };
    assert!(Content::read(&[with(&sample.images[0], no_marker)], false).is_ok(), "a release of one architecture");
    assert!(chain(Content::read(&[], true).unwrap_err()).contains("no architecture"));
    for (old, new, cause) in [
        ("b7f64e14", "a7f64e14", "component `cli` is `127.0.0.1"),
        ("\"name\": \"cli\"", "\"name\": \"other\"", "it has no component `cli`"),
    ] {
        let other = with(&sample.images[1], |_, text| text.replace(old, new));
        let error = chain(Content::read(&[sample.images[0].clone(), other], true).unwrap_err());
        assert!(error.contains("the release for linux/arm64 is another than that for linux/amd64"), "{error}");
        assert!(error.contains(cause), "{error}");
    }
    let mut image = sample.images[0].clone();
    image.platform = platform("linux/s390x");
    let error = chain(Content::read(&[image.clone()], true).unwrap_err());
    assert!(error.contains("the release image is for linux/amd64 instead of linux/s390x"), "{error}");
    image.config.push(b' ');
    let error = chain(Content::read(&[image.clone()], true).unwrap_err());
    assert!(error.contains("the config is another one than the manifest"), "{error}");
}

#[test]
fn choices_that_cannot_be() {
    let sample = Sample::read();
    let content = sample.content();
    let choice = |platforms: &[&str], components: &[&str]| Choice {
        platforms: platforms.iter().map(|name| platform(name)).collect(),
        drop_placeholders: true,
        components: components.iter().map(ToString::to_string).collect(),
    };
    for (choice, cause, hint) in [
        (
            choice(&["linux/amd64"], &["cloud"]),
            "release 4.20.0 has no component `cloud`",
            "aws-cloud-controller-manager",
        ),
        (choice(&["linux/amd64"], &["x/y"]), "has no component `x/y`", "oc adm release info"),
        (
            choice(&["linux/riscv64"], &["cli"]),
            "component `cli` (127.0.0.1:5710/",
            "linux/amd64, linux/arm64, linux/ppc64le, linux/s390x",
        ),
        (choice(&["linux/riscv64"], &["cli"]), "was never built for linux/riscv64", "its index has"),
        (choice(&["windows/amd64"], &[]), "`windows/amd64` was chosen", ""),
        (choice(&[], &[]), "no platform was chosen", ""),
    ] {
        let error = choice.prune(&content, &sample.indexes).unwrap_err();
        let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).unwrap();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.hints.join(" ").contains(hint), "{:?}", failure.hints);
        assert!(chain(error).contains(cause), "{cause}");
    }
    let error = chain(choice(&["linux/amd64"], &[]).prune(&content, &BTreeMap::new()).unwrap_err());
    assert!(error.contains("the bytes of `pod`"), "{error}");
    let error = chain(release_entries(&sample.index, &[platform("linux/riscv64")]).unwrap_err());
    assert!(error.contains("the release has nothing for linux/riscv64"), "{error}");
    assert!(release_entries(&sample.images[0].manifest, &[platform("linux/amd64")]).is_err());
    let cli = "sha256:dc80951b2e21b881c2277ea8e9523e574f7dd20610e620cac6345b0037016450";
    let sha512 = format!("sha512:{}", "d".repeat(128));
    for (old, new, cause) in [
        (DOCKER_MANIFEST, "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        (DOCKER_MANIFEST, OCI_INDEX, "instead of an image"),
        (DOCKER_MANIFEST, DOCKER_LIST, "instead of an image"),
        (cli, sha512.as_str(), "reading index"),
    ] {
        let list = String::from_utf8(file("list-cli.json")).unwrap().replace(old, new);
        let list = raw(list.into_bytes());
        let mut content = content.clone();
        content.components[1].digest = list.digest().clone();
        let mut indexes = sample.indexes.clone();
        indexes.insert(list.digest().clone(), list);
        let error = choice(&["linux/amd64"], &[]).prune(&content, &indexes).unwrap_err();
        let hints: Vec<String> = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<Failure>())
            .flat_map(|failure| failure.hints.clone())
            .collect();
        let error = format!("{} {}", chain(error), hints.join(" "));
        assert!(error.contains(cause) && error.contains("`cli`"), "{cause}: {error}");
    }
}

#[test]
fn components_that_share_an_image_agree() {
    let sample = Sample::read();
    let mut content = sample.content();
    // `cli` and `rhel-coreos` are the same.
    content.components[6].pullspec = content.components[1].pullspec.clone();
    content.components[6].digest = content.components[1].digest.clone();
    let mut choice = Choice {
        platforms: vec![platform("linux/amd64")],
        drop_placeholders: true,
        components: vec!["cli".to_owned()],
    };
    let error = chain(choice.prune(&content, &sample.indexes).unwrap_err());
    assert!(error.contains("components `cli` and `rhel-coreos` are the same image"), "{error}");
    choice.components.push("rhel-coreos".to_owned());
    assert!(choice.prune(&content, &sample.indexes).is_ok());
}

#[test]
fn images_and_indexes_that_cannot_be_made() {
    let sample = Sample::read();
    let image = &sample.images[0];
    let layer = NewLayer { bytes: vec![1], digest: Digest::of(&[1]), diff_id: Digest::of(&[2]) };
    assert!(new_image(image, &layer).is_ok());
    let change = |old: &str, new: &str, last: bool| {
        let text = String::from_utf8(image.manifest.bytes().to_vec()).unwrap();
        let at = if last { text.rfind(old) } else { text.find(old) }.unwrap();
        let manifest = raw(format!("{}{new}{}", &text[..at], &text[at + old.len()..]).into_bytes());
        ReleaseImage { manifest, ..image.clone() }
    };
    for (image, cause) in [
        (change("tar.gzip", "tar.zstd", true), "only layers of gzip can be replaced"),
        (change("\"size\": 1976", "\"size\": 1976, \"data\": \"eA==\"", true), "has `data`"),
        (change("\"size\": 1976", "\"size\": 1976, \"Size\": 1", true), "stands twice"),
        (change("\"size\": 1976", "\"size\": 1976, \"urls\": []", true), "has `urls`"),
        (
            change("application/vnd.docker.container.image.v1+json", "application/vnd.cncf.helm.config.v1+json", false),
            "this is no image",
        ),
    ] {
        let error = chain(new_image(&image, &layer).unwrap_err());
        assert!(error.contains(cause), "{cause}: {error}");
    }
    let mut other = image.clone();
    other.payload = super::layer("layer-nightly.tar.gz");
    assert!(chain(new_image(&other, &layer).unwrap_err()).contains("its last layer should be"));
    let made = new_image(image, &layer).unwrap().manifest.descriptor();
    let old = image.manifest.digest().clone();
    let one = new_index(&sample.index, &BTreeMap::from([(old.clone(), made.clone())])).unwrap();
    assert!(one.is_index(), "an index also for one platform");
    let absent = BTreeMap::from([(old.clone(), made.clone()), (Digest::of(b"x"), made.clone())]);
    assert!(chain(new_index(&sample.index, &absent).unwrap_err()).contains("has no entry"));
    assert!(new_index(&sample.index, &BTreeMap::new()).is_err());
    let mut other_type = made;
    other_type.media_type = OCI_INDEX.to_owned();
    let error = chain(new_index(&sample.index, &BTreeMap::from([(old, other_type)])).unwrap_err());
    assert!(error.contains("another type"), "{error}");
}
