//! What signs images: where it is looked for, what of it is kept, and what is said where that is not known.

use super::{fill, platforms, release, text, wait};
use crate::support::fixture::{Blob, Format, Index, Instance, Repository, digest};
use crate::support::lane::{Notes, lane, options};
use crate::support::registry::{Auth, Fault, FaultyRegistry};
use crate::support::signing::{Key, Kind, Signature, attach, attachment, bundle, fallback_tag, lookaside, refer, tag};
use bootc_embed::model::plan::Attached;
use bootc_embed::model::progress::Silent;
use bootc_embed::model::{Plan, signature};
use bootc_embed::registry::Options;
use bootc_embed::registry::http::Http;
use bootc_embed::resolve::{Resolved, resolve};
use bootc_embed::signatures::{collect, recall, require};
use bootc_embed::store::{lock_text, parse_lock};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const NATIVE: &str = "linux/amd64";

/// An image with an index, and its repository, in which nothing is signed.
struct Unsigned {
    repository: Repository,
    index: Blob,
    native: Instance,
}

impl Unsigned {
    fn new(name: &str) -> Self {
        let instances = [NATIVE, "linux/arm64"].map(|platform| super::instance(name, platform, Format::Oci));
        let index = Index::new(Format::Oci).instances(&instances).build();
        let repository = Repository::new(name).instances(&instances).index(&index);
        let [native, _] = instances;
        Self { repository, index, native }
    }

    fn reference(&self, registry: &FaultyRegistry) -> String {
        self.repository.pinned(registry.address(), &self.index)
    }
}

/// Resolves references and collects what signs them.
fn collected(references: &[String], http: &Http) -> anyhow::Result<Resolved> {
    wait(async {
        let release = release(references);
        let mut resolved = resolve(&release, &platforms(&[NATIVE]), http, 4, &Silent).await?;
        let Resolved { plan, content } = &mut resolved;
        collect(plan, content, http, 4, &Silent).await?;
        Ok(resolved)
    })
}

fn stored(references: &[String], http: &Http, store: &Path) -> anyhow::Result<Plan> {
    let resolved = collected(references, http)?;
    fill(store, &resolved, http)?;
    Ok(resolved.plan)
}

fn view(store: &Path, reference: &str, name: &str) -> std::path::PathBuf {
    store.join(&digest(format!("{reference}\n").as_bytes())["sha256:".len()..]).join(name)
}

