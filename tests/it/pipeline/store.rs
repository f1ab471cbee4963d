//! The store: what a run writes, what a second run leaves alone, what survives a failure.

use super::{fill, job, open_store, platforms, repository, resolve_all, text, wait};
use crate::support::fixture::{Format, Repository, Spelling};
use crate::support::memory::MemoryRegistry;
use crate::support::tree::{Node, Tree};
use bootc_embed::fetch::Fetch;
use bootc_embed::resolve::Resolved;
use bootc_embed::store::{Pool, Store, lock_text, parse_lock, read_lock};
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    assert_eq!(left.0.len(), blobs + 3, "only whole blobs and claims may be left: {:?}", left.paths());

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
fn what_came_of_a_blob_does_not_come_again_unless_it_is_wrong() {
    let (registry, resolved, _) = two();
    let fresh = tempfile::tempdir().unwrap();
    let whole = fill(fresh.path(), &resolved, &registry).unwrap();
    let fresh = Tree::read(fresh.path());
    for (name, spoil) in [
        ("what was cut off", None),
        ("what a portal answered", Some(b"<html>log in</html>".as_slice())),
        ("more than there is", Some([b' '; 9999].as_slice())),
    ] {
        let folder = tempfile::tempdir().unwrap();
        registry.blobs.store(0, Relaxed);
        registry.break_at.store(1, Relaxed);
        text(fill(folder.path(), &resolved, &registry));
        registry.break_at.store(0, Relaxed);
        let left = Tree::read(folder.path());
        let partials = left.paths().into_iter().filter(|path| path.extension().is_some_and(|end| end == "partial"));
        let partials: Vec<PathBuf> = partials.map(|path| folder.path().join(path)).collect();
        let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
        let left: u64 = partials.iter().map(size).sum();
        let partial = partials.iter().max_by_key(|path| size(path)).expect("what came is kept");
        assert!(left > 0, "{name}: nothing was kept");
        if let Some(spoil) = spoil {
            fs::write(partial, spoil).unwrap();
        }
        let before = registry.blobs.load(Relaxed);
        let summary = fill(folder.path(), &resolved, &registry).unwrap();
        fresh.assert_same(&Tree::read(folder.path()), name);
        let requests = u64::try_from(registry.blobs.load(Relaxed) - before).unwrap();
        match spoil {
            None => assert_eq!((summary.resumed_bytes, requests), (left, summary.fetched), "{name}"),
            Some(_) => assert!(summary.resumed_bytes < left, "{name}"),
        }
        assert!(summary.fetched_bytes <= whole.fetched_bytes + 100, "{name}: {summary:?}");
    }
}

/// After a power cut a file can have its name and its size, and none of its bytes.
#[test]
fn after_a_run_that_was_cut_off_names_alone_prove_nothing() {
    let (registry, resolved, _) = two();
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &resolved, &registry).unwrap();
    let whole = Tree::read(folder.path());
    let layer = &resolved.plan.images[0].instances[0].layers[0];
    let path = folder.path().join("blobs/sha256").join(layer.digest.hex());
    fs::write(&path, vec![0; usize::try_from(layer.size).unwrap()]).unwrap();
    open_store(&open(folder.path()), ".", 0).unwrap().claim(&resolved.plan).unwrap();
    assert_eq!(fill(folder.path(), &resolved, &registry).unwrap().fetched, 1);
    whole.assert_same(&Tree::read(folder.path()), "a store that a power cut damaged");
}

