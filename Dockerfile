# The MCP gateway as a container image, of a release's .deb: its own Node, no shares, not root, nothing written outside of /data.
# docker build -f Dockerfile --build-arg VERSION=X.Y.Z FOLDER-WITH-THE-DEB; how to run it: docs/reference/containers.md.
ARG BASE=debian:bookworm-slim
FROM --platform=$BUILDPLATFORM ${BASE} AS unpacked
ARG VERSION
ARG TARGETARCH
COPY mountaineer_${VERSION}_${TARGETARCH}.deb /package.deb
# Shares need FUSE and mounts that others see, so the image has no program for them.
RUN dpkg-deb --extract /package.deb /unpacked \
    && mv /unpacked/usr/lib/mountaineer/package /mountaineer \
    && rm -rf /mountaineer/mount-program /mountaineer/licenses/mountaineer-fs.txt \
    && sed -i 's/"tool": "dpkg"/"tool": "container image"/; s,"stable": "[^"]*","stable": "/opt/mountaineer",' /mountaineer/bundle.json \
    && mkdir -m 700 /data

# No RUN from here on: it is built for other processors without emulation.
FROM ${BASE}
COPY --from=unpacked /mountaineer /opt/mountaineer
COPY --from=unpacked --chown=10001:10001 /data /data
ENV HOME=/data MOUNTAINEER_HOME=/data PATH=/opt/mountaineer/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 9000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["/opt/mountaineer/dist/node", "-e", "fetch('http://127.0.0.1:9000/manage/v1/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/opt/mountaineer/bin/mountaineer"]
CMD ["monitor"]
