//! An OpenShift release, read from where it is: a registry, an OCI layout, a folder as `skopeo copy … dir:` makes it.

use crate::discover::{Input, Kind};
use crate::model::manifest::{IndexEntry, MAX_MANIFEST_SIZE, config_platform};
use crate::model::{Digest, Failure, Manifest, PinnedReference, Platform, RawManifest, Reference};
use crate::prune::{Compression, Payload, ReleaseImage, release_entries};
use crate::push::Content;
use crate::registry::{At, Registry};
use crate::store::Pool;
use crate::target::LayoutName;
use crate::target::layout::Layout;
use anyhow::{Context as _, Result};
use cap_std_ext::cap_std::{ambient_authority, fs::Dir};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The most bytes of a release image's last layer, compressed; real ones have a few MiB.
const MAX_LAYER: u64 = 64 * 1024 * 1024;
/// What stands for the repository of a release that is in no registry.
const NOWHERE: &str = "localhost/release";

/// Where a release is.
pub struct Place {
    /// As the user named it.
    pub name: String,
    /// Its repository, and what it is there.
    pub image: PinnedReference,
    /// Who has it.
    pub source: Arc<dyn Registry>,
}

/// A release: what it is, and its image for each platform that was chosen.
pub struct Release {
    /// Its index, or its only manifest.
    pub top: RawManifest,
    /// The images, in the order of the index.
    pub images: Vec<ReleaseImage>,
}

/// Finds a release; `registry` is asked where it is in none of the other forms.
pub async fn find(from: &str, registry: &Arc<dyn Registry>) -> Result<Place> {
    let reading = || format!("reading the release `{from}`");
    if let Some(name) = from.strip_prefix("oci:") {
        return layout(from, name).with_context(reading);
    }
    if let Some(path) = from.strip_prefix("dir:") {
        return folder(from, Path::new(path)).with_context(reading);
    }
    let text = from.strip_prefix("docker://").unwrap_or(from);
    let reference: Reference = text.parse().with_context(reading)?;
    let (repository, source) = (reference.repository(), registry.clone());
    let digest = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.clone(),
        (None, tag) => {
            let at = At::Tag(tag.unwrap_or("latest"));
            source.manifest(repository, at).await.with_context(reading)?.digest().clone()
        }
    };
    Ok(Place { name: repository.at(&digest).to_string(), image: repository.at(&digest), source })
}

/// `oci:DIR[:REF]`.
fn layout(from: &str, name: &str) -> Result<Place> {
    let name = LayoutName::parse(name);
    let digest = Layout::folder(&name)?.digest()?;
    let dir = Dir::open_ambient_dir(&name.path, ambient_authority())?;
    let content = Content { pool: Pool::existing(&dir, Path::new("blobs"))?, ..Content::default() };
    local(from, &digest, content)
}

/// `dir:DIR`.
fn folder(from: &str, path: &Path) -> Result<Place> {
    let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(|e| {
        Failure::usage(format!("`{}` cannot be opened", path.display())).because(e).hint("name a folder after `dir:`")
    })?;
    let read = |name: &Path| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(dir.open(name)?, MAX_MANIFEST_SIZE + 1), &mut bytes)?;
        Ok(bytes)
    };
    let top = read(Path::new("manifest.json")).map_err(|e| {
        Failure::usage("there is no `manifest.json` in it")
            .because(e)
            .hint("a folder made by `skopeo copy --all … dir:DIR`")
    })?;
    let digest = Digest::of(&top);
    let mut known = HashMap::from([(digest.clone(), top)]);
    for entry in dir.entries()? {
        let name = entry?.file_name();
        if name.to_str().is_some_and(|name| name.ends_with(".manifest.json")) {
            let bytes = read(Path::new(&name))?;
            known.insert(Digest::of(&bytes), bytes);
        }
    }
    let content = Content { known, pool: Some(Pool::flat(dir)?), ..Content::default() };
    local(from, &digest, content)
}

fn local(from: &str, digest: &Digest, content: Content) -> Result<Place> {
    let reference: Reference = NOWHERE.parse()?;
    let image = reference.repository().at(digest);
    Ok(Place { name: format!("{from}@{digest}"), image, source: Arc::new(content) })
}

