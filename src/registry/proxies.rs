//! Proxies, by the rules of Go's `net/http`, which skopeo and podman follow.
//!
//! A request goes through the proxy of its scheme, unless it is for this machine or `NO_PROXY` names
//! its host. What differs: an address that cannot be understood is an error; Go asks the registry
//! directly then.

use super::Error;
use reqwest::Url;
use std::fmt;
use std::net::IpAddr;

/// The settings, as the environment has them. The addresses may hold passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// `HTTP_PROXY`: for plain HTTP.
    pub http: Option<String>,
    /// `HTTPS_PROXY`: for HTTPS.
    pub https: Option<String>,
    /// `NO_PROXY`: hosts that are asked directly, with commas between them.
    pub no_proxy: Option<String>,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |value: &Option<String>| value.as_ref().map(|_| "set");
        let (http, https) = (set(&self.http), set(&self.https));
        f.debug_struct("Proxies").field("http", &http).field("https", &https).field("no_proxy", &self.no_proxy).finish()
    }
}

/// The proxy that a request for `host` goes through; `None` for none. `host` is as it stands in a
/// URL, so an IPv6 address has brackets.
pub fn proxy_for(proxies: &Proxies, scheme: &str, host: &str, port: u16) -> Result<Option<Url>, Error> {
    let proxies = Parsed::new(proxies)?;
    Ok(proxies.find(scheme, host, port).cloned())
}

/// The same as [`proxy_for`], as the HTTP library wants it.
pub fn for_reqwest(proxies: &Proxies) -> Result<reqwest::Proxy, Error> {
    let proxies = Parsed::new(proxies)?;
    Ok(reqwest::Proxy::custom(move |url: &Url| {
        let port = url.port_or_known_default().unwrap_or_default();
        let mut proxy = proxies.find(url.scheme(), url.host_str().unwrap_or_default(), port)?.clone();
        if proxy.scheme() == "socks5" {
            // Go lets the proxy look up names; the HTTP library does so under this name only.
            proxy.set_scheme("socks5h").ok()?;
        }
        Some(proxy)
    }))
}

/// The passwords in the addresses: for whoever must keep them out of messages.
pub fn secrets(proxies: &Proxies) -> Vec<String> {
    let addresses = [&proxies.http, &proxies.https].into_iter().flatten();
    let parsed = addresses.filter_map(|address| parse(address));
    parsed.filter_map(|url| url.password().map(str::to_owned)).collect()
}

struct Parsed {
    http: Option<Url>,
    https: Option<Url>,
    exceptions: Vec<Exception>,
}

impl Parsed {
    fn new(proxies: &Proxies) -> Result<Self, Error> {
        let read = |variable: &'static str, value: &Option<String>| {
            let Some(address) = value.as_deref().filter(|address| !address.is_empty()) else { return Ok(None) };
            parse(address).map(Some).ok_or(Error::Proxy { variable })
        };
        let exceptions = proxies.no_proxy.as_deref().unwrap_or_default().split(',').filter_map(Exception::parse);
        Ok(Self {
            http: read("HTTP_PROXY", &proxies.http)?,
            https: read("HTTPS_PROXY", &proxies.https)?,
            exceptions: exceptions.collect(),
        })
    }

    fn find(&self, scheme: &str, host: &str, port: u16) -> Option<&Url> {
        let proxy = match scheme {
            "http" => self.http.as_ref(),
            "https" => self.https.as_ref(),
            _ => None,
        };
        let host = host.trim().to_ascii_lowercase();
        let address = without_brackets(&host).parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        let local = host == "localhost" || address.is_some_and(|ip| ip.is_loopback());
        let excepted = || self.exceptions.iter().any(|exception| exception.covers(&host, address, port));
        proxy.filter(|_| !local && !excepted())
    }
}

/// The address of a proxy; without a scheme it is one of HTTP.
fn parse(address: &str) -> Option<Url> {
    let address = address.trim();
    let url = if address.contains("://") { Url::parse(address) } else { Url::parse(&format!("http://{address}")) };
    let known = |url: &Url| matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
    url.ok().filter(|url| known(url) && url.host_str().is_some_and(|host| !host.is_empty()))
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// An entry of `NO_PROXY`.
#[derive(Debug, PartialEq, Eq)]
enum Exception {
    /// `*`.
    All,
    /// `10.0.0.0/8`.
    Network(IpAddr, u8),
    /// `10.0.0.1`, perhaps with a port.
    Address(IpAddr, Option<u16>),
    /// `.example.com`, perhaps with a port; and whether the host of that name is one too.
    Domain(String, bool, Option<u16>),
}

impl Exception {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        if text == "*" {
            return Some(Self::All);
        }
        if let Some((address, bits)) = text.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse::<u8>())
        {
            let most = if address.is_ipv4() { 32 } else { 128 };
            return (bits <= most).then_some(Self::Network(address, bits));
        }
        let (host, port) = match text.rsplit_once(':') {
            // An IPv6 address without brackets has colons, but no port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (without_brackets(host), port),
            _ => (text.as_str(), ""),
        };
        let port = match port {
            "" => None,
            // No request goes to a port that is none.
            port => Some(port.parse().ok()?),
        };
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical(), port));
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let (name, itself) = host.strip_prefix('.').map_or((host, true), |name| (name, false));
        if host.is_empty() {
            return None;
        }
        let ascii = Url::parse(&format!("http://{name}")).ok().and_then(|url| url.host_str().map(str::to_owned));
        let name = if name.is_ascii() { name.to_owned() } else { ascii? };
        Some(Self::Domain(format!(".{name}"), itself, port))
    }

    fn covers(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let at = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match self {
            Self::All => true,
            Self::Network(network, bits) => address.is_some_and(|address| same_network(*network, address, *bits)),
            Self::Address(wanted, port) => address == Some(*wanted) && at(port),
            Self::Domain(domain, itself, port) => {
                address.is_none() && (host.ends_with(domain) || (*itself && host == &domain[1..])) && at(port)
            }
        }
    }
}

