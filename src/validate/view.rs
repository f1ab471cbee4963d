//! `View`: one embedded image, looked at file by file, the way an import and a runtime would.
//!
//! What is wrong is noted under the check that reports it. Looking stops where the next step would
//! only repeat the same cause in other words.

use super::Problem;
use super::embedded::{Line, Set, named_digest};
use super::facts::Subject;
use crate::model::choice::choose;
use crate::model::manifest::{Descriptor, IndexEntry, config_platform};
use crate::model::plan::Signed;
use crate::model::signature::SignatureError;
use crate::model::tree::{File, NodeKind};
use crate::model::{
    Digest, Instance, Manifest, PlannedImage, Platform, Platforms, RawManifest, Reference, Signature, Tree,
};
use std::collections::{BTreeMap, BTreeSet};

/// The checks that look at views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// The manifest that the reference resolves to.
    Manifest,
    /// The instances that devices choose.
    Instance,
    /// Config and layers are there.
    Blobs,
    /// Their bytes.
    Bytes,
    /// What the configs say they are for.
    Architecture,
    /// Folder, links and lists around them.
    Shape,
}

/// The most signatures of one manifest that are read.
const MAX_SIGNATURES: usize = 10_000;

/// What skopeo writes into a `dir:` folder.
const VERSION: &[u8] = b"Directory Transport Version: 1.1\n";

/// One embedded image.
pub struct View {
    /// The name in the list.
    pub name: String,
    /// That name, if it is a reference.
    pub reference: Option<Reference>,
    /// The position of its set.
    pub set: usize,
    /// Its folder.
    pub place: String,
    /// The digest of what the reference resolves to, where it could be read.
    pub digest: Option<Digest>,
    /// The instances that are there and could be read.
    pub instances: Vec<Instance>,
    /// The files that it needs, links followed, with their sizes.
    pub files: BTreeMap<String, u64>,
    /// Files in its folder that it does not need, with their sizes.
    pub foreign: BTreeMap<String, u64>,
    /// What lies beside its manifests as `signature-N`, by the manifest: each as it could be read. Reading
    /// ends at the first number that is missing, as an import does.
    pub signatures: BTreeMap<Digest, Vec<Result<Signature, SignatureError>>>,
    /// What is wrong.
    pub problems: Vec<(Aspect, Problem)>,
}

impl View {
    /// Whether all of it was found and understood.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }

    /// An image of which nothing is known yet.
    pub fn new(name: &str, reference: Option<Reference>, set: usize, place: String) -> Self {
        Self {
            name: name.to_owned(),
            reference,
            set,
            place,
            digest: None,
            instances: Vec::new(),
            files: BTreeMap::new(),
            foreign: BTreeMap::new(),
            signatures: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Notes what is wrong.
    pub fn note(&mut self, aspect: Aspect, problem: Problem) {
        self.problems.push((aspect, problem.stops([self.name.clone()])));
    }
}

/// Looks at the view of a line.
pub fn inspect(subject: &Subject<'_>, set: &Set, at: usize, line: &Line) -> View {
    let view = View::new(&line.name, line.reference.clone(), at, set.path(&line.folder));
    let mut inspector = Inspector { tree: subject.tree, set, locked: set.locked(&line.name), view };
    inspector.folder(&subject.platforms);
    inspector.view
}

struct Inspector<'a> {
    tree: &'a Tree,
    set: &'a Set,
    locked: Option<&'a PlannedImage>,
    view: View,
}

impl<'a> Inspector<'a> {
    fn folder(&mut self, platforms: &Platforms) {
        let place = self.view.place.clone();
        if !self.tree.resolve(&place).is_some_and(|(_, node)| node.is_dir()) {
            let problem = Problem::new(format!("/{place}"), format!("the folder of `{}` is missing", self.view.name));
            return self.view.note(Aspect::Shape, problem.hint("embed the set again; a list names what is not there"));
        }
        if let Some(top) = self.top() {
            self.view.digest = Some(top.digest().clone());
            match top.parse() {
                Ok(Manifest::Index(entries)) => self.index(&top, &entries, platforms),
                Ok(Manifest::Image { config, layers }) => {
                    let instance = Instance { manifest: top.descriptor(), platform: None, config, layers };
                    self.instance(instance, platforms.chosen());
                }
                Err(e) => self.manifest(format!("it cannot be used: {e}"), None),
            }
        }
        self.shape();
    }

