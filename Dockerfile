# The server in a container: the `serve` group alone, no root, nothing written at run time.
#   docker run --read-only --publish 8000:8000 --volume ./keys.json:/run/keys.json:ro \
#       --env SIGNALBOX_API_KEYS_FILE=/run/keys.json signalbox
# It keeps no journal unless it is given a place for one, that user 10001 may write to:
#       --volume signalbox:/var/lib/signalbox --env SIGNALBOX_JOURNAL=sqlite:////var/lib/signalbox/journal.db
# Without a keys file the server listens on loopback only, and refuses to start here; docs/operations.md tells more.

FROM python:3.11-slim AS build
WORKDIR /signalbox
RUN python -m venv /opt/venv && /opt/venv/bin/python -m pip install --no-compile --upgrade "pip>=25.1"
COPY pyproject.toml constraints.txt ./
# Nothing is installed or downloaded later, so pip goes too, and the client for downloads (docs/decisions/0006).
# onnxruntime brings its library twice; the one for C programs is never loaded from Python (docs/decisions/0019).
RUN /opt/venv/bin/python -m pip install --no-compile --group serve --constraint constraints.txt \
    && rm -f /opt/venv/lib/*/site-packages/onnxruntime/capi/libonnxruntime.so.* \
    && /opt/venv/bin/python -m pip uninstall --yes huggingface-hub hf-xet filelock fsspec httpcore2 httpx2 pyyaml tqdm \
        truststore setuptools pip
COPY data/*.py data/
COPY models/ models/
COPY serving/ serving/
# Verifies the bundle, asks it what every bundle must know, and leaves the bytecode of exactly what a start imports.
RUN /opt/venv/bin/python -m serving check \
    && /opt/venv/bin/python -c "import serving.journal.schema, serving.journal.store"

FROM python:3.11-slim
WORKDIR /signalbox
COPY --from=build /opt/venv /opt/venv
COPY --from=build /signalbox /signalbox
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SIGNALBOX_HOST=0.0.0.0 \
    SIGNALBOX_PORT=8000 \
    SIGNALBOX_JOURNAL=off
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['SIGNALBOX_PORT'] + '/readyz', timeout=2)"]
ENTRYPOINT ["python", "-m", "serving"]
CMD ["run"]
