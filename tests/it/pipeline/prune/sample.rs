//! The sample is pruned as the release tooling accepts it.

use super::{COMPONENTS, Sample, file, layer, platform, text};
use crate::cli::samples::samples;
use bootc_embed::model::{Digest, Reference, Repository};
use bootc_embed::prune::{
    Choice, Compression, Content, Dropped, ImageReferences, Kept, NewRelease, Outcome, Payload, PruneReport,
    RebuiltImage, ReleaseImage, Rewrite, new_image, new_index, release_entries,
};
use std::collections::BTreeMap;
use std::io::Read as _;

const SOURCE: &str = "127.0.0.1:5710/openshift-release-dev/ocp-release@sha256:8cfc4e4b0dae91278bb8929a0d2d9671887f08e74946c77372b807c9cfdfba24";

fn choice(platforms: &[&str]) -> Choice {
    let platforms = platforms.iter().map(|name| platform(name)).collect();
    Choice { platforms, drop_placeholders: true, components: Vec::new() }
}

fn prune(choice: &Choice) -> Vec<Outcome> {
    let sample = Sample::read();
    choice.prune(&sample.content(), &sample.indexes).unwrap()
}

fn repository(name: &str) -> Repository {
    format!("{name}:x").parse::<Reference>().unwrap().repository().clone()
}

/// Component and, for each entry that is kept, its architecture and why.
fn kept(outcomes: &[Outcome]) -> BTreeMap<&str, Vec<(&str, Kept)>> {
    outcomes
        .iter()
        .map(|outcome| {
            let entries = outcome.kept.iter();
            let entry = entries.map(|(entry, why)| (entry.platform.as_ref().unwrap().architecture.as_str(), *why));
            (outcome.component.name.as_str(), entry.collect())
        })
        .collect()
}

fn unzipped(bytes: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut archive).unwrap();
    archive
}

#[test]
fn a_payload_is_written_as_it_was() {
    for name in ["layer-promoted-top.tar.gz", "layer-nightly.tar.gz"] {
        let payload = layer(name);
        let archive = unzipped(&file(name));
        assert_eq!(payload.archive(), archive, "{name}");
        assert_eq!(*payload.diff_id(), Digest::of(&archive));
        let written = payload.write().unwrap();
        assert_eq!(unzipped(&written.bytes), archive);
        assert_eq!(written.digest, Digest::of(&written.bytes));
        assert_eq!(written.diff_id, *payload.diff_id());
        assert_eq!(written, layer(name).write().unwrap(), "always the same bytes");
        assert_eq!(written.bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], "no time, no name");
        assert_eq!(Payload::read(archive.as_slice(), Compression::Plain).unwrap(), payload);
        let zstd = zstd::encode_all(archive.as_slice(), 3).unwrap();
        assert_eq!(Payload::read(zstd.as_slice(), Compression::Zstd).unwrap(), payload);
    }
    let payload = layer("layer-promoted-top.tar.gz");
    let folder = &payload.entries()[0];
    assert_eq!((folder.path(), folder.mode(), folder.content()), ("release-manifests", 0o777, None));
    let first = &payload.entries()[1];
    assert_eq!((first.name(), first.mode(), first.owner()), ("image-references", 0o444, (0, 0)));
    assert_eq!(first.mtime(), 1_700_000_000);
}

#[test]
fn a_release_says_what_it_is_made_of() {
    let content = Sample::read().content();
    assert_eq!(content.version, "4.20.0");
    let names: Vec<&str> = content.components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, COMPONENTS);
    assert_eq!(content.pullspecs().len(), 7);
    let index = Sample::read().index;
    let entries = release_entries(&index, &[platform("linux/arm64"), platform("linux/amd64")]).unwrap();
    let architectures: Vec<&str> = entries.iter().map(|(platform, _)| platform.architecture.as_str()).collect();
    assert_eq!(architectures, ["amd64", "arm64"], "in the order of the index");
}

#[test]
fn indexes_keep_the_chosen_architectures() {
    for outcome in prune(&choice(&["linux/amd64", "linux/arm64"])) {
        let list = text(&format!("list-{}.json", outcome.component.name));
        let (third, _) = list.match_indices(",\n    {").nth(1).unwrap();
        let expected = format!("{}\n  ]\n}}", &list[..third]);
        let pruned = outcome.pruned.as_ref().unwrap();
        assert_eq!(String::from_utf8_lossy(pruned.bytes()), expected);
        assert_eq!(outcome.digest(), pruned.digest());
        assert!(outcome.kept.iter().all(|(_, why)| *why == Kept::Architecture));
        // Nobody chose these, placeholders or not.
        assert!(outcome.dropped.iter().all(|(_, why)| *why == Dropped::Architecture));
        assert_eq!((outcome.kept.len(), outcome.dropped.len()), (2, 2));
    }
}

