//! Which entries of an index a device may choose.

use super::manifest::{DOCKER_LIST, IndexEntry};
use super::platform::Platform;

/// The positions of the entries that a device of `wanted` may choose from an index of this media
/// type: all of the best rank, so gzip and zstd twins stay together. Where none names the platform,
/// runtimes take the first entry of an OCI index that names no platform at all. An index inside is no
/// choice: containers/image refuses to run it.
pub fn choose(wanted: &Platform, media_type: &str, entries: &[IndexEntry]) -> Vec<usize> {
    let rank = |entry: &IndexEntry| wanted.rank(entry.platform.as_ref()?).filter(|_| !entry.is_index());
    if let Some(best) = entries.iter().filter_map(rank).min() {
        let chosen = entries.iter().enumerate().filter(|(_, entry)| rank(entry) == Some(best));
        return chosen.map(|(at, _)| at).collect();
    }
    if media_type == DOCKER_LIST {
        return Vec::new();
    }
    let nameless = |entry: &IndexEntry| entry.platform.is_none() && !entry.is_index();
    entries.iter().position(nameless).into_iter().collect()
}
