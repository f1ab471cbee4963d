//! Files that are generated and committed: man pages, completions, JSON schemas, and the outputs in
//! `examples/`. `make docs` writes them anew; here they must be up to date.

use crate::support::fixture::{Compression, Format, Image, Index, Layer, Repository, Spelling};
use crate::support::memory::MemoryRegistry;
use bootc_embed::cli::{ListReport, PlanReport, PruneOutput, PushOutput, command};
use bootc_embed::discover::{Input, discover};
use bootc_embed::emit::{Content, Kind, Known, Templates, emit};
use bootc_embed::model::plan::AliasMap;
use bootc_embed::model::progress::Silent;
use bootc_embed::model::{Plan, Platforms, Report, Severity};
use bootc_embed::resolve::resolve;
use bootc_embed::store::lock_text;
use bootc_embed::trust::Policy;
use bootc_embed::validate::{CHECKS, Explanation};
use clap_complete::Shell;
use schemars::schema_for;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Compares a folder with what it should hold, or writes it, where `BOOTC_EMBED_UPDATE` is set.
fn check(folder: &str, files: &BTreeMap<String, Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    if std::env::var_os("BOOTC_EMBED_UPDATE").is_some() {
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("an old folder can be removed");
        }
        fs::create_dir_all(&folder).expect("a folder can be made");
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).expect("a file can be written");
        }
        return;
    }
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}; run `make docs`", folder.display()));
    let mut found: Vec<String> =
        entries.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
    found.sort();
    let expected: Vec<String> = files.keys().cloned().collect();
    assert_eq!(found, expected, "{}: run `make docs`", folder.display());
    for (name, bytes) in files {
        let committed = fs::read(folder.join(name)).expect("a file can be read");
        let (committed, now) = (String::from_utf8_lossy(&committed), String::from_utf8_lossy(bytes));
        assert!(committed == now, "{}/{name} is not up to date; run `make docs`", folder.display());
    }
}

#[test]
#[cfg_attr(not(feature = "openshift"), ignore = "documents are those of a build with every feature: `make test`")]
fn man_pages() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    clap_mangen::generate_to(command(), folder.path()).expect("pages can be written");
    let entries = fs::read_dir(folder.path()).expect("the folder is there");
    let pages = entries.map(|entry| entry.expect("an entry").path());
    let files = pages.map(|page| {
        let name = page.file_name().expect("a file").to_string_lossy().into_owned();
        (name, fs::read(&page).expect("a page can be read"))
    });
    let files = files.collect();
    check("docs/man", &files);
}

#[test]
#[cfg_attr(not(feature = "openshift"), ignore = "documents are those of a build with every feature: `make test`")]
fn completions() {
    let mut files = BTreeMap::new();
    for (shell, name) in
        [(Shell::Bash, "bootc-embed.bash"), (Shell::Zsh, "_bootc-embed"), (Shell::Fish, "bootc-embed.fish")]
    {
        let mut bytes = Vec::new();
        clap_complete::generate(shell, &mut command(), "bootc-embed", &mut bytes);
        files.insert(name.to_owned(), bytes);
    }
    check("docs/completions", &files);
}

#[test]
fn json_schemas() {
    let schemas = [
        ("embed.lock.schema.json", schema_for!(Plan)),
        ("digest-aliases.schema.json", schema_for!(AliasMap)),
        ("list.schema.json", schema_for!(ListReport)),
        ("plan.schema.json", schema_for!(PlanReport)),
        ("prune-release.schema.json", schema_for!(PruneOutput)),
        ("push.schema.json", schema_for!(PushOutput)),
        ("validate.schema.json", schema_for!(Report)),
        ("explain.schema.json", schema_for!(Explanation)),
    ];
    let text = |schema| serde_json::to_string_pretty(schema).expect("a schema is JSON") + "\n";
    let files = schemas.iter().map(|(name, schema)| ((*name).to_owned(), text(schema).into_bytes()));
    check("docs/schema", &files.collect());
}

#[test]
fn checks() {
    let mut text = "# The checks of `bootc-embed validate`\n\nIn the order they are made; `--skip NAME` and `--only NAME` choose. \
                    An error means that the target does not\nstart offline or must not be shipped; `--fatal-warnings` makes \
                    warnings errors. *Proof* marks checks without which no\nreference counts as proven.\n\n\
                    | check | severity | what must be so | |\n|---|---|---|---|\n"
        .to_owned();
    for check in CHECKS {
        let severity = if check.severity == Severity::Error { "error" } else { "warning" };
        let proof = if check.proves { "proof" } else { "" };
        text += &format!("| `{}` | {severity} | {} | {proof} |\n", check.name, check.description);
    }
    check("docs/checks", &BTreeMap::from([("README.md".to_owned(), text.into_bytes())]));
}

