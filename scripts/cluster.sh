#!/usr/bin/env bash
# The cluster of deploy/compose.yaml; deploy/README.md says more.
#   SHARDEX_DATA=/data/dicom scripts/cluster.sh up     start it, or go on, or take a new version (SHARDEX_BUILD=no: with
#                                                      the images that are there)
#   scripts/cluster.sh shardex job submit data         run a command of shardex inside
#   scripts/cluster.sh compose logs -f worker0         any command of Compose
#   scripts/cluster.sh replace-etcd etcd1              put an empty member in the place of a lost one
#   scripts/cluster.sh snapshot-etcd FILE              save the coordinators' state
#   scripts/cluster.sh restore-etcd FILE               put it back, if all members are lost
#   scripts/cluster.sh stop                            end its processes, keep its volumes
#   scripts/cluster.sh down                            end it and remove its volumes: index and state
set -euo pipefail
called_from="$PWD"
cd "$(dirname "$0")/../deploy"

export COMPOSE_PROJECT_NAME="${COMPOSE_PROJECT_NAME:-shardex}"
# What the last `up` was told, so that whatever makes a container anew later makes the same.
settings="secrets/$COMPOSE_PROJECT_NAME.sh"
# shellcheck disable=SC1090
if [ -f "$settings" ]; then . "./$settings"; fi
# All containers of the cluster, as one word a service.
services="etcd0 etcd1 etcd2 coordinator0 coordinator1 worker0 worker1 worker2 router0 router1"
healthy_within_seconds=120

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose "$@"
    elif command -v docker-compose >/dev/null; then
        docker-compose "$@"
    else
        echo "Docker's Compose is missing: docker-compose-plugin, or Debian's docker-compose" >&2
        exit 1
    fi
}

remember_settings() {
    install -d -m 0700 secrets
    local name
    for name in SHARDEX_DATA SHARDEX_GROUP SHARDEX_PORT_0 SHARDEX_PORT_1; do
        if [ -v "$name" ]; then printf '[ -v %s ] || export %s=%q\n' "$name" "$name" "${!name}"; fi
    done >"$settings"
}

make_token() {
    if [ -s secrets/token ]; then return; fi
    echo "making a token: deploy/secrets/token"
    # The folder is closed to others of this machine; the containers' user must be able to read the file.
    echo "cluster $(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" >secrets/token
    chmod 0644 secrets/token
}

health_of() {
    docker inspect -f '{{if .State.Running}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' \
        "$(compose ps -aq "$1")" 2>/dev/null || echo missing
}

wait_until_healthy() {
    local service health until=$((SECONDS + healthy_within_seconds))
    echo "waiting at most $healthy_within_seconds s until healthy: $*" >&2
    for service in "$@"; do
        while health="$(health_of "$service")" && [ "$health" != healthy ]; do
            if [ "$SECONDS" -gt "$until" ]; then
                echo "$service is $health: scripts/cluster.sh compose logs $service" >&2
                exit 1
            fi
            sleep 1
        done
    done
}

