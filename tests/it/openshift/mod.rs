//! Image streams are refreshed: what a cluster is asked, which of its answers are believed, and which are asked for
//! again.

mod api;
mod tls;

use crate::support::command;
use crate::support::fixture::{Format, Image, Index, Instance, Repository};
use crate::support::lane::Notes;
use crate::support::registry::FaultyRegistry;
use crate::support::tool::bootc_embed;
use crate::support::writable::{Behaviour, Lie, WritableRegistry};
use api::{Api, Reply, TOKEN, kubeconfig};
use bootc_embed::cluster::{Access, Cluster, Error, Import, Imported, Patience};
use bootc_embed::model::Digest;
use bootc_embed::registry::proxies::Proxies;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// A run that takes longer than this waits for something that it should not wait for.
const LONGEST: Duration = Duration::from_secs(10);
/// Long enough for everything but what never answers.
const PATIENT: Patience = Patience { deadline: Duration::from_secs(60), backoff: Duration::from_millis(1) };
/// What never answers is given up soon.
const IMPATIENT: Patience = Patience { deadline: Duration::from_millis(400), backoff: Duration::from_millis(1) };

fn import() -> Import {
    let digest = Digest::of(b"index");
    Import {
        from: format!("registry.example.com/team/app:v1@{digest}"),
        to: "team/app:v1".parse().expect("a tag"),
        digest,
        manifests: vec![Digest::of(b"amd64"), Digest::of(b"arm64")],
        insecure: false,
    }
}

/// What became of an image that the cluster has.
fn image(digest: &Digest, manifests: &[Digest]) -> Value {
    let entries: Vec<Value> = manifests
        .iter()
        .map(|digest| json!({ "digest": digest, "mediaType": "x", "manifestSize": 1, "architecture": "amd64", "os": "linux" }))
        .collect();
    json!({ "tag": "v1", "status": { "metadata": {}, "status": "Success" },
            "image": { "metadata": { "name": digest }, "dockerImageManifests": entries } })
}

fn success() -> Reply {
    Reply::result(&image(&import().digest, &import().manifests))
}

fn failure(reason: &str, message: &str) -> Reply {
    let status = json!({ "status": "Failure", "reason": reason, "message": message, "code": 0 });
    Reply::result(&json!({ "status": status }))
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made").block_on(future)
}

async fn ask(kubeconfig: &Path, patience: Patience, notes: &Notes) -> Result<Imported, Error> {
    let cluster = Cluster::connect(Access::Kubeconfig(kubeconfig), &Proxies::default()).await?;
    cluster.import(&import(), patience, notes).await
}

/// What a cluster that answers so makes of an import, and how often it is asked.
fn run(replies: &[Reply], patience: Patience) -> (Result<Imported, Error>, usize) {
    wait(async {
        let api = Api::new(replies).await;
        (ask(&api.kubeconfig(), patience, &Notes::default()).await, api.seen().len())
    })
}

#[test]
fn a_cluster_is_asked_for_the_index_under_the_tag() {
    wait(async {
        let api = Api::new(&[success()]).await;
        let imported = ask(&api.kubeconfig(), PATIENT, &Notes::default()).await.expect("it is imported");
        assert_eq!(imported.entries, 2);
        assert_eq!(imported.digest, import().digest);
        let seen = api.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].method, "POST");
        assert_eq!(seen[0].path, "/apis/image.openshift.io/v1/namespaces/team/imagestreamimports");
        let wanted = json!({
            "apiVersion": "image.openshift.io/v1",
            "kind": "ImageStreamImport",
            "metadata": { "namespace": "team", "name": "app" },
            "spec": { "import": true, "images": [{
                "from": { "kind": "DockerImage", "name": import().from },
                "to": { "name": "v1" },
                "importPolicy": { "importMode": "PreserveOriginal", "insecure": false },
                "referencePolicy": { "type": "Source" },
            }] },
        });
        assert_eq!(seen[0].body, wanted);
    });
}

#[test]
fn what_passes_is_asked_again_and_told() {
    wait(async {
        let busy = Reply::Says(429, vec![("retry-after", "0".to_owned())], Vec::new());
        let api = Api::new(&[
            Reply::refuses(409, "Conflict", "the object has been modified"),
            Reply::refuses(500, "ServerTimeout", "the server cannot complete the request now"),
            busy,
            Reply::Says(503, Vec::new(), b"<html>no backend</html>".to_vec()),
            failure("InternalError", "registry.example.com: connection refused"),
            success(),
        ])
        .await;
        let notes = Notes::default();
        ask(&api.kubeconfig(), PATIENT, &notes).await.expect("it is imported in the end");
        assert_eq!(api.seen().len(), 6);
        let notes = notes.take();
        assert_eq!(notes.len(), 5, "{notes:?}");
        assert!(notes[0].contains("the object has been modified; asking again in"), "{notes:?}");
    });
}

