//! The store: what a run writes, what a second run leaves alone, what survives a failure.

use super::{fill, platforms, repository, resolve_all, text, wait};
use crate::support::fixture::{Format, Repository, Spelling};
use crate::support::memory::MemoryRegistry;
use crate::support::tree::{Node, Tree};
use bootc_embed::fetch::Fetch;
use bootc_embed::model::progress::Silent;
use bootc_embed::resolve::Resolved;
use bootc_embed::store::{Pool, Store, parse_lock, read_lock};
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

/// Two images that share a base layer, resolved for amd64.
fn two() -> (MemoryRegistry, Resolved, Vec<Repository>) {
    let (one, first) = repository("one", &["linux/amd64", "linux/arm64"], Format::Oci, Spelling::ODD);
    let (two, second) = repository("two", &["linux/amd64", "linux/s390x"], Format::Docker, Spelling::DOCKER);
    let references = [one.pinned("r.example", &first), two.pinned("r.example", &second)];
    let repositories = vec![one, two];
    let registry = MemoryRegistry::new(repositories.clone());
    let resolved = resolve_all(&references, &platforms(&["linux/amd64"]), &registry).expect("it resolves");
    (registry, resolved, repositories)
}

fn open(path: &Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).expect("the folder is there")
}

#[test]
fn the_layout_is_the_documented_one() {
    let (registry, resolved, _) = two();
    let folder = tempfile::tempdir().unwrap();
    let summary = fill(folder.path(), &resolved, &registry).unwrap();
    // Two indexes, two manifests, two configs, one shared layer, two own ones; manifests and no
    // config were known.
    assert_eq!((summary.images, summary.files, summary.fetched), (2, 9, 5));
    let tree = Tree::read(folder.path());
    for (path, (node, mtime)) in &tree.0 {
        assert_eq!(*mtime, 0, "{}", path.display());
        match node {
            Node::Folder(mode) => assert_eq!(*mode, 0o755, "{}", path.display()),
            Node::File(mode, _) => assert_eq!(*mode, 0o644, "{}", path.display()),
            Node::Link(target) => {
                let parent = path.parent().unwrap();
                assert!(target.starts_with("../blobs/sha256"), "{}", target.display());
                assert!(folder.path().join(parent).join(target).is_file(), "{} dangles", path.display());
            }
        }
    }
    let list = fs::read_to_string(folder.path().join("image-list.txt")).unwrap();
    for (line, image) in list.lines().zip(&resolved.plan.images) {
        let key = image.reference.key();
        assert_eq!(line, format!("{},{key}", image.reference));
        let view = folder.path().join(&key);
        assert_eq!(fs::read(view.join("version")).unwrap(), b"Directory Transport Version: 1.1\n");
        let instance = &image.instances[0];
        let names = [
            "version".to_owned(),
            "manifest.json".to_owned(),
            format!("{}.manifest.json", instance.manifest.digest.hex()),
            instance.config.digest.hex().to_owned(),
            instance.layers[0].digest.hex().to_owned(),
            instance.layers[1].digest.hex().to_owned(),
        ];
        let mut expected: Vec<PathBuf> = names.iter().map(|name| Path::new(&key).join(name)).collect();
        expected.sort();
        let found: Vec<PathBuf> =
            tree.0.keys().filter(|p| p.starts_with(&key) && **p != Path::new(&key)).cloned().collect();
        assert_eq!(found, expected);
    }
    assert_eq!(read_lock(&open(folder.path())).unwrap().as_ref(), Some(&resolved.plan));
}

#[test]
fn a_second_run_fetches_nothing_and_changes_nothing() {
    let (registry, resolved, _) = two();
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &resolved, &registry).unwrap();
    let before = Tree::read(folder.path());
    let asked = registry.blobs.load(Relaxed);
    let summary = fill(folder.path(), &resolved, &registry).unwrap();
    assert_eq!((summary.fetched, registry.blobs.load(Relaxed)), (0, asked));
    before.assert_same(&Tree::read(folder.path()), "a second run");
}

#[test]
fn two_stores_of_one_lock_are_the_same_whatever_came_before() {
    let (registry, resolved, _) = two();
    let folder = tempfile::tempdir().unwrap();
    let (fresh, used) = (folder.path().join("fresh"), folder.path().join("used"));
    fill(&fresh, &resolved, &registry).unwrap();

    // Another set first, and another tool's folder beside it.
    let (other, index) = repository("other", &["linux/amd64"], Format::Oci, Spelling::TABS);
    let reference = [other.pinned("r.example", &index)];
    let others = MemoryRegistry::new(vec![other]);
    let first = resolve_all(&reference, &platforms(&["linux/amd64"]), &others).unwrap();
    fill(&used, &first, &others).unwrap();
    fs::create_dir(used.join("overlay-images")).unwrap();
    let summary = fill(&used, &resolved, &registry).unwrap();
    // The base layer is the same, so it stays: index, manifest, config and one layer go.
    assert_eq!((summary.removed_views, summary.removed_files), (1, 4));
    assert!(used.join("overlay-images").is_dir(), "what is not ours was removed");
    fs::remove_dir(used.join("overlay-images")).unwrap();
    let (fresh, mut used) = (Tree::read(&fresh), Tree::read(&used));
    used.0.retain(|path, _| path != Path::new("overlay-images"));
    fresh.assert_same(&used, "a store that held another set");
}

