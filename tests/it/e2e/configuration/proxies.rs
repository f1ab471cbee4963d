//! Requests go through a proxy where those of skopeo do.

use super::{both, repository};
use crate::e2e::Workbench;
use crate::support::docker_registry::{DockerRegistry, Guards, Tls};
use crate::support::registry::FaultyRegistry;
use crate::support::tunnel::Tunnel;

/// Nobody's name and port.
const NAME: &str = "registry.invalid:5000";

/// Variables, in which `PROXY` is the proxy; who is asked; and whether the proxy is asked for a tunnel,
/// for HTTPS, and for a page, for plain HTTP.
type Row = (&'static [(&'static str, &'static str)], &'static str, bool, bool);

const BOTH: [(&str, &str); 2] = [("HTTP_PROXY", "http://PROXY"), ("HTTPS_PROXY", "http://PROXY")];

const ROWS: &[Row] = &[
    (&[], NAME, false, false),
    (&BOTH, NAME, true, true),
    (&[BOTH[0]], NAME, false, true),
    (&[BOTH[1]], NAME, true, false),
    (&[("http_proxy", "http://PROXY"), ("https_proxy", "PROXY")], NAME, true, true),
    (&[("HTTP_PROXY", "PROXY"), ("http_proxy", "http://nobody.invalid:1"), BOTH[1]], NAME, true, true),
    (&[("HTTP_PROXY", ""), ("http_proxy", "http://PROXY"), BOTH[1]], NAME, true, true),
    (&[("ALL_PROXY", "http://PROXY"), ("all_proxy", "http://PROXY")], NAME, false, false),
    (&[BOTH[0], BOTH[1], ("NO_PROXY", "*")], NAME, false, false),
    (&[BOTH[0], BOTH[1], ("NO_PROXY", "registry.invalid")], NAME, false, false),
    (&[BOTH[0], BOTH[1], ("no_proxy", "other.invalid, registry.invalid")], NAME, false, false),
    (&[BOTH[0], BOTH[1], ("NO_PROXY", "invalid")], NAME, false, false),
    (&[BOTH[0], BOTH[1], ("NO_PROXY", ".invalid")], NAME, false, false),
    (&[BOTH[0], BOTH[1], ("NO_PROXY", "*.invalid")], NAME, false, false),
    (&[BOTH[0], BOTH[1], ("NO_PROXY", "registry.invalid:5000")], NAME, false, false),
    (&[BOTH[0], BOTH[1], ("NO_PROXY", "registry.invalid:5001")], NAME, true, true),
    (&[BOTH[0], BOTH[1], ("NO_PROXY", ".registry.invalid")], NAME, true, true),
    (&[BOTH[0], BOTH[1], ("NO_PROXY", "istry.invalid,http://registry.invalid")], NAME, true, true),
    (&[BOTH[0], BOTH[1], ("NO_PROXY", "x.invalid"), ("no_proxy", "*")], NAME, true, true),
    (&BOTH, "192.0.2.1:5000", true, true),
    (&[BOTH[0], BOTH[1], ("NO_PROXY", "192.0.2.0/32,192.0.2.1:80")], "192.0.2.1:5000", true, true),
    // What is on this machine is asked directly.
    (&BOTH, "localhost:1", false, false),
    (&BOTH, "127.0.0.1:1", false, false),
    (&BOTH, "127.1.2.3:1", false, false),
];

#[test]
fn skopeo_goes_through_the_same_proxies() {
    let proxy = FaultyRegistry::start(&[repository()]);
    let workbench = Workbench::new();
    for (variables, host, tunnel, page) in ROWS {
        let finished = both(&workbench, host, &["--tls-verify=false"], |command| {
            let values = variables.iter().map(|(name, value)| (*name, value.replace("PROXY", proxy.address())));
            command.envs(values);
        });
        // Requests come in the order of the programs, and each program asks for a tunnel first.
        let seen: Vec<bool> = proxy.take_seen().iter().map(|seen| seen.path.is_empty()).collect();
        let mut expected: Vec<bool> = Vec::new();
        for _ in &finished {
            expected.extend(tunnel.then_some(true));
            expected.extend(page.then_some(false));
        }
        let [skopeo, tool] = finished;
        let squeezed = |mut kinds: Vec<bool>| {
            kinds.dedup();
            kinds
        };
        assert_eq!(squeezed(seen), squeezed(expected), "{variables:?} {host}\n{skopeo}\n{tool}");
        // The proxy serves pages of any host, and no tunnel.
        for finished in [skopeo, tool] {
            assert_eq!(finished.code == Some(0), *page, "{variables:?} {host}\n{finished}");
        }
    }
}

/// TLS goes through a tunnel of the proxy to the registry, whose certificate is checked as ever.
#[test]
fn registries_with_tls_are_reached_through_a_tunnel() {
    let registry = DockerRegistry::guarded(Guards { tls: Tls::Authority, ..Guards::default() });
    registry.push(&repository());
    let tunnel = Tunnel::to(registry.host());
    let workbench = Workbench::new();
    let certificates = format!("--cert-dir={}", registry.cert_dir().display());
    // The certificate is for loopback, which is never asked by proxy, so by this name it does not fit.
    for (words, works) in [(["--tls-verify=false"], true), ([certificates.as_str()], false)] {
        let finished = both(&workbench, NAME, &words, |command| {
            command.env("HTTPS_PROXY", format!("http://user:secret@{}", tunnel.address()));
        });
        let heads = tunnel.take_heads();
        for finished in finished {
            assert_eq!(finished.code == Some(0), works, "{finished}\n{heads:#?}");
            assert!(works || finished.errors.contains("certificate"), "{finished}");
        }
        assert!(heads.len() >= 2, "both went through it: {heads:#?}");
        for head in heads {
            assert!(head.starts_with("CONNECT registry.invalid:5000 "), "{head}");
            assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjpzzwnyzxq="), "{head}");
        }
    }
}

/// A proxy gets the credentials of its address; nobody else does.
#[test]
fn passwords_of_proxies_are_used_and_not_shown() {
    let proxy = FaultyRegistry::start(&[repository()]);
    let workbench = Workbench::new();
    for (address, works) in [
        (format!("http://user:a%40secret@{}", proxy.address()), true),
        ("http://user:a%40secret@127.0.0.1:1".to_owned(), false),
        ("foo://user:a%40secret@127.0.0.1:1".to_owned(), false),
    ] {
        let [skopeo, tool] = both(&workbench, NAME, &["--tls-verify=false"], |command| {
            command.env("HTTP_PROXY", &address).env("HTTPS_PROXY", &address);
        });
        let sent: Vec<Option<String>> = proxy.take_seen().into_iter().map(|seen| seen.proxy_authorization).collect();
        assert_eq!((skopeo.code == Some(0), tool.code == Some(0)), (works, works), "{skopeo}\n{tool}");
        // user:a@secret
        assert!(sent.iter().all(|sent| sent.as_deref() == Some("Basic dXNlcjphQHNlY3JldA==")), "{sent:?}");
        assert_eq!(sent.is_empty(), !works, "{tool}");
        assert!(!tool.errors.contains("secret"), "the password is shown\n{tool}");
        assert!(works || tool.errors.contains("hint:"), "{tool}");
    }
}
