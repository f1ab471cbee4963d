//! Who may do what.

use super::super::{Auth, On, WriteFault};
use super::{Behaviour, Client, start};
use crate::support::fixture::{Blob, Repository, digest};
use crate::support::registry::RIGHT;
use serde_json::Value;

/// Asks the token service; the value of `Authorization` that it gives, if any.
fn token(client: &Client, scopes: &[&str], authorization: &str) -> Option<String> {
    let scopes: String = scopes.iter().map(|scope| format!("&scope={scope}")).collect();
    let headers = [("authorization", authorization)];
    let answer = client.ask("GET", &format!("/token?service=test{scopes}"), &headers, b"");
    let parsed: Value = serde_json::from_slice(&answer.body).unwrap();
    parsed["token"].as_str().map(|token| format!("Bearer {token}"))
}

#[test]
fn basic_credentials_are_needed_for_all() {
    let (registry, mut client) = start(Behaviour { auth: Auth::Basic, ..Behaviour::default() });
    registry.fail(On::any("/v2/"), 1, WriteFault::Status(500));
    for (authorization, status) in [(None, 401), (Some("Basic eDp5"), 401), (Some(RIGHT), 500), (Some(RIGHT), 200)] {
        client.authorization = authorization.map(str::to_owned);
        let answer = client.ask("GET", "/v2/", &[], b"");
        assert_eq!(answer.status, status, "a fault comes after the refusal: {authorization:?}");
        assert_eq!(answer.header("www-authenticate"), if status == 401 { "Basic realm=\"test\"" } else { "" });
        assert_eq!(registry.requests().pop().unwrap().authorization, client.authorization);
    }
}

#[test]
fn a_token_is_good_for_what_it_was_asked_for() {
    let (registry, mut client) = start(Behaviour { auth: Auth::Bearer, ..Behaviour::default() });
    let blob = Blob::new("a/b", b"0123456789".to_vec());
    registry.put(&Repository { blobs: vec![blob.clone()], ..Repository::new("from") });
    let (read, begin) = (format!("/v2/from/blobs/{}", blob.digest), "/v2/team/x/blobs/uploads/");
    let mount = format!("{begin}?mount={}&from=from", blob.digest);
    let (reads, writes) = ("repository:from:pull", "repository:team/x:pull,push");
    let both = format!("{reads} {writes}");
    for (scopes, statuses) in [
        (&[][..], [200, 401, 401, 401]),
        (&[reads], [200, 200, 401, 401]),
        (&["repository:team/x:push"], [200, 401, 401, 401]),
        (&[writes], [200, 401, 202, 401]),
        (&[reads, writes], [200, 200, 202, 201]),
        (&[both.as_str()], [200, 200, 202, 201]),
    ] {
        client.authorization = None;
        assert_eq!(token(&client, scopes, "Basic eDp5"), None);
        client.authorization = Some(token(&client, scopes, RIGHT).expect("a token"));
        let found = [("GET", "/v2/"), ("GET", &read), ("POST", begin), ("POST", &mount)]
            .map(|(method, path)| client.ask(method, path, &[], b"").status);
        assert_eq!(found, statuses, "{scopes:?}");
    }
    let place = client.begin("team/x");
    let refused = client.ask("DELETE", &place, &[], b"");
    assert!(refused.header("www-authenticate").contains("scope=\"repository:team/x:delete\""));
    registry.expire_tokens();
    let refused = client.ask("PUT", &format!("{place}&digest={}", blob.digest), &[], &blob.bytes);
    assert_eq!(refused.error(), (401, "UNAUTHORIZED".into()));
    assert_eq!(registry.requests().pop().unwrap().bytes_in, 10, "what is refused is taken all the same");
}

#[test]
fn a_challenge_names_what_is_needed() {
    let (registry, mut client) = start(Behaviour { auth: Auth::Bearer, ..Behaviour::default() });
    let service = format!("Bearer realm=\"http://{}/token\",service=\"test\"", registry.host());
    let challenge = |client: &Client, method: &str, path: &str| {
        let answer = client.ask(method, path, &[], b"");
        assert_eq!(answer.error(), (401, "UNAUTHORIZED".into()));
        answer.header("www-authenticate").to_owned()
    };
    assert_eq!(challenge(&client, "GET", "/v2/"), service);
    let write = format!("{service},scope=\"repository:x:pull,push\"");
    assert_eq!(challenge(&client, "PUT", "/v2/x/manifests/v1"), write);
    client.authorization = token(&client, &["repository:x:pull"], RIGHT);
    assert_eq!(challenge(&client, "PUT", "/v2/x/manifests/v1"), format!("{write},error=\"insufficient_scope\""));
    let mount = challenge(&client, "POST", "/v2/x/blobs/uploads/?mount=sha256:0&from=y");
    assert!(mount.contains("scope=\"repository:x:pull,push repository:y:pull\""), "{mount}");
}

#[test]
fn uploads_may_go_elsewhere_where_nobody_asks() {
    let behaviour = Behaviour { auth: Auth::Basic, uploads_elsewhere: true, ..Behaviour::default() };
    let (registry, mut client) = start(behaviour);
    let (bytes, other) = (b"0123456789", registry.other_host().expect("another host").to_owned());
    client.authorization = Some(RIGHT.to_owned());
    let place = client.begin("x");
    assert!(place.starts_with(&format!("http://{other}/v2/x/blobs/uploads/")), "{place}");
    client.authorization = None;
    let part = client.ask("PATCH", &place, &[], bytes);
    let done = client.ask("PUT", &format!("{}&digest={}", part.header("location"), digest(bytes)), &[], b"");
    assert_eq!(done.status, 201);
    assert!(done.header("location").starts_with(&format!("http://{}/v2/x/blobs/sha256:", registry.host())));
    assert_eq!(client.ask("GET", &format!("http://{other}/v2/"), &[], b"").status, 404);
    let hosts: Vec<String> = registry.requests().into_iter().map(|asked| asked.host).collect();
    assert_eq!(hosts, [registry.host(), &other, &other, &other]);
}
