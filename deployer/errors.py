"""Everything this program raises on purpose, in one tree; `core/doctor.py` has its own two.

    DeployerError
    ├── PusherError            the author of the push can mend it
    │   └── RequirementsRefused
    ├── OperatorError          the teacher's side; tried again on its own
    │   ├── GitError
    │   │   ├── NothingPushed
    │   │   └── UnknownCommit
    │   ├── AirflowError
    │   │   ├── AirflowUnreachable
    │   │   └── DagProcessorEnded
    │   ├── MayNot
    │   ├── ServicesError
    │   │   └── NotHealthy
    │   ├── PreflightError
    │   ├── DiskError
    │   └── JournalError
    ├── WebhookRejected        an HTTP request that is not a delivery of ours
    ├── SettingsError          all mistakes of the settings at once
    ├── AirflowKept            another Airflow was asked for, and the one before runs on
    ├── WrongPlace             a command was given, or started at, a place that is none for it
    ├── NotNow                 something is at work that has to end first
    └── WorkerRunning          a second worker on the same state or checkout

A message says what happened, where, and what to do next. It is shown to
students and the teacher alike, so it never holds a secret: what it quotes of a push, or of
a tool that was given one, is masked here, whoever raises it.
"""

from __future__ import annotations

from collections.abc import Sequence

from deployer.masking import masked


class DeployerError(Exception):
    """Root of all errors raised on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(masked(message))


class PusherError(DeployerError):
    """The author of the push can mend it: ends as `failed` or `broken`."""


class RequirementsRefused(PusherError):
    """`requirements.txt` can't be read or installed.

    Attributes:
        line: number of the offending line, from 1; None if no single line is to blame.
        reason: one sentence for a status, without the line number.
        path: the DAG file for whose sake it is refused, None if it is no file's matter.
    """

    def __init__(self, reason: str, *, line: int | None = None, path: str | None = None) -> None:
        self.reason = masked(reason)
        self.line = line
        self.path = path
        super().__init__(
            f"requirements.txt:{line} {reason}" if line else f"requirements.txt: {reason}"
        )


class OperatorError(DeployerError):
    """The operator's side failed: ends as `error`, tried again on its own."""


class GitError(OperatorError):
    """Git, or the repository's host, did not do what was asked."""


class NothingPushed(GitError):
    """The repository at its host is empty: it has no branch at all."""


class UnknownCommit(GitError):
    """The mirror holds no such commit."""


class AirflowError(OperatorError):
    """Airflow answered, but not as its API promises (rights, version, a 5xx)."""


class AirflowUnreachable(AirflowError):
    """No answer from Airflow within the bound."""


class DagProcessorEnded(AirflowError):
    """Airflow's dag-processor ran when a release went live, and ended while it was judged."""


class MayNot(OperatorError):
    """GitHub's token has no right to that; what it may not see GitHub says is not there."""


class ServicesError(OperatorError):
    """Airflow's processes or containers could not be built, started or found healthy."""


class NotHealthy(ServicesError):
    """Airflow's processes or containers were started, and do not work; ends with log lines."""


class PreflightError(OperatorError):
    """The isolated parser itself does not work; says nothing about the files."""


class DiskError(OperatorError):
    """A release, or packages, could not be written."""


class JournalError(OperatorError):
    """The journal can't be read or written."""


class WebhookRejected(DeployerError):
    """An HTTP request that is not a delivery of ours.

    Attributes:
        http_status: what GitHub is answered, e.g. 401.
    """

    def __init__(self, http_status: int, reason: str) -> None:
        self.http_status = http_status
        super().__init__(reason)


class SettingsError(DeployerError):
    """All mistakes of the settings, so that one round mends them.

    Attributes:
        mistakes: one line each.
    """

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class WrongPlace(DeployerError):
    """A command was given a path, or started in a folder, that it can do nothing with."""


class AirflowKept(DeployerError):
    """Another version of Airflow was asked for, and is not put in; the message says why."""


class NotNow(DeployerError):
    """Something is at work that has to end first; the message names it."""


class WorkerRunning(DeployerError):
    """Another worker holds this state, or this checkout; the message names it."""
