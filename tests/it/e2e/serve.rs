//! `serve`: a store as a registry for stock programs.

use super::set::Set;
use super::{Workbench, registry_with};
use crate::support::busybox;
use crate::support::command::run;
use crate::support::rpm::Payload;
use crate::support::storage::Storage;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

/// A program that serves, until this value goes.
struct Server {
    child: Child,
    host: String,
}

impl Server {
    /// `serve` on a port of the kernel's choice. Its first line says where.
    fn start(workbench: &Workbench, words: &[&str]) -> Self {
        let mut tool = workbench.tool();
        tool.args(["serve", "--quiet", "--listen", "127.0.0.1:0"]).args(words);
        let mut child = tool.stdout(Stdio::piped()).spawn().expect("start the program");
        let output = child.stdout.take().expect("the output of the program is a pipe");
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        let mut server = Self { child, host: String::new() };
        read.expect("read where the program serves");
        let host = line.trim().strip_prefix("http://");
        match host {
            Some(host) => server.host.push_str(host),
            None => panic!("`serve` said `{line}`, which is no address"),
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// skopeo and podman take from a served store what they would take from the registry.
#[test]
fn stock_programs_read_a_served_store() {
    let set = Set::new(busybox::native());
    let registry = registry_with(&set);
    let workbench = Workbench::new();
    let package = workbench.release_info_rpm(&set, &registry, Payload::Zstd);
    let store = workbench.path("store");
    let mut tool = workbench.tool();
    tool.arg("fetch").arg(&package).arg("--store").arg(&store);
    run(tool.args(["--platform", set.platform, "--tls-verify=false"])).success();
    registry.stop();

    let store = store.to_str().expect("a temporary path is text");
    let server = Server::start(&workbench, &["--store", store]);
    assert_is_readable(&set, &server, &workbench.folder("of-store"));
    drop(server);

    // The store is an OCI layout too.
    let server = Server::start(&workbench, &[&format!("oci:{store}")]);
    let odd = set.image("odd_index");
    let source = format!("docker://{}", odd.reference(&server.host));
    let mut skopeo = workbench.program("skopeo");
    let raw = run(skopeo.args(["inspect", "--raw", "--tls-verify=false", &source])).success();
    assert!(raw.output == odd.top.bytes, "{source} is not what the registry had");
}

fn assert_is_readable(set: &Set, server: &Server, folder: &Path) {
    let storage = Storage::new();
    for image in &set.images {
        let reference = image.reference(&server.host);
        let source = format!("docker://{reference}");
        let raw = run(storage.skopeo().args(["inspect", "--raw", "--tls-verify=false", &source])).success();
        assert!(raw.output == image.top.bytes, "{reference} is not what the registry had");
        let copy = |name: &str, words: &[&str]| {
            let place = folder.join(format!("{}-{name}", image.key));
            let mut skopeo = storage.skopeo();
            skopeo.args(["copy", "--src-tls-verify=false"]).args(words).arg(&source);
            run(skopeo.arg(format!("dir:{}", place.display()))).success();
            fs::read(place.join("manifest.json")).expect("read the copied manifest")
        };
        let index = copy("index", &["--multi-arch=index-only", "--preserve-digests"]);
        assert!(index == image.top.bytes, "{reference} is not copied as it is");
        let native = copy("native", &[]);
        assert!(image.instances.iter().any(|instance| instance.manifest.bytes == native), "{reference}");
        run(storage.podman().args(["pull", "--quiet", "--tls-verify=false", &reference])).success();
        assert_eq!(
            storage.run(&reference, &[]).success().text(),
            format!("{} on {}\n", image.key, set.platform),
            "{reference}"
        );
    }
}
