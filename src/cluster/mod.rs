//! Layer 3, the port to an OpenShift cluster: the only module that speaks to a Kubernetes API.
//!
//! After a push into OpenShift's own registry, the tag of the image stream may go on meaning the image before. What
//! sets it right is one object, an `ImageStreamImport`: the cluster reads the image from the registry, points the
//! tag to it, and answers with what it found. That answer is believed only where it names the very index that was
//! pushed, and all of its entries.

mod error;
mod failure;
mod types;

pub use error::Error;

use crate::model::{Digest, ImageStreamTag, Progress};
use crate::registry::proxies::{Proxies, proxy_for};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use failure::{Again, Failed};
use http_body_util::{BodyExt as _, Limited};
use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::params::PostParams;
use kube::core::request::Request;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// One request may take so long. The API server itself ends one after 60 s, and then says so.
const REQUEST: Duration = Duration::from_secs(65);
/// So long it may take until there is a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// No wait between two requests is longer, unless the cluster asks for it.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// An "internal error" may be one of the moment (the registry did not answer the cluster) or lasting (the cluster
/// does not trust it), and nothing tells which. So often it is believed to be of the moment.
const INTERNAL_ERRORS: u32 = 3;
/// The most that is read of an answer. The cluster's database keeps no object above 1.5 MiB; an answer holds the
/// stream and one object an entry of the index.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// How to get at a cluster. Who calls decides.
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    /// As this kubeconfig says. A program for credentials that it names is run.
    Kubeconfig(&'a Path),
    /// From a pod, by its service account. `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, which the cluster
    /// sets there, are read by the Kubernetes library.
    InCluster,
}

/// A cluster that can be asked.
pub struct Cluster {
    client: kube::Client,
    /// The address of the API, for messages.
    server: String,
}

/// What the tag of an image stream is to point to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Where the cluster reads it: `REGISTRY/NAMESPACE/NAME:TAG@DIGEST`.
    pub from: String,
    /// The tag.
    pub to: ImageStreamTag,
    /// What was pushed.
    pub digest: Digest,
    /// The entries of the index that was pushed; none of a single manifest.
    pub manifests: Vec<Digest>,
    /// Whether the cluster may read it without TLS, or with a certificate that it does not trust.
    pub insecure: bool,
}

/// How long, and how eagerly.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// All requests and waits together.
    pub deadline: Duration,
    /// The first wait; each is about twice the one before.
    pub backoff: Duration,
}

/// A tag that points to what was pushed, as the cluster says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// The tag.
    pub image_stream: ImageStreamTag,
    /// What it points to.
    pub digest: Digest,
    /// How many entries of an index the cluster has.
    pub entries: usize,
}

impl Cluster {
    /// Reads how to get at a cluster; no request is made yet. A proxy is the one of the kubeconfig, else one of
    /// `proxies`.
    pub async fn connect(access: Access<'_>, proxies: &Proxies) -> Result<Self, Error> {
        let (mut config, own_proxy) = match access {
            Access::Kubeconfig(path) => {
                let wrong = |e: KubeconfigError| Error::Kubeconfig { path: path.to_owned(), detail: error::words(&e) };
                let kubeconfig = Kubeconfig::read_from(path).map_err(wrong)?;
                let own_proxy = names_proxy(&kubeconfig);
                let options = KubeConfigOptions::default();
                (Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(wrong)?, own_proxy)
            }
            Access::InCluster => {
                (Config::incluster().map_err(|e| Error::NoCluster { detail: error::chain(&e) })?, false)
            }
        };
        let server = config.cluster_url.to_string();
        if !own_proxy {
            // The library would take `HTTPS_PROXY` and overlook `NO_PROXY`.
            config.proxy_url = None;
            let (scheme, host) = (config.cluster_url.scheme_str(), config.cluster_url.host());
            let scheme = scheme.unwrap_or_default();
            let port = config.cluster_url.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
            let proxy = proxy_for(proxies, scheme, host.unwrap_or_default(), port);
            let wrong = |detail: String| Error::Proxy { detail };
            if let Some(proxy) = proxy.map_err(|e| wrong(e.to_string()))? {
                let address = proxy.as_str().replacen("socks5h:", "socks5:", 1);
                config.proxy_url = Some(address.parse().map_err(|_| wrong("its address is none".to_owned()))?);
            }
        }
        config.connect_timeout = Some(CONNECT);
        // What is asked again, and how often, is decided here.
        config.default_retry = false;
        let client = kube::Client::try_from(config).map_err(|e| Failed::of_request(&server, &e).error)?;
        Ok(Self { client, server })
    }

