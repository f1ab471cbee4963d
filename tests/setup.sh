#!/bin/sh
# Installs the programs that the tests run, on Debian or Fedora. Quick where all are there.
set -eu

cd "$(dirname "$0")"

missing=
for program in skopeo podman buildah docker-registry runc rpmbuild htpasswd openssl curl jq python3 chromedriver \
    gpg patchelf; do
    command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
done
[ -n "$missing" ] || exec ./oracle.sh
echo "tests/setup.sh: installing what is missing:$missing"

sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo

if command -v apt-get >/dev/null 2>&1; then
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        skopeo podman buildah docker-registry crun runc conmon containernetworking-plugins \
        rpm apache2-utils openssl curl jq ca-certificates python3 chromium chromium-driver fonts-dejavu-core \
        gpg gpg-agent patchelf
elif command -v dnf >/dev/null 2>&1; then
    $sudo dnf -y -q install \
        skopeo podman buildah docker-distribution crun runc rpm-build httpd-tools openssl curl jq dpkg apt python3 chromium chromedriver dejavu-sans-fonts \
        gnupg2 patchelf
    # Fedora calls the same program `registry`.
    command -v docker-registry >/dev/null 2>&1 || $sudo ln -s /usr/bin/registry /usr/local/bin/docker-registry
else
    echo "tests/setup.sh: neither apt-get nor dnf is here; install yourself:$missing" >&2
    exit 1
fi
exec ./oracle.sh