#[test]
fn leftovers_of_a_killed_run_are_cleared_away() {
    let (registry, resolved, _) = two();
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &resolved, &registry).unwrap();
    let whole = Tree::read(folder.path());
    // Cut off before anything was claimed, and before a list had its name.
    for name in [".embed.claims.partial", ".image-list.txt.partial"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    fill(folder.path(), &resolved, &registry).unwrap();
    whole.assert_same(&Tree::read(folder.path()), "a store whose next run had hardly begun");
    fs::write(folder.path().join(".embed.claims"), "").unwrap();
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
fn a_folder_of_another_tool_is_refused_and_left_alone() {
    let (registry, resolved, _) = two();
    let folder = tempfile::tempdir().unwrap();
    for name in ["blobs/sha256/x", "index.json", "oci-layout", "image-list.txt"] {
        let place = folder.path().join(name.replace(['/', '.'], "-"));
        fs::create_dir_all(place.join(name).parent().unwrap()).unwrap();
        fs::write(place.join(name), "theirs").unwrap();
        let before = Tree::read(&place);
        let error = text(fill(&place, &resolved, &registry));
        assert!(error.contains("belongs to another tool"), "{name}: {error}");
        before.assert_same(&Tree::read(&place), name);
    }
    // Beside the store's own files, anything may stand, whatever it is called.
    let place = folder.path().join("shared");
    let theirs = ["3f2504e0-4f89-41d3-9a0c-0305e82c3301".to_owned(), "e".repeat(64)];
    for name in &theirs {
        fs::create_dir_all(place.join(name)).unwrap();
    }
    fill(&place, &resolved, &registry).unwrap();
    fill(&place, &resolved, &registry).unwrap();
    assert!(theirs.iter().all(|name| place.join(name).is_dir()));
}

#[test]
fn a_set_that_was_cut_off_while_it_replaced_another_leaves_nothing() {
    let (registry, resolved, _) = two();
    let (other, index) = repository("other", &["linux/amd64"], Format::Oci, Spelling::TABS);
    let reference = [other.pinned("r.example", &index)];
    let others = MemoryRegistry::new(vec![other]);
    let second = resolve_all(&reference, &platforms(&["linux/amd64"]), &others).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let fresh = folder.path().join("fresh");
    fill(&fresh, &second, &others).unwrap();
    let fresh = Tree::read(&fresh);

    // As if killed before the removal: the new lock is there, and so are the old views and the claims.
    let place = folder.path().join("late");
    fill(&place, &resolved, &registry).unwrap();
    let dir = open(&place);
    open_store(&dir, ".", 0).unwrap().claim(&second.plan).unwrap();
    fs::write(place.join("embed.lock.json"), lock_text(&second.plan)).unwrap();
    fill(&place, &second, &others).unwrap();
    fresh.assert_same(&Tree::read(&place), "killed after the lock");

    // As if killed before the lock, and then back to the first set.
    let place = folder.path().join("early");
    fill(&place, &second, &others).unwrap();
    let dir = open(&place);
    let store = open_store(&dir, ".", 0).unwrap();
    store.claim(&resolved.plan).unwrap();
    let layer = &resolved.plan.images[0].instances[0].layers[1];
    fs::write(place.join("blobs/sha256").join(layer.digest.hex()), "half").unwrap();
    fs::create_dir(place.join(resolved.plan.images[0].reference.key())).unwrap();
    drop(store);
    let summary = fill(&place, &second, &others).unwrap();
    assert_eq!((summary.removed_views, summary.removed_files), (1, 1));
    fresh.assert_same(&Tree::read(&place), "killed before the lock");
}

#[test]
fn another_time_or_mode_is_put_right() {
    let (registry, resolved, _) = two();
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &resolved, &registry).unwrap();
    let whole = Tree::read(folder.path());
    let blob = folder.path().join("blobs/sha256").join(resolved.plan.images[0].manifest.digest.hex());
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o600)).unwrap();
    let dir = open(folder.path());
    let store = open_store(&dir, ".", 1_700_000_000).unwrap();
    store.publish(&resolved.plan).unwrap();
    drop(store);
    assert!(Tree::read(folder.path()).0.values().all(|(_, mtime)| *mtime == 1_700_000_000));
    fill(folder.path(), &resolved, &registry).unwrap();
    whole.assert_same(&Tree::read(folder.path()), "back to the first time");
}

#[test]
fn one_writer_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let dir = open(folder.path());
    let first = open_store(&dir, "store", 0).unwrap();
    let second = Store::create(&dir, Path::new("store"), 0).err().expect("the store is busy");
    assert!(second.to_string().contains("another bootc-embed"), "{second}");
    drop(first);
    open_store(&dir, "store", 0).unwrap();
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

    // A manifest of another size than announced.
    let mut wrong = locked;
    wrong.plan.images[0].manifest.size += 1;
    let error = text(fill(&folder.path().join("wrong"), &wrong, &MemoryRegistry::new(repositories)));
    assert!(error.contains("bytes came where"), "{error}");
}

#[test]
fn a_cache_saves_the_second_build_every_blob() {
    let (registry, resolved, _) = two();
    let folder = tempfile::tempdir().unwrap();
    let dir = open(folder.path());
    let cache = Arc::new(Pool::create(&dir, Path::new("cache"), 0).unwrap());
    let mut summaries = Vec::new();
    for name in ["first", "second"] {
        let store = open_store(&dir, name, 0).unwrap();
        let fetch = Fetch { cache: Some(cache.clone()), ..job(store, &resolved, &registry) };
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
        (r#"{"version":1,"platforms":[],"images":[]}"#, "names no image"),
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
    let (_, resolved, _) = two();
    let mut lock: serde_json::Value = serde_json::from_slice(&lock_text(&resolved.plan)).unwrap();
    lock["later"] = true.into();
    assert_eq!(parse_lock(lock.to_string().as_bytes()).unwrap(), resolved.plan, "what is not known is passed over");
}
