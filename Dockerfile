# One image for every process of Apportion: the command says which one it is.
FROM python:3.13-slim AS build
RUN python -m venv /opt/apportion
WORKDIR /src
COPY pyproject.toml README.md ./
COPY migrations migrations
COPY scheduler scheduler
COPY workers workers
RUN /opt/apportion/bin/pip install --no-cache-dir .

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 apportion && install -d -o apportion /var/lib/apportion
COPY --from=build /opt/apportion /opt/apportion
ENV PATH=/opt/apportion/bin:$PATH PYTHONUNBUFFERED=1 \
    APPORTION_HOME=/var/lib/apportion NUMBA_CACHE_DIR=/tmp/numba
USER apportion
WORKDIR /home/apportion
ENTRYPOINT ["apportion"]
CMD ["--help"]
