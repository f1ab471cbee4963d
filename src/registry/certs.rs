//! Certificates for a registry: which folder they stand in, and what is read from it.
//!
//! Format: containers-certs.d(5). What runtimes do with the folders is what containers/image does:
//! only the first folder that exists for `host[:port]` counts, also if there is nothing in it; folders
//! that may not be looked into are passed over; a certificate without its key, or a key without its
//! certificate, is an error. Stricter than there: a folder that the user names must exist, and a
//! `*.crt` without any certificate is told of instead of ignored.

use super::{Error, tls};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where certificates may stand.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// A folder for every host, instead of all others; it must exist.
    pub dir: Option<PathBuf>,
    /// Folders in which each host has a folder of its name, best first.
    pub folders: Vec<PathBuf>,
}

/// What one folder holds.
#[derive(Debug)]
pub struct Certificates {
    /// The folder.
    pub dir: PathBuf,
    /// Who is trusted besides the system's authorities: `*.crt`.
    trusted: Vec<CertificateDer<'static>>,
    /// What is shown to a registry that asks who is there: `*.cert` with `*.key`.
    identities: Vec<Arc<CertifiedKey>>,
}

impl Search {
    /// The folder for a `host[:port]` as references write it, so `docker.io` for Docker Hub.
    ///
    /// Hosts with the same folder can share connections.
    pub fn dir(&self, host: &str) -> Result<Option<PathBuf>, Error> {
        if self.dir.is_some() {
            return Ok(self.dir.clone());
        }
        for folder in &self.folders {
            let dir = folder.join(host);
            match std::fs::metadata(&dir) {
                Ok(_) => return Ok(Some(dir)),
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {}
                Err(e) => return Err(wrong(&dir, e.to_string())),
            }
        }
        Ok(None)
    }
}

impl Certificates {
    /// The certificates for a `host[:port]`; `None` where no folder is for it.
    pub fn for_host(search: &Search, host: &str) -> Result<Option<Self>, Error> {
        let Some(dir) = search.dir(host)? else { return Ok(None) };
        match std::fs::read_dir(&dir) {
            Err(e) if e.kind() == ErrorKind::PermissionDenied && search.dir.is_none() => Ok(None),
            Err(e) => Err(wrong(&dir, e.to_string())),
            Ok(listing) => {
                let mut names = listing
                    .map(|entry| entry.map(|entry| entry.file_name()))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|e| wrong(&dir, e.to_string()))?;
                names.sort();
                Self::read(dir, &names).map(Some)
            }
        }
    }

    fn read(dir: PathBuf, names: &[OsString]) -> Result<Self, Error> {
        let (mut trusted, mut identities) = (Vec::new(), Vec::new());
        let has = |path: &Path| path.file_name().is_some_and(|name| names.iter().any(|other| other == name));
        for path in names.iter().map(|name| dir.join(name)) {
            let extension = path.extension().and_then(|e| e.to_str());
            let (certificate, key) = (path.with_extension("cert"), path.with_extension("key"));
            match extension {
                Some("crt") => match super::read_settings_bytes(&path) {
                    Ok(pem) => trusted.extend(tls::certificates(&pem).map_err(|detail| wrong(&path, detail))?),
                    // A link to nowhere, as containers/image sees it, is nothing.
                    Err(e) if e.kind() == ErrorKind::NotFound => {}
                    Err(e) => return Err(wrong(&path, e.to_string())),
                },
                Some("cert") if has(&key) => identities.push(identity(&certificate, &key)?),
                Some("cert") => {
                    let detail = format!(
                        "this is a client's certificate, but its key `{}` is missing; an authority's certificate is \
                         called `*.crt`",
                        key.display()
                    );
                    return Err(wrong(&path, detail));
                }
                Some("key") if !has(&certificate) => {
                    let detail = format!("its certificate `{}` is missing", certificate.display());
                    return Err(wrong(&path, detail));
                }
                _ => {}
            }
        }
        Ok(Self { dir, trusted, identities })
    }

    /// The configuration that these certificates ask for.
    pub fn client_config(&self, verify: bool) -> Result<ClientConfig, Error> {
        let config = tls::config(self.trusted.clone(), self.identities.clone(), verify);
        config.map_err(|detail| wrong(&self.dir, detail))
    }
}

fn wrong(path: &Path, detail: String) -> Error {
    Error::Configuration { path: path.to_owned(), detail }
}

