"""What is wanted on the machine, part by part: a version's files in their places, all running."""

from __future__ import annotations

import argparse
import string
from pathlib import Path

from scripts.installation import answers, places, texts
from scripts.installation.machine import Machine, run, works
from scripts.installation.places import (
    ANSWERS,
    CADDYFILE,
    CADDYS_BEFORE,
    COMMAND,
    CURRENT,
    ETC,
    OPT,
    PREVIOUS,
    UNITS,
)

TIMERS = tuple(f"deployer-{name}.timer" for name in ("backup", "cleanup", "doctor", "notify"))
PROCESSES = ("deployer-web.service", "deployer-worker.service")
WORKERS_ALONE = {"DEPLOYER_NOTIFY_URLS", "DEPLOYER_GITHUB_TOKEN", "DEPLOYER_AIRFLOW_PASSWORD"}
STACK = {"airflow-apiserver", "airflow-scheduler", "airflow-dag-processor", "postgres"}


def environment(machine: Machine, name: str) -> None:
    machine.ensure(f"uv, in {places.UV}", places.uv_is_there, places.make_uv)
    machine.ensure(
        f"environment {OPT / name}",
        (OPT / name / ".whole").exists,
        lambda: places.make_environment(name),
    )


def apply(
    machine: Machine,
    given: argparse.Namespace,
    name: str,
    *,
    before: str,
    upgrade: bool = False,
) -> None:
    """Have the files of version `name` in their places, and all running on them.

    `before`: the version whose files are there; what the teacher changed in them stays. In an
    upgrade it is where the way back leads, from when `name` is put in and not sooner.
    """
    share = places.share(name)
    # In a first dry run there is no environment yet, and nothing that a version shares.
    source = share if share.exists() else places.ROOT
    settings(machine, given, source)
    class_files(machine, source, places.share(before))
    units(machine, source)
    proxy(machine, given, source)
    machine.file(COMMAND, (source / "scripts/installation/deployer.sh").read_bytes(), mode=0o755)
    if upgrade:
        machine.link(PREVIOUS, before)
    machine.link(CURRENT, name)
    processes(machine)
    if not given.without_services:
        stack(machine)


def settings(machine: Machine, given: argparse.Namespace, source: Path) -> None:
    """Each process's settings, readable to nobody else; secrets are made once."""

    def text(name: str) -> str:
        return path.read_text() if (path := ETC / name).exists() else ""

    machine.file(ETC / ANSWERS, answers.keep(given), mode=0o600)
    ours = {k: v for k, v in given.setting.items() if k.startswith("DEPLOYER_")}
    workers = {k: v for k, v in ours.items() if k in WORKERS_ALONE}
    airflows = {k: v for k, v in given.setting.items() if k not in ours}
    example = (source / "airflow.env.example").read_text()
    airflow = texts.with_values(
        texts.with_secrets(text(".env") or example, example),
        {
            "AIRFLOW_BASE_URL": f"https://{given.airflow_name}",
            "CLASS_REPO_URL": f"https://github.com/{given.repo}",
            **texts.unchanged(text(".env"), airflows, given.now),
        },
    )
    machine.file(ETC / ".env", airflow, "root:deployer", 0o640)
    hook = text("webhook_secret") or f"{texts.secret()}\n"
    machine.file(ETC / "webhook_secret", hook, "root:deployer-web", 0o640)
    machine.file(ETC / "github_token", given.token or text("github_token"), "root:deployer", 0o640)
    both = {
        "DEPLOYER_GITHUB_REPO": given.repo,
        "DEPLOYER_BRANCH": given.branch,
        "DEPLOYER_PUBLIC_URL": f"https://{given.name}",
        **{k: v for k, v in ours.items() if k not in workers},
    }
    of_web = {**both, "DEPLOYER_WEBHOOK_SECRET_FILE": str(ETC / "webhook_secret")}
    of_worker = {
        **both,
        **workers,
        "DEPLOYER_GITHUB_TOKEN_FILE": str(ETC / "github_token"),
        "DEPLOYER_AIRFLOW_USERNAME": "deployer",
        "DEPLOYER_AIRFLOW_PASSWORD": texts.value(airflow, "DEPLOYER_AIRFLOW_PASSWORD"),
        "DEPLOYER_COMPOSE_FILE": str(
            ETC / (texts.value(airflow, "COMPOSE_FILE") or "docker-compose.yaml")
        ),
    }
    for process, values in (("web", of_web), ("worker", of_worker)):
        file = f"deployer-{process}.env"
        owner = "root:deployer-web" if process == "web" else "root:deployer"
        machine.file(ETC / file, texts.with_values(text(file), values), owner, 0o640)
    listed = texts.with_students(text("students"), given.names)
    # Airflow's user is of group 0, and on this machine nobody but root.
    machine.file(ETC / "students", listed, "root:root", 0o640)
    sheet = texts.to_hand_out(listed, given.airflow_name)
    machine.file(ETC / "students-to-hand-out", sheet, mode=0o600)


