# etcd as Debian packages it, for deploy/compose.yaml.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends etcd-server etcd-client \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o etcd -m 0700 /var/lib/etcd
USER etcd
ENTRYPOINT ["etcd"]
