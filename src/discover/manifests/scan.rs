//! `Scanner`: walks the documents of one file and notes every image with the place it stands at.

use super::kustomize::{Transforms, apply};
use super::node::{Budget, Node, documents, embedded};
use super::tokens::{Found, find, is_doubled};
use crate::model::{Invalid, Origin, Pull, Reference, Release};

/// Keys of sequences whose items are containers.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
/// What resources of a kind look like: descriptions and examples, which nobody runs.
const SCHEMA: &str = "openAPIV3Schema";
/// How deep documents in strings in documents are looked into.
const MAX_EMBEDDED: usize = 8;
/// How deep all of that may nest.
const MAX_DEPTH: usize = 200;
/// The most places of one file that are noted, and the most characters that say where each is.
const MAX_FOUND: usize = 10_000;
const MAX_KEY: usize = 500;

/// Walks one file.
pub struct Scanner<'a> {
    file: &'a str,
    transforms: Transforms<'a>,
    budget: Budget,
    path: String,
    depth: usize,
    /// How many strings we are in.
    embedded: usize,
    found: usize,
    release: Release,
}

impl<'a> Scanner<'a> {
    /// For a file of some size, as the user knows it, that transforms are for.
    pub fn new(file: &'a str, size: usize, transforms: Transforms<'a>) -> Self {
        Self {
            file,
            transforms,
            budget: Budget::new(size),
            path: String::new(),
            depth: 0,
            embedded: 0,
            found: 0,
            release: Release::default(),
        }
    }

    /// Scans a whole file. `leave_out` is a key of its documents that something else reads.
    pub fn file(mut self, text: &str, leave_out: Option<&str>) -> Release {
        let mut causes = Vec::new();
        for document in documents(text, &self.budget) {
            match document {
                Ok(Node::Mapping(mut pairs)) => {
                    pairs.retain(|(key, _)| Some(key.as_str()) != leave_out);
                    self.document(&Node::Mapping(pairs));
                }
                Ok(other) => self.document(&other),
                Err(cause) => causes.push(cause),
            }
        }
        if self.budget.is_spent() && causes.is_empty() {
            causes.push("it holds too much".to_owned());
        }
        if let Some(cause) = causes.into_iter().next() {
            self.words(text);
            self.release.unreadable.push((self.file.to_owned(), cause));
        }
        if self.found > MAX_FOUND {
            let cause = format!("it names images at more than {MAX_FOUND} places");
            self.release.unreadable.push((self.file.to_owned(), cause));
        }
        self.release
    }

    /// What can be found in a file that is not what it should be: references among its words.
    fn words(&mut self, text: &str) {
        for (number, line) in text.lines().enumerate() {
            self.path = format!("line {}", number + 1);
            for found in find(line, "") {
                match found {
                    Found::Reference(reference) if reference.digest().is_none() || self.release.names(&reference) => {}
                    found => self.note(found),
                }
            }
        }
        self.path.clear();
    }

