#!/usr/bin/env bash
# Proves deploy/: builds its images, starts the cluster, ingests by the command that `up` prints, and compares the
# cluster's dump with that of an embedded archive over the same tree, while one container of each kind is killed,
# crashes, or is stopped. Fails at the first thing that differs. Needs Docker with Compose, and Rust for the tree.
#   scripts/cluster-test.sh [FOLDER]      FOLDER: DICOM files that are copied into the tree, besides generated ones
#   FILES=10000 PART=2000                 generated files at the beginning, and more before each failure
#   STEPS="crash worker2;add_worker"      only these steps
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/cluster-test/lib.sh

if ! docker info >/dev/null 2>&1; then
    echo "SKIPPED: cluster-test needs Docker, and none answers here. NOTHING WAS TESTED." >&2
    exit 0
fi

trap leave EXIT
remove_all
make_tree "${1:-}"
. scripts/cluster-test/images.sh
. scripts/cluster-test/failures.sh
. scripts/cluster-test/operations.sh

say "make cluster-up, as a newcomer does"
up_answer="$(cluster_up | tee /dev/stderr)"
check_images
ingest_command="$(grep -m1 -o 'scripts/cluster.sh shardex job submit.*' <<<"$up_answer")"
say "\$ $ingest_command"
within 900 bash -c "$ingest_command"
compare "the first ingest"
check_question "$up_answer"

steps=(
    "kill_and_start etcd1" "with_leader kill_and_start" "kill_and_start worker1" "kill_and_start router0"
    "crash worker2" "with_leader crash"
    "stop_and_start worker0" "with_leader stop_and_start" "stop_and_start router1" "stop_and_start etcd2"
    "replace_member etcd1" restore_snapshot add_worker stop_all_and_up
)
if [ -n "${STEPS:-}" ]; then IFS=';' read -ra steps <<<"$STEPS"; fi
for step in "${steps[@]}"; do
    $step
done

say "make cluster-down leaves nothing, and up again works"
within 300 make --no-print-directory cluster-down
check_nothing_left
unset COMPOSE_FILE
cluster_up >/dev/null
within 900 bash -c "$ingest_command"
compare "a cluster made anew"
within 300 make --no-print-directory cluster-down
check_nothing_left
say "all as it should be: $checks comparisons, $SECONDS s"
