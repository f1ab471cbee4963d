//! registries.conf in the http lane: who is asked in which order, and what happens when one of them
//! has nothing, is gone, breaks off, or lies.

use super::{fill, job, open_store, platforms, repository, resolve_all, text, wait};
use crate::support::fixture::{Blob, Format, Repository, Spelling};
use crate::support::lane::{Notes, lane, options};
use crate::support::registry::{Fault, FaultyRegistry};
use bootc_embed::fetch::Summary;
use bootc_embed::registry::Options;
use bootc_embed::registry::http::Http;
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use std::fs;
use std::sync::Arc;

/// A registry nobody can reach, two mirrors that can be, and settings that put them in front of it.
struct Rig {
    folder: tempfile::TempDir,
    first: FaultyRegistry,
    second: FaultyRegistry,
    index: Blob,
    repository: Repository,
    heard: Notes,
}

impl Rig {
    fn new() -> Self {
        let (repository, index) = repository("team/app", &["linux/amd64", "linux/arm64"], Format::Oci, Spelling::ODD);
        let start = || FaultyRegistry::start(std::slice::from_ref(&repository));
        let (first, second) = (start(), start());
        let rig = Self {
            folder: tempfile::tempdir().expect("a folder can be made"),
            first,
            second,
            index,
            repository,
            heard: Notes::default(),
        };
        rig.configure(
            "[[registry]]\nlocation = \"primary.invalid/x\"\n[[registry.mirror]]\nlocation = \"FIRST\"\n\
             [[registry.mirror]]\nlocation = \"SECOND\"\n",
        );
        rig
    }

    /// Writes registries.conf. FIRST and SECOND stand for the two registries.
    fn configure(&self, text: &str) {
        let text = text.replace("FIRST", self.first.address()).replace("SECOND", self.second.address());
        fs::write(self.folder.path().join("registries.conf"), text).expect("a file can be written");
    }

    fn lane(&self) -> Http {
        let registries_conf = vec![self.folder.path().join("registries.conf")];
        let options = Options { registries_conf, retries: 2, ..options() };
        Http::new(options, Arc::new(self.heard.clone())).expect("the settings can be used")
    }

    /// Resolves a reference and fetches it into a new store.
    fn embed(&self, reference: &str) -> anyhow::Result<Summary> {
        let lane = self.lane();
        let resolved = resolve_all(&[reference.to_owned()], &platforms(&["linux/amd64"]), &lane)?;
        let folder = tempfile::tempdir().expect("a folder can be made");
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).expect("a folder can be opened");
        let mut fetch = job(open_store(&dir, ".", 0)?, &resolved, &lane);
        fetch.progress = Arc::new(self.heard.clone());
        wait(fetch.run())
    }

    fn pinned(&self) -> String {
        format!("primary.invalid/x/team/app@{}", self.index.digest)
    }

    /// How often each was asked for something other than a greeting.
    fn asked(&self) -> (usize, usize) {
        let count =
            |registry: &FaultyRegistry| registry.take_seen().iter().filter(|seen| !seen.path.ends_with("/v2/")).count();
        (count(&self.first), count(&self.second))
    }
}

#[test]
fn the_first_mirror_is_asked_and_nobody_else() {
    let rig = Rig::new();
    rig.embed(&rig.pinned()).unwrap();
    assert_eq!(rig.asked(), (5, 0));
    assert_eq!(rig.heard.take(), Vec::<String>::new());
}

