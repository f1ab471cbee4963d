//! Images, wherever they are: finds the one for a platform, and makes a tree of its layers.
//!
//! A [`Source`] hands over bytes. What checks them lives here and in [`layers`](super::layers), once.

use super::error::foreign;
use super::layers::{Layer, Layers};
use super::{Error, Wanted};
use crate::model::manifest::config_platform;
use crate::model::{Descriptor, Digest, Platform, Progress, Tree};
use crate::registry::{self, BlobStream};
use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How often progress is told of.
const TICK: Duration = Duration::from_millis(100);

/// The files of an image, as far as they were wanted.
#[derive(Debug)]
pub struct ImageRoot {
    /// They.
    pub tree: Tree,
    /// Of the image's manifest; of its config where the source keeps no manifest.
    pub digest: Digest,
    /// Which the image is for.
    pub platform: Platform,
    /// What the image's config says of it, for example `containers.bootc`.
    pub labels: BTreeMap<String, String>,
}

/// The image that was found.
pub struct Found {
    digest: Digest,
    config: Vec<u8>,
    layers: Vec<Layer>,
}

/// The bytes of a layer.
pub enum Opened {
    /// From a file.
    File(Box<dyn Read + Send>),
    /// From a registry.
    Stream(BlobStream),
}

/// Where an image is.
#[async_trait::async_trait]
pub trait Source: Send + Sync {
    /// The image for a platform; manifest and config are checked by their digests.
    async fn find(&self, platform: &Platform) -> Result<Found, Error>;

    /// The bytes of a layer, unchecked. They may be asked for more than once.
    async fn open(&self, image: &Found, number: usize) -> Result<Opened, Error>;
}

/// What matters of a config (image-spec, config.md).
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    config: Option<Settings>,
    rootfs: Rootfs,
}

#[derive(Deserialize, Default)]
struct Settings {
    #[serde(default, rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Rootfs {
    diff_ids: Option<Vec<Digest>>,
}

impl Found {
    /// An image with these layers, lowest first; `None` where no manifest names them.
    pub(super) fn new(digest: Digest, config: Vec<u8>, layers: Option<Vec<Descriptor>>) -> Result<Self, Error> {
        let diff_ids = parse_config(&config)?.rootfs.diff_ids.unwrap_or_default();
        let count = layers.as_ref().map_or(diff_ids.len(), Vec::len);
        if count != diff_ids.len() {
            let detail = format!("its manifest has {count} layers, its config {}", diff_ids.len());
            return Err(Error::damaged(format!("image {digest}"), detail));
        }
        let mut descriptors = layers.unwrap_or_default().into_iter();
        let layer = |diff_id| Layer { descriptor: descriptors.next(), diff_id: Some(diff_id) };
        Ok(Self { digest, config, layers: diff_ids.into_iter().map(layer).collect() })
    }

    /// Its layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Of its manifest, or of its config.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub(super) fn layer(&self, number: usize) -> Result<Layer, Error> {
        self.layers.get(number).cloned().ok_or_else(|| Error::Malformed(format!("there is no layer {number}")))
    }
}

fn parse_config(config: &[u8]) -> Result<Config, Error> {
    let cannot = |e| Error::Malformed(format!("the image's config {} cannot be read: {e}", Digest::of(config)));
    serde_json::from_slice(config).map_err(cannot)
}

/// Reads an image: the one for `platform` where there are several.
pub async fn read(
    source: &dyn Source,
    wanted: &Wanted,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<ImageRoot, Error> {
    let found = source.find(platform).await?;
    let malformed = |e| Error::Malformed(format!("the image's config cannot be read: {e}"));
    let own = config_platform(&found.config).map_err(malformed)?;
    if let Some(own) = own.as_ref().filter(|own| !platform.runs(own)) {
        let own = foreign(&own.to_string());
        return Err(Error::NoImage {
            message: format!("the image is for {own}, not for {platform}"),
            hint: format!("if that is what is meant: `--platform {own}`"),
        });
    }
    let mut layers = Layers::new(wanted, found.layers.len());
    loop {
        let todo = layers.todo()?;
        if todo.is_empty() {
            break;
        }
        let announced = todo.iter().filter_map(|number| found.layers.get(*number)?.descriptor.as_ref());
        // Sizes are somebody's word until the bytes are there.
        let total = announced.fold(0, |sum: u64, descriptor| sum.saturating_add(descriptor.size));
        progress.start("Reading the image", total, true);
        let done = read_layers(source, &found, layers, &todo, progress).await;
        progress.finish();
        layers = done?;
    }
    let labels = parse_config(&found.config)?.config.unwrap_or_default().labels.unwrap_or_default();
    let platform = own.unwrap_or_else(|| platform.clone());
    Ok(ImageRoot { tree: layers.tree()?, digest: found.digest, platform, labels })
}

async fn read_layers(
    source: &dyn Source,
    found: &Found,
    mut layers: Layers,
    numbers: &[usize],
    progress: &dyn Progress,
) -> Result<Layers, Error> {
    for number in numbers {
        let layer = found.layer(*number)?;
        let opened = source.open(found, *number).await?;
        layers = read_layer(layers, *number, layer, opened, progress).await?;
    }
    Ok(layers)
}

/// Reads a layer on a thread that may wait, and feeds it from here where its bytes come by network.
async fn read_layer(
    mut layers: Layers,
    number: usize,
    layer: Layer,
    opened: Opened,
    progress: &dyn Progress,
) -> Result<Layers, Error> {
    let (mut stream, reader): (Option<(BlobStream, mpsc::Sender<_>)>, Box<dyn Read + Send>) = match opened {
        Opened::File(file) => (None, file),
        Opened::Stream(stream) => {
            let (sender, receiver) = mpsc::channel(4);
            (Some((stream, sender)), Box::new(Received { receiver, chunk: Bytes::new() }))
        }
    };
    let count = Arc::new(AtomicU64::new(0));
    let counted = Counted { from: reader, count: count.clone() };
    let mut reading = tokio::task::spawn_blocking(move || {
        let result = layers.read(number, &layer, counted);
        (layers, result)
    });
    let feed = async {
        if let Some((stream, sender)) = &mut stream {
            while let Some(chunk) = stream.next().await {
                // Who reads has stopped; why is its result.
                if sender.send(chunk).await.is_err() {
                    break;
                }
            }
        }
        // The reader learns of the end.
        stream = None;
        std::future::pending::<Infallible>().await
    };
    let tick = async {
        loop {
            tokio::time::sleep(TICK).await;
            progress.advance(count.swap(0, Ordering::Relaxed));
        }
        #[allow(unreachable_code, reason = "tells the type of what never ends")]
        std::future::pending::<Infallible>().await
    };
    let read = tokio::select! {
        read = &mut reading => read,
        never = feed => match never {},
        never = tick => match never {},
    };
    progress.advance(count.swap(0, Ordering::Relaxed));
    let broken = |e| Error::Source { object: "the image".to_owned(), source: io::Error::other(e) };
    let (layers, result) = read.map_err(broken)?;
    result.map(|()| layers)
}

/// A reader over the chunks of a stream.
struct Received {
    receiver: mpsc::Receiver<Result<Bytes, registry::Error>>,
    chunk: Bytes,
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.chunk = chunk.map_err(io::Error::other)?,
            }
        }
        let count = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Counts what passes.
struct Counted<R> {
    from: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
