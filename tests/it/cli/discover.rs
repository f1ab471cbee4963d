//! `list` over inputs of every shape: which images, and who asks for them.

use crate::support::command::{Finished, run};
use crate::support::rpm::{self, Payload};
use crate::support::tool::bootc_embed;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

const A: &str = "4d5e238300ce6f427a1045d51d6b37a4e5c5633985208ebb44f91e7dd53897d9";
const B: &str = "0431bde46dd25e63db6e3d2d5395d6d27f44b6e0b0bee1a4dd65137152d6c650";

/// Release-info with keys of both kinds, one image under three keys, a tag, and no newline at its end.
fn release_info(architecture: &str) -> String {
    format!(
        "{{\n  \"release\": {{\n    \"base\": \"4.99.0-0.nightly-{architecture}\"\n  }},\n  \"images\": {{\n    \
         \"cert-manager_controller\": \"registry.example/cert-manager/jetstack@sha256:{A}\",\n    \
         \"cert-manager-webhook\": \"registry.example/cert-manager/jetstack@sha256:{A}\",\n    \
         \"cert_manager_acmesolver\": \"registry.example/cert-manager/jetstack@sha256:{A}\",\n    \
         \"pod\": \"registry.example/payload-{architecture}@sha256:{B}\",\n    \
         \"ubi-minimal\": \"registry.example/ubi9/ubi-minimal:latest\"\n  }}\n}}"
    )
}

/// Release-info as OKD's packages have it: no `release`.
fn okd_info(architecture: &str) -> String {
    format!("{{\"images\":{{\"kindnet\":\"registry.example/kindnet-{architecture}@sha256:{A}\"}}}}\n")
}

fn write(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().expect("a file has a folder")).expect("a folder can be made");
    fs::write(file, text).expect("a file can be written");
}

/// A root as MicroShift's packages leave it.
fn root(folder: &Path) {
    for architecture in ["x86_64", "aarch64"] {
        let release = "usr/share/microshift/release";
        write(folder, &format!("{release}/release-{architecture}.json"), &release_info(architecture));
        write(folder, &format!("{release}/release-kindnet-{architecture}.json"), &okd_info(architecture));
        write(folder, &format!("usr/share/microshift/blueprint/blueprint-{architecture}.toml"), "");
    }
    let crio = "etc/crio/crio.conf.d";
    write(folder, "etc/crio/crio.conf", "[crio.image]\npause_image = \"registry.example/pause:main\"\n");
    write(folder, &format!("{crio}/05-early.conf"), "[crio.image]\npause_image = \"registry.example/pause:early\"\n");
    let pause = format!("[crio.image]\npause_image = \"registry.example/payload-x86_64@sha256:{B}\"\n[crio.runtime]\n");
    write(folder, &format!("{crio}/10-microshift.conf"), &pause);
    write(folder, &format!("{crio}/20-other.conf"), "[crio.network]\nnetwork_dir = \"/x\"\n");
}

fn list(folder: &TempDir, arguments: &[&str]) -> Finished {
    run(bootc_embed(folder.path()).current_dir(folder.path()).arg("list").args(arguments))
}

/// What `list` prints for amd64.
fn listed(folder: &TempDir, input: &str) -> String {
    list(folder, &[input, "--platform", "linux/amd64"]).success().text()
}

#[test]
fn a_root_gives_all_its_files_and_the_pause_image() {
    let folder = tempfile::tempdir().unwrap();
    root(&folder.path().join("root"));
    let text = listed(&folder, "root");
    insta::assert_snapshot!(text);
    assert_eq!(listed(&folder, "rootfs:root"), text);
    assert!(list(&folder, &["root", "--platform", "linux/arm64"]).success().text().contains("payload-aarch64"));
    let all = list(&folder, &["root", "--all-platforms"]).success().text();
    assert!(all.contains("payload-aarch64") && all.contains("payload-x86_64"));
}

#[test]
fn links_in_a_root_stay_in_it() {
    let folder = tempfile::tempdir().unwrap();
    root(&folder.path().join("root"));
    let release = folder.path().join("root/usr/share/microshift/release");
    fs::rename(&release, folder.path().join("root/usr/lib")).unwrap();
    symlink("/usr/lib", &release).unwrap();
    assert!(listed(&folder, "rootfs:root").contains("kindnet-x86_64"), "an absolute link is one of the root");
    // Out of the root there would be such a file; in it there is none.
    fs::remove_file(&release).unwrap();
    write(folder.path(), "outside/release-x86_64.json", &okd_info("x86_64"));
    symlink("../../../../../outside", &release).unwrap();
    assert!(!listed(&folder, "rootfs:root").contains("kindnet"), "the pause image alone is left");
    fs::remove_dir_all(folder.path().join("root/etc/crio")).unwrap();
    let nothing = list(&folder, &["rootfs:root", "--platform", "linux/amd64"]).fails_with(2);
    nothing.says("no release-info").says("hint: install");
}

