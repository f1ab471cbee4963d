//! `explain`: the way of one reference through a root, and where it ends.

use super::{Good, Root};
use crate::support::command::{Finished, run};
use crate::support::tool::bootc_embed;
use serde_json::Value;

/// The step where the way ends, what it says, how the root is broken, and what is asked for.
type Case = (&'static str, &'static str, fn(&Good, &Root), fn(&Good) -> String);

fn explain(root: &Root, reference: &str, words: &[&str]) -> Finished {
    let mut tool = bootc_embed(&root.path);
    run(tool.args(["explain", reference, "--root"]).arg(&root.path).args(words))
}

/// The step where the way ends, and what it says.
fn stop(root: &Root, reference: &str) -> (String, String) {
    let finished = explain(root, reference, &["--format", "json"]).fails_with(1);
    let json: Value = serde_json::from_slice(&finished.output).unwrap_or_else(|e| panic!("{e}\n{finished}"));
    assert_eq!(json["resolves"], false, "{finished}");
    let steps = json["steps"].as_array().unwrap();
    let stop = steps.iter().find(|step| step["outcome"] == "stop").unwrap_or_else(|| panic!("no stop\n{finished}"));
    assert_eq!(json["because"], stop["detail"], "{finished}");
    (stop["name"].as_str().unwrap().to_owned(), stop["detail"].as_str().unwrap().to_owned())
}

#[test]
fn a_good_reference_resolves_step_by_step() {
    let good = Good::new();
    let root = good.copy();
    root.write(
        "etc/containers/registries.conf.d/10-site.conf",
        &format!(
            "unqualified-search-registries = [\"docker.io\"]\n[[registry]]\nlocation = \"{}\"\nblocked = true\n\
             [[registry.mirror]]\nlocation = \"mirror.example.com\"\n[aliases]\n\"pause\" = \"{}\"\n",
            good.registry.address(),
            good.reference("pod").split('@').next().unwrap()
        ),
    );
    let explained = explain(&root, &good.reference("webhook"), &[]).success().text();
    for words in [
        "app.yaml: Deployment/app: ",
        "embedded under this name in /usr/lib/bootc-embed/",
        "byte for byte",
        "linux/amd64: sha256:",
        "all hashed",
        "imported at boot",
        "mirror.example.com/site/webhook (mirror of",
        &format!("not {}/site/webhook (`blocked`", good.registry.address()),
        "accepts it",
        ": resolves offline\n",
    ] {
        assert!(explained.contains(words), "no `{words}` in\n{explained}");
    }
    // A short name is what the root's settings make of it.
    let digest = good.reference("pod").split_once('@').unwrap().1.to_owned();
    let short = explain(&root, &format!("pause@{digest}"), &[]).success().text();
    assert!(short.contains("it is a short name; /etc/containers/registries.conf.d/10-site.conf makes it"), "{short}");
    // Another name of the same repository finds the digest.
    let tagged = good.reference("pod").replace('@', ":v1@");
    let by_digest = explain(&root, &tagged, &[]).success().text();
    assert!(by_digest.contains("of the same repository has this digest"), "{by_digest}");
}

#[test]
fn every_reason_to_pull_is_named() {
    let good = Good::new();
    let pod = good.reference("pod");
    let own: fn(&Good) -> String = |good| good.reference("pod");
    #[rustfmt::skip]
    let cases: [Case; 10] = [
        ("name", "no alias and no `unqualified-search-registries`", |_, _| (), |_| "busybox".to_owned()),
        ("name", "is no image reference", |_, _| (), |_| "quay.io/x:v1@quay.io/x:v1".to_owned()),
        ("name", "registries.conf cannot be read", |_, r| r.write("etc/containers/registries.conf", "[[registry]]\nlocation = 3\n"), own),
        ("pull policy", "Always", |g, r| {
            r.write("usr/lib/microshift/manifests.d/more/kustomization.yaml", "resources: [x.yaml]\n");
            r.write("usr/lib/microshift/manifests.d/more/x.yaml", &format!(
                "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\nspec:\n  containers:\n  - image: {}\n    imagePullPolicy: Always\n", g.reference("pod")));
        }, own),
        ("store", "no embedded image has this name or digest", |_, _| (), |_| format!("quay.io/x/y@sha256:{}", "ab".repeat(32))),
        ("store", "is of another repository", |_, _| (), |g| g.reference("pod").replace("site/pause@", "site/other@")),
        ("manifest", "has other bytes", |g, r| std::fs::write(r.pool(&g.member("pod").top), "{}").unwrap(), own),
        ("platform", "is missing", |g, r| r.remove(&r.pool(&g.member("pod").native.manifest)), own),
        ("blobs", "is missing", |g, r| r.remove(&r.pool(g.member("pod").own_layer())), own),
        ("import", "rejected", |_, r| r.write("usr/share/bootc-embed/import-policy.json", r#"{"default":[{"type":"reject"}]}"#), own),
    ];
    for (step, words, mutate, reference) in cases {
        let root = good.copy();
        mutate(&good, &root);
        let (name, detail) = stop(&root, &reference(&good));
        assert!(name == step && detail.contains(words), "{step}: {words}: {name}: {detail}");
    }
    let root = good.copy();
    explain(&root, &pod, &["--platform", "linux/arm64"]).fails_with(1).says("its instance for linux/arm64");
    let mut tool = bootc_embed(&root.path);
    run(tool.args(["explain", &pod, "--root", "/no/such/root"])).fails_with(2);
}
