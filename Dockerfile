# The server in a small image: built in one stage, installed from its package in the other.
#   docker build -t parlance . && docker run -e PARLANCE_API_KEYS=... -p 127.0.0.1:8080:8080 -v parlance:/var/lib/parlance parlance
FROM debian:bookworm-slim AS build
WORKDIR /src
# First alone, so that the packages stay when only sources change.
COPY scripts scripts
RUN scripts/setup run package
COPY . .
RUN scripts/package && cp build/release/package/parlance_*.deb /parlance.deb

FROM debian:bookworm-slim
RUN --mount=type=bind,from=build,source=/parlance.deb,target=/tmp/parlance.deb \
  apt-get update -q && apt-get install -q -y --no-install-recommends /tmp/parlance.deb \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
USER parlance
WORKDIR /etc/parlance
VOLUME /var/lib/parlance
EXPOSE 8080
ENV ENV=PRODUCTION
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 \
  CMD ["parlance", "health", "--listen", "127.0.0.1:8080"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["parlance"]
# On all addresses of the container, for which the server wants PARLANCE_API_KEYS.
CMD ["serve", "--config", "/etc/parlance/parlance.yaml", "--listen", "0.0.0.0:8080"]