#[test]
fn an_rpm_gives_the_files_of_the_platform_whatever_its_payload() {
    let folder = tempfile::tempdir().unwrap();
    let release = "/usr/share/microshift/release";
    let (x86, arm, okd) = (release_info("x86_64"), release_info("aarch64"), okd_info("x86_64"));
    let paths = ["release-x86_64.json", "release-aarch64.json", "release-kindnet-x86_64.json", "note.txt"];
    let paths: Vec<String> = paths.iter().map(|name| format!("{release}/{name}")).collect();
    let contents = [x86.as_bytes(), arm.as_bytes(), okd.as_bytes(), b"not release-info".as_slice()];
    let files: Vec<(&str, &[u8])> = paths.iter().map(String::as_str).zip(contents).collect();
    let mut texts = Vec::new();
    for payload in Payload::ALL {
        let package = rpm::build(folder.path(), "microshift-metrics-release-info", &files, payload);
        let name = package.file_name().unwrap().to_string_lossy().into_owned();
        texts.push(listed(&folder, &name).replace(&name, "PACKAGE"));
        assert_eq!(listed(&folder, &format!("rpm:{name}")).replace(&name, "PACKAGE"), texts[0], "{payload:?}");
    }
    insta::assert_snapshot!(texts[0]);
    assert!(texts.iter().all(|text| *text == texts[0]));
}

#[test]
fn release_info_files_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "info/release-x86_64.json", &release_info("x86_64"));
    write(folder.path(), "info/release-kindnet-x86_64.json", &okd_info("x86_64"));
    write(folder.path(), "info/release-aarch64.json", &release_info("aarch64"));
    write(folder.path(), "info/placeholder.json", r#"{"images":{"placeholder":"none"}}"#);
    write(folder.path(), "any-name.json", &okd_info("x86_64"));
    insta::assert_snapshot!(listed(&folder, "info/release-x86_64.json"), @r"
    registry.example/cert-manager/jetstack@sha256:4d5e238300ce6f427a1045d51d6b37a4e5c5633985208ebb44f91e7dd53897d9
        info/release-x86_64.json: images.cert-manager_controller
        info/release-x86_64.json: images.cert-manager-webhook
        info/release-x86_64.json: images.cert_manager_acmesolver
    registry.example/payload-x86_64@sha256:0431bde46dd25e63db6e3d2d5395d6d27f44b6e0b0bee1a4dd65137152d6c650
        info/release-x86_64.json: images.pod
    registry.example/ubi9/ubi-minimal:latest
        info/release-x86_64.json: images.ubi-minimal
    ");
    let both = listed(&folder, "info");
    assert!(both.contains("kindnet-x86_64") && both.contains("payload-x86_64") && !both.contains("aarch64"));
    assert!(listed(&folder, "any-name.json").contains("kindnet"));
    assert!(listed(&folder, "release-info:any-name.json").contains("kindnet"));
    list(&folder, &["info/release-aarch64.json", "--platform", "linux/amd64"])
        .fails_with(2)
        .says("is for aarch64, the set is for linux/amd64");
    list(&folder, &["info", "--platform", "linux/s390x"]).fails_with(2).says("for aarch64 and x86_64");
    list(&folder, &["info/placeholder.json"]).fails_with(2).says("name no image");
}

#[test]
fn image_references_blueprints_lists_and_bare_references() {
    let folder = tempfile::tempdir().unwrap();
    let stream = format!(
        r#"{{"kind":"ImageStream","apiVersion":"image.openshift.io/v1","metadata":{{"name":"4.99"}},"spec":{{"tags":[
        {{"name":"cli","from":{{"kind":"DockerImage","name":"registry.example/payload@sha256:{A}"}}}},
        {{"name":"pod","from":{{"kind":"DockerImage","name":"registry.example/payload@sha256:{B}"}}}}]}}}}"#
    );
    write(folder.path(), "image-references", &stream);
    write(
        folder.path(),
        "set.toml",
        &format!("name = \"x\"\n\n[[containers]]\nsource = \"registry.example/a@sha256:{A}\"\n"),
    );
    write(
        folder.path(),
        "images.txt",
        &format!("# ours\nregistry.example/a@sha256:{A}  # once\n\nregistry.example/b:v1\n"),
    );
    insta::assert_snapshot!(listed(&folder, "image-references"), @r"
    registry.example/payload@sha256:4d5e238300ce6f427a1045d51d6b37a4e5c5633985208ebb44f91e7dd53897d9
        image-references: spec.tags.cli
    registry.example/payload@sha256:0431bde46dd25e63db6e3d2d5395d6d27f44b6e0b0bee1a4dd65137152d6c650
        image-references: spec.tags.pod
    ");
    let three = list(&folder, &["set.toml", "images.txt", "registry.example/c"]).success().text();
    insta::assert_snapshot!(three, @r"
    registry.example/a@sha256:4d5e238300ce6f427a1045d51d6b37a4e5c5633985208ebb44f91e7dd53897d9
        set.toml: containers[0].source
        images.txt: line 2
    registry.example/b:v1
        images.txt: line 4
    registry.example/c
        command line: image
    ");
    write(folder.path(), "marked.txt", "\u{feff}registry.example/b:v1\n");
    assert!(listed(&folder, "marked.txt").contains("registry.example/b:v1"));
    let forced = ["blueprint:set.toml", "list:images.txt", "image:registry.example/c"];
    assert_eq!(list(&folder, &forced).success().text(), three);
}
