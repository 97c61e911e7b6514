# shellcheck shell=bash
# What scripts/cluster-test.sh works with: a tree, an embedded archive over it, and the comparison.

# A cluster of its own beside one that may run here.
export COMPOSE_PROJECT_NAME=shardex-test SHARDEX_PORT_0=17400 SHARDEX_PORT_1=17401
place="$PWD/target/cluster-test"
tree="$place/tree"
export SHARDEX_DATA="$tree"
files="${FILES:-10000}"
part="${PART:-2000}"
checks=0
parts=0

say() { printf '\n== %s\n' "$*"; }

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# Runs a command that is not a function and must end: `within SECONDS COMMAND…`.
within() {
    local seconds="$1" code=0
    shift
    timeout "$seconds" "$@" </dev/null || code=$?
    [ "$code" -ne 124 ] || fail "not done in $seconds s: $*"
    return "$code"
}

cluster() { within 600 scripts/cluster.sh "$@"; }
# Builds images if they are not there.
cluster_up() { within 5400 make --no-print-directory cluster-up; }
# As `compose ps` tells it, at a tenth of the time.
container() {
    docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False
}
# Cheaper than a container of its own; `coordinator1` or what is given must be up.
inside() { within 60 docker exec "$(container "$1")" shardex "${@:2}"; }

# Waits for a command to succeed: `wait_for SECONDS WHAT COMMAND…`.
wait_for() {
    local seconds="$1" what="$2" until=$((SECONDS + $1))
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || fail "waited $seconds s until $what"
        sleep 0.3
    done
}

is_healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(container "$1")")" = healthy ]; }

generate() {
    if [ -n "${GENERATOR:-}" ]; then
        "$GENERATOR" "$@" >/dev/null
        return
    fi
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}" \
        cargo run --quiet --release --locked --manifest-path bench/Cargo.toml -p shardex-bench-generator -- "$@" >/dev/null
}

make_tree() {
    say "a tree of $files generated files${1:+ and those of $1}"
    rm -rf "$place"
    mkdir -p "$tree"
    generate "$tree/base" --files "$files"
    if [ -n "$1" ]; then cp -r "$1" "$tree/given"; fi
    # What every real tree has: files that are none, or cannot be read.
    mkdir "$tree/odd"
    : >"$tree/odd/empty.dcm"
    echo "not DICOM" >"$tree/odd/notes.txt"
    head -c 300 "$(find "$tree/base" -type f -print -quit)" >"$tree/odd/truncated.dcm"
    cp "$tree/odd/notes.txt" "$tree/odd/closed.dcm"
    chmod -R a+rX "$tree"
    chmod 000 "$tree/odd/closed.dcm"
}

# More files, so that a job has something to do. They appear at once.
grow() {
    parts=$((parts + 1))
    generate "$place/part" --files "$part" --seed $((100 + parts))
    chmod -R a+rX "$place/part"
    mv "$place/part" "$tree/part$parts"
}

embedded() {
    within 900 docker run --rm -v "$tree:/data:ro" -v shardex-test-embedded:/var/lib/shardex shardex \
        "$@" --archive /var/lib/shardex/archive
}

dump_cluster() { cluster shardex dump --router "${ROUTER:-http://router0:7400}" >"$place/cluster.jsonl"; }

# The cluster's dump is that of an embedded archive. It answers at once, or within `patience` seconds.
compare() {
    local digests
    embedded ingest data=/data >"$place/embedded.log" 2>&1 ||
        fail "the embedded ingest: $(tail -n 3 "$place/embedded.log")"
    embedded dump >"$place/embedded.jsonl"
    wait_for "${patience:-0}" "the cluster gives a dump after $1" dump_cluster
    cmp "$place/embedded.jsonl" "$place/cluster.jsonl" >&2 || fail "after $1 the dumps differ: $place/*.jsonl"
    digests="$(sha256sum <"$place/cluster.jsonl" | cut -c 1-16)"
    checks=$((checks + 1))
    say "equal after $1: $(wc -l <"$place/cluster.jsonl") lines, sha256 $digests…"
}

check_nothing_left() {
    local left filter="label=com.docker.compose.project=$COMPOSE_PROJECT_NAME"
    left="$(docker ps -aq --filter "$filter")$(docker volume ls -q --filter "$filter")$(docker network ls -q --filter "$filter")"
    [ -z "$left" ] || fail "down left: $left"
}

remove_all() {
    timeout 300 scripts/cluster.sh down >/dev/null 2>&1 || true
    docker volume rm shardex-test-embedded >/dev/null 2>&1 || true
}

leave() {
    local code=$?
    if [ "$code" -ne 0 ]; then
        timeout 60 scripts/cluster.sh compose ps >&2 || true
        timeout 60 scripts/cluster.sh compose logs --tail 400 >"$place/logs" 2>&1 || true
        echo "FAILED (exit code $code): logs are in $place/logs" >&2
    fi
    remove_all
}
