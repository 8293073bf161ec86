"""Read one file without running it: what it imports, what it mentions, may it hold a DAG.

A push is hostile input: nothing here executes a line of it, nothing raises, and
the time taken is linear in the size.
"""

from __future__ import annotations

import ast
import io
import re
import struct
import warnings
import zipfile
from collections.abc import Collection, Hashable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import TypeVar

from deployer.core.model import ANYTHING, WHOLE_DIRECTORY, Facts

Named = TypeVar("Named", bound=Hashable)

LARGEST_PARSED = 300_000
"""Bytes. A syntax tree takes some 250 times its text; past this, words of its start count."""

_LONGEST_STRING = 10_000
"""Characters. What is longer is data, not a path."""

_LONGEST_SCRIPT = 10_000
"""Bytes of what is not Python; past this it is not looked at."""
_MOST_NAMED = 200
"""What is not Python and seems to name more than this is data, of which there may be much."""
_MOST_IMPORTS, _MOST_MENTIONS = 500, 2_000
"""What names more may use whatever is in its own folder and in `include/`. Memory goes by it."""
_MOST_ARGUMENTS = 30
"""Parts of a call that are looked at: calls in calls in calls would take the square of the size."""

_LONGEST_NAME = 255
"""Characters. No file has a longer name, no module worth following either."""

# Of a text that can't be parsed: names of files and folders, and of modules in dotted ones.
_WORDS = (re.compile(r"[\w.-]{1,255}"), re.compile(r"[\w-]{1,255}"))
_QUOTED = re.compile(r"[\"']([^\"'\n]{1,1000})(?=[\"'])")

# Before these a word of a command is a file or a module, though it has neither slash nor dot.
_LAUNCHING = frozenset({"-m", "import", "from", "sh", "bash", "python", "python3", "source"})

_WITH_BLANKS = re.compile(r"(?=.{3,255}$)[\w.-]+( [\w.-]+)+")

_BETWEEN_WORDS = re.compile(r"(?:[\s'\"`=:,;&|()<>{}$]|%[sd])+")

_SPECIAL = frozenset("*?[")  # of fnmatch

_ANY = frozenset({WHOLE_DIRECTORY, "include"})
"""Mentions of what may use whatever is in its own folder and in `include/`."""

# A path that ends in stars alone. Cron expressions hold `*/5`, none holds `/*`.
_ALL_OF_IT = re.compile(r"/\*+$")


def facts(path: str, content: bytes) -> Facts:
    """Return what the text of one file says without being run.

    Besides the content only the ending of `path` counts: the same bytes give the
    same facts at every path that ends in `.py`, and at every path that does not. Of these,
    scripts, templates and settings among them, each line counts as a string constant.

    `imports` hold all import statements, those inside functions, `try` and `if`
    too, `from x import *` as `x.*`, and names given as plain strings to
    `import_module` or `__import__`, with the package that a relative one is given along.
    `mentions` hold the path components in string constants; of a string of several words,
    only words with a slash or a dot are taken for paths, and what follows a `-m` or the like.
    `WHOLE_DIRECTORY` is among them where a directory is listed, by a call (`iterdir()`) or by
    a path that ends in `/*`, and where a module is imported whose name is put together.
    A zip may import and read anything.

    Of a pattern, `mentions` hold the ending (`q_*.sql`: `.sql`), or `WHOLE_DIRECTORY`.
    Text that can't be parsed (a syntax error, a null byte, a wrong encoding, nested
    too deep, larger than `LARGEST_PARSED`) may import and read whatever its words name, since
    Airflow's Python may be newer than ours and accept it. Of very many names the first count.
    """
    if _is_zip(content):
        return Facts(mentions=_ANY, may_hold_dag=True)
    if PurePosixPath(path).suffix != ".py":
        script = content[:_LONGEST_SCRIPT]
        lines = [] if b"\0" in script else script.decode(errors="replace").splitlines()
        found: set[str] = set()
        for name in _components(dict.fromkeys(lines)):
            found.add(name)
            if len(found) > _MOST_NAMED:
                return Facts()
        return Facts(mentions=frozenset(found))
    may_hold_dag = _in_safe_mode(content)
    tree = _syntax_tree(content)
    if tree is None:
        text = content[:LARGEST_PARSED].decode(errors="replace")
        words = (word[0] for pattern in _WORDS for word in pattern.finditer(text))
        in_strings = (part for found in _QUOTED.finditer(text) for part in found[1].split("/"))
        named = _first(_MOST_MENTIONS, chain(in_strings, words))
        return Facts(frozenset({ANYTHING}), _ANY.union(named), may_hold_dag)
    nodes = list(ast.walk(tree))
    imports = _first(_MOST_IMPORTS, _imports(nodes))
    mentions = _first(_MOST_MENTIONS, _components(_strings(nodes)))
    if len(imports) > _MOST_IMPORTS or len(mentions) > _MOST_MENTIONS:
        return Facts(frozenset({*imports, ANYTHING}), _ANY.union(mentions), may_hold_dag)
    return Facts(frozenset(imports), frozenset(mentions), may_hold_dag)