/// A client's certificate with its key.
fn identity(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Error> {
    let read = |path: &Path| super::read_settings_bytes(path).map_err(|e| wrong(path, e.to_string()));
    let chain = tls::certificates(&read(certificate)?).map_err(|detail| wrong(certificate, detail))?;
    tls::identity(chain, &read(key)?).map_err(|detail| wrong(key, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A key and a certificate: openssl req -x509 -newkey ec …, of nobody.
    const CERTIFICATE: &str = include_str!("../../tests/data/client.cert");
    const KEY: &str = include_str!("../../tests/data/client.key");

    fn search(root: &Path) -> Search {
        Search { dir: None, folders: ["home", "etc", "docker"].map(|name| root.join(name)).to_vec() }
    }

    #[test]
    fn a_file_without_end_is_not_read_to_it() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", root.path().join("a.crt")).unwrap();
        let search = Search { dir: Some(root.path().to_owned()), folders: Vec::new() };
        let error = Certificates::for_host(&search, "any.example").unwrap_err().to_string();
        assert!(error.contains("too large") && error.contains("a.crt"), "{error}");
    }

    #[test]
    fn the_first_folder_that_is_there_counts() {
        let root = tempfile::tempdir().unwrap();
        let search = search(root.path());
        let host = "registry.example:5000";
        assert!(Certificates::for_host(&search, host).unwrap().is_none());
        for (folder, found) in [("docker", "docker"), ("etc", "etc"), ("home", "home")] {
            fs::create_dir_all(root.path().join(folder).join(host)).unwrap();
            let certificates = Certificates::for_host(&search, host).unwrap().unwrap();
            assert_eq!(certificates.dir, root.path().join(found).join(host));
        }
        for other in ["registry.example", "registry.example:5001", "example:5000"] {
            assert_eq!(search.dir(other).unwrap(), None, "{other}");
        }
        let named = Search { dir: Some(root.path().join("docker").join(host)), ..search.clone() };
        assert_eq!(named.dir("any.example").unwrap(), named.dir);
        // A file in the place of a folder of folders is no absence.
        fs::remove_dir_all(root.path().join("home")).unwrap();
        fs::write(root.path().join("home"), "").unwrap();
        assert!(search.dir(host).is_err());
        let missing = Search { dir: Some(root.path().join("missing")), ..search };
        assert!(Certificates::for_host(&missing, host).unwrap_err().to_string().contains("missing"));
    }

    #[test]
    fn what_a_folder_holds() {
        for (files, outcome) in [
            (&[][..], Ok((0, 0))),
            (&[("ca.crt", CERTIFICATE), ("README", "junk"), ("x.pem", "junk")], Ok((1, 0))),
            (&[("a.cert", CERTIFICATE), ("a.key", KEY), ("b.cert", CERTIFICATE), ("b.key", KEY)], Ok((0, 2))),
            (&[("ca.crt", "junk")], Err("ca.crt: there is no certificate in it")),
            (&[("a.cert", CERTIFICATE)], Err("its key `")),
            (&[("a.cert", CERTIFICATE), ("b.key", KEY)], Err("a.key` is missing")),
            (&[("a.key", KEY)], Err("its certificate `")),
            (&[("a.cert", "junk"), ("a.key", KEY)], Err("a.cert: there is no certificate in it")),
            (&[("a.cert", CERTIFICATE), ("a.key", "junk")], Err("a.key: ")),
        ] {
            let root = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(root.path().join(name), text).unwrap();
            }
            std::os::unix::fs::symlink("nowhere", root.path().join("dangling.crt")).unwrap();
            let search = Search { dir: Some(root.path().to_owned()), folders: Vec::new() };
            let read = Certificates::for_host(&search, "a.example").map(Option::unwrap);
            match (read, outcome) {
                (Ok(read), Ok(count)) => {
                    assert_eq!((read.trusted.len(), read.identities.len()), count, "{files:?}");
                    assert!(read.client_config(true).is_ok() && read.client_config(false).is_ok());
                }
                (Err(e), Err(words)) => assert!(e.to_string().contains(words), "{files:?}: {e}"),
                (read, outcome) => panic!("{files:?}: {read:?} where {outcome:?} was expected"),
            }
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let other = include_str!("../../tests/data/other.key");
        fs::write(root.path().join("a.cert"), CERTIFICATE).unwrap();
        fs::write(root.path().join("a.key"), other).unwrap();
        let search = Search { dir: Some(root.path().to_owned()), folders: Vec::new() };
        let error = Certificates::for_host(&search, "a.example").unwrap_err().to_string();
        assert!(error.contains("a.key: "), "{error}");
        assert!(!error.contains("PRIVATE"), "{error}");
    }
}
