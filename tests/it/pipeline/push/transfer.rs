//! How content gets there: in which order, how often, and whatever happens on the way.

use super::super::{open_store, repository, wait};
use super::{ALL, NATIVE, Rig, content_tag, kinds, methods, proven};
use crate::support::fixture::{Compression, Format, Image, Index, Layer, Repository, Spelling};
use crate::support::random::Random;
use crate::support::writable::{Asked, Auth, Behaviour, On, WritableRegistry, WriteFault};
use bootc_embed::model::progress::Silent;
use bootc_embed::push::{self, Content, IndexMode, Kind, Patience, Push, Work};
use bootc_embed::resolve::Resolved;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// Bytes of a damaged store never become a blob.
#[test]
fn a_damaged_store_is_found_out() {
    let (rig, folder) = (Rig::new(), tempfile::tempdir().expect("a folder can be made"));
    let dir = super::super::Dir::open_ambient_dir(folder.path(), super::super::ambient_authority())
        .expect("a folder can be opened");
    let resolved = Resolved { plan: rig.plan.clone(), content: rig.known.clone() };
    wait(super::super::job(open_store(&dir, ".", 0).expect("a store"), &resolved, &rig.source).run())
        .expect("it is filled");
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