#[test]
fn placeholders_go_unless_nothing_else_is_left() {
    const AWS: &str = "aws-cloud-controller-manager";
    let alone = prune(&choice(&["linux/ppc64le"]));
    let of_alone = kept(&alone);
    assert_eq!(of_alone[AWS], [("ppc64le", Kept::Placeholder)]);
    assert_eq!(of_alone["pod"], [("ppc64le", Kept::Architecture)]);
    assert_eq!(of_alone["cli"], [("ppc64le", Kept::Architecture)]);
    let both = prune(&choice(&["linux/ppc64le", "linux/s390x"]));
    assert_eq!(kept(&both)[AWS], [("ppc64le", Kept::Placeholder), ("s390x", Kept::Placeholder)]);

    let mut mixed = choice(&["linux/amd64", "linux/s390x"]);
    let outcomes = prune(&mixed);
    assert_eq!(kept(&outcomes)[AWS], [("amd64", Kept::Architecture)]);
    let reasons: Vec<Dropped> = outcomes[0].dropped.iter().map(|(_, why)| *why).collect();
    assert_eq!(reasons, [Dropped::Architecture, Dropped::Architecture, Dropped::Placeholder]);
    assert_eq!(kept(&outcomes)["pod"].len(), 2, "they are what `pod` is");
    mixed.drop_placeholders = false;
    assert_eq!(kept(&prune(&mixed))[AWS].len(), 2);

    mixed.components = vec![AWS.to_owned()];
    for outcome in prune(&mixed) {
        assert_eq!(outcome.pruned.is_some(), outcome.component.name == AWS);
    }
}

#[test]
fn single_manifests_stay() {
    let mut sample = Sample::read();
    let mut content = sample.content();
    let single = sample.images[0].manifest.clone();
    content.components[1].digest = single.digest().clone();
    sample.indexes.insert(single.digest().clone(), single.clone());
    let outcomes = choice(&["linux/arm64"]).prune(&content, &sample.indexes).unwrap();
    assert!(outcomes[1].pruned.is_none() && outcomes[1].kept.is_empty() && outcomes[1].dropped.is_empty());
    assert_eq!(outcomes[1].digest(), single.digest());
}

/// Lines of one text that the other has not.
fn only_in(one: &str, other: &str) -> String {
    one.lines().filter(|line| !other.lines().any(|o| o == *line)).map(|line| format!("{}\n", line.trim())).collect()
}