#[test]
fn what_lasts_is_asked_once() {
    for (reply, says, hint) in [
        (
            Reply::refuses(403, "Forbidden", "imagestreamimports is forbidden"),
            "forbids it: imagestreamimports",
            "can-i",
        ),
        (Reply::refuses(401, "Unauthorized", "Unauthorized"), "does not know who asks", "oc login"),
        (Reply::refuses(422, "Invalid", "not in the allowed list"), "answered 422, not in the", "image.config"),
        (Reply::refuses(404, "NotFound", "namespaces \"team\" not found"), "no place for it", "oc new-project team"),
        (Reply::Says(404, Vec::new(), b"404 page not found\n".to_vec()), "HTTP status 404", "only OpenShift"),
        (failure("NotFound", "dockerimage \"x\" not found"), "could not: dockerimage \"x\" not found", "find it"),
        (failure("Unauthorized", "you may not have access"), "you may not have access", "pull secret"),
        (Reply::Says(200, Vec::new(), b"<html>log in</html>".to_vec()), "no ImageStreamImport", "`server`"),
        (Reply::Says(200, Vec::new(), vec![b' '; 17 << 20]), "larger than", "`server`"),
        (Reply::result(&json!({ "status": { "status": "Success" } })), "has no image", "`server`"),
        (Reply::result(&image(&Digest::of(b"old"), &import().manifests)), "is not what was pushed", "meanwhile"),
        (Reply::result(&image(&import().digest, &import().manifests[..1])), "lacks sha256:", "meanwhile"),
        (Reply::result(&image(&import().digest, &[])), "lacks sha256:", "meanwhile"),
    ] {
        let (result, asked) = run(&[reply, success()], PATIENT);
        let error = result.expect_err(says);
        assert!(error.to_string().contains(says), "{says}: {error}");
        assert!(error.hints().concat().contains(hint), "{says}: {:?}", error.hints());
        assert_eq!(asked, 1, "{says}");
    }
}

#[test]
fn an_internal_error_is_believed_to_pass_a_few_times() {
    let (result, asked) = run(&[failure("InternalError", "x509: unknown authority")], PATIENT);
    let error = result.expect_err("it lasts");
    assert!(error.to_string().contains("x509"), "{error}");
    assert!(error.hints().concat().contains("additionalTrustedCA"), "{:?}", error.hints());
    assert_eq!(asked, 3);
}

#[test]
fn all_ends_in_time() {
    let start = Instant::now();
    let (result, asked) = run(&[Reply::Hangs], IMPATIENT);
    let error = result.expect_err("nothing answers");
    assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
    assert!(error.to_string().contains("not imported in 0.4 s, tries: 1; the last: "), "{error}");
    assert!(error.hints().concat().contains("--import-timeout"), "{:?}", error.hints());
    assert_eq!(asked, 1);

    let start = Instant::now();
    let (result, asked) = run(&[Reply::refuses(409, "Conflict", "changed")], IMPATIENT);
    let error = result.expect_err("it never fits");
    assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
    assert!(error.to_string().contains("changed"), "{error}");
    assert!(asked > 1, "{asked}");

    // A cluster that asks for more time than there is gets none.
    let later = Reply::Says(429, vec![("retry-after", "3600".to_owned())], Vec::new());
    let start = Instant::now();
    let (result, asked) = run(&[later], PATIENT);
    assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
    assert!(matches!(result, Err(Error::GaveUp { .. })), "{result:?}");
    assert_eq!(asked, 1);
}

#[test]
fn nobody_there_is_tried_until_the_deadline() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.local_addr().expect("it has an address").port()
    };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig(&format!("http://127.0.0.1:{port}"), "", TOKEN)).expect("it is written");
    let notes = Notes::default();
    let error = wait(ask(&file, IMPATIENT, &notes)).expect_err("nobody is there");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(!notes.take().is_empty());
}

#[test]
fn a_kubeconfig_that_is_wrong_is_named_and_its_secrets_are_not() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("kubeconfig");
    let good = kubeconfig("http://127.0.0.1:1", "", TOKEN);
    for (text, says) in [
        (None, "No such file"),
        (Some(format!("users: [{{ token: {TOKEN}")), "no YAML"),
        (Some(good.replace("current-context: here", "current-context: there")), "context"),
        (Some(good.replace("server: http://127.0.0.1:1", "server: 'http://[x'")), "cluster url"),
    ] {
        if let Some(text) = text {
            std::fs::write(&file, text).expect("it is written");
        }
        let error = wait(ask(&file, PATIENT, &Notes::default())).expect_err(says);
        let text = format!("{error} {error:?}");
        assert!(matches!(error, Error::Kubeconfig { .. }), "{text}");
        assert!(error.to_string().contains(says), "{says}: {text}");
        assert!(error.to_string().contains("kubeconfig`"), "{text}");
        assert!(!text.contains(TOKEN), "{text}");
    }
}

#[test]
fn a_wrong_token_is_refused_and_not_told() {
    wait(async {
        let api = Api::new(&[success()]).await;
        let text = std::fs::read_to_string(api.kubeconfig()).expect("it is there");
        std::fs::write(api.kubeconfig(), text.replace(TOKEN, "another-secret")).expect("it is written");
        let error = ask(&api.kubeconfig(), PATIENT, &Notes::default()).await.expect_err("it is not known");
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        assert!(!format!("{error:?}").contains("another-secret"), "{error:?}");
        assert_eq!(api.seen().len(), 1);
    });
}

