#!/usr/bin/env bash
# Installs what the build needs and is not there: a C compiler (SQLite is built from source),
# protoc (the wire is made from .proto files), etcd (tests start one), rsync (a test runs the guide's commands),
# strace (tests watch what is opened and written) and, for the demo, Python's pip. Says what it does; does nothing
# the second time.
set -euo pipefail

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v protoc >/dev/null || missing+=(protobuf-compiler libprotobuf-dev)
command -v etcd >/dev/null || missing+=(etcd-server)
command -v rsync >/dev/null || missing+=(rsync)
command -v strace >/dev/null || missing+=(strace)
command -v python3 >/dev/null || missing+=(python3)
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)

if ! command -v cargo >/dev/null; then
    echo "shardex is written in Rust: install it first (https://rustup.rs), then run this again" >&2
    exit 1
fi
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
echo "installing by apt: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"
