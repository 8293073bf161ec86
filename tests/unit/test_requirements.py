"""Requirements files: what is read, what is equal, what a diff shows."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer.core.model import RequirementsDiff
from deployer.core.requirements.meaning import Requirements, diff, moved, parse
from deployer.errors import RequirementsRefused

A = "a" * 64
B = "b" * 64


def same(one: str, other: str) -> bool:
    """Tell whether two texts are equal, having checked that all ways of asking agree."""
    old, new = parse(one), parse(other)
    equal = old == new
    assert (old.fingerprint == new.fingerprint) is equal
    assert bool(diff(old, new)) is not equal
    assert bool(diff(new, old)) is not equal
    assert bool(moved(old, new)) is not equal
    return equal


# --- what is read ----------------------------------------------------------


def test_all_parts_of_a_requirement_are_read() -> None:
    text = (
        "Apache_Airflow.Providers--dbt[Cloud,core_x] >=2.0, <3 ; python_version>'3.9'"
        f" --hash=sha256:{B}  --hash sha512:{A}"
    )
    (package,) = parse(text).packages
    assert package.name == "apache-airflow-providers-dbt"
    assert package.extras == ("cloud", "core-x")
    assert package.specifiers == ("<3", ">=2")
    assert package.url is None
    assert package.marker == 'python_version > "3.9"'
    assert package.hashes == (f"sha256:{B}", f"sha512:{A}")


@pytest.mark.parametrize("given", [f'--hash="sha256:{A}"', f"--hash 'sha256:{A}'"])
def test_a_hash_in_quotes_is_read_as_pip_reads_it(given: str) -> None:
    assert parse(f"six {given}") == parse(f"six --hash=sha256:{A}")


def test_a_direct_url_is_read_with_its_fragment_and_marker() -> None:
    url = "https://example.org/x-1.whl#sha256=abc"
    (package,) = parse(f"X @ {url} ; os_name == 'posix'  # why").packages
    assert (package.name, package.url, package.marker) == ("x", url, 'os_name == "posix"')


def test_a_name_keeps_all_its_lines() -> None:
    text = "numpy<2; python_version<'3.12'\nrich\nNumPy>=2; python_version>='3.12'"
    read = parse(text)
    assert read.names == {"numpy", "rich"}
    assert [package.specifiers for package in read.packages] == [("<2",), (">=2",), ()]


def test_a_requirement_is_shown_as_its_author_spelled_it() -> None:
    (package,) = parse("PyYAML [b, A]==6.0.0  # pinned").packages
    assert package.text == "PyYAML[A,b]==6.0.0"


def test_an_empty_text_asks_for_nothing() -> None:
    assert parse("") == parse("\ufeff\r\n\n  \t\n# only words\n\f") == Requirements()


# --- lines as pip sees them ------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "rich==1.0\nflask>=2",
        "\ufeffrich==1.0\r\nflask>=2\r\n",
        "rich==1.0\rflask>=2\r",
        "rich==1.0\fflask>=2\f\n",
        "# coding: utf-8\nrich==1.0 # why\nflask>=2\t# x",
        "  rich==1.0\n\t flask>=2 \n\n",
        "rich\\\n==1.0\nfl\\\r\nask>=2\\\n",
        "rich==1.0 \\\n\nflask>=2",
        "rich==1.0 \\\n# a comment ends it\nflask>=2",
        "# a comment does not go on \\\nrich==1.0\nflask>=2",
        "rich==1.0 # but this one does \\\n and here it ends\nflask>=2",
        "rich==1.0\u00a0# after any space\nflask>=2\u2003",
    ],
)
def test_lines_are_taken_apart_as_pip_does(text: str) -> None:
    assert same(text, "rich==1.0\nflask>=2")


def test_a_hash_sign_within_a_word_starts_no_comment() -> None:
    (package,) = parse("x @ https://e.example/x.whl#egg=x").packages
    assert package.url == "https://e.example/x.whl#egg=x"


# --- what is equal ---------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Flask\nrich", "rich\nflask"),
        ("a_b.c", "A--B-c"),
        ("a>=1,<2", "a < 2 , >= 1"),
        ("a>=1,<2", "a (<2, >=1)"),
        ("a>=1,>=1.0", "a>=1"),
        ("a[x,Y_z]", "a[y-z, x, x]"),
        ("a==1.0", "a==1.0.0"),
        ("a==1.0", "a==v01.0"),
        ("a==1.0rc1", "a==1.0.0-RC.1"),
        ("a!=1.0", "a!=1"),
        ("a==1.0.*", "a== v1.0.*"),
        ("a~=1.0", "a~=v1.0"),
        ("a;os_name=='nt'", 'a ; ( os_name == "nt" )'),
        ("a\na", "a"),
        ("a==1\nb\na==1.0", "b\na==1"),
        (f"a --hash=sha256:{A} --hash=sha256:{B}", f"a --hash sha256:{B} --hash=sha256:{A}"),
    ],
)
def test_texts_that_install_the_same_are_equal(one: str, other: str) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "b"),
        ("a", ""),
        ("a", "a==1"),
        ("a==1", "a==2"),
        ("a==1", "a>=1"),
        ("a===1.0", "a===1.0.0"),
        ("a===1.0", "a==1.0"),
        ("a~=1.0", "a~=1.0.0"),
        ("a==1.*", "a==1.0.*"),
        ("a==1.*", "a==1"),
        ("a==1!1", "a==1"),
        ("a==1+x", "a==1"),
        ("a", "a[x]"),
        ("a[x]", "a[y]"),
        ("a", "a; os_name=='nt'"),
        ("a; os_name=='NT'", "a; os_name=='nt'"),
        ("a; os_name=='nt'\na; os_name=='posix'", "a; os_name=='nt'"),
        ("a @ https://e.example/A", "a @ https://e.example/a"),
        ("a", f"a --hash=sha256:{A}"),
        (f"a --hash=sha256:{A}", f"a --hash=sha256:{B}"),
    ],
)
def test_texts_that_install_something_else_differ(one: str, other: str) -> None:
    assert not same(one, other)


def test_a_fingerprint_does_not_change_between_runs() -> None:
    # Kept in the journal: a deployer that computes another one forgets what was refused.
    assert parse('Rich==1.0\nsix[a]>=1; os_name=="nt" --hash=sha256:ab').fingerprint == (
        "031b3ef798be969c72fb220ef16c7bbaef0de2a66b48570dba9cc49d3eec120d"
    )


# --- the difference --------------------------------------------------------


def test_a_diff_shows_lines_as_a_person_writes_them() -> None:
    old = parse("rich==1\nPandas==2.0\nflask\nclick")
    new = parse("Requests[socks]>=2\npandas == 2.1.0\nflask\nAttrs")
    assert diff(old, new) == RequirementsDiff(
        added=("Attrs", "Requests[socks]>=2"),
        removed=("click", "rich==1"),
        changed=("pandas==2.1.0",),
    )
    assert moved(old, new) == ("attrs", "click", "pandas", "requests", "rich")


def test_without_an_old_one_everything_is_added() -> None:
    new = parse("rich\nflask")
    assert diff(None, new) == RequirementsDiff(added=("flask", "rich"))
    assert diff(None, parse("")) == RequirementsDiff()


def test_of_a_name_with_several_lines_only_the_moved_ones_are_shown() -> None:
    one, two, three = (f'a=={n}; os_name == "{n}"' for n in (1, 2, 3))
    old = parse(f"{one}\n{two}")
    assert diff(old, parse(f"{one}\n{three}")) == RequirementsDiff(changed=(three,))
    assert diff(old, parse(f"{one}\n{two}\n{three}")) == RequirementsDiff(added=(three,))
    assert diff(old, parse(one)) == RequirementsDiff(removed=(two,))


def test_a_changed_hash_is_shown() -> None:
    old, new = parse(f"a==1 --hash=sha256:{A}"), parse(f"a==1 --hash=sha256:{B}")
    assert diff(old, new) == RequirementsDiff(changed=(f"a==1 --hash sha256:{B}",))


# --- properties ------------------------------------------------------------

# The time that an example takes is no matter here.
examples = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)

WORDS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=5)
NAMES = st.lists(WORDS, min_size=1, max_size=3)
VERSIONS = st.lists(st.integers(0, 20), min_size=2, max_size=3)
OPERATORS = st.sampled_from(["==", "!=", ">=", "<=", "<", ">", "~="])
MARKERS = st.sampled_from(["", 'python_version < "3.12"', "os_name=='nt' or os_name=='posix'"])
SPACES = st.text(" \t", max_size=2)


@dataclass(frozen=True)
class Wish:
    """A requirement before it is spelled."""

    name: list[str]
    extras: list[str]
    specifiers: list[tuple[str, list[int]]]
    marker: str
    hashes: list[str]


WISHES = st.builds(
    Wish,
    name=NAMES,
    extras=st.lists(WORDS, max_size=2),
    # packaging reads a comma behind === as part of the version, so it stands alone.
    specifiers=st.lists(st.tuples(OPERATORS, VERSIONS), max_size=3)
    | st.tuples(st.just("==="), VERSIONS).map(lambda one: [one]),
    marker=MARKERS,
    hashes=st.lists(st.text("0123456789abcdef", min_size=4, max_size=4), max_size=2),
)


def plain(wish: Wish) -> str:
    """Spell a wish in the simplest way."""
    extras = f"[{','.join(wish.extras)}]" if wish.extras else ""
    specifiers = ",".join(op + ".".join(map(str, version)) for op, version in wish.specifiers)
    marker = f"; {wish.marker}" if wish.marker else ""
    hashes = "".join(f" --hash=sha256:{digest}" for digest in wish.hashes)
    return f"{'-'.join(wish.name)}{extras}{specifiers}{marker}{hashes}"


@st.composite
def spelled(draw: st.DrawFn, wish: Wish) -> str:
    """Spell a wish in any way that means the same."""
    case = draw(st.sampled_from([str.lower, str.upper, str.title]))
    name = case(draw(st.sampled_from(["-", "_", ".", "-_.", "--"])).join(wish.name))
    extras = ",".join(
        f"{draw(SPACES)}{case(extra)}{draw(SPACES)}" for extra in draw(st.permutations(wish.extras))
    )
    specifiers = ",".join(
        f"{draw(SPACES)}{op}{draw(SPACES)}{'.'.join(map(str, version))}"
        + (".0" if op not in {"===", "~="} and draw(st.booleans()) else "")
        for op, version in draw(st.permutations(wish.specifiers))
    )
    line = name + draw(SPACES)
    line += f"[{extras}]" if wish.extras else ""
    line += specifiers
    line += f"{draw(SPACES)};{draw(SPACES)}{wish.marker}" if wish.marker else ""
    for digest in draw(st.permutations(wish.hashes)):
        line += f" {draw(SPACES).replace(chr(9), '')}--hash=sha256:{digest}"
    if draw(st.booleans()):
        at = draw(st.integers(0, len(line)))
        line = f"{line[:at]}\\\n{line[at:]}"
    comment = draw(st.sampled_from(["", " # why", "\t#", " #-r x"]))
    return f"{draw(SPACES)}{line}{draw(SPACES)}{comment}"


@st.composite
def respelled(draw: st.DrawFn) -> tuple[str, str]:
    """Return two texts that install the same."""
    wishes = draw(st.lists(WISHES, max_size=4))
    lines = [draw(spelled(wish)) for wish in wishes]
    lines += draw(st.lists(st.sampled_from(lines), max_size=2)) if lines else []
    lines += draw(st.lists(st.sampled_from(["", "  ", "# words", "\t# -r x", "#\\"]), max_size=3))
    ending = draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\n\f\n"]))
    bom = draw(st.sampled_from(["", "\ufeff"]))
    text = bom + ending.join(draw(st.permutations(lines)))
    return "\n".join(map(plain, wishes)), text


@examples
@given(texts=respelled())
def test_no_spelling_changes_what_a_text_means(texts: tuple[str, str]) -> None:
    assert same(*texts)


@examples
@given(
    wishes=st.lists(WISHES, min_size=1, max_size=4, unique_by=lambda w: "-".join(w.name).lower()),
    operator=OPERATORS | st.just("==="),
    version=VERSIONS,
    at=st.integers(0, 2),
)
def test_another_version_is_another_meaning(
    wishes: list[Wish], operator: str, version: list[int], at: int
) -> None:
    at %= len(version)
    other = [*version[:at], version[at] + 1, *version[at + 1 :]]
    first, *rest = wishes
    texts = [
        "\n".join(map(plain, [replace(first, specifiers=[(operator, asked)]), *rest]))
        for asked in (version, other)
    ]
    assert not same(*texts)


@examples
@given(text=st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert read_or_refused(text)


@examples
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                *"a1-_.,;@#$[]()<>=!~*+'\"\\/ \t\n\r\f\x00",
                *("==", "===", "~=", ".*", "1.0", "${X}", "https://", "os_name", " and ", " in "),
                *("--hash=", "sha256:ab", "-r ", "--pre", "-e"),
            ]
        )
    )
)
def test_any_jumble_of_what_a_text_is_made_of_is_read_or_refused(pieces: list[str]) -> None:
    assert read_or_refused("".join(pieces))


def read_or_refused(text: str) -> bool:
    """Return True; an exception of another kind fails the test."""
    try:
        read = parse(text)
    except RequirementsRefused as error:
        return error.line is not None and error.line <= len(text.splitlines())
    return not diff(read, read) and read == parse(text)


@examples
@given(one=respelled(), other=respelled())
def test_a_diff_is_empty_just_if_the_texts_are_equal(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    old, new = parse(one[0]), parse(other[1])
    assert bool(diff(old, new)) is (old != new)


def test_a_backslash_at_the_very_end_continues_nothing() -> None:
    assert parse("numpy\npandas\\") == parse("numpy\npandas")


# --- credentials -----------------------------------------------------------

WITH_CREDENTIALS = [
    "tool @ https://someone:hunter2@host/tool-1.0-py3-none-any.whl",
    "tool @ https://someone%3Ahunter2@host/tool.zip#subdirectory=x",
    "tool @ https://host/tool.whl?X-Amz-Signature=hunter2",
]


@pytest.mark.parametrize("line", WITH_CREDENTIALS)
def test_no_diff_shows_a_credential(line: str) -> None:
    old, new = parse("six\n"), parse(f"six\n{line}\n")
    for shown in (diff(old, new), diff(new, old)):
        assert "host" in f"{shown}"
        assert "hunter2" not in f"{shown}"


@pytest.mark.parametrize("line", WITH_CREDENTIALS)
def test_another_credential_is_another_meaning_and_a_changed_line(line: str) -> None:
    old, new = parse(line), parse(line.replace("hunter2", "hunter3"))
    assert old.fingerprint != new.fingerprint
    changes = diff(old, new)
    assert len(changes.changed) == 1
    assert not changes.added
    assert not changes.removed
    assert "hunter" not in changes.changed[0]
