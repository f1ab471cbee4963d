//! Pushing to registries of all kinds, and what is found out about those that fail and lie.

use super::{open_store, platforms, release, repository, wait};
use crate::support::fixture::{
    Blob, Compression, DOCKER_LIST, Entry, Format, Image, Index, Layer, OCI_INDEX, Repository, Spelling, digest,
};
use crate::support::lane::options;
use crate::support::memory::MemoryRegistry;
use crate::support::random::Random;
use crate::support::signing::{Key, Kind as KeyKind, Signature, attach, attachment, bundle, fallback_tag, refer, tag};
use crate::support::writable::{Asked, Auth, Behaviour, Claim, Lie, On, Sparse, WritableRegistry, WriteFault};
use bootc_embed::model::progress::Silent;
use bootc_embed::model::{self, Digest, Failure, Plan};
use bootc_embed::push::{self, Content, IndexMode, Kind, Patience, Push, PushReport, Shape, Work};
use bootc_embed::registry::http::Destination;
use bootc_embed::registry::{Options, auth};
use bootc_embed::resolve::{Resolved, resolve};
use bootc_embed::signatures::collect;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};
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

/// The table of what registries say to a sparse index, and what follows.
#[test]
fn what_registries_say_to_sparse_indexes() {
    let rig = Rig::new();
    let listed = |names: &[&str]| Sparse::List(names.iter().map(ToString::to_string).collect());
    for (sparse, taken, words) in [
        (Sparse::Refuse, false, "MANIFEST_BLOB_UNKNOWN"),
        (Sparse::RefuseVaguely, false, "MANIFEST_INVALID"),
        (Sparse::Quay(None), false, "Could not find child manifest"),
        (Sparse::Quay(Some(false)), false, "Could not find child manifest"),
        (listed(&ALL), false, "MANIFEST_BLOB_UNKNOWN"),
        (listed(&[NATIVE]), true, ""),
        (Sparse::Accept, true, ""),
        (Sparse::Quay(Some(true)), true, ""),
    ] {
        let behaviour = || Behaviour { sparse: sparse.clone(), ..Behaviour::default() };
        for mode in [IndexMode::Keep, IndexMode::Auto] {
            let registry = WritableRegistry::start(behaviour());
            match rig.push(&registry, mode) {
                Ok(report) => {
                    assert!(taken, "{sparse:?}");
                    proven(&report);
                    assert!(report.images.iter().all(|image| image.index == Shape::Sparse && image.absent == 2));
                    assert_eq!(report.proof.absent, 4);
                    let served = registry.manifest("mirror/team/one", &rig.one.1.digest);
                    assert_eq!(served.as_ref(), Some(&rig.one.1.bytes));
                    assert_eq!(registry.manifest("mirror/team/one", "v1").as_ref(), Some(&rig.one.1.bytes));
                }
                Err(error) => {
                    assert!(!taken, "{sparse:?}: {error:#}");
                    let failure = error.downcast_ref::<Failure>().unwrap_or_else(|| panic!("{error:#}"));
                    assert_eq!(failure.kind.exit_code(), 1);
                    assert!(failure.hints.iter().any(|hint| hint.contains("--index prune")), "{failure:?}");
                    let text = format!("{error:#}");
                    let told = mode == IndexMode::Auto && sparse == Sparse::Quay(Some(false));
                    assert!(text.contains(if told { "X-Sparse-Manifest-Support: false" } else { words }), "{text}");
                    assert_eq!(methods(&registry.requests()).contains("POST"), !told, "{sparse:?}");
                    assert_eq!(registry.tags("mirror/team/one"), [].into());
                }
            }
        }
        let registry = WritableRegistry::start(behaviour());
        let report = rig.push(&registry, IndexMode::Prune).unwrap_or_else(|e| panic!("{sparse:?}: {e:#}"));
        proven(&report);
        for (image, (_, index)) in report.images.iter().zip([&rig.one, &rig.two]) {
            assert_eq!(
                (image.index, image.was.as_ref().map(ToString::to_string)),
                (Shape::Pruned, Some(index.digest.clone()))
            );
            let path = image.repository.split_once('/').expect("a path").1;
            let bytes = registry.manifest(path, &image.digest.to_string()).expect("it is there");
            let (now, was): (Value, Value) =
                (serde_json::from_slice(&bytes).expect("JSON"), serde_json::from_slice(&index.bytes).expect("JSON"));
            assert_eq!(now["manifests"], json!([was["manifests"][0]]));
        }
    }
}

