"""Read Python's tracebacks as Airflow stores them in its import errors.

What Airflow keeps (3.3.2, dag_processing/importers/python_importer.py:238, dagbag.py:365,
processor.py:283) is one of

- `traceback.format_exc`: frames, then `type: message`, with chained exceptions before it;
- `type: message` alone, for what a DAG is refused for after its file was imported: a cycle,
  the class's policy, an unknown executor;
- a bare sentence.
"""

from __future__ import annotations

import re

from deployer.core.model import ParseError
from deployer.masking import anonymous

UNNAMED = "DagImportError"
"""Type of an error for which Airflow kept a bare sentence: its own class for that."""

MAX_MESSAGE = 500
"""Characters of a message, enough for any page; the trace has it whole."""
MAX_TYPE = 100
"""Characters of the name of an error, which may be as long as its author likes."""

_CHAINED = re.compile(
    r"\n\n(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):\n\n"
)
_HEADER = re.compile(
    r"^(?:  \+ Exception Group )?Traceback \(most recent call last\):$", re.MULTILINE
)
# A file's name may hold quotes; atomic, or a line of many such places would take their square.
_PLACE_IN_FILE = r'^[ |]*File "(?>(?P<file>.+)", line (?P<line>\d{1,9}))'
_FRAME = re.compile(_PLACE_IN_FILE, re.MULTILINE)
_SOURCE = re.compile(_PLACE_IN_FILE + r"(?>.*)\n[ |]{4,}(?P<code>.+)", re.MULTILINE)
"""What Python shows of a line."""
_OWN = re.compile(r"(?:^|/)(?:dags|include)/.")
_MEMBERS = re.compile(r"^  \+-\+-", re.MULTILINE)  # where the exceptions inside a group begin
_MEMBER = re.compile(r"^ +\| ((?!Exception Group |Traceback )[A-Za-z_][\w.]*: .*)", re.MULTILINE)
_BAR = re.compile(r"^  \| ", re.MULTILINE)  # what a group's own lines begin with
_ERROR = re.compile(r"(?P<type>[A-Za-z_][\w.<>]*)(?:: ?(?P<message>.*))?")
_NAMED = re.compile(r"[A-Za-z_][\w.]*: \S")
_FIELDS = re.compile(r"\d+ validation errors? for ")  # pydantic
_FIELD = re.compile(r"^(\S.*)?\n?  (?! )(.+?)(?: \[type=.*)?$", re.MULTILINE)
_PLACE = re.compile(r'^(\S.*)\n +(in ".*", (?:line|position) [^:\n]*)', re.MULTILINE)  # YAML
_IN_INI = re.compile(r"^(file: .+, line: \d+|\t\[line +\d+\]: .+)$", re.MULTILINE)  # configparser
_PROPERTY = re.compile(r"^On (\w+\[.+\]):$", re.MULTILINE)  # jsonschema
_URL = r"(\w+://[^\s\"']+)"  # its path is nobody's here
# What `edges.releases` names: a release, or what is laid out for an examination.
_RELEASE = re.compile(
    _URL + r"|(?:/[^\s\"'/]+)*/releases/(?:[0-9a-f]{40}(?:-[1-9][0-9]*)?|\.tmp-[^/\s\"']+)/"
)


def read(trace: str, path: str) -> ParseError:
    """Return type, message and line of an import error of the file `path`.

    `path` is relative to the repository's root, while the trace holds absolute ones. The
    line is the last one of that file that the trace shows, so a helper's error is put down
    to the line that imports it; of a zip, it is the line in the module within. None if
    Airflow's trace, which has a limited depth, does not reach the file.

    The message is one line, with paths cut down to those of the repository. An error without a
    message has the line of code that raised it. Credentials are masked in all of it.
    """
    trace = anonymous(trace)
    *before, last = _CHAINED.split(trace)
    last, member = _own_part(last)
    name, message = _error(last)
    if message in {"", "None"}:  # what `raise ValueError` and `sys.exit()` say
        shown = [at["code"] for at in _SOURCE.finditer(last) if _OWN.search(at["file"])]
        message = shown[-1] if shown else "no reason given"
    message += member
    return ParseError(
        name,
        _shorten(message[:MAX_MESSAGE], path),
        _line("\n".join([*before, last]), path),
        trace=trace,
    )


def ended(what: str, log: str) -> str:
    """Return `what` a program did, with the line of its log that says best why; the log follows.

    Of a trace that is the error: frames above it are indented, what hints below it has no name.
    """
    lines = log.splitlines()
    said = [line for line in lines if line and not line[0].isspace()]
    named = [line for line in said if _NAMED.match(line)]
    first = ": ".join([what, *(named or said)[-1:]])
    return "\n".join([first, *(lines if len(lines) > 1 else ())])


def _own_part(block: str) -> tuple[str, str]:
    """Return a block without the exceptions that are members of a group, and the first of these."""
    members = _MEMBERS.search(block)
    if not members:
        return block, ""
    first = _MEMBER.search(block, members.end())
    return block[: members.start()], f": {first[1]}" if first else ""


def _error(block: str) -> tuple[str, str]:
    """Return the short name of the type, and the message, of one traceback."""
    header = _HEADER.search(block)
    if header:
        lines = _BAR.sub("", block[header.end() :]).splitlines()
        # Frames, and the source lines in them, are indented.
        first = next((n for n, line in enumerate(lines) if line and line[0] != " "), len(lines))
    else:
        lines = block.strip().splitlines()
        first = 0
    said = lines[first:]
    if not said:
        return UNNAMED, "no reason given"
    error = _ERROR.fullmatch(said[0])
    if error is None:
        return UNNAMED, said[0]
    name = error["type"].rpartition(".")[2][:MAX_TYPE]
    return name, _one_line([error["message"] or "", *said[1:]])


def _one_line(lines: list[str]) -> str:
    """Return what of a message says what is wrong, and where.

    That is its first line that says something, with the next one where it ends in a colon; and what
    pydantic says of each field, YAML and configparser of the place, and jsonschema of the property.
    """
    text = "\n".join(line for line in lines if line.strip())
    first, _, rest = text.partition("\n")
    if _FIELDS.match(first):
        fields = (": ".join(filter(None, field)) for field in _FIELD.findall(rest))
        return f"{first}: {'; '.join(fields)}"
    if places := _PLACE.findall(text):
        problem, place = places[-1]
        return f"{problem} {place}"
    if found := _IN_INI.search(rest):
        return f"{first} {found[1].strip()}"
    if found := _PROPERTY.search(rest):
        return f"{first}, on {found[1]}"
    goes_on = first.rstrip().endswith(":")
    return " ".join([first.strip(), *rest.strip().splitlines()[:goes_on]])


def _line(text: str, path: str) -> int | None:
    numbers = [int(frame["line"]) for frame in _FRAME.finditer(text) if _is_of(frame["file"], path)]
    return numbers[-1] if numbers else None


def _is_of(file: str, path: str) -> bool:
    """Tell whether an absolute file name is that of `path`, or lies within the zip `path`."""
    file = f"/{file}"
    return file.endswith(f"/{path}") or (path.endswith(".zip") and f"/{path}/" in file)


def _shorten(message: str, path: str) -> str:
    """Cut the part of a path that is a server's and not the repository's; addresses stay whole."""
    own = re.compile(rf"{_URL}|/[^\s\"']*/{re.escape(path)}")
    message = own.sub(lambda found: found[1] or path, message)
    return _RELEASE.sub(r"\1", message)