    fn manifest(&mut self, message: String, hint: Option<&'static str>) {
        let subject = self.view.name.clone();
        let hint = hint.unwrap_or("embed the image again; nothing may rewrite a manifest");
        self.view.note(Aspect::Manifest, Problem::new(subject, message).hint(hint));
    }

    /// The file of a name in the view, links followed; noted as needed.
    fn file(&mut self, name: &str) -> Option<(String, &'a File)> {
        let (path, node) = self.tree.resolve(&format!("{}/{name}", self.view.place))?;
        let file = node.file()?;
        self.view.files.insert(path.clone(), file.size);
        Some((path, file))
    }

    /// The manifest that the reference resolves to.
    fn top(&mut self) -> Option<RawManifest> {
        let named = self.view.reference.as_ref().and_then(|reference| reference.digest().cloned());
        let expected = named.or_else(|| self.locked.map(|image| image.manifest.digest.clone()));
        let Some((_, file)) = self.file("manifest.json") else {
            self.manifest("its `manifest.json` is missing".to_owned(), None);
            return None;
        };
        if let (Some(expected), Some(found)) = (&expected, &file.digest)
            && expected != found
        {
            let is_instance =
                self.locked.is_some_and(|image| image.instances.iter().any(|i| i.manifest.digest == *found));
            let (message, hint) = if is_instance || is_image(file) {
                let message =
                    format!("a single manifest ({found}) stands where {expected} is named: the index is lost");
                (message, "embed with the index kept: a copy of one architecture does not resolve (OCPBUGS-66414)")
            } else {
                let message =
                    format!("its manifest has other bytes: sha256 is {}, not {}", found.hex(), expected.hex());
                (message, "embed the image again; an index that was re-formatted or changed does not resolve")
            };
            self.manifest(message, Some(hint));
            return None;
        }
        let raw = if let Some(bytes) = &file.bytes {
            RawManifest::new(bytes.to_vec(), self.locked.map(|image| image.manifest.media_type.as_str()))
        } else {
            self.manifest(format!("its `manifest.json` of {} bytes is no manifest", file.size), None);
            return None;
        };
        raw.map_err(|e| self.manifest(format!("its manifest cannot be used: {e}"), None)).ok()
    }

    fn index(&mut self, top: &RawManifest, entries: &[IndexEntry], platforms: &Platforms) {
        let mut needed = self.needed(top, entries, platforms);
        let present: Vec<&IndexEntry> = entries
            .iter()
            .filter(|entry| {
                let path = format!("{}/{}.manifest.json", self.view.place, entry.descriptor.digest.hex());
                self.tree.file(&path).is_some()
            })
            .collect();
        if *platforms == Platforms::All && self.locked.is_none() {
            needed = present.iter().map(|entry| ((*entry).clone(), Vec::new())).collect();
            if needed.is_empty() {
                let problem = Problem::new(self.view.name.clone(), "no instance of its index is there");
                self.view.note(Aspect::Instance, problem.hint("embed the image again"));
            }
        }
        for (entry, wanted) in needed {
            self.entry(&entry, &wanted);
        }
        // What other platforms have here is read as far as it goes, so that it can be counted.
        for entry in present {
            self.count_foreign(&entry.descriptor);
        }
    }