/// Reads a release for these platforms.
pub async fn read(place: &Place, platforms: &[Platform]) -> Result<Release> {
    let top = top(place).await?;
    let entries =
        if top.is_index() { release_entries(&top, platforms).with_context(|| reading(place))? } else { vec![] };
    let mut images = Vec::new();
    for (platform, entry) in entries {
        images.push(image(place, &entry.descriptor.digest, Some(platform)).await?);
    }
    if !top.is_index() {
        let only = image(place, top.digest(), None).await?;
        if !platforms.iter().all(|wanted| wanted.runs(&only.platform)) {
            let text =
                format!("the release `{}` is a single image, for {} and nothing else", place.name, only.platform);
            return Err(Failure::usage(text).hint(format!("`--platform {}` alone chooses it", only.platform)).into());
        }
        images.push(only);
    }
    Ok(Release { top, images })
}

fn reading(place: &Place) -> String {
    format!("reading the release `{}`", place.name)
}

async fn top(place: &Place) -> Result<RawManifest> {
    let Place { image, source, .. } = place;
    source.manifest(&image.repository, At::Digest(&image.digest)).await.with_context(|| reading(place))
}

/// The image of a release for one platform; of a release that is no index, the platform is that of its config.
async fn image(place: &Place, digest: &Digest, platform: Option<Platform>) -> Result<ReleaseImage> {
    let for_platform = platform.as_ref().map(|platform| format!(" for {platform}")).unwrap_or_default();
    let read = read_image(place.source.as_ref(), &place.image.repository.at(digest), platform).await;
    read.with_context(|| reading(place) + &for_platform)
}

async fn read_image(
    source: &dyn Registry,
    image: &PinnedReference,
    platform: Option<Platform>,
) -> Result<ReleaseImage> {
    let manifest = source.manifest(&image.repository, At::Digest(&image.digest)).await?;
    let Manifest::Image { config, layers } = manifest.parse()? else {
        return Err(Failure::usage(format!("{} is an index where an image should be", manifest.digest())).into());
    };
    let no_release = |what: String| Failure::usage(what).hint("name a release image of OpenShift");
    let last = layers.last().ok_or_else(|| no_release("the image has no layers: it is no release".to_owned()))?;
    let compression = Compression::of(&last.media_type)
        .ok_or_else(|| no_release(format!("its last layer is of type `{}`: it is no release", last.media_type)))?;
    if last.size > MAX_LAYER {
        let (digest, size) = (&last.digest, last.size);
        return Err(no_release(format!(
            "its last layer {digest} has {size} bytes: no release has more than {MAX_LAYER}"
        ))
        .into());
    }
    let config = source.small_blob(image, &config).await?;
    let platform = match platform {
        Some(platform) => platform,
        None => config_platform(&config)?
            .ok_or_else(|| no_release("its config names no architecture: it is no release".to_owned()))?,
    };
    let bytes = source.whole_blob(image, last, MAX_LAYER).await?;
    let payload = tokio::task::spawn_blocking(move || Payload::read(bytes.as_slice(), compression)).await??;
    Ok(ReleaseImage { platform, manifest, config, payload })
}

/// Reads the image-references of releases among the inputs (`release:REFERENCE`), from their images for the first of these
/// platforms, or where there is none, from the first there is: all of them name the same.
pub async fn read_inputs(
    inputs: &[Input],
    platforms: &[Platform],
    connect: impl AsyncFnOnce() -> Result<Arc<dyn Registry>>,
) -> Result<Vec<Input>> {
    let mut inputs = inputs.to_vec();
    let is_release = |input: &&mut Input| input.kind == Some(Kind::Release);
    if !inputs.iter_mut().any(|input| is_release(&input)) {
        return Ok(inputs);
    }
    let registry = connect().await?;
    for input in inputs.iter_mut().filter(is_release) {
        let place = find(&input.value, &registry).await?;
        let top = top(&place).await?;
        let image = match (top.parse()?, platforms.first()) {
            (Manifest::Image { .. }, _) => image(&place, top.digest(), None).await?,
            (Manifest::Index(entries), wanted) => {
                let mut images = entries.iter().filter(|entry| !entry.is_attachment());
                let fits = |entry: &IndexEntry| {
                    entry.platform.as_ref().is_some_and(|offered| wanted.is_some_and(|wanted| wanted.runs(offered)))
                };
                let chosen = images.clone().find(|entry| fits(entry)).or_else(|| images.next());
                let chosen = chosen.ok_or_else(|| Failure::usage(format!("the release `{}` is empty", place.name)))?;
                image(&place, &chosen.descriptor.digest, chosen.platform.clone()).await?
            }
        };
        input.bytes = Some(image.payload.image_references()?.to_vec());
    }
    Ok(inputs)
}
