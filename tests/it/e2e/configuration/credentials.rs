//! Helpers are asked for credentials where skopeo asks them, and what they say is used.

use super::{both, repository};
use crate::e2e::Workbench;
use crate::support::command::{Finished, prefer, run, write_script};
use crate::support::docker_registry::{DockerRegistry, Guards, PASSWORD, USER};
use crate::support::tool::bootc_embed;
use base64::Engine as _;
use std::fs;
use std::path::PathBuf;

/// A registry with a password, and helpers that write down what they are asked.
struct Counter {
    workbench: Workbench,
    registry: DockerRegistry,
    log: PathBuf,
}

impl Counter {
    fn new() -> Self {
        let registry = DockerRegistry::guarded(Guards { password: true, ..Guards::default() });
        registry.push(&repository());
        let workbench = Workbench::new();
        let log = workbench.path("asked");
        let folder = workbench.folder("bin");
        let answer = |user: &str, secret: &str| {
            format!(r#"printf '{{"ServerURL":"%s","Username":"{user}","Secret":"{secret}"}}\n' "$server""#)
        };
        for (name, script) in [
            ("good", answer(USER, PASSWORD)),
            ("wrong", answer(USER, "another-secret")),
            ("token", answer("<token>", "token-secret")),
            ("none", "echo 'credentials not found in native keychain'; exit 1".to_owned()),
            ("broken", "echo 'the keychain is on fire'; exit 1".to_owned()),
        ] {
            let note = format!("read -r server\necho \"{name} $1 $server\" >>{}", log.display());
            write_script(&folder.join(format!("docker-credential-{name}")), &format!("{note}\n{script}"));
        }
        Self { workbench, registry, log }
    }

    /// Writes files below HOME; `HOST` in them is the registry, `RIGHT` and `WRONG` are credentials.
    fn configure(&self, files: &[(&str, &str)]) {
        let home = self.workbench.path("home");
        let _ = fs::remove_dir_all(&home);
        fs::create_dir(&home).expect("make an empty home");
        let encode = |secret: &str| base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{secret}"));
        for (name, text) in files {
            let path = home.join(name);
            fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("make a folder below HOME");
            let text = text.replace("HOST", self.registry.host());
            let text = text.replace("RIGHT", &encode(PASSWORD)).replace("WRONG", &encode("another-secret"));
            fs::write(path, text).expect("write a file below HOME");
        }
    }

    /// Who was asked since the last time, and for what; nobody twice.
    fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.log).unwrap_or_default().replace(self.registry.host(), "HOST");
        let _ = fs::remove_file(&self.log);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.dedup();
        lines
    }

    fn tool(&self) -> Finished {
        let mut tool = bootc_embed(&self.workbench.path("home"));
        prefer(&mut tool, &self.workbench.path("bin"));
        let reference = format!("image:{}/team/app:v1", self.registry.host());
        run(tool.args(["plan", &reference, "--tls-verify=false"]))
    }
}

const AUTH: &str = ".config/containers/auth.json";
const DOCKER: &str = ".docker/config.json";
const LEGACY: &str = ".dockercfg";
const CONF: &str = ".config/containers/registries.conf";

