//! Which entries of an index are kept, and what is refused.

use super::{instance, platforms, repository, repository_of, resolve_all, text};
use crate::support::fixture::{
    Blob, Compression, Entry, Format, Image, Instance, Layer, Repository, Spelling, attestation,
};
use crate::support::memory::MemoryRegistry;
use bootc_embed::model::plan::AliasMap;
use bootc_embed::model::progress::Silent;
use bootc_embed::model::{PlannedImage, Platforms};
use bootc_embed::registry::Registry as _;
use bootc_embed::resolve::survey;
use serde_json::json;

/// Resolves one index for platforms; the digests of the kept instances, by name.
fn kept(
    names: &[(&str, &Instance)],
    entries: Vec<Entry>,
    format: Format,
    wanted: &Platforms,
) -> Result<Vec<String>, String> {
    let instances: Vec<&Instance> = names.iter().map(|(_, instance)| *instance).collect();
    let (repository, index) = repository_of("app", &instances, entries, format);
    let references = [repository.pinned("r.example", &index)];
    let resolved = resolve_all(&references, wanted, &MemoryRegistry::new(vec![repository]));
    let image: PlannedImage = resolved.map_err(|e| format!("{e:#}"))?.plan.images.remove(0);
    let name =
        |digest: String| names.iter().find(|(_, i)| i.manifest.digest == digest).map(|(name, _)| (*name).to_owned());
    Ok(image.instances.iter().filter_map(|instance| name(instance.manifest.digest.to_string())).collect())
}

#[test]
fn entries_are_kept_as_devices_choose_them() {
    let plain = instance("plain", "linux/amd64", Format::Oci);
    let zstd_layer = Layer::new(&[("plain", b"zstd")], Compression::Zstd);
    let zstd = Image::new("linux/amd64").layer(&zstd_layer).build();
    let arm64 = instance("arm64", "linux/arm64", Format::Oci);
    let arm64v8 = instance("arm64v8", "linux/arm64/v8", Format::Oci);
    let v6 = instance("v6", "linux/arm/v6", Format::Oci);
    let v7 = instance("v7", "linux/arm/v7", Format::Oci);
    let note = attestation(&plain);
    let names = [
        ("plain", &plain),
        ("zstd", &zstd),
        ("arm64", &arm64),
        ("arm64v8", &arm64v8),
        ("v6", &v6),
        ("v7", &v7),
        ("note", &note),
    ];
    let entries = || {
        vec![
            Entry::new(&plain),
            Entry::new(&arm64),
            Entry::new(&v6),
            Entry::new(&v7),
            Entry::new(&arm64v8),
            Entry::attestation(&note, &plain),
            Entry::zstd_twin(&zstd),
        ]
    };
    for (wanted, expected) in [
        (platforms(&["linux/amd64"]), vec!["plain", "zstd"]),
        (platforms(&["linux/arm64"]), vec!["arm64", "arm64v8"]),
        (platforms(&["linux/arm64/v8"]), vec!["arm64", "arm64v8"]),
        (platforms(&["linux/arm/v7"]), vec!["v7"]),
        (platforms(&["linux/arm/v6"]), vec!["v6"]),
        (platforms(&["linux/arm"]), vec!["v6", "v7"]),
        (platforms(&["linux/amd64", "linux/arm/v7"]), vec!["plain", "v7", "zstd"]),
        (Platforms::All, vec!["plain", "arm64", "v6", "v7", "arm64v8", "note", "zstd"]),
    ] {
        assert_eq!(kept(&names, entries(), Format::Oci, &wanted).unwrap(), expected, "{wanted}");
    }
    let error = kept(&names, entries(), Format::Oci, &platforms(&["linux/s390x"])).unwrap_err();
    assert!(error.contains("no instance for linux/s390x"), "{error}");
    let all = "it has: linux/amd64, linux/arm/v6, linux/arm/v7, linux/arm64, linux/arm64/v8";
    assert!(error.contains(all), "{error}");
    let error = kept(&names, entries(), Format::Oci, &platforms(&["linux/amd64", "linux/s390x"])).unwrap_err();
    assert!(error.contains("no instance for linux/s390x;"), "{error}");
}

#[test]
fn an_arm_v7_device_runs_v6_where_there_is_no_v7() {
    let v6 = instance("v6", "linux/arm/v6", Format::Docker);
    let wanted = platforms(&["linux/arm/v7"]);
    assert_eq!(kept(&[("v6", &v6)], vec![Entry::new(&v6)], Format::Docker, &wanted).unwrap(), ["v6"]);
}

