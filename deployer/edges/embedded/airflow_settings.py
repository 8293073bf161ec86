"""The embedded Airflow's settings, as environment variables.

Pure but for `Secrets.load`, which makes the secrets once and keeps them.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

BUNDLE = "class"
"""Name of the one DAG bundle."""
USERNAME = "admin"

INHERITED = (
    "HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ",
    "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy",
    "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE",
)  # fmt: skip
"""What a process that runs students' code may see of the deployer's own environment."""

SETTINGS: Mapping[str, str] = {
    # A file's new text is what tasks run, at once and not after 30 s.
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "CORE__DAGBAG_IMPORT_TIMEOUT": "15",
    # The default of 2 hides the student's own lines; under a decorated task, 10 does too.
    "CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "30",
    "DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "25",
    # Nets under the parse feed, which does the work.
    "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    # What did not change is parsed again each hour, not each 30 s: with some hundred files the
    # queue would never be empty, and only then does Airflow ask what has changed.
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    # A table of all files each half minute, for which the dag-processor tells nobody anything.
    "DAG_PROCESSOR__PRINT_STATS_INTERVAL": "0",
    "SCHEDULER__PARSING_CLEANUP_INTERVAL": "10",
    # A pass, the longest due first: ten that catch up from years ago would leave nobody a run.
    "SCHEDULER__MAX_DAGRUNS_TO_CREATE_PER_LOOP": "1000",
    # Else `airflow.*` imports named in a student's file run in the manager itself.
    "DAG_PROCESSOR__PARSING_PRE_IMPORT_MODULES": "False",
    # Releases are the deployer's to prune; Airflow would look for copies it never made.
    "DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_INTERVAL": "0",
    "API__MAXIMUM_PAGE_LIMIT": "1000",
    "WORKERS__EXECUTION_API_RETRIES": "15",
    "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": "4",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USERNAME}:admin",
    "API__HOST": "127.0.0.1",
    "API__WORKERS": "1",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
}
"""Settings that every embedded Airflow has, without the prefix `AIRFLOW__`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one embedded Airflow lives.

    Attributes:
        state: its directory: environments, database, logs, pids.
        root: CHECKOUT_DIR, whose releases it reads.
        port: of its api-server, on loopback.
        repo_url: the class repository's page, None: no links from Airflow to it.
        files: what the deployer puts on Airflow's PYTHONPATH.
    """

    state: Path
    root: Path
    port: int
    repo_url: str | None
    files: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def home(self) -> Path:
        """Return AIRFLOW_HOME."""
        return self.state / "home"

    @property
    def database(self) -> Path:
        return self.home / "airflow.db"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets.json"

    @property
    def passwords(self) -> Path:
        return self.home / "passwords.json"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What Airflow's processes share; fixed, or each restart would log everybody out."""

    jwt: str = field(repr=False)
    api: str = field(repr=False)
    fernet: str = field(repr=False)
    password: str = field(repr=False)

    @classmethod
    def load(cls, layout: Layout) -> Secrets:
        """Return the layout's secrets, made and written (mode 0600) the first time.

        The password is written once more, where SimpleAuthManager looks for it.
        """
        kept = cls.kept(layout)
        if kept is None:
            kept = cls(
                jwt=secrets.token_urlsafe(48),
                api=secrets.token_urlsafe(48),
                # https://github.com/fernet/spec: 32 bytes, URL-safe base64
                fernet=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                password=secrets.token_urlsafe(12),
            )
            _write_private(layout.secrets, json.dumps(asdict(kept)))
        if not layout.passwords.exists():
            _write_private(layout.passwords, json.dumps({USERNAME: kept.password}))
        return kept

    @classmethod
    def kept(cls, layout: Layout) -> Secrets | None:
        """Return the layout's secrets, None: they were never made; writes nothing."""
        with suppress(FileNotFoundError):
            return cls(**json.loads(layout.secrets.read_text()))
        return None


def environment(layout: Layout, keys: Secrets, outer: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of Airflow's processes.

    `outer` is the deployer's own; of it only `INHERITED` is passed on, for it may hold the
    webhook secret and the GitHub token, and students' code runs in these processes.
    """
    bundle = {
        "name": BUNDLE,
        "classpath": "class_bundle.ClassBundle",
        "kwargs": {"root": str(layout.root), "repo_url": layout.repo_url},
    }
    own = {
        "API__BASE_URL": layout.url,
        "API__PORT": str(layout.port),
        "API__SECRET_KEY": keys.api,
        "API_AUTH__JWT_SECRET": keys.jwt,
        "CORE__EXECUTION_API_SERVER_URL": f"{layout.url}/execution/",
        "CORE__FERNET_KEY": keys.fernet,
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(layout.passwords),
        # One writer at a time; the default patience of 5 s is short on two busy cores.
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{layout.database}?timeout=30",
        "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(layout.home / "bundles"),
        "LOGGING__BASE_LOG_FOLDER": str(layout.home / "logs"),
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(layout.home / "logs" / "dags"),
    }
    return {
        **{name: outer[name] for name in INHERITED if name in outer},
        "AIRFLOW_HOME": str(layout.home),
        "PYTHONPATH": str(layout.files),
        # Releases stay as git has them; site-packages were compiled when they were installed.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **{f"AIRFLOW__{name}": value for name, value in {**SETTINGS, **own}.items()},
    }


def parsing_environment(files: Path) -> dict[str, str]:
    """Return what the isolated parse needs of it: settings and policy, no secret.

    `files`: what the deployer puts on Airflow's PYTHONPATH.
    """
    settings = {f"AIRFLOW__{name}": value for name, value in SETTINGS.items()}
    return {**settings, "PYTHONPATH": str(files)}


def _write_private(file: Path, text: str) -> None:
    """Write `file` with mode 0600, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    new.replace(file)
