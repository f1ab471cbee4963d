//! What holds of every index and every choice.

use crate::pipeline::instance;
use crate::support::fixture::{Entry, Format, Index, Instance, Spelling, attestation};
use bootc_embed::model::{Manifest, Platform, RawManifest, Reference};
use bootc_embed::prune::{Choice, Component, Content, Dropped, Kept};
use proptest::prelude::*;
use proptest::sample::subsequence;
use std::collections::BTreeMap;

const ALL: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/ppc64le", "linux/s390x"];

/// An index, with attestations and with placeholders for some platforms.
fn index(name: &str, built: &[&str], pods: &[&str], attested: bool, docker: bool) -> RawManifest {
    let format = if docker { Format::Docker } else { Format::Oci };
    let instances: Vec<Instance> = ALL
        .iter()
        .filter(|platform| built.contains(platform) || pods.contains(platform))
        .map(|platform| instance(if pods.contains(platform) { "pod" } else { name }, platform, format))
        .collect();
    let mut index = Index::new(format).spelling(Spelling { indent: Some("  "), colon: ": ", before: "", after: "\n" });
    for instance in &instances {
        index = index.entry(Entry::new(instance));
        if attested {
            index = index.entry(Entry::attestation(&attestation(instance), instance));
        }
    }
    RawManifest::new(index.build().bytes, None).unwrap()
}

fn component(name: &str, index: &RawManifest) -> Component {
    let pullspec: Reference = format!("quay.io/x/y@{}", index.digest()).parse().unwrap();
    Component { name: name.to_owned(), pullspec, digest: index.digest().clone() }
}

fn platforms(names: &[&str]) -> Vec<Platform> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn digests(index: &RawManifest) -> Vec<String> {
    let Manifest::Index(entries) = index.parse().unwrap() else { panic!("an index") };
    entries.iter().map(|entry| entry.descriptor.digest.to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn of_any_index(
        pods in subsequence(ALL.to_vec(), 0..=4),
        chosen in subsequence(ALL.to_vec(), 1..=4),
        attested in any::<bool>(),
        docker in any::<bool>(),
        drop_placeholders in any::<bool>(),
    ) {
        let app = index("app", &ALL, &pods, attested, docker);
        let pod = index("pod", &ALL, &[], attested, docker);
        let content = Content {
            version: "1".to_owned(),
            components: vec![component("app", &app), component("pod", &pod)],
        };
        let mut indexes: BTreeMap<_, _> = [&app, &pod].map(|raw| (raw.digest().clone(), raw.clone())).into();
        let choice = Choice { platforms: platforms(&chosen), drop_placeholders, components: Vec::new() };
        let outcome = choice.prune(&content, &indexes).unwrap().remove(0);
        let new = outcome.pruned.clone().unwrap_or_else(|| app.clone());

        // A part of the old one, in its order, with the same bytes.
        let (old_digests, new_digests) = (digests(&app), digests(&new));
        let kept: Vec<String> = outcome.kept.iter().map(|(entry, _)| entry.digest.to_string()).collect();
        prop_assert_eq!(&new_digests, &kept);
        prop_assert!(!new_digests.is_empty());
        let left: Vec<&String> = old_digests.iter().filter(|digest| new_digests.contains(digest)).collect();
        prop_assert_eq!(left, new_digests.iter().collect::<Vec<_>>());
        prop_assert_eq!(&new, &app.retain(|digest| new_digests.iter().any(|kept| kept == digest)).unwrap());
        prop_assert_eq!(outcome.kept.len() + outcome.dropped.len(), old_digests.len());

        // What is kept is what was chosen, and placeholders only where nothing else was.
        let own = chosen.iter().filter(|platform| !pods.contains(platform)).count();
        let expected = if drop_placeholders && own > 0 { own } else { chosen.len() };
        let count = |why: Kept| outcome.kept.iter().filter(|(_, reason)| *reason == why).count();
        prop_assert_eq!(count(Kept::Architecture) + count(Kept::Placeholder), expected);
        prop_assert_eq!(count(Kept::Attestation), if attested { expected } else { 0 });
        let placeholders = outcome.dropped.iter().filter(|(_, why)| *why == Dropped::Placeholder).count();
        prop_assert_eq!(placeholders, chosen.len() - expected);

        // All of it, where all is chosen; and once is enough.
        prop_assert_eq!(outcome.pruned.is_none(), expected == ALL.len());
        indexes.insert(new.digest().clone(), new.clone());
        let again = Content { components: vec![component("app", &new), component("pod", &pod)], ..content };
        let again = choice.prune(&again, &indexes).unwrap().remove(0);
        prop_assert!(again.pruned.is_none(), "{:?}", again.dropped);
    }
}