    /// Has the cluster read an image and point a tag to it. The tag, and the stream, are made where they are
    /// missing. What may be better in a moment is asked again until the deadline; `progress` is told of that.
    pub async fn import(
        &self,
        import: &Import,
        patience: Patience,
        progress: &dyn Progress,
    ) -> Result<Imported, Error> {
        let deadline = Instant::now() + patience.deadline;
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(patience.backoff)
            .with_max_delay(LONGEST_BACKOFF)
            .with_jitter()
            .without_max_times()
            .build();
        let (mut tries, mut internal_errors) = (0, 0);
        loop {
            let limit = REQUEST.min(deadline.saturating_duration_since(Instant::now()));
            let answer = timeout(limit, self.ask(import)).await;
            let failed = match answer.unwrap_or_else(|_| Err(Failed::silent(&self.server, limit))) {
                Ok(imported) => return Ok(imported),
                Err(failed) => failed,
            };
            tries += 1;
            let delay = delays.next().unwrap_or(LONGEST_BACKOFF);
            internal_errors += u32::from(failed.again == Again::AFewTimes);
            let wait = match failed.again {
                Again::Never => return Err(failed.error),
                Again::AFewTimes if internal_errors >= INTERNAL_ERRORS => return Err(failed.error),
                Again::AFewTimes | Again::Soon => delay,
                Again::After(asked) => asked.max(delay),
            };
            if Instant::now() + wait >= deadline {
                let seconds = patience.deadline.as_secs_f32();
                return Err(Error::GaveUp { to: import.to.clone(), seconds, tries, last: Box::new(failed.error) });
            }
            progress.note(&format!("{}; asking again in {:.1} s", failed.error, wait.as_secs_f32()));
            sleep(wait).await;
        }
    }

    /// One request.
    async fn ask(&self, import: &Import) -> Result<Imported, Failed> {
        let stream = &import.to;
        let unusable = |detail: String| Failed::for_good(Error::Answer { to: stream.clone(), detail });
        let path = format!("/apis/{}/namespaces/{}/imagestreamimports", types::API_VERSION, stream.namespace());
        let body = types::request(import).to_string().into_bytes();
        let request = Request::new(path).create(&PostParams::default(), body);
        let request = request.map_err(|e| unusable(error::chain(&e)))?;
        let answer = self.client.send(request.map(kube::client::Body::from)).await;
        let (head, body) = answer.map_err(|e| Failed::of_request(&self.server, &e))?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|e| Failed::of_body(stream, &self.server, e.as_ref(), MAX_ANSWER))?.to_bytes();
        if !head.status.is_success() {
            let wait = head.headers.get("retry-after").and_then(|value| value.to_str().ok());
            return Err(Failed::of_status(stream, head.status.as_u16(), wait, &body));
        }
        types::judge(import, &body)
    }
}

/// Whether a kubeconfig names the proxy to its cluster.
fn names_proxy(kubeconfig: &Kubeconfig) -> bool {
    let current = kubeconfig.contexts.iter().find(|named| Some(&named.name) == kubeconfig.current_context.as_ref());
    let context = current.and_then(|named| named.context.as_ref());
    let cluster = context.and_then(|context| kubeconfig.clusters.iter().find(|named| named.name == context.cluster));
    let cluster = cluster.and_then(|named| named.cluster.as_ref());
    cluster.is_some_and(|cluster| cluster.proxy_url.as_ref().is_some_and(|proxy| !proxy.is_empty()))
}
