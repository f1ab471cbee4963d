//! Registries that do not let everybody in.

use super::Workbench;
use super::set::Set;
use crate::support::busybox;
use crate::support::command::{Finished, run};
use crate::support::docker_registry::{DockerRegistry, Guards, PASSWORD, Tls};
use crate::support::registry::FaultyRegistry;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

/// A certificate of a private authority and a password, through both lanes; and what is said without them.
#[test]
fn certificate_and_password_open_a_registry() {
    let set = Set::new(busybox::native());
    let registry = DockerRegistry::guarded(Guards { tls: Tls::Authority, password: true });
    set.push(&registry);
    let (certificates, passwords) = (registry.cert_dir(), registry.authfile());
    let workbench = Workbench::new();
    let reference = set.image("odd_index").reference(registry.host());
    let fetch = |name: &str, words: &[&str], files: &[(&str, &Path)]| -> Finished {
        let mut tool = workbench.tool();
        tool.arg("fetch").arg(format!("image:{reference}")).arg("--store").arg(workbench.path(name));
        tool.args(["--platform", set.platform]).args(words);
        for (option, path) in files {
            tool.arg(option).arg(path);
        }
        let finished = run(&mut tool);
        assert!(!finished.errors.contains(PASSWORD), "the password is printed\n{finished}");
        finished
    };
    for transport in ["http", "proxy"] {
        let lane = ["--transport", transport];
        let both = [("--cert-dir", certificates.as_path()), ("--authfile", passwords.as_path())];
        fetch(&format!("{transport}-both"), &lane, &both).success();
        fetch(&format!("{transport}-no-certificate"), &lane, &both[1..]).fails_with(3).says("hint:");
        fetch(&format!("{transport}-no-password"), &lane, &both[..1]).fails_with(3).says("hint:");
        let careless = ["--transport", transport, "--tls-verify=false"];
        fetch(&format!("{transport}-unverified"), &careless, &both[1..]).success();
    }
    fetch("hint-certificate", &[], &[("--authfile", &passwords)]).fails_with(3).says("--cert-dir");
    fetch("hint-password", &[], &[("--cert-dir", &certificates)]).fails_with(3).says("--authfile");
}

/// A server's own certificate in the folder is enough, through both lanes, as for skopeo.
#[test]
fn self_signed_certificate_opens_a_registry() {
    let set = Set::new(busybox::native());
    let registry = DockerRegistry::guarded(Guards { tls: Tls::SelfSigned, ..Guards::default() });
    set.push(&registry);
    let workbench = Workbench::new();
    for transport in ["http", "proxy"] {
        let fetch = |name: &str, certificates: Option<&Path>| {
            let mut tool = workbench.tool();
            tool.args(["fetch", &set.image("single").reference(registry.host()), "--transport", transport]);
            tool.args(["--platform", set.platform]).args(certificates.map(|_| "--cert-dir")).args(certificates);
            run(tool.arg("--store").arg(workbench.path(name)))
        };
        fetch(transport, Some(&registry.cert_dir())).success();
        fetch("none", None).fails_with(3).says("hint:");
        let other = DockerRegistry::guarded(Guards { tls: Tls::SelfSigned, ..Guards::default() });
        fetch("other", Some(&other.cert_dir())).fails_with(3).says("hint:");
    }
}

/// `*.cert` and `*.key` of the folder are shown to a registry that asks for them.
#[test]
fn client_certificate_opens_a_registry() {
    let set = Set::new(busybox::native());
    let registry = DockerRegistry::guarded(Guards { tls: Tls::ClientCertificate, ..Guards::default() });
    set.push(&registry);
    let workbench = Workbench::new();
    let without = workbench.folder("without");
    std::fs::copy(registry.cert_dir().join("ca.crt"), without.join("ca.crt")).expect("copy the authority");
    for words in [
        ["--transport=http", "--tls-verify=true"],
        ["--transport=http", "--tls-verify=false"],
        ["--transport=proxy", "--tls-verify=true"],
    ] {
        let fetch = |certificates: &Path| {
            let mut tool = workbench.tool();
            tool.args(["fetch", &set.image("single").reference(registry.host()), "--platform", set.platform])
                .args(words);
            run(tool.arg("--cert-dir").arg(certificates).arg("--store").arg(workbench.path(&words.concat())))
        };
        fetch(&without).fails_with(3);
        fetch(&registry.cert_dir()).success();
    }
}

/// A wrong password is told from none.
#[test]
fn wrong_password_is_told_of() {
    let set = Set::new(busybox::native());
    let registry = DockerRegistry::guarded(Guards { password: true, ..Guards::default() });
    let right = std::fs::read_to_string(registry.authfile()).expect("read the file with credentials");
    let workbench = Workbench::new();
    let wrong = workbench.path("wrong.json");
    // Another letter at the end of the name and password.
    let auth = right.rsplit("\"auth\":\"").next().and_then(|rest| rest.split('"').next());
    let auth = auth.expect("the file has credentials").to_owned();
    std::fs::write(&wrong, right.replace(&auth, "YW5ub3RoZXI6b25l")).expect("write wrong credentials");
    let mut tool = workbench.tool();
    let reference = set.image("single").reference(registry.host());
    tool.args(["fetch", &reference, "--tls-verify=false", "--authfile"]).arg(&wrong);
    let refused = run(tool.arg("--store").arg(workbench.path("store"))).fails_with(3).says("were refused");
    assert!(!refused.errors.contains("YW5ub3RoZXI6b25l"), "credentials are printed\n{refused}");
}

/// A registry behind TLS that sends clients to one without: nobody goes there. `openssl s_server -HTTP`
/// sends files as they are, head of the answer included.
#[test]
fn a_redirect_out_of_tls_is_not_followed() {
    let plain = FaultyRegistry::start(&[]);
    let certificates = DockerRegistry::guarded(Guards { tls: Tls::SelfSigned, ..Guards::default() });
    let workbench = Workbench::new();
    let folder = workbench.folder("served/v2/team/app/manifests");
    let answer = format!("HTTP/1.0 307 Moved\r\nLocation: http://{}/v2/\r\nContent-Length: 0\r\n\r\n", plain.address());
    std::fs::write(folder.join("v1"), answer).expect("write an answer");
    let mut server = workbench.program("openssl");
    let certificate = certificates.cert_dir().join("ca.crt");
    server.args(["s_server", "-accept", "127.0.0.1:0", "-HTTP", "-cert"]).arg(certificate).arg("-key");
    server.arg(certificates.cert_dir().join("../server.key")).current_dir(workbench.path("served"));
    let mut server = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("start a server");
    let output = BufReader::new(server.stdout.take().expect("the server's output"));
    let line = output.lines().map_while(Result::ok).find(|line| line.starts_with("ACCEPT "));
    let host = line.expect("the server listens").trim_start_matches("ACCEPT ").to_owned();
    let mut tool = workbench.tool();
    tool.args(["plan", "--retries=0", "--cert-dir"]).arg(certificates.cert_dir());
    let refused = run(tool.arg(format!("image:{host}/team/app:v1")));
    server.kill().and_then(|()| server.wait()).expect("stop the server");
    refused.fails_with(3).says("redirects from https to http");
    assert!(plain.take_seen().is_empty(), "the registry without TLS was asked");
}
