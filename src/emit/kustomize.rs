//! The kustomize overlay: which references it can pin to a native digest, and which it cannot reach.

use crate::model::{Digest, Plan, PlannedImage};
use std::collections::BTreeMap;

/// One entry of `images:`.
#[derive(Debug, PartialEq, Eq)]
pub struct Pin<'a> {
    /// The repository, as `image:` fields write it before the tag or digest.
    pub name: String,
    /// The native digest.
    pub digest: &'a Digest,
}

/// The pins, and a sentence for each reference that they cannot reach.
///
/// kustomize matches `image:` fields by repository alone: two references of one repository with
/// different digests cannot both be pinned, and what stands elsewhere is never rewritten.
pub fn overlay(plan: &Plan) -> (Vec<Pin<'_>>, Vec<String>) {
    let mut repositories: BTreeMap<String, Vec<&PlannedImage>> = BTreeMap::new();
    for image in &plan.images {
        repositories.entry(written_repository(image)).or_default().push(image);
    }
    let (mut pins, mut unreached) = (Vec::new(), Vec::new());
    for (name, images) in repositories {
        for image in &images {
            if let Some(origin) = image.found_in.iter().find(|origin| is_no_image_field(&origin.key)) {
                unreached.push(format!("`{}` is named outside of `image:` fields ({origin})", image.reference));
            }
        }
        if images.len() > 1 && !images.iter().all(|image| same_native(image, images[0], plan)) {
            let all: Vec<String> = images.iter().map(|image| format!("`{}`", image.reference)).collect();
            unreached.push(format!(
                "{} share the repository `{name}`, kustomize can pin only one digest for it",
                all.join(" and ")
            ));
            continue;
        }
        let image = images[0];
        if image.found_in.iter().all(|origin| is_no_image_field(&origin.key)) {
            continue;
        }
        match plan.platforms.as_slice() {
            [platform] => match image.instance_for(platform) {
                Some(instance) if image.is_index() => pins.push(Pin { name, digest: &instance.manifest.digest }),
                // A single image by digest is native already; by tag it must be pinned.
                Some(instance) if image.moving => pins.push(Pin { name, digest: &instance.manifest.digest }),
                _ => {}
            },
            _ if image.is_index() => {
                unreached.push(format!(
                    "`{}`: the set is for several platforms, so no one digest is native",
                    image.reference
                ));
            }
            _ => {}
        }
    }
    (pins, unreached)
}

/// Whether two images have one native digest, so that one pin serves both.
fn same_native(one: &PlannedImage, other: &PlannedImage, plan: &Plan) -> bool {
    let native = |image: &PlannedImage| match plan.platforms.as_slice() {
        [platform] => image.instance_for(platform).map(|instance| instance.manifest.digest.clone()),
        _ => None,
    };
    native(one).is_some() && native(one) == native(other)
}

/// The repository as the reference writes it, which is what kustomize compares with.
fn written_repository(image: &PlannedImage) -> String {
    let text = image.reference.as_str();
    let text = text.split('@').next().unwrap_or(text);
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name.to_owned(),
        _ => text.to_owned(),
    }
}

/// CRI-O's pause image stands in its configuration; MicroShift marks references that stand in
/// annotations by the end of their key.
fn is_no_image_field(key: &str) -> bool {
    key.contains("pause_image") || key.ends_with("-annotation")
}
