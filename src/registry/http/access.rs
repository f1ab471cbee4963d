//! How a registry lets us in: credentials, tokens, and that neither shows up in a message.

use super::attempts::Source;
use super::endpoint::Greeting;
use super::failure::{Failed, one_line, read_capped, status_text};
use crate::model::Repository;
use crate::registry::Error;
use crate::registry::auth::{Credentials, Keyring, Origin};
use crate::registry::token::{Challenge, MAX_TOKEN_ANSWER, parse_answer, service_url};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;

/// A registry that needs longer than this to hand out a token will not.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(60);
/// A shorter secret would blot out half of every message.
const SHORTEST_SECRET: usize = 4;

/// Values of `Authorization`, one a scope, and the credentials behind them.
pub struct Access {
    keyring: Keyring,
    passes: Mutex<HashMap<Scope, Arc<AsyncMutex<Option<HeaderValue>>>>>,
    /// What must not appear in a message.
    secrets: Mutex<BTreeSet<String>>,
}

/// What a request must be allowed to do; a token is good for one of these.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    repository: Repository,
    push: bool,
    mount_from: Option<Repository>,
}

impl Scope {
    /// To read from a repository.
    pub fn pull(repository: &Repository) -> Self {
        Self { repository: repository.clone(), push: false, mount_from: None }
    }

    /// To write to a repository.
    pub fn push(repository: &Repository) -> Self {
        Self { repository: repository.clone(), push: true, mount_from: None }
    }

    /// The same, and to take over what another one has.
    pub fn mount(repository: &Repository, from: &Repository) -> Self {
        Self { mount_from: Some(from.clone()), ..Self::push(repository) }
    }

    /// As a token service is asked for it (distribution, "Token Scope Documentation").
    fn texts(&self) -> Vec<String> {
        let actions = if self.push { "pull,push" } else { "pull" };
        let from = self.mount_from.iter().map(|from| format!("repository:{}:pull", from.path()));
        std::iter::once(format!("repository:{}:{actions}", self.repository.path())).chain(from).collect()
    }
}

/// How a pass that was refused came to be replaced.
pub enum Renewed {
    /// Another request has got it, while this one was on its way.
    ByAnother(Option<HeaderValue>),
    /// This request has asked for it; `None` where there is nothing else to answer with.
    Here(Option<HeaderValue>),
}

impl Access {
    /// Credentials are in `keyring`; `secrets` are not to be seen either.
    pub fn new(keyring: Keyring, secrets: Vec<String>) -> Self {
        Self { keyring, passes: Mutex::default(), secrets: Mutex::new(secrets.into_iter().collect()) }
    }

    /// What is sent to a registry along with a request; asks a token service before the registry has
    /// to refuse something.
    pub async fn pass(
        &self,
        source: &Source,
        scope: &Scope,
        greeting: &Greeting,
        object: &str,
    ) -> Result<Option<HeaderValue>, Failed> {
        let slot = self.slot(scope);
        let mut slot = slot.lock().await;
        if let (None, Some(challenge)) = (&*slot, &greeting.challenge) {
            *slot = self.authorize(source, scope, challenge, greeting, object).await?;
        }
        Ok(slot.clone())
    }

    /// What is sent after the registry has refused `pass`.
    pub async fn renew(
        &self,
        source: &Source,
        scope: &Scope,
        pass: Option<&HeaderValue>,
        refusal: &HeaderMap,
        greeting: &Greeting,
        object: &str,
    ) -> Result<Renewed, Failed> {
        let slot = self.slot(scope);
        let mut slot = slot.lock().await;
        if slot.as_ref() != pass {
            return Ok(Renewed::ByAnother(slot.clone()));
        }
        *slot = self.authorize(source, scope, &Challenge::of(refusal), greeting, object).await?;
        Ok(Renewed::Here(slot.clone().filter(|fresh| Some(fresh) != pass)))
    }

    /// Where the credentials for a repository stand, if there are any.
    pub async fn origin(&self, repository: &Repository) -> Option<Origin> {
        self.keyring.find(repository).await.ok().flatten().map(|credentials| credentials.origin)
    }

    /// What an answer that is no success says, on one line. Secrets go before the line is cut, or half
    /// of one could stay.
    pub fn message(&self, status: StatusCode, body: &[u8]) -> String {
        one_line(&self.redact(&status_text(status, body)))
    }