    /// The entries that must be there, each with the platforms that may choose it.
    fn needed(
        &mut self,
        top: &RawManifest,
        entries: &[IndexEntry],
        platforms: &Platforms,
    ) -> Vec<(IndexEntry, Vec<Platform>)> {
        let mut needed: Vec<(IndexEntry, Vec<Platform>)> = Vec::new();
        let mut need = |entry: &IndexEntry, wanted: Option<&Platform>| {
            let known = needed.iter_mut().find(|(known, _)| known.descriptor.digest == entry.descriptor.digest);
            match known {
                Some((_, by)) => by.extend(wanted.cloned()),
                None => needed.push((entry.clone(), wanted.into_iter().cloned().collect())),
            }
        };
        let mut missing = Vec::new();
        for wanted in platforms.chosen() {
            let chosen = choose(wanted, &top.descriptor().media_type, entries);
            if chosen.is_empty() {
                missing.push(wanted.to_string());
            }
            for at in chosen {
                need(&entries[at], Some(wanted));
            }
        }
        // What the lock says is kept must be there too, for platforms that nobody asked for now.
        for instance in self.locked.iter().flat_map(|image| &image.instances) {
            if let Some(entry) = entries.iter().find(|entry| entry.descriptor.digest == instance.manifest.digest) {
                need(entry, None);
            }
        }
        if !missing.is_empty() {
            let offers: BTreeSet<String> =
                entries.iter().filter_map(|e| Some(e.platform.as_ref()?.to_string())).collect();
            let offers = offers.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!("its index has no instance for {}; it has: {offers}", missing.join(", "));
            let problem = Problem::new(self.view.name.clone(), message);
            self.view.note(Aspect::Instance, problem.hint("take an image that is built for this platform"));
        }
        needed
    }

    fn entry(&mut self, entry: &IndexEntry, wanted: &[Platform]) {
        let digest = &entry.descriptor.digest;
        let of = entry.platform.as_ref().map_or_else(|| "no platform".to_owned(), Platform::to_string);
        let Some((path, file)) = self.file(&format!("{}.manifest.json", digest.hex())) else {
            let message = format!("its instance for {of}, {digest}, is missing");
            let problem = Problem::new(self.view.name.clone(), message);
            return self.view.note(Aspect::Instance, problem.hint("embed the image again for this platform"));
        };
        if !self.is_intact(&path, file, &entry.descriptor) {
            return;
        }
        let raw =
            file.bytes.as_deref().map(|bytes| RawManifest::new(bytes.to_vec(), Some(&entry.descriptor.media_type)));
        match raw.map(|raw| raw.and_then(|raw| raw.parse())) {
            Some(Ok(Manifest::Image { config, layers })) => {
                let manifest = entry.descriptor.clone();
                self.instance(Instance { manifest, platform: entry.platform.clone(), config, layers }, wanted);
            }
            // Kept with all platforms; no device chooses it.
            Some(Ok(Manifest::Index(_))) if wanted.is_empty() => {}
            _ => {
                let message = format!("its instance for {of}, {digest}, is no image manifest");
                let problem = Problem::new(self.view.name.clone(), message);
                self.view.note(Aspect::Instance, problem.hint("the image was built wrongly; get another build of it"));
            }
        }
    }

    /// Whether a file has the bytes and the size that are announced.
    fn is_intact(&mut self, path: &str, file: &File, announced: &Descriptor) -> bool {
        let message = match &file.digest {
            Some(found) if *found != announced.digest && file.size < announced.size => {
                format!("it is cut short: {} of {} bytes", file.size, announced.size)
            }
            Some(found) if *found != announced.digest => {
                format!("its bytes are damaged: sha256 is {}, not {}", found.hex(), announced.digest.hex())
            }
            _ if file.size != announced.size => {
                format!("it has {} bytes where its manifest announces {}", file.size, announced.size)
            }
            _ => return true,
        };
        let hint = "embed the set again: `fetch --locked` hashes everything and replaces what is damaged";
        self.view.note(Aspect::Bytes, Problem::new(format!("/{path}"), message).hint(hint));
        false
    }

