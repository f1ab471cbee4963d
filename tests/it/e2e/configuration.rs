//! What the program reads out of the settings of a host is what stock tools do with them:
//! registries.conf against the hosts that skopeo asks and the names that podman tries, policy.json
//! against what skopeo copies.

mod certificates;
mod credentials;
mod files;
mod policy;
mod proxies;

use super::Workbench;
use crate::support::busybox;
use crate::support::command::{Finished, run};
use crate::support::fixture::{Compression, Image, Instance, Layer, Repository};
use crate::support::registry::FaultyRegistry;
use crate::support::storage::Storage;
use crate::support::tool::bootc_embed;
use bootc_embed::model::Reference;
use bootc_embed::registry::registries_conf::{RegistriesConf, ShortName};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Writes a main file and drop-ins where the tools find them, and reads them as the program does.
fn configure(workbench: &Workbench, files: &[(&str, &str)]) -> Result<RegistriesConf, String> {
    let home = workbench.path("home/.config/containers");
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(home.join("registries.conf.d")).expect("make the folder of drop-ins");
    fs::write(home.join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).expect("write a policy");
    let mut read = Vec::new();
    for (name, text) in files {
        let path = match *name {
            "registries.conf" => home.join(name),
            drop_in => home.join("registries.conf.d").join(drop_in),
        };
        fs::write(&path, text).expect("write registries.conf");
        if name.strip_suffix(".conf").is_some() {
            read.push((path, *text));
        }
    }
    read.sort_by_key(|(path, _)| (!path.ends_with("containers/registries.conf"), path.clone()));
    let files = read.iter().map(|(path, text): &(PathBuf, &str)| (path.as_path(), *text));
    RegistriesConf::parse(files).map_err(|e| e.to_string())
}

