//! Which mirrors the user names, and what they have of the signatures of a set; for `emit mirror-signatures`
//! and `emit mirror-manifests`.

use super::args::RegistryArgs;
use super::printer::Printer;
use crate::emit::mirror::{Found, Tag, tags};
use crate::model::mirror::Mirror;
use crate::model::{Digest, Failure, Plan};
use crate::registry::Registry;
use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

/// Which mirrors.
#[derive(Debug, clap::Args)]
pub struct MirrorArgs {
    /// For `mirror-signatures` and `mirror-manifests`: where images of a registry, or below the beginning of a path, are mirrored;
    /// may be given several times. Without SOURCE, all images, by their paths.
    #[arg(long, value_name = "[SOURCE=]MIRROR")]
    mirror: Vec<Mirror>,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl MirrorArgs {
    /// The mirrors.
    pub fn mirrors(&self) -> &[Mirror] {
        &self.mirror
    }

    /// Whether the user lets mirrors go unverified.
    pub fn is_insecure(&self) -> bool {
        !self.registry.verifies_tls()
    }

    /// Fails where what is emitted needs to know mirrors, and the user named none.
    pub fn require(&self, what: &str) -> Result<()> {
        if self.mirror.is_empty() {
            return Err(Failure::usage(format!("`{what}` needs to know the mirror"))
                .hint(
                    "name it with `--mirror mirror.example.com:5000` or `--mirror quay.io=mirror.example.com:5000/quay`",
                )
                .into());
        }
        Ok(())
    }
}

/// The signature tags of a plan, and what mirrors have in their place.
pub async fn look(wanted: bool, args: &MirrorArgs, plan: &Plan, printer: &Printer) -> Result<Vec<(Tag, Found)>> {
    if !wanted {
        return Ok(Vec::new());
    }
    args.require("mirror-signatures")?;
    if plan.signed_images().is_none() {
        return Err(Failure::usage("nobody looked for signatures when this lock was made")
            .hint("make it anew with `--signatures auto`: `bootc-embed plan INPUT… -o LOCK`")
            .into());
    }
    let tags = tags(plan, &args.mirror);
    if tags.is_empty() {
        printer.warn("the set has no signature tags that these mirrors should have");
        return Ok(Vec::new());
    }
    let lane = args.registry.connect(printer).await?;
    let lane = lane.as_ref();
    let asked = stream::iter(tags).map(|tag| async move {
        let found = found(&tag, lane).await;
        let found = found.with_context(|| format!("asking the mirror for `{}:{}`", tag.to, tag.name))?;
        Ok::<_, anyhow::Error>((tag, found))
    });
    let found = asked.buffered(args.registry.jobs()).try_collect();
    args.registry.deadline().keep(found).await
}

async fn found(tag: &Tag, registry: &dyn Registry) -> Result<Found> {
    let answer = registry.tag_beside(&tag.to.at(&tag.signs), &tag.name).await?;
    Ok(match answer.map(|answer| Digest::of(&answer.bytes)) {
        None => Found::Missing,
        Some(digest) if digest == tag.digest => Found::Same,
        Some(digest) => Found::Other(digest),
    })
}
