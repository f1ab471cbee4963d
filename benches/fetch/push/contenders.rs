//! Who pushes, as `contenders` has it. `$DEST` is the registry, `$LISTS/store` a store that was fetched before.

use crate::contenders::{Contender, Kind, floor, own, peer};

const OWN: &str =
    r#"exec "$OWN" push --quiet --all-platforms "list:$LISTS/references" $own_tls --signatures none "$DEST""#;
const OWN_STORE: &str = r#"exec "$OWN" push --quiet --store "$LISTS/store" $own_tls --signatures none "$DEST""#;
const OWN_PRUNED: &str =
    r#"exec "$OWN" push --quiet --store "$LISTS/store" $own_tls --signatures none --index prune "$DEST""#;

/// From registry to registry.
pub const FROM_REGISTRY: [Contender; 2] = [
    own("bootc-embed push --all-platforms", Kind::Own, OWN),
    own("bootc-embed push --all-platforms, second run", Kind::Again, OWN),
];

/// From a store of all platforms.
pub const FROM_STORE: [Contender; 2] = [
    own("bootc-embed push --store", Kind::Own, OWN_STORE),
    own("bootc-embed push --store, second run", Kind::Again, OWN_STORE),
];

/// From a store of the native platform.
pub const PRUNED: [Contender; 2] = [
    own("bootc-embed push --store --index prune", Kind::Own, OWN_PRUNED),
    own("bootc-embed push --store --index prune, second run", Kind::Again, OWN_PRUNED),
];

/// What is known beforehand, from files: each blob is sent once (POST, PUT), taken over by the other repositories that
/// need it (POST), and then come instances and indexes.
const CURL: &str = r#"
send() { sed "s|DESTINATION|$DEST|" | curl -sSZ --parallel-immediate --parallel-max "$JOBS" -K -; }
send <"$LISTS/begin" >places
awk '{ print (NR > 1 ? "next\n" : "") "fail\nheader = \"Expect:\"\nheader = \"Content-Type: application/octet-stream\"\noutput = \"/dev/null\"\nupload-file = \"" $2 "\"\nurl = \"" $3 "&digest=" $1 "\"" }' places | send
for list in mount instances indexes; do
    [ ! -s "$LISTS/$list" ] || send <"$LISTS/$list"
done"#;

/// The fastest is the floor.
pub const FLOORS: [Contender; 2] = [
    Contender { jobs: 4, ..floor("floor: curl, 4 connections, from files", CURL) },
    Contender { jobs: 8, ..floor("floor: curl, 8 connections, from files", CURL) },
];

const COPY: &str = r#"export DEST
each 'path=${1#*/}
exec skopeo --insecure-policy copy -q $skopeo_tls --dest-tls-verify=false --all --preserve-digests "docker://$1" "docker://$DEST/${path%@*}:latest"'"#;
const SYNC: &str = r#"exec skopeo --insecure-policy sync $skopeo_tls --dest-tls-verify=false --all --preserve-digests --src yaml --dest docker "$LISTS/sync.yaml" "$DEST/bench/product""#;
/// A store's views are what stock skopeo reads.
const COPY_VIEWS: &str = r#"export DEST
tr , ' ' <"$LISTS/store/image-list.txt" | xargs -L 1 -P "$JOBS" sh -euc 'path=${1#*/}
exec skopeo --insecure-policy copy -q --dest-tls-verify=false --all --preserve-digests "dir:$LISTS/store/$2" "docker://$DEST/${path%@*}:latest"' each"#;

/// The same program once more, on what it has just filled.
const fn again(name: &'static str, one: &Contender) -> Contender {
    Contender { name, kind: Kind::PeerAgain, ..*one }
}

const COPY_ONE: Contender = peer("skopeo copy --all", "skopeo", 1, COPY);
const COPY_EIGHT: Contender = peer("skopeo copy --all, 8 at once", "skopeo", 8, COPY);
const SYNC_ALL: Contender = peer("skopeo sync --all", "skopeo", 1, SYNC);

/// Other programs, from registry to registry: one image after the other, which is what scripts and `sync` do, as
/// many at once as there are processors in small machines, and eight.
pub const PEERS: [Contender; 7] = [
    COPY_ONE,
    again("skopeo copy --all, second run", &COPY_ONE),
    peer("skopeo copy --all, 2 at once", "skopeo", 2, COPY),
    COPY_EIGHT,
    again("skopeo copy --all, 8 at once, second run", &COPY_EIGHT),
    SYNC_ALL,
    again("skopeo sync --all, second run", &SYNC_ALL),
];

/// The same from the views of a store.
pub const PEERS_OF_STORE: [Contender; 2] = [
    peer("skopeo copy --all, dir: of each view", "skopeo", 1, COPY_VIEWS),
    peer("skopeo copy --all, dir: of each view, 8 at once", "skopeo", 8, COPY_VIEWS),
];
