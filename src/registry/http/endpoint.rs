//! A registry as this lane knows it: how it is spoken to, what it asks for, and when it was last in trouble.

use super::failure::{Failed, NO_TLS, chain, other_host};
use crate::registry::certs::Certificates;
use crate::registry::token::Challenge;
use crate::registry::{BY_PROXY, Error};
use reqwest::{Client, Proxy, Response, StatusCode, Url};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// A registry that does not take a connection in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// So long a registry that failed is passed over where another has the same content.
const REST: Duration = Duration::from_secs(30);
/// More redirects than this are a loop.
const MAX_REDIRECTS: usize = 10;

/// Where a request was redirected to: an error of the HTTP library names only where it began.
type Followed = Arc<Mutex<Option<Url>>>;

tokio::task_local! {
    static FOLLOWED: Followed;
}

/// A registry.
pub struct Endpoint {
    /// Host and port as references write them.
    pub host: String,
    /// Its connections.
    pub client: Client,
    /// How long nothing may come.
    pub stall: Duration,
    /// The proxy on the way there, as host and port.
    pub proxy: Option<String>,
    insecure: bool,
    greeting: OnceCell<Greeting>,
    trouble: Mutex<Trouble>,
}

/// What a registry says when it is first spoken to.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// `https` or `http`.
    pub scheme: &'static str,
    /// What it asks for; `None` where it asks for nothing.
    pub challenge: Option<Challenge>,
}

#[derive(Default)]
struct Trouble {
    /// Before this it does not want to be asked.
    closed_until: Option<Instant>,
    /// Before this others are asked first.
    shunned_until: Option<Instant>,
}

impl Endpoint {
    /// A registry that is not spoken to yet.
    pub fn new(host: &str, insecure: bool, client: Client, stall: Duration, proxy: Option<String>) -> Self {
        let (greeting, trouble) = (OnceCell::new(), Mutex::default());
        Self { host: host.to_owned(), client, stall, proxy, insecure, greeting, trouble }
    }

    /// Greets the registry, once: `https`, or `http` where that is good enough and HTTPS does not answer.
    pub async fn greeting(&self, object: &str) -> Result<&Greeting, Failed> {
        self.greeting.get_or_try_init(|| self.greet(object)).await
    }

    async fn greet(&self, object: &str) -> Result<Greeting, Failed> {
        if !self.insecure {
            return self.ping("https", object).await;
        }
        // At once, because a registry far away takes long to say that it speaks no TLS.
        let (secure, plain) = (self.ping("https", object), self.ping("http", object));
        tokio::pin!(secure, plain);
        let mut early = None;
        let refused = loop {
            tokio::select! {
                answer = &mut secure => match answer {
                    Ok(greeting) => return Ok(greeting),
                    Err(refused) => break refused,
                },
                answer = &mut plain, if early.is_none() => early = Some(answer),
            }
        };
        let plain = match early {
            Some(answer) => answer,
            None => plain.await,
        };
        // Who speaks no TLS is to be heard in plain HTTP; where nobody listens at all, that is what is said.
        let no_tls = refused.error.to_string().contains(NO_TLS);
        plain.map_err(|plain| if no_tls || matches!(plain.error, Error::Unreachable { .. }) { plain } else { refused })
    }

    async fn ping(&self, scheme: &'static str, object: &str) -> Result<Greeting, Failed> {
        let request = self.client.get(format!("{scheme}://{}/v2/", api_host(&self.host)));
        let response = self.send(request, object).await?;
        let elsewhere = other_host(&self.host, Some(response.url())).is_some();
        // Another host, to which it redirects, may not ask for credentials that are the registry's.
        let unauthorized = response.status() == StatusCode::UNAUTHORIZED && !elsewhere;
        Ok(Greeting { scheme, challenge: unauthorized.then(|| Challenge::of(response.headers())) })
    }

    /// The address of a path below a repository.
    pub fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}/v2/{path}", api_host(&self.host))
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(&self, request: reqwest::RequestBuilder, object: &str) -> Result<Response, Failed> {
        self.send_while(request, object, self.stall, || true).await
    }

    /// The same for a request that takes long: it is asked in these intervals whether to give it up.
    pub async fn send_while(
        &self,
        request: reqwest::RequestBuilder,
        object: &str,
        interval: Duration,
        mut given_up: impl FnMut() -> bool,
    ) -> Result<Response, Failed> {
        let followed = Followed::default();
        let (client, request) = request.build_split();
        let request = request.map_err(|e| Failed::of_request(self, object, &e, None))?;
        *super::lock(&followed) = Some(request.url().clone());
        let answer = FOLLOWED.scope(followed.clone(), client.execute(request));
        tokio::pin!(answer);
        loop {
            match tokio::time::timeout(interval, &mut answer).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(e)) => return Err(Failed::of_request(self, object, &e, super::lock(&followed).as_ref())),
                Err(_) if !given_up() => {}
                Err(_) => {
                    let from = other_host(&self.host, super::lock(&followed).as_ref());
                    let from = from.or_else(|| Some(format!("{}, {BY_PROXY} {}", self.host, self.proxy.as_ref()?)));
                    return Err(Failed::stalled(object, self.stall, from.as_deref()));
                }
            }
        }
    }

    /// Waits until the registry wants to be asked again.
    pub async fn open(&self) {
        let closed_until = self.trouble().closed_until;
        if let Some(until) = closed_until {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Remembers that the registry wants to be left alone so long.
    pub fn close(&self, wait: Duration) {
        let until = Some(Instant::now() + wait);
        let mut trouble = self.trouble();
        trouble.closed_until = trouble.closed_until.max(until);
        trouble.shunned_until = trouble.shunned_until.max(until);
    }

    /// Remembers that the registry failed, so that others are asked first for a while.
    pub fn shun(&self) {
        self.trouble().shunned_until = Some(Instant::now() + REST);
    }

    /// Whether others are asked first.
    pub fn is_shunned(&self) -> bool {
        self.trouble().shunned_until.is_some_and(|until| until > Instant::now())
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        super::lock(&self.trouble)
    }
}

/// The host that serves a registry's API: Docker Hub's is not the one in its references.
pub fn api_host(host: &str) -> &str {
    if host == "docker.io" { "registry-1.docker.io" } else { host }
}

/// Who speaks to registries with these certificates; where it is `insecure`, with any.
pub fn client(certificates: Option<Certificates>, insecure: bool, proxy: Proxy) -> Result<Client, Error> {
    let mut builder = Client::builder()
        .user_agent(concat!("bootc-embed/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .proxy(proxy)
        .redirect(reqwest::redirect::Policy::custom(follow))
        .tls_danger_accept_invalid_certs(insecure);
    let path = certificates.as_ref().map(|certificates| certificates.dir.clone()).unwrap_or_default();
    if let Some(certificates) = certificates {
        builder = builder.tls_backend_preconfigured(certificates.client_config(!insecure)?);
    }
    builder.build().map_err(|e| Error::Configuration { path, detail: chain(&e) })
}

/// Follows redirects, but never out of TLS. Credentials do not follow to another host: the HTTP
/// library removes them.
fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let was_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if was_secure && attempt.url().scheme() != "https" {
        let text = format!("the registry redirects from https to {}", attempt.url().scheme());
        attempt.error(text)
    } else if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("too many redirects")
    } else {
        // Outside of `Endpoint::send` nobody wants to know.
        let _ = FOLLOWED.try_with(|followed| *super::lock(followed) = Some(attempt.url().clone()));
        attempt.follow()
    }
}
