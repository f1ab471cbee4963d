//! Manifests as they are in the wild, made anew: what is found in them, and where it is said to be.

use super::*;
use crate::model::tree::{File, Node as TreeNode, NodeKind};
use proptest::prelude::*;

const A: &str = "sha256:4d5e238300ce6f427a1045d51d6b37a4e5c5633985208ebb44f91e7dd53897d9";
const B: &str = "sha256:0431bde46dd25e63db6e3d2d5395d6d27f44b6e0b0bee1a4dd65137152d6c650";

fn amd64() -> Platforms {
    Platforms::Some(vec!["linux/amd64".parse().unwrap()])
}

fn scan_text(text: &str) -> Release {
    scan_file("x.yaml", text.replace("@A", &format!("@{A}")).replace("@B", &format!("@{B}")).as_bytes(), &amd64())
}

/// References with their places, digests shortened to what the tests write.
fn found(release: &Release) -> Vec<String> {
    let short = |text: &str| text.replace(A, "A").replace(B, "B");
    let places = release.components.iter().flat_map(|c| c.found_in.iter().map(move |origin| (c, origin)));
    places.map(|(c, origin)| format!("{} {}", short(c.reference.as_str()), short(&origin.to_string()))).collect()
}

fn invalid(release: &Release) -> Vec<String> {
    release.invalid.iter().map(|invalid| format!("{} {}", invalid.text, invalid.origin.key)).collect()
}

fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (path, text) in files {
        let text = text.replace("@A", &format!("@{A}")).replace("@B", &format!("@{B}"));
        let kind = if let Some(target) = text.strip_prefix("-> ") {
            NodeKind::Link(target.to_owned())
        } else {
            let bytes: std::sync::Arc<[u8]> = text.as_bytes().into();
            NodeKind::File(File { size: bytes.len() as u64, digest: None, bytes: Some(bytes) })
        };
        tree.insert(path, TreeNode { mode: 0o644, kind });
    }
    tree
}

#[test]
fn image_fields_of_every_kind_of_document() {
    let release = scan_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: node-exporter}\nspec:\n  template:\n    spec:\n      \
         initContainers:\n      - {name: init, image: quay.io/a/init:v1}\n      containers:\n      - name: proxy\n        \
         image: quay.io/a/kube-rbac-proxy@A\n        env:\n        - {name: RELATED_IMAGE_X, value: quay.io/a/x:v1}\n        \
         args: [--operand-image=quay.io/a/operand:v1, --quiet=quay.io/a/no:v1]\n      volumes:\n      - name: model\n        \
         image: {reference: quay.io/a/model:v1, pullPolicy: Always}\n---\n\
         kind: ServingRuntime\nmetadata: {name: ovms}\nspec:\n  containers:\n  - {image: 'quay.io/x:t@quay.io/x:t'}\n---\n\
         kind: PodList\nitems:\n- kind: Pod\n  metadata: {name: p}\n  spec: {containers: [{image: quay.io/a/p:v1, imagePullPolicy: Always}]}\n---\n\
         kind: CatalogSource\nspec: {image: quay.io/a/catalog}\n",
    );
    assert_eq!(
        found(&release),
        [
            "quay.io/a/init:v1 x.yaml: Deployment/node-exporter: spec.template.spec.initContainers[0].image",
            "quay.io/a/kube-rbac-proxy@A x.yaml: Deployment/node-exporter: spec.template.spec.containers[0].image",
            "quay.io/a/x:v1 x.yaml: Deployment/node-exporter: spec.template.spec.containers[0].env[RELATED_IMAGE_X]",
            "quay.io/a/operand:v1 x.yaml: Deployment/node-exporter: spec.template.spec.containers[0].args[0]",
            "quay.io/a/model:v1 x.yaml: Deployment/node-exporter: spec.template.spec.volumes[0].image.reference",
            "quay.io/a/p:v1 x.yaml: Pod/p: spec.containers[0].image",
            "quay.io/a/catalog x.yaml: CatalogSource: spec.image",
        ]
    );
    assert_eq!(invalid(&release), ["quay.io/x:t@quay.io/x:t ServingRuntime/ovms: spec.containers[0].image"]);
    assert!(release.invalid[0].hint.contains("must be a digest"));
    let pulls: Vec<String> = release.pulls.iter().map(|pull| format!("{}: {}", pull.reference, pull.because)).collect();
    assert_eq!(pulls, ["quay.io/a/model:v1: pullPolicy: Always", "quay.io/a/p:v1: imagePullPolicy: Always"]);
}

