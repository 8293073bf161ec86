"""What `.airflowignore` hides; tests/integration/test_airflow_discovery.py asks Airflow itself."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployer.core.tree.ignores import Ignores, unreadable

ROOT = "dags/.airflowignore"


def hidden(path: str, *lines: str, at: str = ROOT) -> bool:
    return Ignores({at: "\n".join(lines)}).hides(path)


def test_without_ignore_files_nothing_but_themselves_is_hidden() -> None:
    ignores = Ignores({})
    assert not ignores.hides("dags/lasse/taxi.py")
    assert not ignores.hides("dags/.hidden/__pycache__/taxi.py")
    assert ignores.hides("dags/lasse/.airflowignore")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("taxi.py", "dags/lasse/taxi.py"),
        ("*_test.py", "dags/lasse/taxi_test.py"),
        ("lasse", "dags/lasse/deep/taxi.py"),
        ("lasse/", "dags/lasse/taxi.py"),
        ("deep/", "dags/lasse/deep/taxi.py"),
        ("/lasse", "dags/lasse/taxi.py"),
        ("lasse/taxi.py", "dags/lasse/taxi.py"),
        ("**/taxi.py", "dags/lasse/deep/taxi.py"),
        ("lasse/**", "dags/lasse/taxi.py"),
        ("t[a-e]xi.py", "dags/lasse/taxi.py"),
        ("taxi.py  # mine", "dags/lasse/taxi.py"),
        ("taxi.py\r", "dags/lasse/taxi.py"),
        ("*", "dags/taxi.py"),
    ],
)
def test_a_pattern_hides(pattern: str, path: str) -> None:
    assert hidden(path, pattern)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("taxi.py/", "dags/lasse/taxi.py"),  # directories only
        ("/taxi.py", "dags/lasse/taxi.py"),  # beside the ignore file only
        ("deep/taxi.py", "dags/lasse/deep/taxi.py"),  # relative to the ignore file
        ("taxi", "dags/lasse/taxi.py"),  # no search as with the old syntax
        ("# taxi.py", "dags/lasse/taxi.py"),
        ("/", "dags/lasse/taxi.py"),
        (" /", "dags/ /taxi.py"),
        ("   ", "dags/lasse/taxi.py"),
        ("[", "dags/lasse/["),  # no class without its end: git and pathspec drop it
    ],
)
def test_a_pattern_does_not_hide(pattern: str, path: str) -> None:
    assert not hidden(path, pattern)


def test_a_later_pattern_overrides_an_earlier_one() -> None:
    assert not hidden("dags/a.py", "*.py", "!a.py")
    assert hidden("dags/a.py", "!a.py", "*.py")


def test_nothing_below_an_ignored_directory_can_be_brought_back() -> None:
    assert hidden("dags/lasse/deep/a.py", "lasse", "!a.py", "!lasse/deep/a.py")


def test_a_deeper_file_counts_for_its_own_directory_and_overrides_the_higher_one() -> None:
    ignores = Ignores({ROOT: "*_old.py", "dags/lasse/.airflowignore": "!a_old.py\n/b.py\n"})
    assert not ignores.hides("dags/lasse/a_old.py")
    assert not ignores.hides("dags/lasse/deep/a_old.py")
    assert ignores.hides("dags/maria/a_old.py")
    assert ignores.hides("dags/lasse/b.py")
    assert not ignores.hides("dags/lasse/deep/b.py")
    assert not ignores.hides("dags/maria/b.py")


def test_an_ignore_file_in_an_ignored_directory_is_never_read() -> None:
    ignores = Ignores({ROOT: "lasse", "dags/lasse/.airflowignore": "!lasse\n!*"})
    assert ignores.hides("dags/lasse/a.py")


def test_a_path_deeper_than_the_stack_is_judged() -> None:
    assert hidden("dags/" + "d/" * 2_000 + "a.py", "a.py")


def test_an_odd_character_class_raises_no_warning() -> None:
    assert hidden("dags/a]", "[[:alpha:]]")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"*.py\n!a.py\n\n# comment \xc3\xa9\n",
        b"[unclosed",
        b"# ! and [z-a] and ********** in a comment\r\n",
        b"**/a/**/*_b_*.py",
        b"*a*\n" * 5,
        b"**/a\n" * 199 + b"**/*/*.py\n",
        b"[[:alpha:]]",
        b"/",
        b"\xef\xbb\xbf# a comment alone\r\n*.py\r\n",
    ],
)
def test_what_airflow_reads_is_readable(content: bytes) -> None:
    assert unreadable(content) is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a.py\n\xe9.py", "byte 6 is not UTF-8"),
        ("a.py".encode("utf-16"), "byte 1 is not UTF-8"),
        (b"a.py\n!\n", "line 2: '!' is not a valid pattern"),
        (b"[z-a]", "line 1: '[z-a]' is not a valid pattern"),
        (b"a\rb\r\nc\n![z-a]", "line 4: '![z-a]' is not a valid pattern"),
        (b"windows\\", "is not a valid pattern"),
        (b"*a*a*a", "line 1: more than 2 wildcards"),
        (b"a/**/b/**/c/**/d", "line 1: more than 2 wildcards"),
        (b"*" * 30, "line 1: more than 2 wildcards"),
        (b"*a*\n" * 6, "more than 200 patterns in a folder"),
        (b"a/**/b/**/c\n" * 6, "more than 200 patterns in a folder"),
        (b"a\n" + b" " * 513, "line 2: more than 512 characters"),
        (b"#\n" * 25_001, "more than 50,000 bytes"),
        (b"a\n" * 199 + b"[z-a]\n", "line 200: '[z-a]' is not a valid pattern"),
        (b"[z-a]\n" * 201, "more than 200 patterns in a folder"),  # none of them is tried
    ],
)
def test_what_would_stop_airflow_is_unreadable_and_says_why(content: bytes, says: str) -> None:
    reason = unreadable(content)
    assert reason is not None
    assert says in reason
    assert "\n" not in reason


def test_a_pattern_behind_a_byte_order_mark_would_hide_nothing() -> None:
    """As *Notepad* and PowerShell's `Out-File -Encoding utf8` write it."""
    assert unreadable(b"\xef\xbb\xbfdraft_*\r\n") == (
        "line 1: Airflow takes the BOM before 'draft_*' for a part of it: "
        "save the file as UTF-8 without BOM"
    )


@given(st.binary() | st.text(alphabet="ab*?![]-^/\\# \n\r").map(str.encode))
@example(b"!")
@example(b"//")
def test_what_is_readable_can_be_obeyed(content: bytes) -> None:
    if unreadable(content) is None:
        hidden = Ignores({ROOT: content.decode()}).hides("dags/lasse/deep/taxi.py")
        assert hidden in {True, False}
