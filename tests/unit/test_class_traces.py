"""Of an error's long text that is kept from which type, line and message are read."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from deployer.core.verdicts import trace

FILES = Path(__file__).parents[2] / "include" / "airflow"

with pytest.MonkeyPatch.context() as patched:
    patched.syspath_prepend(str(FILES))  # as Airflow's processes have it
    traces = import_module("class_traces")

PATH = "dags/lasse/rows.py"
PYDANTIC = (
    "pydantic_core._pydantic_core.ValidationError: 240 validation errors for Row\n"
    + "".join(
        f"{row}.name\n  Input should be a valid string [type=string_type, input_value={row}]\n"
        "    For further information visit https://errors.pydantic.dev/2.12/v/string_type\n"
        for row in range(240)
    )
)
LONG = f"ValueError: {'x' * 100_000}\n"
AGAIN = "\nDuring handling of the above exception, another exception occurred:\n\n"


def raised(line: int, error: str) -> str:
    place = f'  File "/srv/releases/{"a" * 40}/{PATH}", line {line}, in <module>\n    read()\n'
    return f"Traceback (most recent call last):\n{place}{error}"


@pytest.mark.parametrize(
    ("text", "error", "line", "message"),
    [
        (raised(8, PYDANTIC), "ValidationError", 8, "240 validation errors for Row: 0.name: Input"),
        (raised(8, LONG), "ValueError", 8, "xxx"),
        (raised(8, LONG) + AGAIN + raised(9, "KeyError: 'a'\n"), "KeyError", 9, "'a'"),
        (raised(8, "KeyError: 'a'\n") + AGAIN + raised(9, LONG), "ValueError", 9, "xxx"),
    ],
    ids=["pydantic's", "a long one", "one after a long one", "a long one after another"],
)
def test_a_long_error_keeps_its_type_its_line_and_what_its_message_begins_with(
    text: str, error: str, line: int, message: str
) -> None:
    kept = traces.kept(text)
    assert len(kept) <= traces.MOST < len(text)
    read = trace.read(kept, PATH)
    assert (read.type, read.line) == (error, line)
    assert read.message.startswith(message)


def test_one_that_is_not_long_is_kept_as_it_is() -> None:
    text = "x" * traces.MOST
    assert traces.kept(text) == text
