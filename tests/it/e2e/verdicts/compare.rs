//! Asks both, and tells where they differ.

use crate::support::command::{Finished, run};
use crate::support::oracle;
use bootc_embed::model::signature::Signature;
use bootc_embed::model::{RawManifest, Reference};
use bootc_embed::registry::proxy::gpg::SkopeoGpg;
use bootc_embed::trust::{Candidate, Means, Policy, Verdict, judge, scopes};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// What both are asked.
pub struct Case {
    /// What is special about it.
    pub name: String,
    /// The image with its transport.
    pub source: String,
    /// The name of the image, where the transport has one.
    pub reference: Option<String>,
    /// policy.json.
    pub policy: String,
    /// The signatures, in the order of their numbers.
    pub files: Vec<Vec<u8>>,
}

/// What came of it.
pub struct Outcome {
    /// How often both were asked.
    pub verdicts: usize,
    /// How often skopeo accepted.
    pub accepted: usize,
    /// Where they differ.
    pub differences: Vec<String>,
}

/// All cases, and what they share.
pub struct Comparison<'a> {
    /// With `registries.conf` and `registries.d`.
    pub home: &'a Path,
    /// The manifest whose signatures count.
    pub manifest: &'a RawManifest,
    /// The cases.
    pub cases: &'a [Case],
}

impl Comparison<'_> {
    /// Asks both for every case, a few at a time.
    pub fn run(&self) -> Outcome {
        let (next, accepted) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let differences = Mutex::new(Vec::new());
        let work = || {
            while let Some(case) = self.cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                let copied = self.copy(case);
                accepted.fetch_add(usize::from(copied.code == Some(0)), Ordering::Relaxed);
                let difference = difference(case, &copied, self.judge(case).as_ref());
                differences.lock().unwrap_or_else(PoisonError::into_inner).extend(difference);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
                scope.spawn(work);
            }
        });
        let mut differences = differences.into_inner().unwrap_or_else(PoisonError::into_inner);
        differences.sort();
        Outcome { verdicts: self.cases.len(), accepted: accepted.into_inner(), differences }
    }

    fn copy(&self, case: &Case) -> Finished {
        let work = tempfile::tempdir_in(self.home).expect("make a folder for a copy");
        let policy = work.path().join("policy.json");
        fs::write(&policy, &case.policy).expect("write a policy");
        let mut skopeo = oracle::skopeo(work.path());
        skopeo.arg("--registries-conf").arg(self.home.join("registries.conf"));
        skopeo.arg("--policy").arg(policy).arg("--registries.d").arg(self.home.join("registries.d"));
        run(skopeo.args(["copy", "--quiet", &case.source]).arg(format!("dir:{}", work.path().join("copy").display())))
    }

    /// What we say; without a verdict where the policy itself is wrong.
    fn judge(&self, case: &Case) -> Option<Verdict> {
        let policy = Policy::parse(case.policy.as_bytes()).ok()?;
        let name: Option<Reference> = case.reference.as_ref().map(|text| text.parse().expect("a name"));
        let (requirements, _) = match &name {
            Some(name) => policy.requirements("docker", &scopes::of_docker(name)),
            None => policy.requirements("dir", &scopes::of_dir(case.source.trim_start_matches("dir:"))),
        };
        let signatures: Vec<_> = case.files.iter().map(|file| Signature::parse(file)).collect();
        let candidate = Candidate { name: name.as_ref(), manifest: self.manifest.digest(), signatures: &signatures };
        let files = |path: &str| fs::read(path).map_err(|e| e.to_string());
        let gpg = SkopeoGpg::new(self.manifest, &files);
        let means = Means { files: &files, now: SystemTime::now(), gpg: Some(&gpg) };
        Some(judge(requirements, &candidate, &means))
    }
}

/// Where the two differ. For other reasons than the policy skopeo may not fail.
fn difference(case: &Case, copied: &Finished, ours: Option<&Verdict>) -> Option<String> {
    let says = |text: &str| copied.errors.contains(text);
    let same = match ours {
        Some(Verdict::Accepted(_)) => copied.code == Some(0),
        Some(Verdict::Rejected(_)) => copied.code == Some(1) && says("Source image rejected"),
        Some(Verdict::CouldNotCheck(_)) => false,
        None => copied.code == Some(1) && says("invalid policy in"),
    };
    if same {
        return None;
    }
    let theirs = if copied.code == Some(0) { "accepts" } else { copied.errors.trim() };
    Some(format!("* {}\n  skopeo: {theirs}\n  we: {ours:?}", case.name))
}
