"""Settings, read once; every mistake is reported in the same round.

In the order in which they win: environment variables `DEPLOYER_…`, the same names
in the file that `DEPLOYER_ENV_FILE` names, `DEPLOYER_…_FILE=path` for a secret, and
systemd credentials of the lower-case name (`$CREDENTIALS_DIRECTORY/webhook_secret`).
Blanks around a value are none of it; an empty one counts as not given. The table in the README
is tested against `Settings`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from dotenv.parser import parse_stream

from deployer.core import settings as readers
from deployer.core.settings import Secret
from deployer.errors import SettingsError

PREFIX = "DEPLOYER_"
SECRETS = ("webhook_secret", "github_token", "airflow_password", "database_url", "notify_urls")


def _path(text: str) -> Path:
    if text.startswith(("~", "$")):
        raise ValueError("must be a path as it is: ~ and variables are filled in by a shell alone")
    return Path(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the README calls `DEPLOYER_<NAME>`, with the name in lower case, and its reader."""

    github_repo: Annotated[str, readers.owner_and_name]
    repo_url: Annotated[str, readers.fetchable] = ""
    branch: Annotated[str, readers.branch_name] = "main"
    webhook_secret: Annotated[tuple[Secret, ...], readers.webhook_secrets] = ()
    github_token: Annotated[Secret | None, readers.token] = None
    github_api_url: Annotated[str, readers.http_address] = "https://api.github.com"
    state_dir: Annotated[Path, _path] = Path("/var/lib/deployer")
    database_url: Annotated[Secret | None, readers.database] = None
    checkout_dir: Annotated[Path, _path] = Path("/srv/class-airflow")
    airflow_url: Annotated[str, readers.http_address] = "http://127.0.0.1:8080"
    airflow_username: Annotated[str | None, str] = None
    airflow_password: Annotated[Secret | None, Secret] = None
    services: Annotated[Literal["compose", "local"], readers.kind_of_services] = "compose"
    compose_file: Annotated[Path, _path] = Path("/etc/deployer/docker-compose.yaml")
    compose_project: Annotated[str, readers.project] = "class-airflow"
    recreate_services: Annotated[tuple[str, ...], readers.service_names] = (
        "airflow-scheduler",
        "airflow-apiserver",
        "airflow-dag-processor",
    )
    parse_timeout_s: Annotated[float, readers.seconds] = 90
    health_timeout_s: Annotated[float, readers.seconds] = 180
    drain_timeout_s: Annotated[float, readers.seconds] = 300
    resolve_timeout_s: Annotated[float, readers.seconds] = 120
    poll_interval_s: Annotated[float, readers.seconds] = 60
    public_url: Annotated[str | None, readers.http_address] = None
    bind: Annotated[str, readers.bind_address] = "127.0.0.1:9000"
    keep_releases: Annotated[int, readers.releases] = 10
    keep_days: Annotated[int, readers.days] = 180
    notify_urls: Annotated[tuple[Secret, ...], readers.addresses] = ()

    @property
    def journal_url(self) -> str:
        """SQLAlchemy URL of the journal; may hold a password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.state_dir.absolute() / 'deployer.db'}"


_ENV_FILE = f"{PREFIX}ENV_FILE"
_UNREAD = "can't be read: "
_NAMES = {f"{PREFIX}{one.name.upper()}": one.name for one in fields(Settings)}
_FILES = {f"{PREFIX}{name.upper()}_FILE": name for name in SECRETS}


def load(environ: Mapping[str, str] = os.environ, *, needs: tuple[str, ...] = ()) -> Settings:
    """Return the settings.

    Args:
        environ: another one for a test, or a trial.
        needs: further settings that this command can't do without, in lower case.

    Raises:
        SettingsError: with all mistakes, unknown `DEPLOYER_` names included.
    """
    mistakes: list[str] = []
    given = _gather(environ, mistakes)
    hints = get_type_hints(Settings, include_extras=True)
    read = {name: hint.__metadata__[0] for name, hint in hints.items()}
    values: dict[str, Any] = {}
    for one in fields(Settings):
        required = one.default is MISSING or one.name in needs
        where, text = given.get(one.name, (f"{PREFIX}{one.name.upper()}", None))
        if text:
            try:
                values[one.name] = read[one.name](text)
            except ValueError as exc:
                mistakes.append(f"{where} {exc}")
        elif required and one.name not in given:
            mistakes.append(f"{where} is required")
        elif required and text is not None:
            mistakes.append(f"{where} is empty")
    # Outside of the `except`: a reader's own frames hold what was given.
    if mistakes:
        raise SettingsError(sorted(mistakes))
    values.setdefault("repo_url", f"https://github.com/{values['github_repo']}.git")
    return Settings(**values)


def _gather(environ: Mapping[str, str], mistakes: list[str]) -> dict[str, tuple[str, str | None]]:
    """Merge the four sources: by field name, where it was given, and the text as `_secret` does.

    In a file that can't be read all of them may be.
    """
    ours = _ours(environ)
    env_file = ours.pop(_ENV_FILE, "")
    there = _env_file(Path(env_file), mistakes) if env_file else {}
    maybe = dict.fromkeys(_NAMES.values(), (_ENV_FILE, None)) if there is None else {}
    there = there or {}
    unknown = (there.keys() | ours.keys()) - _NAMES.keys() - _FILES.keys()
    mistakes += [_unknown(key) for key in unknown]
    given = {key: text for source in (there, ours) for key, text in source.items() if text}
    found = _credentials(environ.get("CREDENTIALS_DIRECTORY"), mistakes)
    for key, name in _FILES.items():
        if key in given:
            found[name] = _secret(key, Path(given[key]), mistakes)
    return maybe | found | {name: (key, given[key]) for key, name in _NAMES.items() if key in given}


def _unknown(key: str) -> str:
    names = [name.removeprefix(PREFIX) for name in (*_NAMES, *_FILES, _ENV_FILE) if name != key]
    meant = get_close_matches(key.removeprefix(PREFIX).upper(), names, n=1, cutoff=0.75)
    hint = f"; did you mean {PREFIX}{meant[0]}?" if meant else ""
    return f"{key} is not a setting of the deployer{hint}"


def _env_file(path: Path, mistakes: list[str]) -> dict[str, str] | None:
    """Return what is ours in the file, None where a mistake was noted: it can't be read."""
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as stream:
            # Not `dotenv_values`: that passes over what it does not understand.
            lines = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as exc:
        mistakes.append(f"{_ENV_FILE} {path} {_UNREAD}{_reason(exc)}")
        return None
    for line in lines:
        if line.error:
            text = line.original.string  # with the empty lines before it
            number = line.original.line + text[: -len(text.lstrip())].count("\n")
            mistakes.append(f"{_ENV_FILE} {path}, line {number}: can't be understood")
        elif line.key:  # the last of one name counts, as in a shell
            found[line.key] = line.value or ""
    return _ours(found)