fn pool(store: &Path, blob: &Blob) -> Vec<u8> {
    fs::read(store.join("blobs/sha256").join(blob.hex())).unwrap_or_else(|e| panic!("{}: {e}", blob.digest))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

/// Tags of the instance and of the index, byte for byte in the pool, and as containers/image reads them in the view.
#[test]
fn tags_are_carried_and_written_into_views() {
    let key = Key::new(Kind::P256);
    let image = Unsigned::new("team/app");
    let of_instance = [1, 2].map(|n| Signature::new(&key, &format!("r.example/team/app:v{n}"), &image.native.manifest));
    let of_index = [Signature::new(&key, "r.example/team/app:v1", &image.index)];
    let repository = attach(image.repository.clone(), &image.native.manifest, &of_instance);
    let repository = attach(repository, &image.index, &of_index);
    let registry = FaultyRegistry::start(&[repository]);
    let (store, reference) = (folder(), image.reference(&registry));
    let plan = stored(std::slice::from_ref(&reference), &lane(options()), store.path()).unwrap();

    let hex = image.native.manifest.hex();
    for (name, signature) in [
        (format!("{hex}.signature-1"), &of_instance[0]),
        (format!("{hex}.signature-2"), &of_instance[1]),
        ("signature-1".to_owned(), &of_index[0]),
    ] {
        let path = view(store.path(), &reference, &name);
        assert!(fs::read_link(&path).unwrap().starts_with("../blobs/sha256"), "{name}");
        let written = signature::Signature::parse(&fs::read(path).unwrap()).unwrap();
        assert_eq!(written, signature::Signature::parse(&signature.file()).unwrap(), "{name}");
    }
    assert!(!view(store.path(), &reference, "signature-2").exists());
    for attachment in [attachment(&of_instance), attachment(&of_index)] {
        for blob in attachment.layers.iter().chain([&attachment.manifest, &attachment.config]) {
            assert_eq!(pool(store.path(), blob), blob.bytes);
        }
    }
    let signed = plan.images[0].signed(&image.native.manifest.digest.parse().unwrap()).unwrap();
    let tag = signed.tag.as_ref().unwrap();
    assert_eq!(tag.manifest.digest.to_string(), attachment(&of_instance).manifest.digest);
    assert_eq!((signed.files.len(), plan.signed_images()), (2, Some(1)));
    assert_eq!(parse_lock(&lock_text(&plan)).unwrap(), plan);
    require(&plan).unwrap();
}

/// 404 says that there is none; every other answer leaves it open, and that must not be passed over.
#[test]
fn no_answer_but_404_means_none() {
    let image = Unsigned::new("team/app");
    let registry = FaultyRegistry::start(std::slice::from_ref(&image.repository));
    let references = [image.reference(&registry)];
    let plan = collected(&references, &lane(options())).unwrap().plan;
    assert_eq!(plan.signed_images(), Some(0));
    assert_eq!(plan.images[0].signatures.len(), 2, "of each manifest it is noted that nothing was found");
    assert!(text(require(&plan)).contains("has no signature"));

    let sig = tag(&image.native.manifest);
    let fallback = format!("manifests/{}", fallback_tag(&image.native.manifest));
    for (path, fault) in [
        (sig.as_str(), Fault::Status(500)),
        (&sig, Fault::Status(403)),
        (&sig, Fault::Status(400)),
        ("referrers/", Fault::Status(500)),
        ("referrers/", Fault::Status(400)),
        (&fallback, Fault::Status(503)),
    ] {
        registry.fail(path, fault);
        let error = text(collected(&references, &lane(options())));
        assert!(error.contains("whether there are signatures is not known"), "{path}: {error}");
        assert!(error.contains("--signatures none"), "{error}");
        registry.heal();
    }
}

/// Bundles of cosign 3 and whatever else refers to an image, by the registry's list in pages, and by its
/// stand-in; what they are, they say themselves.
#[test]
fn referrers_are_carried() {
    let key = Key::new(Kind::P256);
    for lists in [None, Some(1), Some(100)] {
        let image = Unsigned::new("team/app");
        let other = Unsigned::new("team/other");
        let bundles = [&image.native.manifest, &image.native.manifest].map(|subject| bundle(&key, subject));
        let stray = bundle(&key, &other.native.manifest);
        let mut referrers = vec![bundles[0].clone(), stray.clone()];
        let mut second = bundles[1].clone();
        second.manifest = Blob::new(
            &second.manifest.media_type,
            [&second.manifest.bytes[..second.manifest.bytes.len() - 1], b" }"].concat(),
        );
        referrers.push(second.clone());
        let mut repository = refer(image.repository.clone(), &image.native.manifest, &referrers);
        if let Some(page) = lists {
            repository = repository.lists_referrers(page);
        }
        let registry = FaultyRegistry::start(&[repository.clone()]);
        let (store, reference) = (folder(), image.reference(&registry));
        let plan = stored(std::slice::from_ref(&reference), &lane(options()), store.path()).unwrap();
        let signed = plan.images[0].signed(&image.native.manifest.digest.parse().unwrap()).unwrap();
        let found: Vec<String> = signed.referrers.iter().map(|found| found.manifest.digest.to_string()).collect();
        let mut expected = vec![bundles[0].manifest.digest.clone(), second.manifest.digest.clone()];
        let mut sorted = found.clone();
        expected.sort();
        sorted.sort();
        assert_eq!(sorted, expected, "{lists:?}");
        assert!(signed.referrers.iter().all(Attached::is_bundle));
        assert_eq!(signed.referrers_tag.is_some(), lists.is_none());
        for blob in [&bundles[0].manifest, &second.manifest, &bundles[0].layers[0]] {
            assert_eq!(pool(store.path(), blob), blob.bytes);
        }
        if let Some(index) = &signed.referrers_tag {
            let held = repository.manifest(&index.digest.to_string()).unwrap();
            assert_eq!(pool(store.path(), held), held.bytes);
        }
        assert!(signed.files.is_empty() && text(require(&plan)).contains("bundle of cosign 3"));
    }
}

/// Of a registry that has no lists, it is found out once a repository.
#[test]
fn one_request_finds_out_that_there_are_no_lists() {
    let image = Unsigned::new("team/app");
    let registry = FaultyRegistry::start(std::slice::from_ref(&image.repository));
    collected(&[image.reference(&registry)], &lane(options())).unwrap();
    let seen = registry.take_seen();
    assert_eq!(seen.iter().filter(|seen| seen.path.contains("referrers/")).count(), 1, "{seen:#?}");
}

/// An instance that two images share is signed under one name only: both views have the signature, for
/// whichever is imported last decides what the storage keeps.
#[test]
fn what_images_share_is_signed_in_all_views() {
    let key = Key::new(Kind::P256);
    let image = Unsigned::new("team/app");
    let mut twin = image.repository.clone();
    twin.name = "team/twin".to_owned();
    let own = Signature::new(&key, "r.example/team/twin:v1", &image.native.manifest);
    let signature = Signature::new(&key, "r.example/team/app:v1", &image.native.manifest);
    let signed = attach(image.repository.clone(), &image.native.manifest, std::slice::from_ref(&signature));
    let name = format!("{}.signature-", image.native.manifest.hex());
    for (twin, files) in [
        (twin.clone(), vec![&signature]),
        // Its own come first.
        (attach(twin, &image.native.manifest, std::slice::from_ref(&own)), vec![&own, &signature]),
    ] {
        let registry = FaultyRegistry::start(&[signed.clone(), twin.clone()]);
        let (store, address) = (folder(), registry.address());
        let references = [signed.pinned(address, &image.index), twin.pinned(address, &image.index)];
        let plan = stored(&references, &lane(options()), store.path()).unwrap();
        // Which of them a registry would give for a name does not change.
        assert_eq!(plan.signed_images(), Some(files.len()));
        for (number, file) in (1..).zip(files) {
            let path = view(store.path(), &references[1], &format!("{name}{number}"));
            let written = signature::Signature::parse(&fs::read(path).unwrap()).unwrap();
            assert_eq!(written, signature::Signature::parse(&file.file()).unwrap());
        }
    }
}

/// Lookaside stores, in a folder and on a server; the name is the one that is really asked.
#[test]
fn lookaside_stores_are_read() {
    let image = Unsigned::new("team/app");
    let registry = FaultyRegistry::start(std::slice::from_ref(&image.repository));
    let (stores, settings) = (folder(), folder());
    let simple = [b"\x89 one".to_vec(), b"\x89 two".to_vec()];
    lookaside(stores.path(), "team/app", &image.native.manifest, &simple);
    let served = crate::support::files::serve(stores.path());
    let file = settings.path().join("a.yaml");
    for base in [format!("file://{}", stores.path().display()), served.address().to_owned()] {
        let text = format!("docker:\n  {}:\n    lookaside: {base}\n", registry.address());
        fs::write(&file, text).unwrap();
        let store = folder();
        let http = lane(Options { registries_d: vec![file.clone()], ..options() });
        let reference = image.reference(&registry);
        let plan = stored(std::slice::from_ref(&reference), &http, store.path()).unwrap();
        let signed = plan.images[0].signed(&image.native.manifest.digest.parse().unwrap()).unwrap();
        assert_eq!((signed.lookaside.len(), &signed.lookaside), (2, &signed.files), "{base}");
        for (number, bytes) in (1..).zip(&simple) {
            let path = view(store.path(), &reference, &format!("{}.signature-{number}", image.native.manifest.hex()));
            assert_eq!(fs::read(path).unwrap(), *bytes);
        }
    }
    // What is no 404 is an error here too, and so is what cannot be read.
    for (base, why) in [
        (format!("http://{}/v2/team/app/manifests/x", registry.address()), None),
        (format!("http://{}", registry.address()), Some("500")),
        ("ftp://r.example/x".to_owned(), Some("none of http, https and file")),
        ("nonsense".to_owned(), Some("lookaside")),
    ] {
        registry.heal();
        registry.fail("signature-1", Fault::Status(if why == Some("500") { 500 } else { 404 }));
        fs::write(&file, format!("docker:\n  {}:\n    lookaside: {base}\n", registry.address())).unwrap();
        let http = lane(Options { registries_d: vec![file.clone()], ..options() });
        let done = collected(&[image.reference(&registry)], &http);
        match why {
            None => assert_eq!(done.unwrap().plan.signed_images(), Some(0)),
            Some(why) => {
                let error = text(done);
                assert!(error.contains(why), "{base}: {error}");
            }
        }
    }
}

/// Who serves the image is asked what signs it, and nobody else: so do runtimes.
#[test]
fn the_mirror_that_serves_an_image_is_asked_for_its_signatures() {
    let key = Key::new(Kind::P256);
    let image = Unsigned::new("team/app");
    let signature = Signature::new(&key, "r.example/team/app:v1", &image.native.manifest);
    let signed = attach(image.repository.clone(), &image.native.manifest, &[signature]);
    let settings = folder();
    let conf = settings.path().join("registries.conf");
    for (mirrored, primary, count) in [
        (Some(&signed), Some(&image.repository), 1),
        (Some(&image.repository), Some(&signed), 0),
        // A mirror without it: the primary serves it, and is asked.
        (None, Some(&signed), 1),
        // A primary that nobody can reach is not missed.
        (Some(&image.repository), None, 0),
    ] {
        let start = |repository: Option<&Repository>| {
            FaultyRegistry::start(&repository.cloned().into_iter().collect::<Vec<_>>())
        };
        let (mirror, main) = (start(mirrored), start(primary));
        let address = main.address().to_owned();
        let _up = primary.map(|_| main);
        let mut text = format!("[[registry]]\nlocation = \"{address}\"\n");
        text += &format!(
            "[[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\npull-from-mirror = \"digest-only\"\n",
            mirror.address()
        );
        fs::write(&conf, text).unwrap();
        let http = lane(Options { registries_conf: vec![conf.clone()], ..options() });
        let plan = collected(&[image.repository.pinned(&address, &image.index)], &http).unwrap().plan;
        assert_eq!(plan.signed_images(), Some(count), "{mirrored:?} {primary:?}");
    }
}

/// A lock says what signs an image, and that is fetched, by digest, whatever the tag says now.
#[test]
fn a_lock_is_taken_at_its_word() {
    let key = Key::new(Kind::P256);
    let image = Unsigned::new("team/app");
    let manifest = &image.native.manifest;
    let first = Signature::new(&key, "r.example/team/app:v1", manifest);
    let second = Signature::new(&key, "r.example/team/app:v2", manifest);
    let before = attach(image.repository.clone(), manifest, std::slice::from_ref(&first));
    let after = attach(before.clone(), manifest, &[first.clone(), second]);
    let registry = FaultyRegistry::start(std::slice::from_ref(&after));
    let http = lane(options());
    let reference = image.repository.pinned(registry.address(), &image.index);
    let mut early = after;
    early.tags = before.tags.clone();
    let old = FaultyRegistry::start(&[early]);
    let mut lock = collected(&[image.repository.pinned(old.address(), &image.index)], &lane(options())).unwrap().plan;
    lock.images[0].reference = reference.parse().unwrap();
    let again = |lock: &Plan| {
        wait(async {
            let mut resolved =
                resolve(&release(std::slice::from_ref(&reference)), &platforms(&[NATIVE]), &http, 4, &Silent).await?;
            recall(lock, &mut resolved.content, &http, None, 4, &Silent).await?;
            resolved.plan.images[0].signatures.clone_from(&lock.images[0].signatures);
            Ok::<_, anyhow::Error>(resolved)
        })
    };
    let store = folder();
    registry.take_seen();
    fill(store.path(), &again(&lock).unwrap(), &http).unwrap();
    assert!(!registry.take_seen().iter().any(|seen| seen.path.contains(".sig")), "a tag was asked for");
    let name = |n: usize| format!("{}.signature-{n}", manifest.hex());
    assert!(view(store.path(), &reference, &name(1)).exists() && !view(store.path(), &reference, &name(2)).exists());

    let position = lock.images[0].signatures.iter().position(|signed| signed.tag.is_some()).unwrap();
    let mut wrong = lock.clone();
    wrong.images[0].signatures[position].files[0].digest = image.index.digest.parse().unwrap();
    assert!(text(again(&wrong)).contains("it leaves signatures out"));
    let mut wrong = lock.clone();
    wrong.images[0].signatures[position].files.clear();
    assert!(text(again(&wrong)).contains("it leaves signatures out"));
    let mut wrong = lock.clone();
    let mut foreign = wrong.images[0].signatures[position].files[0].clone();
    foreign.digest = image.index.digest.parse().unwrap();
    wrong.images[0].signatures[position].files.push(foreign);
    assert!(text(again(&wrong)).contains("no signature of it is"));
    let mut wrong = lock.clone();
    wrong.images[0].signatures[position].tag.as_mut().unwrap().layers.clear();
    assert!(text(again(&wrong)).contains("has other layers"));
    let mut wrong = lock;
    wrong.images[0].signatures[position].tag.as_mut().unwrap().manifest.digest = first_of(&store, &image);
    assert!(text(again(&wrong)).contains("does not exist"));
}

/// A digest that the registry does not have as a manifest.
fn first_of(_: &tempfile::TempDir, image: &Unsigned) -> bootc_embed::model::Digest {
    image.native.config.digest.parse().unwrap()
}

/// What is no signature, or too large to be one, is an error; thousands of signatures are not.
#[test]
fn hostile_tags() {
    let key = Key::new(Kind::P256);
    let image = Unsigned::new("team/app");
    let manifest = &image.native.manifest;
    let base = || image.repository.clone();
    let signature = Signature::new(&key, "r.example/team/app:v1", manifest);
    let mut huge = attachment(std::slice::from_ref(&signature));
    let text_of = String::from_utf8(huge.manifest.bytes.clone()).unwrap();
    let size = format!("\"size\":{}", signature.payload.len());
    huge.manifest = Blob::new(&huge.manifest.media_type, text_of.replace(&size, "\"size\":5000000").into_bytes());
    let docker = super::instance("docker", NATIVE, Format::Docker);
    let garbage = Blob::new(&huge.manifest.media_type, b"<html>".to_vec());
    for (repository, why) in [
        (base().tag(&tag(manifest), &image.index), "is an index where an OCI image with signatures belongs"),
        (base().instances([&docker]).tag(&tag(manifest), &docker.manifest), "is a Docker image where"),
        (base().instances([&huge]).tag(&tag(manifest), &huge.manifest), "5000000 bytes"),
        (base().index(&garbage).tag(&tag(manifest), &garbage), "is not usable"),
        (base().index(&garbage).tag(&fallback_tag(manifest), &garbage), "is not usable"),
    ] {
        let registry = FaultyRegistry::start_with(&[repository], Auth::None);
        let error = text(collected(&[image.reference(&registry)], &lane(options())));
        assert!(error.contains(why), "{error}");
    }
    // Each payload may be large, all together may not.
    let mut large = attachment(&vec![signature.clone(); 20]);
    let text_of = String::from_utf8(large.manifest.bytes.clone()).unwrap();
    large.manifest = Blob::new(&large.manifest.media_type, text_of.replace(&size, "\"size\":4000000").into_bytes());
    let registry = FaultyRegistry::start(&[base().instances([&large]).tag(&tag(manifest), &large.manifest)]);
    let error = text(collected(&[image.reference(&registry)], &lane(options())));
    assert!(error.contains("has more than 67108864 bytes"), "{error}");
    // Somebody's own tag of that name is no list of referrers.
    let registry = FaultyRegistry::start(&[base().tag(&fallback_tag(manifest), manifest)]);
    let plan = collected(&[image.reference(&registry)], &lane(options())).unwrap().plan;
    assert!(plan.images[0].signatures.iter().all(|signed| signed.content().next().is_none()));

    let many: Vec<Signature> = (0..3000).map(|n| signature.clone().annotation("n", &n.to_string())).collect();
    let registry = FaultyRegistry::start(&[attach(base(), manifest, &many)]);
    let http = Http::new(options(), Arc::new(Notes::default())).unwrap();
    let plan = collected(&[image.reference(&registry)], &http).unwrap().plan;
    assert_eq!(plan.images[0].signed(&manifest.digest.parse().unwrap()).unwrap().files.len(), 3000);
}
