//! Layer 2, serve: a read-only registry over a store or an OCI layout.
//!
//! Answers GET and HEAD of distribution-spec: manifests by tag and digest, blobs with ranges, tag
//! lists. What signs images is at the tags where runtimes look for it. Made for loopback mirrors, trials and tests; it asks for no credentials.

use crate::model::manifest::MAX_MANIFEST_SIZE;
use crate::model::{Digest, Failure, Plan, RawManifest, Reference};
use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::future::Future;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tower_http::services::ServeFile;

/// What is served: repositories with their tags, over one folder of blobs.
#[derive(Debug)]
pub struct Content {
    blobs: PathBuf,
    repositories: BTreeMap<String, BTreeMap<String, Digest>>,
}

impl Content {
    /// A store, by its lock.
    pub fn of_store(dir: &Path, plan: &Plan) -> Self {
        let mut content = Self { blobs: dir.join("blobs/sha256"), repositories: BTreeMap::new() };
        for image in &plan.images {
            content.add(&image.reference, &image.manifest.digest);
            for signed in &image.signatures {
                let referrers = signed.referrers_tag.iter().map(|index| ("", &index.digest));
                let tags = signed.tag.iter().map(|tag| (".sig", &tag.manifest.digest)).chain(referrers);
                for (suffix, digest) in tags {
                    content.tag(&image.reference, &format!("sha256-{}{suffix}", signed.digest.hex()), digest);
                }
            }
        }
        content.keep_unambiguous(plan.images.iter().map(|image| &image.reference));
        content
    }

    /// An OCI layout. An image whose name is a bare tag is in the repository called like the folder.
    pub fn of_layout(dir: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Index {
            manifests: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            digest: Digest,
            #[serde(default)]
            annotations: BTreeMap<String, String>,
        }
        let path = dir.join("index.json");
        let wrong = || Failure::usage(format!("`{}` is no OCI layout", dir.display()));
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).map_err(|e| wrong().because(e))?;
        file.take(MAX_MANIFEST_SIZE)
            .read_to_end(&mut bytes)
            .with_context(|| format!("reading `{}`", path.display()))?;
        let index: Index = serde_json::from_slice(&bytes).map_err(|e| wrong().because(e))?;
        let folder =
            dir.canonicalize()?.file_name().map_or_else(|| "image".into(), |n| n.to_string_lossy().to_lowercase());
        let mut content = Self { blobs: dir.join("blobs/sha256"), repositories: BTreeMap::new() };
        let mut references = Vec::new();
        for entry in index.manifests {
            let name = entry.annotations.get("org.opencontainers.image.ref.name").map_or("latest", String::as_str);
            if let Ok(reference) = name.parse::<Reference>() {
                content.add(&reference, &entry.digest);
                references.push(reference);
            } else {
                content.repositories.entry(folder.clone()).or_default().insert(name.to_owned(), entry.digest);
            }
        }
        content.keep_unambiguous(references.iter());
        Ok(content)
    }

    /// Takes away the bare paths that two registries share: which of them is meant, nobody could tell.
    fn keep_unambiguous<'a>(&mut self, references: impl Iterator<Item = &'a Reference>) {
        let mut hosts: BTreeMap<&str, &str> = BTreeMap::new();
        for repository in references.map(Reference::repository) {
            if *hosts.entry(repository.path()).or_insert(repository.host()) != repository.host() {
                self.repositories.remove(repository.path());
            }
        }
    }

    /// How many repositories are served; each store repository counts under both of its names.
    pub fn repositories(&self) -> impl Iterator<Item = &str> {
        self.repositories.keys().map(String::as_str)
    }

    /// A reference is served under its path, and under its path with the registry before it: the
    /// two ways in which a mirror is configured.
    fn add(&mut self, reference: &Reference, digest: &Digest) {
        for name in names(reference) {
            self.repositories.entry(name).or_default();
        }
        if let (Some(tag), None) = (reference.tag(), reference.digest()) {
            self.tag(reference, tag, digest);
        }
    }

    /// A tag beside a reference, under both of its names.
    fn tag(&mut self, reference: &Reference, tag: &str, digest: &Digest) {
        for name in names(reference) {
            self.repositories.entry(name).or_default().insert(tag.to_owned(), digest.clone());
        }
    }

    fn manifest(&self, repository: &str, at: &str) -> Option<RawManifest> {
        let tags = self.repositories.get(repository)?;
        let digest = at.parse::<Digest>().ok().or_else(|| tags.get(at).cloned())?;
        let mut bytes = Vec::new();
        let file = std::fs::File::open(self.blobs.join(digest.hex())).ok()?;
        file.take(MAX_MANIFEST_SIZE).read_to_end(&mut bytes).ok()?;
        RawManifest::new(bytes, None).ok().filter(|raw| *raw.digest() == digest)
    }
}

