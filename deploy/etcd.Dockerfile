# etcd as Debian packages it, for deploy/compose.yaml.
FROM debian:bookworm-slim
# The folder belongs to the user, so that a new volume on it does, too.
RUN apt-get update \
    && apt-get install -y --no-install-recommends etcd-server etcd-client \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && install -d -o etcd -g etcd -m 0700 /var/lib/etcd
ENV ETCDCTL_API=3
USER etcd
ENTRYPOINT ["etcd"]
