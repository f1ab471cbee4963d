//! A Kubernetes API in this process that knows image stream imports, and answers as it is told.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What its kubeconfig has as token.
pub const TOKEN: &str = "sha256~a-token-of-nobody";

/// What it answers.
#[derive(Clone)]
pub enum Reply {
    /// A status, headers, a body.
    Says(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Nothing, ever.
    Hangs,
}

impl Reply {
    /// JSON.
    pub fn json(status: u16, value: &Value) -> Self {
        Self::Says(status, Vec::new(), value.to_string().into_bytes())
    }

    /// A refusal as Kubernetes writes it.
    pub fn refuses(status: u16, reason: &str, message: &str) -> Self {
        let value = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
                            "reason": reason, "code": status });
        Self::json(status, &value)
    }

    /// An import of one image, with this as what became of it.
    pub fn result(result: &Value) -> Self {
        let status = json!({ "import": { "kind": "ImageStream" }, "images": [result] });
        Self::json(
            201,
            &json!({ "kind": "ImageStreamImport", "apiVersion": "image.openshift.io/v1", "status": status }),
        )
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub body: Value,
}

struct Inner {
    /// The last one is given again and again.
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
}

/// The API, until it is dropped.
pub struct Api {
    inner: Arc<Inner>,
    folder: tempfile::TempDir,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Api {
    /// Answers the first request with the first reply, and so on.
    pub async fn new(replies: &[Reply]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let inner = Arc::new(Inner { replies: Mutex::new(replies.iter().cloned().collect()), seen: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(inner.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        let folder = tempfile::tempdir().expect("a folder can be made");
        let api = Self { inner, folder, server };
        std::fs::write(api.kubeconfig(), kubeconfig(&format!("http://{address}"), "", TOKEN)).expect("it is written");
        api
    }

    /// The file that leads here.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// What was asked.
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().expect("no panic while locked").clone()
    }
}

/// A kubeconfig; `more` are further lines of the cluster.
pub fn kubeconfig(server: &str, more: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\ncontexts:\n- name: here\n  context:\n    cluster: it\n    \
         user: me\nclusters:\n- name: it\n  cluster:\n    server: {server}\n{more}users:\n- name: me\n  user:\n    \
         token: {token}\n"
    )
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    inner.seen.lock().expect("no panic while locked").push(Seen { method, path: uri.path().to_owned(), body });
    let reply = {
        let mut replies = inner.replies.lock().expect("no panic while locked");
        if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
    };
    let known = headers.get("authorization").is_some_and(|value| value == &format!("Bearer {TOKEN}"));
    let reply = if known { reply } else { Some(Reply::refuses(401, "Unauthorized", "Unauthorized")) };
    let Some(Reply::Says(status, headers, bytes)) = reply else {
        std::future::pending::<()>().await;
        unreachable!("that takes for ever");
    };
    let builder =
        headers.iter().fold(Response::builder().status(status), |all, (name, value)| all.header(*name, value));
    builder.body(Body::from(bytes)).expect("a response")
}
