# A stand-in for apache/airflow, where no image registry is reachable: the same user, places,
# variables and entrypoint contract (github.com/apache/airflow, Dockerfile, stage `main`).
ARG BASE
FROM ${BASE}
ARG AIRFLOW_VERSION
RUN useradd --uid 50000 --gid 0 --create-home --home-dir /home/airflow airflow \
    && mkdir -p /opt/airflow/dags /opt/airflow/logs \
    && chown -R airflow:0 /home/airflow /opt/airflow && chmod -R g+rwX /home/airflow /opt/airflow
ENV AIRFLOW_VERSION=${AIRFLOW_VERSION} \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__LOAD_EXAMPLES=false \
    DUMB_INIT_SETSID=1 \
    LANG=C.UTF-8 \
    VIRTUAL_ENV=/home/airflow/.local \
    PATH=/home/airflow/.local/bin:/usr/local/bin:/usr/bin:/bin \
    PIP_CACHE_DIR=/tmp/.cache/pip \
    UV_CACHE_DIR=/tmp/.cache/uv \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 50000
WORKDIR /opt/airflow
# No .pyc, as in the official image.
RUN python3 -m venv /home/airflow/.local \
    && pip install --quiet --disable-pip-version-check --no-cache-dir uv \
    && uv pip install --quiet --no-cache "apache-airflow==${AIRFLOW_VERSION}" \
       apache-airflow-providers-fab apache-airflow-providers-postgres \
       apache-airflow-providers-standard \
    && uv pip freeze --quiet > /home/airflow/constraints.txt \
    && find /home/airflow/.local -name __pycache__ -type d -prune -exec rm -rf {} +
# An operator's own packages, found beside the index by pip and uv alike.
COPY distributions.py /tmp/distributions.py
RUN python /tmp/distributions.py /home/airflow/wheels
ENV PIP_FIND_LINKS=/home/airflow/wheels \
    UV_FIND_LINKS=/home/airflow/wheels
COPY entrypoint.sh /entrypoint
ENTRYPOINT ["/usr/bin/dumb-init", "--", "/entrypoint"]
CMD []
