//! Which registries.conf is read, and which drop-ins, is what skopeo reads.

use super::{both, repository};
use crate::e2e::Workbench;
use crate::support::command::run;
use crate::support::registry::FaultyRegistry;
use crate::support::tool::bootc_embed;
use std::fs;

#[test]
fn skopeo_reads_the_same_files() {
    let registry = FaultyRegistry::start(&[repository()]);
    let workbench = Workbench::new();
    let home = workbench.path("home/.config/containers");
    let named = workbench.path("named.conf");
    let word = format!("--registries-conf={}", named.display());
    let blocks = format!("[[registry]]\nlocation = \"{}\"\nblocked = true\n", registry.address());
    let open = format!("[[registry]]\nlocation = \"{}\"\n", registry.address());
    // The user's file, the named one, and the user's drop-in; `None` is not there.
    let (blocks, open) = (Some(blocks.as_str()), Some(open.as_str()));
    for (user, by_name, drop_in, opens) in [
        (None, None, None, true),
        (blocks, None, None, false),
        (blocks, open, None, true),
        (open, blocks, None, false),
        (None, open, blocks, false),
        (blocks, open, open, true),
        (open, None, blocks, false),
        (blocks, None, open, true),
        (None, None, blocks, false),
    ] {
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(home.join("registries.conf.d/sub.conf")).expect("make the folder of drop-ins");
        let write = |path, text: Option<&str>| {
            if let Some(text) = text {
                fs::write(path, text).expect("write registries.conf");
            }
        };
        write(home.join("registries.conf"), user);
        write(home.join("registries.conf.d/10.conf"), drop_in);
        write(home.join("registries.conf.d/20.conf.off"), blocks);
        write(named.clone(), by_name);
        let words = ["--tls-verify=false", word.as_str()];
        let words = if by_name.is_some() { &words[..] } else { &words[..1] };
        let finished = both(&workbench, registry.address(), words, |_| {});
        for finished in finished {
            assert_eq!(finished.code == Some(0), opens, "{user:?} {by_name:?} {drop_in:?}\n{finished}");
            if !opens {
                finished.says("blocked");
            }
        }
    }
}

/// A short name is refused, but what this machine would make of it is told.
#[test]
fn short_names_are_told_what_they_stand_for() {
    let workbench = Workbench::new();
    let home = workbench.folder("home/.config/containers");
    let conf = "unqualified-search-registries = [\"a.invalid\", \"b.invalid\"]\n[aliases]\nknown = \"c.invalid/it\"\n";
    fs::write(home.join("registries.conf"), conf).expect("write registries.conf");
    for (name, says) in [
        ("known", "on this machine it stands for `c.invalid/it:latest`"),
        ("other:v1", "on this machine it is looked for as `a.invalid/other:v1`, `b.invalid/other:v1`"),
    ] {
        let mut tool = bootc_embed(&workbench.path("home"));
        run(tool.args(["plan", &format!("image:{name}")])).fails_with(2).says("write the registry out").says(says);
    }
}

#[test]
fn named_files_and_folders() {
    let registry = FaultyRegistry::start(&[repository()]);
    let workbench = Workbench::new();
    let folder = workbench.folder("drop-ins");
    let blocks = format!("[[registry]]\nlocation = \"{}\"\nblocked = true\n", registry.address());
    let own = workbench.folder("home/.config/containers/registries.conf.d");
    fs::write(own.join("1.conf"), &blocks).expect("write a drop-in");
    let (folder, missing) = (folder.display().to_string(), workbench.path("missing").display().to_string());
    let blocking = workbench.path("blocking.conf");
    fs::write(&blocking, &blocks).expect("write registries.conf");
    let blocking = blocking.display().to_string();
    let plan = |words: &[&str]| {
        let mut tool = bootc_embed(&workbench.path("home"));
        tool.arg("plan").arg(format!("image:{}/team/app:v1", registry.address())).arg("--tls-verify=false");
        run(tool.args(words))
    };
    plan(&[]).fails_with(3).says("blocked");
    plan(&["--registries-conf-dir", &folder]).success();
    plan(&["--registries-conf-dir", &folder, "--registries-conf", &blocking]).fails_with(3).says("blocked");
    plan(&["--registries-conf-dir", &folder, "--registries-conf", &missing]).fails_with(2).says("--registries-conf");
    plan(&["--registries-conf-dir", &missing]).fails_with(2).says("--registries-conf-dir");
    let proxy = ["--transport", "proxy"];
    plan(&[&proxy[..], &["--registries-conf-dir", &folder]].concat()).fails_with(2).says("skopeo");
    fs::remove_dir_all(own).expect("remove the drop-ins");
    plan(&proxy).success();
    plan(&[&proxy[..], &["--registries-conf", &blocking]].concat()).fails_with(3).says("blocked");
}
