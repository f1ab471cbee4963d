//! Whether what the import fills is what runtimes read.

use super::Problems;
use super::import::{importers, names};
use crate::model::Tree;
use crate::model::crio;
use crate::validate::{CannotCheck, Facts, Problem};
use serde::Deserialize;

/// Where storages are unless a setting says otherwise: containers-storage.conf(5).
const GRAPH_ROOT: &str = "/var/lib/containers/storage";
/// The files of that setting, the one that wins first.
const STORAGE_CONF: [&str; 2] = ["etc/containers/storage.conf", "usr/share/containers/storage.conf"];
/// Settings that may end a service before it imports, or let it see other files.
const HINDRANCES: [&str; 5] = ["ExecCondition", "ExecStartPre", "RootDirectory", "RootImage", "DynamicUser"];
/// Quadlets of users: their podman has storages of its own.
const USERS: [&str; 2] = ["/etc/containers/systemd/users/", "/usr/share/containers/systemd/users/"];
/// Folders whose content bootc takes from an image at the first installation only.
const KEPT: [&str; 5] = ["var", "home", "root", "srv", "mnt"];
/// Folders that every boot empties.
const VOLATILE: [&str; 3] = ["run", "tmp", "dev"];

/// The import fills the storage that the runtimes read.
pub fn storage(facts: &Facts<'_>) -> Problems {
    let mut problems = Vec::new();
    for (set, importer) in importers(facts) {
        let unit = &importer.unit;
        let mut wrong = |message: String, hint: &'static str| {
            problems.push(Problem::new(unit.name.clone(), message).hint(hint).stops(names(set)));
        };
        if let Some(user) = unit.file.last("Service", "User").filter(|user| !["root", "0"].contains(user)) {
            let message = format!("it runs as `{user}`, so it fills that user's storage");
            wrong(message, "leave `User=` out: CRI-O and system services read root's storage");
        }
        for key in HINDRANCES.iter().filter(|_| !importer.is_recipe()) {
            if let Some((_, value)) = unit.file.section("Service").find(|(of, value)| of == key && !value.is_empty()) {
                wrong(format!("`{key}={value}` may keep it from importing"), "take that setting out of the unit");
            }
        }
        if let Some(kind) = unit.file.last("Service", "Type").filter(|kind| *kind != "oneshot" && !importer.is_recipe())
        {
            wrong(format!("with `Type={kind}` nothing waits for its end"), "set `Type=oneshot`");
        }
        let settings = unit.file.all("Service", "Environment").join(" ");
        let elsewhere = settings.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
        let elsewhere = elsewhere.filter_map(|word| word.strip_prefix("BOOTC_EMBED_STORE=")).next_back();
        if let Some(other) = elsewhere.filter(|other| other.trim_matches('/') != set.place) {
            wrong(
                format!("`BOOTC_EMBED_STORE={other}` sends it to another store"),
                "take that setting out of the unit",
            );
        }
    }
    let crio = crio::images(facts.tree()).map_err(|e| CannotCheck(e.to_string()))?;
    let graph_root = graph_root(facts.tree())?;
    if let Some((file, root)) =
        crio.root.filter(|(_, root)| root.trim_end_matches('/') != graph_root.trim_end_matches('/'))
    {
        let message = format!("CRI-O's `root` is `{root}`, skopeo imports into `{graph_root}`");
        let hint = "use one storage: set `graphroot` of /etc/containers/storage.conf, or leave CRI-O's `root` out";
        problems.push(Problem::new(format!("/{file}"), message).hint(hint).stops(facts.embedded_names()));
    }
    for component in &facts.subject.required.components {
        let of_user = component.found_in.iter().find(|origin| USERS.iter().any(|place| origin.file.starts_with(place)));
        if let Some(origin) = of_user {
            let name = component.reference.as_str();
            let message = format!("{origin}: a user's podman does not read root's storage, which the import fills");
            let hint = "run it as a service of the system, or import into that user's storage too";
            problems.push(Problem::new(name, message).hint(hint).stops([name]));
        }
    }
    Ok(problems)
}

/// Where skopeo imports to when root runs it.
fn graph_root(tree: &Tree) -> Result<String, CannotCheck> {
    #[derive(Deserialize, Default)]
    struct Conf {
        #[serde(default)]
        storage: Storage,
    }
    #[derive(Deserialize, Default)]
    struct Storage {
        graphroot: Option<String>,
    }
    let Some((path, bytes)) = STORAGE_CONF.iter().find_map(|path| Some((path, tree.bytes(path)?))) else {
        return Ok(GRAPH_ROOT.to_owned());
    };
    let conf: Conf = toml::from_str(&String::from_utf8_lossy(bytes))
        .map_err(|e| CannotCheck(format!("/{path} cannot be read: {}", e.message())))?;
    Ok(conf.storage.graphroot.filter(|root| !root.is_empty()).unwrap_or_else(|| GRAPH_ROOT.to_owned()))
}

/// Updates change what is embedded.
pub fn updated(facts: &Facts<'_>) -> Problems {
    let problems = facts.sets.iter().filter_map(|set| {
        let place = facts.tree().resolve(&set.place).map_or_else(|| set.place.clone(), |(place, _)| place);
        let first = place.split('/').next().unwrap_or_default();
        let hint = "embed below /usr, for example into /usr/lib/bootc-embed";
        if VOLATILE.contains(&first) {
            let message = format!("it is in `/{first}`, which is empty when a device boots");
            return Some(Problem::new(set.shown(), message).hint(hint).stops(names(set)));
        }
        let message = format!("it is in `/{first}`, which bootc fills at installation and does not update");
        KEPT.contains(&first).then(|| Problem::new(set.shown(), message).hint(hint).warning())
    });
    Ok(problems.collect())
}