/// Quay removes what no tag holds, and takes no Docker list with children of the other kind.
#[test]
fn quay_keeps_what_was_pushed() {
    let quay = || Behaviour { sparse: Sparse::Quay(Some(true)), quay: true, ..Behaviour::default() };
    let (rig, registry) = (Rig::new(), WritableRegistry::start(quay()));
    proven(&rig.kept(&registry));
    registry.expire();
    proven(&rig.verify(&registry));
    let children = ALL.map(|platform| super::instance("mixed", platform, Format::Oci));
    let entries = children.iter().map(Entry::new).collect();
    let mixed = super::repository_of("team/one", &children.iter().collect::<Vec<_>>(), entries, Format::Docker);
    let rig = Rig::of(mixed, repository("team/two", &ALL, Format::Docker, Spelling::DOCKER), &ALL);
    let error = rig.push(&WritableRegistry::start(quay()), IndexMode::Auto).expect_err("it is refused");
    assert!(format!("{error:#}").contains("MANIFEST_INVALID"), "{error:#}");
}

/// Blobs, instances, indexes, tags of workloads; each blob goes out once, and nothing the second time.
#[test]
fn order_and_economy() {
    let (rig, registry) = (Rig::new(), WritableRegistry::start(Behaviour::default()));
    let report = rig.kept(&registry);
    proven(&report);
    let requests = registry.requests();
    let puts: Vec<&str> =
        requests.iter().filter(|asked| asked.method == "PUT").map(|asked| asked.path.as_str()).collect();
    let manifests: Vec<&&str> = puts.iter().filter(|path| path.contains("/manifests/")).collect();
    assert!(manifests.last().is_some_and(|path| path.ends_with("/one/manifests/v1")), "{puts:#?}");
    let at =
        |text: &str| puts.iter().position(|path| path.contains(text)).unwrap_or_else(|| panic!("{text} {puts:#?}"));
    for (repository, index) in [("one", &rig.one.1), ("two", &rig.two.1)] {
        let tagged = at(&format!("{repository}/manifests/{}", content_tag(&index.digest)));
        assert!(at(&format!("{repository}/manifests/sha256:")) < tagged);
    }
    let mut blobs: Vec<&str> = puts.iter().filter_map(|path| path.split("digest=").nth(1)).collect();
    blobs.sort_unstable();
    let mut once = blobs.clone();
    once.dedup();
    assert_eq!(blobs, once, "each blob goes out once");
    let sent = report.sent.expect("it was sent");
    assert_eq!((sent.blobs, sent.mounted, sent.present), (blobs.len() as u64, 1, 0), "the base is taken over");
    registry.forget_requests();
    let again = rig.kept(&registry);
    proven(&again);
    assert_eq!(methods(&registry.requests()), ["GET", "HEAD"].into());
    let sent = again.sent.expect("it was looked at");
    assert_eq!((sent.blobs, sent.bytes, sent.mounted, sent.manifests, sent.tags), (0, 0, 0, 0, 0));
    assert!(again.sent.is_some_and(|sent| sent.present > 0));
}

/// What a registry lost is put back, though the image's own tag says that all is there.
#[test]
fn what_was_lost_is_put_back() {
    let (rig, registry) = (Rig::new(), WritableRegistry::start(Behaviour::default()));
    rig.kept(&registry);
    let lost = &rig.plan.images[0].instances[0].layers[1].digest.to_string();
    registry.remove_blob("mirror/team/one", lost);
    assert_eq!(kinds(&rig.verify(&registry)), [Kind::Missing]);
    proven(&rig.kept(&registry));
}

