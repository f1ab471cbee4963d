//! The proxy lane: skopeo speaks to the registry. The only module that runs skopeo; so it also has
//! [`StoredImage`], an image in the containers-storage of this machine, and [`gpg`], which judges OpenPGP
//! signatures.
//!
//! Manifests come from `skopeo inspect --raw`, because the image proxy converts what it hands out;
//! blobs come through `skopeo experimental-image-proxy`. The proxy runs with `--insecure-policy`:
//! trust is judged per instance elsewhere, from the bytes that ship.

pub mod gpg;

use super::auth::Origin;
use super::lookaside::Lookaside;
use super::{Answer, At, BlobStream, Error, Options, Registry};
use crate::model::manifest::MAX_MANIFEST_SIZE;
use crate::model::{Descriptor, Digest, PinnedReference, RawManifest, Repository};
use bytes::Bytes;
use containers_image_proxy::{ImageProxy, ImageProxyConfig, OpenedImage};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;

/// The oldest skopeo that works, major and minor: 1.9 is the first whose proxy protocol (0.2.3)
/// opens images by digest and whose `dir:` reads what this program writes. Debian 12 has 1.9.3.
pub const MINIMUM_SKOPEO: (u32, u32) = (1, 9);

/// How much of a blob is read from skopeo at once.
const CHUNK: usize = 256 * 1024;

/// A skopeo that needs longer than this for a manifest, with all its repeats, hangs.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(120);

/// The lane.
pub struct Proxy {
    options: Options,
    workers: Arc<Mutex<Vec<Worker>>>,
    permits: Arc<Semaphore>,
    lookaside: Lookaside,
}

/// One skopeo. A blob in flight keeps its skopeo busy: older ones answer nothing else meanwhile.
struct Worker {
    proxy: ImageProxy,
    opened: HashMap<String, OpenedImage>,
}

impl Proxy {
    /// A lane with these settings, once skopeo is found to be new enough.
    pub async fn new(options: Options) -> Result<Self, Error> {
        require_skopeo().await?;
        let permits = Arc::new(Semaphore::new(options.jobs.max(1)));
        let lookaside = Lookaside::new(&options)?;
        Ok(Self { options, workers: Arc::default(), permits, lookaside })
    }

    async fn worker(&self) -> Result<Worker, Error> {
        if let Some(worker) = self.workers.lock().await.pop() {
            return Ok(worker);
        }
        let mut config = ImageProxyConfig::default();
        config.authfile = self.options.auth.files.first().filter(|_| self.options.auth.required).cloned();
        config.certificate_directory.clone_from(&self.options.certs.dir);
        config.skopeo_cmd = self.options.chosen_conf.as_ref().map(|file| {
            let mut skopeo = std::process::Command::new("skopeo");
            skopeo.arg("--registries-conf").arg(file);
            skopeo
        });
        config.insecure_skip_tls_verification = Some(!self.options.tls_verify);
        config.insecure_policy = Some(true);
        Worker::start(config).await
    }
}

async fn require_skopeo() -> Result<(), Error> {
    let output = Command::new("skopeo").arg("--version").kill_on_drop(true).output();
    let Ok(output) = tokio::time::timeout(super::STALL, output).await else {
        return Err(Error::Skopeo(format!("`skopeo --version` has not answered for {} s", super::STALL.as_secs())));
    };
    let output = output.map_err(|e| Error::Skopeo(format!("skopeo cannot be run: {e}")))?;
    check_version(&String::from_utf8_lossy(&output.stdout))
}

/// Fails where `skopeo --version` tells of a version older than [`MINIMUM_SKOPEO`].
fn check_version(text: &str) -> Result<(), Error> {
    let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let mut parts = number.unwrap_or_default().split(['.', '-']).map(|part| part.parse::<u32>().ok());
    let version = (parts.next().flatten(), parts.next().flatten());
    let (major, minor) = MINIMUM_SKOPEO;
    match version {
        (Some(a), Some(b)) if (a, b) >= MINIMUM_SKOPEO => Ok(()),
        (Some(a), Some(b)) => Err(Error::Skopeo(format!("skopeo {a}.{b} is too old, {major}.{minor} is needed"))),
        _ => Err(Error::Skopeo(format!("`skopeo --version` says `{}`, which names no version", text.trim()))),
    }
}