    fn instance(&mut self, instance: Instance, wanted: &[Platform]) {
        let mut missing = Vec::new();
        let mut config = None;
        for (blob, is_config) in instance.blobs().zip(std::iter::once(true).chain(std::iter::repeat(false))) {
            match self.file(blob.digest.hex()) {
                None => missing.push((blob.digest.to_string(), is_config)),
                Some((path, file)) => {
                    let intact = self.is_intact(&path, file, blob);
                    if is_config && intact {
                        config = file.bytes.as_deref();
                    }
                }
            }
        }
        for (digest, is_config) in missing {
            let what = if is_config { "config" } else { "layer" };
            let problem = Problem::new(self.view.name.clone(), format!("its {what} {digest} is missing"));
            self.view
                .note(Aspect::Blobs, problem.hint("embed the image again: the same command fetches what is missing"));
        }
        if let Some(config) = config.filter(|_| instance.config.is_image_config()) {
            self.architecture(&instance, config, wanted);
        }
        self.view.instances.push(instance);
    }

    fn architecture(&mut self, instance: &Instance, config: &[u8], wanted: &[Platform]) {
        let message = match config_platform(config) {
            Err(e) => format!("the config of {} cannot be read: {e}", instance.manifest.digest),
            Ok(None) => return,
            Ok(Some(own)) => {
                let unfit = wanted.iter().find(|wanted| !wanted.runs(&own) && wanted.rank(&own).is_none());
                match (unfit, &instance.platform) {
                    // A single image must fit one of the platforms, an instance all that choose it.
                    (Some(_), None) if wanted.iter().any(|w| w.runs(&own)) => return,
                    (Some(unfit), _) => format!("its config says {own}, which {unfit} does not run"),
                    (None, Some(entry)) if entry.architecture != own.architecture || entry.os != own.os => {
                        format!("its config says {own}, its index says {entry}")
                    }
                    (None, _) => return,
                }
            }
        };
        let problem = Problem::new(self.view.name.clone(), message);
        self.view.note(Aspect::Architecture, problem.hint("the image was built wrongly, or for another platform"));
    }

    /// Counts an instance that is there although nobody needs it, with its blobs.
    fn count_foreign(&mut self, manifest: &Descriptor) {
        if self.view.instances.iter().any(|instance| instance.manifest.digest == manifest.digest) {
            return;
        }
        let name = format!("{}/{}.manifest.json", self.view.place, manifest.digest.hex());
        let Some((path, file)) = self.tree.resolve(&name).and_then(|(path, node)| Some((path, node.file()?))) else {
            return;
        };
        if self.view.files.contains_key(&path) {
            return;
        }
        self.view.foreign.insert(path, file.size);
        let parsed = file.bytes.as_deref().and_then(|bytes| RawManifest::new(bytes.to_vec(), None).ok()?.parse().ok());
        let Some(Manifest::Image { config, layers }) = parsed else { return };
        for blob in std::iter::once(&config).chain(&layers) {
            let found = self.tree.resolve(&format!("{}/{}", self.view.place, blob.digest.hex()));
            if let Some((path, size)) = found.and_then(|(path, node)| Some((path, node.file()?.size)))
                && !self.view.files.contains_key(&path)
            {
                self.view.foreign.insert(path, size);
            }
        }
    }

