# A VM as a teacher rents it, Debian with systemd, where no virtual machine can be had. Of what
# scripts/install would get by apt, Caddy and git are there already: a test must not wait for them.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes \
    --no-install-recommends systemd-sysv dbus caddy git curl >/dev/null \
    && rm -rf /var/lib/apt/lists/* /etc/ssl/certs/java \
    && systemctl mask --quiet postgresql.service systemd-udevd.service systemd-logind.service \
       console-getty.service getty.target systemd-timesyncd.service \
    && ln -sf /lib/systemd/system/multi-user.target /etc/systemd/system/default.target
# Behind a proxy that signs for itself, as in the base image.
ENV container=docker \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt
STOPSIGNAL SIGRTMIN+3
CMD ["/sbin/init"]