/// Registries differ in how blobs are sent.
#[test]
fn uploads_of_all_kinds() {
    let wide = Behaviour::default;
    for (name, behaviour) in [
        ("relative locations", Behaviour { relative_locations: true, ..wide() }),
        ("no mounts", Behaviour { mounts: false, ..wide() }),
        ("password", Behaviour { auth: Auth::Basic, ..wide() }),
        ("token", Behaviour { auth: Auth::Bearer, ..wide() }),
        ("token, no mounts", Behaviour { auth: Auth::Bearer, mounts: false, ..wide() }),
        ("uploads elsewhere", Behaviour { auth: Auth::Basic, uploads_elsewhere: true, ..wide() }),
    ] {
        let (mounts, auth) = (behaviour.mounts, behaviour.auth);
        let registry = WritableRegistry::start(behaviour);
        let rig = Rig::new().log_in(&registry);
        let report = rig.push(&registry, IndexMode::Keep).unwrap_or_else(|e| panic!("{name}: {e:#}"));
        proven(&report);
        assert_eq!(report.sent.expect("it was sent").mounted, u64::from(mounts), "{name}");
        let requests = registry.requests();
        let elsewhere: Vec<&Asked> =
            requests.iter().filter(|asked| Some(asked.host.as_str()) == registry.other_host()).collect();
        assert_eq!(elsewhere.is_empty(), registry.other_host().is_none(), "{name}");
        assert!(elsewhere.iter().all(|asked| asked.authorization.is_none()), "{name}: credentials went elsewhere");
        let refused = requests.iter().filter(|asked| asked.status == 401).count();
        // Each of the two lanes is told once what is asked for.
        assert_eq!(refused, if auth == Auth::None { 0 } else { 2 }, "{name}");
    }
}

/// Passing trouble is got over; what arrived is not sent again where the registry remembers it.
#[test]
fn passing_trouble_is_got_over() {
    let uploads = "/blobs/uploads/";
    for (name, faults) in [
        ("broken upload", vec![(On::put(uploads), 1, WriteFault::BreakUpload(50))]),
        (
            "broken twice",
            vec![
                (On::put(uploads), 1, WriteFault::BreakUpload(30)),
                (On::patch(uploads), 1, WriteFault::BreakUpload(20)),
            ],
        ),
        ("stalled upload", vec![(On::put(uploads), 1, WriteFault::Stall(100))]),
        ("no answer", vec![(On::post(uploads), 1, WriteFault::Silence)]),
        ("overloaded", vec![(On::any("mirror"), 3, WriteFault::Status(503))]),
        ("too many", vec![(On::put("/manifests/"), 1, WriteFault::RetryAfter(429, 1))]),
        (
            "lost answers",
            vec![(On::put(uploads), 1, WriteFault::LoseAnswer), (On::put("/manifests/"), 2, WriteFault::LoseAnswer)],
        ),
    ] {
        for resumes in [true, false] {
            let registry = WritableRegistry::start(Behaviour { resumes, ..Behaviour::default() });
            let mut rig = Rig::new();
            rig.options.stall = Duration::from_millis(300);
            for (on, times, fault) in faults.clone() {
                registry.fail(on, times, fault);
            }
            let report = rig.push_with(&registry, IndexMode::Keep, |push| push.jobs = 1);
            let report = report.unwrap_or_else(|e| panic!("{name} {resumes}: {e:#}"));
            proven(&report);
            let patched = registry.requests().iter().any(|asked| asked.method == "PATCH" && asked.status == 202);
            assert_eq!(patched, resumes && name.starts_with("broken"), "{name} {resumes}");
        }
    }
}

