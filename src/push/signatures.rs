//! What belongs to manifests, beside them: signature tags with their very bytes, referrers, and where the
//! registry keeps no list of those, the tag at which clients look for one (OCI distribution-spec, "Referrers
//! Tag Schema").

use super::report::{Difference, Kind};
use super::send::Sender;
use super::work::Image;
use crate::model::manifest::OCI_INDEX;
use crate::model::plan::Signed;
use crate::model::{Digest, RawManifest};
use crate::registry::At;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// The tag of what signs a manifest.
pub fn signature_tag(digest: &Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}

/// The tag of the list of a manifest's referrers.
pub fn referrers_tag(digest: &Digest) -> String {
    format!("sha256-{}", digest.hex())
}

/// Sends what belongs to images.
pub struct Belongings<'a> {
    /// The push.
    pub sender: &'a Sender,
}

impl Belongings<'_> {
    /// Sends what belongs to one image.
    pub async fn send(&self, image: &Image) -> Result<()> {
        for signed in &image.signatures {
            self.signature(image, signed).await?;
            self.referrers(image, signed).await?;
        }
        Ok(())
    }

    async fn signature(&self, image: &Image, signed: &Signed) -> Result<()> {
        let Some(attached) = &signed.tag else { return Ok(()) };
        let (tag, push) = (signature_tag(&signed.digest), &self.sender.push);
        let name = || format!("pushing the signature `{}:{tag}`", image.to);
        let there = push.destination.read(&image.to, At::Tag(&tag)).await.with_context(name)?;
        match there.map(|served| Digest::of(&served.bytes)) {
            Some(digest) if digest == attached.manifest.digest => return Ok(()),
            Some(digest) if !push.overwrite_signatures => {
                let message = format!("it is {digest}, the set has {}", attached.manifest.digest);
                let object = format!("{}:{tag}", image.to);
                self.sender.differs(Difference::new(object, Kind::OtherSignature, message));
                return Ok(());
            }
            _ => {}
        }
        let raw = self.sender.raw(&attached.manifest.digest)?;
        push.destination.put(&image.to, At::Tag(&tag), raw).await.with_context(name)?;
        self.sender.count(|sent| sent.signatures += 1);
        Ok(())
    }

    async fn referrers(&self, image: &Image, signed: &Signed) -> Result<()> {
        if signed.referrers.is_empty() {
            return Ok(());
        }
        let push = &self.sender.push;
        for referrer in &signed.referrers {
            if !self.sender.is_there(&image.to, &referrer.manifest).await? {
                self.sender.put(&image.to, At::Digest(&referrer.manifest.digest), &referrer.manifest).await?;
            }
        }
        let name = || format!("listing what refers to `{}`", image.to.at(&signed.digest));
        if push.destination.referrers(&image.to, &signed.digest).await.with_context(name)?.is_some() {
            // The registry lists them by itself.
            return Ok(());
        }
        let tag = referrers_tag(&signed.digest);
        let there = push.destination.read(&image.to, At::Tag(&tag)).await.with_context(name)?;
        let there = match there {
            None => None,
            Some(served) => {
                let Some(list) = referrers_list(&served.bytes) else {
                    let message = "it is no list of referrers, and stands where clients look for one".to_owned();
                    let object = format!("{}:{tag}", image.to);
                    self.sender.differs(Difference::new(object, Kind::OtherSignature, message));
                    return Ok(());
                };
                Some(list)
            }
        };
        let Some(list) = self.list(signed, there)? else { return Ok(()) };
        push.destination.put(&image.to, At::Tag(&tag), &list).await.with_context(name)?;
        self.sender.count(|sent| sent.signatures += 1);
        Ok(())
    }

    /// The list of referrers as it should be, where it is not: the one of the source if nothing is there and
    /// it names nothing else, otherwise one of those that are there and of those of the set.
    fn list(&self, signed: &Signed, there: Option<Value>) -> Result<Option<RawManifest>> {
        let ours: Vec<&Digest> = signed.referrers.iter().map(|referrer| &referrer.manifest.digest).collect();
        let digest = |entry: &Value| entry["digest"].as_str().unwrap_or_default().to_owned();
        let is_ours = |entry: &Value| ours.iter().any(|own| own.to_string() == digest(entry));
        if let (None, Some(tag)) = (&there, &signed.referrers_tag) {
            let original = self.sender.raw(&tag.digest)?;
            if referrers_list(original.bytes()).is_some_and(|list| entries(&list).iter().all(is_ours)) {
                return Ok(Some(original.clone()));
            }
        }
        let mut list = there.unwrap_or_else(|| json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] }));
        let mut entries = entries(&list);
        let known: Vec<String> = entries.iter().map(digest).collect();
        let before = entries.len();
        for referrer in &signed.referrers {
            let manifest = &referrer.manifest;
            if known.contains(&manifest.digest.to_string()) {
                continue;
            }
            let bytes: Value = serde_json::from_slice(self.sender.raw(&manifest.digest)?.bytes()).unwrap_or_default();
            let mut entry = json!({
                "mediaType": manifest.media_type,
                "digest": manifest.digest.to_string(),
                "size": manifest.size,
                "artifactType": referrer.artifact_type,
            });
            if let Some(annotations) = bytes.get("annotations").filter(|annotations| annotations.is_object()) {
                entry["annotations"] = annotations.clone();
            }
            entries.push(entry);
        }
        if entries.len() == before {
            return Ok(None);
        }
        list["manifests"] = entries.into();
        Ok(Some(RawManifest::new(list.to_string().into_bytes(), Some(OCI_INDEX))?))
    }
}

/// A list of referrers; `None` where it is anything else, an image index among it, whose entries have platforms.
fn referrers_list(bytes: &[u8]) -> Option<Value> {
    let list: Value = serde_json::from_slice(bytes).ok()?;
    let is_list = list["manifests"].is_array() && list.get("mediaType").is_none_or(|found| found == OCI_INDEX);
    (is_list && entries(&list).iter().all(|entry| entry.get("platform").is_none())).then_some(list)
}

fn entries(list: &Value) -> Vec<Value> {
    list["manifests"].as_array().cloned().unwrap_or_default()
}