#[test]
fn entries_without_platform_are_the_last_resort_of_oci_indexes() {
    let first = instance("first", "linux/amd64", Format::Oci);
    let second = instance("second", "linux/amd64", Format::Oci);
    let other = instance("other", "linux/arm64", Format::Oci);
    let names = [("first", &first), ("second", &second), ("other", &other)];
    let nameless = |instance: &Instance| Entry::nameless(&instance.manifest);
    let wanted = platforms(&["linux/amd64"]);
    let keep = |entries, format| kept(&names, entries, format, &wanted);
    assert_eq!(keep(vec![nameless(&first), nameless(&second)], Format::Oci).unwrap(), ["first"]);
    assert_eq!(keep(vec![nameless(&first), Entry::new(&second)], Format::Oci).unwrap(), ["second"]);
    // Runtimes take the first whatever its architecture, so one that does not fit cannot be shipped.
    assert!(keep(vec![nameless(&other), nameless(&first)], Format::Oci).unwrap_err().contains("it has: linux/arm64"));
    // In a Docker list, runtimes refuse an entry without a platform.
    assert!(keep(vec![nameless(&first)], Format::Docker).unwrap_err().contains("no instance"));
}

#[test]
fn an_index_inside_an_index_is_refused_but_kept_with_all_platforms() {
    let inner_instance = instance("app", "linux/amd64", Format::Oci);
    let (inner, inner_index) = repository_of("app", &[&inner_instance], vec![Entry::new(&inner_instance)], Format::Oci);
    let outer =
        crate::support::fixture::Index::new(Format::Oci).entry(Entry::named(&inner_index, "linux/amd64")).build();
    let repository = inner.index(&outer);
    let references = [repository.pinned("r.example", &outer)];
    let registry = MemoryRegistry::new(vec![repository]);
    let error = resolve_all(&references, &platforms(&["linux/amd64"]), &registry).err().expect("refused");
    let hints: Vec<String> = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<bootc_embed::model::Failure>())
        .flat_map(|failure| failure.hints.clone())
        .collect();
    assert!(hints.iter().any(|hint| hint.contains(&inner_index.digest)), "{hints:?}");

    let plan = resolve_all(&references, &Platforms::All, &registry).unwrap().plan;
    assert_eq!(plan.images[0].nested_indexes[0].digest.to_string(), inner_index.digest);
    assert_eq!(plan.images[0].instances[0].manifest.digest.to_string(), inner_instance.manifest.digest);
    assert_eq!(plan.content().len(), 2 + 1 + 3, "two indexes, a manifest, a config, two layers");
}

#[test]
fn an_index_that_calls_an_index_an_image_is_refused() {
    let inside = instance("app", "linux/amd64", Format::Oci);
    let (inner, inner_index) = repository_of("app", &[&inside], vec![Entry::new(&inside)], Format::Oci);
    let lie = Entry::named(&inner_index, "linux/amd64").field("mediaType", json!(inside.manifest.media_type));
    let outer = crate::support::fixture::Index::new(Format::Oci).entry(lie).build();
    let repository = inner.index(&outer);
    let references = [repository.pinned("r.example", &outer)];
    let error = text(resolve_all(&references, &platforms(&["linux/amd64"]), &MemoryRegistry::new(vec![repository])));
    assert!(error.contains("calls") && error.contains(&inner_index.digest), "{error}");
}

#[test]
fn a_single_image_must_be_of_a_chosen_platform() {
    let arm = instance("app", "linux/arm64", Format::Docker);
    let repository = Repository::new("app").instances([&arm]);
    let references = [repository.pinned("r.example", &arm.manifest)];
    let registry = MemoryRegistry::new(vec![repository]);
    let error = text(resolve_all(&references, &platforms(&["linux/amd64"]), &registry));
    assert!(error.contains("is for linux/arm64, not for linux/amd64"), "{error}");
    let plan = resolve_all(&references, &platforms(&["linux/amd64", "linux/arm64"]), &registry).unwrap().plan;
    assert!(!plan.images[0].is_index());
    assert_eq!(plan.images[0].instances[0].platform.as_ref().unwrap().to_string(), "linux/arm64");
}

