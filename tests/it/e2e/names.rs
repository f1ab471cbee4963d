//! One image under several names of one repository: each name is a promise to a workload.

use super::{Machine, Workbench};
use crate::support::busybox;
use crate::support::command::run;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fixture::{Format, Image, Index, Repository, Spelling};
use crate::support::storage::Storage;
use std::fs;

/// By tag, by digest, and by both, before and after the storage was emptied.
#[test]
fn every_name_of_an_image_is_kept() {
    let native = busybox::native();
    let image = Image::new(native).layer(&busybox::layer(native)).command(&["/bin/echo", "named"]).build();
    let index = Index::new(Format::Oci).instances([&image]).spelling(Spelling::TABS).build();
    let repository = Repository::new("team/named").instances([&image]).index(&index).tag("v1", &index);
    let registry = DockerRegistry::start();
    registry.push(&repository);
    let host = registry.host().to_owned();
    let tagged = repository.tagged(&host, "v1");
    let names = [tagged.clone(), repository.pinned(&host, &index), format!("{tagged}@{}", index.digest)];

    let workbench = Workbench::new();
    let list = workbench.path("images.txt");
    fs::write(&list, names.join("\n") + "\n").expect("write the list of images");
    let root = workbench.root();
    let mut tool = workbench.tool();
    tool.arg("embed").arg(format!("list:{}", list.display())).arg("--root").arg(&root);
    run(tool.args(["--platform", native, "--tls-verify=false"])).success();
    registry.stop();

    let mut machine = Machine::boot(&root);
    for boot in ["first boot", "second boot", "boot with an emptied storage"] {
        if boot.contains("emptied") {
            machine.storage = Storage::new();
        }
        machine.import(&[]).success();
        for name in &names {
            if let Err(why) = machine.storage.resolves(name, &index.digest) {
                panic!("{boot}: {name} does not resolve: {why}");
            }
            assert_eq!(machine.storage.run(name, &[]).success().text(), "named\n", "{boot}: {name}");
        }
    }
}
