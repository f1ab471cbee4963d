//! Who fetches: this program, the floors, and other programs the way their users call them. Each is a script of
//! the shell that fills the folder `$OUT`, or, where it pushes, the registry `$DEST`. `$LISTS` has what to fetch or push,
//! `$TLS` the certificates if there are any.

/// What kind of contender it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This program.
    Own,
    /// This program once more, on what it has just filled.
    Again,
    /// As fast as the parts allow: nothing is resolved, checked or kept in order.
    Floor,
    /// Only to see what it costs.
    Aside,
    /// Another program.
    Peer,
    /// Another program once more.
    PeerAgain,
}

impl Kind {
    /// Whether it is another program.
    pub fn is_peer(self) -> bool {
        matches!(self, Kind::Peer | Kind::PeerAgain)
    }

    /// Whether it goes on with what the one before it has filled.
    pub fn is_again(self) -> bool {
        matches!(self, Kind::Again | Kind::PeerAgain)
    }
}

/// One way to fetch.
#[derive(Debug)]
pub struct Contender {
    /// As it stands in tables.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The program that it needs.
    pub program: &'static str,
    /// How many at once, for `each`.
    pub jobs: u8,
    /// Whether it is the best form of its program. Others run on set A over loopback only.
    pub best: bool,
    /// How many rounds at most: some take very long.
    pub rounds: usize,
    /// What it runs.
    pub script: &'static str,
}

impl Contender {
    /// The script with what all of them use.
    pub fn whole_script(&self) -> String {
        format!("{PRELUDE}\n{}", self.script)
    }
}

const PRELUDE: &str = r#"
set -eu
cd "$OUT"
accept='Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json'
get() { stdbuf -oL curl -fsSZ --parallel-immediate -H "$accept" "$@"; }
each() { xargs -a "$LISTS/references" -n 1 -P "$JOBS" sh -euc "$1" each; }
both() { ($1 lane1) & first=$!; ($1 lane2) & wait $!; wait $first; }
skopeo_tls=--src-tls-verify=false oras_tls=--from-plain-http own_tls=--tls-verify=false
if [ -n "$TLS" ]; then
    skopeo_tls="--src-cert-dir=$TLS" oras_tls="--from-ca-file=$TLS/ca.crt" own_tls="--cert-dir=$TLS"
    export SSL_CERT_FILE="$TLS/ca.crt"
fi
export skopeo_tls oras_tls
"#;

/// A floor.
pub const fn floor(name: &'static str, script: &'static str) -> Contender {
    Contender { name, kind: Kind::Floor, program: "curl", jobs: 1, best: true, rounds: usize::MAX, script }
}

const fn aside(name: &'static str, script: &'static str) -> Contender {
    Contender { name, kind: Kind::Aside, program: "curl", jobs: 1, best: true, rounds: 3, script }
}

/// Without signatures, for which the others do not look either.
const UNSIGNED: &str = r#"exec "$OWN" fetch --quiet "list:$LISTS/references" --platform linux/amd64 $own_tls --store "$OUT" --signatures none"#;

/// This program.
pub const fn own(name: &'static str, kind: Kind, script: &'static str) -> Contender {
    Contender { name, kind, program: "sh", jobs: 1, best: true, rounds: usize::MAX, script }
}

/// Another program.
pub const fn peer(name: &'static str, program: &'static str, jobs: u8, script: &'static str) -> Contender {
    Contender { name, kind: Kind::Peer, program, jobs, best: jobs > 1, rounds: 3, script }
}

/// This program.
pub const OWN: Contender = own("bootc-embed fetch", Kind::Own, UNSIGNED);
/// This program on what it has just filled.
pub const AGAIN: Contender = own("bootc-embed fetch, second run", Kind::Again, UNSIGNED);

/// Every blob and manifest once, hashed by two processes. The fastest of them is the floor.
pub const FLOORS: [Contender; 3] = [
    floor(
        "floor: curl, 4 connections, then openssl",
        r#"lane() { get --parallel-max 2 -K "$LISTS/$1" >/dev/null; xargs openssl dgst -sha256 -r <"$LISTS/$1.names" >"sums.$1"; }
both lane"#,
    ),
    floor(
        "floor: curl, 8 connections, then openssl",
        r#"lane() { get --parallel-max 4 -K "$LISTS/$1" >/dev/null; xargs openssl dgst -sha256 -r <"$LISTS/$1.names" >"sums.$1"; }
both lane"#,
    ),
    floor(
        "floor: curl, 8 connections, openssl meanwhile",
        r#"lane() { get --parallel-max 4 -w '%{filename_effective}\n' -K "$LISTS/$1" | xargs -n 4 openssl dgst -sha256 -r >"sums.$1"; }
both lane"#,
    ),
];