/// A token that expires on the way is replaced.
#[test]
fn tokens_that_expire_are_replaced() {
    let registry = WritableRegistry::start(Behaviour { auth: Auth::Bearer, ..Behaviour::default() });
    let rig = Rig::new().log_in(&registry);
    let destination = rig.lane();
    let push = |work: Work| {
        let manifests = wait(push::manifests(&rig.plan, &rig.content(), 4)).expect("they are known");
        let push = Push {
            work,
            manifests,
            source: Arc::new(rig.content()),
            destination: destination.clone(),
            reader: rig.reader(),
            mode: IndexMode::Keep,
            overwrite_signatures: false,
            jobs: 4,
            patience: Patience { retries: 3, backoff: Duration::from_millis(1) },
            progress: Arc::new(Silent),
        };
        proven(&wait(push.run()).unwrap_or_else(|e| panic!("{e:#}")));
    };
    let work = rig.work(&registry, false).expect("the set can be mapped");
    let half = |at: usize| Work { images: vec![work.images[at].clone()], ..work.clone() };
    push(half(0));
    registry.expire_tokens();
    push(half(0));
    push(half(1));
}

/// What will not change is not asked twice, and what never ends ends.
#[test]
fn lasting_trouble_is_told() {
    for (name, on, fault, tries, words) in [
        ("too large", On::put("/blobs/uploads/"), WriteFault::Status(413), 1, "413"),
        ("read only", On::post("/blobs/uploads/"), WriteFault::Status(405), 1, "405"),
        ("denied", On::put("/manifests/sha256-"), WriteFault::Status(403), 1, "403"),
        ("broken", On::put("/manifests/sha256-"), WriteFault::Status(500), 4, "given up after 4 tries"),
        ("silent", On::put("/manifests/sha256-"), WriteFault::Silence, 4, "stalled"),
    ] {
        let registry = WritableRegistry::start(Behaviour::default());
        let mut rig = Rig::new();
        rig.options.stall = Duration::from_millis(100);
        registry.fail(on, usize::MAX, fault);
        let start = Instant::now();
        let error = rig.push_with(&registry, IndexMode::Keep, |push| push.jobs = 1).expect_err(name);
        assert!(start.elapsed() < Duration::from_secs(20), "{name}");
        let text = format!("{error:#}");
        assert!(text.contains(words), "{name}: {text}");
        assert_eq!(registry.manifest("mirror/team/one", "v1"), None, "{name}: a tag was moved");
        let path = if text.contains("blob") { "/uploads/" } else { "sha256-" };
        let method = if name == "read only" { "POST" } else { "PUT" };
        let asked = registry.requests().iter().filter(|a| a.method == method && a.path.contains(path)).count();
        // Two images are under way, or the first blob.
        assert!(asked <= tries * 2, "{name}: {asked} requests");
    }
}

/// What goes out and is lost is no progress, however much it is.
#[test]
fn a_large_blob_that_never_arrives_is_given_up() {
    let large = Layer::of_archive(&Random::new(3).bytes(3 << 20), Compression::None);
    let image = Image::new(NATIVE).layer(&large).build();
    let index = Index::new(Format::Oci).instances([&image]).build();
    let one = (Repository::new("team/one").instances([&image]).index(&index).tag("v1", &index), index);
    let rig = Rig::of(one, repository("team/two", &ALL, Format::Docker, Spelling::DOCKER), &[NATIVE]);
    for fault in [WriteFault::Status(500), WriteFault::BreakUpload(2 << 20)] {
        let registry = WritableRegistry::start(Behaviour::default());
        registry.fail(On::put(&image.layers[0].digest.replace(':', "%3A")), usize::MAX, fault);
        let error = rig.push(&registry, IndexMode::Keep).expect_err("it never arrives");
        assert!(format!("{error:#}").contains("given up after 4 tries"), "{error:#}");
    }
    let registry = WritableRegistry::start(Behaviour { resumes: true, ..Behaviour::default() });
    registry.fail(On::put("/blobs/uploads/"), 1, WriteFault::BreakUpload(400 << 10));
    registry.fail(On::patch("/blobs/uploads/"), 5, WriteFault::BreakUpload(400 << 10));
    let report = rig.push_with(&registry, IndexMode::Keep, |push| push.jobs = 1);
    proven(&report.unwrap_or_else(|e| panic!("{e:#}")));
}

