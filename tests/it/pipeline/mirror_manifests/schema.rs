//! Types that take nothing but what the published APIs have (config.openshift.io/v1, image.openshift.io/v1,
//! containers-registries.conf(5)), and what their schemas ask of names.

use bootc_embed::emit::{Content, Emitted};
use bootc_embed::model::Reference;
use bootc_embed::registry::registries_conf::RegistriesConf;
use bootc_embed::registry::registries_d::RegistriesD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where the mirrors stand.
pub const CONF: &str = "etc/containers/registries.conf.d/60-bootc-embed-mirrors.conf";
/// Where it stands that they have signatures.
pub const REGISTRIES_D: &str = "etc/containers/registries.d/60-bootc-embed-mirrors.yaml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Object<Spec> {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
    namespace: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DigestMirrors {
    image_digest_mirrors: Vec<MirrorEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TagMirrors {
    image_tag_mirrors: Vec<MirrorEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct MirrorEntry {
    source: String,
    mirrors: Vec<String>,
    mirror_source_policy: Option<SourcePolicy>,
}

#[derive(Debug, Deserialize)]
enum SourcePolicy {
    NeverContactSource,
    AllowContactingSource,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Imports {
    import: bool,
    images: Vec<Import>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[allow(clippy::struct_field_names)]
struct Import {
    from: From,
    to: To,
    import_policy: ImportPolicy,
    reference_policy: ReferencePolicy,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    kind: String,
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct To {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ImportPolicy {
    import_mode: String,
    #[serde(default)]
    insecure: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReferencePolicy {
    r#type: String,
}

/// One file of registries.conf.d, with the keys that containers-registries.conf(5) has for mirrors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Conf {
    registry: Vec<ConfRegistry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfRegistry {
    prefix: String,
    location: String,
    mirror: Vec<ConfMirror>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ConfMirror {
    location: String,
    pull_from_mirror: String,
    #[serde(default)]
    insecure: bool,
}

/// What the schemas of mirror sets ask of a location: `host[:port][/part]…`.
fn is_location(text: &str) -> bool {
    let (registry, parts) = text.split_once('/').map_or((text, None), |(host, path)| (host, Some(path)));
    let (host, port) = registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| {
        let separators = part.split(plain).filter(|between| !between.is_empty());
        part.starts_with(plain)
            && part.ends_with(plain)
            && separators.into_iter().all(|s| matches!(s, "." | "_" | "__") || s.chars().all(|c| c == '-'))
    };
    host.split('.').all(label)
        && port.is_none_or(|port| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()))
        && parts.is_none_or(|path| path.split('/').all(part))
}

/// What was emitted, read strictly.
#[derive(Debug, Default)]
pub struct Read {
    pub by_digest: BTreeMap<String, String>,
    pub by_tag: BTreeMap<String, String>,
    /// Prefix: mirror, which pulls.
    pub conf: BTreeMap<String, (String, String)>,
    pub signed: BTreeSet<String>,
    /// `namespace/name:tag`: image.
    pub imports: BTreeMap<String, String>,
    pub insecure: BTreeSet<bool>,
    pub paths: Vec<&'static str>,
    pub warnings: Vec<String>,
}

fn yaml<T: DeserializeOwned>(text: &str, kind: &str, version: &str) -> Object<T> {
    let object: Object<T> = serde_yaml::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!((object.kind.as_str(), object.api_version.as_str()), (kind, version));
    object
}

/// Sources and mirrors of a set; each source once, each list of mirrors a set.
fn mirror_set(entries: Vec<MirrorEntry>) -> BTreeMap<String, String> {
    let count = entries.len();
    let entries: BTreeMap<String, String> = entries
        .into_iter()
        .map(|entry| {
            let [mirror] = entry.mirrors.as_slice() else { panic!("one mirror is expected: {entry:?}") };
            // Where it is not said, the source is asked last.
            assert!(entry.mirror_source_policy.is_none(), "{entry:?}");
            assert!(is_location(&entry.source) && is_location(mirror), "{entry:?}");
            (entry.source, mirror.clone())
        })
        .collect();
    assert_eq!(entries.len(), count);
    entries
}

/// Reads what was emitted.
pub fn read(emitted: Emitted) -> Read {
    let mut read = Read { warnings: emitted.warnings, ..Read::default() };
    for output in emitted.outputs {
        let Content::File(text, 0o644) = output.content else { panic!("a file is expected") };
        read.paths.push(output.path);
        match output.path {
            "idms.yaml" => {
                let set = yaml::<DigestMirrors>(&text, "ImageDigestMirrorSet", "config.openshift.io/v1");
                assert_eq!((set.metadata.name.as_str(), set.metadata.namespace), ("bootc-embed", None));
                read.by_digest = mirror_set(set.spec.image_digest_mirrors);
            }
            "itms.yaml" => {
                let set = yaml::<TagMirrors>(&text, "ImageTagMirrorSet", "config.openshift.io/v1");
                assert_eq!((set.metadata.name.as_str(), set.metadata.namespace), ("bootc-embed", None));
                read.by_tag = mirror_set(set.spec.image_tag_mirrors);
            }
            CONF => {
                RegistriesConf::parse([(Path::new("60.conf"), text.as_str())]).expect("registries.conf");
                let conf: Conf = toml::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
                for registry in conf.registry {
                    assert_eq!(registry.prefix, registry.location);
                    let [mirror] = registry.mirror.as_slice() else { panic!("one mirror is expected") };
                    read.insecure.insert(mirror.insecure);
                    let said = (mirror.location.clone(), mirror.pull_from_mirror.clone());
                    assert_eq!(read.conf.insert(registry.prefix, said), None);
                }
            }
            REGISTRIES_D => {
                let parsed = RegistriesD::parse([(Path::new("60.yaml"), text.as_str())]).expect("registries.d");
                read.signed = parsed.namespaces().map(|(name, _)| name.to_owned()).collect();
            }
            "image-stream-import.yaml" => {
                for document in text.split("\n---\n").skip(1) {
                    imports(document, &mut read);
                }
            }
            other => panic!("nobody asked for `{other}`"),
        }
    }
    read
}

fn imports(document: &str, read: &mut Read) {
    let object = yaml::<Imports>(document, "ImageStreamImport", "image.openshift.io/v1");
    assert!(object.spec.import && !object.spec.images.is_empty());
    let namespace = object.metadata.namespace.expect("a namespace");
    let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    assert!(namespace.len() <= 63 && namespace.chars().all(label), "{namespace}");
    for image in object.spec.images {
        assert_eq!((image.from.kind.as_str(), image.reference_policy.r#type.as_str()), ("DockerImage", "Source"));
        assert_eq!(image.import_policy.import_mode, "PreserveOriginal");
        read.insecure.insert(image.import_policy.insecure);
        let stream = format!("{namespace}/{}:{}", object.metadata.name, image.to.name);
        let from: Reference = image.from.name.parse().expect("a reference");
        let repository = format!("{namespace}/{}", object.metadata.name);
        assert_eq!((from.repository().path(), from.tag()), (repository.as_str(), Some(image.to.name.as_str())));
        assert!(from.digest().is_some(), "{from:?}");
        assert_eq!(read.imports.insert(stream, image.from.name), None);
    }
}
