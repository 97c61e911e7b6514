#!/usr/bin/env bash
# Runs every test, in lots beside each other, because those of a cluster wait for leases more than they compute. Tells of
# each lot once it has ended. All lots are of the whole workspace, so that none builds anew what another one runs.
set -uo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
# The longest, a lot of its own.
chaos=whatever_happens_the_end_is_that_of_one_pass
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
# What runs in the background does not hear of Ctrl-C by itself, and tests stop processes to see what comes of it.
trap 'trap "" TERM; kill -- 0; kill -CONT -- 0; exit 130' INT TERM
lots=0

# Starts a lot: its name, and what cargo tests of it.
start() {
    local name=$1 began=$SECONDS
    shift
    {
        "$cargo" test --workspace --locked "$@" >"$logs/$name" 2>&1
        code=$?
        echo "--- tests: $name"
        cat "$logs/$name"
        echo "--- tests: $name: exit code $code after $((SECONDS - began)) s"
        exit "$code"
    } &
    lots=$((lots + 1))
}

start chaos --test chaos
start integration --test '*' -- --skip "$chaos"
start units --lib --bins
start documentation --doc

failed=0
for ((; lots > 0; lots--)); do
    wait -n || failed=1
done
exit $failed
