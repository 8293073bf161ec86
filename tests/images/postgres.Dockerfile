# A stand-in for postgres, where no image registry is reachable: the same variables and places.
ARG BASE
FROM ${BASE}
RUN ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ 2>/dev/null; \
    mkdir -p /var/lib/postgresql/data && chown postgres:postgres /var/lib/postgresql/data
ENV PGDATA=/var/lib/postgresql/data
COPY postgres-entrypoint.sh /entrypoint
USER postgres
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["/entrypoint"]
CMD ["postgres"]
