//! What is known of the device that a set is for: its policy, registries.d and registries.conf, and the
//! keys that its policy names.

use crate::emit::{Known, REGISTRIES_D};
use crate::model::progress::Silent;
use crate::model::{Failure, Tree};
use crate::registry::registries_conf::RegistriesConf;
use crate::registry::registries_d::RegistriesD;
use crate::target::{Keep, Wanted, folder};
use crate::trust::{self, Means, Policy};
use crate::validate::DevicePolicy;
use anyhow::{Context as _, Result};
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The policy of a root that runtimes obey.
pub const POLICY: &str = "etc/containers/policy.json";

/// The most bytes of a policy that the user names.
const MAX_POLICY: u64 = 16 * 1024 * 1024;

/// A policy that the user may name.
#[derive(Debug, clap::Args)]
pub struct PolicyArgs {
    /// Judge signatures by this policy: a policy.json, or YAML with ClusterImagePolicies and
    /// ImagePolicies; may be given several times. [default: /etc/containers/policy.json of the device]
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
}

/// A policy, and what it is called.
#[derive(Debug, Clone)]
pub struct NamedPolicy {
    /// The policy.
    pub policy: Policy,
    /// The files it comes from.
    pub name: String,
    /// Whether the user named it.
    pub given: bool,
}

impl PolicyArgs {
    /// The policy that the user named.
    pub fn read(&self) -> Result<Option<NamedPolicy>> {
        if self.policy.is_empty() {
            return Ok(None);
        }
        let mut files = Vec::new();
        for path in &self.policy {
            files.push((path.display().to_string(), read_file(path)?));
        }
        let policy = trust::read_policies(&files).map_err(|e| {
            let hints = e.hints();
            let failure = Failure::usage("reading the policy").because(e);
            hints.into_iter().fold(failure, Failure::hint)
        })?;
        let names: Vec<String> = files.into_iter().map(|(name, _)| name).collect();
        Ok(Some(NamedPolicy { policy, name: names.join(", "), given: true }))
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_POLICY + 1).read_to_end(&mut bytes));
    let failure = || Failure::usage(format!("the policy `{}` cannot be read", path.display()));
    let read = read.map_err(|e| failure().because(e).hint("`--policy` names a policy.json, or YAML of OpenShift"))?;
    if read as u64 > MAX_POLICY {
        return Err(failure().hint(format!("it has more than {MAX_POLICY} bytes")).into());
    }
    Ok(bytes)
}

/// The policy of a root; `None` where there is none, or none that can be used, which a check says.
pub fn policy_of(tree: &Tree) -> Option<NamedPolicy> {
    read_policy(tree).ok().flatten()
}

/// The policy of a root, where there is one. What cannot be read may be a policy that rejects everything.
fn read_policy(tree: &Tree) -> Result<Option<NamedPolicy>> {
    let name = format!("/{POLICY}");
    let wrong = || Failure::check(format!("the device's policy `{name}` cannot be used"));
    let hint = "mend it, or name the policy that the device will have: `--policy FILE`";
    let Some(node) = tree.get(POLICY) else { return Ok(None) };
    let Some(bytes) = tree.bytes(POLICY) else {
        let what = if node.file().is_some() { "too large for a policy" } else { "no file, or leads to none" };
        return Err(wrong().because(anyhow::anyhow!("it is {what}")).hint(hint).into());
    };
    let policy = Policy::parse(bytes).map_err(|e| wrong().because(e).hint(hint))?;
    Ok(Some(NamedPolicy { policy, name, given: false }))
}

/// The files that a policy names, as places of a tree.
pub fn key_places(policy: &Policy) -> Vec<String> {
    policy.paths().into_iter().filter_map(crate::model::tree::normal).filter(|path| !path.is_empty()).collect()
}

/// Reads a key by its path on the device.
type ReadKey<'a> = dyn Fn(&str) -> Result<Vec<u8>, String> + 'a;

/// What judging signatures needs.
pub struct Evidence<'a> {
    policy: Option<NamedPolicy>,
    files: Box<ReadKey<'a>>,
    now: SystemTime,
}

impl<'a> Evidence<'a> {
    /// The policy that the user named, else the tree's own. Keys are read in the tree; a tree that is no
    /// whole system has none, and so those of this machine are taken.
    pub fn of(tree: &'a Tree, is_system: bool, named: Option<NamedPolicy>) -> Self {
        let policy = named.or_else(|| policy_of(tree).filter(|_| is_system));
        let files = move |path: &str| match tree.file(path).map(|file| file.bytes.as_deref()) {
            Some(Some(bytes)) => Ok(bytes.to_vec()),
            Some(None) => Err("it is too large for a key".to_owned()),
            None if is_system => Err("it is not there".to_owned()),
            None => read_key(path),
        };
        Self { policy, files: Box::new(files), now: SystemTime::now() }
    }

    /// For checks.
    pub fn policy(&self) -> Option<DevicePolicy<'_>> {
        let NamedPolicy { policy, name, given } = self.policy.as_ref()?;
        Some(DevicePolicy { policy, name, given: *given })
    }

    /// For checks; who checks OpenPGP is for them to say, image by image.
    pub fn means(&self) -> Means<'_> {
        Means { files: self.files.as_ref(), now: self.now, gpg: None }
    }
}

/// Reads a key on this machine.
fn read_key(path: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    file.take(MAX_POLICY).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// The settings of a device, as far as one of its roots has them.
#[derive(Default)]
pub struct DeviceFiles {
    /// What was read of it.
    pub tree: Tree,
    /// Its policy, or that of the user.
    pub policy: Option<NamedPolicy>,
    registries_d: RegistriesD,
    registries_conf: RegistriesConf,
}

impl DeviceFiles {
    /// Reads the first of some roots that has settings of containers.
    pub fn read(roots: &[PathBuf], given: Option<NamedPolicy>) -> Result<Self> {
        let open = |path: &PathBuf| Dir::open_ambient_dir(path, ambient_authority()).ok();
        let Some(root) = roots.iter().filter_map(open).find(|root| root.is_dir("etc/containers")) else {
            return Ok(Self { policy: given, ..Self::default() });
        };
        let wanted = || {
            let places = ["etc/containers", "usr/share/containers"];
            places.into_iter().fold(Wanted::default(), |wanted, place| wanted.place(place, Keep::Text))
        };
        let mut tree = folder::read(&root, &wanted(), &Silent)?;
        let policy = match given {
            Some(given) => Some(given),
            None => read_policy(&tree)?,
        };
        if let Some(NamedPolicy { policy, .. }) = &policy {
            let keys = key_places(policy);
            let wanted = keys.iter().fold(wanted(), |wanted, place| wanted.place(place, Keep::Text));
            tree = folder::read(&root, &wanted, &Silent)?;
        }
        // What an earlier run wrote is written anew.
        tree.remove(REGISTRIES_D);
        let registries_d = RegistriesD::from_tree(&tree).context("reading the device's registries.d")?;
        let registries_conf = RegistriesConf::from_tree(&tree).context("reading the device's registries.conf")?;
        Ok(Self { tree, policy, registries_d, registries_conf })
    }

    /// For what is judged.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence::of(&self.tree, self.tree.file(POLICY).is_some(), self.policy.clone())
    }

    /// For what is emitted.
    pub fn known(&self) -> Known<'_> {
        let policy = self.policy.as_ref().map(|named| &named.policy);
        let (registries_d, registries_conf) = (&self.registries_d, &self.registries_conf);
        Known { policy, registries_d, registries_conf, ..Known::default() }
    }
}
