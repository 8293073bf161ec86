"""`scripts/soak fuzz N [TARGET…]`: try whatever is read of others with inputs by machine.

Each target says what must hold of each input: no exception but its own, and, where somebody else
knows the answer, the same answer. All of them end within `LONGEST_S` and take no more memory than
`MOST_MB` on top of what the process had.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import logging
import re
import resource
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import structlog
import yaml
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.version import Version
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from deployer.core import doctor as rules
from deployer.core import stack
from deployer.core.doctor import Ailment
from deployer.core.model import Listed, ParseEnd, ParseResult, ProcessorLeft, Told
from deployer.core.reporting import roster
from deployer.core.requirements import meaning
from deployer.core.tree import ignores
from deployer.core.verdicts import trace
from deployer.core.webhook import FORM, JSON, Push, receive
from deployer.edges.airflow.parse_feed import ParseFeedListener
from deployer.errors import RequirementsRefused, ServicesError, WebhookRejected

LONGEST_S = 2.0
"""CPU seconds; a machine that is busy with something else does not count."""
MOST_MB = 250
ROUND = 2_000
"""Inputs between which nothing is kept: hypothesis remembers all of a round."""
BOUND_S = 60.0

SECRET = "a secret of thirty-two characters"
REPO = "teacher/class-airflow"
PATH = "dags/lasse/taxi.py"


@dataclass(frozen=True)
class Target:
    """`holds` fails, or raises, for an input for which something does not hold."""

    inputs: st.SearchStrategy[Any]
    holds: Callable[[Any], None]


# --- what inputs are made of ------------------------------------------------


def of_pieces(pieces: Iterable[str]) -> st.SearchStrategy[str]:
    """Return texts of some pieces in any order, sometimes one of them over and over.

    The last is what finds patterns that take the square of a text's length.
    """
    piece = st.sampled_from(
        [*sorted(pieces), "\0", "\u2028", "\ud800", "\u202e", "é", "\U0001f4a9"]
    )
    mixed = st.lists(piece, max_size=12).map("".join)
    many = st.builds(
        lambda before, piece, times, after: before + piece * times + after,
        mixed,
        st.lists(piece, min_size=1, max_size=2).map("".join),
        st.sampled_from([30, 300, 3_000, 20_000]),
        mixed,
    )
    anything = st.text(st.characters(exclude_categories=()), max_size=20)
    kinds = st.sampled_from([*[mixed] * 17, many, anything, anything])
    return kinds.flatmap(lambda kind: kind)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)

# --- webhook ----------------------------------------------------------------

SHAS = st.sampled_from(["a" * 40, "0" * 40, "b" * 40])
PUSHED = st.fixed_dictionaries(
    {
        "ref": st.sampled_from(["refs/heads/main", "refs/heads/main2", "refs/tags/main"]),
        "before": SHAS,
        "after": SHAS,
        "repository": st.fixed_dictionaries(
            {"full_name": st.sampled_from([REPO, REPO.upper(), "other/repo"])},
            optional={"id": st.integers(-1, 2**64)},
        ),
    },
    optional={
        "deleted": st.booleans(),
        "forced": st.booleans(),
        "pusher": st.fixed_dictionaries({}, optional={"name": st.text()}),
    },
)
SPOILT = st.builds(
    lambda pushed, changed: {**pushed, **changed},
    PUSHED,
    st.dictionaries(
        st.sampled_from(["ref", "before", "after", "repository", "deleted", "forced", "pusher"]),
        JSON_VALUES,
        max_size=2,
    ),
)
BODIES = st.one_of(
    PUSHED.map(lambda one: json.dumps(one).encode()),
    SPOILT.map(lambda one: json.dumps(one).encode()),
    st.binary(max_size=200),
    of_pieces(['{"ref":', "[", '"', "\\ud800", "1e999", "9", "{}", "NaN", ",", "payload="]).map(
        lambda text: text.encode(errors="surrogatepass")
    ),
)


def delivered(body: bytes, signature: str, content_type: str) -> object:
    """Return what a delivery says, or the status that refuses it."""
    headers = {
        "content-type": content_type,
        "x-github-event": "push",
        "x-github-delivery": "guid",
        "x-hub-signature-256": signature,
    }
    try:
        return receive(
            headers, body, secrets=[SECRET], repo=REPO, branch="main", newest=lambda: None
        ).content
    except WebhookRejected as refused:
        return refused.http_status


def webhook(given: tuple[bytes, str, int]) -> None:
    """A push is one just if the body says so, and nothing is anything once a bit is flipped."""
    body, content_type, bit = given
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    content = delivered(body, signature, content_type)
    assert not isinstance(content, int) or content == 400
    if content_type == JSON:
        assert isinstance(content, Push) == is_our_push(body)
    if isinstance(content, Push):
        assert content.before != "0" * 40 != content.after
    if body:
        other = bytearray(body)
        other[bit // 8 % len(body)] ^= 1 << bit % 8
        assert delivered(bytes(other), signature, content_type) == 401


def is_our_push(body: bytes) -> bool:
    """Tell what the contract says, in other words than the code."""
    try:
        said = json.loads(body.decode())
        sha = re.compile("[0-9a-f]{40}")
        named = said["repository"]["full_name"].casefold() == REPO.casefold()
        moved = all(sha.fullmatch(said[name]) for name in ("before", "after"))
        flags = (said.get("deleted", False), said.get("forced", False))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
    return bool(
        named
        and moved
        and said["ref"] == "refs/heads/main"
        and said["after"] != "0" * 40
        and flags[0] is False
        and isinstance(flags[1], bool)
    )


# --- requirement lines ------------------------------------------------------

NAMES = st.sampled_from(["six", "A.b_c", "x-1"])
VERSIONS = st.sampled_from(["1", "1.0", "1.0.0", "2.1rc1", "1!3", "1.0+local"])
SPECIFIERS = st.lists(
    st.builds("{}{}".format, st.sampled_from(["==", "!=", ">=", "<=", "<", ">"]), VERSIONS).filter(
        lambda one: "+" not in one or (one[1] == "=" != one[0] and one[0] in "=!")
    ),
    max_size=3,
)
WISHES = st.builds(
    lambda name, extras, specifiers, marker: f"{name}{extras}{','.join(specifiers)}{marker}",
    NAMES,
    st.sampled_from(["", "[a]", "[b,A.c]"]),
    SPECIFIERS,
    st.sampled_from(["", "; python_version < '4'", ' ; extra == "x" or os_name!="nt"']),
)
TEXTS = of_pieces(
    [
        *"a1-_.,;@#$[]()<>=!~*+'\"\\/ \t\n\r\f\x00",
        *("==", "===", "~=", ".*", "1.0", "${X}", "https://", "os_name", " and ", " in ", "(("),
        *(" --hash=", "sha256:ab", "-r ", "--pre", "-e", "u:hunter2@h/", "\\\n", " @ ", "\u2028"),
    ]
)


def requirements(given: tuple[str, bool]) -> None:
    """What is read is what `packaging` reads, and what an installer is given is nothing else."""
    text, wished = given
    try:
        read = meaning.parse(text)
    except RequirementsRefused as refused:
        read, reason, line = None, refused.reason, refused.line
    if read is None:
        assert not wished
        lines = text.count("\n") + text.count("\r") + 1
        # Nothing but such a text is refused as a whole.
        assert 0 < line <= lines if line else len(text) > 250_000
        assert len(reason) < 1_000
        assert "\n" not in reason
        return
    if wished:
        (package,) = read.packages
        theirs = Requirement(text)
        assert (package.url, len(package.extras)) == (theirs.url, len(theirs.extras))
        mine = Requirement(f"x{','.join(package.specifiers)}").specifier
        for version in map(Version, ("0.9", "1", "1.0.1", "2.1rc1", "2.1", "1!3", "1!4")):
            assert mine.contains(version, prereleases=True) == theirs.specifier.contains(
                version, prereleases=True
            )
    given_on = meaning.safe_requirements(text)
    again = meaning.parse(given_on)
    assert again == read
    for asked in given_on.splitlines():
        Requirement(asked.partition(" --hash")[0])
        assert not asked.startswith("-")
        assert "${" not in asked
    assert all(
        (package.url or "https://").lower().startswith("https://") for package in read.packages
    )


# --- ignore files -----------------------------------------------------------

PATTERN_PIECES = [
    *"ab*?![]-^/\\# ",
    "**",
    "[ab]",
    ".py",
    "[!a]",
    "\n",
    "\r\n",
    "!",
    "a/",
    "/b",
    "é",
]
IGNORED = ["a", "b.py", "a/a", "a/b.py", "a/b/a.py", "b/ab/b", "ab", "!a", "a b.py", "é.py"]


def ignore_files(given: tuple[str, str]) -> None:
    """What Airflow reads is hidden as Airflow hides it."""
    texts = {
        f"dags/{place}{ignores.NAME}": text for place, text in zip(("", "a/"), given, strict=True)
    }
    encoded = {path: text.encode(errors="surrogatepass") for path, text in texts.items()}
    refusals = [ignores.unreadable(content) for content in encoded.values()]
    for reason in filter(None, refusals):
        assert "\n" not in reason
    if any(refusals):
        return
    mine = ignores.Ignores(texts)
    read = {path: airflows_rules(text) for path, text in texts.items()}
    for path in IGNORED:
        assert mine.hides(f"dags/{path}") == airflow_hides(read, path), path


def airflows_rules(text: str) -> list[tuple[Any, bool, bool]]:
    """Compile a text as airflow 3.3.2 does (`_shared/module_loading/file_discovery.py`)."""
    found = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for pattern in filter(None, (re.sub(r"\s*#.*", "", line) for line in lines)):
        if pattern.strip() == "/":
            continue
        anchored = pattern.startswith("/") or "/" in pattern.rstrip("/")
        raw = pattern.lstrip("!")
        dir_only = raw.rstrip() != raw.rstrip().rstrip("/")
        found.append((GitIgnoreSpecPattern(pattern), anchored, dir_only))
    return found


def airflow_hides(rules: Mapping[str, list[tuple[Any, bool, bool]]], path: str) -> bool:
    """Walk down to `path` as it does."""
    in_force: list[tuple[str, tuple[Any, bool, bool]]] = []
    parts = ["dags", *path.split("/")]
    for depth in range(1, len(parts)):
        folder = "/".join(parts[:depth])
        in_force += [(folder, rule) for rule in rules.get(f"{folder}/{ignores.NAME}", [])]
        here, is_dir = "/".join(parts[: depth + 1]), depth + 1 < len(parts)
        ignored = False
        for base, (pattern, anchored, dir_only) in in_force:
            if dir_only and not is_dir:
                continue
            seen = (here[len(base) + 1 :] if anchored else parts[depth]) + "/" * is_dir
            if pattern.include is not None and pattern.match_file(seen) is not None:
                ignored = pattern.include
        if ignored:
            return True
    return False


# --- roster -----------------------------------------------------------------

LOGINS = st.text("abAB-@.é ", min_size=1, max_size=6).map(lambda name: f"x{name}x")
ROSTERS = st.fixed_dictionaries(
    {},
    optional={
        "teachers": st.lists(LOGINS, max_size=3),
        "folders": st.dictionaries(LOGINS, LOGINS | st.lists(LOGINS, max_size=3), max_size=3),
    },
)


def rosters(given: str | dict[str, Any]) -> None:
    """A roster says what YAML says; one that is none, or names nobody there can be, says where."""
    if isinstance(given, str):
        found = roster.parse(given)
        if isinstance(found, roster.Unreadable):
            assert found.reason.startswith("roster.yaml")
            return
        said = yaml.load(given, yaml.BaseLoader) or {}  # noqa: S506 - the one that makes texts only
    else:
        said, found = given, roster.parse(yaml.safe_dump(given, allow_unicode=True))
    folders = said.get("folders") or {}
    lists = [said.get("teachers"), *folders.values()]
    twice = len({name.casefold() for name in folders}) < len(folders)
    if twice or any(" " in name for its in lists for name in logins(its)):
        assert isinstance(found, roster.Unreadable)
        assert found.reason.startswith("roster.yaml")
        return
    assert isinstance(found, roster.Roster)
    assert found.teachers == logins(said.get("teachers"))
    assert found.folders == {name.casefold(): logins(its) for name, its in folders.items()}


def logins(said: str | list[str] | None) -> frozenset[str]:
    names = [said] if isinstance(said, str) else said or []
    return frozenset(name.strip().casefold().removeprefix("@") for name in names) - {""}


# --- traces -----------------------------------------------------------------

ERRORS = st.sampled_from([ValueError, KeyError, OSError, RecursionError, ModuleNotFoundError])
RAISED = st.tuples(
    ERRORS, st.text(st.characters(categories=["L", "N"]), min_size=1), st.integers(1, 9)
)
TRACE_PIECES = [
    "Traceback (most recent call last):\n",
    f'  File "/srv/releases/{"a" * 40}/{PATH}", line 3, in <module>\n    x\n',
    "\n\nDuring handling of the above exception, another exception occurred:\n\n",
    *("ValueError: ", "x.YError", "  | ", "  +-+-", "1 validation error for x\n", "On a[b]:\n"),
    *("a\n  b [type=c]\n", 'in "x", line 3, column 2\n', f"/releases/{'b' * 40}/", "http://", "/"),
    *(" ", "\n", "'", '"', ":", "│", "File ", "A.", "Error: "),
]


def traces(given: str | tuple[type[Exception], str, int]) -> None:
    """Python's own traceback is read as what was raised, and where."""
    if isinstance(given, str):
        read = trace.read(given, PATH)
        assert len(read.message.splitlines()) <= 1
        # A path that is shortened may only make it shorter.
        assert len(read.message) <= trace.MAX_MESSAGE + len(PATH)
        return
    error, message, line = given
    place = f"/srv/class/releases/{'c' * 40}/{PATH}"
    source = "\n" * (line - 1) + "raise error"
    try:
        exec(compile(source, place, "exec"), {"error": error(message)})  # noqa: S102 - our own line
    except error:
        read = trace.read(traceback.format_exc(), PATH)
    assert (read.type, read.line) == (error.__name__, line)
    # Of an error that says `None` the line that raises it is told.
    assert message in read.message or message == "None"