def _ours(named: Mapping[str, str]) -> dict[str, str]:
    """Return ours; a name without the prefix is somebody else's (Compose shares files)."""
    return {name: value.strip() for name, value in named.items() if name.startswith(PREFIX)}


def _credentials(folder: str | None, mistakes: list[str]) -> dict[str, tuple[str, str | None]]:
    """Read systemd's credentials; each process is given its own few.

    https://systemd.io/CREDENTIALS: one file each in `$CREDENTIALS_DIRECTORY`.
    """
    if not folder:
        return {}
    there = [name for name in SECRETS if os.path.lexists(Path(folder, name))]
    return {
        name: _secret(f"{PREFIX}{name.upper()}", Path(folder, name), mistakes) for name in there
    }


def _secret(key: str, path: Path, mistakes: list[str]) -> tuple[str, str | None]:
    """Return, of the file that `key` is given in, its name for a mistake and its one line.

    That is empty where the file is, and None where a mistake was noted.
    """
    where = f"{key}: {path}"
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as exc:
        mistakes.append(f"{where} {_UNREAD}{_reason(exc)}")
        return where, None
    if len(text.splitlines()) > 1:
        mistakes.append(f"{where} holds more than one line")
        return where, None
    return where, text


def _reason(exc: OSError | UnicodeDecodeError) -> str:
    return "not UTF-8" if isinstance(exc, UnicodeDecodeError) else str(exc.strerror)
