# shellcheck shell=bash
# What the images and the running containers are.

check_images() {
    local image user size service id answer
    for image in shardex shardex-etcd; do
        user="$(docker image inspect -f '{{.Config.User}}' "$image")"
        [[ -n "$user" && ! "$user" =~ ^(root|0)(:|$) ]] || fail "$image runs as root"
        size="$(docker image inspect -f '{{.Size}}' "$image")"
        say "$image: $((size / 1000000)) MB, user $user"
        [ "$size" -lt 200000000 ] || fail "$image is not small"
    done
    for service in etcd0 etcd1 etcd2 coordinator0 coordinator1 worker0 worker1 worker2 router0 router1; do
        id="$(container "$service")"
        is_healthy "$service" || fail "$service is not healthy after up"
        [ "$(docker exec "$id" id -u)" -ne 0 ] || fail "$service runs as root"
        [ "$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}}' "$id")" = true ] || fail "$service can write its image"
    done
    # The token is in none of them; what surely is there shows that this would be found.
    docker save shardex shardex-etcd >"$place/images.tar"
    grep -aqF SHARDEX_ARCHIVE "$place/images.tar" || fail "the images cannot be searched"
    if grep -aqF "$(cut -d ' ' -f 2 deploy/secrets/token)" "$place/images.tar"; then fail "an image holds the token"; fi
    rm "$place/images.tar"
    # A probe that cannot fail proves nothing.
    if inside router0 health http://127.0.0.1:7999 2>/dev/null; then fail "nobody is healthy"; fi
    docker exec "$(container worker0)" sh -c 'echo "x 0123456789abcdef0123456789abcdef" >/tmp/wrong'
    answer="$(inside worker0 workers list --token-file /tmp/wrong 2>&1)" && fail "a wrong token was taken"
    grep -q "not one that this server knows" <<<"$answer" || fail "a wrong token: $answer"
}

# The command for a shardex outside, as `up` prints it, with the port that Docker publishes.
check_question() {
    local url
    url="$(grep -m1 -o 'http://127.0.0.1:[0-9]*' <<<"$1")"
    [ "$url" = "http://127.0.0.1:$SHARDEX_PORT_0" ] || fail "up names $url"
    docker run --rm --network host -v "$PWD/deploy/secrets/token:/token:ro" shardex \
        sql "SELECT count(*) AS n FROM instances" --router "$url" --token-file /token --format csv >"$place/count"
    [ "$(sed -n 2p "$place/count")" -ge "$files" ] || fail "too few instances: $(cat "$place/count")"
}
