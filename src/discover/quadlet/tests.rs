//! Quadlets of every kind: which images they name, and which of them are pulled anyhow.

use super::*;
use crate::model::tree::{File, Node, NodeKind};

const ETC: &str = "etc/containers/systemd";
const USR: &str = "usr/share/containers/systemd";

fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (path, text) in files {
        let path = path.replace("ETC", ETC).replace("USR", USR);
        let kind = if let Some(target) = text.strip_prefix("-> ") {
            NodeKind::Link(target.to_owned())
        } else {
            let bytes: std::sync::Arc<[u8]> = text.as_bytes().into();
            NodeKind::File(File { size: bytes.len() as u64, digest: None, bytes: Some(bytes) })
        };
        tree.insert(&path, Node { mode: 0o644, kind });
    }
    tree
}

fn names(release: &Release) -> Vec<String> {
    let places = release.components.iter().flat_map(|c| c.found_in.iter().map(move |origin| (c, origin)));
    let short = |text: String| text.replace(ETC, "ETC").replace(USR, "USR");
    places.map(|(c, origin)| short(format!("{} {origin}", c.reference))).collect()
}

fn discover(files: &[(&str, &str)]) -> Release {
    discover_tree(&tree(files), &DIRS, "/", &Platforms::All)
}

#[test]
fn a_link_to_dev_null_takes_a_unit_away() {
    let release = discover(&[
        ("ETC/app.container", "-> /dev/null"),
        ("USR/app.container", "[Container]\nImage=quay.io/a/app:v1\n"),
        ("USR/other.container", "[Container]\nImage=quay.io/a/other:v1\n"),
    ]);
    assert_eq!(names(&release), ["quay.io/a/other:v1 /USR/other.container: [Container] Image"]);
}

#[test]
fn units_of_every_kind() {
    let release = discover(&[
        ("ETC/app.container", "[Container]\nImage=quay.io/a/app:v1\nMount=type=image,src=quay.io/a/mount:v1,dst=/m\n"),
        ("USR/app.container", "[Container]\nImage=quay.io/a/hidden:v1\n"),
        ("USR/app.container.d/10-x.conf", "[Container]\nImage=quay.io/a/dropped:v1\n"),
        ("ETC/app.container.d/10-x.conf", "[Container]\nImage=quay.io/a/drop-in:v1\n"),
        ("USR/by-unit.container", "[Container]\nImage=base.image\n"),
        ("USR/base.image", "[Image]\nImage=quay.io/a/base:v1\nPolicy=missing\n"),
        ("USR/data.volume", "[Volume]\nDriver=image\nImage=quay.io/a/data:v1\n"),
        ("USR/plain.volume", "[Volume]\nImage=quay.io/a/not:v1\n"),
        ("USR/sub/play.kube", "[Kube]\nYaml=pod.yaml\nYaml=/opt/pod.yaml\nYaml=%h/x.yaml\n"),
        ("USR/sub/pod.yaml", "kind: Pod\nspec: {containers: [{image: quay.io/a/pod:v1}]}\n"),
        ("opt/pod.yaml", "kind: Pod\nspec: {containers: [{image: quay.io/a/opt:v1}]}\n"),
        ("ETC/users/1000/app.container", "[Container]\nImage=quay.io/a/user:v1\n"),
        ("USR/group.pod", "[Pod]\nImage=quay.io/a/not:v1\n"),
        ("USR/root.container", "[Container]\nRootfs=/x\n"),
    ]);
    assert_eq!(
        names(&release),
        [
            "quay.io/a/drop-in:v1 /ETC/app.container: [Container] Image",
            "quay.io/a/mount:v1 /ETC/app.container: [Container] Mount",
            "quay.io/a/base:v1 /USR/base.image: [Image] Image",
            "quay.io/a/base:v1 /USR/by-unit.container: [Container] Image → base.image",
            "quay.io/a/data:v1 /USR/data.volume: [Volume] Image",
            "quay.io/a/pod:v1 /USR/sub/pod.yaml: Pod: spec.containers[0].image",
            "quay.io/a/opt:v1 /opt/pod.yaml: Pod: spec.containers[0].image",
            "quay.io/a/user:v1 /ETC/users/1000/app.container: [Container] Image",
        ]
    );
    assert_eq!(release.unreadable.len(), 1);
    assert!(release.unreadable[0].1.contains("`Yaml=%h/x.yaml`"));
    assert!(release.invalid.is_empty() && release.pulls.is_empty(), "{release:?}");
}

