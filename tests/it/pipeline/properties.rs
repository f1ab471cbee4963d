//! What must hold for any index, however it is written, and any choice of platforms.

use super::{fill, platforms, repository, resolve_all};
use crate::support::fixture::{Blob, Format, Repository, Spelling};
use crate::support::memory::MemoryRegistry;
use crate::support::tree::Tree;
use bootc_embed::model::Platforms;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
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
}
