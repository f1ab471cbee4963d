//! What is emitted from plans that have a catch. The ordinary outputs are in `examples/`.

use super::{instance, platforms, repository, repository_of, resolve_all};
use crate::support::fixture::{Entry, Format, Spelling};
use crate::support::memory::MemoryRegistry;
use bootc_embed::emit::{Content, Emitted, Kind, Known, Templates, emit};
use bootc_embed::model::{Origin, Plan, Release};
use bootc_embed::registry::registries_conf::RegistriesConf;
use bootc_embed::registry::registries_d::RegistriesD;
use bootc_embed::resolve::resolve;
use bootc_embed::trust::Policy;
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use std::fs;
use std::path::Path;

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
    emit(kind, plan, STORE, &Templates::new(None).unwrap(), &Known::default()).unwrap()
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
        Templates::new(Some(&dir))
            .and_then(|templates| emit(Kind::CrioPins, &plan, STORE, &templates, &Known::default()))
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
        assert!(emit(Kind::ImportUnit, &colliding(), store, &templates, &Known::default()).is_err(), "{store}");
    }
}

/// The policy of the import asks of each folder what the device's policy has a sigstore key for; registries.d is
/// written for repositories and mirrors at which runtimes would not look, and no name is defined twice.
#[test]
fn policies_ask_of_folders_what_they_ask_of_names() {
    let (one, first) = repository("team/one", &["linux/amd64"], Format::Oci, Spelling::COMPACT);
    let (two, _) = repository("team/two", &["linux/amd64"], Format::Oci, Spelling::COMPACT);
    let (three, third) = repository("other/three", &["linux/amd64"], Format::Oci, Spelling::COMPACT);
    let references =
        [one.pinned("r.example", &first), two.tagged("r.example", "v1"), three.pinned("r.example", &third)];
    let registry = MemoryRegistry::new(vec![one, two, three]);
    let plan = resolve_all(&references, &platforms(&["linux/amd64"]), &registry).unwrap().plan;
    let policy = |default: &str| {
        let text = format!(
            r#"{{"default":[{{"type":"{default}"}}],"transports":{{"docker":{{
                "r.example/team":[{{"type":"sigstoreSigned","keyPath":"/k"}}],
                "r.example/team/two":[{{"type":"sigstoreSigned","keyData":"aGk="}},
                    {{"type":"signedBy","keyType":"GPGKeys","keyPath":"/g"}}]}}}}}}"#
        );
        Policy::parse(text.as_bytes()).unwrap()
    };
    let conf = "[[registry]]\nlocation = \"r.example\"\n[[registry.mirror]]\nlocation = \"m.example/r\"\n";
    let conf = RegistriesConf::parse([(Path::new("registries.conf"), conf)]).unwrap();
    let settings = "docker:\n  r.example/team/one:\n    lookaside: file:///x\n  m.example/r/team/two:\n    use-sigstore-attachments: true\n";
    let settings = RegistriesD::parse([(Path::new("/etc/containers/registries.d/site.yaml"), settings)]).unwrap();
    let emitted = |policy: Option<&Policy>| {
        let known = Known { policy, registries_d: &settings, registries_conf: &conf, ..Known::default() };
        emit(Kind::Policy, &plan, STORE, &Templates::new(None).unwrap(), &known).unwrap()
    };
    let reject = policy("reject");
    let strict = emitted(Some(&reject));
    let json: serde_json::Value = serde_json::from_str(text(&strict)).unwrap();
    assert_eq!(json["default"], serde_json::json!([{ "type": "reject" }]));
    let rule = |at: usize| &json["transports"]["dir"][format!("{STORE}/{}", plan.images[at].reference.key())];
    assert_eq!(json["transports"]["dir"].as_object().unwrap().len(), 3);
    let identity = |kind: &str, field: &str, value: &str| serde_json::json!({ "type": kind, field: value });
    assert_eq!(
        *rule(0),
        serde_json::json!([{ "type": "sigstoreSigned", "keyPath": "/k",
            "signedIdentity": identity("exactRepository", "dockerRepository", "r.example/team/one") }])
    );
    assert_eq!(
        *rule(1),
        serde_json::json!([{ "type": "sigstoreSigned", "keyData": "aGk=",
            "signedIdentity": identity("exactReference", "dockerReference", "r.example/team/two:v1") }])
    );
    assert_eq!(*rule(2), serde_json::json!([{ "type": "insecureAcceptAnything" }]));
    // What is not verified at boot is said, and so is a name that another file defines.
    let warned = |part: &str| strict.warnings.iter().filter(|warning| warning.contains(part)).count();
    assert_eq!(strict.warnings.len(), 3, "{:#?}", strict.warnings);
    assert_eq!((warned("`docker:r.example/team/two`"), warned("`default`")), (1, 1), "{:#?}", strict.warnings);
    assert_eq!(warned("`r.example/team/one` is defined in /etc/containers/registries.d/site.yaml"), 1);
    let Content::File(drop_in, _) = &strict.outputs[1].content else { panic!("a file") };
    let names: Vec<&str> = drop_in.lines().filter(|line| line.starts_with("  \"")).collect();
    assert_eq!(names, ["  \"m.example/r/team/one\":", "  \"r.example/team/two\":"], "{drop_in}");
    RegistriesD::parse([(Path::new("x.yaml"), drop_in.as_str())]).unwrap();

    // A device that accepts what it has no key for, or of which nothing is known, needs no warning.
    let accept = policy("insecureAcceptAnything");
    assert_eq!(emitted(Some(&accept)).warnings.len(), 2);
    let unknown = emitted(None);
    assert_eq!((unknown.outputs.len(), unknown.warnings.len()), (1, 0));
    assert_eq!(text(&unknown).matches("insecureAcceptAnything").count(), 3);
}
