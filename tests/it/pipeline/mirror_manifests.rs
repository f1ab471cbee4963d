//! What is emitted for a mirror, and that it obeys the APIs it is for.

mod schema;

use super::{platforms, repository, resolve_all};
use crate::support::command::run;
use crate::support::fixture::{Format, Repository, Spelling};
use crate::support::memory::MemoryRegistry;
use crate::support::tool::bootc_embed;
use bootc_embed::emit::{Emitted, Kind, Known, Templates, emit};
use bootc_embed::model::mirror::{Mirror, destination};
use bootc_embed::model::plan::{Attached, Signed};
use bootc_embed::model::{Plan, Reference};
use proptest::prelude::*;
use schema::{CONF, REGISTRIES_D, Read, read};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const HEX: &str = "4d5e238300ce6f427a1045d51d6b37a4e5c5633985208ebb44f91e7dd53897d9";

/// What is emitted for images and mirrors. The names need not be those of anything: the plan of one image has
/// its reference replaced.
fn emitted(names: &[&str], mirrors: &[&str], insecure: bool) -> Read {
    read(emit_with(&plan(names), mirrors, insecure))
}

fn emit_with(plan: &Plan, mirrors: &[&str], insecure: bool) -> Emitted {
    let mirrors: Vec<Mirror> = mirrors.iter().map(|mirror| mirror.parse().expect("a mirror")).collect();
    let known = Known { mirrors: &mirrors, insecure, ..Known::default() };
    let templates = Templates::new(None).expect("the built-in templates are good");
    emit(Kind::MirrorManifests, plan, "/usr/lib/bootc-embed", &templates, &known).expect("it is emitted")
}

fn plan(names: &[&str]) -> Plan {
    let (app, index): (Repository, _) = repository("app", &["linux/amd64"], Format::Oci, Spelling::COMPACT);
    let references = [app.pinned("r.example", &index)];
    let registry = MemoryRegistry::new(vec![app]);
    let mut plan = resolve_all(&references, &platforms(&["linux/amd64"]), &registry).expect("it resolves").plan;
    let image = plan.images.remove(0);
    plan.images = names
        .iter()
        .map(|name| {
            let reference: Reference = name.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
            let mut image = image.clone();
            if let Some(digest) = reference.digest() {
                image.manifest.digest = digest.clone();
            }
            image.reference = reference;
            image
        })
        .collect();
    plan
}

fn pairs(found: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    found.iter().map(|(source, mirror)| (source.as_str(), mirror.as_str())).collect()
}

#[test]
fn each_repository_has_an_entry_where_all_are_mirrored() {
    let (pinned, both) = (format!("quay.io/team/app@sha256:{HEX}"), format!("quay.io/team/web:1.0@sha256:{HEX}"));
    let names = [pinned.as_str(), both.as_str(), "quay.io/team/app:v1", "docker.io/nginx:1", "r.example:5000/x"];
    let read = emitted(&names, &["m.example:5000/all"], false);
    assert_eq!(
        pairs(&read.by_digest),
        [("quay.io/team/app", "m.example:5000/all/team/app"), ("quay.io/team/web", "m.example:5000/all/team/web")]
    );
    assert_eq!(
        pairs(&read.by_tag),
        [
            ("docker.io/library/nginx", "m.example:5000/all/library/nginx"),
            ("quay.io/team/app", "m.example:5000/all/team/app"),
            ("r.example:5000/x", "m.example:5000/all/x")
        ]
    );
    let pulls: Vec<(&str, &str)> =
        read.conf.iter().map(|(prefix, (_, pulls))| (prefix.as_str(), pulls.as_str())).collect();
    assert_eq!(
        pulls,
        [
            ("docker.io/library/nginx", "tag-only"),
            ("quay.io/team/app", "all"),
            ("quay.io/team/web", "digest-only"),
            ("r.example:5000/x", "tag-only")
        ]
    );
    assert_eq!(pairs(&read.imports).iter().map(|(stream, _)| *stream).collect::<Vec<_>>(), ["all/x:latest"]);
    assert_eq!((read.insecure, read.warnings), (BTreeSet::from([false]), vec![]));
}

#[test]
fn a_named_source_is_one_entry() {
    let one = format!("quay.io/team/app@sha256:{HEX}");
    let two = format!("quay.io/team/deep/er/app@sha256:{HEX}");
    let special = format!("quay.io/special/app@sha256:{HEX}");
    let read = emitted(
        &[&one, &two, &special, "quay.io/special/app:yes", "other.example/x:v1"],
        &["quay.io=m.example/q", "quay.io/special=s.example", "unused.example=m.example"],
        true,
    );
    assert_eq!(pairs(&read.by_digest), [("quay.io", "m.example/q"), ("quay.io/special", "s.example")]);
    assert_eq!(pairs(&read.by_tag), [("quay.io/special", "s.example")]);
    assert_eq!(read.conf["quay.io"], ("m.example/q".to_owned(), "digest-only".to_owned()));
    assert_eq!(read.conf["quay.io/special"], ("s.example".to_owned(), "all".to_owned()));
    // s.example/app is no namespace and name.
    assert_eq!(read.paths, ["idms.yaml", "itms.yaml", CONF]);
    assert_eq!(read.insecure, BTreeSet::from([true]));
    assert!(read.warnings.len() == 1 && read.warnings[0].contains("`other.example/x:v1`"), "{:?}", read.warnings);
}