fn names(reference: &Reference) -> [String; 2] {
    let repository = reference.repository();
    [repository.path().to_owned(), repository.to_string()]
}

/// Serves until `stop` is done.
pub async fn serve(
    content: Content,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let app = Router::new().fallback(answer).with_state(Arc::new(content));
    axum::serve(listener, app).with_graceful_shutdown(stop).await.context("serving")
}

/// What a path asks for.
enum Asked<'a> {
    Base,
    Manifest(&'a str, &'a str),
    Blob(&'a str),
    Tags(&'a str),
}

fn parse(path: &str) -> Option<Asked<'_>> {
    let rest = path.strip_prefix("/v2")?;
    if rest.is_empty() || rest == "/" {
        return Some(Asked::Base);
    }
    let rest = rest.strip_prefix('/')?;
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Some(Asked::Tags(name));
    }
    let (head, last) = rest.rsplit_once('/')?;
    let (name, kind) = head.rsplit_once('/')?;
    match kind {
        "manifests" => Some(Asked::Manifest(name, last)),
        "blobs" => Some(Asked::Blob(last)),
        _ => None,
    }
}

async fn answer(State(content): State<Arc<Content>>, request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this registry is read-only");
    }
    let path = request.uri().path().to_owned();
    match parse(&path) {
        Some(Asked::Base) => {
            let version = (header::HeaderName::from_static("docker-distribution-api-version"), "registry/2.0");
            ([version, (header::CONTENT_TYPE, "application/json")], "{}").into_response()
        }
        Some(Asked::Manifest(name, at)) => match content.manifest(name, at) {
            Some(raw) => manifest_response(&raw, request.method() == Method::HEAD),
            None => refuse(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown"),
        },
        Some(Asked::Tags(name)) => match content.repositories.get(name) {
            Some(tags) => {
                let tags: Vec<&String> = tags.keys().collect();
                json(StatusCode::OK, &serde_json::json!({ "name": name, "tags": tags }))
            }
            None => refuse(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known"),
        },
        Some(Asked::Blob(digest)) => blob_response(&content, digest, request).await,
        None => refuse(StatusCode::NOT_FOUND, "UNSUPPORTED", "no such path"),
    }
}

fn manifest_response(raw: &RawManifest, head: bool) -> Response {
    let descriptor = raw.descriptor();
    let body = if head { Body::empty() } else { Body::from(raw.bytes().to_vec()) };
    let built = Response::builder()
        .header(header::CONTENT_TYPE, descriptor.media_type)
        .header(header::CONTENT_LENGTH, descriptor.size)
        .header("docker-content-digest", descriptor.digest.to_string())
        .body(body);
    built.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn blob_response(content: &Content, digest: &str, request: Request) -> Response {
    let unknown = || refuse(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown");
    let Ok(digest) = digest.parse::<Digest>() else { return unknown() };
    let file = content.blobs.join(digest.hex());
    if !file.is_file() {
        return unknown();
    }
    let Ok(response) = ServeFile::new(file).oneshot(request).await;
    let mut response = response.map(Body::new);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(value) = HeaderValue::from_str(&digest.to_string()) {
        response.headers_mut().insert("docker-content-digest", value);
    }
    response
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    json(status, &serde_json::json!({ "errors": [{ "code": code, "message": message }] }))
}
