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

cluster() { scripts/cluster.sh "$@"; }
# As `compose ps` tells it, at a tenth of the time.
container() {
    docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False
}
# Cheaper than a container of its own; `coordinator1` or what is given must be up.
inside() { docker exec "$(container "$1")" shardex "${@:2}"; }

# Waits for a command to succeed: `wait_for SECONDS WHAT COMMAND…`.
wait_for() {
    local until=$((SECONDS + $1)) what="$2"
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || fail "waited too long until $what"
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
    docker run --rm -v "$tree:/data:ro" -v shardex-test-embedded:/var/lib/shardex shardex \
        "$@" --archive /var/lib/shardex/archive
}

# The cluster's dump is that of an embedded archive.
compare() {
    local digests
    embedded ingest data=/data >"$place/embedded.log" 2>&1 ||
        fail "the embedded ingest: $(tail -n 3 "$place/embedded.log")"
    embedded dump >"$place/embedded.jsonl"
    cluster shardex dump --router "${ROUTER:-http://router0:7400}" >"$place/cluster.jsonl" || fail "dump after $1"
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
    cluster down >/dev/null 2>&1 || true
    docker volume rm shardex-test-embedded >/dev/null 2>&1 || true
}

leave() {
    local code=$?
    if [ "$code" -ne 0 ]; then
        cluster compose ps >&2 || true
        cluster compose logs --tail 40 >"$place/logs" 2>&1 || true
        echo "FAILED (exit code $code): logs are in $place/logs" >&2
    fi
    remove_all
}
