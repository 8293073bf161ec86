"""A student with a clone of the class repository, and the DAG files that students write."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from git.cmd import Git

WEATHER = "dags/maria/weather.py"
TAXI = "dags/lasse/taxi_pipeline.py"


@dataclass(frozen=True, slots=True)
class Push:
    """One push: its commit, and when it was begun (monotonic seconds)."""

    sha: str
    began: float


@dataclass(frozen=True, slots=True)
class Student:
    """Someone who edits, commits and pushes; `copy` is the working copy."""

    name: str
    copy: Path

    @classmethod
    def clone(cls, name: str, url: str, students: Path) -> Self:
        """Return the student with a clone in a folder of their own, made if it is not there."""
        student = cls(name, students / name)
        if not student.copy.exists():
            student.copy.mkdir(parents=True)
            student.git("clone", "--quiet", url, ".")
        return student

    def git(self, *args: str) -> str:
        """Run git as this student.

        Raises:
            git.GitCommandError
        """
        runner = Git(str(self.copy))
        runner.update_environment(
            GIT_CONFIG_NOSYSTEM="1",
            GIT_CONFIG_GLOBAL=os.devnull,
            GIT_TERMINAL_PROMPT="0",
            GIT_AUTHOR_NAME=self.name,
            GIT_AUTHOR_EMAIL=f"{self.name}@class.example",
            GIT_COMMITTER_NAME=self.name,
            GIT_COMMITTER_EMAIL=f"{self.name}@class.example",
        )
        return str(runner.execute(["git", *args]))

    def pull(self) -> None:
        """Take over what others pushed; an empty repository has nothing to take."""
        if self.git("ls-remote", "--heads", "origin", "main"):
            self.git("pull", "--quiet", "--rebase", "origin", "main")

    def commit(self, message: str, files: Mapping[str, str | bytes | None]) -> str:
        """Write `files` (None deletes one), commit, and return the commit's id."""
        self.pull()
        for path, text in files.items():
            if text is None:
                self.git("rm", "--quiet", path)
                continue
            place = self.copy / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text.encode() if isinstance(text, str) else text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def push(self, *, force: bool = False) -> Push:
        """Push what is committed."""
        sha = self.git("rev-parse", "HEAD")
        began = time.monotonic()
        self.git("push", "--quiet", "origin", f"{'+' if force else ''}HEAD:main")
        return Push(sha, began)

    def read(self, path: str) -> str:
        """Return a file as it was pushed last."""
        self.pull()
        return (self.copy / path).read_text(encoding="utf-8")


def dag_file(student: str, name: str, *, imports: str = "", body: str = "return 1") -> str:
    """Return the text of a small DAG file that follows the class's conventions."""
    return f'''\
"""{student}'s {name}."""

from __future__ import annotations

import pendulum
{imports}from airflow.sdk import dag, task


@dag(
    dag_id="{student}_{name}",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["student:{student}"],
    default_args={{"owner": "{student}"}},
)
def {name}():
    @task
    def work() -> int:
        {body}

    work()


{name}()
'''
