//! What is emitted from plans that have a catch. The ordinary outputs are in `examples/`.

use super::{instance, platforms, repository, repository_of, resolve_all};
use crate::support::fixture::{Entry, Format, Spelling};
use crate::support::memory::MemoryRegistry;
use bootc_embed::emit::{Content, Emitted, Kind, Templates, emit};
use bootc_embed::model::{Origin, Plan, Release};
use bootc_embed::resolve::resolve;
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use std::fs;

const STORE: &str = "/usr/lib/bootc-embed";

fn text(emitted: &Emitted) -> &str {
    match &emitted.outputs[0].content {
        Content::File(text, _) => text,
        Content::Link(target) => panic!("a file is expected, not a link to {target}"),
    }
}

/// Compares with a snapshot that changes neither with a release nor with a compression library.
#[track_caller]
fn assert_text(emitted: &Emitted, name: &str) {
    let version = concat!("bootc-embed ", env!("CARGO_PKG_VERSION"));
    let filters = vec![("[0-9a-f]{64}", "HEX"), (version, "bootc-embed VERSION")];
    insta::with_settings!({ filters => filters }, { insta::assert_snapshot!(name, text(emitted)) });
}

fn emit_with(kind: Kind, plan: &Plan) -> Emitted {
    emit(kind, plan, STORE, &Templates::new(None).unwrap()).unwrap()
}

/// Two indexes over one instance, and a third image that differs only by layers of its manifest.
fn colliding() -> Plan {
    let shared = instance("app", "linux/amd64", Format::Oci);
    let foreign = instance("app", "linux/arm64", Format::Oci);
    let (first, one) = repository_of("one", &[&shared], vec![Entry::new(&shared)], Format::Oci);
    let (second, two) =
        repository_of("two", &[&shared, &foreign], vec![Entry::new(&shared), Entry::new(&foreign)], Format::Oci);
    let references = [first.pinned("r.example", &one), second.pinned("r.example", &two)];
    let registry = MemoryRegistry::new(vec![first, second]);
    resolve_all(&references, &platforms(&["linux/amd64"]), &registry).unwrap().plan
}

#[test]
fn blueprints_warn_of_what_osbuild_cannot_hold() {
    let emitted = emit_with(Kind::Blueprint, &colliding());
    assert_eq!(emitted.warnings.len(), 2, "{:#?}", emitted.warnings);
    assert!(emitted.warnings[0].contains("hold the same instance; osbuild refuses"), "{:#?}", emitted.warnings);
    assert!(emitted.warnings[1].contains("have one image config; osbuild keeps only one"), "{:#?}", emitted.warnings);
    assert_text(&emitted, "blueprint");
}

#[test]
fn kustomize_pins_what_it_can_and_names_the_rest() {
    let (web, web_index) = repository("web", &["linux/amd64", "linux/arm64"], Format::Oci, Spelling::ODD);
    let (twice, first) = repository("twice", &["linux/amd64"], Format::Oci, Spelling::COMPACT);
    let other = instance("other", "linux/amd64", Format::Oci);
    let (again, second) = repository_of("twice", &[&other], vec![Entry::new(&other)], Format::Oci);
    // Two indexes over one instance: one pin serves both.
    let (same, one) = repository("same", &["linux/amd64"], Format::Oci, Spelling::COMPACT);
    let (_, two) = repository("same", &["linux/amd64"], Format::Oci, Spelling::TABS);
    let same = same.index(&two);
    let (pause, pause_index) = repository("pause", &["linux/amd64"], Format::Docker, Spelling::DOCKER);
    let single = instance("single", "linux/amd64", Format::Oci);
    let singles = crate::support::fixture::Repository::new("single").instances([&single]);
    let mut release = Release::default();
    for (reference, key) in [
        (web.pinned("r.example", &web_index), "images.web"),
        (twice.pinned("r.example", &first), "images.first"),
        (again.pinned("r.example", &second), "images.second"),
        (same.pinned("r.example", &one), "images.one"),
        (same.pinned("r.example", &two), "images.two"),
        (pause.pinned("r.example", &pause_index), "crio.image.pause_image"),
        (singles.pinned("r.example", &single.manifest), "images.single"),
    ] {
        let origin = Origin { file: "release-x86_64.json".into(), key: key.into() };
        release.add(reference.parse().unwrap(), origin, None);
    }
    let registry = MemoryRegistry::new(vec![web, twice.instances([&other]).index(&second), same, pause, singles]);
    let silent = bootc_embed::model::progress::Silent;
    let plan = super::wait(resolve(&release, &platforms(&["linux/amd64"]), &registry, 2, &silent)).unwrap().plan;
    let emitted = emit_with(Kind::Kustomize, &plan);
    assert_eq!(emitted.warnings.len(), 2, "{:#?}", emitted.warnings);
    let yaml: serde_yaml::Value = serde_yaml::from_str(text(&emitted)).expect("it is YAML");
    let pins = yaml["images"].as_sequence().expect("a list");
    assert_eq!(pins.len(), 2, "web and same: the single image is native already: {pins:#?}");
    assert_text(&emitted, "kustomize");
}

#[test]
fn an_overlay_for_several_platforms_pins_nothing() {
    let (web, index) = repository("web", &["linux/amd64", "linux/arm64"], Format::Oci, Spelling::COMPACT);
    let references = [web.pinned("r.example", &index)];
    let wanted = platforms(&["linux/amd64", "linux/arm64"]);
    let plan = resolve_all(&references, &wanted, &MemoryRegistry::new(vec![web])).unwrap().plan;
    let emitted = emit_with(Kind::Kustomize, &plan);
    assert!(text(&emitted).contains("images: []"), "{}", text(&emitted));
    assert!(emitted.warnings[0].contains("several platforms"));
}

#[test]
fn templates_can_be_overridden_and_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let plan = colliding();
    let render = |template: &str| {
        fs::write(folder.path().join("crio-pins.conf.j2"), template).unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        Templates::new(Some(&dir)).and_then(|templates| emit(Kind::CrioPins, &plan, STORE, &templates))
    };
    let own = render("{{ images | length }} images in {{ store }}\n").unwrap();
    assert_eq!(text(&own), "2 images in /usr/lib/bootc-embed\n");
    fs::write(folder.path().join("crio-pin.conf.j2"), "").unwrap();
    let error = format!("{:#}", render("").expect_err("a misspelt name"));
    assert!(error.contains("no template `crio-pin.conf.j2`"), "{error}");
    fs::remove_file(folder.path().join("crio-pin.conf.j2")).unwrap();
    for (template, words) in [("{{ unknown }}", "undefined"), ("{% if %}", "cannot be read")] {
        let error = format!("{:#}", render(template).expect_err("an error"));
        assert!(error.contains("crio-pins.conf.j2") && error.contains(words), "{error}");
    }
}

#[test]
fn a_store_path_that_would_break_scripts_is_refused() {
    let templates = Templates::new(None).unwrap();
    for store in ["/usr/lib/a b", "/usr/lib/$(reboot)", "/usr/../etc", "/usr/lib/%n"] {
        assert!(emit(Kind::ImportUnit, &colliding(), store, &templates).is_err(), "{store}");
    }
}
