"""The databases of the operator's stack: PostgreSQL's programs in the containers that hold them.

A service is one if its environment names a POSTGRES_DB, as the official image has it. They are
told who they are by their own container's environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deployer.edges.compose.runner import ComposeRunner, script, start, stop

DUMP_S: Final = 1800.0
SWAP_S: Final = 60.0
START_S: Final = 300.0
STOP_S: Final = 30
# By a socket if there is one, where the image trusts its own user: settings that come back may
# hold another password than the server was made with, until the swap sets it.
_AS_ITSELF: Final = """\
export PGUSER="${POSTGRES_USER:-postgres}" PGPASSWORD="$POSTGRES_PASSWORD"
for PGHOST in /var/run/postgresql /tmp 127.0.0.1; do
    export PGHOST
    psql --no-psqlrc --dbname=template1 --command='SELECT 1' >/dev/null 2>&1 && break
done
new="${POSTGRES_DB}_restored"
"""
_DUMP: Final = 'exec pg_dump --format=custom "$POSTGRES_DB"'
_LOAD: Final = (
    'dropdb --if-exists "$new" && createdb --template=template0 "$new" &&'
    ' exec pg_restore --exit-on-error --no-owner --dbname="$new"'
)
_SWAP: Final = """exec psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname=template1 \
--set=is="$POSTGRES_DB" --set=new="$new" --set=old="${{POSTGRES_DB}}_{aside}" <<'END'
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :'is' \\g /dev/null
\\set password `printf %s "$POSTGRES_PASSWORD"`
BEGIN;
ALTER DATABASE :"is" RENAME TO :"old";
ALTER DATABASE :"new" RENAME TO :"is";
ALTER ROLE CURRENT_USER PASSWORD :'password';
COMMIT;
END
"""


class Databases:
    """Of one stack."""

    def __init__(self, runner: ComposeRunner) -> None:
        self.output = runner.output
        self._runner = runner

    def names(self) -> tuple[str, ...]:
        """Return the services that hold one.

        Raises:
            ServicesError
        """
        return tuple(name for name, holds in self._services().items() if holds)

    def dump(self, service: str, into: Path) -> None:
        with into.open("wb") as out:
            self._runner.pipe(script(service, _AS_ITSELF + _DUMP), stdout=out, within_s=DUMP_S)

    def stop_others(self) -> None:
        """Stop all that may hold what is about to be replaced."""
        if others := tuple(name for name, holds in self._services().items() if not holds):
            self._runner.run(stop(others, STOP_S), within_s=STOP_S + START_S)

    def start(self, services: tuple[str, ...]) -> None:
        self._runner.run(start(services), within_s=START_S)

    def load(self, service: str, dumped: Path) -> None:
        """Make a second database of a dump, beside that which is there."""
        with dumped.open("rb") as given:
            self._runner.pipe(script(service, _AS_ITSELF + _LOAD), stdin=given, within_s=DUMP_S)

    def swap(self, service: str, aside: str) -> None:
        """Let the second take the first one's name, which is kept under another: both or none."""
        text = _AS_ITSELF + _SWAP.format(aside=aside)
        self._runner.pipe(script(service, text), within_s=SWAP_S)

    def _services(self) -> dict[str, bool]:
        stack = self._runner.stack(())
        return {
            name: "POSTGRES_DB" in service.environment for name, service in stack.services.items()
        }