#[test]
fn a_mirror_that_fails_is_told_of_and_the_next_one_is_asked() {
    let layer = |rig: &Rig| rig.repository.blobs[0].digest.clone();
    let wrong = |rig: &Rig| vec![7; rig.repository.blob(&layer(rig)).unwrap().bytes.len()];
    for (name, fault, words) in [
        ("absent", Fault::Status(404), "does not exist"),
        ("forbidden", Fault::Status(403), "not accessible"),
        ("overloaded", Fault::Status(503), "answered 503"),
        ("breaking off", Fault::BreakOff(10), "broke off"),
    ] {
        let rig = Rig::new();
        rig.first.fail(&layer(&rig), fault);
        rig.embed(&rig.pinned()).unwrap_or_else(|e| panic!("{name}: {e:#}"));
        let (first, second) = rig.asked();
        assert!(first >= 1 && second >= 1, "{name}: {first}, {second}");
        let heard = rig.heard.take().join("\n");
        assert!(heard.contains(words) && heard.contains("is asked instead"), "{name}: {heard}");
        assert!(heard.contains(&format!("mirror `{}/team/app`", rig.first.address())), "{name}: {heard}");
    }
    // Who lies is found out by the hash, and not asked for that blob again.
    let rig = Rig::new();
    rig.first.fail(&layer(&rig), Fault::Replace(wrong(&rig)));
    rig.embed(&rig.pinned()).unwrap();
    assert_eq!(rig.asked().1, 1, "only the one blob comes from the other");
    let heard = rig.heard.take();
    assert!(heard.iter().any(|line| line.contains("other bytes came") && line.contains("anew")), "{heard:?}");
    let liar = format!("`{}/team/app` served other bytes", rig.first.address());
    assert!(heard.iter().any(|line| line.contains(&liar)), "{heard:?}");
    // So is one that serves another manifest.
    let rig = Rig::new();
    rig.first.fail(&rig.index.digest, Fault::Replace(b"{}".to_vec()));
    rig.embed(&rig.pinned()).unwrap();
    assert!(rig.heard.take().join("\n").contains("served other bytes"));
}

/// A portal, for example, that answers everything with a page.
#[test]
fn a_mirror_that_answers_with_something_else_is_passed_over() {
    let rig = Rig::new();
    rig.first.fail("manifests", Fault::Replace(b"<html>log in</html>".to_vec()));
    rig.embed("primary.invalid/x/team/app:v1").unwrap();
    let heard = rig.heard.take().join("\n");
    let first = format!("`{}/team/app:v1` is not usable", rig.first.address());
    let second = format!("is what the mirror `{}/team/app` says it is", rig.second.address());
    assert!(heard.contains(&first) && heard.contains(&second), "{heard}");
}

#[test]
fn a_mirror_that_breaks_off_and_one_that_lies_do_not_make_a_blob_together() {
    let rig = Rig::new();
    let layer = &rig.repository.blobs[0];
    rig.first.fail(&layer.digest, Fault::BreakOff(10));
    rig.second.fail(&layer.digest, Fault::Replace(vec![7; layer.bytes.len()]));
    let error = text(rig.embed(&rig.pinned()));
    assert!(error.contains("other bytes") || error.contains("cannot be reached"), "{error}");
    rig.second.heal();
    rig.embed(&rig.pinned()).unwrap();
}

#[test]
fn where_all_fail_each_is_named() {
    let rig = Rig::new();
    rig.first.fail("manifests", Fault::Status(404));
    rig.second.fail("manifests", Fault::Status(403));
    let error = text(rig.embed(&rig.pinned()));
    for words in
        [rig.first.address(), rig.second.address(), "does not exist: 404", "not accessible: 403", "primary.invalid"]
    {
        assert!(error.contains(words), "no `{words}` in {error}");
    }
    // Neither 404 nor 403 is asked twice.
    assert_eq!(rig.asked(), (1, 1));
}

