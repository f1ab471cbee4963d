//! Tables of settings and what follows from them. That runtimes see it the same way is checked with
//! skopeo in `tests/it/e2e/configuration.rs`.

use super::*;
use crate::model::tree::{File as TreeFile, Node, NodeKind};
use crate::model::{Reference, Tree};

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn conf(texts: &[&str]) -> Result<RegistriesConf, Error> {
    let names = ["registries.conf", "10.conf", "20.conf"];
    RegistriesConf::parse(names.iter().zip(texts).map(|(name, text)| (Path::new(*name), *text)))
}

fn route(conf: &RegistriesConf, reference: &str) -> Route {
    conf.rewrite(&reference.parse::<Reference>().unwrap())
}

fn asked(conf: &RegistriesConf, reference: &str) -> Vec<String> {
    route(conf, reference).sources.into_iter().map(|source| source.repository).collect()
}

#[test]
fn a_reference_is_asked_for_where_the_settings_say() {
    let conf = conf(&[r#"
        [[registry]]
        prefix = "a.io"
        location = "a.io"
        [[registry.mirror]]
        location = "m1.io/all/"
        [[registry.mirror]]
        location = "m2.io"
        pull-from-mirror = "digest-only"
        insecure = true
        [[registry.mirror]]
        location = "gone.io/x"
        pull-from-mirror = "tag-only"
        [[registry]]
        location = "gone.io"
        blocked = true
        [[registry.mirror]]
        location = "m1.io/gone"
        [[registry]]
        prefix = "a.io/deep/er"
        location = "b.io/x"
        [[registry]]
        prefix = "moved.io"
        location = "b.io"
        blocked = true
        [[registry]]
        prefix = "*.wild.io"
        [[registry]]
        prefix = "*.moved.io"
        location = "b.io/wild"
        [[registry]]
        prefix = "a.wild.io"
        location = "c.io"
        [[registry]]
        location = "by.digest"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "m1.io"
        [[registry]]
        prefix = "hub.io"
        location = "docker.io"
        [[registry]]
        location = "part.io"
        [[registry.mirror]]
        location = "under_score.io"
    "#])
    .unwrap();
    let pinned = |name: &str| format!("{name}@{DIGEST}");
    for (reference, sources) in [
        ("other.io/x:1".to_owned(), &["other.io/x"][..]),
        ("a.io/x:1".to_owned(), &["m1.io/all/x", "a.io/x"]),
        (pinned("a.io/x"), &["m1.io/all/x", "m2.io/x", "a.io/x"]),
        (pinned("a.io/x:1"), &["m1.io/all/x", "m2.io/x", "a.io/x"]),
        ("a.io/deep/er:1".to_owned(), &["b.io/x"]),
        ("a.io/deep/er/y:1".to_owned(), &["b.io/x/y"]),
        ("a.io/deep/erx:1".to_owned(), &["m1.io/all/deep/erx", "a.io/deep/erx"]),
        ("a.io:5000/x:1".to_owned(), &["m1.io/all:5000/x"][..0]),
        ("gone.io/x:1".to_owned(), &["m1.io/gone/x"]),
        ("moved.io/x:1".to_owned(), &["b.io/x"]),
        ("b.wild.io/x:1".to_owned(), &["b.wild.io/x"]),
        ("c.b.moved.io/x:1".to_owned(), &["b.io/wild/x"]),
        ("wild.io/x:1".to_owned(), &["wild.io/x"]),
        // Of one length, and `*` sorts before letters.
        ("a.wild.io/x:1".to_owned(), &["a.wild.io/x"]),
        ("by.digest/x:1".to_owned(), &["by.digest/x"]),
        (pinned("by.digest/x"), &["m1.io/x", "by.digest/x"]),
        ("hub.io/x:1".to_owned(), &[]),
        ("part.io/x:1".to_owned(), &["part.io/x"]),
        ("hub.io/x/y:1".to_owned(), &["docker.io/x/y"]),
    ] {
        assert_eq!(asked(&conf, &reference), sources, "{reference}");
    }
    let by_tag = route(&conf, "a.io/x:1");
    assert_eq!(by_tag.matched.unwrap().prefix, "a.io");
    let skipped: Vec<_> = by_tag.skipped.iter().map(|skipped| skipped.reason.as_str()).collect();
    assert_eq!(
        skipped,
        [
            "`pull-from-mirror` digest-only of [[registry]] `a.io` in registries.conf",
            "`blocked` of [[registry]] `gone.io` in registries.conf",
        ]
    );
    assert!(route(&conf, &pinned("a.io/x")).sources[1].insecure);
    assert!(route(&conf, "gone.io/x:1").blocked);
    assert!(route(&conf, "hub.io/x:1").skipped[0].reason.contains("is no repository"));
}

#[test]
fn later_files_replace() {
    let conf = conf(&[
        "unqualified-search-registries = [\"a.io\"]\nshort-name-mode = \"enforcing\"\n\
         aliases = { x = \"a.io/x\", y = \"a.io/y\", z = \"a.io/z\" }\n\
         [[registry]]\nlocation = \"r.io\"\nblocked = true\n[[registry.mirror]]\nlocation = \"m.io\"\n\
         [[registry]]\nlocation = \"s.io\"\nblocked = true",
        "unqualified-search-registries = [\"b.io\", \"docker.io\"]\n[[registry]]\nlocation = \"r.io\"",
        "[aliases]\nx = \"b.io/x\"\ny = \"\"\n",
    ])
    .unwrap();
    assert_eq!(asked(&conf, "r.io/x:1"), ["r.io/x"]);
    assert!(asked(&conf, "s.io/x:1").is_empty());
    let alias = |reference: &str, file: &str| ShortName::Alias { reference: reference.into(), file: file.into() };
    let search = |references: [String; 2]| ShortName::Search {
        references: references.to_vec(),
        file: "10.conf".into(),
        refused: true,
    };
    for (text, stands_for) in [
        ("x", alias("b.io/x:latest", "20.conf")),
        ("z:v1", alias("a.io/z:v1", "registries.conf")),
        ("y", search(["b.io/y:latest".to_owned(), "docker.io/library/y:latest".to_owned()])),
        ("team/y:v1", search(["b.io/team/y:v1".to_owned(), "docker.io/team/y:v1".to_owned()])),
        ("docker.io/y", ShortName::Full("docker.io/library/y:latest".to_owned())),
        ("localhost/y:1", ShortName::Full("localhost/y:1".to_owned())),
    ] {
        assert_eq!(conf.short_name(text), stands_for, "{text}");
    }
    let pinned = format!("x@{DIGEST}");
    assert_eq!(conf.short_name(&pinned), alias(&format!("b.io/x@{DIGEST}"), "20.conf"));
    for text in ["", "Y", "a b", "a.io/"] {
        assert!(matches!(conf.short_name(text), ShortName::Unresolved(why) if why.contains("no image")), "{text}");
    }
    assert!(matches!(RegistriesConf::default().short_name("x"), ShortName::Unresolved(why) if why.contains("alias")));
}

#[test]
fn a_file_that_runtimes_refuse_is_refused() {
    for (text, why) in [
        ("[[registry]]\nlocation = 3", "string"),
        ("\n\n[[registry", "line 3"),
        ("[registry]\nlocation = \"a.io\"", "sequence"),
        ("[[registry]]\ninsecure = true", "neither `prefix` nor `location`"),
        ("[[registry]]\nprefix = \"a.io\"", "no `location`"),
        ("[[registry]]\nprefix = \"*.a.io/x\"", "nothing but a host"),
        ("[[registry]]\nlocation = \"https://a.io\"", "without `http://`"),
        ("[[registry]]\nlocation = \"a.io\"\npull-from-mirror = \"all\"", "is for mirrors"),
        ("[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\ninsecure = true", "has no `location`"),
        ("[[registry]]\nlocation = \"a.io\"\nmirror = [{ location = \"b.io\", pull-from-mirror = \"x\" }]", "not all"),
        (
            "[[registry]]\nlocation = \"a.io\"\nmirror-by-digest-only = true\n\
             mirror = [{ location = \"b.io\", pull-from-mirror = \"all\" }]",
            "only one",
        ),
        (
            "[[registry]]\nprefix = \"x.io\"\nlocation = \"a.io\"\n[[registry]]\nlocation = \"a.io\"\nblocked = true",
            "differ in `blocked`",
        ),
        ("unqualified-search-registries = [\"a.io/x\"]", "host[:port]"),
        ("short-name-mode = \"ask\"", "short-name-mode"),
        ("[aliases]\n\"a.io/x\" = \"a.io/x\"", "no name without registry"),
        ("[aliases]\nx = \"x\"", "with its registry"),
        ("[aliases]\nx = \"a.io/x:v1\"", "without a tag"),
        ("[registries.search]\nregistries = [\"a.io\"]", "`[registries.search]` is version 1"),
        ("[registries.block]\nregistries = [\"a.io\"]", "`[registries.block]` is version 1"),
    ] {
        let error = conf(&[text]).unwrap_err();
        assert!(error.to_string().contains("registries.conf: ") && error.to_string().contains(why), "{text}\n{error}");
        assert!(!error.hints().is_empty());
    }
    for text in ["", "unknown = 1", "[registries.search]\nregistries = []", "registries = {}", "[registries.x]\ny = 1"]
    {
        assert!(conf(&[text]).is_ok(), "{text}");
    }
    // Keys in any case, as runtimes take them.
    let shouted = conf(&["[[REGISTRY]]\nLocation = \"a.io\"\n[[REGISTRY.Mirror]]\nLOCATION = \"m.io\""]).unwrap();
    assert_eq!(asked(&shouted, "a.io/x:1"), ["m.io/x", "a.io/x"]);
}

#[test]
fn a_root_has_its_own_files() {
    let mut tree = Tree::default();
    assert_eq!(asked(&RegistriesConf::from_tree(&tree).unwrap(), "a.io/x:1"), ["a.io/x"]);
    let mut put = |path: &str, text: Option<&str>| {
        let file = TreeFile { size: 0, digest: None, bytes: text.map(|text| text.as_bytes().into()) };
        tree.insert(path, Node { mode: 0o644, kind: NodeKind::File(file) });
        RegistriesConf::from_tree(&tree)
    };
    let mirror = |host: &str| format!("[[registry]]\nlocation = \"a.io\"\nmirror = [{{ location = \"{host}\" }}]");
    for (path, host) in [
        ("usr/share/containers/registries.conf", "usr.main"),
        ("etc/containers/registries.conf", "etc.main"),
        ("usr/share/containers/registries.conf.d/50.conf", "usr.drop"),
        ("etc/containers/registries.conf.d/50.conf", "etc.drop"),
        ("usr/share/containers/registries.rootful.conf.d/60.conf", "usr.root"),
        ("etc/containers/registries.rootful.conf.d/60.conf", "etc.root"),
    ] {
        let conf = put(path, Some(&mirror(host))).unwrap();
        assert_eq!(asked(&conf, "a.io/x:1"), [format!("{host}/x"), "a.io/x".to_owned()], "{path}");
    }
    let conf = put("etc/containers/registries.conf.d/99.conf.rpmsave", Some("[[")).unwrap();
    assert_eq!(asked(&conf, "a.io/x:1"), ["etc.root/x", "a.io/x"]);
    let error = put("etc/containers/registries.conf.d/99.conf", None).unwrap_err().to_string();
    assert!(error.contains("/etc/containers/registries.conf.d/99.conf") && error.contains("not kept"), "{error}");
}
