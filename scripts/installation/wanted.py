"""What is wanted on the machine, part by part: a version's files in their places, all running."""

from __future__ import annotations

import argparse
import string
from pathlib import Path

from scripts.installation import answers, places, texts
from scripts.installation.machine import Failed, Machine, run, systemctl, works
from scripts.installation.places import (
    ANSWERS,
    CADDYFILE,
    CADDYS_BEFORE,
    CADDYS_REPLACED,
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


LOADS = """
import sys
from deployer import config, errors
try:
    config.load({"DEPLOYER_ENV_FILE": "/dev/stdin"})
except errors.SettingsError as exc:
    sys.exit(str(exc))
"""


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
    settings(machine, given, source, OPT / name / "bin/python")
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


def settings(machine: Machine, given: argparse.Namespace, source: Path, python: Path) -> None:
    """Each process's settings, readable to nobody else; secrets are made once.

    Raises:
        Failed: with them a process would not start; those of before stay.
    """

    def text(name: str) -> str:
        return path.read_text() if (path := ETC / name).exists() else ""

    ours = {k: v for k, v in given.setting.items() if k.startswith("DEPLOYER_")}
    workers = {k: v for k, v in ours.items() if k in WORKERS_ALONE}
    airflows = {k: v for k, v in given.setting.items() if k not in ours}
    example = (source / "airflow.env.example").read_text()
    airflow = texts.with_values(
        texts.with_secrets(text(".env") or example, example),
        texts.unchanged(
            text(".env"),
            {
                "AIRFLOW_BASE_URL": f"https://{given.airflow_name}",
                "CLASS_REPO_URL": f"https://github.com/{given.repo}",
                **airflows,
            },
            given.now,
        ),
    )
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
    # These two are changed in Airflow's own settings.
    now = {*given.now, "DEPLOYER_AIRFLOW_PASSWORD", "DEPLOYER_COMPOSE_FILE"}
    processes = {}
    for file, values in (("deployer-web.env", of_web), ("deployer-worker.env", of_worker)):
        processes[file] = texts.with_values(text(file), texts.unchanged(text(file), values, now))
        if python.exists():  # in a first dry run it is not
            loads(python, processes[file])
    machine.file(ETC / ANSWERS, answers.keep(given), mode=0o600)
    machine.file(ETC / ".env", airflow, "root:deployer", 0o640)
    for file, content in processes.items():
        owner = "root:deployer-web" if "web" in file else "root:deployer"
        machine.file(ETC / file, content, owner, 0o640)
    listed = texts.with_students(text("students"), given.names)
    # Airflow's user is of group 0, and on this machine nobody but root.
    machine.file(ETC / "students", listed, "root:root", 0o640)
    sheet = texts.to_hand_out(listed, given.airflow_name)
    machine.file(ETC / "students-to-hand-out", sheet, mode=0o600)


def loads(python: Path, process: str) -> None:
    """See that a process starts on these settings.

    Raises:
        Failed: it does not; with all mistakes.
    """
    try:
        run(python, "-c", LOADS, given=process)
    except Failed as exc:
        raise Failed(str(exc).partition(" ended with 1:\n")[2]) from exc


def class_files(machine: Machine, source: Path, before: Path) -> None:
    """The teacher's own copies: what was changed in them stays, and is named."""
    names = {"docker-compose.yaml", "docker-compose.plain.yaml", "Dockerfile", ".dockerignore"}
    for folder in (source, before):
        names |= {f"include/airflow/{path.name}" for path in folder.glob("include/airflow/*.*")}
    for name in sorted(names):
        here, was, new = (
            path.read_bytes() if path.exists() else None
            for path in (ETC / name, before / name, source / name)
        )
        if None not in {here, was} and here not in {was, new}:
            if was != new:
                print(f"{ETC / name} is changed by you and stays; the new one is {source / name}")
        elif new is None:
            machine.gone(ETC / name)
        else:
            machine.file(ETC / name, new)
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
    there = CADDYFILE.read_text() if CADDYFILE.exists() else text
    ours = there.startswith(text.partition("\n")[0])
    if there != text:
        machine.file(CADDYS_REPLACED if ours else CADDYS_BEFORE, there)
    machine.file(CADDYFILE, text)
    machine.ensure(
        "caddy takes its file",
        lambda: not machine.touched(f"file {CADDYFILE}"),
        lambda: systemctl("reload-or-restart", unit="caddy"),
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
        lambda: systemctl("restart", unit=unit),
    )


def started(machine: Machine, unit: str) -> None:
    machine.ensure(
        f"start {unit}, also at boot",
        lambda: works("systemctl", "is-enabled", unit) and works("systemctl", "is-active", unit),
        lambda: systemctl("enable", "--now", unit=unit),
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
