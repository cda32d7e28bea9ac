# One image for every process of Apportion: the command says which one it is.
FROM python:3.13-slim AS build
RUN python -m venv /opt/apportion
WORKDIR /src
COPY pyproject.toml README.md ./
COPY migrations migrations
COPY scheduler scheduler
COPY workers workers
RUN /opt/apportion/bin/pip install --no-cache-dir .
# Whole seconds: a pulled image has no others, and compiled code goes by the time of its source.
RUN find /opt/apportion -path '*/site-packages/scheduler/*.py' -exec touch --date=@1 {} + \
    && /opt/apportion/bin/python -m compileall -q /opt/apportion/lib/python*/site-packages/scheduler

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 apportion \
    && install -d -o apportion /var/lib/apportion /var/cache/apportion
COPY --from=build /opt/apportion /opt/apportion
ENV PATH=/opt/apportion/bin:$PATH PYTHONUNBUFFERED=1 \
    APPORTION_HOME=/var/lib/apportion NUMBA_CACHE_DIR=/var/cache/apportion
USER apportion
WORKDIR /home/apportion
# For processors like the one that builds; on another, `serve` compiles as it starts.
RUN apportion compile
ENTRYPOINT ["apportion"]
CMD ["--help"]