/// The images of `examples/`: uncompressed layers, so that no library's next version changes a digest.
fn images() -> Vec<Repository> {
    let image = |name: &str, format, spelling| {
        let instances = ["linux/amd64", "linux/arm64", "linux/s390x"].map(|platform| {
            let base = Layer::new(&[("base", platform.as_bytes())], Compression::None);
            let own = Layer::new(&[("run", format!("{name} for {platform}").as_bytes())], Compression::None);
            Image::new(platform).format(format).layer(&base).layer(&own).build()
        });
        let index = Index::new(format).instances(&instances).spelling(spelling).build();
        Repository::new(name).instances(&instances).index(&index).tag("v1", &index)
    };
    vec![
        image("example/controller", Format::Docker, Spelling::DOCKER),
        image("example/webhook", Format::Oci, Spelling::ODD),
        image("example/pause", Format::Oci, Spelling::COMPACT),
        image("example/dashboard", Format::Oci, Spelling::TABS),
    ]
}

#[test]
fn examples_are_what_the_program_makes() {
    const HOST: &str = "registry.example.com";
    let images = images();
    let pinned = |at: usize| images[at].pinned(HOST, images[at].manifests.last().expect("an index"));
    let release_info = format!(
        "{{\n  \"release\": {{\n    \"base\": \"4.18.0\"\n  }},\n  \"images\": {{\n    \"controller\": \"{0}\",\n    \
         \"controller-annotation\": \"{0}\",\n    \"webhook\": \"{1}\",\n    \"pod\": \"{2}\"\n  }}\n}}\n",
        pinned(0),
        pinned(1),
        pinned(2)
    );
    let list = format!("# What the site adds to MicroShift.\n{}\n", images[3].tagged(HOST, "v1"));
    let policy = format!(
        "{{\n  \"default\": [{{ \"type\": \"reject\" }}],\n  \"transports\": {{\n    \"docker\": {{\n      \"{HOST}/example\": [{{ \
         \"type\": \"sigstoreSigned\", \"keyPath\": \"/etc/pki/site.pub\" }}]\n    }}\n  }}\n}}\n"
    );
    let device = Policy::parse(policy.as_bytes()).expect("a policy");
    let inputs = [("release-x86_64.json", release_info), ("images.txt", list), ("policy.json", policy)];
    let inputs: BTreeMap<String, Vec<u8>> =
        inputs.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect();
    check("examples/inputs", &inputs);

    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut arguments = Vec::new();
    for (name, bytes) in &inputs {
        if name == "policy.json" {
            continue;
        }
        fs::write(folder.path().join(name), bytes).expect("a file can be written");
        arguments.push(Input::parse(&folder.path().join(name).to_string_lossy()));
    }
    let platforms = Platforms::Some(vec!["linux/amd64".parse().expect("a platform")]);
    let mut release = discover(&arguments, &platforms).expect("the inputs are good");
    for origin in release.components.iter_mut().flat_map(|component| &mut component.found_in) {
        origin.file =
            format!("examples/inputs/{}", Path::new(&origin.file).file_name().expect("a file").to_string_lossy());
    }
    let registry = MemoryRegistry::new(images);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    let resolved = runtime.block_on(resolve(&release, &platforms, &registry, 1, &Silent)).expect("it resolves");

    let mut outputs = BTreeMap::from([("embed.lock.json".to_owned(), lock_text(&resolved.plan))]);
    let templates = Templates::new(None).expect("the built-in templates are good");
    let mirrors = [format!("{HOST}=mirror.example.com:5000").parse().expect("a mirror")];
    let known = Known { policy: Some(&device), mirrors: &mirrors, ..Known::default() };
    let kinds = [
        Kind::Containerfile,
        Kind::ImportUnit,
        Kind::CrioPins,
        Kind::Policy,
        Kind::Blueprint,
        Kind::AliasMap,
        Kind::Kustomize,
        Kind::MirrorManifests,
    ];
    for kind in kinds {
        let emitted = emit(kind, &resolved.plan, "/usr/lib/bootc-embed", &templates, &known).expect("it is emitted");
        for output in emitted.outputs {
            if let Content::File(text, _) = output.content {
                let name = PathBuf::from(output.path).file_name().expect("a file").to_string_lossy().into_owned();
                outputs.insert(name, text.into_bytes());
            }
        }
    }
    check("examples/outputs", &outputs);
}
