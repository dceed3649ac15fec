# The two commands are `make demo` and `make test`; CI runs the second one and nothing else.
.PHONY: help demo demo-live demo-s3 check test test-all soak bench true-times licenses fuzz clean

help: ## Show this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

# `make demo FEATURES=--no-default-features` builds without the AAC encoder: sooner, and recordings are played as Opus only.
FEATURES =

demo: ## Install, build, start EchoSphere with four recorded sessions and print where their replays are
	@scripts/install.sh build
	cargo build --release --package echosphere-server $(FEATURES)
	target/release/echosphere demo --no-auth

demo-live: ## Install, build, start LiveKit and EchoSphere, and record a call while it goes on
	@scripts/install.sh live
	cargo build --release --package echosphere-server $(FEATURES)
	.tools/venv/bin/python scripts/demo_live.py

demo-s3: ## Install, build, start MinIO and EchoSphere on a bucket of it, and print where the replays are
	@scripts/install.sh s3
	cargo build --release --package echosphere-server $(FEATURES)
	scripts/demo_s3.sh

test: ## Install what the tests need and run all of them, those of deletion, redaction and uploads over MinIO too
	@scripts/install.sh test
	@scripts/suites.sh

test-all: ## The same, with every test over MinIO too that does not need a directory
	@scripts/install.sh test
	@scripts/suites.sh all

check: ## Before a commit: format, clippy, types, and the tests that need no other program
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo test --workspace --lib --quiet
	cargo test --package echosphere-server --test house --quiet
	npm run --silent --prefix web check
	npm test --silent --prefix web

soak: ## Long runs: twenty rooms for ten minutes, an hour of hostile clients, a thousand kills, a hundred while it deletes and a hundred while it writes to a bucket; 500 uploads to an S3 server that fails
	@scripts/install.sh test
	cargo bench --package echosphere-server --bench rooms -- 20 --seconds 600 --live --soak
	cargo bench --package echosphere-server --bench busy_hour
	ECHOSPHERE_TEST_KILLS=1000 cargo test --release --package echosphere-server --test faults -- --nocapture hundred_kills
	ECHOSPHERE_TEST_S3_KILLS=100 cargo test --release --package echosphere-server --test s3 -- --nocapture kills
	ECHOSPHERE_TEST_UPLOADS=500 cargo test --release --package echosphere-server --test s3 -- --nocapture every_third
	ECHOSPHERE_TEST_DELETION_KILLS=100 cargo test --release --package echosphere-server --test promises -- --nocapture killed

bench: ## Run the benchmarks and print their figures (docs/benchmarks.md)
	@scripts/install.sh test
	cargo bench --package echosphere-storage --bench presign
	cargo bench --package echosphere-media --bench render
	cargo bench --package echosphere-recorder --bench take
	cargo bench --package echosphere-server --bench server
	cargo bench --package echosphere-server --bench listening
	cargo bench --package echosphere-server --bench hostile
	cargo bench --package echosphere-server --bench s3
	cargo bench --package echosphere-server --bench rooms

true-times: ## Print how far lines are shown from where they are heard: sources, qualities of sound, live calls
	@scripts/install.sh test
	cargo bench --package echosphere-server --bench true_times -- uploads
	cargo bench --package echosphere-server --bench true_times -- live

licenses: ## Check the licences and sources of every dependency, and that each is used (installs cargo-deny and cargo-shear)
	cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny@0.20.2
	cargo shear --version >/dev/null 2>&1 || cargo install --locked cargo-shear@1.11.2
	cargo deny check licenses bans sources
	cargo shear

fuzz: ## Fuzz each parser of outside data for a minute (needs cargo-fuzz and a nightly toolchain)
	for target in ogg multipart header chat_history capture_log playlist ts manifest; do (cd fuzz && cargo +nightly fuzz run $$target -- -max_total_time=60) || exit 1; done

clean: ## Remove what was built and the demo's data
	rm -rf target .demo