fn same_network(network: IpAddr, address: IpAddr, bits: u8) -> bool {
    let differ = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
        _ => return false,
    };
    differ.leading_zeros() >= u32::from(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(http: &str, https: &str, no_proxy: &str) -> Proxies {
        let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Proxies { http: set(http), https: set(https), no_proxy: set(no_proxy) }
    }

    #[test]
    fn addresses() {
        for (address, url) in [
            ("127.0.0.1:8080", Some("http://127.0.0.1:8080/")),
            ("cache.corp.example", Some("http://cache.corp.example/")),
            ("localhost", Some("http://localhost/")),
            ("localhost:3128", Some("http://localhost:3128/")),
            ("user:pw@cache:3128", Some("http://user:pw@cache:3128/")),
            ("https://cache.corp.example", Some("https://cache.corp.example/")),
            ("socks5://127.0.0.1", Some("socks5://127.0.0.1")),
            ("foo://host", None),
            ("http://", None),
            ("http://user:secret@:80", None),
            ("a b", None),
        ] {
            let found = proxy_for(&proxies(address, "", ""), "http", "example.com", 80);
            if let Some(url) = url {
                assert_eq!(found.unwrap().unwrap().as_str(), url, "{address}");
                continue;
            }
            let error = found.unwrap_err().to_string();
            assert!(error.contains("HTTP_PROXY") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn each_scheme_has_its_own() {
        let both = proxies("h", "s", "");
        for (scheme, url) in [("http", Some("http://h/")), ("https", Some("http://s/")), ("ftp", None)] {
            let found = proxy_for(&both, scheme, "example.com", 80).unwrap();
            assert_eq!(found.as_ref().map(Url::as_str), url, "{scheme}");
        }
        assert_eq!(proxy_for(&proxies("h", "", ""), "https", "example.com", 443).unwrap(), None);
        assert_eq!(proxy_for(&Proxies::default(), "http", "example.com", 80).unwrap(), None);
    }

    /// The rows of Go's own test, `httpproxy.UseProxyTests`, and some more.
    #[test]
    fn hosts_that_are_asked_directly() {
        let go = "foobar.com, .barbaz.net, *.wildcard.io, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, \
                  2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64, ::ffff:172.16.0.9, :80, \
                  :, bad.port:x, 1.2.3.0/99, 示例.com";
        for (host, port, proxied) in [
            ("localhost", 80, false),
            ("127.0.0.1", 80, false),
            ("127.0.0.2", 80, false),
            ("[::1]", 80, false),
            ("[::ffff:127.0.0.1]", 80, false),
            ("[::2]", 80, true),
            ("192.168.1.1", 80, false),
            ("192.168.1.1", 5000, false),
            ("192.168.1.2", 80, true),
            ("192.168.1.2", 81, false),
            ("192.168.1.3", 80, false),
            ("192.168.1.4", 80, true),
            ("10.0.0.2", 80, false),
            ("10.0.0.4", 80, true),
            ("172.16.0.9", 80, false),
            ("1.2.3.4", 80, true),
            ("[2001:db8::52:0:1]", 80, false),
            ("[2001:db8::52:0:2]", 80, true),
            ("[2001:db8::52:0:3]", 80, false),
            ("[2002:db8:a::123]", 80, false),
            ("[fe80::424b:c8be:1643:a1b6]", 80, true),
            ("barbaz.net", 80, true),
            ("www.barbaz.net", 80, false),
            ("wildcard.io", 80, true),
            ("nested.wildcard.io", 80, false),
            ("foobar.com", 80, false),
            ("www.foobar.com", 80, false),
            ("foofoobar.com", 80, true),
            ("baz.com", 80, true),
            ("localhost.net", 80, true),
            ("local.localhost", 80, true),
            ("bad.port", 80, true),
            ("www.xn--fsq092h.com", 80, false),
        ] {
            let found = proxy_for(&proxies("p", "", go), "http", host, port).unwrap();
            assert_eq!(found.is_some(), proxied, "{host}:{port}");
            assert!(proxy_for(&proxies("p", "", "a.b, *"), "http", host, port).unwrap().is_none(), "{host}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let proxies = proxies("http://user:hunter2@h", "user:hunter3@s:1", "");
        assert!(!format!("{proxies:?}").contains("hunter"));
        assert_eq!(secrets(&proxies), ["hunter2", "hunter3"]);
        assert!(!format!("{:?}", for_reqwest(&proxies).unwrap()).contains("hunter"));
    }
}
