//! Whether a certificate is for a host, by the rules of Go's `VerifyHostname`: `*` stands for one
//! leftmost label, names are compared without regard to case, addresses only with addresses.

use std::net::IpAddr;

/// Whether a host name or address is among those that a certificate names.
pub fn matches(host: &str, names: &[String], addresses: &[Vec<u8>]) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return addresses.iter().any(|bytes| same_address(bytes, address));
    }
    let is_valid = is_hostname(host.strip_suffix('.').unwrap_or(host), false);
    names.iter().any(|name| {
        if is_valid && is_hostname(name, true) {
            matches_pattern(name, host)
        } else {
            // Names that are no host names, but that someone uses all the same.
            !matches!(host, "" | ".") && name.eq_ignore_ascii_case(host)
        }
    })
}

fn same_address(bytes: &[u8], address: IpAddr) -> bool {
    let found = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).map(IpAddr::from),
    };
    found.is_ok_and(|found| found.to_canonical() == address.to_canonical())
}

fn is_hostname(name: &str, is_pattern: bool) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    name != "*"
        && name.split('.').enumerate().all(|(at, label)| {
            let is_word = label.bytes().enumerate().all(|(at, c)| word(c) || (c == b'-' && at > 0));
            (is_pattern && at == 0 && label == "*") || (!label.is_empty() && is_word)
        })
}

fn matches_pattern(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let (pattern, host): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), host.split('.').collect());
    let same = |(at, (pattern, host)): (usize, (&&str, &&str))| {
        (at == 0 && *pattern == "*") || pattern.eq_ignore_ascii_case(host)
    };
    pattern.len() == host.len() && pattern.iter().zip(&host).enumerate().all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_does() {
        for (host, name, is) in [
            ("a.example.com", "a.example.com", true),
            ("A.example.com.", "a.Example.com", true),
            ("a.example.com", "*.example.com", true),
            ("a.b.example.com", "*.example.com", false),
            ("example.com", "*.example.com", false),
            ("a.example.com", "a.*.com", false),
            ("a.example.com", "a*.example.com", false),
            ("*.example.com", "*.example.com", true),
            ("*.example.com", "*.EXAMPLE.com", true),
            ("a_b", "a_b", true),
            ("-a.com", "-A.com", true),
            ("x", "*", false),
            ("", "", false),
            ("a.com", "a.com.", false),
            ("10.0.0.1", "10.0.0.1", false),
        ] {
            assert_eq!(matches(host, &[name.to_owned()], &[]), is, "{host} {name}");
        }
        let addresses = [vec![10, 0, 0, 1]];
        assert!(matches("10.0.0.1", &[], &addresses) && matches("[::ffff:10.0.0.1]", &[], &addresses));
        assert!(!matches("10.0.0.2", &[], &addresses) && !matches("10.0.0.1", &[], &[vec![10]]));
    }
}
