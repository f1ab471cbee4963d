#!/bin/sh
# The oracle: a skopeo that verifies sigstore signatures, which tests compare our verdicts with. Where
# the machine's own is too old, as in Debian 12, the one of the next Debian is kept below `target/`, with
# its libraries and changed to load just those: it runs like any other program and sees the same files.
# `tests/it/support/oracle.rs` uses it. Quick where it is there already.
set -eu

# Also in tests/it/support/oracle.rs, which says why.
minimum=1.18
suite=trixie

# Whether a skopeo runs and is new enough.
good() {
    found=$("$1" --version 2>/dev/null | sed -n 's/^skopeo version \([0-9.]*\).*/\1/p')
    [ -n "$found" ] && printf '%s\n%s\n' "$minimum" "$found" | sort --check=quiet --version-sort
}

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/tmp"
target=$(realpath "$target/tmp")
oracle=$target/oracle
! good skopeo || exit 0
# Its paths are fixed: in a folder that was moved it does not run.
! good "$oracle/bin/skopeo" || exit 0
echo "tests/oracle.sh: skopeo is older than $minimum; fetching the one of Debian $suite"

work=$(mktemp -d "$target/oracle-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/tree" "$work/whole/bin"
: >"$work/status"
# From where this machine has its own packages; of several, the first.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
if [ -z "$mirror" ]; then
    echo "tests/oracle.sh: apt knows no mirror of Debian on this machine; install skopeo $minimum or newer yourself" >&2
    exit 1
fi
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] $mirror $suite main" >"$work/sources.list"
# With a state of its own: nothing of this machine is installed there, so all libraries come along.
apt() {
    apt-get -qq -o Dir::State="$work/state" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
        -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 -o Debug::NoLocking=true "$@"
}
apt update
apt install --yes --download-only --no-install-recommends skopeo
for package in "$work"/cache/archives/lib*.deb "$work"/cache/archives/skopeo_*.deb; do
    dpkg-deb --extract "$package" "$work/tree"
done
mv "$work"/tree/usr/lib/*-linux-gnu "$work/whole/lib"
loader=$(cd "$work/whole/lib" && echo ld-linux-*.so.*)
patchelf --set-interpreter "$oracle/lib/$loader" --force-rpath --set-rpath "$oracle/lib" \
    --output "$work/whole/bin/skopeo" "$work/tree/usr/bin/skopeo"
# Whole or not at all.
rm -rf "$oracle"
mv "$work/whole" "$oracle"
if ! good "$oracle/bin/skopeo"; then
    echo "tests/oracle.sh: the skopeo of Debian $suite does not run here:" >&2
    "$oracle/bin/skopeo" --version >&2 || true
    exit 1
fi
