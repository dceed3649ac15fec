#!/usr/bin/env bash
# Runs every suite of `make test`, goes on after a failure, and closes with each one's time. With `all` (`make test-all`) every test that does
# not need a directory runs over MinIO too, not only those of deletion, redaction and uploads.
#
# The end-to-end suites are the last ones, and alone: people who speak in a room cannot wait for a compiler.
set -uo pipefail
cd "$(dirname "$0")/.."
rust_on_minio=(promises uploads)
e2e_on_minio=(redaction.test.mjs deletion.test.mjs)
if [ "${1-}" = all ]; then rust_on_minio=() e2e_on_minio=(); fi
results=$(mktemp)
trap 'rm -f "$results"' EXIT

# suite NAME COMMAND ...: runs a suite and notes its result.
suite() {
    local name=$1 start=$SECONDS result=FAILED
    shift
    printf '\n==== %s\n' "$name"
    if "$@"; then result=passed; fi
    printf '%-14s %8d  %s\n' "$name" $((SECONDS - start)) "$result" >>"$results"
}

suite format cargo fmt --all --check
# This builds the program too. `cargo build` would build all dependencies once more, with other features.
suite build cargo test --workspace --no-run --quiet
suite lint cargo clippy --workspace --all-targets --quiet -- -D warnings
suite no-encoder cargo check --quiet --workspace --no-default-features
suite rust cargo test --workspace --no-fail-fast --quiet
suite rust-on-minio scripts/rust_on_minio.sh "${rust_on_minio[@]}"
suite types npm run --silent --prefix web check
suite web npm test --silent --prefix web
suite e2e npm run --silent --prefix web e2e
suite e2e-on-minio node web/e2e/on-minio.mjs "${e2e_on_minio[@]}"

printf '\n%-14s %8s  %s\n' suite seconds result
cat "$results"
failed=$(grep -c FAILED "$results")
printf '%d passed, %d failed, %d s\n' "$(grep -c passed "$results")" "$failed" "$SECONDS"
[ "$failed" -eq 0 ]
