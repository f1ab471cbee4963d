//! Layer 2, emit: plan → files. Pure; who calls decides where the files go.
//!
//! Texts live in `templates/`, compiled in; [`Templates`] takes a folder that overrides some of them.

mod kustomize;
pub mod mirror;
mod mirror_manifests;
mod policy;
mod templates;

pub use policy::{IMPORT_POLICY, Known, REGISTRIES_D};
pub use templates::Templates;

use crate::model::{Failure, Plan, PlannedImage};
use anyhow::Result;
use minijinja::{Value, context};
use std::collections::BTreeSet;

/// Where the import script goes, and what it is called.
const SCRIPT: &str = "usr/libexec/bootc-embed/import";
/// Where the import unit goes.
const UNIT: &str = "usr/lib/systemd/system/bootc-embed-import.service";
/// The link that enables the unit: below /usr, so that it follows the image at every update.
const WANTS: &str = "usr/lib/systemd/system/multi-user.target.wants/bootc-embed-import.service";
/// Where the CRI-O drop-in goes; CRI-O reads drop-ins nowhere else.
const PINS: &str = "etc/crio/crio.conf.d/50-bootc-embed.conf";
/// Where the script notes what it imported; `StateDirectory=` of the unit makes it.
const STATE: &str = "/var/lib/bootc-embed";

/// What can be emitted. The first lines are help texts of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A fragment of a Containerfile that embeds at build time; needs no lock.
    Containerfile,
    /// The script and the systemd unit that import at boot; from a lock it knows the quadlets that wait for it.
    ImportUnit,
    /// A CRI-O drop-in that keeps the images from garbage collection.
    CrioPins,
    /// `[[containers]]` of an osbuild blueprint.
    Blueprint,
    /// Per reference the digest it resolves to and the native digest behind it, as JSON.
    AliasMap,
    /// A policy.json for the import alone, which verifies what the device's policy has keys for; and a
    /// drop-in of registries.d where the device would not look for the signatures that it wants.
    Policy,
    /// The signature tags that a mirror (`--mirror`) lacks, and the commands that bring them there.
    MirrorSignatures,
    /// What makes clusters and devices use a mirror (`--mirror`) that was filled: mirror sets, drop-ins of
    /// registries.conf.d and registries.d, imports into image streams.
    MirrorManifests,
    /// A kustomize component that pins images to native digests.
    Kustomize,
}

impl Kind {
    /// Whether it says something of the images; the others are the same for every set.
    pub fn needs_plan(self) -> bool {
        !matches!(self, Kind::Containerfile | Kind::ImportUnit)
    }
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file with its mode.
    File(String, u32),
    /// A symbolic link.
    Link(&'static str),
}

/// A file or link and its path below the root of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Without leading slash.
    pub path: &'static str,
    /// What stands there.
    pub content: Content,
}

/// What an emitter made.
#[derive(Debug, Default)]
pub struct Emitted {
    /// The files.
    pub outputs: Vec<Output>,
    /// What the user must know, one sentence each; the files carry it too.
    pub warnings: Vec<String>,
}

/// What templates can say of an image: its reference as `name`, the name that containers-storage
/// gives it, the key of its view, its digest, and whether it is named by a tag.
fn image_values(image: &PlannedImage) -> Value {
    context! {
        name => image.reference.to_string(),
        stored_name => image.reference.stored_name(),
        key => image.reference.key(),
        digest => image.manifest.digest.to_string(),
        moving => image.moving,
    }
}

/// Emits one kind. `store` is the place of the store below the root of the image; `known` is what
/// [`Kind::Policy`] and those of mirrors say something of.
pub fn emit(kind: Kind, plan: &Plan, store: &str, templates: &Templates, known: &Known<'_>) -> Result<Emitted> {
    let store = format!("/{}", store.trim_matches('/'));
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !store.chars().all(plain) || store.split('/').any(|part| part == "..") {
        return Err(Failure::usage(format!("the store path `{store}` cannot be written into scripts and units"))
            .hint("use letters, digits, `.`, `_`, `-` and `/`")
            .into());
    }
    let images: Vec<Value> = plan.images.iter().map(image_values).collect();
    let script = format!("/{SCRIPT}");
    let base = context! {
        version => env!("CARGO_PKG_VERSION"),
        platforms => plan.platforms().to_string(),
        state => STATE,
        policy => format!("/{IMPORT_POLICY}"),
        services => quadlet_services(plan),
        images, script,
        store => store.clone(),
    };
    let render = |name: &str, more: Value| templates.render(name, context! { ..more, ..base.clone() });
    let file = |path, text| Output { path, content: Content::File(text, 0o644) };
    Ok(match kind {
        Kind::Containerfile => outputs(vec![file("Containerfile", render("Containerfile", context! {})?)]),
        Kind::ImportUnit => outputs(vec![
            Output { path: SCRIPT, content: Content::File(render("import.sh", context! {})?, 0o755) },
            file(UNIT, render("import.service", context! {})?),
            Output { path: WANTS, content: Content::Link("../bootc-embed-import.service") },
        ]),
        Kind::CrioPins => outputs(vec![file(PINS, render("crio-pins.conf", context! {})?)]),
        Kind::Blueprint => {
            let warnings = plan.osbuild_collisions();
            let text = render("blueprint.toml", context! { warnings => warnings.clone() })?;
            Emitted { outputs: vec![file("blueprint.toml", text)], warnings }
        }
        Kind::AliasMap => {
            let text = serde_json::to_string_pretty(&plan.aliases())? + "\n";
            outputs(vec![file("digest-aliases.json", text)])
        }
        Kind::MirrorSignatures => outputs(vec![Output {
            path: "mirror-signatures.sh",
            content: Content::File(mirror::script(known.tags), 0o755),
        }]),
        Kind::MirrorManifests => mirror_manifests::emit(plan, known, render)?,
        Kind::Policy => policy::emit(plan, &store, known),
        Kind::Kustomize => {
            let (pins, warnings) = kustomize::overlay(plan);
            let pins: Vec<Value> =
                pins.iter().map(|pin| context! { name => &pin.name, digest => pin.digest.to_string() }).collect();
            let text = render("kustomization.yaml", context! { pins, warnings => warnings.clone() })?;
            Emitted { outputs: vec![file("kustomization.yaml", text)], warnings }
        }
    })
}

/// The services of quadlets that name an image of the set: they must wait for the import.
fn quadlet_services(plan: &Plan) -> Vec<String> {
    let files = plan.images.iter().flat_map(|image| &image.found_in).map(|origin| origin.file.as_str());
    let stem = |file: &str| {
        // Services of users wait for services of users only; a template is no service yet.
        let name = file.rsplit('/').next().filter(|name| !file.contains("/users/") && !name.contains("@."))?;
        let stem = name.strip_suffix(".container").or_else(|| name.strip_suffix(".kube"))?;
        // Goes into a unit, where a space ends a name and `%` begins a specifier.
        let plain = |c: char| c.is_ascii_alphanumeric() || "@._-".contains(c);
        (!stem.is_empty() && stem.chars().all(plain)).then(|| format!("{stem}.service"))
    };
    let services: BTreeSet<String> = files.filter_map(stem).collect();
    services.into_iter().collect()
}

fn outputs(outputs: Vec<Output>) -> Emitted {
    Emitted { outputs, warnings: Vec::new() }
}
