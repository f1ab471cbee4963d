//! A containers-storage as what is embedded: what each reference finds there, in the words of views.

use super::Problem;
use super::embedded::{Line, Set};
use super::facts::Subject;
use super::view::{Aspect, View};
use crate::model::manifest::config_platform;
use crate::model::{Platform, Reference};
use crate::target::storage::{Resolution, Storage, StoredImage};
use std::collections::BTreeMap;

/// The storage as a set, and what every required reference finds in it. What finds nothing has no view.
pub fn look_up(subject: &Subject<'_>, storage: &Storage) -> (Set, Vec<View>) {
    let mut set = Set::empty("");
    let mut views = Vec::new();
    let platforms = match subject.platforms.chosen() {
        [] => vec![Platform::host()],
        chosen => chosen.to_vec(),
    };
    for component in &subject.required.components {
        let reference = &component.reference;
        let found: Vec<(&Platform, Resolution)> =
            platforms.iter().map(|platform| (platform, storage.resolve(reference, platform))).collect();
        if found.iter().all(|(_, found)| matches!(found, Resolution::Unknown { .. })) {
            continue;
        }
        let (name, at) = (reference.to_string(), "containers-storage".to_owned());
        set.lines.push(Line { at, name, reference: Some(reference.clone()), folder: String::new() });
        let mut view = View::new(reference.as_str(), Some(reference.clone()), 0, String::new());
        view.digest = reference.digest().cloned();
        for (platform, found) in found {
            judge(&mut view, storage, reference, platform, found);
        }
        views.push(view);
    }
    // CRI-O and podman list nothing at all while there is one image that they cannot read.
    for image in storage.images.iter().filter(|image| !image.manifests.iter().any(|(key, _)| key == "manifest")) {
        let name = image.names.first().unwrap_or(&image.id);
        let message = "the storage has no manifest of it, and no runtime lists any image while that is so";
        for view in &mut views {
            view.note(
                Aspect::Blobs,
                Problem::new(name.as_str(), message).hint("remove the image: `podman rmi --force`"),
            );
        }
    }
    (set, views)
}

fn judge(view: &mut View, storage: &Storage, reference: &Reference, platform: &Platform, found: Resolution) {
    let again = "copy the image into the storage again, from its index: `skopeo copy --preserve-digests`";
    let (aspect, message) = match found {
        Resolution::Found { id, .. } => {
            if let Some(image) = storage.images.iter().find(|image| image.id == id) {
                keep(view, image);
                let own = image.config.as_deref().and_then(|config| config_platform(config).ok().flatten());
                if let Some(own) = own.filter(|own| !platform.runs(own)) {
                    let message = format!("its config says {own}, which {platform} does not run");
                    let problem = Problem::new(reference.as_str(), message).hint("the image is for another platform");
                    view.note(Aspect::Architecture, problem);
                }
            }
            return;
        }
        Resolution::Unknown { .. } => return,
        Resolution::NoManifest { digest: Some(digest), .. } => {
            (Aspect::Manifest, format!("the storage has the name, but not the bytes of {digest}: the index is lost"))
        }
        Resolution::NoManifest { digest: None, .. } => {
            (Aspect::Manifest, "the storage has no manifest of it".to_owned())
        }
        Resolution::Unreadable { detail, .. } => (Aspect::Manifest, format!("its manifest cannot be used: {detail}")),
        Resolution::NoInstance { index, .. } => {
            (Aspect::Instance, format!("its index {index} has no instance for {platform}"))
        }
        Resolution::InstanceAbsent { instance, .. } => {
            (Aspect::Instance, format!("its instance for {platform}, {instance}, is missing"))
        }
        Resolution::Incomplete { missing, .. } => {
            (Aspect::Blobs, format!("parts of it are missing or damaged: {}", missing.join(", ")))
        }
    };
    view.note(aspect, Problem::new(reference.as_str(), message).hint(again));
}

/// Notes what is known of an image: the bytes of its manifests and its config; layers are unpacked.
fn keep(view: &mut View, image: &StoredImage) {
    let manifests = image.manifests.iter().map(|(key, bytes)| (format!("{}/{key}", image.id), bytes.len() as u64));
    let config = image.config.iter().map(|bytes| (format!("{}/config", image.id), bytes.len() as u64));
    view.files = manifests.chain(config).collect::<BTreeMap<_, _>>();
    view.place = format!("images/{}", image.id);
}