/// What is served afterwards is not what was taken.
#[test]
fn lies_after_a_push_are_found() {
    let rig = Rig::new();
    let (one, two) = (&rig.one.1, &rig.two.1);
    let other = || (two.bytes.clone(), DOCKER_LIST);
    let layer = rig.plan.images[0].instances[0].layers[1].digest.to_string();
    let stale = |reads| Lie::Stale(reads);
    let tagged = content_tag(&one.digest);
    let cases: Vec<(&str, &str, Lie, Vec<Kind>)> = vec![
        ("nothing for a while", "v1", stale(Some(2)), vec![]),
        ("nothing for ever", "v1", stale(None), vec![Kind::Missing]),
        ("nothing under its own tag", &tagged, stale(None), vec![Kind::Missing]),
        ("other bytes", "v1", Lie::Bytes(b"<html>".to_vec(), "text/html", Claim::Served), vec![Kind::OtherBytes]),
        (
            "other bytes that claim to be right",
            "v1",
            Lie::Bytes(other().0, DOCKER_LIST, Claim::Right),
            vec![Kind::OtherBytes],
        ),
        ("re-written", "v1", Lie::Reformatted(Claim::Served), vec![Kind::OtherBytes]),
        ("re-written, claims to be right", "v1", Lie::Reformatted(Claim::Right), vec![Kind::OtherBytes]),
        ("schema 1", "v1", Lie::Schema1, vec![Kind::Converted]),
        ("another type", "v1", Lie::ContentType("application/json"), vec![Kind::WrongHeader]),
        ("another writer", "v1", Lie::Overtaken(other().0, DOCKER_LIST), vec![Kind::OtherWriter]),
        ("a lost blob", &tagged, Lie::LosesBlob(layer.clone()), vec![Kind::Missing]),
    ];
    for (name, at, lie, expected) in cases {
        let registry = WritableRegistry::start(Behaviour::default());
        registry.lie("mirror/team/one", at, lie);
        let report = rig.kept(&registry);
        assert_eq!(kinds(&report), expected, "{name}: {:#?}", report.differences);
        if name == "another writer" {
            let read = |asked: &&Asked| asked.method == "GET" && asked.path.ends_with("/one/manifests/v1");
            assert_eq!(registry.requests().iter().filter(read).count(), 1, "a lost race is not repeated");
        }
    }
    for (name, lie, expected) in [
        ("a blob of another size", Lie::Size(Some(7)), Kind::WrongHeader),
        ("a blob without a size", Lie::Size(None), Kind::WrongHeader),
    ] {
        let registry = WritableRegistry::start(Behaviour::default());
        rig.kept(&registry);
        registry.lie_at_once("mirror/team/one", &layer, lie);
        assert_eq!(kinds(&rig.verify(&registry)), [expected], "{name}");
    }
}

/// Old content at a tag: for a while that is a cache, for ever it is told; what somebody else puts there is no cache.
#[test]
fn tags_that_existed_before() {
    let rig = Rig::new();
    let before = repository("mirror/team/one", &["linux/arm64"], Format::Oci, Spelling::COMPACT);
    for (reads, expected) in [(Some(2), vec![]), (None, vec![Kind::Stale])] {
        let registry = WritableRegistry::start(Behaviour::default());
        registry.put(&before.0);
        registry.lie("mirror/team/one", "v1", Lie::Stale(reads));
        assert_eq!(kinds(&rig.kept(&registry)), expected);
        assert_eq!(registry.manifest("mirror/team/one", "v1").as_ref(), Some(&rig.one.1.bytes));
    }
    let registry = WritableRegistry::start(Behaviour::default());
    rig.kept(&registry);
    registry.set_tag("mirror/team/one", "v1", &before.1.bytes, OCI_INDEX);
    assert_eq!(kinds(&rig.verify(&registry)), [Kind::OtherWriter]);
}

