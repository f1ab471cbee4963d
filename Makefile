# What contributors and CI run. `make test` sets up what it needs.
.PHONY: test setup check docs bench deny fuzz soak

# Everything is built with every feature, once: what is behind none is built then too. That it builds without them, the
# fuzz targets and the quickstart show.

# All tests, end to end ones too, with the real docker-registry, skopeo, podman, buildah and rpmbuild.
test: setup
	cargo test --locked --all-features --all-targets
	cargo test --locked --all-features --doc

# Installs the packages that the tests need, on Debian or Fedora, and gets a skopeo to compare verdicts with.
setup:
	tests/setup.sh

# Format, lints, documentation, and that the fuzz targets still build. Generated documents are checked by a test.
check:
	cargo fmt --check
	cargo clippy --locked --all-features --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --all-features --no-deps
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo check --locked --manifest-path fuzz/Cargo.toml --target-dir target

# Writes man pages, completions, JSON schemas and the outputs of examples/ anew.
docs:
	BOOTC_EMBED_UPDATE=1 cargo test --locked --all-features --test it generated::

# How fast sets are fetched and pushed, beside other programs; writes docs/performance.md anew.
bench: setup
	cargo bench --locked --bench fetch

# Advisories, licences, bans; needs cargo-deny and the network.
deny:
	cargo deny --locked check

# Every fuzz target for FUZZ_SECONDS; a finding ends it and is left in fuzz/artifacts. Without a
# sanitizer: sanitizers need a nightly toolchain, and would look for what code without `unsafe` does
# not do. What is looked for are panics, endless loops and too much memory.
FUZZ_SECONDS ?= 60
fuzz:
	command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	set -e; for target in $$(cargo fuzz list); do \
		mkdir -p fuzz/corpus/$$target fuzz/corpus-seed/$$target; \
		cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/corpus-seed/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10; \
	done

# A thousand runs are killed, and for BOOTC_EMBED_SOAK_MINUTES a registry fails by chance; `make test` has a short
# form of both. The seed is printed; BOOTC_EMBED_SEED repeats a run.
soak: setup
	BOOTC_EMBED_SOAK=1 cargo test --locked --release --test it -- --nocapture --test-threads=1 e2e::kill:: e2e::soak::
