//! What must hold for any index, however it is written, and any choice of platforms.

use super::{fill, instance, platforms, repository, resolve_all};
use crate::support::fixture::{Blob, Entry, Format, Index, Instance, Repository, Spelling};
use crate::support::memory::MemoryRegistry;
use crate::support::tree::Tree;
use bootc_embed::model::{Platforms, RawManifest};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use std::fs;

const ALL: [&str; 6] =
    ["linux/amd64", "linux/arm64/v8", "linux/arm/v6", "linux/arm/v7", "linux/ppc64le", "linux/s390x"];

/// White space as JSON allows it.
fn white_space() -> impl Strategy<Value = &'static str> {
    select(vec!["", " ", "\n", "\t", "\r\n", "  \n\t "])
}

prop_compose! {
    fn spellings()(
        indent in proptest::option::of(select(vec!["", " ", "    ", "\t", " \t "])),
        colon in select(vec![":", ": ", " :", "\t:\n"]),
        before in white_space(),
        after in white_space(),
    ) -> Spelling {
        Spelling { indent, colon, before, after }
    }
}

prop_compose! {
    fn repositories()(
        spelling in spellings(),
        docker in any::<bool>(),
        has in subsequence(ALL.to_vec(), 1..=ALL.len()),
    ) -> (Repository, Blob, Vec<&'static str>) {
        let format = if docker { Format::Docker } else { Format::Oci };
        let (repository, index) = repository("app", &has, format, spelling);
        (repository, index, has)
    }
}

prop_compose! {
    /// An index in one of the spellings that registries have, or in any other, with fields that nobody knows;
    /// and which of its entries are kept.
    fn cuts()(
        spelling in prop_oneof![
            select(vec![Spelling::COMPACT, Spelling::DOCKER, Spelling::TABS, Spelling::ODD]),
            spellings(),
        ],
        docker in any::<bool>(),
        has in subsequence(ALL.to_vec(), 1..=ALL.len()),
        kept in proptest::collection::vec(any::<bool>(), ALL.len()),
        again in proptest::collection::vec(any::<bool>(), ALL.len()),
        text in "[\\PC\"\\\\]{0,12}",
    ) -> (Index, Vec<Instance>, Vec<bool>, Vec<bool>) {
        let format = if docker { Format::Docker } else { Format::Oci };
        let instances: Vec<Instance> = has.iter().map(|platform| instance("app", platform, format)).collect();
        let index = Index::new(format).annotation("note", &text).field("zz", json!([{ "digest": text }]));
        (index.spelling(spelling), instances, kept, again)
    }
}

