#!/usr/bin/env bash
# Makes the images that deploy/Dockerfile and deploy/etcd.Dockerfile begin with, for a machine that reaches Debian's
# packages but no registry of images: the one of Debian by debootstrap, the one of Rust from it with this machine's own
# toolchain and the certificates that it trusts. What is there stays as it is. Needs root, debootstrap (Debian's package
# of that name), Rust and Docker.
set -euo pipefail
cd "$(dirname "$0")/.."

debian="$(sed -n 's/^FROM \(debian:.*\)$/\1/p' deploy/etcd.Dockerfile)"
rust="$(sed -n 's/^FROM \(rust:[^ ]*\).*$/\1/p' deploy/Dockerfile | head -n 1)"
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT

has() { docker image inspect "$1" >/dev/null 2>&1; }

make_debian() {
    local root="$place/root"
    debootstrap --variant=minbase bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >&2
    # What the published image leaves out, too.
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*.log \
        "$root"/usr/share/{doc,man,info,locale}/*
    # debootstrap takes this machine's name servers and name along.
    : >"$root/etc/resolv.conf"
    : >"$root/etc/hostname"
    tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - "$debian"
    rm -rf "$root"
}

make_rust() {
    local sysroot wanted
    sysroot="$(rustc --print sysroot)"
    wanted="${rust#rust:}"
    if ! [[ "$(rustc --version)" == "rustc ${wanted%-*}."* ]]; then
        echo "$rust is to be made, and this machine has $(rustc --version)" >&2
        exit 1
    fi
    mkdir "$place/context"
    # A machine that reaches crates.io by a proxy trusts that proxy's certificate; the build must, too.
    cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$place/context/certificates.crt"
    cat >"$place/context/Dockerfile" <<TEXT
FROM $debian
RUN apt-get update \\
    && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev make \\
    && rm -rf /var/lib/apt/lists/*
COPY certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY rust /usr/local/rust
ENV PATH=/usr/local/rust/bin:\$PATH CARGO_HOME=/usr/local/cargo
TEXT
    # Documentation stays here.
    tar -C "$place/context" -c Dockerfile certificates.crt --transform 's,^\./,rust/,' -C "$sysroot" ./bin ./lib | docker build -t "$rust" -
}

has "$debian" || make_debian
has "$rust" || make_rust