#[test]
fn images_outside_of_image_fields() {
    let release = scan_text(
        "kind: Deployment\nmetadata:\n  name: istiod\n  annotations:\n    operands/proxy.v1: 'quay.io/a/proxy@A, quay.io/a/cni@B'\n\
         spec: {taints: ['node-role.kubernetes.io/master:NoSchedule']}\n---\n\
         kind: ConfigMap\nmetadata: {name: kserve}\ndata:\n  agent: |\n    {\"image\": \"quay.io/a/agent:v1\", \"deep\": \"{\\\"x\\\": \
         \\\"quay.io/a/deep@A\\\"}\"}\n  template.yaml: |\n    kind: Pod\n    metadata: {name: p}\n    spec:\n      containers:\n      \
         - image: auto\n      - image: quay.io/a/inner:latest\n  script: |\n    # IMAGE=quay.io/a/not:v1\n    IMAGE=quay.io/a/script:v1\n    \
         if x; then {{ y }}; fi\n---\n\
         kind: Secret\ndata: {x: quay.io/a/secret:v1}\nstringData: {x: quay.io/a/told:v1}\n",
    );
    assert_eq!(
        found(&release),
        [
            "quay.io/a/proxy@A x.yaml: Deployment/istiod: metadata.annotations[\"operands/proxy.v1\"]",
            "quay.io/a/cni@B x.yaml: Deployment/istiod: metadata.annotations[\"operands/proxy.v1\"]",
            "quay.io/a/agent:v1 x.yaml: ConfigMap/kserve: data.agent → image",
            "quay.io/a/deep@A x.yaml: ConfigMap/kserve: data.agent → deep → x",
            "quay.io/a/inner:latest x.yaml: ConfigMap/kserve: data[\"template.yaml\"] → Pod/p: spec.containers[1].image",
            "quay.io/a/script:v1 x.yaml: ConfigMap/kserve: data.script",
            "quay.io/a/told:v1 x.yaml: Secret: stringData.x",
        ]
    );
    assert!(release.invalid.is_empty(), "what is in a string may be completed by a program");
    assert_eq!(release.pulls.len(), 1, "{:?}", release.pulls);
}

#[test]
fn fields_that_are_no_references() {
    for (image, hint) in [
        ("busybox", "docker.io/library/busybox"),
        ("'{{ .Values.image }}'", "helm template"),
        ("${IMAGE}", "helm template"),
        ("quay.io/a/b:$(TAG)", "helm template"),
        ("quay.io/A/b", "lower case"),
    ] {
        let release = scan_text(&format!("containers:\n- image: {image}\n"));
        assert_eq!(release.invalid.len(), 1, "{image}");
        assert!(release.invalid[0].hint.contains(hint), "{image}: {}", release.invalid[0].hint);
        assert_eq!(release.invalid[0].origin.key, "containers[0].image");
    }
    assert!(scan_text("containers: [{image: ''}, {image: {}}, {image: 3}, 7]\n").invalid.is_empty());
}

#[test]
fn what_cannot_be_read_is_looked_through_for_digests() {
    let release = scan_text(
        "a: quay.io/a/one@A\n---\n{{ if x }}\nimage: quay.io/a/two@B\ntag: quay.io/a/b:v1\n---\nb: quay.io/a/b:v2\n",
    );
    assert_eq!(
        found(&release),
        ["quay.io/a/one@A x.yaml: a", "quay.io/a/b:v2 x.yaml: b", "quay.io/a/two@B x.yaml: line 4"]
    );
    assert_eq!(release.unreadable.len(), 1);
    assert!(release.unreadable[0].1.starts_with("line "), "{:?}", release.unreadable);
}

#[test]
fn kustomizations_put_images_in_the_place_of_others() {
    let pod = |image: &str| format!("kind: Pod\nspec: {{containers: [{{image: {image}}}]}}\n");
    let (app, base) = (pod("app:latest"), pod("quay.io/a/base:v1"));
    let tree = tree(&[
        ("m/over/kustomization.yaml", "resources: [../base, app.yaml, ../../../out, https://example.com/x]\n"),
        (
            "m/over/kustomization.x86_64.yaml",
            "images:\n- {name: app, newName: quay.io/a/app, digest: '@A'}\n- {name: quay.io/a/unused, newTag: v9}\n"
                .replace("'@A'", &format!("'{A}'"))
                .as_str(),
        ),
        ("m/over/kustomization.aarch64.yaml", "images: [{name: app, newName: quay.io/a/arm, newTag: v1}]\n"),
        ("m/over/app.yaml", &app),
        ("m/over/sub/link.yaml", "-> ../../../elsewhere/app.yaml"),
        ("elsewhere/app.yaml", &app),
        ("m/base/kustomization.yml", "resources: [deployment.yaml, ../over]\n"),
        ("m/base/deployment.yaml", &base),
        ("m/base/deployment.aarch64.yaml", &pod("quay.io/a/arm-only:v1")),
        ("m/base/dashboard.json", "{\"title\": \"quay.io/a/d@A\"}"),
        ("m/base/note.txt", "quay.io/a/not@A"),
        ("m/circle", "-> ."),
    ]);
    let release = discover_tree(&tree, "m", "/", &amd64());
    assert_eq!(
        found(&release),
        [
            "quay.io/a/d@A /m/base/dashboard.json: title",
            "quay.io/a/base:v1 /m/base/deployment.yaml: Pod: spec.containers[0].image",
            "quay.io/a/app@A /m/over/app.yaml: Pod: spec.containers[0].image",
            "quay.io/a/app@A /m/over/kustomization.x86_64.yaml: images[0]",
            "quay.io/a/app@A /m/over/sub/link.yaml: Pod: spec.containers[0].image",
            "quay.io/a/unused:v9 /m/over/kustomization.x86_64.yaml: images[1]",
        ]
    );
    assert!(release.invalid.is_empty(), "{release:?}");
    let fetched = "it takes in `https://example.com/x`, which is fetched from a network";
    assert_eq!(release.unreadable, [("/m/over/kustomization.yaml".to_owned(), fetched.to_owned())]);
    // Both architectures: a field becomes what it is on either.
    let all = discover_tree(&tree, "m", "/", &Platforms::All);
    let names: Vec<&str> = all.components.iter().map(|c| c.reference.as_str()).collect();
    assert!(names.contains(&"quay.io/a/arm:v1") && names.contains(&"quay.io/a/arm-only:v1"), "{names:?}");
}