/// What skopeo tried, without what it could not ask because it is blocked or has no host: name and
/// tag or digest.
fn tried(finished: &Finished) -> Vec<String> {
    let mut tried = Vec::new();
    for line in finished.errors.lines() {
        let quoted = |before: &str| {
            let rest = line.split_once(before)?.1.strip_prefix(r#"\""#)?;
            rest.split_once(r#"\""#).map(|(name, _)| name.to_owned())
        };
        if let Some(name) = quoted("Trying to access ") {
            tried.push(name);
        }
        let unasked = line.contains("is blocked in") || line.contains("no Host in request URL");
        if unasked && quoted("Accessing ").is_some() {
            tried.pop();
        }
    }
    tried
}

/// The same hosts in the same order, and asked over plain HTTP only where that is allowed.
#[test]
fn skopeo_asks_where_the_settings_say() {
    let workbench = Workbench::new();
    let registries: Vec<FaultyRegistry> = (0..4).map(|_| FaultyRegistry::start(&[])).collect();
    // Names that are nobody's go to a proxy that serves none, so that no test asks the network.
    let proxy = FaultyRegistry::start(&[]);
    let write = |text: &str| {
        let hosts = registries.iter().enumerate();
        hosts.fold(text.to_owned(), |text, (at, host)| text.replace(&format!("HOST{at}"), host.address()))
    };
    let pinned = |name: &str| format!("{name}@{DIGEST}");
    let mut rows = 0;
    for (main, drop_ins, references) in SETTINGS {
        let main = write(main);
        let drop_ins: Vec<(&str, String)> = drop_ins.iter().map(|(name, text)| (*name, write(text))).collect();
        let files: Vec<(&str, &str)> = std::iter::once(("registries.conf", main.as_str()))
            .chain(drop_ins.iter().map(|(name, text)| (*name, text.as_str())))
            .collect();
        let conf = configure(&workbench, &files);
        for name in references.iter().map(|name| write(name)) {
            for text in [format!("{name}:v1"), pinned(&name)] {
                rows += 1;
                let mut skopeo = workbench.program("skopeo");
                skopeo.env("HTTPS_PROXY", format!("http://{}", proxy.address()));
                skopeo.args(["--debug", "inspect", "--raw"]).arg(format!("docker://{text}"));
                let finished = run(&mut skopeo).fails_with(1);
                let asked = || -> Vec<bool> { registries.iter().map(|host| !host.take_seen().is_empty()).collect() };
                let asked_by_skopeo = asked();
                let mut tool = bootc_embed(&workbench.path("home"));
                tool.env("HTTPS_PROXY", format!("http://{}", proxy.address()));
                let tool =
                    run(tool.args(["plan", "--retries=0", "--platform", "linux/amd64"]).arg(format!("image:{text}")));
                let tool = tool.fails_with(3);
                assert_eq!(asked(), asked_by_skopeo, "{main}\n{text}\n{finished}\n{tool}");
                let Ok(conf) = &conf else {
                    let found = tried(&finished);
                    assert!(
                        found.is_empty() && finished.errors.contains("loading registries configuration"),
                        "{finished}"
                    );
                    continue;
                };
                let reference: Reference = text.parse().expect("a reference");
                let route = conf.rewrite(&reference);
                let suffix = text.strip_prefix(&name).expect("what follows the name");
                let sources: Vec<String> = route.sources.iter().map(|s| format!("{}{suffix}", s.repository)).collect();
                assert_eq!(tried(&finished), sources, "{main}\n{text}\n{route:?}\n{finished}");
                let open = route.sources.iter().filter(|source| source.insecure).map(|source| &source.repository);
                let open: Vec<&String> = open.collect();
                let expected = registries.iter().map(|host| open.iter().any(|to| to.starts_with(host.address())));
                assert_eq!(asked_by_skopeo, expected.collect::<Vec<_>>(), "{main}\n{text}\n{route:?}\n{finished}");
            }
        }
    }
    assert!(rows >= 40, "only {rows} rows");
}

/// Main file, drop-ins, and the names that are pulled; each by tag and by digest.
type Settings = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

const SETTINGS: &[Settings] = &[
    // Nothing is set for the name.
    ("", &[], &["HOST0/x", "nobody.invalid/x"]),
    ("[[registry]]\nlocation = \"HOST0\"\ninsecure = true", &[], &["HOST0/x", "HOST1/x"]),
    // Mirrors, each for its kind of reference.
    (
        "[[registry]]\nprefix = \"a.invalid\"\nlocation = \"HOST3/up\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"HOST0/all\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"HOST1\"\ninsecure = true\npull-from-mirror = \"digest-only\"\n\
         [[registry.mirror]]\nlocation = \"HOST2/tags\"\npull-from-mirror = \"tag-only\"\n",
        &[],
        &["a.invalid/x", "a.invalid/deep/er/x", "a.invalidx/x", "a.invalid:5000/x"],
    ),
    (
        "[[registry]]\nlocation = \"HOST0\"\ninsecure = true\nmirror-by-digest-only = true\n\
         [[registry.mirror]]\nlocation = \"HOST1\"\ninsecure = true\n",
        &[],
        &["HOST0/x"],
    ),
    // The longest prefix, wildcards, and what is of one length.
    (
        "[[registry]]\nprefix = \"HOST0\"\nlocation = \"HOST1/short\"\ninsecure = true\n\
         [[registry]]\nprefix = \"HOST0/team\"\nlocation = \"HOST2/long\"\ninsecure = true\n\
         [[registry]]\nprefix = \"HOST0/team/app:v1\"\nlocation = \"HOST3/tag:v1\"\ninsecure = true\n\
         [[registry]]\nprefix = \"*.w.invalid\"\nlocation = \"HOST2/wild\"\ninsecure = true\n\
         [[registry]]\nprefix = \"a.w.invalid\"\nlocation = \"HOST3/plain\"\ninsecure = true\n\
         [[registry]]\nprefix = \"*.stay.invalid\"\n",
        &[],
        &[
            "HOST0/x",
            "HOST0/team/app",
            "HOST0/teamx/app",
            "b.w.invalid/x",
            "c.b.w.invalid/x",
            "a.w.invalid/x",
            "w.invalid/x",
            "b.w.invalid:5000/x",
            "b.w.invalidx.w.invalid/x",
            "b.stay.invalid/x",
        ],
    ),
    // What is blocked: by the name that is asked, not by the one that was written.
    (
        "[[registry]]\nlocation = \"HOST0\"\nblocked = true\n\
         [[registry]]\nlocation = \"HOST1\"\nblocked = true\n\
         [[registry.mirror]]\nlocation = \"HOST0/in-a-blocked-one\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"HOST2/good\"\ninsecure = true\n\
         [[registry]]\nprefix = \"moved.invalid\"\nlocation = \"HOST3\"\ninsecure = true\nblocked = true\n\
         [[registry]]\nprefix = \"into.invalid\"\nlocation = \"HOST0\"\nblocked = true\n\
         [[registry]]\nprefix = \"*.shut.invalid\"\nblocked = true\n",
        &[],
        &["HOST0/x", "HOST1/x", "moved.invalid/x", "into.invalid/x", "a.shut.invalid/x"],
    ),
    // Locations that are no place for the name.
    (
        "[[registry]]\nprefix = \"hub.invalid\"\nlocation = \"docker.io\"\n\
         [[registry.mirror]]\nlocation = \"HOST0\"\ninsecure = true\n\
         [[registry]]\nprefix = \"word.invalid\"\nlocation = \"word\"\n\
         [[registry]]\nprefix = \"part.invalid\"\nlocation = \"HOST1\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"under_score.invalid\"\n\
         [[registry]]\nprefix = \"one.invalid/x\"\nlocation = \"HOST0\"\ninsecure = true\n",
        &[],
        &["hub.invalid/x", "word.invalid/x", "one.invalid/x", "one.invalid/x/y", "part.invalid/x"],
    ),
    // Keys in any case.
    ("[[Registry]]\nLOCATION = \"HOST0\"\nInsecure = true\n", &[], &["HOST0/x"]),
    // Drop-ins: by name, each [[registry]] as a whole, and only `*.conf`.
    (
        "[[registry]]\nlocation = \"HOST0\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"HOST1\"\n\
         [[registry]]\nlocation = \"HOST1\"\nblocked = true\n",
        &[
            ("10.conf", "[[registry]]\nlocation = \"HOST0\"\ninsecure = true\nmirror = [{ location = \"HOST2\" }]"),
            ("05.conf", "[[registry]]\nlocation = \"HOST0\"\nblocked = true"),
            ("20.conf.off", "[[registry]]\nlocation = \"HOST0\"\nblocked = true"),
            ("99", "[[registry"),
        ],
        &["HOST0/x", "HOST1/x"],
    ),
    // Of two tables of one file the first.
    (
        "[[registry]]\nlocation = \"HOST0\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"HOST1\"\n\
         [[registry]]\nlocation = \"HOST0\"\ninsecure = true\n",
        &[],
        &["HOST0/x"],
    ),
    // What is refused as a whole.
    ("[[registry]]\nprefix = \"a.invalid\"\n", &[], &["HOST0/x"]),
    ("[[registry]]\nlocation = \"https://HOST1\"\n", &[], &["HOST0/x"]),
    ("[[registry]]\nlocation = \"HOST1\"\npull-from-mirror = \"all\"\n", &[], &["HOST0/x"]),
    ("[[registry]]\nprefix = \"*.a.invalid/x\"\nlocation = \"HOST1\"\n", &[], &["HOST0/x"]),
    (
        "[[registry]]\nlocation = \"HOST1\"\n[[registry]]\nprefix = \"x.invalid\"\nlocation = \"HOST1\"\nblocked = true\n",
        &[],
        &["HOST0/x"],
    ),
    ("[registry]\nlocation = \"HOST1\"\n", &[], &["HOST0/x"]),
    ("unqualified-search-registries = [\"a.invalid/x\"]\n", &[], &["HOST0/x"]),
    ("short-name-mode = \"ask\"\n", &[], &["HOST0/x"]),
    ("[aliases]\nx = \"x\"\n", &[], &["HOST0/x"]),
    ("", &[("1.conf", "[[registry")], &["HOST0/x"]),
];

/// Aliases, their order, how they are taken back, and the registries that are searched.
#[test]
fn podman_tries_what_short_names_stand_for() {
    let workbench = Workbench::new();
    let (storage, registry) = (Storage::new(), FaultyRegistry::start(&[]));
    let host = registry.address();
    let main = |mode: &str, hosts: &str| {
        format!(
            "unqualified-search-registries = [{hosts}]\nshort-name-mode = \"{mode}\"\n\
             [aliases]\nx = \"{host}/x\"\n\"team/y\" = \"{host}/y\"\nz = \"{host}/z\"\n"
        )
    };
    let (one, two) = (format!("\"{host}\""), format!("\"{host}\", \"localhost{}\"", &host[host.len() - 6..]));
    let shortnames = format!("[aliases]\nx = \"{host}/other/x\"\nz = \"\"\n");
    for (mode, hosts) in
        [("enforcing", two.as_str()), ("permissive", &two), ("disabled", &two), ("enforcing", &one), ("enforcing", "")]
    {
        let main = main(mode, hosts);
        let files = [("registries.conf", main.as_str()), ("000-shortnames.conf", &shortnames)];
        let conf = configure(&workbench, &files).expect("settings");
        for name in ["x", "x:v1", "team/y", "z", "other/name:v2", &format!("z@{DIGEST}"), &format!("{host}/full")] {
            let mut podman = storage.podman();
            podman.env("HOME", workbench.path("home")).env_remove("CONTAINERS_REGISTRIES_CONF");
            let finished = run(podman.args(["pull", "--tls-verify=false", name])).fails_with(125);
            let lines = finished.errors.lines().filter_map(|line| line.strip_prefix("Trying to pull "));
            let tried: Vec<String> = lines.map(|line| line.trim_end_matches("...").to_owned()).collect();
            let expected = match conf.short_name(name) {
                ShortName::Full(reference) | ShortName::Alias { reference, .. } => vec![reference],
                ShortName::Search { refused: false, references, .. } => references,
                ShortName::Search { .. } => {
                    assert!(finished.errors.contains("short-name resolution enforced"), "{finished}");
                    Vec::new()
                }
                ShortName::Unresolved(_) => {
                    assert!(finished.errors.contains("did not resolve to an alias"), "{finished}");
                    Vec::new()
                }
            };
            assert_eq!(tried, expected, "{mode} {hosts}: {name}\n{finished}");
        }
    }
}

fn image() -> Instance {
    let layer = Layer::new(&[("file", b"content")], Compression::Gzip);
    Image::new(busybox::native()).layer(&layer).build()
}

/// A repository for a registry: an image as `team/app:v1`.
fn repository() -> Repository {
    let image = image();
    Repository::new("team/app").instances([&image]).tag("v1", &image.manifest)
}

/// skopeo and the program, asked for the same image of a host with the same settings and words.
fn both(workbench: &Workbench, host: &str, words: &[&str], settings: impl Fn(&mut Command)) -> [Finished; 2] {
    let mut skopeo = workbench.program("skopeo");
    // skopeo wants some of them before its verb.
    let (general, words_of_verb): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|w| w.starts_with("--registries-conf"));
    skopeo.args(general).args(["inspect", "--raw"]).args(words_of_verb).arg(format!("docker://{host}/team/app:v1"));
    let mut tool = bootc_embed(&workbench.path("home"));
    tool.arg("plan").arg(format!("image:{host}/team/app:v1")).arg("--retries=0").args(words);
    [skopeo, tool].map(|mut command| {
        settings(&mut command);
        run(&mut command)
    })
}
