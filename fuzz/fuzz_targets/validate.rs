//! A whole root, judged: image list, lock, views, units, policies, manifests. What is proven must be
//! embedded.

#![no_main]

use bootc_embed::discover::{discover_root, missing_of_root};
use bootc_embed::model::finding::Verdict;
use bootc_embed::model::{Platforms, Reference, Release, Report, Tree};
use bootc_embed::registry::registries_conf::RegistriesConf;
use bootc_embed::store::{LOCK, parse_lock};
use bootc_embed::trust::{Means, Policy};
use bootc_embed::validate::{DEFAULT_PLACES, DevicePolicy, Subject, explain, run};
use libfuzzer_sys::fuzz_target;
use std::time::SystemTime;

fuzz_target!(|data: &[u8]| {
    let tree = bootc_embed_fuzz::tree(data);
    let _ = missing_of_root(&tree);
    let amd64 = Platforms::Some(vec!["linux/amd64".parse().expect("a platform")]);
    let required = discover_root(&tree, &amd64).unwrap_or_default();
    judge(&tree, &required, true, amd64);
    let lock = tree.bytes(&format!("{}/{LOCK}", DEFAULT_PLACES[0])).and_then(|bytes| parse_lock(bytes).ok());
    if let Some(plan) = lock {
        judge(&tree, &Release::from(&plan), false, plan.platforms());
    }
});

fn judge(tree: &Tree, required: &Release, is_system: bool, platforms: Platforms) {
    let policy = tree.bytes("etc/containers/policy.json").and_then(|bytes| Policy::parse(bytes).ok());
    let key = |path: &str| tree.bytes(path).map(<[u8]>::to_vec).ok_or_else(|| "it is not there".to_owned());
    let subject = Subject {
        name: "target".to_owned(),
        tree,
        storage: None,
        is_system,
        places: DEFAULT_PLACES.map(str::to_owned).to_vec(),
        required,
        platforms,
        excluded: Vec::new(),
        scripts: Vec::new(),
        max_size: Some(1 << 20),
        policy: policy.as_ref().map(|policy| DevicePolicy { policy, name: "policy", given: is_system }),
        means: Means { files: &key, now: SystemTime::UNIX_EPOCH, gpg: None },
        may_run_skopeo: false,
    };
    let report = run(&subject, |_| true);
    check(&report);
    let proven = report.references.iter().filter(|reference| reference.verdict == Verdict::Proven);
    for reference in proven.take(4) {
        let name = stored_name(&reference.reference).expect("what is proven is a reference");
        let mut embedded = report.embedded.iter().filter_map(|image| stored_name(&image.reference));
        assert!(embedded.any(|embedded| embedded == name), "`{name}` is proven and not embedded");
    }
    let names = report.references.iter().map(|reference| reference.reference.as_str());
    for name in names.take(4).chain(["app", "quay.io/a/b:v1"]) {
        let explanation = explain(name, &subject);
        assert_eq!(explanation.resolves, explanation.because.is_none());
        let is_proven = report.references.iter().any(|r| r.reference == name && r.verdict == Verdict::Proven);
        // `explain` needs registries.conf to know what a name means; of a store alone no check looks at it.
        let is_unreadable = !is_system && RegistriesConf::from_tree(tree).is_err();
        let is_known = explanation.resolves || !is_proven || is_unreadable;
        assert!(is_known, "{name} is proven, but {:?}", explanation.because);
    }
}

fn check(report: &Report) {
    let summary = &report.summary;
    assert_eq!(summary.references, report.references.len());
    assert_eq!(summary.references, summary.proven + summary.failed + summary.unknown);
    for finding in &report.findings {
        assert!(!finding.message.is_empty() && finding.hint.is_some(), "{}: {}", finding.check, finding.message);
    }
    serde_json::to_string(report).expect("a report is JSON");
}

fn stored_name(text: &str) -> Option<String> {
    text.parse::<Reference>().ok().map(|reference| reference.stored_name())
}
