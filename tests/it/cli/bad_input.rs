//! Bad input: a clear error with the object and a hint, the exit code of its kind, nothing half-written.

use crate::support::command::{Finished, run};
use crate::support::fixture::{Format, Image, Index, Repository, Spelling};
use crate::support::registry::{Auth, Fault, FaultyRegistry};
use crate::support::rpm::{self, Payload};
use crate::support::tool::bootc_embed;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Checks the form of every error: one line, the object, and a hint where one is expected.
#[track_caller]
fn refused(finished: Finished, code: i32, words: &[&str]) {
    let finished = finished.fails_with(code);
    for word in words {
        assert!(finished.errors.contains(word), "expected `{word}`\n{finished}");
    }
    assert_eq!(finished.errors.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{finished}");
    assert!(finished.output.is_empty(), "an error is no data\n{finished}");
}

fn list(folder: &Path, input: &str) -> Finished {
    run(bootc_embed(folder).current_dir(folder).args(["list", input, "--platform", "linux/amd64"]))
}

#[test]
fn inputs_that_are_not_what_they_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let plain = rpm::build(folder.path(), "no-release-info", &[("/usr/share/doc/readme", b"x")], Payload::Zstd);
    let arm = ("/usr/share/microshift/release/release-aarch64.json", br#"{"images":{}}"#.as_slice());
    let arm = rpm::build(folder.path(), "arm-only", &[arm], Payload::Gzip);
    let broken = ("/usr/share/microshift/release/release-x86_64.json", b"".as_slice());
    let broken = rpm::build(folder.path(), "empty-file", &[broken], Payload::Xz);
    let cut = fs::read(&plain).unwrap();
    for (name, bytes) in [
        ("empty.json", b"".as_slice()),
        ("wrong.json", b"{\"images\": [1, 2]}"),
        ("other.json", b"{\"hello\": 1}"),
        ("not.json", b"{"),
        ("none.rpm", b"this is no package"),
        ("magic.rpm", b"\xed\xab\xee\xdb and then nothing"),
        ("cut.rpm", &cut[..cut.len() / 2]),
        ("tag.json", br#"{"images":{"ovms":"registry.example/x:tag@registry.example/x:tag"}}"#),
        ("short.json", br#"{"images":{"a":"busybox:latest"}}"#),
        ("binary", b"\xff\xfe\x00\x01"),
        ("list.txt", b"registry.example/a:1\nnot a reference\n"),
        ("set.toml", b"[[containers]]\nname = \"x\"\n"),
        ("lock.json", b"{\"version\": 7, \"platforms\": [], \"images\": []}"),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    fs::create_dir_all(folder.path().join("folder")).unwrap();
    fs::create_dir_all(folder.path().join("root/usr")).unwrap();
    fs::create_dir_all(folder.path().join("root/etc")).unwrap();
    for (input, words) in [
        ("empty.json", ["`empty.json`", "is empty", "hint: "].as_slice()),
        ("release-info:empty.json", &["is empty", "hint: "]),
        ("wrong.json", &["`wrong.json`"]),
        ("release-info:wrong.json", &["release-info `wrong.json` is not what it should be", "object"]),
        ("other.json", &["JSON of no known kind", "hint: known are release-info"]),
        ("not.json", &["JSON of no known kind"]),
        ("rpm:none.rpm", &["`none.rpm` is not an RPM", "hint: "]),
        ("magic.rpm", &["`magic.rpm` is not a usable RPM", "hint: get the file again"]),
        ("cut.rpm", &["`cut.rpm` is not a usable RPM", "hint: get the file again"]),
        (plain.to_str().unwrap(), &["holds no release-info file", "hint: MicroShift's packages"]),
        (arm.to_str().unwrap(), &["holds release-info for aarch64, the set is for linux/amd64", "hint: choose"]),
        (broken.to_str().unwrap(), &["release-x86_64.json` is empty", "hint: "]),
        (
            "tag.json",
            &["tag.json: images.ovms", "`registry.example/x:tag@registry.example/x:tag`", "hint: what follows `@`"],
        ),
        (
            "short.json",
            &[
                "short.json: images.a",
                "short name",
                "hint: write the registry out, for example `docker.io/library/busybox:latest`",
            ],
        ),
        ("binary", &["`binary`", "neither an RPM nor text", "hint: force"]),
        ("list.txt", &["list.txt: line 2", "hint: "]),
        ("set.toml", &["`set.toml` is not a blueprint", "source", "hint: "]),
        ("lock.json", &["version 7"]),
        ("folder", &["neither an installed root", "hint: a root has"]),
        ("root", &["`/usr/share/microshift/release` holds no release-info file", "hint: "]),
        ("rootfs:nowhere", &["the root `nowhere` cannot be opened", "hint: "]),
        ("rpm:nowhere.rpm", &["`nowhere.rpm`", "No such file"]),
        ("nowhere.json", &["no such file or directory", "hint: check the path"]),
        ("quay.io/x:tag@quay.io/x:tag", &["not an image reference", "hint: what follows `@`"]),
    ] {
        refused(list(folder.path(), input), 2, words);
    }
}

#[test]
fn wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (["list"].as_slice(), "required"),
        (&["list", "a", "--platform", "amd64"], "not a platform"),
        (&["list", "a", "--platform", "linux/amd64", "--all-platforms"], "cannot be used with"),
        (&["plan", "registry.example/a:1", "--max-size", "many"], "whole number"),
        (&["fetch", "registry.example/a:1"], "--store"),
        (&["fetch", "--locked", "x", "registry.example/a:1", "--store", "s"], "cannot be used with"),
        (&["emit", "poetry"], "containerfile"),
        (&["unknown"], "unrecognized"),
    ] {
        let finished = run(bootc_embed(folder.path()).args(arguments)).fails_with(2);
        assert!(finished.errors.contains(words), "{words}\n{finished}");
    }
    refused(
        run(bootc_embed(folder.path()).args(["emit", "blueprint"])),
        2,
        &["needs to know the images", "hint: name them"],
    );
    let nowhere = run(bootc_embed(folder.path()).args(["emit", "blueprint", "--store", "nowhere"]));
    refused(nowhere, 2, &["opening the store `nowhere`", "hint: `bootc-embed fetch"]);
    refused(run(bootc_embed(folder.path()).args(["serve", "--store", "nowhere"])), 2, &["nowhere", "hint: "]);
    refused(run(bootc_embed(folder.path()).args(["serve", "nowhere"])), 2, &["write `oci:DIR`"]);
    refused(run(bootc_embed(folder.path()).args(["serve", "oci:nowhere"])), 2, &["`nowhere` is no OCI layout"]);
}

/// A repository `app` with a tag `v1` on an index for amd64 and arm64, and `single` on the arm64 image.
fn app() -> (Repository, String) {
    let layer = crate::support::fixture::Layer::new(&[("x", b"layer")], crate::support::fixture::Compression::Gzip);
    let instances = ["linux/amd64", "linux/arm64"].map(|platform| Image::new(platform).layer(&layer).build());
    let index = Index::new(Format::Oci).instances(&instances).spelling(Spelling::ODD).build();
    let repository = Repository::new("app").instances(&instances).index(&index).tag("v1", &index);
    let layer = instances[0].layers[0].digest.clone();
    (repository.tag("single", &instances[1].manifest), layer)
}

#[test]
fn registries_that_say_no_and_roots_that_stay_as_they_were() {
    let (repository, layer) = app();
    let registry = FaultyRegistry::start(std::slice::from_ref(&repository));
    let closed = FaultyRegistry::start_with(&[repository], Auth::Basic);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let at = |name: &str| format!("{}/app{name}", registry.address());
    let none = format!("{}@sha256:{}", at(""), "0".repeat(64));
    let mut cases = vec![
        (at(":none"), None, 3, vec!["does not exist: 404, manifest unknown", "hint: check the name"]),
        (none, None, 3, vec!["does not exist: 404", "hint: check the name"]),
        (at(":v1"), Some(("v1", Fault::Status(401))), 3, vec!["not accessible: 401", "hint: log in"]),
        (format!("{}/app:v1", closed.address()), None, 3, vec!["not accessible: 401", "hint: log in"]),
        ("127.0.0.1:1/app:v1".to_owned(), None, 3, vec!["`127.0.0.1:1` cannot be reached", "refused", "hint: "]),
        (at(":single"), None, 1, vec!["is for linux/arm64, not for linux/amd64", "hint: `--platform linux/arm64`"]),
        (
            at(":v1"),
            Some((layer.as_str(), Fault::Replace(b"other bytes of any length".to_vec()))),
            3,
            vec![&layer, "hint: "],
        ),
        (at(":v1"), Some((layer.as_str(), Fault::CutShort(5))), 3, vec![&layer, "has 5 bytes where", "hint: "]),
        (
            at(":v1"),
            Some((layer.as_str(), Fault::BreakOff(5))),
            3,
            vec![&layer, "broke off", "hint: run the same command again"],
        ),
        (at(":v1"), Some(("v1", Fault::Replace(b"<html>".to_vec()))), 3, vec!["not usable", "cannot be read"]),
    ];
    for (reference, fault, code, words) in cases.drain(..) {
        if let Some((part, fault)) = fault {
            registry.fail(part, fault);
        }
        let mut embed = bootc_embed(folder.path());
        embed.args(["embed", &reference, "--platform", "linux/amd64", "--tls-verify=false", "--retries=0"]);
        embed.arg("--root").arg(&root);
        refused(run(&mut embed), code, &[&[reference.as_str()], words.as_slice()].concat());
        registry.heal();
        // A view, a list or a unit would be half a set. Whole blobs may wait for the next run.
        let store = root.join("usr/lib/bootc-embed");
        let left: Vec<String> = match fs::read_dir(&store) {
            Ok(entries) => entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect(),
            Err(_) => Vec::new(),
        };
        assert!(left.iter().all(|name| ["blobs", ".embed.claims"].contains(&name.as_str())), "{reference}: {left:?}");
        assert!(!root.join("usr/libexec").exists() && !root.join("usr/lib/systemd").exists(), "{reference}");
    }
    let mut embed = bootc_embed(folder.path());
    embed.args(["embed", &at(":v1"), "--platform", "linux/s390x", "--tls-verify=false", "--root"]).arg(&root);
    refused(run(&mut embed), 1, &["no instance for linux/s390x; it has: linux/amd64, linux/arm64", "hint: choose"]);

    // The next run finishes.
    let mut embed = bootc_embed(folder.path());
    embed.args(["embed", &at(":v1"), "--platform", "linux/amd64", "--tls-verify=false", "--root"]).arg(&root);
    run(&mut embed).success();
    assert!(root.join("usr/libexec/bootc-embed/import").is_file());
}

#[test]
fn places_that_cannot_be_written() {
    let (repository, _) = app();
    let registry = FaultyRegistry::start(&[repository]);
    let folder = tempfile::tempdir().unwrap();
    let reference = format!("{}/app:v1", registry.address());
    fs::write(folder.path().join("file"), "").unwrap();
    // Root may write anywhere, so a file in the way and a file system of the kernel stand for no permission.
    for store in [folder.path().join("file/store"), Path::new("/proc/bootc-embed").to_owned()] {
        let store = store.to_str().unwrap();
        let arguments = ["fetch", &reference, "--platform", "linux/amd64", "--tls-verify=false", "--store", store];
        let finished = run(bootc_embed(folder.path()).args(arguments)).fails_with(3);
        assert!(finished.errors.contains(store) && finished.errors.contains("hint: choose a folder"), "{finished}");
    }
    fs::create_dir_all(folder.path().join("root/usr/libexec")).unwrap();
    fs::write(folder.path().join("root/usr/libexec/bootc-embed"), "in the way").unwrap();
    let embed = |store: &str| {
        let root = folder.path().join("root");
        let mut command = bootc_embed(folder.path());
        command.args(["embed", &reference, "--platform", "linux/amd64", "--tls-verify=false", "--store", store]);
        run(command.arg("--root").arg(root))
    };
    refused(embed("/usr/lib/bootc-embed"), 3, &["`/usr/libexec/bootc-embed` stands in the way", "hint: move it away"]);
    assert!(!folder.path().join("root/usr/lib").exists());
    refused(embed("/"), 2, &["the store cannot be the root itself", "hint: "]);

    let arguments = ["plan", &reference, "--platform", "linux/amd64", "--tls-verify=false", "-o", "/proc/x/lock.json"];
    let finished = run(bootc_embed(folder.path()).args(arguments));
    assert_ne!(finished.code, Some(0), "{finished}");
    assert!(finished.errors.contains("writing lock `/proc/x/lock.json`"), "{finished}");
}

#[test]
fn settings_that_cannot_be_honoured() {
    let (repository, _) = app();
    let registry = FaultyRegistry::start_with(&[repository], Auth::Basic);
    let folder = tempfile::tempdir().unwrap();
    let reference = format!("{}/app:v1", registry.address());
    let auth = folder.path().join("auth.json");
    let write = |text: &str| fs::write(&auth, text.replace("HOST", registry.address())).unwrap();
    let plan = |extra: &[&str]| {
        let arguments = ["plan", &reference, "--platform", "linux/amd64", "--tls-verify=false"];
        run(bootc_embed(folder.path()).args(arguments).args(extra))
    };
    let with_auth = ["--authfile", auth.to_str().unwrap()];
    write(r#"{"auths":{"HOST":{"identitytoken":"x"}}}"#);
    refused(plan(&with_auth), 3, &["identitytoken` in ", "hint: let skopeo", "--transport proxy"]);
    write(r#"{"credHelpers":{"HOST":"nobody-has-it"}}"#);
    refused(
        plan(&with_auth),
        3,
        &["`credHelpers.", "-nobody-has-it", "is not installed", "hint: install", "--authfile"],
    );
    refused(plan(&["--authfile", "/nonexistent/auth.json"]), 3, &["/nonexistent/auth.json"]);
    refused(plan(&["--cert-dir", "/nonexistent/certs"]), 3, &["/nonexistent/certs", "hint: check"]);
    fs::write(folder.path().join("ca.crt"), "no certificate").unwrap();
    refused(plan(&["--cert-dir", folder.path().to_str().unwrap()]), 3, &["ca.crt", "no certificate in it"]);
}

/// A program called skopeo that says it has this version and can do nothing.
fn fake_skopeo(folder: &Path, version: &str) {
    let file = folder.join("skopeo");
    fs::write(&file, format!("#!/bin/sh\necho 'skopeo version {version}'\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn skopeo_must_be_there_and_new_enough() {
    let folder = tempfile::tempdir().unwrap();
    let plan = || {
        let mut command = bootc_embed(folder.path());
        command.env("PATH", folder.path());
        run(command.args(["plan", "registry.example/app:v1", "--transport", "proxy"]))
    };
    let hint = "hint: `--transport proxy` needs skopeo 1.9 or newer";
    refused(plan(), 3, &["skopeo cannot be run", hint]);
    fake_skopeo(folder.path(), "1.8.0");
    refused(plan(), 3, &["skopeo 1.8 is too old, 1.9 is needed", hint]);
    fake_skopeo(folder.path(), "of my own");
    refused(plan(), 3, &["names no version", hint]);
}
