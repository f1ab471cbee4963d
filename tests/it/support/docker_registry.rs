//! The real `docker-registry`, on loopback, on a port of the kernel's choice.

use super::command::{program, run};
use super::fixture::{self, Blob, Repository};
use base64::Engine as _;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long a server may take to start or to write its log.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the user of a registry with passwords is called.
pub const USER: &str = "embedder";
/// That user's password.
pub const PASSWORD: &str = "not-a-secret";

/// Certificates, if any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP.
    #[default]
    None,
    /// A certificate of an authority that nobody knows.
    Authority,
    /// The same, and who connects shows a certificate of that authority too.
    ClientCertificate,
    /// A certificate that is its own authority, as `openssl req -x509` makes it.
    SelfSigned,
}

/// Who may connect, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guards {
    /// Whether it speaks TLS.
    pub tls: Tls,
    /// [`USER`] and [`PASSWORD`] only.
    pub password: bool,
}

/// A request that the registry has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// For example `GET`.
    pub method: String,
    /// With the query.
    pub path: String,
    /// For example 200.
    pub status: u64,
    /// Size of the body that was sent.
    pub bytes: u64,
}

/// A running registry. It ends with this value.
pub struct DockerRegistry {
    directory: TempDir,
    server: Child,
    address: String,
    guards: Guards,
    runtime: Runtime,
    client: Client,
    marks: Cell<u32>,
}

impl DockerRegistry {
    /// Starts an empty registry that anybody may read and write over plain HTTP.
    pub fn start() -> Self {
        Self::guarded(Guards::default())
    }

    /// Starts an empty registry with guards.
    ///
    /// # Panics
    /// If it does not start.
    pub fn guarded(guards: Guards) -> Self {
        Self::over(None, guards)
    }

    /// Starts a registry with guards over a folder of content that is there already, if one is given.
    ///
    /// # Panics
    /// If it does not start.
    pub fn over(content: Option<&Path>, guards: Guards) -> Self {
        let directory = tempfile::tempdir().expect("make a folder for the registry");
        let home = directory.path();
        let content = content.map_or_else(|| home.join("content"), Path::to_owned);
        match guards.tls {
            Tls::None => {}
            Tls::Authority | Tls::ClientCertificate => make_certificates(home),
            Tls::SelfSigned => make_own_certificate(home),
        }
        if guards.password {
            make_passwords(home);
        }
        let configuration = home.join("config.json");
        fs::write(&configuration, configure(home, &content, guards).to_string())
            .expect("write the registry's configuration");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("start an async runtime");
        // Only the content matters here; whether certificates are checked is for tests of the tool.
        let mut client = Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
        if guards.tls == Tls::ClientCertificate {
            let parts = ["certs/client.cert", "certs/client.key"].map(|name| fs::read(home.join(name)));
            let pem = parts.map(|part| part.expect("read the client's certificate")).concat();
            client = client.identity(reqwest::Identity::from_pem(&pem).expect("use the client's certificate"));
        }
        let client = client.build().expect("make an HTTP client");
        let log = File::create(home.join("log")).expect("make the registry's log");
        let server = program("docker-registry", home)
            .arg("serve")
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start docker-registry");
        let address = String::new();
        let mut registry = Self { directory, server, address, guards, runtime, client, marks: Cell::new(0) };
        registry.address = registry.wait_for("its address", |log| log.iter().find_map(listening));
        registry
    }

    /// `address:port`, as it stands in references.
    pub fn host(&self) -> &str {
        &self.address
    }

    /// A folder with the authority's certificate, as `--cert-dir` takes it.
    pub fn cert_dir(&self) -> PathBuf {
        self.directory.path().join("certs")
    }

