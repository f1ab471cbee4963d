//! Kustomizations: which images they put in the place of others, and which files that is done to.
//! Nothing is rendered: some trees that are shipped do not render at all.

use super::node::Node;
use crate::discover::architecture_of;
use crate::model::reference::ReferenceError;
use crate::model::tree::normal;
use crate::model::{Invalid, Origin, Reference, Release};
use std::collections::HashMap;

/// The most references that one field may become by transforms of transforms.
const MAX_RESULTS: usize = 64;
/// Names of kustomization files without architecture.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Whether a file is a kustomization, by its name; MicroShift has one for each architecture besides.
pub fn is_kustomization(name: &str) -> bool {
    let for_architecture = || name.starts_with("kustomization.") && architecture_of(name).is_some();
    NAMES.contains(&name) || for_architecture()
}

/// One entry of `images`: puts an image in the place of all that have a name.
#[derive(Debug, Clone)]
pub struct Transform {
    name: String,
    new_name: Option<String>,
    new_tag: Option<String>,
    digest: Option<String>,
    /// Where it stands.
    pub origin: Origin,
}

/// What a kustomization says.
#[derive(Debug, Default)]
pub struct Kustomization {
    /// Its folder and what it takes in: files and folders.
    pub places: Vec<String>,
    /// The images that it puts in the place of others.
    pub transforms: Vec<Transform>,
    /// What it takes in from elsewhere: kustomize fetches it whenever it is applied.
    pub remote: Vec<String>,
}

/// Whether an entry of `resources` is fetched from another host.
fn is_remote(resource: &str) -> bool {
    let marks = ["://", "?ref=", "git@"];
    marks.iter().any(|mark| resource.contains(mark)) || resource.starts_with("github.com/")
}

impl Kustomization {
    /// Reads the documents of a kustomization file in a folder.
    pub fn read(file: &str, dir: &str, documents: &[Node]) -> Self {
        let mut found = Self { places: vec![dir.to_owned()], ..Self::default() };
        for document in documents {
            for key in ["resources", "bases", "components"] {
                let named = document.get(key).into_iter().flat_map(Node::items).filter_map(Node::text);
                let (remote, paths): (Vec<&str>, Vec<&str>) = named.partition(|named| is_remote(named));
                found.remote.extend(remote.into_iter().map(str::to_owned));
                // What leads out of the tree or to all of it is none of its files.
                let paths = paths.into_iter().filter(|path| !path.starts_with('/'));
                let paths = paths.filter_map(|path| normal(&format!("{dir}/{path}")));
                found.places.extend(paths.filter(|path| !path.is_empty()));
            }
            for path in other_files(document) {
                found.places.extend(normal(&format!("{dir}/{path}")).filter(|path| !path.is_empty()));
            }
            let images = document.get("images").into_iter().flat_map(Node::items).enumerate();
            found.transforms.extend(images.filter_map(|(number, image)| {
                let field = |key: &str| image.get(key).and_then(Node::scalar).map(str::to_owned);
                Some(Transform {
                    name: field("name")?,
                    new_name: field("newName"),
                    new_tag: field("newTag"),
                    digest: field("digest"),
                    origin: Origin { file: file.to_owned(), key: format!("images[{number}]") },
                })
            }));
        }
        found
    }
}

/// Files that change what is applied: patches, and what makes or changes resources.
fn other_files(document: &Node) -> impl Iterator<Item = &str> {
    let items = |key: &str| document.get(key).into_iter().flat_map(Node::items);
    let patches = ["patches", "patchesJson6902"].into_iter().flat_map(items).filter_map(|patch| patch.get("path"));
    let others = ["patchesStrategicMerge", "transformers", "generators"].into_iter().flat_map(items);
    // An entry may also be the patch itself.
    let is_path = |text: &&str| !text.contains('\n') && !text.starts_with('/') && !is_remote(text);
    patches.chain(others).filter_map(Node::text).filter(is_path)
}

impl Transform {
    /// What it makes of an image of its name with this tag and digest. A new tag or digest replaces both.
    fn apply(&self, version: &str) -> String {
        let new_name = self.new_name.as_deref().unwrap_or(&self.name);
        match (&self.new_tag, &self.digest) {
            (None, None) => format!("{new_name}{version}"),
            _ => format!("{new_name}{}", self.version()),
        }
    }

    fn version(&self) -> String {
        let part = |mark: &str, value: &Option<String>| value.as_ref().map(|value| format!("{mark}{value}"));
        part(":", &self.new_tag).unwrap_or_default() + &part("@", &self.digest).unwrap_or_default()
    }

    /// Adds the image that it puts in, if that is a whole reference: it may be in a place that no scan
    /// of fields finds.
    pub fn add_to(&self, release: &mut Release) {
        let name = self.new_name.as_deref().unwrap_or(&self.name);
        let text = format!("{name}{}", self.version());
        let (bare, _) = split(&text);
        if bare == text {
            return;
        }
        match text.parse::<Reference>() {
            Ok(reference) => release.add(reference, self.origin.clone(), None),
            Err(ReferenceError::ShortName(_)) => {}
            Err(e) => release.invalid.push(Invalid {
                hint: e.hint(),
                cause: e.to_string(),
                text,
                origin: self.origin.clone(),
            }),
        }
    }
}

/// Transforms for one file, by the names that they are for.
#[derive(Debug, Default)]
pub struct Transforms<'t>(HashMap<&'t str, Vec<&'t Transform>>);

