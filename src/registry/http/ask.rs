//! One request to a registry, with what lets it in. Whoever asks judges the answer.

use super::Inner;
use super::access::{Renewed, Scope};
use super::attempts::Source;
use super::endpoint::api_host;
use super::failure::{Failed, MAX_ERROR_BODY, other_host, read_capped};
use crate::registry::Error;
use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};

/// So often a request that is refused is sent again with a token that another request got meanwhile.
const MAX_RENEWALS: u32 = 3;

/// Where a request goes.
#[derive(Debug, Clone)]
pub enum Place {
    /// A path below the repository.
    Below(String),
    /// An address that the registry has told.
    At(Url),
}

/// A request.
pub struct Ask<'a> {
    /// What is to be done.
    pub method: Method,
    /// Where.
    pub place: Place,
    /// What it must be allowed to do.
    pub scope: Scope,
    /// More headers.
    pub headers: &'a [(HeaderName, String)],
    /// The body, where it is small.
    pub body: Option<Bytes>,
    /// What is asked for, in errors.
    pub object: &'a str,
}

/// An answer of any status.
pub struct Answered {
    /// Its head; the body is not read yet.
    pub response: Response,
    /// Whether credentials or a token were sent.
    pub with_pass: bool,
}

impl Inner {
    /// Sends a request, with credentials where the registry asks for them, and once more where they have
    /// expired.
    pub(super) async fn ask(&self, source: &Source, ask: &Ask<'_>) -> Result<Answered, Failed> {
        source.endpoint.open().await;
        let greeting = source.endpoint.greeting(ask.object).await?;
        let (url, own) = self.url(source, &ask.place, ask.object).await?;
        let mut pass = if own { self.access.pass(source, &ask.scope, greeting, ask.object).await? } else { None };
        let mut renewals = 0;
        loop {
            let mut request = source.endpoint.client.request(ask.method.clone(), url.clone());
            request = dress(request, ask.headers, pass.as_ref());
            if let Some(body) = &ask.body {
                request = request.body(body.clone());
            }
            let response = source.endpoint.send(request, ask.object).await?;
            let answered = Answered { response, with_pass: pass.is_some() };
            // What another host asks for, to which the registry redirects, is not answered with what is the registry's.
            let elsewhere = other_host(&source.endpoint.host, Some(answered.response.url())).is_some();
            let refused = answered.response.status() == StatusCode::UNAUTHORIZED;
            if !refused || renewals == MAX_RENEWALS || !own || elsewhere {
                return Ok(answered);
            }
            let headers = answered.response.headers();
            match self.access.renew(source, &ask.scope, pass.as_ref(), headers, greeting, ask.object).await? {
                // What another request got may be used up again; what this one gets itself is refused once.
                Renewed::ByAnother(fresh) => (pass, renewals) = (fresh, renewals + 1),
                Renewed::Here(Some(fresh)) => (pass, renewals) = (Some(fresh), MAX_RENEWALS),
                Renewed::Here(None) => return Ok(answered),
            }
        }
    }

    /// The address of a place, and whether it is of the registry itself: nobody else gets credentials.
    pub(super) async fn url(&self, source: &Source, place: &Place, object: &str) -> Result<(Url, bool), Failed> {
        let greeting = source.endpoint.greeting(object).await?;
        let wrong = |detail: String| Failed::for_good(Error::Answer { object: object.to_owned(), detail });
        let own = source.endpoint.url(greeting.scheme, source.repository.path());
        let own = Url::parse(&own).map_err(|e| wrong(e.to_string()))?;
        match place {
            Place::Below(path) => {
                let url = source.endpoint.url(greeting.scheme, &format!("{}/{path}", source.repository.path()));
                Ok((Url::parse(&url).map_err(|e| wrong(e.to_string()))?, true))
            }
            Place::At(url) => match (own.scheme(), url.scheme()) {
                (_, "https") | ("http", "http") => Ok((url.clone(), url.origin() == own.origin())),
                (was, scheme) => Err(wrong(format!(
                    "the registry `{}` sends from {was} to {scheme}",
                    api_host(&source.endpoint.host)
                ))),
            },
        }
    }

    /// The failure behind an answer that is no success: its status, and what the registry says of it.
    pub(super) async fn refusal(&self, source: &Source, answered: Answered, object: &str) -> Failed {
        let Source { endpoint, repository, .. } = source;
        let Answered { response, with_pass } = answered;
        let credentials = if with_pass { self.access.origin(repository).await } else { None };
        let (status, headers) = (response.status(), response.headers().clone());
        let answered_by = other_host(&endpoint.host, Some(response.url()));
        let answered_by =
            answered_by.map(|host| format!(" (from `{host}`, where it redirects to)")).unwrap_or_default();
        let body = read_capped(response, MAX_ERROR_BODY, object, self.options.stall).await.unwrap_or_default();
        let message = self.access.message(status, &body) + &answered_by;
        Failed::of_status("the registry", status, &headers, object, message, credentials)
    }
}

/// A request with its headers.
pub fn dress(
    mut request: RequestBuilder,
    headers: &[(HeaderName, String)],
    pass: Option<&HeaderValue>,
) -> RequestBuilder {
    request = request.header(ACCEPT_ENCODING, "identity");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    match pass {
        Some(pass) => request.header(AUTHORIZATION, pass.clone()),
        None => request,
    }
}