/// Absent instances must be absent, or right.
#[test]
fn absent_instances_are_absent_or_right() {
    let rig = Rig::new();
    let absent = rig.plan.images[0].absent[0].digest.to_string();
    let registry = WritableRegistry::start(Behaviour::default());
    let bytes = rig.two.1.bytes.clone();
    registry.lie_at_once("mirror/team/one", &absent, Lie::Bytes(bytes, DOCKER_LIST, Claim::Right));
    assert_eq!(kinds(&rig.kept(&registry)), [Kind::OtherBytes]);
    let registry = WritableRegistry::start(Behaviour::default());
    registry.put(&Repository { name: "mirror/team/one".into(), ..rig.one.0.clone() });
    let report = rig.kept(&registry);
    proven(&report);
    assert_eq!((report.proof.absent, report.proof.present_all_the_same), (2, 2));
    assert!(report.notes.iter().any(|note| note.contains("all the same")), "{:?}", report.notes);
}

/// The very bytes of signatures; another one that is there is told, and replaced only where that is wanted.
#[test]
fn signatures_travel() {
    let key = Key::new(KeyKind::P256);
    let (one, index) = repository("team/one", &ALL, Format::Oci, Spelling::ODD);
    let native = one.manifests[0].clone();
    let signed = |name: &str| Signature::new(&key, name, &native);
    let (ours, theirs) = ([signed("r.example/team/one:v1")], [signed("r.example/team/one:v2")]);
    let of_index = [Signature::new(&key, "r.example/team/one:v1", &index)];
    let one = attach(attach(one, &native, &ours), &index, &of_index);
    let rig = Rig::of((one, index.clone()), repository("team/two", &ALL, Format::Docker, Spelling::DOCKER), &[NATIVE]);
    let registry = WritableRegistry::start(Behaviour::default());
    let report = rig.kept(&registry);
    proven(&report);
    assert_eq!((report.sent.map(|sent| sent.signatures), report.proof.signatures), (Some(2), 2));
    let wanted = attachment(&ours).manifest.bytes;
    assert_eq!(registry.manifest("mirror/team/one", &tag(&native)).as_ref(), Some(&wanted));
    // Another one is there.
    let other = attachment(&theirs);
    let content = attach(Repository::new("mirror/team/one"), &native, &theirs);
    let registry = WritableRegistry::start(Behaviour::default());
    registry.put(&content);
    let report = rig.kept(&registry);
    assert_eq!(kinds(&report), [Kind::OtherSignature], "{:#?}", report.differences);
    assert_eq!(registry.manifest("mirror/team/one", &tag(&native)).as_ref(), Some(&other.manifest.bytes));
    let report = rig.push_with(&registry, IndexMode::Keep, |push| push.overwrite_signatures = true);
    proven(&report.unwrap_or_else(|e| panic!("{e:#}")));
    assert_eq!(registry.manifest("mirror/team/one", &tag(&native)).as_ref(), Some(&wanted));
    // Of an index that is pruned the signature stays behind.
    let registry = WritableRegistry::start(Behaviour::default());
    let report = rig.push(&registry, IndexMode::Prune).unwrap_or_else(|e| panic!("{e:#}"));
    proven(&report);
    assert_eq!(report.sent.map(|sent| sent.signatures), Some(1));
    assert!(report.notes.iter().any(|note| note.contains("pruned")), "{:?}", report.notes);
}

