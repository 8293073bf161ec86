"""Draw working copies of a class repository, and what a student does in one before a push."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from deployer.core.model import REQUIREMENTS
from tests.reliability.texts_decide import (
    COMMON_IDS,
    DAG_FILES,
    HELPERS,
    SHARED,
    STUDENTS,
    Kind,
    written,
)

NEW = ("new", "other")
DAG_KINDS = (*(Kind.FINE,) * 5, Kind.BROKEN, Kind.HARM, Kind.EMPTY, Kind.CLAIM)
MODULE_KINDS = (*(Kind.FINE,) * 6, Kind.BROKEN, Kind.HARM)
ASKED = ("package==1\n", "package==2\n", "-e nonsense\n")
TOO_LARGE = 50_000_001


class Draw:
    """Draws what is done in a working copy at `root`; `story`: what was."""

    def __init__(self, dice: random.Random, root: Path, git: Callable[..., str]) -> None:
        self._dice = dice
        self._root = root
        self._git = git
        self._version = 0
        self._is_calm = dice.random() < 0.5  # whoever writes a text does it well
        self.story: list[str] = []
        self._acts: tuple[Callable[[], str | None], ...] = (
            *(self._write,) * 6,
            *(self._remove, self._rename) * 2,
            self._rename_folder,
            self._remove_folder,
            self._link,
            self._link_folder,
            self._run_bit,
            self._git_ignore,
            self._airflow_ignore,
            self._ask_for_packages,
            self._grow,
            self._odd_name,
            self._file_to_folder,
            self._folder_to_file,
            self._repository_within,
        )

    def begin(self) -> None:
        for path in (*DAG_FILES, *HELPERS, *SHARED):
            if path == DAG_FILES[0] or self._dice.random() < 0.7:
                self._put(path)
        if self._dice.random() < 0.3:
            self._airflow_ignore()
        if self._dice.random() < 0.3:
            self._link()
        self.story += [f"at first: {path}" for path in self._files()]

    def change(self) -> None:
        for _ in range(self._dice.choice((1, 1, 2, 3, 5))):
            if did := self._dice.choice(self._acts)():
                self.story.append(did)

    def places(self, base: str) -> tuple[list[str], bool]:
        """Return what names all that was changed since `base`, and whether it names no more.

        Nothing, where packages are asked for: all is judged then that imports any.
        """
        moved = self._git("diff", "--name-only", "-z", "--no-renames", base)
        new = self._git("ls-files", "-z", "--others", "--exclude-standard")
        names = [name.rstrip("/") for name in (moved + new).split("\0")]
        changed = {name for name in names if name.startswith(("dags/", "include/"))}
        if REQUIREMENTS in names:  # then all is judged that imports packages
            return [], False
        # Where an ignore file was changed, all below its folder is checked.
        exact = not any(name.endswith(".airflowignore") for name in changed)
        if changed and self._dice.random() < 0.6 and all(map(self._is_there, changed)):
            return sorted(changed), exact
        folders = {"/".join(name.split("/")[:2][: name.count("/")]) for name in changed}
        return sorted(folders if all(map(self._is_there, folders)) else {"dags", "."}), False

    def _is_there(self, path: str) -> bool:
        """Tell whether something is there, and not behind a link."""
        file = self._root / path
        return os.path.lexists(file) and file.parent.resolve() == file.parent

    # -- what is done

    def _put(self, path: str, like: str | None = None) -> str:
        self._version += 1
        like = like or path
        kinds = DAG_KINDS if like in DAG_FILES else MODULE_KINDS
        kind = Kind.FINE if self._is_calm else self._dice.choice(kinds)
        mine = "/".join(path.split("/")[:-1])
        pool = [p for p in (*HELPERS, *SHARED) if p != path]
        if like in HELPERS:
            pool = list(SHARED)
        elif like in SHARED:
            pool = [one for one in SHARED if one > path]
        else:
            pool = [*SHARED, f"{mine}/help.py" if mine != "dags" else SHARED[0], *HELPERS]
        if self._is_calm:
            pool = [one for one in pool if (self._root / one).is_file()]
        needs = {one for one in pool if self._dice.random() < 0.25}
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        text = written(like, kind, self._version, needs)
        if dag_id := COMMON_IDS.get(kind):
            text += f"# {dag_id}\n"
        file.write_text(text)
        return f"{path}: {kind} needs {sorted(needs)}"

    def _write(self) -> str | None:
        path = self._dice.choice((*DAG_FILES, *HELPERS, *SHARED, self._fresh()))
        if self._blocked(path):
            return None
        like = path if path in {*DAG_FILES, *HELPERS, *SHARED} else DAG_FILES[0]
        return "write " + self._put(path, like)

    def _fresh(self) -> str:
        return f"dags/{self._dice.choice(STUDENTS)}/{self._dice.choice(NEW)}.py"

    def _blocked(self, path: str) -> bool:
        """Tell whether something that is no folder, or a link, is in the way."""
        file = self._root / path
        ups = [up for up in file.parents if up != self._root and self._root in up.parents]
        return (
            file.is_symlink()
            or file.is_dir()
            or any(up.is_symlink() or (up.exists() and not up.is_dir()) for up in ups)
        )

    def _files(self) -> list[str]:
        found = []
        for top in ("dags", "include"):
            for at, folders, files in os.walk(self._root / top):
                folders[:] = [one for one in folders if one != ".git"]
                found += [os.path.relpath(Path(at, one), self._root) for one in files]
        return sorted(found)

    def _any_file(self) -> str | None:
        files = [path for path in self._files() if path != DAG_FILES[0] and ".git/" not in path]
        return self._dice.choice(files) if files else None

    def _remove(self) -> str | None:
        path = self._any_file()
        if path is None:
            return None
        if self._dice.random() < 0.5:
            self._git("rm", "--quiet", "--force", "--ignore-unmatch", "--", path)
        (self._root / path).unlink(missing_ok=True)
        return f"remove {path}"

    def _rename(self) -> str | None:
        path, to = self._any_file(), self._fresh()
        if path is None or self._blocked(to) or self._blocked(path):
            return None
        (self._root / to).parent.mkdir(parents=True, exist_ok=True)
        (self._root / path).rename(self._root / to)
        return f"rename {path} to {to}"

    def _rename_folder(self) -> str | None:
        who, to = self._dice.sample((*STUDENTS[1:], "dora"), 2)
        old, new = self._root / "dags" / who, self._root / "dags" / to
        if not old.is_dir() or old.is_symlink() or os.path.lexists(new):
            return None
        old.rename(new)
        return f"rename dags/{who} to dags/{to}"

    def _remove_folder(self) -> str | None:
        who = self._dice.choice(STUDENTS[1:])
        folder = self._root / "dags" / who
        if not folder.is_dir() or folder.is_symlink():
            return None
        shutil.rmtree(folder)
        return f"remove dags/{who}"

    def _link(self) -> str | None:
        path = self._fresh()
        to = self._dice.choice(("x.py", "../ben/y.py", "help.py", "nothing.py", "../../../out.py"))
        if self._blocked(path) or (self._root / path).exists():
            return None
        (self._root / path).parent.mkdir(parents=True, exist_ok=True)
        (self._root / path).symlink_to(to)
        return f"link {path} to {to}"

    def _link_folder(self) -> str | None:
        who, to = self._dice.sample(STUDENTS[1:], 2)
        folder = self._root / "dags" / who
        if folder.is_symlink() or not (self._root / "dags" / to).is_dir():
            return None
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            return None
        folder.symlink_to(to)
        return f"dags/{who} is a link to dags/{to}"

    def _run_bit(self) -> str | None:
        path = self._any_file()
        if path is None or (self._root / path).is_symlink():
            return None
        (self._root / path).chmod(0o755)
        return f"chmod +x {path}"

    def _git_ignore(self) -> str:
        line = self._dice.choice(("new.py", "dags/ben/", "*.sql", "/include/m2.py", "y.py"))
        with (self._root / ".gitignore").open("a") as file:
            file.write(f"{line}\n")
        return f".gitignore: {line}"

    def _airflow_ignore(self) -> str | None:
        where = self._dice.choice(("dags", "dags/anna", "dags/ben"))
        path = f"{where}/.airflowignore"
        if self._blocked(path):
            return None
        text = self._dice.choice(("x.py\n", "y.py\n", "new.py\n", "**\n", "ben/\n", "", "é\udcff"))
        (self._root / where).mkdir(parents=True, exist_ok=True)
        (self._root / path).write_bytes(os.fsencode(text))
        return f"{path}: {text!r}"

    def _ask_for_packages(self) -> str:
        text = self._dice.choice(ASKED)
        (self._root / REQUIREMENTS).write_text(text)
        return f"{REQUIREMENTS}: {text!r}"

    def _grow(self) -> str | None:
        path = self._dice.choice(("dags/anna/data.py", "dags/ben/y.py", "include/m2.py"))
        if self._dice.random() < 0.8 or self._blocked(path):
            return None
        (self._root / path).parent.mkdir(parents=True, exist_ok=True)
        with (self._root / path).open("ab") as file:
            file.truncate(TOO_LARGE)
        return f"{path} is too large"

    def _odd_name(self) -> str | None:
        name = self._dice.choice((b"\xe9.py", b"a\tb.py", b"x\n.py", "süß.py".encode()))
        path = f"dags/anna/{os.fsdecode(name)}"
        return "write " + repr(self._put(path, DAG_FILES[0]))

    def _file_to_folder(self) -> str | None:
        path = self._any_file()
        if path is None or self._blocked(path):
            return None
        (self._root / path).unlink()
        return "in its place a folder: " + self._put(f"{path}/main.py", DAG_FILES[0])

    def _folder_to_file(self) -> str | None:
        who = self._dice.choice(STUDENTS[1:])
        folder = self._root / "dags" / who
        if folder.is_symlink() or not folder.is_dir():
            return None
        shutil.rmtree(folder)
        folder.write_text("no folder any more\n")
        return f"dags/{who} is a file"

    def _repository_within(self) -> str | None:
        who = self._dice.choice(STUDENTS[1:])
        folder = self._root / "dags" / who / "theirs"
        if self._blocked(f"dags/{who}/theirs/x.py") or folder.exists():
            return None
        folder.mkdir(parents=True)
        (folder / "x.py").write_text("from airflow.sdk import dag\n")
        at = ("-C", str(folder))
        self._git(*at, "init", "--quiet")
        self._git(*at, "add", "--all")
        self._git(*at, "commit", "--quiet", "--message", "theirs")
        return f"a repository: dags/{who}/theirs"