#[test]
fn settings_say_who_may_be_asked() {
    let mirror = |more: &str| format!("[[registry.mirror]]\nlocation = \"FIRST\"\n{more}");
    let registry = |more: &str| format!("[[registry]]\nprefix = \"primary.invalid/x\"\nlocation = \"SECOND\"\n{more}");
    let tag = "primary.invalid/x/team/app:v1".to_owned();
    for (name, conf, by_digest, by_tag) in [
        ("moved", registry(""), (0, 5), (0, 5)),
        ("a mirror", registry(&mirror("")), (5, 0), (5, 0)),
        ("by digest only", registry(&format!("mirror-by-digest-only = true\n{}", mirror(""))), (5, 0), (4, 1)),
        ("digests only", registry(&mirror("pull-from-mirror = \"digest-only\"")), (5, 0), (4, 1)),
        ("tags only", registry(&mirror("pull-from-mirror = \"tag-only\"")), (0, 5), (1, 4)),
        ("no port there", registry(&mirror("")).replace("FIRST", "127.0.0.1:1"), (0, 5), (0, 5)),
    ] {
        let rig = Rig::new();
        rig.configure(&conf);
        rig.embed(&rig.pinned()).unwrap_or_else(|e| panic!("{name}: {e:#}"));
        assert_eq!(rig.asked(), by_digest, "{name}, by digest");
        rig.embed(&tag).unwrap_or_else(|e| panic!("{name}: {e:#}"));
        assert_eq!(rig.asked(), by_tag, "{name}, by tag");
    }
}

#[test]
fn a_blocked_registry_lives_on_by_its_mirrors_only() {
    let rig = Rig::new();
    let blocked = "[[registry]]\nlocation = \"primary.invalid/x\"\nblocked = true\n";
    rig.configure(&format!("{blocked}[[registry.mirror]]\nlocation = \"FIRST\"\n"));
    rig.embed(&rig.pinned()).unwrap();
    assert_eq!(rig.asked(), (5, 0));
    // A mirror for tags has the digests behind its tag as well.
    rig.configure(&format!("{blocked}[[registry.mirror]]\nlocation = \"FIRST\"\npull-from-mirror = \"tag-only\"\n"));
    rig.embed("primary.invalid/x/team/app:v1").unwrap();
    assert_eq!(rig.asked(), (5, 0));
    let error = text(rig.embed(&rig.pinned()));
    assert!(error.contains("not to be used") && error.contains("`blocked`"), "{error}");
    rig.configure(blocked);
    let error = rig.embed(&rig.pinned()).unwrap_err();
    let own = error.chain().find_map(|cause| cause.downcast_ref::<bootc_embed::registry::Error>()).unwrap();
    assert!(own.hints()[0].contains("--registries-conf"), "{:?}", own.hints());
    assert_eq!(rig.asked(), (0, 0));
}

/// A mirror that is away costs one try, not one for each blob.
#[test]
fn a_mirror_that_is_gone_is_left_alone_for_a_while() {
    let rig = Rig::new();
    rig.first.fail("team/app", Fault::Status(503));
    rig.embed(&rig.pinned()).unwrap();
    let (first, second) = rig.asked();
    assert_eq!((first, second), (1, 5));
    assert_eq!(rig.heard.take().len(), 1);
}

/// `insecure` of one registry opens no other.
#[test]
fn only_what_is_insecure_is_asked_without_tls() {
    let rig = Rig::new();
    let secure = |conf: &str| {
        rig.configure(conf);
        let registries_conf = vec![rig.folder.path().join("registries.conf")];
        let lane = lane(Options { tls_verify: true, registries_conf, ..options() });
        let resolved = resolve_all(&[rig.pinned()], &platforms(&["linux/amd64"]), &lane)?;
        let folder = tempfile::tempdir().expect("a folder can be made");
        fill(folder.path(), &resolved, &lane)
    };
    let registry = |insecure| {
        format!(
            "[[registry]]\nlocation = \"primary.invalid/x\"\nmirror = [{{ location = \"FIRST\" }}, {{ location = \"SECOND\", insecure = {insecure} }}]\n"
        )
    };
    secure(&registry(true)).unwrap();
    assert_eq!(rig.asked(), (0, 5));
    assert!(text(secure(&registry(false))).contains(rig.second.address()));
    assert_eq!(rig.asked(), (0, 0));
}
