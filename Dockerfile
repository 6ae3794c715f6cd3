# syntax=docker/dockerfile:1
# Builds the one binary and puts it on a bare Debian. What is fetched and compiled stays in the
# builder's caches, so that a change of the source compiles hoplog's own crates only.
FROM rust:1.95.0-slim-bookworm AS build
# SQLite and the TLS library are compiled from C. Tools of rust-toolchain.toml are not needed here.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin hoplog \
    && install -D -s target/release/hoplog /out/hoplog

FROM debian:bookworm-20250811-slim
RUN useradd --system --uid 10001 --no-create-home hoplog && install -d -o hoplog /data
# Whom `rediss://` and `tls://` believe.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/hoplog /usr/local/bin/hoplog
USER 10001
ENV HOPLOG_LISTEN=0.0.0.0:8080 HOPLOG_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
# Queued clicks are written before the end.
STOPSIGNAL SIGTERM
# Without a download tool: bash speaks enough HTTP to ask whether the process lives.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /health/live HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '^HTTP/1.[01] 200' <&3"]
ENTRYPOINT ["hoplog"]
CMD ["serve"]
