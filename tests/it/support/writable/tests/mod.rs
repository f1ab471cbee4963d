//! That the registry behaves as it was told to, so that tests of uploads can trust it. Here is what asks it.

mod authorization;
mod behaviour;
mod faults;
mod lies;
mod manifests;
mod real;
mod uploads;

use super::{Behaviour, WritableRegistry};
use crate::support::fixture::{Blob, Compression, Format, Image, Index, Instance, Layer, Repository};
use bytes::Bytes;
use futures_util::stream;
use reqwest::header::HeaderMap;
use reqwest::{Method, redirect};
use serde_json::Value;
use std::time::Duration;
use tokio::runtime::Runtime;

/// What was answered.
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    /// A header; nothing if there is none.
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The status, and code and detail of each error.
    fn errors(&self) -> (u16, Vec<(String, Value)>) {
        let parsed: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let errors = parsed["errors"].as_array().into_iter().flatten();
        let errors = errors.map(|one| (one["code"].as_str().unwrap_or_default().to_owned(), one["detail"].clone()));
        (self.status, errors.collect())
    }

    /// The status, and the code of the first error.
    fn error(&self) -> (u16, String) {
        let (status, errors) = self.errors();
        (status, errors.into_iter().next().map(|(code, _)| code).unwrap_or_default())
    }
}

/// A client that does what it is told and nothing else.
struct Client {
    runtime: Runtime,
    http: reqwest::Client,
    host: String,
    authorization: Option<String>,
}

impl Client {
    fn of(host: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let http = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
        Self { runtime, http, host: host.to_owned(), authorization: None }
    }

    /// A request of which nobody knows yet whether it is answered. Addresses may be whole or begin with `/`.
    fn request(&self, method: &str, address: &str, headers: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let address =
            if address.starts_with('/') { format!("http://{}{address}", self.host) } else { address.to_owned() };
        let mut request = self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match &self.authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        }
    }

    fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
        self.runtime.block_on(async {
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Ok(Reply { status, headers, body: response.bytes().await?.to_vec() })
        })
    }

    fn ask(&self, method: &str, address: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let request = self.request(method, address, headers);
        let request = if body.is_empty() { request } else { request.body(body.to_vec()) };
        self.send(request).unwrap_or_else(|e| panic!("{method} {address}: {e:?}"))
    }

    /// Begins an upload; the place of it.
    fn begin(&self, repository: &str) -> String {
        let begun = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
        assert_eq!(begun.status, 202);
        begun.header("location").to_owned()
    }

    /// Uploads a blob in two requests.
    fn put_blob(&self, repository: &str, bytes: &[u8], digest: &str) -> Reply {
        let place = self.begin(repository);
        self.ask("PUT", &format!("{place}&digest={digest}"), &[], bytes)
    }

    /// Sends the beginning of a body and goes away.
    fn break_off(&self, place: &str, beginning: &'static [u8]) {
        let pieces = stream::unfold(0, move |number| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let piece = if number == 0 { Ok(Bytes::from_static(beginning)) } else { Err("the client has enough") };
            Some((piece, number + 1))
        });
        let request = self.request("PATCH", place, &[]).body(reqwest::Body::wrap_stream(pieces));
        assert!(self.send(request).is_err());
        // The other side sees the end later.
        std::thread::sleep(Duration::from_millis(100));
    }

    fn put_manifest(&self, repository: &str, at: &str, manifest: &Blob) -> Reply {
        let headers = [("content-type", manifest.media_type.as_str())];
        self.ask("PUT", &format!("/v2/{repository}/manifests/{at}"), &headers, &manifest.bytes)
    }

    fn manifest(&self, method: &str, repository: &str, at: &str, accept: &str) -> Reply {
        let headers: &[_] = if accept.is_empty() { &[] } else { &[("accept", accept)] };
        self.ask(method, &format!("/v2/{repository}/manifests/{at}"), headers, b"")
    }
}

fn start(behaviour: Behaviour) -> (WritableRegistry, Client) {
    let registry = WritableRegistry::start(behaviour);
    let client = Client::of(registry.host());
    (registry, client)
}

fn instance(platform: &str, format: Format) -> Instance {
    let layer = Layer::new(&[("file", platform.as_bytes())], Compression::Gzip);
    Image::new(platform).format(format).layer(&layer).build()
}

/// An image for two platforms; the second one's instance is not part of the repository `x`.
struct Sparse {
    kept: Instance,
    missing: Instance,
    index: Blob,
    repository: Repository,
}

fn sparse(format: Format) -> Sparse {
    let (kept, missing) = (instance("linux/amd64", format), instance("linux/arm64", format));
    let index = Index::new(format).instances([&kept, &missing]).build();
    let repository = Repository::new("x").instances([&kept]);
    Sparse { kept, missing, index, repository }
}