#[async_trait::async_trait]
impl Registry for Proxy {
    async fn manifest_bytes(&self, repository: &Repository, at: At<'_>) -> Result<Answer, Error> {
        let _permit = self.permits.acquire().await;
        let object = at.of(repository);
        let mut command = Command::new("skopeo");
        if let Some(file) = &self.options.chosen_conf {
            command.arg("--registries-conf").arg(file);
        }
        command.args(["inspect", "--raw"]);
        if self.options.auth.required {
            for file in &self.options.auth.files {
                command.arg("--authfile").arg(file);
            }
        }
        if let Some(dir) = &self.options.certs.dir {
            command.arg("--cert-dir").arg(dir);
        }
        command.arg(format!("--tls-verify={}", self.options.tls_verify)).arg(format!("docker://{object}"));
        command.arg(format!("--retry-times={}", self.options.retries));
        match inspect(command, &object).await? {
            Ok(bytes) => Ok(Answer { bytes, content_type: None }),
            Err(talk) => Err(classify(repository, object, &talk, &self.options)),
        }
    }

    /// skopeo knows no ranges: what is not wanted is passed over.
    async fn blob(&self, image: &PinnedReference, blob: &Descriptor, from: u64) -> Result<BlobStream, Error> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|e| Error::Skopeo(e.to_string()))?;
        let worker = self.worker().await?;
        let (sender, receiver) = mpsc::channel(2);
        let job =
            Job { image: image.clone(), digest: blob.digest.clone(), size: blob.size, options: self.options.clone() };
        let object = format!("{}@{}", image.repository, blob.digest);
        let task = tokio::spawn(serve_blob(worker, self.workers.clone(), job, sender, permit));
        let mut unwanted = from;
        let rest = stream(receiver, task.abort_handle(), object, self.options.stall).map_ok(move |mut chunk| {
            let skipped = usize::try_from(unwanted).unwrap_or(usize::MAX).min(chunk.len());
            unwanted -= skipped as u64;
            chunk.split_off(skipped)
        });
        Ok(rest.boxed())
    }

    /// Which mirror skopeo was answered by is not known, so the name is the image's own.
    async fn lookaside(&self, image: &PinnedReference) -> Result<Vec<Vec<u8>>, Error> {
        self.lookaside.read(image).await
    }
}

/// What a task sends; a task that sends nothing for `stall` is ended, and with it its skopeo.
fn stream(
    receiver: mpsc::Receiver<Result<Bytes, Error>>,
    task: AbortHandle,
    object: String,
    stall: Duration,
) -> BlobStream {
    let next = move |(mut receiver, task, object): (mpsc::Receiver<_>, AbortHandle, String)| async move {
        let item = if let Ok(item) = tokio::time::timeout(stall, receiver.recv()).await {
            item?
        } else {
            task.abort();
            receiver.close();
            let detail = format!("skopeo has sent nothing for {} s", stall.as_secs_f32());
            Err(Error::Interrupted { object: object.clone(), detail })
        };
        Some((item, (receiver, task, object)))
    };
    futures_util::stream::unfold((receiver, task, object), next).boxed()
}

/// Runs `skopeo inspect --raw`: the bytes of a manifest, or what skopeo says instead.
async fn inspect(mut command: Command, object: &str) -> Result<Result<Vec<u8>, String>, Error> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let failed = |e: std::io::Error| Error::Skopeo(format!("running skopeo: {e}"));
    let mut child = command.spawn().map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let answer = async { tokio::join!(read_some(stdout, MAX_MANIFEST_SIZE + 1), read_some(stderr, 64 * 1024)) };
    let Ok((bytes, talk)) = tokio::time::timeout(INSPECT_TIMEOUT, answer).await else {
        let detail = format!("skopeo has not answered for {} s", INSPECT_TIMEOUT.as_secs());
        return Err(Error::Interrupted { object: object.to_owned(), detail });
    };
    let (bytes, talk) = (bytes.map_err(failed)?, talk.map_err(failed)?);
    if bytes.len() as u64 > MAX_MANIFEST_SIZE {
        return Err(Error::TooLarge { object: object.to_owned(), limit: MAX_MANIFEST_SIZE });
    }
    let success = child.wait().await.map_err(failed)?.success();
    Ok(if success { Ok(bytes) } else { Err(String::from_utf8_lossy(&talk).into_owned()) })
}

/// An image in the containers-storage of this machine, by skopeo's name for it.
///
/// Tried with skopeo 1.9.3: `inspect --raw` gives the manifest as it was stored, with the digests of
/// compressed layers. By such a digest the image proxy did not find the layer ("file does not exist");
/// by the config's digest (`diff_ids`) it sends exactly those bytes. `GetBlob` must be told a size, which nobody knows for an uncompressed layer; it sends all bytes
/// and complains at the end. `GetRawBlob`, which needs none, came with skopeo 1.19. A copy to
/// `dir:` or `oci-archive:` works too, but needs as much disk as the whole image.
#[derive(Debug, Clone)]
pub struct StoredImage {
    name: String,
}

impl StoredImage {
    /// An image by what follows `containers-storage:`, once skopeo is found to be new enough.
    pub async fn new(name: &str) -> Result<Self, Error> {
        require_skopeo().await?;
        Ok(Self { name: name.to_owned() })
    }

