//! Lookaside stores: signatures in a folder or on a web server beside the registry.
//!
//! Layout, as containers/image reads it: `<base>/<path of the repository>@sha256=<hex>/signature-N`, N
//! from 1 to the first that is missing.

use super::certs::Certificates;
use super::http::{self, chain};
use super::registries_d::RegistriesD;
use super::{Error, Options, proxies};
use crate::model::signature::MAX_SIGNATURE_SIZE;
use crate::model::{PinnedReference, Reference};
use reqwest::{Client, StatusCode, Url};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The most signatures of one manifest that are read.
const MAX_SIGNATURES: usize = 10_000;
/// The most bytes that they may have together.
const MAX_TOTAL: usize = 64 * 1024 * 1024;

fn is_full(found: &[Vec<u8>]) -> bool {
    found.len() == MAX_SIGNATURES || found.iter().map(Vec::len).sum::<usize>() > MAX_TOTAL
}

/// Where signatures are, and how to get there.
pub struct Lookaside {
    settings: RegistriesD,
    fallback: Option<PathBuf>,
    options: Options,
}

impl Lookaside {
    /// Reads registries.d.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let settings = RegistriesD::read(&options.registries_d)?;
        Ok(Self { settings, fallback: options.lookaside.clone(), options: options.clone() })
    }

    /// The signatures of a manifest, by the name it is really asked for: a mirror's.
    pub async fn read(&self, image: &PinnedReference) -> Result<Vec<Vec<u8>>, Error> {
        let object = image.to_string();
        let name: Reference = object.parse().map_err(|e: crate::model::reference::ReferenceError| Error::Answer {
            object: object.clone(),
            detail: e.to_string(),
        })?;
        let setting = self.settings.lookaside(&name);
        let place = format!("{}@sha256={}", image.repository.path(), image.digest.hex());
        let Some(base) = setting.value else {
            return self.fallback.as_ref().map_or(Ok(Vec::new()), |dir| read_folder(&dir.join(place), &object));
        };
        let said = setting.file.map(Path::display).map(|file| format!("`lookaside` in {file}")).unwrap_or_default();
        let wrong = |detail: &str| Error::Setting { setting: format!("{said}, `{base}`, {detail}: it") };
        let url = Url::parse(base).map_err(|e| wrong(&e.to_string()))?;
        match url.scheme() {
            "file" => {
                let dir = url.to_file_path().map_err(|()| wrong("is no absolute path"))?;
                read_folder(&dir.join(place), &object)
            }
            "http" | "https" => self.download(&url, &place, &object).await,
            _ => Err(wrong("is none of http, https and file")),
        }
    }

    async fn download(&self, base: &Url, place: &str, object: &str) -> Result<Vec<Vec<u8>>, Error> {
        let client = self.client(base)?;
        let mut found = Vec::new();
        while !is_full(&found) {
            let number = found.len() + 1;
            let url = format!("{}/{place}/signature-{number}", base.as_str().trim_end_matches('/'));
            match self.get(&client, &url, object).await? {
                Some(bytes) => found.push(bytes),
                None => return Ok(found),
            }
        }
        Err(too_many(object))
    }

    /// One file; repeated as requests to registries are.
    async fn get(&self, client: &Client, url: &str, object: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut tried = 0;
        loop {
            match self.try_get(client, url, object).await {
                Err((error, true)) if tried < self.options.retries => {
                    tokio::time::sleep(self.options.backoff * 2_u32.pow(tried.min(6))).await;
                    tried += 1;
                    drop(error);
                }
                done => return done.map_err(|(error, _)| error),
            }
        }
    }

    /// One try; with an error comes whether another may do better.
    async fn try_get(&self, client: &Client, url: &str, object: &str) -> Result<Option<Vec<u8>>, (Error, bool)> {
        let (object, stall) = (object.to_owned(), self.options.stall);
        let interrupted = |detail: String| (Error::Interrupted { object: object.clone(), detail }, true);
        let silent = |_| interrupted(format!("`{url}` has sent nothing for {} s", stall.as_secs_f32()));
        let asked = tokio::time::timeout(stall, client.get(url).send()).await.map_err(silent)?;
        let unreachable = |e: reqwest::Error| Error::Unreachable { host: url.to_owned(), detail: chain(&e) };
        let mut response = asked.map_err(|e| (unreachable(e), true))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => {
                let detail = format!("the lookaside store answers `{url}` with {status}");
                let again = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                return Err((Error::Answer { object: object.clone(), detail }, again));
            }
        }
        let mut bytes = Vec::new();
        loop {
            let chunk = tokio::time::timeout(stall, response.chunk()).await.map_err(silent)?;
            let Some(chunk) = chunk.map_err(|e| interrupted(chain(&e)))? else { return Ok(Some(bytes)) };
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > MAX_SIGNATURE_SIZE {
                return Err((Error::TooLarge { object: url.to_owned(), limit: MAX_SIGNATURE_SIZE }, false));
            }
        }
    }

    fn client(&self, base: &Url) -> Result<Client, Error> {
        let host = base.host_str().unwrap_or_default();
        let host = base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let certificates = Certificates::for_host(&self.options.certs, &host)?;
        http::client(certificates, !self.options.tls_verify, proxies::for_reqwest(&self.options.proxies)?)
    }
}

fn too_many(object: &str) -> Error {
    let detail =
        format!("it has more than {MAX_SIGNATURES} signatures, or {MAX_TOTAL} bytes of them, in its lookaside store");
    Error::Answer { object: object.to_owned(), detail }
}

/// The signatures in a folder.
fn read_folder(dir: &Path, object: &str) -> Result<Vec<Vec<u8>>, Error> {
    let mut found = Vec::new();
    while !is_full(&found) {
        let path = dir.join(format!("signature-{}", found.len() + 1));
        let wrong = |e: std::io::Error| Error::Configuration { path: path.clone(), detail: e.to_string() };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            Err(e) => return Err(wrong(e)),
        };
        let mut bytes = Vec::new();
        let read = file.take(MAX_SIGNATURE_SIZE + 1).read_to_end(&mut bytes).map_err(wrong)?;
        if read as u64 > MAX_SIGNATURE_SIZE {
            return Err(Error::TooLarge { object: path.display().to_string(), limit: MAX_SIGNATURE_SIZE });
        }
        found.push(bytes);
    }
    Err(too_many(object))
}
