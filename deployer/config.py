"""Settings, read once; every mistake is reported in the same round.

In the order in which they win: environment variables `DEPLOYER_…`, the same names
in the file that `DEPLOYER_ENV_FILE` names, `DEPLOYER_…_FILE=path` for a secret, and
systemd credentials of the lower-case name (`$CREDENTIALS_DIRECTORY/webhook_secret`).
An empty value counts as not given. The table in the README is tested against this class.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from dotenv.parser import parse_stream
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from deployer.core.remote import is_branch, scheme_of
from deployer.errors import SettingsError

PREFIX = "DEPLOYER_"
SECRETS = ("webhook_secret", "github_token", "airflow_password", "database_url")
MIN_SECRET_LENGTH = 16
MAX_PORT = 65_535

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseModel):
    """What INTERFACE calls `DEPLOYER_<NAME>`, with the name in lower case."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

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
        # `.` and `..` would lead elsewhere in the API's paths.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*/(?!\.{1,2}$)[A-Za-z0-9._-]+", value):
            raise ValueError("must be owner/name")
        return value

    @field_validator("branch")
    @classmethod
    def _branch_name(cls, value: str) -> str:
        if not is_branch(value):
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
        if not value:
            raise ValueError("holds no secret")
        if any(len(secret.get_secret_value()) < MIN_SECRET_LENGTH for secret in value):
            raise ValueError(f"must have at least {MIN_SECRET_LENGTH} characters in each secret")
        return value

    @field_validator("github_token")
    @classmethod
    def _fit_for_a_header(cls, value: SecretStr) -> SecretStr:
        if not all("!" <= letter <= "~" for letter in value.get_secret_value()):
            raise ValueError("holds a space, line break or accent, which no token does")
        return value

    @field_validator("database_url")
    @classmethod
    def _of_a_known_database(cls, value: SecretStr) -> SecretStr:
        if not re.match(r"(sqlite|postgresql)(\+\w+)?://", value.get_secret_value()):
            raise ValueError("must begin with sqlite:// or postgresql://")
        return value

    @field_validator("recreate_services")
    @classmethod
    def _service_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("names no service")
        for name in value:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
                raise ValueError(f"names a service that can't be: {name!r}")
        return value

    @field_validator("github_api_url", "airflow_url", "public_url")
    @classmethod
    def _http_address(cls, value: str) -> str:
        parts = _parts(value)
        if (
            parts is None
            or parts.scheme not in {"http", "https"}
            or not parts.hostname
            or parts.query
            or parts.fragment
        ):
            raise ValueError("must be an http(s) address, without a query")
        if "@" in parts.netloc:
            raise ValueError("must hold no user name or password")
        return value.rstrip("/")

    @field_validator("repo_url")
    @classmethod
    def _fetchable(cls, value: str) -> str:
        scheme = scheme_of(value)
        parts = _parts(value)
        if scheme is None or parts is None:
            raise ValueError("must be an https, http or ssh address, or a path")
        # A token is often given as the user name.
        if parts.password or ("@" in parts.netloc and scheme in {"http", "https"}):
            raise ValueError("must hold no user name or password: give a token as GITHUB_TOKEN")
        return value

    @field_validator("bind")
    @classmethod
    def _address(cls, value: str) -> str:
        if re.fullmatch(r"unix:/.+", value):
            return value
        tcp = re.fullmatch(r"(?:\[[0-9A-Fa-f:]+\]|[^:\s/]+):([0-9]{1,5})", value)
        if not tcp or int(tcp[1]) > MAX_PORT:
            raise ValueError("must be host:port or unix:/path")
        return value

    @model_validator(mode="before")
    @classmethod
    def _derive_repo_url(cls, values: dict[str, object]) -> dict[str, object]:
        if values.get("repo_url") or not values.get("github_repo"):
            return values
        return {**values, "repo_url": f"https://github.com/{values['github_repo']}.git"}

    @property
    def journal_url(self) -> str:
        """SQLAlchemy URL of the journal; may hold a password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.state_dir.absolute() / 'deployer.db'}"


_ENV_FILE = f"{PREFIX}ENV_FILE"
_NAMES = {f"{PREFIX}{name.upper()}": name for name in Settings.model_fields}
_FILES = {f"{PREFIX}{name.upper()}_FILE": name for name in SECRETS}


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
            # The derived address is no mistake of its own.
            if (name := str(error["loc"][0])) in values or error["type"] == "missing":
                what = "is required" if error["type"] == "missing" else _plain(error["msg"])
                mistakes.append(f"{PREFIX}{name.upper()} {what}")
    for name in needs:
        if name not in values and not any(m.startswith(PREFIX + name.upper()) for m in mistakes):
            mistakes.append(f"{PREFIX}{name.upper()} is required")
    # Outside of the `except`: pydantic's own error holds what was given.
    if mistakes:
        raise SettingsError(sorted(mistakes))
    return settings


def _plain(message: str) -> str:
    text = message.removeprefix("Value error, ")
    return text if text != message else f"is wrong: {text[:1].lower()}{text[1:]}"


def _parts(url: str) -> SplitResult | None:
    """Return an address's parts, None if it has none; the reason could hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if url.isprintable() and " " not in parts.netloc else None