#[test]
fn a_program_for_credentials_that_fails_is_named_and_its_output_is_not() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("kubeconfig");
    let program = "exec:\n      apiVersion: client.authentication.k8s.io/v1\n      interactiveMode: Never\n      \
                   command: sh\n      args: [-c, 'echo half-a-secret; exit 7']";
    let text = kubeconfig("http://127.0.0.1:1", "", TOKEN).replace(&format!("token: {TOKEN}"), program);
    std::fs::write(&file, text).expect("it is written");
    let error = wait(ask(&file, PATIENT, &Notes::default())).expect_err("there are none");
    assert!(matches!(error, Error::Credentials { .. }), "{error}");
    assert!(error.to_string().contains("exit status: 7"), "{error}");
    assert!(!format!("{error} {error:?}").contains("half-a-secret"), "{error:?}");
}

#[test]
fn the_proxy_is_asked_unless_no_proxy_names_the_cluster() {
    wait(async {
        // Not on this machine, so that the rules for proxies apply; the name leads nowhere.
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, kubeconfig("http://api.cluster.invalid:6443", "", TOKEN)).expect("it is written");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let accept = tokio::spawn(async move { listener.accept().await.map(drop) });
        let mut proxies = Proxies { http: Some(format!("http://{address}")), ..Proxies::default() };
        for (no_proxy, says) in [(Some(".invalid".to_owned()), "api.cluster.invalid"), (None, "not imported")] {
            proxies.no_proxy = no_proxy;
            assert!(!accept.is_finished());
            let cluster = Cluster::connect(Access::Kubeconfig(&file), &proxies).await.expect("the settings are good");
            let error = cluster.import(&import(), IMPATIENT, &Notes::default()).await.expect_err("it leads nowhere");
            assert!(error.to_string().contains(says), "{error}");
        }
        accept.await.expect("it runs").expect("the proxy was asked");
    });
}

/// From a store through a registry to the image stream: only what is proven there is imported.
#[test]
fn a_push_refreshes_the_image_stream() {
    let instances = ["linux/amd64", "linux/arm64"].map(|platform| Image::new(platform).build());
    let index = Index::new(Format::Oci).instances(&instances).build();
    let repository = Repository::new("team/app").instances(&instances).index(&index).tag("v1", &index);
    let (source, folder) =
        (FaultyRegistry::start(std::slice::from_ref(&repository)), tempfile::tempdir().expect("a folder"));
    let digests = |instances: &[Instance]| -> Vec<Digest> {
        instances.iter().map(|instance| instance.manifest.digest.parse().expect("a digest")).collect()
    };
    let pushed = image(&index.digest.parse().expect("a digest"), &digests(&instances));
    let (runtime, registry) =
        (tokio::runtime::Runtime::new().expect("a runtime"), WritableRegistry::start(Behaviour::default()));
    let push = |replies: &[Reply], words: &[&str]| {
        let api = runtime.block_on(Api::new(replies));
        let mut tool = bootc_embed(folder.path());
        tool.args(["push", "--format=json", "--tls-verify=false", "--platform=linux/amd64"]);
        tool.arg(repository.tagged(source.address(), "v1")).arg(registry.host());
        let finished = command::run(tool.env("KUBECONFIG", api.kubeconfig()).args(words));
        (finished, api.seen())
    };
    let (finished, seen) = push(&[], &["--image-stream", "team/other:v1"]);
    finished.fails_with(2).says("nothing is pushed to `team/other`");
    assert!(seen.is_empty() && registry.requests().is_empty(), "this is told before anything is done");
    let (finished, seen) = push(&[Reply::result(&pushed)], &["--image-stream", "team/app:v1"]);
    let report: Value = serde_json::from_slice(&finished.success().output).expect("a report");
    assert_eq!(report["imageStreams"][0]["digest"], json!(index.digest));
    let name = format!("{}/team/app:v1@{}", registry.host(), index.digest);
    let import = &seen[0].body["spec"]["images"][0];
    assert_eq!((&import["from"]["name"], &import["importPolicy"]["insecure"]), (&json!(name), &json!(true)));
    let refused = Reply::refuses(403, "Forbidden", "imagestreamimports is forbidden");
    let (finished, seen) = push(&[refused], &["--image-stream", "team/app:v1"]);
    let finished = finished.fails_with(3).says("imagestreamimports is forbidden");
    assert!(finished.text().contains("\"differences\": []"), "what was pushed is told all the same");
    assert_eq!(seen.len(), 1);
    // Another writer wins the tag: nothing is imported.
    registry.lie("team/app", "v1", Lie::Overtaken(b"{}".to_vec(), "application/json"));
    registry.remove_tag("team/app", "v1");
    let (finished, seen) = push(&[Reply::result(&pushed)], &["--image-stream", "team/app:v1"]);
    finished.fails_with(1);
    assert!(seen.is_empty());
}
