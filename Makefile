# What contributors and CI run. `make test` sets up what it needs.
.PHONY: test setup check docs deny

# All tests, end to end ones too, with the real docker-registry, skopeo, podman, buildah and rpmbuild.
test: setup
	cargo test --locked --all-targets
	cargo test --locked --doc

# Installs the packages that the tests need, on Debian or Fedora.
setup:
	tests/setup.sh

# Format, lints, documentation. Generated documents are checked by a test.
check:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# Writes man pages, completions, JSON schemas and the outputs of examples/ anew.
docs:
	BOOTC_EMBED_UPDATE=1 cargo test --locked --test it generated::

# Advisories, licences, bans; needs cargo-deny and the network.
deny:
	cargo deny --locked check