/// Files below HOME, who is asked, and whether that opens the registry.
type Row = (&'static [(&'static str, &'static str)], &'static [&'static str], bool);

const ROWS: &[Row] = &[
    (&[], &[], false),
    // In files.
    (&[(AUTH, r#"{"auths":{"HOST":{"auth":"RIGHT"}}}"#)], &[], true),
    (&[(AUTH, r#"{"auths":{"HOST/team":{"auth":"RIGHT"},"HOST":{"auth":"WRONG"}}}"#)], &[], true),
    (&[(DOCKER, r#"{"auths":{"https://HOST/v1/":{"auth":"RIGHT"}}}"#)], &[], true),
    (&[(LEGACY, r#"{"https://HOST/v1/":{"auth":"RIGHT"}}"#)], &[], true),
    (&[(LEGACY, r#"{"HOST/team":{"auth":"RIGHT"}}"#)], &[], true),
    (
        &[(AUTH, r#"{"auths":{"HOST":{"auth":"WRONG"}}}"#), (DOCKER, r#"{"auths":{"HOST":{"auth":"RIGHT"}}}"#)],
        &[],
        false,
    ),
    (&[(AUTH, r#"{"auths":{"HOST":{}}}"#), (DOCKER, r#"{"auths":{"HOST":{"auth":"RIGHT"}}}"#)], &[], true),
    // The helper of a registry.
    (&[(AUTH, r#"{"credHelpers":{"HOST":"good"}}"#)], &["good get HOST"], true),
    (&[(DOCKER, r#"{"credHelpers":{"HOST":"good"}}"#)], &["good get HOST"], true),
    (&[(AUTH, r#"{"credHelpers":{"HOST":"wrong"}}"#)], &["wrong get HOST"], false),
    (&[(AUTH, r#"{"credHelpers":{"HOST":"broken"}}"#)], &["broken get HOST"], false),
    (&[(AUTH, r#"{"credHelpers":{"HOST":"not-there"}}"#)], &[], false),
    // It comes before the entries of its file, also of namespaces, and stands for them.
    (&[(AUTH, r#"{"credHelpers":{"HOST":"good"},"auths":{"HOST/team":{"auth":"WRONG"}}}"#)], &["good get HOST"], true),
    (&[(AUTH, r#"{"credHelpers":{"HOST":"none"},"auths":{"HOST":{"auth":"RIGHT"}}}"#)], &["none get HOST"], false),
    (
        &[(AUTH, r#"{"credHelpers":{"HOST":"none"}}"#), (DOCKER, r#"{"auths":{"HOST":{"auth":"RIGHT"}}}"#)],
        &["none get HOST"],
        true,
    ),
    (
        &[(AUTH, r#"{"credHelpers":{"HOST":"broken"}}"#), (DOCKER, r#"{"auths":{"HOST":{"auth":"RIGHT"}}}"#)],
        &["broken get HOST"],
        false,
    ),
    (&[(AUTH, r#"{"auths":{"HOST":{"auth":"RIGHT"}}}"#), (DOCKER, r#"{"credHelpers":{"HOST":"wrong"}}"#)], &[], true),
    // Of namespaces and of other registries there are no helpers.
    (&[(AUTH, r#"{"credHelpers":{"HOST/team":"good"}}"#)], &[], false),
    (&[(AUTH, r#"{"credHelpers":{"HOST/team/app":"good","other.invalid":"good"}}"#)], &[], false),
    // The helpers of registries.conf, in their order.
    (&[(CONF, "credential-helpers = [\"good\"]")], &["good get HOST"], true),
    (&[(CONF, "credential-helpers = [\"none\", \"good\"]")], &["none get HOST", "good get HOST"], true),
    (&[(CONF, "credential-helpers = [\"broken\", \"good\"]")], &["broken get HOST", "good get HOST"], true),
    (&[(CONF, "credential-helpers = [\"not-there\", \"good\"]")], &["good get HOST"], true),
    (&[(CONF, "credential-helpers = [\"none\"]")], &["none get HOST"], false),
    (&[(CONF, "credential-helpers = [\"broken\"]")], &["broken get HOST"], false),
    (
        &[(CONF, "credential-helpers = [\"good\"]"), (AUTH, r#"{"auths":{"HOST":{"auth":"WRONG"}}}"#)],
        &["good get HOST"],
        true,
    ),
    (
        &[(CONF, "credential-helpers = [\"none\"]"), (AUTH, r#"{"auths":{"HOST":{"auth":"RIGHT"}}}"#)],
        &["none get HOST"],
        false,
    ),
    (
        &[
            (CONF, "credential-helpers = [\"broken\", \"containers-auth.json\"]"),
            (AUTH, r#"{"auths":{"HOST":{"auth":"RIGHT"}}}"#),
        ],
        &["broken get HOST"],
        true,
    ),
    (
        &[
            (CONF, "credential-helpers = [\"containers-auth.json\", \"good\"]"),
            (AUTH, r#"{"credHelpers":{"HOST":"broken"}}"#),
        ],
        &["broken get HOST", "good get HOST"],
        true,
    ),
    (
        &[
            (CONF, "credential-helpers = [\"containers-auth.json\", \"wrong\"]"),
            (AUTH, r#"{"auths":{"HOST":{"auth":"RIGHT"}}}"#),
        ],
        &[],
        true,
    ),
    (&[(CONF, "credential-helpers = []"), (AUTH, r#"{"auths":{"HOST":{"auth":"RIGHT"}}}"#)], &[], true),
    // A drop-in replaces the list; an empty one means the files.
    (
        &[
            (CONF, "credential-helpers = [\"wrong\"]"),
            (".config/containers/registries.conf.d/1.conf", "credential-helpers = [\"good\"]"),
            (".config/containers/registries.conf.d/2.conf", "short-name-mode = \"disabled\""),
        ],
        &["good get HOST"],
        true,
    ),
    (
        &[
            (CONF, "credential-helpers = [\"wrong\"]"),
            (".config/containers/registries.conf.d/1.conf", "credential-helpers = []"),
            (AUTH, r#"{"auths":{"HOST":{"auth":"RIGHT"}}}"#),
        ],
        &[],
        true,
    ),
];

#[test]
fn skopeo_asks_the_same_helpers() {
    let counter = Counter::new();
    let folder = counter.workbench.path("bin");
    for (files, asked, opens) in ROWS {
        counter.configure(files);
        let words = ["--tls-verify=false"];
        let [skopeo, tool] = both(&counter.workbench, counter.registry.host(), &words, |command| {
            prefer(command, &folder);
        });
        // Both have asked: the one, then the other.
        assert_eq!(counter.asked(), asked_twice(asked), "{files:?}\n{skopeo}\n{tool}");
        assert_eq!(skopeo.code == Some(0), *opens, "{files:?}\n{skopeo}");
        assert_eq!(tool.code, Some(if *opens { 0 } else { 3 }), "{files:?}\n{tool}");
        assert!(!tool.errors.contains(PASSWORD) && !tool.errors.contains("another-secret"), "{tool}");
        assert!(*opens || tool.errors.contains("hint:"), "{tool}");
    }
}

/// One helper that two programs ask once each leaves one line, because nobody is counted twice in a row.
fn asked_twice(asked: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = [asked, asked].concat().into_iter().map(str::to_owned).collect();
    lines.dedup();
    lines
}

/// What skopeo does not do: docker's own store, and tokens that this program does not trade.
#[test]
fn the_store_of_docker_comes_last() {
    let counter = Counter::new();
    for (files, asked, code, says) in [
        (&[(DOCKER, r#"{"auths":{"HOST":{}},"credsStore":"good"}"#)][..], &["good get HOST"][..], 0, ""),
        (&[(DOCKER, r#"{"auths":{"HOST":{"auth":"RIGHT"}},"credsStore":"wrong"}"#)], &[], 0, ""),
        (&[(DOCKER, r#"{"credsStore":"wrong"}"#), (LEGACY, r#"{"HOST":{"auth":"RIGHT"}}"#)], &[], 0, ""),
        // It is no reason to fail, but for the missing credentials.
        (&[(DOCKER, r#"{"credsStore":"not-there"}"#)], &[], 3, "podman login"),
        (&[(DOCKER, r#"{"credsStore":"broken"}"#)], &["broken get HOST"], 3, "podman login"),
        (&[(DOCKER, r#"{"credsStore":"wrong"}"#)], &["wrong get HOST"], 3, "credentials of `docker-credential-wrong`"),
        (&[(AUTH, r#"{"credHelpers":{"HOST":"token"}}"#)], &["token get HOST"], 3, "an identity token"),
        (
            &[(AUTH, r#"{"credHelpers":{"HOST":"not-there"}}"#)],
            &[],
            3,
            "`docker-credential-not-there`, which `credHelpers.",
        ),
        (&[(AUTH, r#"{"credHelpers":{"HOST":"broken"}}"#)], &["broken get HOST"], 3, "the keychain is on fire"),
        (&[(AUTH, r#"{"credHelpers":{"HOST":"../bin/x"}}"#)], &[], 3, "no program in PATH has"),
    ] {
        counter.configure(files);
        let tool = counter.tool().fails_with(code).says(says);
        assert_eq!(counter.asked(), asked, "{files:?}\n{tool}");
        assert!(!tool.errors.contains("-secret"), "{tool}");
    }
}
