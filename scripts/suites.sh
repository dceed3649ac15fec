#!/usr/bin/env bash
# Runs every suite of `make test`, goes on after a failure, and closes with each one's time.
set -uo pipefail
cd "$(dirname "$0")/.."
names=() seconds=() results=()

suite() {
    local name=$1 start=$SECONDS
    shift
    printf '\n==== %s\n' "$name"
    if "$@"; then results+=(passed); else results+=(FAILED); fi
    names+=("$name")
    seconds+=($((SECONDS - start)))
}

suite format cargo fmt --all --check
suite lint cargo clippy --workspace --all-targets --quiet -- -D warnings
suite no-encoder cargo check --quiet --package echosphere-media --no-default-features
# This builds the program too. `cargo build` would build all dependencies once more, with other features.
suite rust cargo test --workspace --no-fail-fast --quiet
suite types npm run --silent --prefix web check
suite web npm test --silent --prefix web
suite e2e npm run --silent --prefix web e2e

printf '\n%-10s %8s  %s\n' suite seconds result
failed=0
for i in "${!names[@]}"; do
    printf '%-12s %8d  %s\n' "${names[$i]}" "${seconds[$i]}" "${results[$i]}"
    [ "${results[$i]}" = passed ] || failed=$((failed + 1))
done
printf '%d passed, %d failed\n' $((${#names[@]} - failed)) "$failed"
[ "$failed" -eq 0 ]