    /// The image of the same repository at another digest: an instance of the index that this names.
    #[must_use]
    pub fn at(&self, digest: &Digest) -> Self {
        // `[driver@root]` before the name has an `@` and may have a colon of its own.
        let start = self.name.rfind(']').map_or(0, |at| at + 1);
        let (store, name) = self.name.split_at(start);
        let name = name.split('@').next().unwrap_or(name);
        let name = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        };
        Self { name: format!("{store}{name}@{digest}") }
    }

    /// The manifest or the index that the storage has under the name.
    pub async fn manifest(&self) -> Result<RawManifest, Error> {
        let object = self.to_string();
        let mut command = Command::new("skopeo");
        command.args(["inspect", "--raw", &object]);
        let bytes = inspect(command, &object).await?.map_err(|talk| self.failure(&talk))?;
        RawManifest::new(bytes, None).map_err(|source| Error::Manifest { object, source })
    }

    /// Bytes of a config, or of a layer by its uncompressed digest; unchecked. Without a size, any size will do.
    pub async fn blob(&self, digest: &Digest, size: Option<u64>) -> Result<BlobStream, Error> {
        let mut config = ImageProxyConfig::default();
        config.insecure_policy = Some(true);
        let mut worker = Worker::start(config).await?;
        let (sender, receiver) = mpsc::channel(2);
        let (image, digest) = (self.clone(), digest.clone());
        let object = format!("{image}, {digest}");
        let task = tokio::spawn(async move {
            if let Err(e) = worker.send(&image.to_string(), &digest, size, &sender).await {
                // The reader may be gone; then nobody wants the error.
                let detail = format!("skopeo says {}", message(&e.to_string()));
                let _ = sender.send(Err(Error::Answer { object: format!("{image}, {digest}"), detail })).await;
            }
        });
        Ok(stream(receiver, task.abort_handle(), object, super::STALL))
    }

    /// What skopeo's words mean; the phrases are those of containers/image's storage transport.
    fn failure(&self, talk: &str) -> Error {
        let (object, detail) = (self.to_string(), message(talk));
        let absent = ["does not resolve to an image ID", "identifier is not an image", "image not known"];
        if absent.iter().any(|phrase| detail.contains(phrase)) {
            Error::NotFound { object, detail }
        } else {
            Error::Answer { object, detail: format!("skopeo says {detail}") }
        }
    }
}

impl std::fmt::Display for StoredImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "containers-storage:{}", self.name)
    }
}

struct Job {
    image: PinnedReference,
    digest: Digest,
    size: u64,
    options: Options,
}

/// Sends a blob's bytes, then gives the worker back. A worker that failed is dropped: what its
/// skopeo still has in its pipes is unknown.
async fn serve_blob(
    mut worker: Worker,
    workers: Arc<Mutex<Vec<Worker>>>,
    job: Job,
    sender: mpsc::Sender<Result<Bytes, Error>>,
    permit: OwnedSemaphorePermit,
) {
    match worker.send(&format!("docker://{}", job.image), &job.digest, Some(job.size), &sender).await {
        Ok(()) => workers.lock().await.push(worker),
        Err(e) => {
            let object = format!("{}@{}", job.image.repository, job.digest);
            let error = classify(&job.image.repository, object, &e.to_string(), &job.options);
            // The reader may be gone; then nobody wants the error.
            let _ = sender.send(Err(error)).await;
        }
    }
    drop(permit);
}

impl Worker {
    async fn start(config: ImageProxyConfig) -> Result<Self, Error> {
        let proxy = ImageProxy::new_with_config(config).await;
        let proxy = proxy.map_err(|e| Error::Skopeo(format!("starting skopeo's image proxy: {e}")))?;
        Ok(Self { proxy, opened: HashMap::new() })
    }

    async fn send(
        &mut self,
        name: &str,
        digest: &Digest,
        size: Option<u64>,
        sender: &mpsc::Sender<Result<Bytes, Error>>,
    ) -> Result<(), containers_image_proxy::Error> {
        if !self.opened.contains_key(name) {
            let image = self.proxy.open_image(name).await?;
            self.opened.insert(name.to_owned(), image);
        }
        let image = &self.opened[name];
        let digest = digest
            .to_string()
            .parse()
            .map_err(|e| containers_image_proxy::Error::Other(format!("digest {digest}: {e}").into()))?;
        if size.is_none() && self.proxy.supports_get_raw_blob() {
            let (_, reader, driver) = self.proxy.get_raw_blob(image, &digest).await?;
            let (pumped, driven) = tokio::join!(pump(reader, sender), driver);
            pumped?;
            return driven.map_err(Into::into);
        }
        let stream = self.proxy.get_blob_stream(image, &digest, size.unwrap_or_default()).await?;
        let (reader, driver) = stream.into_parts();
        let (pumped, driven) = tokio::join!(pump(reader, sender), driver);
        let sent = pumped?;
        match driven {
            // It was told no true size, and has sent what it has.
            Err(e) if size.is_none() && e.to_string().contains(&format!("bytes in blob, got {sent}")) => Ok(()),
            driven => driven,
        }
    }
}

