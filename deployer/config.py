"""Settings, read once; every mistake is reported in the same round.

In the order in which they win: environment variables `DEPLOYER_…`, the same names
in the file that `DEPLOYER_ENV_FILE` names, `DEPLOYER_…_FILE=path` for a secret, and
systemd credentials of the lower-case name (`$CREDENTIALS_DIRECTORY/webhook_secret`).
The table in the README is tested against this class.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from deployer.errors import SettingsError

PREFIX = "DEPLOYER_"
SECRETS = ("webhook_secret", "github_token", "airflow_password", "database_url")
MIN_SECRET_LENGTH = 16
MAX_SOCKET_PATH = 90
"""Bytes; AF_UNIX takes 107, and the socket's own name needs its share (man 7 unix)."""

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseModel):
    """What INTERFACE calls `DEPLOYER_<NAME>`, with the name in lower case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    github_repo: str
    repo_url: str = ""
    branch: str = "main"
    webhook_secret: tuple[SecretStr, ...] = ()
    github_token: SecretStr | None = None
    github_api_url: str = "https://api.github.com"
    state_dir: Path = Path("/var/lib/deployer")
    database_url: SecretStr | None = None
    checkout_dir: Path = Path("/srv/class-airflow")
    airflow_url: str = "http://127.0.0.1:8080"
    airflow_username: str | None = None
    airflow_password: SecretStr | None = None
    services: Literal["compose", "local"] = "compose"
    compose_file: Path = Path("/etc/deployer/docker-compose.yaml")
    compose_project: str = "class-airflow"
    recreate_services: tuple[str, ...] = (
        "airflow-scheduler",
        "airflow-apiserver",
        "airflow-dag-processor",
    )
    parse_timeout_s: Seconds = 90
    health_timeout_s: Seconds = 180
    drain_timeout_s: Seconds = 300
    resolve_timeout_s: Seconds = 120
    poll_interval_s: Seconds = 60
    public_url: str | None = None
    bind: str = "127.0.0.1:9000"
    keep_releases: Annotated[int, Field(ge=1, le=10_000)] = 10

    @field_validator("github_repo")
    @classmethod
    def _owner_and_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", value):
            raise ValueError("must be owner/name")
        return value

    @field_validator("branch")
    @classmethod
    def _branch_name(cls, value: str) -> str:
        # The rules of `git check-ref-format --branch` that matter for one plain name.
        if not re.fullmatch(r"(?!.*(\.\.|//|@\{|\.lock$|/$|\.$))[A-Za-z0-9_][\w./+#=-]*", value):
            raise ValueError("is no name of a git branch")
        return value

    @field_validator("webhook_secret", "recreate_services", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _long_enough(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(secret.get_secret_value()) < MIN_SECRET_LENGTH for secret in value):
            raise ValueError(f"each secret must have at least {MIN_SECRET_LENGTH} characters")
        return value

    @field_validator("recreate_services")
    @classmethod
    def _service_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("names no service")
        for name in value:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
                raise ValueError(f"{name!r} is no name of a service")
        return value

    @field_validator("github_api_url", "airflow_url", "public_url")
    @classmethod
    def _http_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an http(s) address")
        return value.rstrip("/")

    @field_validator("repo_url")
    @classmethod
    def _no_password_in_it(cls, value: str) -> str:
        if value.startswith("-"):
            raise ValueError("must be an address that git can fetch")
        if urlsplit(value).password:
            raise ValueError("must hold no password: give it as GITHUB_TOKEN")
        return value

    @field_validator("bind")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.fullmatch(r"unix:/.+|(\[[0-9A-Fa-f:]+\]|[^:\s/]+):\d{1,5}", value):
            raise ValueError("must be host:port or unix:/path")
        return value

    @field_validator("state_dir")
    @classmethod
    def _room_for_a_socket(cls, value: Path) -> Path:
        if len(os.fsencode(value.absolute())) > MAX_SOCKET_PATH:
            raise ValueError(f"is longer than {MAX_SOCKET_PATH} bytes: no socket fits into it")
        return value

    @model_validator(mode="before")
    @classmethod
    def _derive_repo_url(cls, values: dict[str, object]) -> dict[str, object]:
        if not values.get("repo_url") and values.get("github_repo"):
            values["repo_url"] = f"https://github.com/{values['github_repo']}.git"
        return values

    @property
    def journal_url(self) -> str:
        """SQLAlchemy URL of the journal; may hold a password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.state_dir.absolute() / 'deployer.db'}"


def load(environ: Mapping[str, str], *, needs: tuple[str, ...] = ()) -> Settings:
    """Return the settings.

    Args:
        environ: normally `os.environ`.
        needs: further settings that this command can't do without, in lower case.

    Raises:
        SettingsError: with all mistakes, unknown `DEPLOYER_` names included.
    """
    mistakes: list[str] = []
    values = _gather(environ, mistakes)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as exc:
        for error in exc.errors(include_input=False, include_url=False):
            name = PREFIX + str(error["loc"][0]).upper() if error["loc"] else PREFIX
            what = "is required" if error["type"] == "missing" else _plain(error["msg"])
            mistakes.append(f"{name} {what}")
    for name in needs:
        if not values.get(name) and not any(PREFIX + name.upper() in m for m in mistakes):
            mistakes.append(f"{PREFIX}{name.upper()} is required")
    if mistakes:
        raise SettingsError(sorted(mistakes))
    return settings


def _plain(message: str) -> str:
    text = message.removeprefix("Value error, ")
    return text if text != message else f"is wrong: {text[:1].lower()}{text[1:]}"


def _gather(environ: Mapping[str, str], mistakes: list[str]) -> dict[str, str]:
    """Merge the four sources by field name; empty values count as not given."""
    given = {k: v for k, v in environ.items() if k.startswith(PREFIX)}
    env_file = given.pop(f"{PREFIX}ENV_FILE", "")
    if env_file:
        given = _env_file(Path(env_file), mistakes) | given
    known = set(Settings.model_fields)
    values = _credentials(environ, mistakes)
    for key, value in given.items():
        name = key.removeprefix(PREFIX).lower()
        secret = name.removesuffix("_file")
        if name in known or not value:
            continue
        if name.endswith("_file") and secret in SECRETS:
            values[secret] = _first_line(Path(value), key, mistakes)
        else:
            mistakes.append(f"{key} is not a setting of the deployer")
    for key, value in given.items():
        if value and (name := key.removeprefix(PREFIX).lower()) in known:
            values[name] = value
    return values


def _env_file(path: Path, mistakes: list[str]) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8") as lines:
            found = dotenv_values(stream=lines, interpolate=False)
    except (OSError, UnicodeDecodeError) as exc:
        mistakes.append(f"{PREFIX}ENV_FILE {path} can't be read: {exc}")
        return {}
    # A name without the prefix is for somebody else who shares the file (Compose does).
    return {k: v or "" for k, v in found.items() if k.startswith(PREFIX)}


def _credentials(environ: Mapping[str, str], mistakes: list[str]) -> dict[str, str]:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    found = {}
    for name in SECRETS if folder else ():
        path = Path(folder or "") / name
        if path.is_file():
            found[name] = _first_line(path, f"credential {name}", mistakes)
    return found


def _first_line(path: Path, what: str, mistakes: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        mistakes.append(f"{what} {path} can't be read: {exc}")
        return ""