#[test]
fn a_config_without_architecture_is_no_contradiction() {
    let image = instance("app", "linux/amd64", Format::Oci);
    let config = Blob::new(&image.config.media_type, b"{}".to_vec());
    let manifest = json!({
        "schemaVersion": 2, "config": config.descriptor(), "layers": [image.layers[0].descriptor()],
    });
    let manifest = Blob::new(&image.manifest.media_type, Spelling::ODD.write(&manifest));
    let single = Instance { manifest: manifest.clone(), config, ..image };
    let repository = Repository::new("app").instances([&single]);
    let references = [repository.pinned("r.example", &manifest)];
    let plan =
        resolve_all(&references, &platforms(&["linux/s390x"]), &MemoryRegistry::new(vec![repository])).unwrap().plan;
    assert_eq!(plan.images[0].instances[0].platform, None);
}

#[test]
fn tags_are_resolved_once_and_pinned_by_a_lock() {
    let (old, old_index) = repository("app", &["linux/amd64"], Format::Oci, Spelling::COMPACT);
    let (new, new_index) = repository("app", &["linux/amd64"], Format::Oci, Spelling::TABS);
    let references = [old.tagged("r.example", "v1")];
    let registry = MemoryRegistry::new(vec![old.clone()]);
    let wanted = platforms(&["linux/amd64"]);
    let plan = resolve_all(&references, &wanted, &registry).unwrap().plan;
    assert!(plan.images[0].moving);
    assert_eq!(plan.images[0].manifest.digest.to_string(), old_index.digest);
    let asked = registry.manifests.lock().unwrap().clone();
    assert_eq!(asked.iter().filter(|name| name.ends_with(":v1")).count(), 1);
    assert_eq!(asked.len(), 2, "the tag, then the instance: {asked:?}");

    // The tag moves; what the lock says stays.
    let moved = MemoryRegistry::new(vec![new.instances([]).index(&old_index)]);
    let mut again = super::release(&references);
    again.components[0].pin = Some(plan.images[0].manifest.digest.clone());
    let pinned = super::wait(bootc_embed::resolve::resolve(&again, &wanted, &moved, 1, &Silent)).unwrap().plan;
    assert_eq!(pinned.images[0].manifest, plan.images[0].manifest);
    assert!(pinned.images[0].moving, "it is still named by a tag");
    let fresh = resolve_all(&references, &wanted, &moved).unwrap().plan;
    assert_eq!(fresh.images[0].manifest.digest.to_string(), new_index.digest);
}

#[test]
fn a_digest_is_asked_for_once_however_many_name_it() {
    let (repository, index) = repository("app", &["linux/amd64", "linux/arm64"], Format::Oci, Spelling::ODD);
    let references = [
        repository.pinned("r.example", &index),
        repository.pinned("other.example", &index),
        format!("r.example/app:v1@{}", index.digest),
    ];
    let registry = MemoryRegistry::new(vec![repository]);
    let resolved = resolve_all(&references, &platforms(&["linux/amd64"]), &registry).unwrap();
    assert_eq!(resolved.plan.images.len(), 3);
    assert_eq!(registry.manifests.lock().unwrap().len(), 2, "the index and the instance");
    assert_eq!(resolved.plan.images[0].absent.len(), 1);
}

#[test]
fn a_survey_counts_what_is_left_out_and_forgives_what_is_gone() {
    let (repository, index) = repository("app", &["linux/amd64", "linux/arm64"], Format::Oci, Spelling::COMPACT);
    let references = [repository.pinned("r.example", &index)];
    let all: u64 = repository.blobs.iter().chain(&repository.manifests).map(|blob| blob.bytes.len() as u64).sum();
    let mut sparse = repository.clone();
    let foreign = sparse.manifests.remove(1);
    let registry = MemoryRegistry::new(vec![repository]);
    let resolved = resolve_all(&references, &platforms(&["linux/amd64"]), &registry).unwrap();
    assert_eq!(super::wait(survey(&resolved, &registry, 2, &Silent)).unwrap().images, [all]);
    let sparse = MemoryRegistry::new(vec![sparse]);
    assert!(foreign.digest != index.digest);
    assert_eq!(super::wait(survey(&resolved, &sparse, 2, &Silent)).unwrap().images, [resolved.plan.size()]);
}

