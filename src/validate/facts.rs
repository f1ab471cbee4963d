//! `Subject`: what is judged. `Facts`: what all checks share, found out once.

use super::embedded::{self, Set};
use super::judgement::{self, Judgement};
use super::storage;
use super::view::{self, View};
use crate::model::{Platforms, Release, Tree};
use crate::target::storage::Storage;
use crate::trust::{Means, Policy};
use std::collections::{BTreeMap, BTreeSet};

/// What is judged.
pub struct Subject<'a> {
    /// As the report calls it.
    pub name: String,
    /// Its files.
    pub tree: &'a Tree,
    /// The containers-storage that it is, in place of files.
    pub storage: Option<&'a Storage>,
    /// Whether it is a whole system, and not a store alone.
    pub is_system: bool,
    /// Where embedded sets are looked for, as paths in the tree; empty for the tree itself.
    pub places: Vec<String>,
    /// What its workloads name.
    pub required: &'a Release,
    /// The platforms that it must serve.
    pub platforms: Platforms,
    /// References that the user left out.
    pub excluded: Vec<String>,
    /// What this program's import script may say, for each place.
    pub scripts: Vec<String>,
    /// The most bytes of all embedded files.
    pub max_size: Option<u64>,
    /// What the device accepts; `None` where that is not known.
    pub policy: Option<DevicePolicy<'a>>,
    /// What judging signatures needs; but for who checks OpenPGP, which is skopeo, image by image.
    pub means: Means<'a>,
    /// Whether skopeo may be run for that.
    pub may_run_skopeo: bool,
}

/// What a device accepts.
#[derive(Clone, Copy)]
pub struct DevicePolicy<'a> {
    /// Its policy.
    pub policy: &'a Policy,
    /// As the report calls it.
    pub name: &'a str,
    /// Whether the user named it; then what it does not accept is an error.
    pub given: bool,
}

/// What checks look at.
pub struct Facts<'a> {
    /// What is judged.
    pub subject: &'a Subject<'a>,
    /// The embedded sets.
    pub sets: Vec<Set>,
    /// The embedded images, by the lists.
    pub views: Vec<View>,
    /// What the device's policy says to each of them.
    judgements: Vec<Option<Judgement>>,
}

impl<'a> Facts<'a> {
    /// Finds out.
    pub fn new(subject: &'a Subject<'a>) -> Self {
        if let Some(storage) = subject.storage {
            let (set, views) = storage::look_up(subject, storage);
            return Self { subject, sets: vec![set], views, judgements: Vec::new() };
        }
        let sets = embedded::find(subject.tree, &subject.places);
        let mut views = Vec::new();
        for (at, set) in sets.iter().enumerate() {
            views.extend(set.lines.iter().map(|line| view::inspect(subject, set, at, line)));
        }
        let mut facts = Self { subject, sets, views, judgements: Vec::new() };
        facts.judgements = facts.views.iter().map(|view| judgement::of_view(&facts, view)).collect();
        facts
    }

    /// The images that a policy has something to say to.
    pub fn judged(&self) -> impl Iterator<Item = (&View, &Judgement)> {
        self.views.iter().zip(&self.judgements).filter_map(|(view, judgement)| Some((view, judgement.as_ref()?)))
    }

    /// What the device's policy says to an image.
    pub fn judgement(&self, name: &str) -> Option<&Judgement> {
        self.judged().find(|(view, _)| view.name == name).map(|(_, judgement)| judgement)
    }

    /// The files of a root.
    pub fn tree(&self) -> &'a Tree {
        self.subject.tree
    }

    /// What the workloads name, by the name that storage gives it.
    pub fn required(&self) -> BTreeSet<String> {
        self.subject.required.components.iter().map(|component| component.reference.stored_name()).collect()
    }

    /// Every name that is embedded.
    pub fn embedded_names(&self) -> Vec<String> {
        self.views.iter().map(|view| view.name.clone()).collect()
    }

    /// The files of all views, each once, with their sizes: path → bytes.
    pub fn files(&self) -> BTreeMap<&str, u64> {
        self.views.iter().flat_map(|view| &view.files).map(|(path, size)| (path.as_str(), *size)).collect()
    }
}
