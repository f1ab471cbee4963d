//! What makes clusters and devices use a mirror that was filled: mirror sets of OpenShift, drop-ins of
//! registries.conf.d and registries.d, and imports into image streams. Whether the mirror has the images is
//! not looked at: the push did that.

use super::policy::several;
use super::{Content, Emitted, Known, Output};
use crate::model::mirror::{self, Mirror};
use crate::model::{Plan, Repository};
use anyhow::Result;
use minijinja::{Value, context};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Where the mirrors of podman, CRI-O and skopeo stand.
const REGISTRIES_CONF: &str = "etc/containers/registries.conf.d/60-bootc-embed-mirrors.conf";
/// Where it stands that the mirrors have signatures.
const REGISTRIES_D: &str = "etc/containers/registries.d/60-bootc-embed-mirrors.yaml";

/// The longest name of a namespace.
const MAX_NAMESPACE: usize = 63;

/// A place that has a mirror.
struct Mirrored {
    mirror: String,
    by_digest: bool,
    by_tag: bool,
}

impl Mirrored {
    /// What registries.conf calls the references for which the mirror is asked.
    fn pulls(&self) -> &'static str {
        match (self.by_digest, self.by_tag) {
            (true, false) => "digest-only",
            (false, true) => "tag-only",
            _ => "all",
        }
    }
}

/// What is said of the images of a plan.
#[derive(Default)]
struct Said<'a> {
    /// By the beginning of the names that it stands for.
    mirrored: BTreeMap<String, Mirrored>,
    /// Repositories, or the beginnings of their names, that have signature tags on a mirror.
    signed: BTreeSet<String>,
    /// By namespace and image stream: per tag the image.
    streams: BTreeMap<(String, String), BTreeMap<&'a str, String>>,
    unmirrored: Vec<&'a str>,
    warnings: Vec<String>,
}

impl<'a> Said<'a> {
    fn of(plan: &'a Plan, mirrors: &[Mirror]) -> Self {
        let mut said = Self::default();
        for image in &plan.images {
            let (reference, from) = (&image.reference, image.reference.repository());
            let Some((mirror, to)) = mirror::chosen(mirrors, from) else {
                said.unmirrored.push(reference.as_str());
                continue;
            };
            let (source, location) = mirror.rule(from, &to);
            if image.signatures.iter().any(|signed| signed.tag.is_some()) {
                said.signed.insert(location.clone());
            }
            let new = Mirrored { mirror: location, by_digest: false, by_tag: false };
            let mirrored = said.mirrored.entry(source).or_insert(new);
            // With a digest, runtimes do not look at the tag.
            *(if reference.digest().is_some() { &mut mirrored.by_digest } else { &mut mirrored.by_tag }) = true;
            let (Some(tag), Some(stream)) = (reference.tag(), image_stream(&to)) else { continue };
            let pinned = format!("{to}:{tag}@{}", image.manifest.digest);
            match said.streams.entry(stream).or_default().entry(tag) {
                Entry::Vacant(place) => {
                    place.insert(pinned);
                }
                Entry::Occupied(first) if *first.get() != pinned => said.warnings.push(format!(
                    "an image stream has one image for a tag: `{}` is imported, `{pinned}` is not",
                    first.get()
                )),
                Entry::Occupied(_) => {}
            }
        }
        said
    }

    /// The entries of one kind of mirror set, or of registries.conf.
    fn entries(&self, is_wanted: impl Fn(&Mirrored) -> bool) -> Vec<Value> {
        let wanted = self.mirrored.iter().filter(|(_, mirrored)| is_wanted(mirrored));
        let value = |(source, mirrored): (&String, &Mirrored)| {
            context! { source, mirror => &mirrored.mirror, pulls => mirrored.pulls() }
        };
        wanted.map(value).collect()
    }

    fn streams(&self) -> Vec<Value> {
        let image = |(tag, from): (&&str, &String)| context! { tag => *tag, from };
        let stream = |((namespace, name), images): (&(String, String), &BTreeMap<&str, String>)| {
            let images: Vec<Value> = images.iter().map(image).collect();
            context! { namespace, name, images }
        };
        self.streams.iter().map(stream).collect()
    }
}

/// Namespace and name of the image stream that a repository of OpenShift's registry is; `None` where it is none.
fn image_stream(repository: &Repository) -> Option<(String, String)> {
    let (namespace, name) = repository.path().split_once('/').filter(|(_, name)| !name.contains('/'))?;
    // A path may have more in it than a namespace.
    let is_namespace = namespace.len() <= MAX_NAMESPACE && !namespace.contains(['.', '_']);
    is_namespace.then(|| (namespace.to_owned(), name.to_owned()))
}

/// The files that have something to say, made of templates by `render`.
pub fn emit(plan: &Plan, known: &Known<'_>, render: impl Fn(&str, Value) -> Result<String>) -> Result<Emitted> {
    let said = Said::of(plan, known.mirrors);
    let mut emitted = Emitted { outputs: Vec::new(), warnings: said.warnings.clone() };
    if !said.unmirrored.is_empty() {
        let names = several(&said.unmirrored);
        emitted.warnings.push(format!("no mirror stands for these images, so nothing is said of them: {names}"));
    }
    let signed: Vec<&String> = said.signed.iter().collect();
    for (path, template, entries) in [
        ("idms.yaml", "idms.yaml", said.entries(|mirrored| mirrored.by_digest)),
        ("itms.yaml", "itms.yaml", said.entries(|mirrored| mirrored.by_tag)),
        (REGISTRIES_CONF, "mirrors.conf", said.entries(|_| true)),
        (REGISTRIES_D, "mirrors.yaml", signed.into_iter().map(Value::from).collect()),
        ("image-stream-import.yaml", "image-stream-import.yaml", said.streams()),
    ] {
        if !entries.is_empty() {
            let text = render(template, context! { entries, insecure => known.insecure })?;
            emitted.outputs.push(Output { path, content: Content::File(text, 0o644) });
        }
    }
    Ok(emitted)
}
