# shellcheck shell=bash
# One container of each kind is lost while a job runs.

leader_now() {
    local member value
    for member in etcd0 etcd1 etcd2; do
        value="$(docker exec "$(container "$member")" etcdctl get --print-value-only /shardex/default/leader 2>/dev/null)" ||
            continue
        leader="$(sed -nE 's|^http://(.*):7500$|\1|p' <<<"$value")"
        if [ -n "$leader" ]; then return; fi
    done
    return 1
}

# Does something to the coordinator that leads: `with_leader COMMAND`.
with_leader() {
    wait_for 60 "a coordinator leads" leader_now
    "$1" "$leader"
}

# Whom to ask about jobs: not what is about to go.
other_than() { if [ "$1" = coordinator0 ]; then echo coordinator1; else echo coordinator0; fi; }

job_field() { inside "$asked" job show "$job" --json 2>/dev/null | python3 -c "import json, sys; print($1)" 2>/dev/null; }
state() { job_field 'json.load(sys.stdin)["state"]'; }
opened() { job_field '(json.load(sys.stdin)["totals"] or {}).get("opened") or 0'; }
# A tenth of what is new was read.
has_begun() { [ "$(opened || echo 0)" -gt $((part / 10)) ]; }

has_ended() { [[ "$(state)" =~ ^(complete|incomplete|held|cancelled)$ ]]; }

# Orders a job over a tree that has grown, and comes back while it reads.
submit_and_wait_for_progress() {
    asked="$(other_than "$1")"
    grow
    # Three workers open what is new in a quarter of a minute at the earliest, so that the failure falls into the job.
    job="$(inside "$asked" job submit data --files-per-second $((part / 45)) --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["job"])')"
    wait_for 60 "job $job reads files" has_begun
    [ "$(state)" = running ] || fail "job $job is $(state) before $1 is lost: say PART=$((part * 2))"
}

finish_job() {
    wait_for 300 "job $job ends" has_ended
    [ "$(state)" = complete ] || fail "job $job is $(state) after $1"
    compare "$1"
}

# Docker takes its `kill` for an operator's wish and does not start the container again; `up` does.
kill_and_start() {
    local service="$1" id
    say "docker kill of $service in a job"
    id="$(container "$service")"
    submit_and_wait_for_progress "$service"
    docker kill "$id" >/dev/null
    say "killed at $(opened || echo '?') opened files of job $job"
    case "$service" in
    # Two members of three, the other coordinator, the other router do without it.
    etcd* | coordinator*) finish_job "docker kill of $service, while it is down" ;;
    router*) ROUTER=http://router1:7400 finish_job "docker kill of $service, while it is down" ;;
    esac
    sleep 5
    [ "$(docker inspect -f '{{.State.Running}}' "$id")" = false ] || fail "$service came back by itself: deploy/README.md is wrong"
    cluster compose up -d --no-deps "$service" 2>/dev/null
    wait_for 60 "$service is healthy" is_healthy "$service"
    finish_job "docker kill of $service, when it is back"
}

# A process that ends by itself is started again by Docker.
crash() {
    local service="$1" id before
    say "a crash of $service in a job"
    id="$(container "$service")"
    before="$(docker inspect -f '{{.RestartCount}}' "$id")"
    submit_and_wait_for_progress "$service"
    docker run --rm --pid host --user 0 --entrypoint sh shardex -c "kill -9 $(docker inspect -f '{{.State.Pid}}' "$id")"
    has_restarted() { [ "$(docker inspect -f '{{.RestartCount}}' "$id")" -gt "$before" ]; }
    wait_for 60 "$service was started again" has_restarted
    wait_for 60 "$service is healthy" is_healthy "$service"
    finish_job "a crash of $service"
}

stop_and_start() {
    local service="$1" id began seconds code
    say "docker stop of $service in a job"
    id="$(container "$service")"
    submit_and_wait_for_progress "$service"
    began=$SECONDS
    docker stop -t 40 "$id" >/dev/null
    seconds=$((SECONDS - began))
    code="$(docker inspect -f '{{.State.ExitCode}}' "$id")"
    say "$service ended in $seconds s with exit code $code"
    [ "$code" = 0 ] || fail "$service: exit code $code after docker stop"
    [ "$seconds" -lt 40 ] || fail "$service took $seconds s to stop"
    docker start "$id" >/dev/null
    wait_for 60 "$service is healthy" is_healthy "$service"
    finish_job "docker stop of $service"
}
