"""Compare the class repository's compose file with the operator's own copy.

The operator's copy alone is used: a compose file decides what runs on the VM, and with
which rights, so a push must not be able to change it.
"""

from __future__ import annotations

from deployer.core.model import COMPOSE_FILE


def drift(pushed: str | None, own: str | None) -> str | None:
    """Return a sentence that says the two differ, None if they do not.

    A repository without the file, or an operator without a copy (the embedded Airflow), has
    nothing to differ. Line ends and blank ends of lines do not count.
    """
    if pushed is None or own is None or _lines(pushed) == _lines(own):
        return None
    return (
        f"{COMPOSE_FILE} of the repository differs from the operator's copy, which stays in use;"
        " the teacher may look at the difference and copy it by hand"
    )


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]