/// An index with these entries, each with a field that nobody knows.
fn with_entries(index: &Index, instances: &[Instance]) -> Blob {
    let entry = |instance| Entry::new(instance).field("unknown", json!({ "]": 1.5 }));
    instances.iter().map(entry).fold(index.clone(), Index::entry).build()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn index_bytes_survive_any_spelling((repository, index, has) in repositories()) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let references = [repository.pinned("r.example", &index)];
        let registry = MemoryRegistry::new(vec![repository]);
        let resolved = resolve_all(&references, &platforms(&has[..1]), &registry).expect("it resolves");
        fill(folder.path(), &resolved, &registry).expect("it is fetched");
        let view = folder.path().join(resolved.plan.images[0].reference.key());
        prop_assert_eq!(fs::read(view.join("manifest.json")).expect("the index is there"), index.bytes.clone());
        prop_assert_eq!(fs::read(folder.path().join("blobs/sha256").join(index.hex())).expect("it is there"), index.bytes);
    }

    #[test]
    fn a_sparse_store_is_a_subset_of_the_full_one(
        (repository, index, has) in repositories(),
        choice in subsequence((0..ALL.len()).collect::<Vec<_>>(), 1..=ALL.len()),
    ) {
        let chosen: Vec<&str> = choice.iter().filter_map(|at| has.get(*at).copied()).collect();
        let chosen = if chosen.is_empty() { vec![has[0]] } else { chosen };
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (sparse, full) = (folder.path().join("sparse"), folder.path().join("full"));
        let references = [repository.pinned("r.example", &index)];
        let registry = MemoryRegistry::new(vec![repository]);
        for (path, platforms) in [(&sparse, platforms(&chosen)), (&full, Platforms::All)] {
            let resolved = resolve_all(&references, &platforms, &registry).expect("it resolves");
            fill(path, &resolved, &registry).expect("it is fetched");
        }
        let (sparse, full) = (Tree::read(&sparse), Tree::read(&full));
        let lists = ["embed.lock.json", "digest-aliases.json"].map(std::path::PathBuf::from);
        for (path, node) in sparse.0.iter().filter(|(path, _)| !lists.contains(path)) {
            prop_assert_eq!(full.0.get(path), Some(node), "{}", path.display());
        }
        // Every layer of a chosen platform is there, and no other platform's.
        let count = |tree: &Tree| tree.paths().iter().filter(|path| path.starts_with("blobs/sha256")).count();
        prop_assert_eq!(count(&full) - count(&sparse), (has.len() - chosen.len()) * 4);
    }

    #[test]
    fn a_cut_index_is_what_would_have_been_written_without_the_entries((index, instances, kept, again) in cuts()) {
        let whole = with_entries(&index, &instances);
        let whole = RawManifest::new(whole.bytes, Some(&whole.media_type)).expect("an index");
        let retained = |index: &RawManifest, kept: &[bool]| {
            index.retain(|digest| instances.iter().zip(kept).any(|(one, keep)| *keep && one.manifest.digest == digest))
        };
        let written = |kept: &[bool]| {
            let left: Vec<Instance> =
                instances.iter().zip(kept).filter(|(_, keep)| **keep).map(|(one, _)| one.clone()).collect();
            (!left.is_empty()).then(|| with_entries(&index, &left))
        };
        prop_assert_eq!(&retained(&whole, &[true; ALL.len()]).expect("it is cut"), &whole);
        let Some(expected) = written(&kept) else {
            prop_assert!(retained(&whole, &kept).is_err());
            return Ok(());
        };
        let cut = retained(&whole, &kept).expect("it is cut");
        prop_assert_eq!(String::from_utf8_lossy(cut.bytes()), String::from_utf8_lossy(&expected.bytes));
        prop_assert_eq!(&cut.descriptor().media_type, &expected.media_type);
        prop_assert!(cut.parse().is_ok());
        prop_assert_eq!(&retained(&cut, &kept).expect("it is cut"), &cut);
        // In two steps, or in one.
        let both: Vec<bool> = kept.iter().zip(&again).map(|(one, other)| *one && *other).collect();
        if written(&both).is_some() {
            prop_assert_eq!(retained(&cut, &again).expect("it is cut"), retained(&whole, &both).expect("it is cut"));
        }
    }

    #[test]
    fn whatever_the_bytes_are_cutting_leaves_the_rest(
        (index, instances, kept, _) in cuts(),
        changes in proptest::collection::vec((any::<usize>(), select(b"{}[],:\" \\u0\xffDd".to_vec()), 0..3u8), 0..4),
    ) {
        let mut bytes = with_entries(&index, &instances).bytes;
        for (at, byte, change) in changes {
            let at = at % bytes.len();
            match change {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let Ok(whole) = RawManifest::new(bytes, None) else { return Ok(()) };
        let keep = |digest: &str| kept[digest.len() % 2] || digest.ends_with(['0', '2', '4', '6', '8']);
        let Ok(cut) = whole.retain(keep) else { return Ok(()) };
        let Ok(mut expected) = serde_json::from_slice::<Value>(whole.bytes()) else { return Ok(()) };
        let entries = expected["manifests"].as_array_mut().expect("a list");
        entries.retain(|entry| keep(entry["digest"].as_str().expect("a text")));
        prop_assert_eq!(serde_json::from_slice::<Value>(cut.bytes()).expect("it can be read"), expected);
        prop_assert_eq!(&cut.retain(keep).expect("it is cut"), &cut);
    }
}