#[test]
fn image_streams_are_told_of_tags() {
    let tagged = format!("quay.io/team/app:1.0@sha256:{HEX}");
    let again = format!("r.example/team/app:1.0@sha256:{}", HEX.replace('4', "5"));
    let untagged = format!("quay.io/team/pinned@sha256:{HEX}");
    let names = [
        "quay.io/team/app:null",
        &tagged,
        &again,
        &untagged,
        "quay.io/a/b/c:v1",
        "quay.io/a.b/c:v1",
        "quay.io/team/web_x:v1",
    ];
    let read = emitted(&names, &["os.example"], true);
    let streams: Vec<&str> = read.imports.keys().map(String::as_str).collect();
    assert_eq!(streams, ["team/app:1.0", "team/app:null", "team/web_x:v1"]);
    assert_eq!(read.imports["team/app:1.0"], format!("os.example/team/app:1.0@sha256:{HEX}"));
    assert!(read.warnings.len() == 1 && read.warnings[0].contains("one image for a tag"), "{:?}", read.warnings);
    assert_eq!(read.insecure, BTreeSet::from([true]));
}

#[test]
fn signatures_are_looked_for_where_there_are_any() {
    let (one, two) = (format!("quay.io/team/app@sha256:{HEX}"), format!("r.example/web@sha256:{HEX}"));
    let mut plan = plan(&[&one, &two, "quay.io/team/unsigned:v1"]);
    for image in &mut plan.images[..2] {
        let instance = &image.instances[0];
        let attached = Attached {
            manifest: instance.manifest.clone(),
            artifact_type: String::new(),
            config: instance.config.clone(),
            layers: Vec::new(),
        };
        image.signatures = vec![Signed { tag: Some(attached), ..Signed::nothing(&instance.manifest.digest) }];
    }
    let unsigned = plan.images[2].clone();
    plan.images[2].signatures = vec![Signed::nothing(&unsigned.manifest.digest)];
    let read = |mirrors: &[&str]| read(emit_with(&plan, mirrors, false)).signed;
    assert_eq!(read(&["m.example"]), BTreeSet::from(["m.example/team/app".to_owned(), "m.example/web".to_owned()]));
    assert_eq!(read(&["quay.io/team=m.example:5000/t"]), BTreeSet::from(["m.example:5000/t".to_owned()]));
    assert!(!emitted(&[&one], &["m.example"], false).paths.contains(&REGISTRIES_D));
}

#[test]
fn nothing_is_said_where_no_mirror_fits() {
    let read = emitted(&["quay.io/team/app:v1"], &["r.example=m.example"], false);
    assert!(read.paths.is_empty(), "{:?}", read.paths);
    assert!(read.warnings[0].contains("no mirror stands for"), "{:?}", read.warnings);
}

#[test]
fn the_command_wants_a_mirror_and_makes_a_folder() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let lock = folder.path().join("embed.lock.json");
    fs::write(&lock, bootc_embed::store::lock_text(&plan(&["quay.io/team/app:v1"]))).expect("write the lock");
    let emit = |words: &[&str]| {
        let mut tool = bootc_embed(folder.path());
        run(tool.args(["emit", "mirror-manifests", "--lock"]).arg(&lock).args(words))
    };
    emit(&[]).fails_with(2).says("`mirror-manifests` needs to know the mirror").says("--mirror");
    let out = folder.path().join("out");
    let words = ["--mirror", "quay.io=m.example/q", "--tls-verify=false", "-o", out.to_str().expect("text")];
    emit(&words).success();
    let conf = fs::read_to_string(out.join(CONF)).expect("the drop-in is there");
    assert!(conf.contains("insecure = true") && out.join("itms.yaml").exists() && !out.join("idms.yaml").exists());
    let printed = emit(&words[..2]).success();
    let text = printed.text();
    assert!(text.contains("==> /itms.yaml <==") && !text.contains("insecure"), "{printed}");
}

/// Names as long, dotted and dashed as the grammar of references allows.
fn names() -> impl Strategy<Value = String> {
    let host = "[a-zA-Z0-9]{1,3}(-[a-z0-9]{1,2})?\\.[a-z0-9]{1,3}(:[0-9]{1,5})?";
    let suffix = prop_oneof![Just(format!("@sha256:{HEX}")), "(:[A-Za-z0-9_][A-Za-z0-9._-]{0,5})?"];
    (host, "(/[a-z0-9]{1,2}(([._]|__|-{1,3})[a-z0-9]{1,2})?){1,3}", suffix)
        .prop_map(|(host, path, suffix)| host + &path + &suffix)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_images_are_called_the_schemas_hold(names in proptest::collection::vec(names(), 1..6), at in 0..6usize, insecure in any::<bool>()) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let named = names.get(at).map(|name| {
            let host = name.split('/').next().expect("a host");
            format!("{host}=m-x.example:5000/t__x")
        });
        let mirrors: Vec<&str> = named.as_deref().into_iter().chain(["m.example"]).collect();
        let read = emitted(&names, &mirrors, insecure);
        // Every image is where one of the entries says, and nobody is asked for what is named otherwise.
        for name in names {
            let name: Reference = name.parse().expect("a reference");
            let repository = name.repository().to_string();
            let set = if name.digest().is_some() { &read.by_digest } else { &read.by_tag };
            let fitting = set.iter().filter_map(|(source, mirror)| {
                let rest = repository.strip_prefix(source.as_str())?;
                (rest.is_empty() || rest.starts_with('/')).then(|| (source.len(), format!("{mirror}{rest}")))
            });
            let (_, found) = fitting.max().expect("an entry");
            let mirrors: Vec<Mirror> = mirrors.iter().map(|mirror| mirror.parse().expect("a mirror")).collect();
            let expected = destination(&mirrors, name.repository()).expect("a mirror");
            prop_assert_eq!(found, expected.to_string());
        }
        prop_assert!(read.insecure.iter().all(|found| *found == insecure));
    }
}
