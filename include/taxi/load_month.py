"""Load one month of yellow-taxi trips: download, check, replace the month in one transaction.

    python load_month.py URL MONTH SCHEMA

Runs in the tools' environment, not in Airflow's. PostgreSQL's address and password come as
`PG…` variables, which libpq reads by itself. Memory stays the same however long the month
is: the file goes to disk as it comes, and from there to PostgreSQL batch by batch.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv, parquet

BATCH_ROWS = 50_000
CHUNK_BYTES = 1 << 20
NETWORK_TIMEOUT_S = 60


class Column(NamedTuple):
    """A column that we keep: the TLC's name in lower case, its type there and in PostgreSQL."""

    name: str
    arrow: pa.DataType
    postgres: str


# https://www.nyc.gov/assets/tlc/downloads/pdf/data_dictionary_trip_records_yellow.pdf
# The TLC changes capitals and widths of numbers from month to month; both are evened out here.
COLUMNS = (
    Column("vendorid", pa.int64(), "bigint"),
    Column("tpep_pickup_datetime", pa.timestamp("us"), "timestamp"),
    Column("tpep_dropoff_datetime", pa.timestamp("us"), "timestamp"),
    Column("passenger_count", pa.float64(), "double precision"),
    Column("trip_distance", pa.float64(), "double precision"),
    Column("pulocationid", pa.int64(), "bigint"),
    Column("dolocationid", pa.int64(), "bigint"),
    Column("payment_type", pa.int64(), "bigint"),
    Column("fare_amount", pa.float64(), "double precision"),
    Column("tip_amount", pa.float64(), "double precision"),
    Column("total_amount", pa.float64(), "double precision"),
)


class Hopeless(Exception):
    """To try again would not help.

    Attributes:
        status: exit status that says so, out of sysexits.h.
    """

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        super().__init__(sentence)


def main(url: str, month: str, schema: str) -> None:
    """Do all of it, or leave the database as it was."""
    with tempfile.TemporaryDirectory(prefix="taxi-") as folder:
        file = Path(folder, "month.parquet")
        download(url, file)
        # Leaving the block commits; an error in it rolls everything back.
        with psycopg.connect() as connection:
            rows = replace_month(connection, schema, f"{month}-01", batches(file, url))
    print(f"{rows} trips of {month} are in {schema}.raw_trips")


def download(url: str, to: Path) -> None:
    """Write the file at `url` to `to`, chunk by chunk.

    Raises:
        Hopeless: there is no such file.
        OSError: the network or the server failed; the next try may succeed.
    """
    try:
        with urllib.request.urlopen(url, timeout=NETWORK_TIMEOUT_S) as answer, to.open("wb") as out:  # noqa: S310  # the class's own Variable
            shutil.copyfileobj(answer, out, CHUNK_BYTES)
            expected = answer.headers["Content-Length"]
    except HTTPError as exc:
        # The TLC's storage answers 403, not 404, for a file that it does not have.
        if exc.code in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            raise Hopeless(
                os.EX_NOINPUT,
                f"there is no {url} (HTTP {exc.code}): the TLC publishes a month about two months "
                "after its end; choose another month, or clear this task when it is there",
            ) from exc
        raise
    if expected and to.stat().st_size != int(expected):
        raise ConnectionError(f"{url} broke off after {to.stat().st_size} of {expected} bytes")


def batches(file: Path, url: str) -> Iterator[pa.RecordBatch]:
    """Yield the columns that we keep, in our types.

    Raises:
        Hopeless: the file is no Parquet, or a column is missing or of another kind.
    """
    try:
        with parquet.ParquetFile(file) as source:
            theirs = {name.lower(): name for name in source.schema_arrow.names}
            missing = [column.name for column in COLUMNS if column.name not in theirs]
            if missing:
                raise Hopeless(os.EX_DATAERR, f"{url} has no column {', '.join(missing)}")
            names = [theirs[column.name] for column in COLUMNS]
            for batch in source.iter_batches(BATCH_ROWS, columns=names):
                yield pa.RecordBatch.from_arrays(
                    [batch.column(theirs[name]).cast(arrow) for name, arrow, _ in COLUMNS],
                    names=[column.name for column in COLUMNS],
                )
    except pa.ArrowException as exc:
        raise Hopeless(os.EX_DATAERR, f"{url} is not a month of trips: {exc}") from exc


def replace_month(
    connection: psycopg.Connection, schema: str, month: str, found: Iterator[pa.RecordBatch]
) -> int:
    """Put `found` in the place of what `raw_trips` holds of `month`; return how many rows.

    Nobody sees the month half full: all of this is one transaction, the caller's.
    """
    raw_trips = sql.Identifier(schema, "raw_trips")
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _, _ in COLUMNS)
    types = sql.SQL(", ").join(sql.SQL(f"{name} {postgres}") for name, _, postgres in COLUMNS)

    # Two runs of one student go one after the other, until the transaction ends.
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [schema])
    # CREATE SCHEMA IF NOT EXISTS needs the right to create one, even if it is there.
    there = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [schema]).fetchone()
    if there is None:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    for statement in (
        "CREATE TABLE IF NOT EXISTS {table} (month date NOT NULL, {types})",
        "CREATE INDEX IF NOT EXISTS raw_trips_month ON {table} (month)",
    ):
        connection.execute(sql.SQL(statement).format(table=raw_trips, types=types))
    connection.execute(sql.SQL("DELETE FROM {} WHERE month = %s").format(raw_trips), [month])
    statement = sql.SQL("COPY {} (month, {}) FROM STDIN (FORMAT csv)").format(raw_trips, names)
    rows = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in found:
            copy.write(as_csv(batch, month))
            rows += batch.num_rows
    return rows


def as_csv(batch: pa.RecordBatch, month: str) -> bytes:
    """Return the batch as COPY reads it: the month first, nothing between commas for NULL."""
    with_month = pa.RecordBatch.from_arrays(
        [pa.repeat(month, batch.num_rows), *batch.columns], names=["month", *batch.schema.names]
    )
    text = io.BytesIO()
    csv.write_csv(with_month, text, csv.WriteOptions(include_header=False))
    return text.getvalue()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Hopeless as hopeless:
        print(hopeless, file=sys.stderr)
        sys.exit(hopeless.status)