/// Referrers, with and without a registry that lists them, and beside those that are there already.
#[test]
fn referrers_travel() {
    let key = Key::new(KeyKind::P256);
    let (one, index) = repository("team/one", &ALL, Format::Oci, Spelling::ODD);
    let native = one.manifests[0].clone();
    let ours = bundle(&key, &native);
    let one = refer(one, &native, std::slice::from_ref(&ours));
    let list = one.tags[&fallback_tag(&native)].clone();
    let rig = Rig::of((one, index), repository("team/two", &ALL, Format::Docker, Spelling::DOCKER), &[NATIVE]);
    let registry = WritableRegistry::start(Behaviour { referrers: true, ..Behaviour::default() });
    proven(&rig.kept(&registry));
    assert!(registry.manifest("mirror/team/one", &ours.manifest.digest).is_some());
    assert_eq!(registry.manifest("mirror/team/one", &fallback_tag(&native)), None, "the registry lists them itself");
    let registry = WritableRegistry::start(Behaviour::default());
    proven(&rig.kept(&registry));
    let there = registry.manifest("mirror/team/one", &fallback_tag(&native)).expect("clients look there");
    assert_eq!(digest(&there), list, "the very list of the source");
    // A list with another one.
    let theirs = bundle(&Key::new(KeyKind::P256), &native);
    let registry = WritableRegistry::start(Behaviour::default());
    registry.put(&refer(Repository::new("mirror/team/one"), &native, std::slice::from_ref(&theirs)));
    proven(&rig.kept(&registry));
    let there = registry.manifest("mirror/team/one", &fallback_tag(&native)).expect("clients look there");
    let there: Value = serde_json::from_slice(&there).expect("JSON");
    let digests: Vec<&Value> = there["manifests"].as_array().expect("a list").iter().map(|e| &e["digest"]).collect();
    assert_eq!(digests, [&json!(theirs.manifest.digest), &json!(ours.manifest.digest)]);
    assert_eq!(there["manifests"][1]["artifactType"], json!(crate::support::signing::BUNDLE));
    registry.forget_requests();
    proven(&rig.kept(&registry));
    assert_eq!(methods(&registry.requests()), ["GET", "HEAD"].into(), "nothing is written twice");
    // Something else stands there: it is nobody's list.
    let index = rig.two.1.clone();
    for (bytes, media_type) in [(index.bytes.as_slice(), DOCKER_LIST), (rig.one.1.bytes.as_slice(), OCI_INDEX)] {
        let registry = WritableRegistry::start(Behaviour::default());
        registry.set_tag("mirror/team/one", &fallback_tag(&native), bytes, media_type);
        assert_eq!(kinds(&rig.kept(&registry)), [Kind::Missing, Kind::OtherSignature]);
        assert_eq!(registry.manifest("mirror/team/one", &fallback_tag(&native)).as_deref(), Some(bytes));
    }
    registry.remove_tag("mirror/team/one", &fallback_tag(&native));
    assert_eq!(kinds(&rig.verify(&registry)), [Kind::Missing]);
}

/// Two images must not want one tag, and nonsense is not pushed.
#[test]
fn what_cannot_be_pushed_is_told_before() {
    let mut rig = Rig::new();
    let registry = WritableRegistry::start(Behaviour::default());
    let mut twice = rig.plan.images[0].clone();
    twice.reference = format!("other.example/team/one:v1@{}", rig.two.1.digest).parse().expect("a reference");
    twice.manifest = rig.plan.images[1].manifest.clone();
    rig.plan.images.push(twice);
    let error = rig.work(&registry, false).expect_err("one tag for two");
    let text = format!("{error:#}");
    assert!(text.contains("source.example/team/one:v1") && text.contains("other.example/team/one:v1"), "{text}");
    let instance = super::instance("lint", NATIVE, Format::Oci);
    let index = Index::new(Format::Oci).entry(Entry::new(&instance)).entry(Entry::new(&instance)).build();
    let one = Repository::new("team/one").instances([&instance]).index(&index).tag("v1", &index);
    let two = repository("team/two", &ALL, Format::Docker, Spelling::DOCKER);
    let rig = Rig::of((one, index), two, &[NATIVE]);
    let error = rig.push(&registry, IndexMode::Keep).expect_err("one entry twice");
    assert!(format!("{error:#}").contains("manifests[1]"), "{error:#}");
    assert_eq!(registry.requests(), []);
}

/// What is wrong with a plan.
type Change = fn(&mut Plan);

