# The bot alone: no lab, no tests. Any base with Python >= 3.11 will do:
#   docker build --build-arg BASE_IMAGE=registry.example.com/python:3.12-slim -t etcd-snapshot-bot .
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /src
COPY requirements-build.txt requirements.txt ./
RUN python3 -m venv /build \
 && /build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.txt \
 && python3 -m venv --without-pip /opt/etcd-snapshot-bot \
 && /build/bin/uv pip install --no-cache --python /opt/etcd-snapshot-bot/bin/python \
      --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY bot bot
COPY handlers handlers
RUN /build/bin/hatchling build -t wheel \
 && /build/bin/uv pip install --no-cache --python /opt/etcd-snapshot-bot/bin/python --no-deps dist/*.whl

FROM ${BASE_IMAGE}
# A numeric user lets Kubernetes check runAsNonRoot; a home is where SSH looks for known_hosts by default.
RUN groupadd --gid 10001 bot && useradd --uid 10001 --gid bot --create-home bot
COPY --from=build /opt/etcd-snapshot-bot /opt/etcd-snapshot-bot
ENV PATH=/opt/etcd-snapshot-bot/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /home/bot
ENTRYPOINT ["etcd-snapshot-bot"]
CMD ["run"]
