"""Read `roster.yaml`: who the teachers are, and whose folder is whose.

    teachers: [frauke-b, frauke@university.example]
    folders:
      lasse: [lasse-j, lasse@students.example]
      maria: maria92

A name with an `@` is an e-mail address, any other, also after an `@`, a GitHub login; letter
case does not count, in folders neither. A folder that is not listed belongs to the login of
the folder's own name.

Read as YAML's nodes and never turned into values: a login may be `no` or `007`, a
mistake is told with its line, and no tag of a pushed file is obeyed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import yaml

from deployer.core.model import ROSTER

MAX_CHARACTERS: Final = 100_000
MAX_DEPTH: Final = 10
"""Of lists and mappings in each other; three are needed."""
_NOREPLY: Final = re.compile(r"(?:\d+\+)?([^@+]+)@users\.noreply\.github\.com")
_NO_NAME: Final = re.compile(r"[\s,;/]|^@$")
"""Within a login or an address: two in one string, or the URL of a profile."""


@dataclass(frozen=True, slots=True)
class Roster:
    """Logins and e-mail addresses, all in lower case.

    Attributes:
        teachers: to whom everything is allowed.
        folders: the owners by folder, its name in lower case too.
    """

    teachers: frozenset[str] = frozenset()
    folders: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def owners(self, folder: str) -> frozenset[str]:
        name = folder.casefold()
        return self.folders.get(name, frozenset({name}))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A roster that can't be used; `reason` is short and begins with the file and its line."""

    reason: str


def parse(text: str | None) -> Roster | Unreadable:
    """Return what the file says; None, or nothing in it: nobody is listed."""
    if len(text or "") > MAX_CHARACTERS:
        return Unreadable(f"{ROSTER} has more than {MAX_CHARACTERS} characters")
    before, other, _ = (text or "").partition("\ufffd")
    if other:
        number = before.count("\n") + 1
        return Unreadable(f"{ROSTER}:{number} a letter is not UTF-8: save the file as UTF-8")
    try:
        return _roster(yaml.compose(text or "", Loader=_Shallow))
    except yaml.MarkedYAMLError as exc:
        line = f":{exc.problem_mark.line + 1}" if exc.problem_mark else ""
        return Unreadable(f"{ROSTER}{line} {exc.problem}")
    except yaml.YAMLError:
        return Unreadable(f"{ROSTER} holds characters that YAML does not allow: save it as UTF-8")


def names_of(email: str) -> frozenset[str]:
    """Return what an author's address stands for: itself, and the login that GitHub put into it.

    https://docs.github.com/en/account-and-profile/reference/email-addresses-reference
    (`ID+USERNAME@users.noreply.github.com`, older accounts without the number)
    """
    address = email.strip().casefold()
    login = _NOREPLY.fullmatch(address)
    return frozenset({address, login[1]} if login else {address})


class _Shallow(yaml.SafeLoader):
    """Stops at what is nested deeply, whose reading takes the square of its depth."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem="is nested too deeply",
                problem_mark=self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _roster(root: yaml.Node | None) -> Roster:
    if root is None:
        return Roster()
    teachers: frozenset[str] = frozenset()
    folders: dict[str, frozenset[str]] = {}
    for key, value in _pairs(root):
        match key.value:
            case "teachers":
                teachers = _names(value)
            case "folders":
                # One list, however often aliases name it: else 100 kB would come out as gigabytes.
                names = cache(_names)
                folders = {_folder(folder): names(its) for folder, its in _pairs(value)}
            case _:
                raise _mistake(key, f"{key.value!r} is neither teachers nor folders")
    return Roster(teachers, folders)


def _pairs(node: yaml.Node) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Yield the entries of a mapping; one without a value has none."""
    if isinstance(node, yaml.ScalarNode) and not node.value:
        return
    if not isinstance(node, yaml.MappingNode):
        raise _mistake(node, "should be `name: …`")
    seen = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _mistake(key, "should be a name")
        if key.value.casefold() in seen:
            raise _mistake(key, f"{key.value!r} is there twice")
        seen.add(key.value.casefold())
        yield key, value


def _folder(key: yaml.ScalarNode) -> str:
    if "/" in key.value:
        raise _mistake(key, f"{key.value!r} is no folder's name: write it without a slash")
    name: str = key.value.casefold()
    return name


def _names(node: yaml.Node) -> frozenset[str]:
    """Return the logins and addresses of one entry: a name, or a list of names."""
    items = node.value if isinstance(node, yaml.SequenceNode) else [node]
    names = set()
    for item in items:
        if not isinstance(item, yaml.ScalarNode):
            raise _mistake(item, "should be a login or an e-mail address, or a list of them")
        name = item.value.strip().casefold()
        if _NO_NAME.search(name):
            raise _mistake(item, f"{item.value!r} is neither a login nor an e-mail address")
        names.add(name.removeprefix("@"))
    return frozenset(names - {""})


def _mistake(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
