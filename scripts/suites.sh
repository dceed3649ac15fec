#!/usr/bin/env bash
# Runs every suite of `make test`, goes on after a failure, and closes with each one's time.
#
# The end-to-end suite waits for sound most of its time: what needs the processors runs beside it, and gives way to it: people in a room
# cannot wait. What a suite beside it printed is shown when it has ended.
set -uo pipefail
cd "$(dirname "$0")/.."
outputs=$(mktemp -d)
export outputs
aside=
# What runs beside is a session of its own: it does not end with this one.
trap '[ -n "$aside" ] && kill -- "-$aside" 2>/dev/null; rm -rf "$outputs"' EXIT

# suite NAME COMMAND ...: runs a suite and notes its result.
suite() {
    local name=$1 start=$SECONDS result=FAILED
    shift
    printf '\n==== %s\n' "$name"
    if "$@"; then result=passed; fi
    printf '%-12s %8d  %s\n' "$name" $((SECONDS - start)) "$result" >>"$outputs/results"
}

beside() {
    # Where sessions share the processors evenly (autogroup, sched(7)), niceness counts inside of each, and its session's against all others.
    echo 10 2>/dev/null >/proc/self/autogroup
    # Compiling gives way to the tests.
    suite lint nice cargo clippy --workspace --all-targets --quiet -- -D warnings
    suite no-encoder nice cargo check --quiet --workspace --no-default-features
    suite rust cargo test --workspace --no-fail-fast --quiet
    suite types npm run --silent --prefix web check
    suite web npm test --silent --prefix web
}

suite format cargo fmt --all --check
# This builds the program too. `cargo build` would build all dependencies once more, with other features.
suite build cargo test --workspace --no-run --quiet
export -f suite beside
setsid bash -uo pipefail -c beside >"$outputs/beside" 2>&1 &
aside=$!
suite e2e npm run --silent --prefix web e2e
wait
aside=
cat "$outputs/beside"

printf '\n%-12s %8s  %s\n' suite seconds result
cat "$outputs/results"
failed=$(grep -c FAILED "$outputs/results")
printf '%d passed, %d failed, %d s\n' "$(grep -c passed "$outputs/results")" "$failed" "$SECONDS"
[ "$failed" -eq 0 ]
