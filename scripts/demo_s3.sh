#!/usr/bin/env bash
# Starts MinIO and EchoSphere's demo on it: recordings are kept in a bucket, and pages play them from MinIO's own address. Both listen on this
# machine alone; Ctrl-C stops both. MINIO_PORT and ECHOSPHERE_LISTEN are other ports.
set -euo pipefail
cd "$(dirname "$0")/.."
port=${MINIO_PORT:-9000}
folder=.demo/s3
mkdir -p "$folder"
minio=$(ls .tools/minio-v* 2>/dev/null | head -1)
[ -n "$minio" ] || { echo "MinIO is missing: scripts/install.sh s3" >&2; exit 1; }

secret="$folder/secret"
[ -s "$secret" ] || (umask 077 && head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$secret")
MINIO_ROOT_USER=echosphere MINIO_ROOT_PASSWORD=$(cat "$secret") MINIO_BROWSER=off MINIO_UPDATE=off \
    "$minio" server --quiet --address "127.0.0.1:$port" "$folder/minio" >"$folder/minio.log" 2>&1 &
minio_process=$!
trap 'kill "$minio_process" 2>/dev/null; wait "$minio_process" 2>/dev/null || true' EXIT

for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    kill -0 "$minio_process" 2>/dev/null || { cat "$folder/minio.log" >&2; exit 1; }
    sleep 0.1
done
echo "MinIO listens at http://127.0.0.1:$port; its log is $folder/minio.log"

# Stored segments are AAC: with `always` all of them are there to be played from the bucket.
ECHOSPHERE_DATA_DIR="$folder/data" ECHOSPHERE_STORAGE_URL=s3://echosphere-recordings \
    ECHOSPHERE_STORAGE_ENDPOINT="http://127.0.0.1:$port" ECHOSPHERE_STORAGE_ACCESS_KEY=echosphere \
    ECHOSPHERE_STORAGE_SECRET_KEY=$(cat "$secret") ECHOSPHERE_RENDERING_WHEN=always \
    target/release/echosphere demo --no-auth "$@"
