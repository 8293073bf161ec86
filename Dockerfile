# The class's Airflow: the official image, its packages compiled, the deployer's own files, and
# the class's packages. The context is the teacher's own copy: this file, requirements.txt and
# include/airflow/; nothing of it ever comes out of a student's release.
# Only what the classic builder knows too: no heredocs, no mounts, no --chmod.
ARG AIRFLOW_IMAGE_NAME=apache/airflow:3.3.2
FROM ${AIRFLOW_IMAGE_NAME}

# The official image ships no .pyc, and each container would compile Airflow anew at each start.
# By the image's own user, who owns the packages. One of them may carry a file that no Python can
# compile (templates), which is no error here.
RUN airflow=$(python -c 'import importlib.util; print(importlib.util.find_spec("airflow").origin)') \
    && { python -m compileall -q -j 0 "${airflow%/airflow/__init__.py}" >/dev/null || true; }

# Group 0 is Airflow's own: what a loose umask left writable to the group, a task could rewrite.
USER root
COPY include/airflow/ /opt/deployer/airflow/
RUN chmod -R u=rwX,go=rX /opt/deployer
ENV PYTHONPATH=/opt/deployer/airflow

# Last, since it changes most often. Airflow is named again so that nothing can replace it.
COPY requirements.txt /opt/deployer/requirements.txt
RUN chmod 644 /opt/deployer/requirements.txt
USER airflow
RUN uv pip install --no-cache --compile-bytecode \
    "apache-airflow==${AIRFLOW_VERSION}" --requirement /opt/deployer/requirements.txt \
    --constraint "${HOME}/constraints.txt"
