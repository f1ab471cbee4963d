//! What lets the embedded images be imported on a device that verifies: a policy for the import
//! alone, and registries.d for what the device pulls later. The device's own policy.json is never touched.

use super::mirror::{Found, Tag};
use super::{Content, Emitted, Output};
use crate::model::mirror::Mirror;
use crate::model::{Plan, PlannedImage};
use crate::registry::registries_conf::RegistriesConf;
use crate::registry::registries_d::RegistriesD;
use crate::trust::{Policy, Requirement, scopes};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Where the policy of the import goes.
pub const IMPORT_POLICY: &str = "usr/share/bootc-embed/import-policy.json";
/// Where the drop-in of registries.d goes.
pub const REGISTRIES_D: &str = "etc/containers/registries.d/50-bootc-embed.yaml";

/// How many images a warning names.
const NAMED: usize = 5;

/// What is known besides the plan: the settings of the device, and what mirrors have.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The device's policy; `None` where it has none, or none is known.
    pub policy: Option<&'a Policy>,
    /// Its registries.d, without the drop-in that is written here.
    pub registries_d: &'a RegistriesD,
    /// Its registries.conf.
    pub registries_conf: &'a RegistriesConf,
    /// The signature tags that should be on mirrors, and what is there.
    pub tags: &'a [(Tag, Found)],
    /// Where mirrors have the images.
    pub mirrors: &'a [Mirror],
    /// Whether the mirrors speak plain HTTP, or have certificates that nobody can verify.
    pub insecure: bool,
}

impl Default for Known<'_> {
    /// Nothing.
    fn default() -> Self {
        static NOTHING: LazyLock<(RegistriesD, RegistriesConf)> = LazyLock::new(Default::default);
        let (registries_d, registries_conf) = (&NOTHING.0, &NOTHING.1);
        Self { policy: None, registries_d, registries_conf, tags: &[], mirrors: &[], insecure: false }
    }
}

/// What the import asks of a view.
struct Rule {
    requirements: Vec<Requirement>,
    /// The scope of a policy that wants more of the image than is asked of a folder.
    given_up: Option<String>,
}

impl Rule {
    fn of(image: &PlannedImage, policy: Option<&Policy>) -> Self {
        let reference = &image.reference;
        let Some(policy) = policy else { return Self { requirements: Vec::new(), given_up: None } };
        let (wanted, scope) = policy.requirements("docker", &scopes::of_docker(reference));
        let is_asked = |wanted: &&Requirement| **wanted != Requirement::InsecureAcceptAnything;
        let (mut requirements, mut given_up) = (Vec::new(), None);
        for requirement in wanted.iter().filter(is_asked) {
            match requirement.for_folder(reference) {
                Some(requirement) => requirements.push(requirement),
                None => given_up = Some(scope.clone()),
            }
        }
        Self { requirements, given_up }
    }
}

/// The policy of the import, and the drop-in where one is needed.
pub fn emit(plan: &Plan, store: &str, device: &Known<'_>) -> Emitted {
    let mut views = Map::new();
    let mut given_up: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for image in &plan.images {
        let mut rule = Rule::of(image, device.policy);
        if let Some(scope) = rule.given_up {
            given_up.entry(scope).or_default().push(image.reference.as_str());
        }
        if rule.requirements.is_empty() {
            // The copy is still checked by digest, and the rule is for this folder alone.
            rule.requirements.push(Requirement::InsecureAcceptAnything);
        }
        let requirements: Vec<Value> = rule.requirements.iter().map(Requirement::to_json).collect();
        views.insert(format!("{store}/{}", image.reference.key()), Value::Array(requirements));
    }
    let policy = json!({ "default": [{ "type": "reject" }], "transports": { "dir": views } });
    // Values of this program's own: this cannot fail.
    let text = serde_json::to_string_pretty(&policy).unwrap_or_default() + "\n";
    let mut emitted = Emitted {
        outputs: vec![Output { path: IMPORT_POLICY, content: Content::File(text, 0o644) }],
        warnings: Vec::new(),
    };
    for (scope, names) in given_up {
        emitted.warnings.push(format!(
            "the import verifies sigstore keys only; what the device's policy wants by `{scope}` is no such key, so these are imported by their digest: {}",
            several(&names)
        ));
    }
    drop_in(plan, device, &mut emitted);
    emitted
}

/// The drop-in that makes runtimes look for the signatures that the device's policy wants.
fn drop_in(plan: &Plan, device: &Known<'_>, emitted: &mut Emitted) {
    let Some(policy) = device.policy else { return };
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    for image in &plan.images {
        for source in sources(image, policy, device) {
            wanted.insert(source);
        }
    }
    let defined: BTreeMap<&str, _> = device.registries_d.namespaces().collect();
    let mut namespaces = Vec::new();
    for repository in wanted {
        match defined.get(repository.as_str()) {
            // A second definition would make every image fail.
            Some(file) => emitted.warnings.push(format!(
                "`{repository}` is defined in {}: add `use-sigstore-attachments: true` there, or its signatures are not looked for",
                file.display()
            )),
            None => namespaces.push(repository),
        }
    }
    if namespaces.is_empty() {
        return;
    }
    let lines: String = namespaces
        .iter()
        .map(|name| format!("  {}:\n    use-sigstore-attachments: true\n", Value::from(name.as_str())))
        .collect();
    let text = format!(
        "# Lets runtimes look for the signatures that policy.json wants. Written by bootc-embed {}.\n# No other file of \
         this folder may define the same names.\ndocker:\n{lines}",
        env!("CARGO_PKG_VERSION")
    );
    emitted.outputs.push(Output { path: REGISTRIES_D, content: Content::File(text, 0o644) });
}

/// The repositories that an image may be pulled from and at which its signatures, though the policy
/// wants them, are not looked for.
fn sources(image: &PlannedImage, policy: &Policy, device: &Known<'_>) -> Vec<String> {
    let (requirements, _) = policy.requirements("docker", &scopes::of_docker(&image.reference));
    if !requirements.iter().any(|requirement| matches!(requirement, Requirement::SigstoreSigned(_))) {
        return Vec::new();
    }
    let unlooked = |repository: &String| {
        let physical = format!("{repository}@{}", image.manifest.digest).parse();
        physical.is_ok_and(|physical| !device.registries_d.use_sigstore_attachments(&physical).value)
    };
    let route = device.registries_conf.rewrite(&image.reference);
    route.sources.into_iter().map(|source| source.repository).filter(unlooked).collect()
}

/// The first of some names, and how many more there are.
pub(super) fn several(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    if more > 0 { format!("{} and {more} more", named.join(", ")) } else { named.join(", ") }
}