    /// One document, or a list of them.
    fn document(&mut self, node: &Node) {
        let kind = node.get("kind").and_then(Node::text).unwrap_or_default();
        if kind.ends_with("List")
            && let Some(Node::Sequence(items)) = node.get("items")
        {
            self.deeper(|scanner| items.iter().for_each(|item| scanner.document(item)));
            return;
        }
        let start = self.path.len();
        let name = node.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Node::text);
        if !kind.is_empty() {
            self.path += &shortened(kind);
            if let Some(name) = name {
                self.path += &format!("/{}", shortened(name));
            }
            self.path += ": ";
        }
        self.in_document(node, kind == "Secret");
        self.path.truncate(start);
    }

    /// What is in a document. The data of a secret is base64, and nobody's image.
    fn in_document(&mut self, node: &Node, is_secret: bool) {
        match node {
            Node::Mapping(pairs) if is_secret => self.pairs(pairs, &["data"]),
            node => self.node(node, ""),
        }
    }

    /// Does something one level deeper, if that is not too deep.
    fn deeper(&mut self, act: impl FnOnce(&mut Self)) {
        if self.depth < MAX_DEPTH {
            self.depth += 1;
            act(self);
            self.depth -= 1;
        }
    }

    /// Does something at a place below this one.
    fn at(&mut self, segment: &str, act: impl FnOnce(&mut Self)) {
        let start = self.path.len();
        self.path += segment;
        self.deeper(act);
        self.path.truncate(start);
    }

    /// Any value; `name` is the key or the variable whose value it is.
    fn node(&mut self, node: &Node, name: &str) {
        match node {
            Node::Text(text) => self.text(text, name),
            Node::Other(_) => {}
            Node::Sequence(items) => self.items(items),
            Node::Mapping(pairs) => self.pairs(pairs, &[]),
        }
    }

    fn items(&mut self, items: &[Node]) {
        for (number, item) in items.iter().enumerate() {
            match (item.get("name").and_then(Node::text), item.get("value").and_then(Node::text)) {
                // A variable reads better by its name than by its number.
                (Some(name), Some(value)) => {
                    self.at(&format!("[{}]", shortened(name)), |scanner| scanner.text(value, name));
                }
                _ => self.at(&format!("[{number}]"), |scanner| scanner.node(item, "")),
            }
        }
    }

    fn pairs(&mut self, pairs: &[(String, Node)], leave_out: &[&str]) {
        let is_left_out = |key: &str| leave_out.contains(&key) || key == SCHEMA;
        for (key, value) in pairs.iter().filter(|(key, _)| !is_left_out(key)) {
            let segment = self.segment(key);
            self.at(&segment, |scanner| {
                scanner.words_of(key, "");
                match value {
                    Node::Sequence(items) if CONTAINERS.contains(&key.as_str()) => {
                        scanner.special(items, Self::container);
                    }
                    Node::Sequence(items) if key == "volumes" => {
                        scanner.special(items, Self::volume);
                    }
                    value => scanner.node(value, key),
                }
            });
        }
    }

    fn special(&mut self, items: &[Node], act: impl Fn(&mut Self, &Node)) {
        for (number, item) in items.iter().enumerate() {
            self.at(&format!("[{number}]"), |scanner| act(scanner, item));
        }
    }

    fn container(&mut self, item: &Node) {
        let policy = item.get("imagePullPolicy").and_then(Node::text);
        let Some(Node::Text(image)) = item.get("image") else {
            if policy == Some("Always") && self.embedded == 0 {
                let place = &self.path;
                let cause = format!("{place}: `imagePullPolicy: Always` for a container whose image stands elsewhere");
                self.release.unreadable.push((self.file.to_owned(), cause));
            }
            return self.node(item, "");
        };
        self.at(".image", |scanner| scanner.image(image, "imagePullPolicy", policy));
        self.pairs(item.pairs(), &["image"]);
    }

    fn volume(&mut self, item: &Node) {
        let image = item.get("image");
        let Some(Node::Text(reference)) = image.and_then(|image| image.get("reference")) else {
            return self.node(item, "");
        };
        let policy = image.and_then(|image| image.get("pullPolicy")).and_then(Node::text);
        self.at(".image.reference", |scanner| scanner.image(reference, "pullPolicy", policy));
        self.pairs(item.pairs(), &["image"]);
    }

    /// A field that must be an image. In documents within strings it need not: those are templates and
    /// settings of programs that may complete it.
    fn image(&mut self, image: &str, policy_key: &str, policy: Option<&str>) {
        let image = image.trim();
        // `auto` is what Istio puts its own image in the place of.
        if image.is_empty() || image == "auto" || self.found > MAX_FOUND {
            return;
        }
        for (text, by) in apply(image, &self.transforms) {
            let reference = match text.parse::<Reference>() {
                Ok(reference) => reference,
                Err(e) => {
                    let doubled = text.split_once('@').is_some_and(|(name, digest)| is_doubled(name, digest));
                    if self.embedded == 0 || doubled {
                        let is_template = ["{{", "${", "$("].iter().any(|mark| text.contains(mark));
                        let (cause, hint) = if is_template {
                            let hint =
                                "render it first, for example `helm template CHART | bootc-embed list manifests:-`";
                            (format!("`{text}` is a template that is not filled in"), hint.to_owned())
                        } else {
                            (e.to_string(), e.hint())
                        };
                        self.invalid(text, cause, hint);
                    }
                    continue;
                }
            };
            // Kubernetes looks at the tag first, also where a digest decides which image it is.
            let is_latest = reference.tag() == Some("latest");
            let because = match policy {
                Some("Always") => Some(format!("{policy_key}: Always")),
                None if is_latest => Some(format!("the tag `latest` without {policy_key}")),
                _ => None,
            };
            if let Some(because) = because {
                self.release.pulls.push(Pull { reference: reference.clone(), origin: self.origin(), because });
            }
            self.note(Found::Reference(reference.clone()));
            for transform in by {
                self.release.add(reference.clone(), transform.origin.clone(), None);
            }
        }
    }

    /// A string that is no image field: a document in it is walked, its words are looked through.
    fn text(&mut self, text: &str, name: &str) {
        let inner = if self.embedded < MAX_EMBEDDED { embedded(text, &self.budget) } else { None };
        let Some(inner) = inner else {
            return self.words_of(text, name);
        };
        self.embedded += 1;
        self.at(" → ", |scanner| inner.iter().for_each(|node| scanner.document(node)));
        self.embedded -= 1;
    }

    fn words_of(&mut self, text: &str, name: &str) {
        for found in find(text, name) {
            self.note(found);
        }
    }

    fn note(&mut self, found: Found) {
        self.found += 1;
        if self.found > MAX_FOUND {
            return;
        }
        match found {
            Found::Reference(reference) => {
                let origin = self.origin();
                self.release.add(reference, origin, None);
            }
            Found::Doubled(text) => {
                // Not by parsing: that it is none is why we are here.
                let cause = format!("`{text}` is not an image reference: what follows `@` is no digest");
                let hint = "write a tag, or `@sha256:…`; fix the file that names this image".to_owned();
                self.invalid(text, cause, hint);
            }
        }
    }

    fn invalid(&mut self, text: String, cause: String, hint: String) {
        let origin = self.origin();
        if self.release.invalid.len() < MAX_FOUND {
            self.release.invalid.push(Invalid { text, origin, cause, hint });
        }
    }

    fn origin(&self) -> Origin {
        let mut key: String = self.path.chars().take(MAX_KEY).collect();
        if key.len() < self.path.len() {
            key.push('…');
        }
        Origin { file: self.file.to_owned(), key }
    }

    /// A key as jq would write it.
    fn segment(&self, key: &str) -> String {
        let is_plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        match (is_plain, self.path.is_empty() || self.path.ends_with(' ')) {
            (true, true) => key.to_owned(),
            (true, false) => format!(".{}", shortened(key)),
            (false, _) => format!("[\"{}\"]", shortened(key)),
        }
    }
}

/// So much of a foreign name as helps to find it.
fn shortened(name: &str) -> String {
    name.chars().take(MAX_KEY).collect()
}