#[test]
fn the_alias_map_names_the_first_of_twins() {
    let gzip = instance("app", "linux/amd64", Format::Oci);
    let zstd = Image::new("linux/amd64").layer(&Layer::new(&[("x", b"y")], Compression::Zstd)).build();
    let entries = vec![Entry::new(&gzip), Entry::zstd_twin(&zstd)];
    let (repository, index) = repository_of("app", &[&gzip, &zstd], entries, Format::Oci);
    let references = [repository.pinned("r.example", &index)];
    let plan =
        resolve_all(&references, &platforms(&["linux/amd64"]), &MemoryRegistry::new(vec![repository])).unwrap().plan;
    let AliasMap { aliases, .. } = plan.aliases();
    assert_eq!(aliases[0].digest.to_string(), index.digest);
    let native: Vec<String> = aliases[0].instances.values().map(ToString::to_string).collect();
    assert_eq!(native, [gzip.manifest.digest]);
}

#[test]
fn a_registry_that_serves_other_bytes_is_caught() {
    let (mut repository, index) = repository("app", &["linux/amd64"], Format::Oci, Spelling::COMPACT);
    let references = [repository.pinned("r.example", &index)];
    // The same index, written otherwise, under the old digest: what a helpful proxy does.
    let rewritten = Blob { bytes: [&index.bytes[..], b"\n"].concat(), ..index };
    let last = repository.manifests.len() - 1;
    repository.manifests[last] = rewritten;
    let registry = MemoryRegistry::new(vec![repository]);
    let error = text(resolve_all(&references, &platforms(&["linux/amd64"]), &registry));
    assert!(error.contains("served other bytes"), "{error}");
    let reference: bootc_embed::model::Reference = references[0].parse().unwrap();
    let at = bootc_embed::registry::At::Digest(reference.digest().unwrap());
    assert!(super::wait(registry.manifest(reference.repository(), at)).is_err());
}

#[test]
fn what_no_runtime_imports_is_refused() {
    let image = instance("app", "linux/amd64", Format::Oci);
    let single = |config: Blob, announced: u64| {
        let config_descriptor = json!({ "mediaType": config.media_type, "digest": config.digest, "size": announced });
        let manifest =
            json!({ "schemaVersion": 2, "config": config_descriptor, "layers": [image.layers[0].descriptor()] });
        let manifest = Blob::new(&image.manifest.media_type, Spelling::COMPACT.write(&manifest));
        Instance { manifest, config, ..image.clone() }
    };
    let chart = single(Blob::new("application/vnd.cncf.helm.config.v1+json", b"{}".to_vec()), 2);
    let huge = single(Blob::new(&image.config.media_type, b"{}".to_vec()), 5 << 20);
    for (broken, words) in [
        (&chart, "is no container image: its config is of type `application/vnd.cncf"),
        (&huge, "which runtimes refuse"),
    ] {
        let entries = vec![Entry::named(&broken.manifest, "linux/amd64")];
        let error =
            kept(&[("broken", broken)], entries.clone(), Format::Oci, &platforms(&["linux/amd64"])).unwrap_err();
        assert!(error.contains(words), "{error}");
        kept(&[("broken", broken)], entries, Format::Oci, &Platforms::All).unwrap();
    }
    let repository = Repository::new("app").instances([&chart]);
    let references = [repository.pinned("r.example", &chart.manifest)];
    let error = text(resolve_all(&references, &platforms(&["linux/amd64"]), &MemoryRegistry::new(vec![repository])));
    assert!(error.contains("is no container image"), "{error}");
}

#[test]
fn one_digest_has_one_size() {
    let image = instance("app", "linux/amd64", Format::Oci);
    let layer = &image.layers[0];
    let mut lie = layer.descriptor();
    lie["size"] = json!(layer.bytes.len() + 1);
    let manifest =
        json!({ "schemaVersion": 2, "config": image.config.descriptor(), "layers": [layer.descriptor(), lie] });
    let manifest = Blob::new(&image.manifest.media_type, Spelling::COMPACT.write(&manifest));
    let repository = Repository::new("app").instances([&Instance { manifest: manifest.clone(), ..image.clone() }]);
    let references = [repository.pinned("r.example", &manifest)];
    let registry = MemoryRegistry::new(vec![repository]);
    let error = text(resolve_all(&references, &platforms(&["linux/amd64"]), &registry));
    assert!(error.contains(&layer.digest) && error.contains("is announced with"), "{error}");
}

#[test]
fn an_entry_under_another_algorithm_does_not_spoil_the_others() {
    let image = instance("app", "linux/amd64", Format::Oci);
    let other =
        Entry::named(&image.manifest, "linux/arm64").field("digest", json!(format!("sha512:{}", "a".repeat(128))));
    let entries = vec![other, Entry::new(&image)];
    assert_eq!(kept(&[("app", &image)], entries, Format::Oci, &platforms(&["linux/amd64"])).unwrap(), ["app"]);
}