#[test]
fn what_is_no_image_has_a_reason() {
    for (image, cause) in [
        ("busybox", "short name"),
        ("app.build", "built on the device"),
        ("none.image", "no unit `none.image`"),
        ("quay.io/a/b:%i", "specifier"),
        ("circle.image", "short name"),
    ] {
        let text = format!("[Container]\nImage={image}\n");
        let release = discover(&[("ETC/x.container", &text), ("ETC/circle.image", "[Image]\nImage=circle.image\n")]);
        let own = release.invalid.iter().find(|invalid| invalid.origin.file.ends_with("x.container")).unwrap();
        assert!(own.cause.contains(cause), "{image}: {}", own.cause);
    }
}

#[test]
fn what_is_pulled_anyhow() {
    for (name, text, because) in [
        ("x.container", "", None),
        ("x.container", "Pull=always", Some("Pull=always")),
        ("x.container", "Pull=newer", Some("Pull=newer")),
        ("x.container", "Pull=missing", None),
        ("x.container", "PodmanArgs=--a --pull=always", Some("PodmanArgs=--pull=always")),
        ("x.container", "PodmanArgs=--pull never\nPull=always", None),
        ("x.image", "", Some("an image unit without Policy=missing")),
        ("x.image", "Policy=missing", None),
        ("x.image", "Policy=always", Some("Policy=always")),
    ] {
        let section = if name.ends_with("image") { "Image" } else { "Container" };
        let unit = format!("[{section}]\nImage=quay.io/a/b:v1\n{text}\n");
        let release = discover(&[(&format!("ETC/{name}"), &unit)]);
        let pulls: Vec<&str> = release.pulls.iter().map(|pull| pull.because.as_str()).collect();
        assert_eq!(pulls, because.into_iter().collect::<Vec<_>>(), "{name} {text}");
    }
}

#[test]
fn bound_images_are_links_to_units() {
    let tree = tree(&[
        ("usr/lib/bootc/bound-images.d/app.container", &format!("-> /{USR}/app.container")),
        ("usr/lib/bootc/bound-images.d/base.image", "-> ../../../share/containers/systemd/base.image"),
        ("usr/lib/bootc/bound-images.d/gone.image", "-> /nowhere"),
        ("USR/app.container", "[Container]\nImage=quay.io/a/app:v1\n"),
        ("USR/base.image", "[Image]\nImage=quay.io/a/base:v1\n"),
    ]);
    let release = discover_bound(&tree, "/", &Platforms::All);
    assert_eq!(
        names(&release),
        [
            "quay.io/a/app:v1 /usr/lib/bootc/bound-images.d/app.container: [Container] Image",
            "quay.io/a/base:v1 /usr/lib/bootc/bound-images.d/base.image: [Image] Image",
        ]
    );
    assert_eq!(release.unreadable.len(), 1);
}

#[test]
fn files_that_are_not_there_yet_are_asked_for() {
    let tree = tree(&[("ETC/x.kube", "[Kube]\nYaml=/opt/x.yaml\nYaml=there.yaml\n"), ("ETC/there.yaml", "")]);
    assert_eq!(missing(&tree, &DIRS), ["opt/x.yaml"]);
    let file =
        self::tree(&[("x.container", "[Container]\nImage=y.image\n"), ("y.image", "[Image]\nImage=quay.io/a/y:v1\n")]);
    assert_eq!(
        names(&discover_file(&file, "x.container", "d/", &Platforms::All)),
        ["quay.io/a/y:v1 d/x.container: [Container] Image → y.image"]
    );
}
