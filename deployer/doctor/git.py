"""The class repository at its host, and the mirror of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deployer.core.doctor.lines import Ailment, NotApplicable
from deployer.core.doctor.stack_rules import drift
from deployer.core.model import COMPOSE_FILE
from deployer.core.reporting.git_words import cause
from deployer.edges.git.command import GitRunner, Ran

ASK_S: Final = 15.0
LOCAL_S: Final = 20.0
_NO_SUCH_REF: Final = 2  # git-ls-remote(1), --exit-code


@dataclass(frozen=True, slots=True)
class ClassRepository:
    """Where the class repository is, as in the settings; `mirror` need not exist."""

    url: str
    branch: str
    mirror: Path
    token: str | None = field(default=None, repr=False)

    def ask_host(self) -> str:
        """Tell whether the branch can be fetched.

        Raises:
            Ailment, GitError
        """
        git = GitRunner(self.url, token=self.token)
        host = git.redacted(self.url)
        ran = git.run(
            f"--git-dir={os.devnull}",
            *("ls-remote", "--exit-code", "--end-of-options", self.url),
            self._ref,
            timeout_s=ASK_S,
            asks_host=True,
        )
        if ran.status == _NO_SUCH_REF:
            raise Ailment(
                f"{host} has no branch {self.branch}", "set DEPLOYER_BRANCH to one it has"
            )
        if ran.timed_out:
            raise Ailment(
                f"{host} did not answer within {ASK_S:g} s",
                "see that this machine reaches it (proxy, firewall, name service)",
            )
        if ran.status != 0:
            raise Ailment(
                f"git can't fetch from {host}: {cause(ran.words, host)}",
                "see DEPLOYER_REPO_URL; a private repository needs DEPLOYER_GITHUB_TOKEN with"
                " `Contents: read`",
            )
        return f"{host} has {self.branch}, its tip is {ran.out[:7].decode()}"

    def check_mirror(self) -> str:
        """Tell whether the mirror is whole and can be written by this user.

        Raises:
            Ailment, GitError
        """
        own = "run doctor as the worker's user, or give that user the directory (chown -R)"
        parts = (self.mirror.parent, self.mirror, self.mirror / "objects", self.mirror / "refs")
        try:
            made = _exists(self.mirror / "HEAD")
            above = next(path for path in self.mirror.parents if _exists(path))
        except OSError as exc:
            raise Ailment(f"{self.mirror} can't be seen by this user: {exc.strerror}", own) from exc
        for path in parts if made else (above,):
            if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
                raise Ailment(f"{path} can't be written by this user", own)
        if not made:
            return f"there is none yet: the worker's first fetch makes {self.mirror}"
        ran = self._read("fsck", "--connectivity-only", "--no-dangling", "--no-progress")
        if ran.timed_out:
            raise Ailment(
                f"{self.mirror} could not be read through within {LOCAL_S:g} s",
                "see whether its disk is overloaded",
            )
        tip = self._read("rev-parse", "--verify", "--quiet", f"{self._ref}^{{commit}}")
        if ran.status != 0 or tip.status != 0:
            raise Ailment(
                f"{self.mirror} is damaged or lacks {self.branch}",
                f"stop the worker, remove {self.mirror}, start it: its first fetch makes it anew",
            )
        return f"{self.mirror} is whole and writable, {self.branch} is at {tip.out[:7].decode()}"

    def compare_stack(self, own: Path) -> str:
        """Tell whether the repository's compose file is the operator's.

        Raises:
            NotApplicable: there is no mirror yet, or `own` can't be read.
            Ailment: they differ. GitError
        """
        listed = self._read("ls-tree", "--full-tree", self._ref, "--", COMPOSE_FILE)
        if listed.status != 0:
            raise NotApplicable("can't be told: see mirror")
        if not listed.out:
            return f"the repository has no {COMPOSE_FILE}"
        pushed = self._read("cat-file", "blob", f"{self._ref}:{COMPOSE_FILE}")
        try:
            text = own.read_text(encoding="utf-8", errors="replace")
        except OSError as exc:
            raise NotApplicable("can't be told: see compose file") from exc
        if drift(pushed.out.decode(errors="replace"), text):
            raise Ailment(
                f"{COMPOSE_FILE} of {self.branch} differs from {own}, which stays in use",
                f"look at the difference (git --git-dir={self.mirror} show"
                f" {self.branch}:{COMPOSE_FILE} | diff {own} -); if you want it, copy it to {own}"
                " and run `docker compose up -d`",
            )
        return f"the same as {own}"

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.branch}"

    def _read(self, *args: str) -> Ran:
        return GitRunner(self.url).run(f"--git-dir={self.mirror}", *args, timeout_s=LOCAL_S)


def _exists(path: Path) -> bool:
    """Tell whether `path` is there; unlike pathlib's in some versions, raise if that is hidden."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