def class_files(machine: Machine, source: Path, before: Path) -> None:
    """The teacher's own copies: what was changed in them stays, and is named."""
    names = ["docker-compose.yaml", "docker-compose.plain.yaml", "Dockerfile", ".dockerignore"]
    names += [f"include/airflow/{path.name}" for path in (source / "include/airflow").glob("*.*")]
    for name in sorted(names):
        here, was, new = ETC / name, before / name, (source / name).read_bytes()
        own = here.exists() and was.exists() and here.read_bytes() not in {was.read_bytes(), new}
        if own and was.read_bytes() != new:
            print(f"{here} is changed by you and stays; the new one is {source / name}")
        if not own:
            machine.file(here, new)
    if not (ETC / "requirements.txt").exists():
        machine.file(ETC / "requirements.txt", (source / "requirements.txt").read_bytes())


def units(machine: Machine, source: Path) -> None:
    shipped = [path for path in sorted((source / "systemd").rglob("*")) if path.is_file()]
    wanted = {UNITS / path.relative_to(source / "systemd"): path for path in shipped}
    for there, path in wanted.items():
        machine.file(there, path.read_bytes())
    for there in UNITS.glob("deployer-*.*"):
        if there.is_file() and there not in wanted:
            machine.gone(there)
    machine.ensure(
        "systemd reads its units",
        lambda: not machine.touched(f"{UNITS}/"),
        lambda: run("systemctl", "daemon-reload"),
    )


def proxy(machine: Machine, given: argparse.Namespace, source: Path) -> None:
    tls = "tls internal" if given.tls == "internal" else ""
    text = string.Template((source / "Caddyfile").read_text()).substitute(
        name=given.name, airflow=given.airflow_name, tls=tls
    )
    ours = text.partition("\n")[0]
    if CADDYFILE.exists() and not CADDYFILE.read_text().startswith(ours):
        machine.file(CADDYS_BEFORE, CADDYFILE.read_bytes())
    machine.file(CADDYFILE, text)
    machine.ensure(
        "caddy takes its file",
        lambda: not machine.touched(f"file {CADDYFILE}"),
        lambda: run("systemctl", "reload-or-restart", "caddy"),
    )


def processes(machine: Machine) -> None:
    """All on, now and at boot; what runs on something older is restarted, web first."""
    for unit in PROCESSES:
        because = (
            f"link {CURRENT}",
            f"/{unit}",
            "hardened.conf",
            "user deployer",
            "webhook_secret",
        )
        restarted(machine, unit, *because, f"{unit.removesuffix('.service')}.env")
    for unit in ("deployer-web.socket", *PROCESSES, *TIMERS, "caddy.service"):
        started(machine, unit)


def restarted(machine: Machine, unit: str, *because: str) -> None:
    """Restart what runs, if one of `because` was changed.

    The web's socket stays: who connects meanwhile waits, and is not refused.
    """
    machine.ensure(
        f"restart {unit}",
        lambda: not machine.touched(*because) or not works("systemctl", "is-active", unit),
        lambda: run("systemctl", "restart", unit),
    )


def started(machine: Machine, unit: str) -> None:
    machine.ensure(
        f"start {unit}, also at boot",
        lambda: works("systemctl", "is-enabled", unit) and works("systemctl", "is-active", unit),
        lambda: run("systemctl", "enable", "--now", unit),
    )


def stack(machine: Machine) -> None:
    """The class's Airflow, on the packages that it has."""

    def start() -> None:
        compose, worker = ("docker", "compose"), PROCESSES[-1]
        # At a rollout it runs Compose too, and either would take away what the other waits for.
        run("systemctl", "stop", worker)
        try:
            works(*compose, "cp", "airflow-scheduler:/opt/deployer/requirements.txt", ".", cwd=ETC)
            run(*compose, "build", cwd=ETC)
            # Its tasks end first, for which they need the API: `up` would stop all at once.
            run(*compose, "stop", "airflow-scheduler", cwd=ETC)
            run(*compose, "up", "--detach", "--wait", cwd=ETC)
        finally:
            run("systemctl", "start", worker)

    def runs() -> bool:
        listed = ("docker", "compose", "ps", "--services", "--status", "running")
        return works(*listed, cwd=ETC) and set(run(*listed, cwd=ETC).split()) >= STACK

    def make_accounts() -> None:
        # Compose 2.26 was seen to stay attached, without an end, to what has ended.
        run("docker", "compose", "up", "--detach", "--no-deps", "airflow-init", cwd=ETC)
        run("docker", "compose", "wait", "airflow-init", cwd=ETC)

    built = "the class's Airflow is built and started"
    machine.ensure(
        built,
        lambda: (
            not machine.touched(f"file {ETC}/include", "/Dockerfile", "docker-compose", "/.env")
            and runs()
        ),
        start,
    )
    machine.ensure(
        "accounts are made in Airflow",
        # Built in this run: one that was cut off may have begun it and come no further.
        lambda: built in machine.changed or not machine.touched(f"file {ETC}/students"),
        make_accounts,
    )