#[test]
fn a_whole_release() {
    let sample = Sample::read();
    let content = sample.content();
    let choice = choice(&["linux/amd64", "linux/arm64"]);
    let outcomes = choice.prune(&content, &sample.indexes).unwrap();
    let to = repository("mirror.example/ocp/components");
    let pullspecs: BTreeMap<Reference, Reference> = outcomes
        .iter()
        .map(|outcome| {
            let new = to.at(outcome.digest()).to_string().parse().unwrap();
            (outcome.component.pullspec.clone(), new)
        })
        .collect();
    let known = content.pullspecs().into_iter().cloned().collect();
    let rewrite = Rewrite { pullspecs: pullspecs.clone(), known, source: SOURCE.to_owned() };
    let (mut new, mut images) = (BTreeMap::new(), Vec::new());
    for image in &sample.images {
        let rewritten = rewrite.apply(&image.payload).unwrap();
        let written = rewritten.payload.write().unwrap();
        let made = new_image(image, &written).unwrap();
        check_image(image, &made.manifest, &made.config, &written);
        // What was made can be read again, and is a release.
        let again = ReleaseImage {
            platform: image.platform.clone(),
            manifest: made.manifest.clone(),
            config: made.config,
            payload: Payload::read(written.bytes.as_slice(), Compression::Gzip).unwrap(),
        };
        assert_eq!(again.payload, rewritten.payload);
        let read = Content::read(std::slice::from_ref(&again), true).unwrap();
        let images_now: Vec<&Reference> = read.components.iter().map(|component| &component.pullspec).collect();
        let expected: Vec<&Reference> =
            content.components.iter().map(|component| &pullspecs[&component.pullspec]).collect();
        assert_eq!(images_now, expected);
        new.insert(image.manifest.digest().clone(), made.manifest.descriptor());
        images.push(RebuiltImage {
            platform: image.platform.clone(),
            old: image.manifest.digest().clone(),
            new: made.manifest.digest().clone(),
            rewritten,
        });
    }
    check_files(&sample.images[0].payload, &images[0].rewritten.payload);
    let index = new_index(&sample.index, &new).unwrap();
    check_index(&index);
    let release = NewRelease {
        source: SOURCE,
        to: &repository("mirror.example/ocp/release"),
        digest: index.digest(),
        images: &images,
        pullspecs: &pullspecs,
    };
    let weights = outcomes.iter().flat_map(|outcome| &outcome.dropped).map(|(entry, _)| (entry.digest.clone(), 1000));
    let report = PruneReport::new(&content, &choice, &outcomes, &weights.take(3).collect(), release);
    // Each component drops two; two of aws are those of pod.
    assert_eq!((report.saved.instances, report.saved.of_unknown_content), (12, 9));
    assert_eq!((report.saved.content_bytes, report.saved.manifest_bytes), (3000, 9 * 730));
    assert_eq!(report.components.len(), 7);
    assert!(report.images.iter().all(|image| image.foreign.is_empty()));
    insta::assert_snapshot!(report.notes.join("\n").replace(&index.digest().to_string(), "NEW"), @r#"
    the new release is not signed: clusters install it, but an update to it needs `--force`, or a signature of your own: `cosign sign --recursive --key KEY mirror.example/ocp/release@NEW`, and a ClusterImagePolicy with your key
    OpenShift's ClusterImagePolicy `openshift` judges `quay.io/openshift-release-dev/ocp-release` (from 4.21 on) and `quay.io/openshift-release-dev/ocp-v4.0-art-dev`, `quay.io/openshift-release-dev/ocp-v5.0-art-dev` (from 4.22 on): nothing of the new release is there. Use it by its own name, and do not make it a mirror of those
    7 pruned indexes have new digests, which nobody has signed; signatures of the instances in them hold. Sign them alike where a policy judges them: the new pullspecs are in `pullspecs`
    "#);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<PruneReport>(&json).unwrap(), report);
    insta::assert_snapshot!(serde_json::to_string_pretty(&report.images[0].replacements).unwrap(), @r#"
    {
      "0000_26_ccm_images.yaml": 2,
      "0000_80_machine-config_02_images.configmap.yaml": 3,
      "0000_80_machine-config_04_deployment.yaml": 2,
      "image-references": 7
    }
    "#);
}

/// Config and manifest differ from the old ones by two digests and two sizes.
fn check_image(
    old: &ReleaseImage,
    manifest: &bootc_embed::model::RawManifest,
    config: &[u8],
    layer: &bootc_embed::prune::NewLayer,
) {
    let old_diff_id = old.payload.diff_id().to_string();
    let expected = String::from_utf8(old.config.clone()).unwrap().replace(&old_diff_id, &layer.diff_id.to_string());
    assert_eq!(String::from_utf8_lossy(config), expected);
    let expected = String::from_utf8(old.manifest.bytes().to_vec())
        .unwrap()
        .replace(&Digest::of(&old.config).to_string(), &Digest::of(config).to_string())
        .replace("sha256:7cc8ac73a26512e05868103a3ab92adb4f8fa915946b15f41cecee24e4a6373a", &layer.digest.to_string())
        .replace("\"size\": 1976", &format!("\"size\": {}", layer.size()));
    assert_eq!(String::from_utf8_lossy(manifest.bytes()), expected);
}

/// The index is that of the tooling, but for the digests.
fn check_index(index: &bootc_embed::model::RawManifest) {
    let without = |text: &str| {
        let digests = text.match_indices("sha256:").map(|(at, _)| text[at..at + 71].to_owned()).collect::<Vec<_>>();
        digests.iter().fold(text.to_owned(), |text, digest| text.replace(digest, "DIGEST"))
    };
    let ours = String::from_utf8_lossy(index.bytes()).into_owned();
    assert_eq!(without(&ours), without(&text("pruned-release.list.json")));
}

fn check_files(old: &Payload, new: &Payload) {
    let list: String = new
        .entries()
        .iter()
        .map(|entry| {
            let size = entry.content().map_or(0, <[u8]>::len);
            format!("{:o} {:?} {} {size} {}\n", entry.mode(), entry.owner(), entry.mtime(), entry.path())
        })
        .collect();
    insta::assert_snapshot!(list, @r#"
    777 (0, 0) 1700000000 0 release-manifests
    444 (0, 0) 1700000000 5464 release-manifests/image-references
    444 (0, 0) 1700000000 238 release-manifests/release-metadata
    444 (0, 0) 1700000000 382 release-manifests/0000_26_ccm_images.yaml
    444 (0, 0) 1700000000 51 release-manifests/0000_50_cluster-cloud-controller-manager-operator_plain-no-prefix.yaml
    444 (0, 0) 1700000000 257 release-manifests/0000_00_cluster-version-operator_30_deployment.yaml
    444 (0, 0) 1700000000 528 release-manifests/0000_80_machine-config_02_images.configmap.yaml
    444 (0, 0) 1700000000 532 release-manifests/0000_80_machine-config_04_deployment.yaml
    "#);
    let stream = |payload: &Payload| String::from_utf8(payload.image_references().unwrap().to_vec()).unwrap();
    let (old_stream, new_stream) = (stream(old), stream(new));
    insta::assert_snapshot!(only_in(&new_stream, &old_stream), @r#"
    "release.openshift.io/from-release": "127.0.0.1:5710/openshift-release-dev/ocp-release@sha256:8cfc4e4b0dae91278bb8929a0d2d9671887f08e74946c77372b807c9cfdfba24"
    "name": "mirror.example/ocp/components@sha256:3ba446fb8b0e1d7801c3ef2c8963fc76a857e918644079d50b7ec912b63f35cb"
    "name": "mirror.example/ocp/components@sha256:00445217dd7dbfdb52e5b61863abe175c41de13a7ab950c195c51f9ffbdf359e"
    "name": "mirror.example/ocp/components@sha256:d3265d1a0645c6e23a53c415a92bb6561e92de033f296325ae25595f69dafd34"
    "name": "mirror.example/ocp/components@sha256:e60f844f2925986c4f55acc520838b166154843203a30de9cf59246a9b19fa58"
    "name": "mirror.example/ocp/components@sha256:3dd8285e4b32afca915281c14ae11829be3855857e049ba7c828fc57c0faf925"
    "name": "mirror.example/ocp/components@sha256:c670c7548f53459a4dda898c81f5a8967d980c9d7a0d7f3be7108e234d5bcfc2"
    "name": "mirror.example/ocp/components@sha256:1b5fc3770ba2b387021d7c321900af75f542acfb024f715a052bae3baa53ce4d"
    "#);
    assert_eq!(only_in(&old_stream, &new_stream).lines().count(), 8);
    assert_eq!(old.release_metadata().unwrap(), new.release_metadata().unwrap());
}

#[test]
fn the_stale_layer_is_no_payload() {
    let mut sample = Sample::read();
    sample.images[1].payload = layer("layer-nightly.tar.gz");
    let error = format!("{:#}", Content::read(&sample.images, true).unwrap_err());
    assert!(error.contains("linux/arm64") && error.contains("its last layer should be"), "{error}");
}

#[test]
fn real_files() {
    let Some(samples) = samples("image-references and manifests of real releases") else { return };
    let folder = samples.join("release");
    let mut count = 0;
    for name in ["4.8-image-references.json", "synthetic-oc/layer-nightly/release-manifests/image-references"] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let stream = ImageReferences::parse(&bytes).unwrap();
        assert!(stream.print() == bytes, "{name}");
        count += stream.tags().unwrap().len();
    }
    assert_eq!(count, 147);
    // A real manifest names an image that is no part of the release, in JSON in a ConfigMap.
    let bootimages = std::fs::read(folder.join("4.10-installer-coreos-bootimages.yaml")).unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o444);
        archive.append_data(&mut header, format!("release-manifests/{name}"), content).unwrap();
    };
    add("image-references", &std::fs::read(folder.join("4.8-image-references.json")).unwrap());
    add("bootimages.yaml", &bootimages);
    let payload = Payload::read(archive.into_inner().unwrap().as_slice(), Compression::Plain).unwrap();
    let rewrite = Rewrite { pullspecs: BTreeMap::new(), known: Vec::new(), source: SOURCE.to_owned() };
    let rewritten = rewrite.apply(&payload).unwrap();
    assert_eq!(rewritten.payload.file("bootimages.yaml"), Some(bootimages.as_slice()));
    let foreign = rewritten.foreign.iter().filter(|foreign| foreign.file == "bootimages.yaml");
    assert_eq!(
        foreign.map(|foreign| foreign.reference.as_str()).collect::<Vec<_>>(),
        [
            "quay.io/openshift-release-dev/ocp-v4.0-art-dev@sha256:5ba2d624b78fff140a255baa17c5713b07316a1c809f922717ed014128d6ac85"
        ]
    );
}
