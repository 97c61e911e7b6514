# shellcheck shell=bash
# What deploy/README.md tells an operator to do.

ingest() {
    grow
    cluster shardex job submit data --watch
}

replace_member() {
    say "replace $1, whose volume is lost"
    docker kill "$(container "$1")" >/dev/null
    cluster replace-etcd "$1"
    ingest
    compare "replacing $1"
    # The new member counts: another one may go now.
    docker kill "$(container etcd0)" >/dev/null
    ingest
    cluster compose up -d --no-deps etcd0 2>/dev/null
    wait_for 60 "etcd0 is healthy" is_healthy etcd0
    compare "losing etcd0 after $1 was replaced"
}

restore_snapshot() {
    say "etcd is lost; a snapshot that is older than the stores takes its place"
    cluster snapshot-etcd "$place/etcd.snapshot"
    ingest
    cluster restore-etcd "$place/etcd.snapshot"
    ingest
    compare "restoring a snapshot of etcd"
}

add_worker() {
    say "a fourth worker, as deploy/README.md adds one"
    sed -n '/^services:/,/^```/p' deploy/README.md | grep -v '^```' >"$place/worker3.yaml"
    export COMPOSE_FILE="compose.yaml:$place/worker3.yaml"
    cluster compose up -d --no-deps worker3
    wait_for 60 "worker3 is healthy" is_healthy worker3
    cluster shardex shards rebalance
    # A shard on its way is refused for two reports: on a slow machine that is longer than a query waits.
    patience=120 compare "adding a worker"
    wait_for 300 "worker3 owns shards, and none is on its way" has_settled worker3
    compare "rebalancing"
    ingest
    compare "an ingest with a fourth worker"
}

has_settled() {
    inside coordinator0 shards list --json | python3 -c '
import json, sys
shards = json.load(sys.stdin)
is_there = any(shard["owner"] == sys.argv[1] for shard in shards)
sys.exit(not (is_there and all(shard["is_served"] and not shard["moves_to"] for shard in shards)))' "$1"
}

stop_all_and_up() {
    say "stop everything, and up again: nothing is lost"
    cluster stop
    cluster_up >/dev/null
    compare "stop and up"
    ingest
    compare "an ingest after that"
}