def _gather(environ: Mapping[str, str], mistakes: list[str]) -> dict[str, str]:
    """Merge the four sources by field name."""
    given = {key: value for key, value in environ.items() if key.startswith(PREFIX) and value}
    env_file = given.pop(_ENV_FILE, None)
    if env_file:
        given = _env_file(Path(env_file), mistakes) | given
    unknown = given.keys() - _NAMES.keys() - _FILES.keys()
    mistakes += [f"{key} is not a setting of the deployer" for key in unknown]
    secrets = _credentials(environ.get("CREDENTIALS_DIRECTORY"), mistakes)
    for key, name in _FILES.items():
        if key in given and (secret := _secret(name, Path(given[key]), mistakes)):
            secrets[name] = secret
    return secrets | {name: given[key] for key, name in _NAMES.items() if key in given}


def _env_file(path: Path, mistakes: list[str]) -> dict[str, str]:
    found = {}
    try:
        with path.open(encoding="utf-8") as stream:
            # Not `dotenv_values`: that passes over what it does not understand.
            lines = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as exc:
        mistakes.append(f"{_ENV_FILE} {path} can't be read: {_reason(exc)}")
        return {}
    for line in lines:
        if line.error:
            text = line.original.string  # with the empty lines before it
            number = line.original.line + text[: -len(text.lstrip())].count("\n")
            mistakes.append(f"{_ENV_FILE} {path}, line {number}: can't be understood")
        # A name without the prefix is for somebody else who shares the file (Compose does).
        elif line.key and line.key.startswith(PREFIX) and line.value:
            found[line.key] = line.value
    return found


def _credentials(folder: str | None, mistakes: list[str]) -> dict[str, str]:
    """Read systemd's credentials; each process is given its own few.

    https://systemd.io/CREDENTIALS: one file each in `$CREDENTIALS_DIRECTORY`.
    """
    if not folder:
        return {}
    there = [name for name in SECRETS if os.path.lexists(Path(folder, name))]
    read = {name: _secret(name, Path(folder, name), mistakes) for name in there}
    return {name: secret for name, secret in read.items() if secret}


def _secret(name: str, path: Path, mistakes: list[str]) -> str:
    """Return a file's one line; empty: not given, or a mistake was noted."""
    what = f"{PREFIX}{name.upper()}: {path}"
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        mistakes.append(f"{what} can't be read: {_reason(exc)}")
        return ""
    if len(text.splitlines()) > 1:
        mistakes.append(f"{what} holds more than one line")
        return ""
    return text


def _reason(exc: OSError | UnicodeDecodeError) -> str:
    return "not UTF-8" if isinstance(exc, UnicodeDecodeError) else str(exc.strerror)
