//! Who may do what: credentials, tokens, and what tokens are good for.

use super::exchange::{Answer, Place, Question};
use super::{Auth, Inner, State};
use crate::support::registry::RIGHT;
use serde_json::{Value, json};

/// A repository, and what may be done there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    repository: String,
    actions: Vec<String>,
}

impl Scope {
    fn new(repository: &str, actions: &str) -> Self {
        Self { repository: repository.to_owned(), actions: actions.split(',').map(str::to_owned).collect() }
    }

    /// Reads `repository:team/app:pull,push`.
    fn parse(text: &str) -> Option<Self> {
        let (repository, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
        Some(Self::new(repository, actions))
    }

    fn write(&self) -> String {
        format!("repository:{}:{}", self.repository, self.actions.join(","))
    }

    fn is_within(&self, given: &[Self]) -> bool {
        let given = |action: &String| {
            given.iter().any(|scope| scope.repository == self.repository && scope.actions.contains(action))
        };
        self.actions.iter().all(given)
    }
}

/// What a request needs, as distribution sees it: who writes must be allowed to read too, and who takes back an
/// upload, to delete.
fn needed(question: &Question) -> Vec<Scope> {
    if question.repository.is_empty() {
        return Vec::new();
    }
    let actions = match question.method.as_str() {
        "GET" | "HEAD" => "pull",
        "DELETE" => "delete",
        _ => "pull,push",
    };
    let mut needed = vec![Scope::new(&question.repository, actions)];
    if question.place == Place::Uploads {
        needed.extend(question.parameter("from").map(|from| Scope::new(from, "pull")));
    }
    needed
}

impl Inner {
    /// The refusal, unless the right credentials came.
    pub(super) fn refuse(&self, state: &State, question: &Question) -> Option<Answer> {
        let authorization = question.header("authorization");
        if question.place == Place::Token {
            return None;
        }
        let challenge = match self.behaviour.auth {
            Auth::None => return None,
            Auth::Basic if authorization.as_deref() == Some(RIGHT) => return None,
            Auth::Basic => "Basic realm=\"test\"".to_owned(),
            Auth::Bearer => {
                let needed = needed(question);
                let token = authorization.as_deref().and_then(|value| value.strip_prefix("Bearer "));
                let given = token.and_then(|token| state.tokens.get(token));
                if given.is_some_and(|given| needed.iter().all(|scope| scope.is_within(given))) {
                    return None;
                }
                let mut challenge = format!("Bearer realm=\"http://{}/token\",service=\"test\"", self.host);
                if !needed.is_empty() {
                    let scopes: Vec<String> = needed.iter().map(Scope::write).collect();
                    challenge += &format!(",scope=\"{}\"", scopes.join(" "));
                }
                if given.is_some() {
                    challenge += ",error=\"insufficient_scope\"";
                }
                challenge
            }
        };
        Some(Answer::refusal(401, "UNAUTHORIZED", &Value::Null).header("WWW-Authenticate", &challenge))
    }

    /// What the token service answers: a token for all scopes that were asked for.
    pub(super) fn token(state: &mut State, question: &Question) -> Answer {
        if question.header("authorization").as_deref() != Some(RIGHT) {
            return Answer::refusal(401, "UNAUTHORIZED", &json!("wrong user or password"));
        }
        let scopes = question.parameters("scope").flat_map(|scopes| scopes.split(' ')).filter_map(Scope::parse);
        state.tokens_given += 1;
        let token = format!("token-{}", state.tokens_given);
        state.tokens.insert(token.clone(), scopes.collect());
        Answer::content("application/json", json!({ "token": token, "expires_in": 300 }).to_string().into_bytes())
    }
}