up() {
    if [ -z "${SHARDEX_DATA:-}" ]; then
        echo "say which folder of DICOM files: SHARDEX_DATA=/data/dicom" >&2
        exit 2
    fi
    if ! [[ "$SHARDEX_DATA" == /* && -d "$SHARDEX_DATA" ]]; then
        echo "SHARDEX_DATA=$SHARDEX_DATA: not a folder with an absolute path" >&2
        exit 2
    fi
    remember_settings
    make_token
    # One service for each image.
    if [ "${SHARDEX_BUILD:-yes}" = yes ]; then compose build etcd0 coordinator0; fi
    compose up -d --no-build
    # shellcheck disable=SC2086 # One word a service.
    wait_until_healthy $services
    cat <<TEXT

The cluster is up. Ingest, then ask:
  scripts/cluster.sh shardex job submit data --watch
  scripts/cluster.sh shardex sql "SELECT Modality, count(*) FROM instances GROUP BY Modality"
or, with a shardex of your own on this machine:
  shardex sql "SELECT count(*) FROM instances" \\
    --router http://127.0.0.1:${SHARDEX_PORT_0:-7400} --token-file deploy/secrets/token
TEXT
}

# Runs a command in a container of its own, whichever of the others are down.
shardex() {
    local terminal=()
    if ! [ -t 0 ] || ! [ -t 1 ]; then terminal=(-T); fi
    compose run --rm "${terminal[@]}" operator "$@"
}

# The member's volume is lost or unusable: a majority of the others must be up.
replace_etcd() {
    local member="$1" asked id
    case "$member" in
    etcd0) asked=etcd1 ;;
    etcd1 | etcd2) asked=etcd0 ;;
    *)
        echo "usage: $0 replace-etcd etcd0|etcd1|etcd2" >&2
        exit 2
        ;;
    esac
    etcdctl() { compose exec -T "$asked" etcdctl "$@"; }
    id="$(etcdctl member list | awk -F ', ' -v name="$member" '$4 == "http://" name ":2380" { print $1 }')"
    if [ -n "$id" ]; then etcdctl member remove "$id"; fi
    compose rm -sf "$member"
    docker volume rm "${COMPOSE_PROJECT_NAME}_$member"
    etcdctl member add "$member" --peer-urls="http://$member:2380"
    ETCD_STATE=existing compose up -d --no-deps "$member"
    wait_until_healthy "$member"
}

snapshot_etcd() {
    # shellcheck disable=SC2016 # The member expands it.
    compose exec -T etcd0 sh -c 'f=/var/lib/etcd/snapshot; etcdctl snapshot save $f >&2 && cat $f && rm $f' >"$1.new"
    mv "$1.new" "$1"
}

# State from a backup is older than what the workers have seen: coordinators lead only once that is said.
restore_etcd() {
    local file="$1" member
    compose stop coordinator0 coordinator1 etcd0 etcd1 etcd2
    for member in etcd0 etcd1 etcd2; do
        compose run --rm -T --no-deps -v "$file:/snapshot:ro" --entrypoint sh "$member" -c "
            rm -rf /var/lib/etcd/data && etcdctl snapshot restore /snapshot --data-dir /var/lib/etcd/data \
                --name $member --initial-advertise-peer-urls http://$member:2380 --initial-cluster \
                etcd0=http://etcd0:2380,etcd1=http://etcd1:2380,etcd2=http://etcd2:2380"
    done
    compose up -d --no-deps etcd0 etcd1 etcd2
    wait_until_healthy etcd0 etcd1 etcd2
    shardex coordinator --listen 127.0.0.1:0 --recover-state --etcd http://etcd0:2379,http://etcd1:2379,http://etcd2:2379
    compose up -d --no-deps coordinator0 coordinator1
    wait_until_healthy coordinator0 coordinator1
}

command="${1:-}"
shift || true
case "$command" in
snapshot-etcd | restore-etcd)
    # The caller's folder is not this one.
    case "${1:-}" in
    /*) file="$1" ;;
    ?*) file="$called_from/$1" ;;
    *)
        echo "usage: $0 $command FILE" >&2
        exit 2
        ;;
    esac
    ;;
esac
case "$command" in
up) up ;;
stop) compose stop ;;
down)
    # It must go even if it was never told which folder.
    SHARDEX_DATA="${SHARDEX_DATA:-.}" compose down --volumes --remove-orphans
    rm -f "$settings"
    ;;
shardex) shardex "$@" ;;
compose) compose "$@" ;;
replace-etcd) replace_etcd "${1:-}" ;;
snapshot-etcd) snapshot_etcd "$file" ;;
restore-etcd) restore_etcd "$file" ;;
*)
    echo "usage: $0 up|stop|down | shardex|compose ARGUMENT… | replace-etcd MEMBER | snapshot-etcd|restore-etcd FILE" >&2
    exit 2
    ;;
esac
