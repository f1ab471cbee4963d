//! The embedded set against the system around it.

use super::Problems;
use crate::model::{Origin, Reference, crio};
use crate::registry::registries_conf::RegistriesConf;
use crate::validate::{CannotCheck, Facts, Problem};

/// The key of the pause image in MicroShift's base release-info.
const POD: &str = "images.pod";
/// The key of the pause image in CRI-O's configuration, as discovery writes it.
const PAUSE: &str = "crio.image.pause_image";

/// The pause image of CRI-O's configuration, which MicroShift's package brings, is `pod` of the
/// release-info, and of the lock.
pub fn release_fits(facts: &Facts<'_>) -> Problems {
    let named = |key: &str| {
        let of = |origin: &Origin| origin.key == key;
        let components = facts.subject.required.components.iter();
        components.filter(|component| component.found_in.iter().any(of)).map(|c| c.reference.as_str()).next()
    };
    let Some(pause) = named(PAUSE) else {
        let has_crio = facts.tree().resolve("usr/bin/crio").is_some();
        let message = "CRI-O has no `pause_image` set: it pulls the one that it was built with before any pod starts";
        let hint = "set `pause_image` in /etc/crio/crio.conf.d to the `pod` image of release-info, as MicroShift does";
        let problem = Problem::new("pause_image", message).hint(hint).stops(facts.embedded_names());
        return Ok(if has_crio { vec![problem] } else { Vec::new() });
    };
    let hint = "install release-info of the same version as microshift, then embed again";
    let mut problems = Vec::new();
    if let Some(pod) = named(POD).filter(|pod| *pod != pause) {
        let message = format!("release-info names `{pod}` as `pod`, the installed MicroShift uses `{pause}`");
        problems.push(Problem::new("pause_image", message).hint(hint));
    }
    for set in &facts.sets {
        let images = set.lock.iter().flat_map(|plan| &plan.images);
        let pod =
            images.filter(|image| image.found_in.iter().any(|o| o.key == POD)).map(|i| i.reference.as_str()).next();
        if let Some(pod) = pod.filter(|pod| *pod != pause && named(POD).is_none_or(|own| own != *pod)) {
            let message =
                format!("the lock is of a release whose `pod` is `{pod}`, the installed MicroShift uses `{pause}`");
            problems.push(Problem::new(set.shown(), message).hint(hint));
        }
    }
    Ok(problems)
}

/// Runtimes can read where registries are; none finds an image by its name without.
pub fn registries(facts: &Facts<'_>) -> Problems {
    let Err(e) = RegistriesConf::from_tree(facts.tree()) else { return Ok(Vec::new()) };
    let problem = Problem::new("registries.conf", format!("runtimes refuse it: {e}"));
    let hint = "correct it; see containers-registries.conf(5)";
    Ok(vec![problem.hint(hint).stops(facts.embedded_names())])
}

/// Whether a pattern of CRI-O covers a name: exact, `prefix*`, or `*word*`.
fn covers(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(rest), Some(_)) => name.contains(rest.trim_end_matches('*')),
        (None, Some(prefix)) => name.starts_with(prefix),
        _ => name == pattern,
    }
}

/// CRI-O keeps the images.
pub fn pinned(facts: &Facts<'_>) -> Problems {
    if !["usr/bin/crio", "etc/crio"].iter().any(|path| facts.tree().resolve(path).is_some()) {
        return Ok(Vec::new());
    }
    let pins = crio::images(facts.tree()).map_err(|e| CannotCheck(e.to_string()))?.pinned;
    let names = facts.sets.iter().flat_map(|set| set.references()).map(Reference::stored_name);
    let unpinned: Vec<String> = names.filter(|name| !pins.iter().any(|pin| covers(pin, name))).collect();
    let Some(first) = unpinned.first() else { return Ok(Vec::new()) };
    let message =
        format!("{} embedded images are not pinned, `{first}` among them: a full disk may cost them", unpinned.len());
    let hint = "`bootc-embed emit crio-pins` writes the drop-in; a later drop-in with `pinned_images` replaces it";
    Ok(vec![Problem::new("/etc/crio/crio.conf.d", message).hint(hint)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_crio() {
        for (pattern, name, covered) in [
            ("quay.io/a/b:1", "quay.io/a/b:1", true),
            ("quay.io/a/b:1", "quay.io/a/b:12", false),
            ("quay.io/a/*", "quay.io/a/b:1", true),
            ("*a/b*", "quay.io/a/b:1", true),
            ("*x*", "quay.io/a/b:1", false),
            ("", "quay.io/a/b:1", false),
        ] {
            assert_eq!(covers(pattern, name), covered, "{pattern} {name}");
        }
    }
}