#[test]
fn a_run_that_breaks_off_publishes_nothing_and_the_next_one_finishes() {
    let (registry, resolved, _) = two();
    let folder = tempfile::tempdir().unwrap();
    registry.break_at.store(3, Relaxed);
    let error = text(fill(folder.path(), &resolved, &registry));
    assert!(error.contains("breaks off"), "{error}");
    let left = Tree::read(folder.path());
    let blobs = left.paths().iter().filter(|path| path.parent() == Some(Path::new("blobs/sha256"))).count();
    assert_eq!(left.0.len(), blobs + 2, "only whole blobs may be left: {:?}", left.paths());

    let asked = registry.blobs.load(Relaxed);
    registry.break_at.store(0, Relaxed);
    let summary = fill(folder.path(), &resolved, &registry).unwrap();
    assert_eq!(registry.blobs.load(Relaxed) - asked, usize::try_from(summary.fetched).unwrap());
    assert!(summary.fetched < 5, "what was whole is not fetched again");
    let fresh = tempfile::tempdir().unwrap();
    fill(fresh.path(), &resolved, &registry).unwrap();
    Tree::read(fresh.path()).assert_same(&Tree::read(folder.path()), "a store that was completed later");
}

#[test]
fn leftovers_of_a_killed_run_are_cleared_away() {
    let (registry, resolved, _) = two();
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &resolved, &registry).unwrap();
    let whole = Tree::read(folder.path());
    let key = resolved.plan.images[0].reference.key();
    // A file that got a temporary name but not its own; a view that was half made; a blob cut short.
    let uuid = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
    fs::write(folder.path().join(uuid), "x").unwrap();
    fs::write(folder.path().join("blobs/sha256").join(uuid), "x").unwrap();
    fs::create_dir(folder.path().join(format!(".view-{key}"))).unwrap();
    fs::write(folder.path().join(format!(".view-{key}/version")), "").unwrap();
    let layer = &resolved.plan.images[0].instances[0].layers[0].digest;
    fs::write(folder.path().join("blobs/sha256").join(layer.hex()), "short").unwrap();
    fs::remove_file(folder.path().join(&key).join("manifest.json")).unwrap();
    let summary = fill(folder.path(), &resolved, &registry).unwrap();
    assert_eq!(summary.fetched, 1);
    whole.assert_same(&Tree::read(folder.path()), "a store that was repaired");
}

#[test]
fn one_writer_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let dir = open(folder.path());
    let first = Store::create(&dir, Path::new("store"), 0).unwrap();
    let second = Store::create(&dir, Path::new("store"), 0).err().expect("the store is busy");
    assert!(second.to_string().contains("another bootc-embed"), "{second}");
    drop(first);
    Store::create(&dir, Path::new("store"), 0).unwrap();
}

#[test]
fn a_locked_run_asks_for_digests_only_and_needs_the_very_bytes() {
    let (_, resolved, repositories) = two();
    let locked = Resolved { plan: resolved.plan.clone(), content: HashMap::new() };
    let folder = tempfile::tempdir().unwrap();
    let registry = MemoryRegistry::new(repositories.clone());
    fill(&folder.path().join("locked"), &locked, &registry).unwrap();
    assert!(registry.manifests.lock().unwrap().iter().all(|name| name.contains("@sha256:")));

    let layer = resolved.plan.images[0].instances[0].layers[1].digest.to_string();
    let mut changed = repositories.clone();
    let blob = changed[0].blobs.iter_mut().find(|blob| blob.digest == layer).unwrap();
    blob.bytes[10] ^= 1;
    let error = text(fill(&folder.path().join("changed"), &locked, &MemoryRegistry::new(changed)));
    assert!(error.contains("other bytes came") && error.contains(&layer), "{error}");
    assert!(!folder.path().join("changed/embed.lock.json").exists());

    // A lock that describes a manifest wrongly.
    let mut wrong = locked;
    wrong.plan.images[0].manifest.size += 1;
    let error = text(fill(&folder.path().join("wrong"), &wrong, &MemoryRegistry::new(repositories)));
    assert!(error.contains("the lock describes this manifest wrongly"), "{error}");
}

#[test]
fn a_cache_saves_the_second_build_every_blob() {
    let (registry, resolved, _) = two();
    let folder = tempfile::tempdir().unwrap();
    let dir = open(folder.path());
    let cache = Pool::create(&dir, Path::new("cache"), 0).unwrap();
    let mut summaries = Vec::new();
    for name in ["first", "second"] {
        let store = Store::create(&dir, Path::new(name), 0).unwrap();
        let Resolved { plan, content } = &resolved;
        let fetch = Fetch {
            plan,
            known: content,
            registry: &registry,
            store: &store,
            cache: Some(&cache),
            jobs: 2,
            progress: &Silent,
        };
        summaries.push(wait(fetch.run()).unwrap());
    }
    assert_eq!((summaries[0].fetched, summaries[0].from_cache), (5, 0));
    assert_eq!((summaries[1].fetched, summaries[1].from_cache), (0, 5));
    Tree::read(&folder.path().join("first")).assert_same(&Tree::read(&folder.path().join("second")), "a cached build");
}

#[test]
fn locks_are_read_with_care() {
    for (text, words) in [
        ("", "EOF"),
        ("{}", "version"),
        (r#"{"version":2,"platforms":[],"images":[]}"#, "version 2"),
        (r#"{"version":1,"platforms":["linux/../x"],"images":[]}"#, "not a platform"),
        (
            r#"{"version":1,"platforms":[],"images":[{"reference":"quay.io/a/b:1","foundIn":[],"instances":[],
               "manifest":{"mediaType":"x","digest":"sha256:../../../../etc/passwd","size":1}}]}"#,
            "not a digest",
        ),
    ] {
        let error = parse_lock(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    assert!(parse_lock(br#"{"version":1,"platforms":[],"images":[],"later":true}"#).is_ok());
}