impl<'t> FromIterator<&'t Transform> for Transforms<'t> {
    fn from_iter<T: IntoIterator<Item = &'t Transform>>(transforms: T) -> Self {
        let mut by_name: HashMap<&str, Vec<&Transform>> = HashMap::new();
        for transform in transforms {
            by_name.entry(&transform.name).or_default().push(transform);
        }
        Self(by_name)
    }
}

impl<'t> Transforms<'t> {
    fn of(&self, name: &str) -> &[&'t Transform] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// What transforms make of the image of a field, with the transforms that did so. Several results
/// where several kustomizations take the file in; the image itself where none is for it.
pub fn apply<'t>(image: &str, transforms: &Transforms<'t>) -> Vec<(String, Vec<&'t Transform>)> {
    let mut seen: Vec<String> = vec![image.to_owned()];
    let mut open: Vec<(String, Vec<&Transform>)> = vec![(image.to_owned(), Vec::new())];
    let mut done = Vec::new();
    while let Some((text, by)) = open.pop() {
        let mut is_final = true;
        let (name, version) = split(&text);
        for transform in transforms.of(name) {
            let result = transform.apply(version);
            if result == text {
                continue;
            }
            is_final = false;
            if seen.len() < MAX_RESULTS && !seen.contains(&result) {
                seen.push(result.clone());
                let by = by.iter().copied().chain([*transform]).collect();
                open.push((result, by));
            }
        }
        if is_final {
            done.push((text, by));
        }
    }
    if done.is_empty() {
        // They go in a circle, which kustomize does not: it applies each once.
        done.extend(seen.into_iter().map(|text| (text, Vec::new())));
    }
    done
}

/// The name of an image, and its tag and digest with their marks.
pub fn split(image: &str) -> (&str, &str) {
    let name_end = image.find('@').unwrap_or(image.len());
    let path_start = image.get(..name_end).and_then(|name| name.rfind('/')).map_or(0, |at| at + 1);
    let tag = image.get(path_start..name_end).and_then(|name| name.find(':')).map(|at| path_start + at);
    image.split_at_checked(tag.unwrap_or(name_end)).unwrap_or((image, ""))
}

#[cfg(test)]
mod tests {
    use super::super::node::{Budget, documents};
    use super::*;

    fn kustomization(text: &str) -> Kustomization {
        let nodes: Vec<Node> = documents(text, &Budget::new(text.len())).into_iter().map(Result::unwrap).collect();
        Kustomization::read("kustomization.yaml", "a/b", &nodes)
    }

    #[test]
    fn images_are_split_and_replaced() {
        for (image, name, version) in [
            ("quay.io:443/a/b:v1@sha256:x", "quay.io:443/a/b", ":v1@sha256:x"),
            ("quay.io:443/a/b", "quay.io:443/a/b", ""),
            ("b:v1", "b", ":v1"),
            ("@", "", "@"),
            ("", "", ""),
        ] {
            assert_eq!(split(image), (name, version));
        }
        let all = kustomization(
            "images:\n- {name: a, newName: quay.io/x/a}\n- {name: b, newTag: 1.2}\n- {name: c, digest: 'sha256:0'}\n\
             - {name: quay.io/x/a, newTag: v2}\n- {name: d, newName: e}\n- {name: e, newName: d}\n- {newTag: x}\n",
        );
        let transforms: Transforms<'_> = all.transforms.iter().collect();
        for (image, result) in [
            ("a:v1", vec!["quay.io/x/a:v2"]),
            ("b:v1@sha256:0", vec!["b:1.2"]),
            ("c:v1", vec!["c@sha256:0"]),
            ("d:v1", vec!["d:v1", "e:v1"]),
            ("f", vec!["f"]),
        ] {
            let results: Vec<String> = apply(image, &transforms).into_iter().map(|(text, _)| text).collect();
            assert_eq!(results, result, "{image}");
        }
    }

    #[test]
    fn whole_references_count_and_doubled_ones_are_told_of() {
        let found = kustomization(
            "resources: [x.yaml, ../c, ../../../out, 'https://example.com/x', /]\nimages:\n\
             - {name: quay.io/a/b, newTag: v1}\n- {name: short, newTag: v1}\n- {name: quay.io/a/c}\n\
             - {name: ovms, newName: 'quay.io/x:t', digest: 'quay.io/x:t'}\n",
        );
        assert_eq!(found.places, ["a/b", "a/b/x.yaml", "a/c"]);
        assert_eq!(found.remote, ["https://example.com/x"]);
        let mut release = Release::default();
        found.transforms.iter().for_each(|transform| transform.add_to(&mut release));
        let names: Vec<&str> = release.components.iter().map(|c| c.reference.as_str()).collect();
        assert_eq!(names, ["quay.io/a/b:v1"]);
        assert_eq!(release.invalid.len(), 1);
        assert_eq!(release.invalid[0].text, "quay.io/x:t@quay.io/x:t");
        assert!(release.invalid[0].hint.contains("must be a digest"));
    }

    #[test]
    fn names() {
        for (name, is) in [
            ("kustomization.yaml", true),
            ("Kustomization", true),
            ("kustomization.aarch64.yaml", true),
            ("kustomization.other.yaml", false),
            ("my-kustomization.yaml", false),
        ] {
            assert_eq!(is_kustomization(name), is, "{name}");
        }
    }
}
