//! The read-only registry over a store and over an OCI layout, request by request.

use super::{fill, platforms, repository, resolve_all, wait};
use crate::support::fixture::{Format, Spelling, digest};
use crate::support::memory::MemoryRegistry;
use bootc_embed::serve::{Content, serve};
use bootc_embed::store::parse_lock;
use reqwest::{Method, Response};
use std::fs;

/// One answer: status, some headers, body.
async fn ask(
    client: &reqwest::Client,
    method: Method,
    url: &str,
    range: Option<&str>,
) -> (u16, Vec<Option<String>>, Vec<u8>) {
    let mut request = client.request(method, url);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let response: Response = request.send().await.expect("an answer");
    let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let headers = ["content-type", "content-length", "docker-content-digest", "content-range"].map(header).to_vec();
    (response.status().as_u16(), headers, response.bytes().await.expect("a body").to_vec())
}

#[test]
fn manifests_blobs_ranges_tags_and_refusals() {
    let (app, index) = repository("team/app", &["linux/amd64", "linux/arm64"], Format::Docker, Spelling::ODD);
    let references = [app.tagged("r.example:5000", "v1"), app.pinned("r.example:5000", &index)];
    let registry = MemoryRegistry::new(vec![app.clone()]);
    let folder = tempfile::tempdir().unwrap();
    let resolved = resolve_all(&references, &platforms(&["linux/amd64"]), &registry).unwrap();
    fill(folder.path(), &resolved, &registry).unwrap();
    let plan = parse_lock(&fs::read(folder.path().join("embed.lock.json")).unwrap()).unwrap();
    let layer = app.blob(&plan.images[0].instances[0].layers[1].digest.to_string()).unwrap().clone();
    let (native, foreign) = (&app.manifests[0], &app.manifests[1]);

    for content in [Content::of_store(folder.path(), &plan), Content::of_layout(folder.path()).unwrap()] {
        wait(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}/v2", listener.local_addr().unwrap());
            let server = tokio::spawn(serve(content, listener, std::future::pending()));
            let client = reqwest::Client::new();
            let get = |path: String| ask(&client, Method::GET, format!("{base}{path}").leak(), None);
            assert_eq!(get("/".into()).await.0, 200);
            // By path alone and by path with the registry before it; by tag and by digest.
            for name in ["team/app", "r.example:5000/team/app"] {
                for at in ["v1", &index.digest] {
                    let (status, headers, body) = get(format!("/{name}/manifests/{at}")).await;
                    assert_eq!((status, &body), (200, &index.bytes), "{name} {at}");
                    assert_eq!(headers[0].as_deref(), Some(index.media_type.as_str()));
                    assert_eq!(headers[2].as_deref(), Some(index.digest.as_str()));
                }
            }
            assert_eq!(get(format!("/team/app/manifests/{}", native.digest)).await.2, native.bytes);
            let url = format!("{base}/team/app/manifests/v1");
            let (status, headers, body) = ask(&client, Method::HEAD, &url, None).await;
            assert_eq!((status, body.len()), (200, 0));
            assert_eq!(headers[1], Some(index.bytes.len().to_string()));

            let url = format!("{base}/team/app/blobs/{}", layer.digest);
            let (status, headers, body) = ask(&client, Method::GET, &url, None).await;
            assert_eq!((status, digest(&body)), (200, layer.digest.clone()));
            assert_eq!(headers[2].as_deref(), Some(layer.digest.as_str()));
            let (status, headers, body) = ask(&client, Method::GET, &url, Some("bytes=10-19")).await;
            assert_eq!((status, &body[..]), (206, &layer.bytes[10..20]));
            assert_eq!(headers[3], Some(format!("bytes 10-19/{}", layer.bytes.len())));
            assert_eq!(ask(&client, Method::GET, &url, Some("bytes=5-")).await.2, layer.bytes[5..]);
            let (status, headers, body) = ask(&client, Method::HEAD, &url, None).await;
            assert_eq!((status, body.len(), headers[1].clone()), (200, 0, Some(layer.bytes.len().to_string())));

            assert_eq!(get("/team/app/tags/list".into()).await.2, br#"{"name":"team/app","tags":["v1"]}"#);
            for (path, code) in [
                (format!("/team/app/manifests/{}", foreign.digest), "MANIFEST_UNKNOWN"),
                ("/team/app/manifests/v2".to_owned(), "MANIFEST_UNKNOWN"),
                (format!("/team/other/manifests/{}", index.digest), "MANIFEST_UNKNOWN"),
                (format!("/team/app/manifests/{}", layer.digest), "MANIFEST_UNKNOWN"),
                (format!("/team/app/blobs/{}", foreign.digest), "BLOB_UNKNOWN"),
                ("/team/app/blobs/sha256:..%2f..%2fembed.lock.json".to_owned(), "BLOB_UNKNOWN"),
                ("/team/other/tags/list".to_owned(), "NAME_UNKNOWN"),
            ] {
                let (status, _, body) = get(path.clone()).await;
                let body = String::from_utf8(body).unwrap();
                assert!(status == 404 && body.contains(code), "{path}: {status} {body}");
            }
            assert_eq!(ask(&client, Method::PUT, &url, None).await.0, 405);
            server.abort();
        });
    }
}

#[test]
fn a_path_that_two_registries_share_is_served_by_its_full_name_only() {
    let (app, index) = repository("app", &["linux/amd64"], Format::Oci, Spelling::ODD);
    let references = [app.pinned("a.example", &index), app.pinned("b.example", &index)];
    let registry = MemoryRegistry::new(vec![app]);
    let plan = resolve_all(&references, &platforms(&["linux/amd64"]), &registry).unwrap().plan;
    let content = Content::of_store(std::path::Path::new("/nonexistent"), &plan);
    assert_eq!(content.repositories().collect::<Vec<_>>(), ["a.example/app", "b.example/app"]);
}