    /// A file with credentials, as `--authfile` takes it.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn authfile(&self) -> PathBuf {
        let path = self.directory.path().join("auth.json");
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let mut auths = json!({});
        auths[&self.address] = json!({ "auth": auth });
        fs::write(&path, json!({ "auths": auths }).to_string()).expect("write the file with credentials");
        path
    }

    /// Uploads everything byte for byte: blobs first, then manifests in their order, then tags.
    ///
    /// # Panics
    /// If the registry refuses something or has other bytes afterwards.
    pub fn push(&self, repository: &Repository) {
        self.runtime.block_on(async {
            for blob in &repository.blobs {
                self.push_blob(&repository.name, blob).await;
            }
            for manifest in &repository.manifests {
                self.push_manifest(&repository.name, manifest, &manifest.digest).await;
            }
            for (tag, digest) in &repository.tags {
                let manifest = repository.manifest(digest).expect("a tag is given to a manifest of the repository");
                self.push_manifest(&repository.name, manifest, tag).await;
            }
        });
    }

    /// The bytes at a tag or a digest, if there are any.
    pub fn manifest(&self, repository: &str, at: &str) -> Option<Vec<u8>> {
        let types = [fixture::OCI_INDEX, fixture::DOCKER_LIST, fixture::OCI_MANIFEST, fixture::DOCKER_MANIFEST];
        let request = self.request(Method::GET, &format!("/v2/{repository}/manifests/{at}"));
        self.runtime.block_on(async {
            let answer = self.send(request.header("accept", types.join(", "))).await;
            if answer.status() == StatusCode::OK { answer.bytes().await.ok().map(Into::into) } else { None }
        })
    }

    /// Takes a manifest out of a repository.
    ///
    /// # Panics
    /// If it was not there.
    pub fn remove_manifest(&self, repository: &str, digest: &str) {
        let request = self.request(Method::DELETE, &format!("/v2/{repository}/manifests/{digest}"));
        let removed = self.runtime.block_on(self.send(request));
        assert_eq!(removed.status(), StatusCode::ACCEPTED, "removing {digest} from {repository}");
    }

    /// Takes a blob out of a repository.
    ///
    /// # Panics
    /// If it was not there.
    pub fn remove_blob(&self, repository: &str, digest: &str) {
        let request = self.request(Method::DELETE, &format!("/v2/{repository}/blobs/{digest}"));
        let removed = self.runtime.block_on(self.send(request));
        assert_eq!(removed.status(), StatusCode::ACCEPTED, "removing {digest} from {repository}");
    }

    /// What it has answered until now, in order; what [`DockerRegistry::push`] asked is part of it.
    ///
    /// # Panics
    /// If the log cannot be read.
    pub fn requests(&self) -> Vec<Request> {
        // The log is written behind the answer. A request of our own shows how far it has come.
        let mark = format!("mark={}", self.marks.replace(self.marks.get() + 1));
        self.runtime.block_on(async {
            self.send(self.request(Method::GET, &format!("/v2/?{mark}"))).await;
        });
        let marked = |request: &Request| request.path.ends_with(&mark);
        let log =
            self.wait_for("its log", |log| log.iter().filter_map(answered).any(|r| marked(&r)).then(|| log.to_vec()));
        log.iter().filter_map(answered).filter(|request| !request.path.contains("/v2/?mark=")).collect()
    }

    /// How many bytes it has read until now, from connections and files, as Linux counts them (`rchar` in proc(5)).
    ///
    /// # Panics
    /// If Linux does not tell.
    #[allow(dead_code, reason = "only benchmarks ask")]
    pub fn bytes_read(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/io", self.server.id())).expect("Linux tells of the registry");
        let line = text.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("proc(5)");
        line.parse().expect("proc(5)")
    }

    /// Ends it. What was named by its address can no longer be fetched.
    pub fn stop(self) {
        drop(self);
    }

    async fn push_blob(&self, repository: &str, blob: &Blob) {
        let started = self.send(self.request(Method::POST, &format!("/v2/{repository}/blobs/uploads/"))).await;
        let place = started.headers().get("location").and_then(|value| value.to_str().ok());
        let place = place.expect("the registry says where to upload to").to_owned();
        let place = place.split_once(&self.address).map_or(place.as_str(), |(_, path)| path);
        let separator = if place.contains('?') { '&' } else { '?' };
        let request = self.request(Method::PUT, &format!("{place}{separator}digest={}", blob.digest));
        let request = request.header("content-type", "application/octet-stream").body(blob.bytes.clone());
        let done = self.send(request).await;
        assert_eq!(done.status(), StatusCode::CREATED, "uploading {} to {repository}", blob.digest);
    }

    async fn push_manifest(&self, repository: &str, manifest: &Blob, name: &str) {
        let path = format!("/v2/{repository}/manifests/{name}");
        let request = self.request(Method::PUT, &path).header("content-type", &manifest.media_type);
        let done = self.send(request.body(manifest.bytes.clone())).await;
        let status = done.status();
        let answer = done.text().await.unwrap_or_default();
        assert_eq!(status, StatusCode::CREATED, "uploading {name} to {repository}: {answer}");
        let read = self.send(self.request(Method::GET, &path).header("accept", &manifest.media_type)).await;
        let bytes = read.bytes().await.expect("read a manifest back");
        assert_eq!(bytes, manifest.bytes, "the registry has other bytes of {repository} {name}");
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let scheme = if self.guards.tls == Tls::None { "http" } else { "https" };
        let request = self.client.request(method, format!("{scheme}://{}{path}", self.address));
        if self.guards.password { request.basic_auth(USER, Some(PASSWORD)) } else { request }
    }

    async fn send(&self, request: RequestBuilder) -> Response {
        match request.send().await {
            Ok(response) => response,
            Err(e) => panic!("asking the registry: {e:?}\n{}", self.log_text()),
        }
    }

    fn log_text(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Waits until the log has something.
    fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&[Value]) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let text = self.log_text();
            let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if let Some(found) = look(&lines) {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "docker-registry did not write {what}\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The configuration; JSON is YAML too.
fn configure(home: &Path, content: &Path, guards: Guards) -> Value {
    let mut configuration = json!({
        "version": "0.1",
        "log": { "level": "info", "formatter": "json", "accesslog": { "disabled": true } },
        "storage": { "filesystem": { "rootdirectory": content }, "delete": { "enabled": true } },
        "http": { "addr": "127.0.0.1:0" },
    });
    if guards.tls != Tls::None {
        configuration["http"]["tls"] =
            json!({ "certificate": home.join("server.crt"), "key": home.join("server.key") });
        if guards.tls == Tls::ClientCertificate {
            configuration["http"]["tls"]["clientcas"] = json!([home.join("certs/ca.crt")]);
        }
    }
    if guards.password {
        configuration["auth"] = json!({ "htpasswd": { "realm": "test", "path": home.join("htpasswd") } });
    }
    configuration
}

/// The address in `listening on 127.0.0.1:40000`.
fn listening(line: &Value) -> Option<String> {
    let address = line["msg"].as_str()?.strip_prefix("listening on ")?;
    Some(address.split(',').next().unwrap_or(address).to_owned())
}

fn answered(line: &Value) -> Option<Request> {
    Some(Request {
        method: line["http.request.method"].as_str()?.to_owned(),
        path: line["http.request.uri"].as_str()?.to_owned(),
        status: line["http.response.status"].as_u64()?,
        bytes: line["http.response.written"].as_u64()?,
    })
}

/// An authority in `certs/ca.crt`, and a certificate for loopback that it has signed.
fn make_certificates(home: &Path) {
    fs::create_dir(home.join("certs")).expect("make the folder of certificates");
    fs::write(
        home.join("extensions"),
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n",
    )
    .expect("write the certificate's extensions");
    fs::write(home.join("client-extensions"), "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n")
        .expect("write the client's extensions");
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let openssl = |words: &[&[&str]]| {
        run(program("openssl", home).current_dir(home).args(words.concat())).success();
    };
    openssl(&[
        &["req", "-x509", "-days", "2", "-subj", "/CN=an authority that nobody knows"],
        &new_key,
        &["-keyout", "ca.key", "-out", "certs/ca.crt"],
    ]);
    for (name, key, certificate, more) in [
        ("server", "server.key", "server.crt", ["-extfile", "extensions"].as_slice()),
        ("client", "certs/client.key", "certs/client.cert", &["-extfile", "client-extensions"]),
    ] {
        let subject = ["req", "-new", "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", name];
        openssl(&[&subject, &new_key]);
        let authority = ["-CA", "certs/ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
        openssl(&[&["x509", "-req", "-days", "2", "-in", name, "-out", certificate], &authority, more]);
    }
    // openssl leaves the serial number beside the authority; it is no certificate.
    let _ = fs::remove_file(home.join("certs/ca.srl"));
}

/// A certificate for loopback that is its own authority, in the place of both.
fn make_own_certificate(home: &Path) {
    fs::create_dir(home.join("certs")).expect("make the folder of certificates");
    let mut openssl = program("openssl", home);
    openssl.args(["req", "-x509", "-days", "2", "-subj", "/CN=127.0.0.1", "-newkey", "ec", "-nodes"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    run(openssl.current_dir(home).args(["-keyout", "server.key", "-out", "server.crt"])).success();
    fs::copy(home.join("server.crt"), home.join("certs/ca.crt")).expect("trust the server's own certificate");
}

fn make_passwords(home: &Path) {
    let passwords = run(program("htpasswd", home).args(["-Bbn", USER, PASSWORD])).success();
    fs::write(home.join("htpasswd"), passwords.output).expect("write the registry's passwords");
}
