//! `list` over workloads: manifests, quadlets, roots with both; what asks for an image, and what is left out.

use crate::support::command::{Finished, run};
use crate::support::tool::bootc_embed;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

const A: &str = "4d5e238300ce6f427a1045d51d6b37a4e5c5633985208ebb44f91e7dd53897d9";
const B: &str = "0431bde46dd25e63db6e3d2d5395d6d27f44b6e0b0bee1a4dd65137152d6c650";

fn write(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().expect("a file has a folder")).expect("a folder can be made");
    fs::write(file, text).expect("a file can be written");
}

fn list(folder: &TempDir, arguments: &[&str]) -> Finished {
    let mut list = bootc_embed(folder.path());
    list.current_dir(folder.path()).args(["list", "--platform", "linux/amd64"]);
    run(list.args(arguments))
}

/// A pod with one image.
fn pod(image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: pod\nspec:\n  containers:\n  - name: x\n    image: {image}\n"
    )
}

/// node-exporter's manifest names an image that its release-info does not, as it did in 5.0.
fn root(folder: &Path) {
    let info = format!(r#"{{"images":{{"node-exporter":"registry.example/node-exporter@sha256:{A}"}}}}"#);
    write(folder, "usr/share/microshift/release/release-node-exporter-x86_64.json", &info);
    let manifests = "usr/lib/microshift/manifests.d/050-microshift-metrics-node-exporter";
    write(folder, &format!("{manifests}/kustomization.yaml"), "resources: [daemonset.yaml]\n");
    let daemonset = format!(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata:\n  name: node-exporter\nspec:\n  template:\n    spec:\n      containers:\n      \
         - image: registry.example/node-exporter@sha256:{A}\n      - image: registry.example/kube-rbac-proxy@sha256:{B}\n"
    );
    write(folder, &format!("{manifests}/daemonset.yaml"), &daemonset);
    // ai-model-serving: a transform that splits a tag at `@` gives the reference twice.
    let models = "usr/lib/microshift/manifests.d/060-microshift-ai-model-serving";
    let transform = "images:\n- name: ovms\n  newName: registry.example/ovms:v1\n  digest: registry.example/ovms:v1\n";
    write(folder, &format!("{models}/kustomization.x86_64.yaml"), transform);
    let runtime = "apiVersion: serving.kserve.io/v1alpha1\nkind: ServingRuntime\nmetadata: {name: ovms}\n\
                   spec: {containers: [{image: ovms}]}\n";
    write(folder, &format!("{models}/runtime.yaml"), runtime);
    write(folder, "etc/microshift/manifests/app.yaml", &pod("registry.example/app:v1"));
    write(folder, "etc/microshift/manifests/kustomization.yaml", "resources: [app.yaml]\n");
    // MicroShift applies no folder without a kustomization.
    write(folder, "etc/microshift/manifests.d/draft/app.yaml", &pod("registry.example/draft:v1"));
    write(
        folder,
        "usr/share/containers/systemd/agent.container",
        "[Container]\nImage=registry.example/agent:v1\nPull=always\n",
    );
    write(folder, "etc/containers/systemd/play.kube", "[Kube]\nYaml=/opt/play.yaml\n");
    write(folder, "opt/play.yaml", &pod("registry.example/play:v1"));
    fs::create_dir_all(folder.join("usr/lib/bootc/bound-images.d")).unwrap();
    let bound = folder.join("usr/lib/bootc/bound-images.d/agent.container");
    symlink("/usr/share/containers/systemd/agent.container", bound).unwrap();
}

#[test]
fn a_root_gives_its_workloads_too() {
    let folder = tempfile::tempdir().unwrap();
    root(&folder.path().join("root"));
    let listed = list(&folder, &["root"]).success();
    insta::assert_snapshot!(listed.text());
    let listed = listed.says("/usr/lib/microshift/manifests.d/060-microshift-ai-model-serving/runtime.yaml: ServingRuntime/ovms: spec.containers[0].image");
    listed.says("`registry.example/ovms:v1@registry.example/ovms:v1` is not an image reference");

    let why = format!("sha256:{B}");
    insta::assert_snapshot!(list(&folder, &["root", "--why", &why]).success().text(), @r"
    registry.example/kube-rbac-proxy@sha256:0431bde46dd25e63db6e3d2d5395d6d27f44b6e0b0bee1a4dd65137152d6c650
        /usr/lib/microshift/manifests.d/050-microshift-metrics-node-exporter/daemonset.yaml: DaemonSet/node-exporter: spec.template.spec.containers[1].image
    ");
    let full = format!("registry.example/node-exporter@sha256:{A}");
    let by_repository = list(&folder, &["root", "--why", "registry.example/node-exporter"]).success().text();
    assert_eq!(by_repository, list(&folder, &["root", "--why", &full]).success().text());
    assert_eq!(by_repository.lines().count(), 3, "{by_repository}");
    list(&folder, &["root", "--why", "registry.example/none"])
        .fails_with(1)
        .says("nothing asks for `registry.example/none`")
        .says("hint: ");

    let json = list(&folder, &["root", "--format", "json"]).success();
    let json: Value = serde_json::from_slice(&json.output).unwrap();
    assert_eq!(json["invalid"][0]["text"], "registry.example/ovms:v1@registry.example/ovms:v1");
    assert!(json["invalid"][0]["cause"].is_string() && json["invalid"][0]["foundIn"]["file"].is_string(), "{json}");
    assert_eq!(json["pulls"][0]["reference"], "registry.example/agent:v1");
    assert_eq!(json["pulls"][0]["because"], "Pull=always");
}

#[test]
fn images_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    root(&folder.path().join("root"));
    let excluded = ["root", "--exclude", "registry.example/app:v1", "--exclude", "registry.example/ovms*"];
    let listed = list(&folder, &excluded).success();
    assert!(!listed.text().contains("/app:v1") && listed.text().contains("/play:v1"), "{listed}");
    assert!(!listed.errors.contains("warning"), "what is excluded is no worry\n{listed}");
    list(&folder, &["root", "--exclude", "registry.example/app"])
        .fails_with(2)
        .says("`--exclude registry.example/app` is for no image")
        .says("hint: ");
    list(&folder, &["root", "--exclude", "*"]).fails_with(2).says("leaves no image");
    let locked = ["fetch", "--locked", "x", "--exclude", "x", "--store", "s"];
    run(bootc_embed(folder.path()).args(locked)).fails_with(2).says("cannot be used with");
}

#[test]
fn manifests_come_from_folders_files_and_pipes() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "app/deploy/app.yaml", &pod("registry.example/app:v1"));
    write(folder.path(), "app/deploy/app.aarch64.yaml", &pod("registry.example/arm:v1"));
    write(folder.path(), "app/config.json", r#"{"operand": "registry.example/operand:v1"}"#);
    write(folder.path(), "app/README", "not a manifest: registry.example/readme:v1");
    write(folder.path(), "no-name", &pod("registry.example/no-name"));
    write(folder.path(), "list.json", r#"{"apiVersion":"v1","kind":"List","items":[]}"#);
    write(folder.path(), "broken.yaml", &format!("{{{{ if x }}}}\nimage: registry.example/broken@sha256:{A}\n"));
    insta::assert_snapshot!(list(&folder, &["app"]).success().text(), @r"
    registry.example/operand:v1
        app/config.json: operand
    registry.example/app:v1
        app/deploy/app.yaml: Pod/pod: spec.containers[0].image
    ");
    insta::assert_snapshot!(list(&folder, &["no-name"]).success().text(), @r"
    registry.example/no-name
        no-name: Pod/pod: spec.containers[0].image
    ");
    list(&folder, &["list.json"]).fails_with(2).says("the inputs name no image");
    list(&folder, &["app/deploy/app.aarch64.yaml"]).fails_with(2).says("not for linux/amd64");
    list(&folder, &["manifests:nowhere"]).fails_with(2).says("no such file");
    let broken = list(&folder, &["broken.yaml"]).success().says("warning: `broken.yaml` cannot be read whole: line 2");
    assert!(broken.text().contains("registry.example/broken@"), "{broken}");

    let mut piped = bootc_embed(folder.path());
    piped.args(["list", "manifests:-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut piped = piped.spawn().unwrap();
    let text = format!("---\n# Source: chart/x.yaml\n{}---\n{}", pod("registry.example/one:v1"), pod("busybox"));
    piped.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = piped.wait_with_output().unwrap();
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @r"
    registry.example/one:v1
        standard input: Pod/pod: spec.containers[0].image
    ");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("warning: standard input: Pod/pod: spec.containers[0].image: `busybox` is a short name"),
        "{errors}"
    );
}

#[test]
fn quadlets_come_from_folders_and_files() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "units/app.container", "[Container]\nImage=base.image\n");
    write(folder.path(), "units/base.image", "[Image]\nImage=registry.example/base:v1\n");
    write(folder.path(), "units/play.kube", "[Kube]\nYaml=sub/play.yaml\n");
    write(folder.path(), "units/sub/play.yaml", &pod("registry.example/play:v1"));
    write(folder.path(), "units/built.container", "[Container]\nImage=own.build\n");
    let listed = list(&folder, &["units"]).success().says("`own.build` is built on the device");
    insta::assert_snapshot!(listed.text(), @r"
    registry.example/base:v1
        units/app.container: [Container] Image → base.image
        units/base.image: [Image] Image
    registry.example/play:v1
        units/sub/play.yaml: Pod/pod: spec.containers[0].image
    ");
    insta::assert_snapshot!(list(&folder, &["units/play.kube"]).success().text(), @r"
    registry.example/play:v1
        units/sub/play.yaml: Pod/pod: spec.containers[0].image
    ");
    assert!(list(&folder, &["quadlets:units/app.container"]).success().text().contains("base:v1"));
    list(&folder, &["units/built.container"])
        .fails_with(2)
        .says("the inputs name no image")
        .says("hint: units/built.container: [Container] Image: `own.build` is built on the device");
    list(&folder, &["quadlets:units/sub/play.yaml"]).fails_with(2).says("not a quadlet, by its name");
    list(&folder, &["quadlets:-"]).fails_with(2).says("not a quadlet, by its name");
    list(&folder, &["quadlets:nowhere.kube"]).fails_with(2).says("no such file");
}
