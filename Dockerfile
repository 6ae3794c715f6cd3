# Builds the one binary and puts it on a bare Debian.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin hoplog

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 hoplog && install -d -o hoplog /data
COPY --from=build /src/target/release/hoplog /usr/local/bin/hoplog
USER hoplog
ENV HOPLOG_LISTEN=0.0.0.0:8080 HOPLOG_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["hoplog"]
CMD ["serve"]