    /// The signatures of what is there, and whether all that the lock names are.
    fn signatures(&mut self) {
        let of_instances = self.view.instances.iter().map(|instance| instance.manifest.digest.clone());
        let manifests: BTreeSet<Digest> = self.view.digest.iter().cloned().chain(of_instances).collect();
        for manifest in manifests {
            let of = if self.view.digest.as_ref() == Some(&manifest) {
                String::new()
            } else {
                format!("{}.", manifest.hex())
            };
            let mut found = Vec::new();
            while found.len() < MAX_SIGNATURES
                && let Some((_, file)) = self.file(&format!("{of}signature-{}", found.len() + 1))
            {
                let unread = || SignatureError::Format(format!("it has {} bytes", file.size));
                found.push(file.bytes.as_deref().ok_or_else(unread).and_then(Signature::parse));
            }
            let locked = self.locked.and_then(|image| image.signed(&manifest)).map_or(0, |signed| signed.files.len());
            if found.len() < locked {
                let problem = Problem::new(
                    self.view.name.clone(),
                    format!("{} of the {locked} signatures of {manifest} are missing", locked - found.len()),
                );
                self.view.note(Aspect::Shape, problem.hint("embed the image again"));
            }
            if !found.is_empty() {
                self.view.signatures.insert(manifest, found);
            }
        }
        let locked = self.locked;
        for file in locked.iter().flat_map(|image| &image.signatures).flat_map(Signed::content) {
            let path = self.set.path(&format!("blobs/sha256/{}", file.digest.hex()));
            match self.tree.resolve(&path).and_then(|(path, node)| Some((path, node.file()?))) {
                None => {
                    let problem = Problem::new(
                        self.view.name.clone(),
                        format!("{}, which belongs to its signatures, is missing", file.digest),
                    );
                    self.view.note(
                        Aspect::Blobs,
                        problem.hint("embed the image again: the same command fetches what is missing"),
                    );
                }
                Some((path, found)) => {
                    self.view.files.insert(path.clone(), found.size);
                    self.is_intact(&path, found, file);
                }
            }
        }
    }

    /// The folder itself: its version, its links into the pool, and what does not belong there.
    fn shape(&mut self) {
        let Some((folder, _)) = self.tree.resolve(&self.view.place) else { return };
        let below: Vec<(&str, &NodeKind)> = self.tree.below(&folder).map(|(path, node)| (path, &node.kind)).collect();
        self.signatures();
        if !self.view.is_whole() {
            return;
        }
        if self.tree.bytes(&format!("{folder}/version")) != Some(VERSION) {
            let message = "its file `version` is not that of a `dir:` folder";
            let problem = Problem::new(format!("/{}", self.view.place), message);
            self.view.note(Aspect::Shape, problem.hint("embed the image again; skopeo does not read this folder"));
        }
        let pool = self.set.path("blobs/sha256");
        for (path, kind) in below {
            let name = &path[folder.len() + 1..];
            let real = self.tree.resolve(path).and_then(|(real, node)| Some((real, node.file()?.size)));
            let needed = real.as_ref().is_some_and(|(real, _)| self.view.files.contains_key(real));
            if name == "version" || is_signature(path) {
                continue;
            }
            if !needed && !real.as_ref().is_some_and(|(real, _)| self.view.foreign.contains_key(real)) {
                self.view.foreign.insert(path.to_owned(), real.map_or(0, |(_, size)| size));
            } else if self.set.has_lock {
                let expected = if name == "manifest.json" { self.view.digest.clone() } else { named_digest(name) };
                let expected = expected.map(|digest| format!("{pool}/{}", digest.hex()));
                if !matches!(kind, NodeKind::Link(_))
                    || real.map(|(real, _)| real) != expected.and_then(|path| Some(self.tree.resolve(&path)?.0))
                {
                    let message = "it is no link to the blob of this digest in the pool";
                    let problem = Problem::new(format!("/{path}"), message);
                    self.view.note(Aspect::Shape, problem.hint("copy stores with links kept, as tar and `cp -a` do"));
                }
            }
        }
    }
}

fn is_signature(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.contains("signature-"))
}

/// Whether a file is the manifest of a single image.
fn is_image(file: &File) -> bool {
    let raw = file.bytes.as_deref().and_then(|bytes| RawManifest::new(bytes.to_vec(), None).ok());
    raw.is_some_and(|raw| !raw.is_index())
}
