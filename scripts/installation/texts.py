"""Files of /etc/deployer: made from what is there, so that what the teacher wrote in them stays."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Collection, Iterable, Mapping

READABLE = "abcdefghjkmnpqrstuvwxyz23456789"
"""Letters of a password that is read off a sheet: none looks like another."""


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Set names in an env file: where they stand, as a comment too, else at its end."""
    for name, value in values.items():
        line = f"{name}={value}"
        for old in (rf"(?m)^{name}=.*$", rf"(?m)^#{name}=.*$"):
            if re.search(old, text):
                text = re.sub(old, lambda _, line=line: line, text, count=1)  # type: ignore[misc]
                break
        else:
            text += f"{line}\n"
    return text


def value(text: str, name: str) -> str:
    """Return what an env file says of a name, empty if nothing."""
    found = re.search(rf"(?m)^{name}=(.*)$", text)
    return found[1] if found else ""


def unchanged(text: str, settings: Mapping[str, str], now: Collection[str]) -> dict[str, str]:
    """Return those settings that an env file is to have: of before only what is missing there.

    What has another value since then was given it by the teacher, or by `airflow-version`.
    """
    return {name: to for name, to in settings.items() if name in now or not value(text, name)}


def with_secrets(text: str, example: str) -> str:
    """Give a random value to each name that the example leaves empty and `text` has none for."""
    names = re.findall(r"(?m)^(\w+)=$", example)
    return with_values(text, {name: secret(name) for name in names if not value(text, name)})


def secret(name: str = "") -> str:
    size = 32 if name == "AIRFLOW_FERNET_KEY" else 48
    return base64.urlsafe_b64encode(secrets.token_bytes(size)).decode()


def with_students(text: str, names: Iterable[str]) -> str:
    """Add those who are not in the list, with a password that can be read off a sheet."""
    there = {line.partition(":")[0] for line in text.splitlines()}
    for name in dict.fromkeys(names):
        if name not in there:
            parts = ("".join(secrets.choice(READABLE) for _ in range(5)) for _ in range(3))
            text += f"{name}:{'-'.join(parts)}\n"
    return text


def to_hand_out(students: str, airflow: str) -> str:
    """Return the sheet, a line for each student."""
    lines = [line for line in students.splitlines() if ":" in line and not line.startswith("#")]
    return "".join(
        f"https://{airflow}   account student-{name}   password {password}\n"
        for name, _, password in (line.partition(":") for line in lines)
    )