/// Sends what comes on, and tells how much it was.
async fn pump(
    mut reader: impl AsyncRead + Unpin,
    sender: &mpsc::Sender<Result<Bytes, Error>>,
) -> Result<u64, std::io::Error> {
    let mut sent = 0;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = (&mut reader).take(CHUNK as u64).read_to_end(&mut chunk).await?;
        if read == 0 || sender.send(Ok(chunk.into())).await.is_err() {
            // Closing the pipe early, by dropping the reader, is how skopeo learns that nobody reads on.
            return Ok(sent);
        }
        sent += read as u64;
    }
}

async fn read_some(from: Option<impl AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(limit).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// What skopeo's words mean. It has no error codes; these phrases are the registry client's own.
fn classify(repository: &Repository, object: String, talk: &str, options: &Options) -> Error {
    let detail = message(talk);
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| detail.contains(phrase));
    let credentials = options.auth.files.first().filter(|_| options.auth.required).cloned().map(Origin::File);
    if has(&["dial tcp", "pinging container registry", "connection refused", "no such host", "certificate"]) {
        Error::Unreachable { host: repository.host().to_owned(), detail }
    } else if has(&["manifest unknown", "name unknown", "blob unknown", "not found", " 404"]) {
        Error::NotFound { object, detail }
    } else if has(&["unauthorized", "authentication required", "denied", "forbidden", " 401", " 403"]) {
        Error::Denied { object, detail, credentials }
    } else {
        Error::Answer { object, detail: format!("skopeo says {detail}") }
    }
}

/// The text of skopeo's log line `time=… level=fatal msg="…"`, as one line.
fn message(talk: &str) -> String {
    let line = talk.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
    let text = line.split_once("msg=").map_or(line, |(_, message)| message);
    let text = text.trim().trim_matches('"').replace("\\\"", "\"");
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, good) in [
            ("skopeo version 1.9.3\n", true),
            ("skopeo version 1.22.0-dev commit: abc\n", true),
            ("skopeo version 2.0.0\n", true),
            ("skopeo version 1.8.0\n", false),
            ("skopeo version 0.1.40\n", false),
            ("", false),
        ] {
            assert_eq!(check_version(text).is_ok(), good, "{text}");
        }
        assert!(check_version("skopeo version 1.8.0").unwrap_err().to_string().contains("1.9"));
    }

    #[test]
    fn what_skopeo_says_is_told_apart() {
        let reference: crate::model::Reference = "127.0.0.1:7403/a/b:v1".parse().unwrap();
        let kind = |talk: &str| match classify(reference.repository(), "x".into(), talk, &Options::default()) {
            Error::Unreachable { .. } => "unreachable",
            Error::NotFound { .. } => "absent",
            Error::Denied { .. } => "denied",
            _ => "other",
        };
        for (talk, expected) in [
            (
                "Get \"http://127.0.0.1:7998/token\": dial tcp 127.0.0.1:7998: connect: connection refused",
                "unreachable",
            ),
            ("pinging container registry 127.0.0.1:7404: Get \"https://127.0.0.1:7404/v2/\": EOF", "unreachable"),
            ("reading manifest v1 in 127.0.0.1:7403/a/b: manifest unknown", "absent"),
            ("reading manifest v1 in 127.0.0.1:7403/a/b: unauthorized: authentication required", "denied"),
            ("unable to retrieve auth token: invalid username/password: unauthorized", "denied"),
            ("reading manifest v1 in 127.0.0.1:7403/a/b: received unexpected HTTP status: 500", "other"),
        ] {
            assert_eq!(kind(talk), expected, "{talk}");
        }
    }

    #[test]
    fn an_instance_is_asked_for_in_its_repository() {
        let digest = Digest::of(b"");
        for (name, repository) in [
            ("quay.io/a/b:v1", "quay.io/a/b"),
            ("localhost:5000/a", "localhost:5000/a"),
            ("[overlay@/x+/y:a=b]quay.io/a@sha256:00", "[overlay@/x+/y:a=b]quay.io/a"),
        ] {
            let image = StoredImage { name: name.to_owned() }.at(&digest);
            assert_eq!(image.to_string(), format!("containers-storage:{repository}@{digest}"));
        }
    }

    #[test]
    fn the_message_of_a_log_line() {
        let line = r#"time="2026-01-01T00:00:00Z" level=fatal msg="reading \"x\": manifest unknown""#;
        assert_eq!(message(line), r#"reading "x": manifest unknown"#);
    }
}
