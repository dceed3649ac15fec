#!/usr/bin/env bash
# Runs the tests of the program over HTTP with each server on a folder of its own in a bucket of MinIO: those that are named, or all.
set -euo pipefail
cd "$(dirname "$0")/.."
tests=crates/server/tests

# What is left out, and why.
left_out() {
    case $1 in
    faults) echo "disks that are full or not mounted, kills looked at in a directory; tests/s3 does that to a bucket" ;;
    house) echo "it starts no server" ;;
    kept_data) echo "it compares answers of an earlier version, whose addresses are those of a directory" ;;
    s3) echo "it starts S3 servers of its own" ;;
    esac
}
skipped=(
    # It asks the embedded S3 endpoint, which there is with a directory only.
    links_are_for_one_recording_and_presigned_urls_for_one_object
    nothing_is_read_of_a_body_before_its_sender_is_known
)

arguments=()
if [ $# -eq 0 ]; then
    for path in "$tests"/*; do
        name=$(basename "$path" .rs)
        [ -n "$(left_out "$name")" ] || set -- "$@" "$name"
    done
fi
for name in "$@"; do arguments+=(--test "$name"); done
arguments+=(-- --exact)
for name in "${skipped[@]}"; do
    grep -rqF "fn $name()" "$tests" || { echo "there is no test $name to leave out" >&2; exit 1; }
    arguments+=(--skip "$name")
done
ECHOSPHERE_TEST_STORAGE=minio cargo test --package echosphere-server --no-fail-fast --quiet "${arguments[@]}"