/// A lock that says something else than its manifests is told of, whichever way it does.
#[test]
fn a_lock_must_say_what_its_manifests_say() {
    let rig = Rig::new();
    let changes: [(&str, Change); 8] = [
        ("another instance", |plan| plan.images[0].instances[0] = plan.images[1].instances[0].clone()),
        ("no layers", |plan| plan.images[0].instances[0].layers.clear()),
        ("another config", |plan| plan.images[0].instances[0].config = plan.images[1].instances[0].config.clone()),
        ("nothing is absent", |plan| plan.images[0].absent.clear()),
        ("more is absent", |plan| {
            let more = plan.images[1].absent[0].clone();
            plan.images[0].absent.push(more);
        }),
        ("another size", |plan| plan.images[0].manifest.size += 1),
        ("another index", |plan| plan.images[0].manifest = plan.images[1].manifest.clone()),
        ("another name", |plan| {
            let name = format!("source.example/team/one@{}", plan.images[1].manifest.digest);
            plan.images[0].reference = name.parse().expect("a reference");
        }),
    ];
    let registry = WritableRegistry::start(Behaviour::default());
    rig.kept(&registry);
    for (name, change) in changes {
        let mut plan = rig.plan.clone();
        change(&mut plan);
        let manifests = wait(push::manifests(&rig.plan, &rig.content(), 4)).expect("they are known");
        let error = push::check_plan(&plan, &manifests).expect_err(name);
        assert!(format!("{error:#}").contains("what its manifests say"), "{name}: {error:#}");
        // A look at the mirror alone finds it too, where it does not differ anyway.
        let rig = Rig { plan, ..Rig::new() };
        let work = rig.work(&registry, false).expect("the set can be mapped");
        let (report, served) = wait(push::verify(&work, rig.reader(), 4, Arc::new(Silent))).expect("it can be read");
        assert!(!report.differences.is_empty() || push::check_plan(&rig.plan, &served).is_err(), "{name}");
    }
    let manifests = wait(push::manifests(&rig.plan, &rig.content(), 4)).expect("they are known");
    push::check_plan(&rig.plan, &manifests).expect("it says what they say");
}

/// Who only looks asks for no more than to read, and what a registry sends back of it is not shown.
#[test]
fn a_look_needs_no_more_than_to_read() {
    let registry = WritableRegistry::start(Behaviour { auth: Auth::Bearer, ..Behaviour::default() });
    let rig = Rig::new().log_in(&registry);
    rig.kept(&registry);
    registry.forget_requests();
    proven(&rig.verify(&registry));
    let asked: Vec<String> = registry.requests().into_iter().map(|asked| asked.path).collect();
    assert!(asked.iter().any(|path| path.contains("/token")), "{asked:#?}");
    assert!(!asked.iter().any(|path| path.contains("push")), "{asked:#?}");
}

/// Bytes of a damaged store never become a blob.
#[test]
fn a_damaged_store_is_found_out() {
    let (rig, folder) = (Rig::new(), tempfile::tempdir().expect("a folder can be made"));
    let dir = super::Dir::open_ambient_dir(folder.path(), super::ambient_authority()).expect("a folder can be opened");
    let resolved = Resolved { plan: rig.plan.clone(), content: rig.known.clone() };
    wait(super::job(open_store(&dir, ".", 0).expect("a store"), &resolved, &rig.source).run()).expect("it is filled");
    let layer = &rig.plan.images[0].instances[0].layers[1];
    let path = folder.path().join("blobs/sha256").join(layer.digest.hex());
    let mut bytes = fs::read(&path).expect("the layer");
    bytes[3] ^= 1;
    fs::write(&path, &bytes).expect("it can be written");
    let pool = || bootc_embed::store::Pool::existing(&dir, std::path::Path::new("blobs")).expect("a pool");
    let registry = WritableRegistry::start(Behaviour::default());
    let alone = Content { pool: pool(), ..Content::default() };
    let error = rig.push_with(&registry, IndexMode::Keep, |push| push.source = Arc::new(alone)).expect_err("damaged");
    let text = format!("{error:#}");
    assert!(text.contains("other bytes") && text.contains("what is to be pushed"), "{text}");
    assert!(!registry.has_blob("mirror/team/one", &layer.digest.to_string()));
    // Where the registry that it came from is there, it comes from there.
    let both = Content { pool: pool(), rest: Some(Arc::new(rig.source.clone())), ..Content::default() };
    let report = rig.push_with(&registry, IndexMode::Keep, |push| push.source = Arc::new(both));
    proven(&report.unwrap_or_else(|e| panic!("{e:#}")));
}
