//! References: what this program takes for one, `oci-spec` takes for the same one; and the other way round.

#![no_main]

use bootc_embed::model::Reference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let ours = text.parse::<Reference>();
    let theirs = oci_spec::distribution::Reference::try_from(text);
    if let Ok(ours) = &ours {
        let theirs = theirs.as_ref().unwrap_or_else(|e| panic!("`{text}`: {e}"));
        assert_eq!(ours.repository().host(), theirs.registry());
        assert_eq!(ours.repository().path(), theirs.repository());
        assert_eq!(ours.tag(), theirs.tag());
        assert_eq!(ours.digest().map(ToString::to_string).as_deref(), theirs.digest());
    }
    // Short names are nobody's, and no host has an underscore or a part that ends with a dash; other digests
    // than sha256, and tags that are no ASCII, nobody has.
    let is_host = |first: &str| {
        let parts = first.split(['.', ':']);
        (first.contains(['.', ':']) || first == "localhost")
            && parts.into_iter().all(|part| !part.contains('_') && !part.starts_with('-') && !part.ends_with('-'))
    };
    let named = text.split_once('/').is_some_and(|(first, _)| is_host(first));
    let plain = text.is_ascii() && !text.contains("@sha384:") && !text.contains("@sha512:");
    let lower = !text.split_once('@').is_some_and(|(_, digest)| digest.contains(|c: char| c.is_ascii_uppercase()));
    // Whether the registry counts for the longest name, versions of the grammar differ.
    if theirs.is_ok() && named && plain && lower && text.len() <= 255 {
        assert!(ours.is_ok(), "`{text}`: {ours:?}");
    }
});
