#!/bin/sh
# The deployer of this machine, with the worker's settings and as the right user.
deployer=/opt/deployer/current/bin/deployer
case ${1:-} in
'' | -* | check | new-class | demo) exec "$deployer" "$@" ;; # yours: on your files, as you
esac
[ "$(id -u)" = 0 ] || exec sudo -- "$0" "$@"
umask 007
export DEPLOYER_ENV_FILE=/etc/deployer/deployer-worker.env
export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
case $1 in
# What reads or writes the settings of both processes, or Airflow's, is root's.
backup | restore | github | airflow-version)
    DEPLOYER_WEBHOOK_SECRET_FILE=/etc/deployer/webhook_secret exec "$deployer" "$@"
    ;;
esac
cd /
HOME=/var/lib/deployer exec setpriv --reuid=deployer --regid=deployer --init-groups -- "$deployer" "$@"
