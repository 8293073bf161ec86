#!/usr/bin/env bash
# Write a tarball of a minimal Debian with Python and PostgreSQL: what an image registry would give.
# usage: base.sh TARBALL
set -euo pipefail
tarball=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree" "$tarball.new"' EXIT
debootstrap --variant=minbase \
    --include=ca-certificates,dumb-init,libpython3-stdlib,postgresql,procps,python3,python3-venv \
    bookworm "$tree" >/dev/null
rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* "$tree"/usr/share/{doc,man,locale}/*
# Behind a proxy that signs for itself, containers must trust what this machine trusts.
cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/ca-certificates.crt"
tar -C "$tree" -czf "$tarball.new" .
mv "$tarball.new" "$tarball"