# --- feed lines -------------------------------------------------------------

SHORT = st.text(max_size=8)
RESULTS = st.builds(
    ParseResult,
    release=SHORT,
    path=SHORT.map("dags/{}".format),
    end=st.sampled_from(ParseEnd),
    dag_ids=st.lists(SHORT, max_size=2).map(tuple),
    errors=st.dictionaries(SHORT.map("dags/{}".format), SHORT, max_size=2),
    warnings=st.lists(SHORT, max_size=2).map(tuple),
    seconds=st.floats(0, 1e6),
    code=st.integers(-(2**31), 2**31),
    words=SHORT,
)
LISTS = st.builds(Listed, SHORT, st.frozensets(SHORT.map("dags/{}".format), max_size=3))
FEED_LINES = st.one_of(
    RESULTS,
    LISTS,
    st.binary(max_size=100),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(["listed", "result"]).flatmap(
        lambda name: JSON_VALUES.map(lambda value: json.dumps({name: value}).encode())
    ),
    of_pieces(["[", '{"result":', "1e999", "NaN", "9", '"', "}", ","]).map(
        lambda text: text.encode(errors="surrogatepass")
    ),
)


class Feed:
    """One listener for a whole run; each input comes from a dag-processor of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        self._path = Path(self._folder.name, "feed.sock")
        self._listener = ParseFeedListener(self._path)
        self._listener.ask("r", first=[])
        self._lives = itertools.count()

    def __call__(self, given: ParseResult | Listed | bytes) -> None:
        """What is of the protocol is told as it was said; who says anything else is dropped."""
        line = given if isinstance(given, bytes) else said_of(given)
        life = f"life {next(self._lives)}"
        with closing(socket.socket(socket.AF_UNIX)) as end:
            end.settimeout(BOUND_S)
            end.connect(str(self._path))
            end.sendall(b'{"feed": 1, "life": "%s", "airflow": "3"}\n' % life.encode())
            # Its own line behind says that all before it was read.
            end.sendall(line + b"\n" + said_of(Listed(life, frozenset())) + b"\n")
            told: list[Told] = []
            ends = (Listed(life, frozenset()), ProcessorLeft(life, ended=False))
            while not any(end in told for end in ends):
                told += self._listener.wait(BOUND_S)
        assert isinstance(given, bytes) or (given in told and ends[0] in told)

    def close(self) -> None:
        self._listener.close()
        self._folder.cleanup()


def said_of(told: ParseResult | Listed) -> bytes:
    """Say it as `include/airflow/parse_feed.py` does."""
    bare = str.removeprefix
    if isinstance(told, Listed):
        files = [bare(path, "dags/") for path in told.paths]
        return json.dumps({"listed": {"release": told.release, "files": files}}).encode()
    result = {
        "release": told.release,
        "file": bare(told.path, "dags/"),
        "ended": told.end.value,
        "dag_ids": told.dag_ids,
        "errors": {bare(path, "dags/"): text for path, text in told.errors.items()},
        "warnings": told.warnings,
        "seconds": told.seconds,
        "code": told.code,
        "words": told.words,
    }
    return json.dumps({"result": result}).encode()


# --- compose ----------------------------------------------------------------

SECONDS = st.integers(0, 10**6)
COMPOSE_PIECES = [
    "services:\n",
    "  a:\n",
    "&a ",
    "*a",
    "!!python/object",
    "\t",
    "\r\n",
    "${X",
    "$$",
]
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "image": st.text(max_size=9),
        "build": st.fixed_dictionaries({}, optional={"args": st.none() | st.just({"a": "$$"})}),
        "command": st.none() | st.lists(st.sampled_from(["scheduler", "é", ""])),
        "environment": st.none()
        | st.dictionaries(
            st.sampled_from([stack.PIP_AT_START, "DUMB_INIT_SETSID", "A"]),
            st.none() | st.sampled_from(["0", "", "x$$y"]),
        ),
        "stop_grace_period": SECONDS.map(lambda s: f"{s // 3600}h{s // 60 % 60}m{s % 60}s"),
        "volumes": st.none()
        | st.lists(
            st.fixed_dictionaries(
                {
                    "type": st.sampled_from(["bind", "volume"]),
                    "source": st.sampled_from(["/srv", "/srv/class", "logs", "/"]),
                    "target": st.sampled_from([stack.MOUNTED_AT, "/x"]),
                },
                optional={"read_only": st.booleans()},
            ),
            max_size=3,
        ),
    },
)
STACKS = st.dictionaries(st.sampled_from(["airflow-scheduler", "b", "c"]), ENTRIES | st.just({}))
NEEDED = ("airflow-scheduler", "b")


def compose(given: tuple[str, str, dict[str, Any], int]) -> None:
    """Another text is told and only that; of what Compose says, all is read or an ailment."""
    pushed, own, services, seconds = given
    differs = stack.drift(pushed, own) is not None
    assert not (differs and pushed == own)
    assert stack.drift(pushed, pushed + " \r\n") is None or "\n" not in pushed.strip()
    assert stack.seconds(f"{seconds // 60}m{seconds % 60}s") == seconds
    said = json.loads(json.dumps({"services": services}))
    read = stack.parse(Path("x.yaml"), said)
    assert read.services.keys() == services.keys()
    assert "x$y" not in repr(read)
    looks: tuple[Callable[[], str], ...] = (
        lambda: rules.packages(read, NEEDED),
        lambda: rules.stopping(read),
        lambda: rules.checkout(read, NEEDED, "/srv/class"),
    )
    for look in looks:
        with suppress(Ailment, ServicesError):
            assert "\n" not in look()


# --- all of them ------------------------------------------------------------

TARGETS: Mapping[str, Target] = {
    "webhook": Target(
        st.tuples(BODIES, st.sampled_from([JSON, JSON, FORM]), st.integers(0, 2**16)), webhook
    ),
    "requirements": Target(
        st.tuples(TEXTS, st.just(value=False)) | st.tuples(WISHES, st.just(value=True)),
        requirements,
    ),
    "ignore-files": Target(
        st.tuples(of_pieces(PATTERN_PIECES), of_pieces(PATTERN_PIECES)), ignore_files
    ),
    "roster": Target(
        ROSTERS
        | of_pieces([*"ab:-[]{}*&!#|>%@'\" \n\t?,0", "teachers: ", "folders:\n", "  x: ", "&a "]),
        rosters,
    ),
    "traces": Target(RAISED | of_pieces(TRACE_PIECES), traces),
    "feed": Target(FEED_LINES, lambda _: None),
    "compose": Target(
        st.tuples(of_pieces(COMPOSE_PIECES), of_pieces(COMPOSE_PIECES), STACKS, SECONDS), compose
    ),
}


@dataclass
class Figures:
    """What a run took; `longest_s` of one input, CPU seconds."""

    inputs: int = 0
    longest_s: float = 0.0
    more_mb: float = 0.0


def run(name: str, inputs: int) -> Figures:
    """Try a target; the same inputs each time. What fails is shrunk and raised."""
    figures, target = Figures(), TARGETS[name]
    attempt(target.inputs, lambda _: None, 20, seed=0)  # hypothesis's own tables are no matter
    before_mb = peak_mb()
    feed = Feed() if name == "feed" else None
    holds = feed or target.holds

    def tried(given: Any) -> None:  # noqa: ANN401 - what `inputs` gives
        began = time.thread_time()
        holds(given)
        took_s = time.thread_time() - began
        figures.inputs += 1
        figures.longest_s = max(figures.longest_s, took_s)
        assert took_s < LONGEST_S

    try:
        for number, start in enumerate(range(0, inputs, ROUND)):
            attempt(target.inputs, tried, min(ROUND, inputs - start), seed=number)
    finally:
        if feed:
            feed.close()
    figures.more_mb = peak_mb() - before_mb
    assert figures.more_mb < MOST_MB
    return figures


def attempt(
    inputs: st.SearchStrategy[Any], tried: Callable[[Any], None], most: int, *, seed: int
) -> None:
    settings = hypothesis.settings(
        max_examples=most,
        deadline=None,
        database=None,
        derandomize=False,  # the seed says it all
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.seed(seed)(settings(hypothesis.given(inputs)(tried)))()


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str]) -> int:
    """Try each target, or those named, and print what it took."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    inputs, names = int(arguments[0]), arguments[1:] or list(TARGETS)
    for name in names:
        began = time.process_time()
        figures = run(name, inputs)
        cpu_s = time.process_time() - began
        print(  # noqa: T201 - a command
            f"{name:13} {figures.inputs:9,} inputs, 0 wrong, {cpu_s:7.1f} s of CPU, the longest"
            f" {figures.longest_s:.3f} s, {figures.more_mb:.0f} MB more",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