#[test]
fn a_kustomization_is_for_what_it_takes_in_from_beside_it() {
    let tree = tree(&[
        ("base/kustomization.yaml", "resources: [d.yaml]\n"),
        ("base/d.yaml", "containers: [{image: app}]\n"),
        ("over/kustomization.yaml", "resources: [../base]\nimages: [{name: app, newName: quay.io/a/app}]\n"),
    ]);
    // Only `over` is applied; `base` is found by it.
    assert_eq!(
        found(&discover_tree(&tree, "over", "", &amd64())),
        ["quay.io/a/app base/d.yaml: containers[0].image", "quay.io/a/app over/kustomization.yaml: images[0]",]
    );
    assert_eq!(invalid(&discover_tree(&tree, "base", "", &amd64())), ["app containers[0].image"]);
}

#[test]
fn laughs_and_towers_have_an_end() {
    let mut laughs = "a0: &a0 [quay.io/a/b@A, quay.io/a/b@A]\n".to_owned();
    for n in 1..40 {
        laughs += &format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1);
    }
    let release = scan_text(&laughs);
    assert_eq!((release.components.len(), release.unreadable.len()), (1, 1));
    // Each level doubles the backslashes of the one in it.
    let tower = |height| {
        let level = |inner: String, _| format!("{{\"a\": {}}}", serde_json::json!(inner));
        (0..height).fold("quay.io/a/b@A".to_owned(), level)
    };
    assert_eq!(found(&scan_text(&tower(8))), ["quay.io/a/b@A x.yaml: a → a → a → a → a → a → a → a"]);
    assert_eq!(scan_text(&tower(12)).components.len(), 1, "by its words");
    let deep = scan_text(&format!("{}quay.io/a/b@A{}", "[".repeat(100), "]".repeat(100)));
    assert_eq!(deep.components.len(), 1);
    assert!(scan_text(&"[".repeat(20_000)).unreadable.len() == 1);
    let many: String = (0..11_000).map(|n| format!("- quay.io/a/n{n}:v1\n")).collect();
    let release = scan_text(&many);
    assert_eq!((release.components.len(), release.unreadable.len()), (10_000, 1));
}

/// What is known is not looked through for every image that is found: large files would take minutes.
#[test]
fn many_images_take_time_by_their_number() {
    let broken: String = (0..12_000).map(|n| format!("- [quay.io/a/b@sha256:{n:064x}\n")).collect();
    let release = scan_text(&broken);
    assert_eq!((release.components.len(), !release.unreadable.is_empty()), (10_000, true));

    let places = "- quay.io/a/b:v1\n".repeat(5_000);
    let names: Vec<String> = (0..6).map(|n| format!("m/{n}.yaml")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), places.as_str())).collect();
    let release = discover_tree(&tree(&files), "m", "", &amd64());
    assert_eq!((release.components.len(), release.components[0].found_in.len()), (1, 30_000));

    let chain: String = (0..1_000).map(|n| format!("- {{name: a{n}, newName: a{}}}\n", n + 1)).collect();
    let images: String = (0..300).map(|n| format!("- {{image: a{n}}}\n")).collect();
    let release = discover_tree(
        &tree(&[
            ("k/kustomization.yaml", &format!("images:\n{chain}")),
            ("k/a.yaml", &format!("containers:\n{images}")),
        ]),
        "k",
        "",
        &amd64(),
    );
    assert_eq!((release.components.len(), release.invalid.len()), (0, 10_000));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = scan_file("kustomization.yaml", &bytes, &Platforms::All);
        let _ = scan_file("x", &bytes, &Platforms::All);
    }

    #[test]
    fn any_words_of_yaml_are_read_without_harm(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "image", "containers", ":", ": ", "- ", "\n", "  ", "{", "}", "[", "]", "&a ", "*a", "!t ", "|\n", "\"", "---\n",
            "quay.io/a/b:v1", "@sha256:", "kind", "images", "name", "newName", "env", "value", "data", "\\", "#", "<<", "?", "\t",
        ]), 0..60)
    ) {
        let text: String = words.concat();
        let _ = scan_file("kustomization.yaml", text.as_bytes(), &Platforms::All);
        let _ = scan_file("x", text.as_bytes(), &Platforms::All);
    }
}
