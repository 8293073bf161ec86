#!/usr/bin/env bash
# The part of the official image's entrypoint that people rely on
# (github.com/apache/airflow, scripts/docker/entrypoint_prod.sh).
set -euo pipefail
if [ -n "${_PIP_ADDITIONAL_REQUIREMENTS=}" ]; then
    printf '\n!!!!!  Installing additional requirements: %s !!!!!\n\n' "$_PIP_ADDITIONAL_REQUIREMENTS"
    # shellcheck disable=SC2086  # several words, as there
    pip install --root-user-action ignore $_PIP_ADDITIONAL_REQUIREMENTS
fi
if [ -n "${_AIRFLOW_DB_MIGRATE=}" ]; then
    airflow db migrate
fi
case ${1:-} in
    bash | python) exec "$@" ;;
    airflow) shift ;;
esac
exec airflow "$@"