def _first(most: int, found: Iterable[Named]) -> Collection[Named]:
    """Return what is found, each once; of more than `most` the first of all, one more than that."""
    first: dict[Named, None] = {}
    for one in found:
        first[one] = None
        if len(first) > most:
            break
    return first.keys()


def _is_zip(content: bytes) -> bool:
    # Airflow goes by the content, not by the name, and passes over a file on which
    # this raises (airflow 3.3.2, utils/file.py:108).
    with suppress(zipfile.BadZipFile, struct.error, ValueError):
        return zipfile.is_zipfile(io.BytesIO(content))
    return False


def _in_safe_mode(content: bytes) -> bool:
    # airflow 3.3.2, utils/file.py:141, might_contain_dag_via_default_heuristic
    lowered = content.lower()
    return b"airflow" in lowered and (b"dag" in lowered or b"asset" in lowered)


def _syntax_tree(content: bytes) -> ast.Module | None:
    if len(content) > LARGEST_PARSED:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a student's string is no concern of ours
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _imports(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    for node in nodes:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield from _from(0, alias.name, ())
            case ast.ImportFrom(module=module, names=names, level=level):
                yield from _from(level, module or "", (alias.name for alias in names))
            case ast.Call(
                func=ast.Attribute(attr="import_module")
                | ast.Name(id="import_module" | "__import__"),
                args=args,
                keywords=keywords,
            ):
                named = {keyword.arg: keyword.value for keyword in keywords}
                given = [*args, *(named[name] for name in ("name", "package") if name in named)]
                yield from _called_for(given)


def _called_for(arguments: list[ast.expr]) -> Iterator[tuple[int, str]]:
    """Yield what `import_module` imports, called with these, if that is a plain string."""
    match arguments:
        case [ast.Constant(value=str() as name), *others]:
            module = name.lstrip(".")
            level = len(name) - len(module)
            match others:
                case [ast.Constant(value=str() as package), *_] if level:  # importlib.util's way
                    base = package.rsplit(".", level - 1)[0]
                    yield from _from(0, f"{base}.{module}".rstrip("."), ())
                case _:
                    yield from _from(level, module, ())


def _from(level: int, module: str, names: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the module and each name in it, which may be a module of its own."""
    if len(module) <= _LONGEST_NAME:
        yield level, module
        for name in names:
            yield level, f"{module}.{name}" if module else name


def _strings(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Constant(value=str() as string):
                yield string
            # pathlib, os, pkgutil
            case (
                ast.Attribute(attr="iterdir" | "listdir" | "scandir" | "walk")
                | ast.Attribute(attr="iter_modules" | "walk_packages")
                | ast.alias(name="listdir" | "scandir" | "walk" | "iter_modules" | "walk_packages")
            ):
                yield "/*"
            case ast.Call(
                func=ast.Attribute(attr="glob" | "rglob" | "iglob")
                | ast.Name(id="glob" | "rglob" | "iglob")
            ) if not any(text.strip("*/") for text in _constants(node)):
                yield "/*"
            case ast.Call(
                func=ast.Attribute(attr="import_module")
                | ast.Name(id="import_module" | "__import__"),
                args=[name, *_],
            ) if not isinstance(name, ast.Constant):
                yield "/*"


def _constants(call: ast.Call) -> Iterator[str]:
    """Yield the strings among a call's arguments, in calls of these too."""
    arguments = (*call.args, *(keyword.value for keyword in call.keywords))
    for node in islice(chain.from_iterable(map(ast.walk, arguments)), _MOST_ARGUMENTS):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _components(strings: Iterable[str]) -> Iterator[str]:
    for string in strings:
        if len(string) > _LONGEST_STRING:
            continue
        words = [word.rstrip(".") for word in _BETWEEN_WORDS.split(string)]
        words = [word for word in words if word]
        yield from (part for part in string.split("/") if _WITH_BLANKS.fullmatch(part))
        for before, word in zip(["", *words], words, strict=False):
            if _ALL_OF_IT.search(word):
                yield WHOLE_DIRECTORY
            # "include" alone names a folder; in "these include tests" it is English.
            if len(words) == 1 or "/" in word or "." in word or before in _LAUNCHING:
                parts = (part for part in word.split("/") if 0 < len(part) <= _LONGEST_NAME)
                yield from map(_meant, parts)


def _meant(part: str) -> str:
    """Return what a component of a path names: of a pattern its ending, or all there is."""
    # A lone `*` says nothing: it is in every other cron expression.
    if _SPECIAL.isdisjoint(part) or not part.strip("*"):
        return part
    _, dot, ending = part.rpartition(".")
    if dot and ending and _SPECIAL.isdisjoint(ending):
        return f".{ending}"
    return WHOLE_DIRECTORY if "*" in part else part