/// The floor where the network is what takes time.
pub const FAR_FLOOR: Contender =
    floor("floor: curl, 8 connections, nothing hashed", r#"get --parallel-max 8 -K "$LISTS/all" >/dev/null"#);

/// What other sums would cost, and what the registry can do at all.
pub const ASIDE: [Contender; 3] = [
    own(
        "bootc-embed fetch, looking for signatures",
        Kind::Aside,
        r#"exec "$OWN" fetch --quiet "list:$LISTS/references" --platform linux/amd64 $own_tls --store "$OUT""#,
    ),
    aside(
        "curl, 8 connections, then sha256sum",
        r#"lane() { get --parallel-max 4 -K "$LISTS/$1" >/dev/null; xargs sha256sum <"$LISTS/$1.names" >"sums.$1"; }
both lane"#,
    ),
    aside("curl, 8 connections, to /dev/null", r#"get --parallel-max 8 -K "$LISTS/nowhere" >/dev/null"#),
];

const SKOPEO_ALL: &str =
    r#"each 'skopeo --insecure-policy copy -q $skopeo_tls --all --preserve-digests "docker://$1" "dir:${1##*:}"'"#;
const SKOPEO_SPARSE: &str = r#"each 'skopeo --insecure-policy copy -q $skopeo_tls --multi-arch index-only --preserve-digests "docker://$1" "dir:${1##*:}.index"
skopeo --insecure-policy --override-os linux --override-arch amd64 copy -q $skopeo_tls --preserve-digests "docker://$1" "dir:${1##*:}"'"#;
const SKOPEO_DIR: &str = r#"each 'skopeo --insecure-policy --override-os linux --override-arch amd64 copy -q $skopeo_tls --preserve-digests "docker://$1" "dir:${1##*:}"'"#;
const SKOPEO_OCI: &str = r#"mkdir blobs
each 'skopeo --insecure-policy --override-os linux --override-arch amd64 copy -q $skopeo_tls --preserve-digests --dest-shared-blob-dir blobs "docker://$1" "oci:${1##*:}:x"'"#;
const CRANE: &str = r#"each 'crane pull --format=oci --platform linux/amd64 "$1" "${1##*:}"'"#;
const CRANE_TOGETHER: &str =
    r#"xargs -a "$LISTS/references" sh -euc 'exec crane pull --format=oci --platform linux/amd64 "$@" layout' crane"#;
const ORAS: &str =
    r#"each 'oras copy --no-tty $oras_tls --to-oci-layout --platform linux/amd64 "$1" "${1##*:}:x" >/dev/null'"#;
const ORAS_TOGETHER: &str =
    r#"each 'oras copy --no-tty $oras_tls --to-oci-layout --platform linux/amd64 "$1" "layout:${1##*:}" >/dev/null'"#;

/// Other programs: one image after the other, which is what scripts do, and eight at once, which is the best that
/// can be had of most.
pub const PEERS: [Contender; 10] = [
    Contender { rounds: 1, ..peer("skopeo copy --all, dir:", "skopeo", 1, SKOPEO_ALL) },
    Contender { best: false, ..peer("skopeo copy, index and native, dir:, 8 at once", "skopeo", 8, SKOPEO_SPARSE) },
    peer("skopeo copy, native, dir:", "skopeo", 1, SKOPEO_DIR),
    Contender { best: false, ..peer("skopeo copy, native, dir:, 8 at once", "skopeo", 8, SKOPEO_DIR) },
    peer("skopeo copy, native, oci:, shared blobs", "skopeo", 1, SKOPEO_OCI),
    peer("skopeo copy, native, oci:, shared blobs, 8 at once", "skopeo", 8, SKOPEO_OCI),
    Contender { best: true, ..peer("crane pull, native, one layout", "crane", 1, CRANE_TOGETHER) },
    peer("crane pull, native, 8 at once", "crane", 8, CRANE),
    Contender { best: true, ..peer("oras copy, native, one layout", "oras", 1, ORAS_TOGETHER) },
    peer("oras copy, native, 8 at once", "oras", 8, ORAS),
];