    fn slot(&self, scope: &Scope) -> Arc<AsyncMutex<Option<HeaderValue>>> {
        super::lock(&self.passes).entry(scope.clone()).or_default().clone()
    }

    async fn authorize(
        &self,
        source: &Source,
        scope: &Scope,
        challenge: &Challenge,
        greeting: &Greeting,
        object: &str,
    ) -> Result<Option<HeaderValue>, Failed> {
        let credentials = self.keyring.find(&source.repository).await.map_err(Failed::for_good)?;
        let value = match challenge {
            Challenge::Bearer { realm, service } => {
                let url = service_url(realm, service.as_deref(), &scope.texts(), greeting.scheme);
                let exchange = self.token(source, url, credentials.as_ref(), object);
                let silent = |_| {
                    let detail = "the registry's token service does not answer".to_owned();
                    Failed::for_now(Error::Unreachable { host: source.endpoint.host.clone(), detail })
                };
                let token = tokio::time::timeout(TOKEN_TIMEOUT, exchange).await.map_err(silent)??;
                Some(format!("Bearer {token}"))
            }
            Challenge::Basic => credentials.as_ref().map(|credentials| self.basic(credentials)),
            Challenge::Unknown => None,
        };
        Ok(value.and_then(|value| secret_header(&value)))
    }

    fn basic(&self, credentials: &Credentials) -> String {
        use base64::Engine as _;
        let pair = format!("{}:{}", credentials.user, credentials.password);
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        super::lock(&self.secrets).extend([credentials.password.clone(), pair.clone()]);
        format!("Basic {pair}")
    }

    /// Asks a token service for a token.
    async fn token(
        &self,
        source: &Source,
        url: Result<reqwest::Url, String>,
        credentials: Option<&Credentials>,
        object: &str,
    ) -> Result<String, Failed> {
        let origin = credentials.map(|credentials| credentials.origin.clone());
        let denied = |detail: String| {
            Failed::for_good(Error::Denied { object: object.to_owned(), detail, credentials: origin.clone() })
        };
        let unusable = |e: String| Failed::for_good(Error::Answer { object: object.to_owned(), detail: one_line(&e) });
        let url = url.map_err(unusable)?;
        let mut request = source.endpoint.client.get(url);
        if let Some(value) = credentials.and_then(|credentials| secret_header(&self.basic(credentials))) {
            request = request.header(AUTHORIZATION, value);
        }
        let response = source.endpoint.send(request, object).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_capped(response, MAX_TOKEN_ANSWER, object, source.endpoint.stall).await?;
        if let Some(token) = parse_answer(&body).filter(|_| status == StatusCode::OK) {
            super::lock(&self.secrets).insert(token.clone());
            return Ok(token);
        }
        let message = self.message(status, &body);
        let answered = |what: &str| {
            let detail = format!("the token service answered {what}");
            Failed::for_good(Error::Answer { object: object.to_owned(), detail })
        };
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => denied(format!("the token service answered {message}")),
            StatusCode::OK => answered("without a token"),
            // It is the service that is not there, not the image.
            StatusCode::NOT_FOUND => answered(&message),
            _ => Failed::of_status("the token service", status, &headers, object, message, None),
        })
    }

    /// Foreign text without the secrets that were sent: a server may send them back.
    pub fn redact(&self, text: &str) -> String {
        let secrets = super::lock(&self.secrets);
        let mut text = text.to_owned();
        for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
            text = text.replace(secret.as_str(), "***");
            // As it stands in JSON.
            let quoted = serde_json::Value::from(secret.as_str()).to_string();
            text = text.replace(quoted.trim_matches('"'), "***");
        }
        text
    }
}

fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::registries_conf::RegistriesConf;

    #[test]
    fn secrets_are_hidden_also_as_json_writes_them() {
        let keyring = Keyring::new(crate::registry::auth::Search::default(), &RegistriesConf::default());
        let access = Access::new(keyring, vec!["pass\"w\u{f6}rd".to_owned(), "abc".to_owned()]);
        for text in ["it was pass\"w\u{f6}rd", r#"{"pw":"pass\"w\u{f6}rd"}"#] {
            let hidden = access.redact(&text.replace("\\u{f6}", "\u{f6}"));
            assert!(!hidden.contains("pass"), "{hidden}");
        }
        assert_eq!(access.redact("abc"), "abc", "too short to be told from other text");
    }
}
