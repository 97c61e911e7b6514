#!/usr/bin/env bash
# Starts and ends the cluster of deploy/compose.yaml.
#   SHARDEX_DATA=/data/dicom scripts/cluster.sh up
#   scripts/cluster.sh down
set -euo pipefail
cd "$(dirname "$0")/../deploy"

if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi

case "${1:-}" in
up)
    export SHARDEX_DATA="${SHARDEX_DATA:?say which folder of DICOM files: SHARDEX_DATA=/data/dicom}"
    if [ ! -s secrets/token ]; then
        echo "making a token: deploy/secrets/token"
        install -d secrets
        echo "cluster $(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" >secrets/token
        # The containers' user reads it.
        chmod 0644 secrets/token
    fi
    "${compose[@]}" up -d --build
    echo
    echo "try: docker exec deploy_coordinator0_1 shardex job submit data --coordinator http://coordinator0:7500,http://coordinator1:7500"
    echo "     shardex sql 'SELECT count(*) FROM instances' --router http://127.0.0.1:7400 --token-file deploy/secrets/token"
    ;;
down)
    SHARDEX_DATA="${SHARDEX_DATA:-.}" "${compose[@]}" down --volumes
    ;;
*)
    echo "usage: $0 up|down" >&2
    exit 2
    ;;
esac
