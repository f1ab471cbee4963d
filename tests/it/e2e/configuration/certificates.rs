//! Certificates are found where skopeo finds them, and a folder that skopeo refuses is refused.

use super::{both, repository};
use crate::e2e::Workbench;
use crate::support::docker_registry::{DockerRegistry, Guards, Tls};
use std::fs;

/// The files of one folder, each with the name of its origin.
type Files = &'static [(&'static str, &'static str)];

/// A client's certificate of another authority.
const STRANGER: Files = &[("a.cert", "stranger.crt"), ("a.key", "stranger.key")];

#[test]
fn certificates_stand_in_a_folder_of_the_host() {
    let registry = DockerRegistry::guarded(Guards { tls: Tls::ClientCertificate, ..Guards::default() });
    registry.push(&repository());
    let other = DockerRegistry::guarded(Guards { tls: Tls::SelfSigned, ..Guards::default() });
    let workbench = Workbench::new();
    let certs = workbench.path("home/.config/containers/certs.d");
    let (host, name) = (registry.host(), registry.host().split(':').next().expect("a host has a name"));
    let origin = |file: &str| match file {
        "stranger.crt" => other.cert_dir().join("ca.crt"),
        "stranger.key" => other.cert_dir().join("../server.key"),
        file => registry.cert_dir().join(file),
    };
    let empty = format!("--cert-dir={}", workbench.folder("empty").display());
    let own: Files = &[("ca.crt", "ca.crt"), ("client.cert", "client.cert"), ("client.key", "client.key")];
    for (folder, files, words, succeeds, says) in [
        (host, &[][..], &[][..], false, ""),
        (host, own, &[], true, ""),
        (host, &own[..1], &[], false, ""),
        (host, &own[1..], &[], false, ""),
        (host, &own[1..], &["--tls-verify=false"], true, ""),
        (host, &[own[0], own[1]], &[], false, "client.key` is missing"),
        (host, &[own[0], own[2]], &[], false, "client.cert` is missing"),
        (host, &[own[0], own[2]], &["--tls-verify=false"], false, "client.cert` is missing"),
        (host, &[own[0], own[1], ("client.key", "stranger.key")], &[], false, "client.key"),
        // Of several certificates the one is shown whose authority the registry knows.
        (host, &[own[0], own[1], own[2], STRANGER[0], STRANGER[1]], &[], true, ""),
        (host, &[own[0], STRANGER[0], STRANGER[1]], &[], false, ""),
        (host, &[own[0], own[1], own[2], ("other.crt", "stranger.crt"), ("note.txt", "client.key")], &[], true, ""),
        // Another port is another host.
        (name, own, &[], false, ""),
        (other.host(), own, &[], false, ""),
        // The named folder takes the place of all others.
        (host, own, &[empty.as_str()], false, ""),
    ] {
        let _ = fs::remove_dir_all(&certs);
        fs::create_dir_all(certs.join(folder)).expect("make the folder of a host");
        for (file, from) in files {
            fs::copy(origin(from), certs.join(folder).join(file)).expect("copy a certificate");
        }
        let [skopeo, tool] = both(&workbench, host, words, |_| {});
        assert_eq!(skopeo.code == Some(0), succeeds, "{folder} {files:?} {words:?}\n{skopeo}");
        assert_eq!(tool.code == Some(0), succeeds, "{folder} {files:?} {words:?}\n{tool}");
        tool.says(says);
    }
}
