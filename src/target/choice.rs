//! Which instance of an index is read for a platform.

use super::Error;
use super::error::foreign;
use crate::model::manifest::IndexEntry;
use crate::model::{Manifest, Platform, RawManifest, choice};

/// The entry that is read of an index: the first that a device may choose.
pub(super) fn choose(index: &RawManifest, platform: &Platform) -> Result<IndexEntry, Error> {
    let malformed = |detail: String| Error::Malformed(format!("index {} {detail}", index.digest()));
    let entries = match index.parse() {
        Ok(Manifest::Index(entries)) => entries,
        Ok(Manifest::Image { .. }) => return Err(malformed("is no index".to_owned())),
        Err(e) => return Err(malformed(format!("cannot be read: {e}"))),
    };
    if let Some(first) = choice::choose(platform, &index.descriptor().media_type, &entries).first() {
        return Ok(entries[*first].clone());
    }
    let real = entries.iter().filter(|entry| !entry.is_attachment());
    let names: Vec<String> = real.filter_map(|entry| Some(foreign(&entry.platform.as_ref()?.to_string()))).collect();
    let hint = if names.is_empty() {
        "none of its entries names a platform".to_owned()
    } else {
        format!("name one that it has with `--platform`: {}", names.join(", "))
    };
    Err(Error::NoImage { message: format!("index {} has no image for {platform}", index.digest()), hint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::{DOCKER_LIST, OCI_INDEX, OCI_MANIFEST};

    fn index(kind: &str, platforms: &[&str]) -> RawManifest {
        let entry = |(number, platform): (usize, &&str)| {
            let platform = match platform.split_once('/') {
                Some((os, architecture)) => format!(r#","platform":{{"os":"{os}","architecture":"{architecture}"}}"#),
                None => String::new(),
            };
            format!(r#"{{"mediaType":"{OCI_MANIFEST}","size":1,"digest":"sha256:{number:064}"{platform}}}"#)
        };
        let entries: Vec<String> = platforms.iter().enumerate().map(entry).collect();
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[{}]}}"#, entries.join(","));
        RawManifest::new(text.into_bytes(), None).unwrap()
    }

    #[test]
    fn the_first_that_a_device_may_choose_is_read() {
        for (kind, platforms, chosen) in [
            (OCI_INDEX, &["linux/arm64", "linux/amd64", "linux/amd64"][..], Some(1)),
            (DOCKER_LIST, &["linux/amd64"], Some(0)),
            (OCI_INDEX, &["linux/arm64", "", ""], Some(1)),
            (DOCKER_LIST, &["linux/arm64", ""], None),
            (OCI_INDEX, &["linux/arm64", "unknown/unknown"], None),
            (OCI_INDEX, &[], None),
        ] {
            let index = index(kind, platforms);
            match (choose(&index, &Platform::new("linux", "amd64")), chosen) {
                (Ok(entry), Some(number)) => assert_eq!(entry.descriptor.digest.hex(), format!("{number:064}")),
                (Err(Error::NoImage { hint, .. }), None) => assert!(!hint.contains("unknown"), "{hint}"),
                (result, _) => panic!("{platforms:?}: {result:?}"),
            }
        }
    }
}
