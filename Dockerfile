# syntax=docker/dockerfile:1
FROM rust:1-slim-bookworm AS build
# librdkafka and its OpenSSL are built from their crates, by make, perl, and a C compiler; librdkafka's configure
# also asks for a C++ compiler.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ make perl \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches stay with the builder. Line tables are for developers: without them the binary is a fifth of the size.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --bin tautline \
 && strip --strip-debug -o /usr/local/bin/tautline target/dist/tautline

FROM debian:bookworm-slim
# Certificates for Slack's address, time zones for calendars.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates tzdata \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 tautline \
 && useradd --uid 10001 --gid tautline --no-create-home --home-dir /data tautline \
 && install -d -o tautline -g tautline /data
COPY --from=build /usr/local/bin/tautline /usr/local/bin/tautline

# Settings and catalogue are mounted at /etc/tautline, for reading only. What tautline writes is in /data, and inside a
# container only an address that others can reach is of use. Both win over the settings file.
ENV TAUTLINE__STATE__SQLITE=/data/tautline.db \
    TAUTLINE__SERVE__LISTEN=0.0.0.0:9464
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 9464
# Alive, not ready: a broker that is away is no reason to start tautline anew.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9464 && printf 'GET /-/healthy HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["tautline"]
CMD ["run", "--config", "/etc/tautline/tautline.yaml"]
