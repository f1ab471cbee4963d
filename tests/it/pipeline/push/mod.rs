//! Pushing to registries of all kinds, and what is found out about those that fail and lie. Here is what the files share:
//! `modes` is what indexes become, `transfer` how content gets there, `proof` what is served then, `belongings` what signs it.

mod belongings;
mod modes;
mod proof;
mod transfer;

use super::{platforms, release, repository, wait};
use crate::support::fixture::{Blob, Format, Repository, Spelling};
use crate::support::lane::options;
use crate::support::memory::MemoryRegistry;
use crate::support::writable::{Asked, WritableRegistry};
use bootc_embed::model::progress::Silent;
use bootc_embed::model::{self, Digest, Plan};
use bootc_embed::push::{self, Content, IndexMode, Kind, Patience, Push, PushReport, Work};
use bootc_embed::registry::http::Destination;
use bootc_embed::registry::{Options, auth};
use bootc_embed::resolve::{Resolved, resolve};
use bootc_embed::signatures::collect;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const NATIVE: &str = "linux/amd64";
const ALL: [&str; 3] = ["linux/amd64", "linux/arm64", "linux/s390x"];

/// Two images that share a layer, the first one named by a tag; and where they are.
struct Rig {
    one: (Repository, Blob),
    two: (Repository, Blob),
    source: MemoryRegistry,
    plan: Plan,
    known: HashMap<Digest, Vec<u8>>,
    options: Options,
    folder: Option<TempDir>,
}

impl Rig {
    fn new() -> Self {
        Self::of(
            repository("team/one", &ALL, Format::Oci, Spelling::ODD),
            repository("team/two", &ALL, Format::Docker, Spelling::DOCKER),
            &[NATIVE],
        )
    }

    fn of(one: (Repository, Blob), two: (Repository, Blob), chosen: &[&str]) -> Self {
        let source = MemoryRegistry::new(vec![one.0.clone(), two.0.clone()]);
        let references = [one.0.tagged("source.example", "v1"), two.0.pinned("source.example", &two.1)];
        let Resolved { plan, content: known } = wait(async {
            let mut resolved = resolve(&release(&references), &platforms(chosen), &source, 4, &Silent).await?;
            let Resolved { plan, content } = &mut resolved;
            collect(plan, content, &source, 4, &Silent).await?;
            Ok::<_, anyhow::Error>(resolved)
        })
        .expect("the set resolves");
        let options = Options { retries: 3, ..options() };
        Self { one, two, source, plan, known, options, folder: None }
    }

    /// With credentials for a registry.
    fn log_in(mut self, registry: &WritableRegistry) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("auth.json");
        let auths = json!({ "auths": { registry.host(): { "auth": "dXNlcjpzZWNyZXQ=" } } });
        fs::write(&path, auths.to_string()).expect("a file can be written");
        self.options.auth = auth::Search { files: vec![path], required: true };
        self.folder = Some(folder);
        self
    }

    fn work(&self, registry: &WritableRegistry, prune: bool) -> anyhow::Result<Work> {
        let manifests = wait(push::manifests(&self.plan, &self.content(), 4))?;
        let host = registry.host().to_owned();
        let to = |repository: &model::Repository| {
            let name: model::Reference = format!("{host}/mirror/{}:x", repository.path()).parse().expect("a name");
            Some(name.repository().clone())
        };
        Work::new(&self.plan, &to, prune, &manifests)
    }

    fn content(&self) -> Content {
        Content { known: self.known.clone(), rest: Some(Arc::new(self.source.clone())), ..Content::default() }
    }

    fn lane(&self) -> Destination {
        Destination::new(self.options.clone(), Arc::new(Silent)).expect("the settings can be used")
    }

    fn reader(&self) -> Destination {
        Destination::reader(self.options.clone(), Arc::new(Silent)).expect("the settings can be used")
    }

    fn push_with(
        &self,
        registry: &WritableRegistry,
        mode: IndexMode,
        change: impl FnOnce(&mut Push),
    ) -> anyhow::Result<PushReport> {
        let work = self.work(registry, mode == IndexMode::Prune)?;
        let manifests = wait(push::manifests(&self.plan, &self.content(), 4))?;
        push::check(&work, &manifests)?;
        let mut push = Push {
            work,
            manifests,
            source: Arc::new(self.content()),
            destination: self.lane(),
            reader: self.reader(),
            mode,
            overwrite_signatures: false,
            jobs: 4,
            patience: Patience { retries: 3, backoff: Duration::from_millis(1) },
            progress: Arc::new(Silent),
        };
        change(&mut push);
        wait(push.run())
    }

    fn push(&self, registry: &WritableRegistry, mode: IndexMode) -> anyhow::Result<PushReport> {
        self.push_with(registry, mode, |_| ())
    }

    fn kept(&self, registry: &WritableRegistry) -> PushReport {
        self.push(registry, IndexMode::Keep).unwrap_or_else(|e| panic!("{e:#}"))
    }

    fn verify(&self, registry: &WritableRegistry) -> PushReport {
        let work = self.work(registry, false).expect("the set can be mapped");
        wait(push::verify(&work, self.reader(), 4, Arc::new(Silent))).unwrap_or_else(|e| panic!("{e:#}")).0
    }
}

#[track_caller]
fn proven(report: &PushReport) {
    assert!(report.differences.is_empty(), "{:#?}", report.differences);
}

fn kinds(report: &PushReport) -> Vec<Kind> {
    report.differences.iter().map(|difference| difference.kind).collect()
}

fn methods(requests: &[Asked]) -> BTreeSet<&str> {
    requests.iter().map(|asked| asked.method.as_str()).collect()
}

fn content_tag(digest: &str) -> String {
    format!("sha256-{}.image", &digest["sha256:".len()..])
}
