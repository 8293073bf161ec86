"""Requirements files: what is read, what is equal, what is refused, what a diff shows."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer.core.model import RequirementsDiff
from deployer.core.requirements.lines import MAX_CHARS, MAX_LINE
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


def refused(text: str) -> RequirementsRefused:
    with pytest.raises(RequirementsRefused) as caught:
        parse(text)
    return caught.value


def options(text: str) -> list[tuple[str, str | None]]:
    return [(option.flag, option.value) for option in parse(text).options]


# --- what is read ----------------------------------------------------------


def test_all_parts_of_a_requirement_are_read() -> None:
    text = (
        "Apache_Airflow.Providers--dbt[Cloud,core_x] >=2.0, <3 ; python_version>'3.9'"
        f" --hash=sha256:{B} --hash sha512:{A} -C k=v"
    )
    (package,) = parse(text).packages
    assert package.name == "apache-airflow-providers-dbt"
    assert package.extras == ("cloud", "core-x")
    assert package.specifiers == ("<3", ">=2")
    assert package.url is None
    assert package.marker == 'python_version > "3.9"'
    assert package.hashes == (f"sha256:{B}", f"sha512:{A}")
    assert package.settings == ("k=v",)


def test_a_direct_url_is_read_with_its_fragment_and_marker() -> None:
    url = "https://example.org/x-1.whl#sha256=abc"
    (package,) = parse(f"X @ {url} ; os_name == 'posix'  # why").packages
    assert (package.name, package.url, package.marker) == ("x", url, 'os_name == "posix"')


def test_a_name_keeps_all_its_lines() -> None:
    text = "numpy<2; python_version<'3.12'\nrich\nNumPy>=2; python_version>='3.12'"
    by_name = parse(text).by_name
    assert list(by_name) == ["numpy", "rich"]
    assert [package.specifiers for package in by_name["numpy"]] == [("<2",), (">=2",)]


def test_a_requirement_is_shown_as_its_author_spelled_it() -> None:
    (package,) = parse("PyYAML [b, A]==6.0.0  # pinned").packages
    assert package.text == "PyYAML[A,b]==6.0.0"


def test_an_empty_text_asks_for_nothing() -> None:
    assert parse("") == parse("\ufeff\r\n\n  \t\n# only words\n\f") == Requirements()


@pytest.mark.parametrize(
    "option",
    ["-r base.txt", "-rbase.txt", "--requirement base.txt", "--requirement=base.txt"],
)
def test_all_spellings_of_an_option_are_one(option: str) -> None:
    assert options(option) == [("-r", "base.txt")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-c https://example.org/c.txt", [("-c", "https://example.org/c.txt")]),
        ("-e ./pkg", [("-e", "./pkg")]),
        ("-e ./pkg -C k=v", [("-e", "./pkg"), ("--config-settings", "k=v")]),
        ("-i https://i.example", [("--index-url", "https://i.example")]),
        ("--pypi-url https://i.example", [("--index-url", "https://i.example")]),
        ("--extra-index-url=https://i.example", [("--extra-index-url", "https://i.example")]),
        ("-f 'my wheels'", [("--find-links", "my wheels")]),
        ("--trusted-host i.example", [("--trusted-host", "i.example")]),
        ("--no-index", [("--no-index", None)]),
        ("--pre --no-binary :all:", [("--pre", None), ("--no-binary", ":all:")]),
        ("--index-url=", [("--index-url", "")]),
        ("./pkg", [("", "./pkg")]),
        (".", [("", ".")]),
        ("../pkg[x]", [("", "../pkg[x]")]),
        ("/opt/pkg", [("", "/opt/pkg")]),
        ("~/pkg", [("", "~/pkg")]),
        ("lib/pkg  ; os_name=='nt'", [("", "lib/pkg ; os_name=='nt'")]),
        ("pkg-1.tar.gz", [("", "pkg-1.tar.gz")]),
        ("pkg.ZIP [x] ; os_name=='nt'", [("", "pkg.ZIP [x] ; os_name=='nt'")]),
        (f"pkg.whl --hash=sha256:{A}", [("", f"pkg.whl --hash sha256:{A}")]),
        ("file:pkg", [("", "file:pkg")]),
        ("FILE:///opt/pkg", [("", "FILE:///opt/pkg")]),
        ("https://example.org/x.whl", [("", "https://example.org/x.whl")]),
        ("git+https://h.example/x@v1#egg=x", [("", "git+https://h.example/x@v1#egg=x")]),
        ("${HOME}/pkg", [("", "${HOME}/pkg")]),
    ],
)
def test_a_line_without_a_package_s_name_is_an_option(
    line: str, expected: list[tuple[str, str | None]]
) -> None:
    assert options(line) == expected
    assert parse(line).packages == ()


@pytest.mark.parametrize("line", ["foo @ https://e.example/foo.zip", "foo.bar", "zip", "whl"])
def test_a_name_is_not_taken_for_an_archive(line: str) -> None:
    assert len(parse(line).packages) == 1
    assert options(line) == []


def test_options_keep_their_order_and_their_lines() -> None:
    read = parse("--pre\nrich\n\n-r \\\n b.txt\n-r a.txt").options
    assert [(option.text, option.line) for option in read] == [
        ("--pre", 1),
        ("-r b.txt", 4),
        ("-r a.txt", 6),
    ]


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
        ("-r a\n-r a", "-r a"),
        ("--pre --pre", "--pre"),
        ("-r a\nrich", "rich\n--requirement=a"),
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
        ("a -C k=v", "a -C k=w"),
        ("a -C k=v -C k=w", "a -C k=w -C k=v"),
        ("a", "a\n--pre"),
        ("-r a\n-r b", "-r b\n-r a"),
        ("--no-binary a\n--pre\n--no-binary a", "--no-binary a\n--pre"),
        ("-r a", "-c a"),
        ("./a", "./b"),
        ("--index-url=", "--no-index"),
    ],
)
def test_texts_that_install_something_else_differ(one: str, other: str) -> None:
    assert not same(one, other)


def test_a_fingerprint_does_not_change_between_runs() -> None:
    # Kept in the journal: a deployer that computes another one forgets what was refused.
    assert parse("Rich==1.0\n-r a").fingerprint == (
        "99eeaab091faee9a9468c199be6a99565cca16d4ec7dcafe3cf7a571069ad778"
    )


# --- what is refused -------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("foo bar", "'foo bar' is no requirement: Expected semicolon"),
        ("foo=1.0", "'foo=1.0' is no requirement: a version is asked for with '==', not '='"),
        ("foo [x] = 1", "a version is asked for with '==', not '='"),
        ("foo==1.0,bar", "is no requirement"),
        ("foo==1.0-", "is no requirement"),
        ("foo~=1", "is no requirement"),
        ("foo; python == '3'", "is no requirement"),
        ("foo;", "is no requirement"),
        ("foo_", "is no requirement"),
        ("foo\\bar", "holds a backslash that does not end it"),
        ("foo \\ ", "holds a backslash that does not end it"),
        ("foo; os_name == '\\d'", "holds a backslash that does not end it"),
        ("foo==${VERSION}", "is no requirement"),
        ("foo~=1.0po\u017ft1", "is no requirement"),
        ("foo>=1,~=1.0po\u017ft1", "is no requirement"),
        ("foo==" + "1" * 5000, "is no requirement"),
        ("foo;" + "(" * 5000, "is no requirement"),
        ("<html>", "is no requirement"),
        ("<<<<<<< HEAD", "is no requirement"),
        ("b\ufffdr==1 # \ufffd", "holds a letter that is not UTF-8: save the file as UTF-8"),
        ("foo\x00", "holds the unprintable character U+0000: save the file as UTF-8"),
        ("foo # \x1b[2J", "holds the unprintable character U+001B: save the file as UTF-8"),
        ("foo # \x0b-r x", "holds the unprintable character U+000B: save the file as UTF-8"),
        ("foo # \u2028-r x", "holds the unprintable character U+2028: save the file as UTF-8"),
        ("foo # \x85-r x", "holds the unprintable character U+0085: save the file as UTF-8"),
        ("foo # \ud800", "holds the unprintable character U+D800: save the file as UTF-8"),
        ("# coding: utf-7", "declares another encoding than UTF-8"),
        ("# -*- coding=latin-1 -*-", "declares another encoding than UTF-8"),
        ("foo --index-url https://i.example", "--index-url needs a line of its own"),
        ("./foo -r x", "-r needs a line of its own"),
        (f"--hash=sha256:{A}", "--hash stands behind no requirement"),
        (f"foo --hash=md5:{A}", "which is no hash of sha256, sha384 or sha512"),
        ("foo --hash=", "which is no hash"),
        ("foo --hash", "gives no value to --hash"),
        ("-r", "gives no value to -r"),
        ("--pre=1", "holds the unknown option '--pre=1'"),
        ("--extra-index=https://i.example", "holds the unknown option '--extra-index="),
        ("--pre foo", "holds the unknown option 'foo'"),
        ("--", "holds the unknown option '--'"),
        ("-", "holds the unknown option '-'"),
        ("-x", "holds the unknown option '-x'"),
        ("-r 'a", "leaves a quote open"),
        ("-r a\\ # x", "leaves a quote open"),
    ],
    ids=lambda value: ascii(value[:30]),
)
def test_a_line_that_cannot_be_read_is_refused_with_its_number(text: str, reason: str) -> None:
    assert refused(text).line == 1
    assert reason in refused(text).reason
    second = refused(f"rich\r\n{text}\nflask")
    assert second.line == 2
    assert reason in second.reason


def test_the_number_is_that_of_the_first_line_of_several() -> None:
    assert refused("rich\n\n# words\nfoo \\\n  bar \\\n  baz\nflask").line == 4
    assert refused("rich \\\n>=1\nfoo \\\n\x00").line == 3
    assert refused("rich \\\n>=1\nfoo bar").line == 3


def test_a_form_feed_is_no_line_to_an_editor() -> None:
    assert refused("rich\n\fflask\nfoo bar").line == 3


def test_a_conflict_of_git_is_refused_at_its_mark() -> None:
    text = "rich\n<<<<<<< HEAD\nflask==1\n=======\nflask==2\n>>>>>>> main\n"
    assert refused(text).line == 2


def test_only_the_first_two_lines_declare_an_encoding() -> None:
    assert parse("rich\n \n# coding: latin-1") == parse("rich")
    assert parse("rich # coding: latin-1") == parse("rich")
    assert refused("rich\n# coding: latin-1").line == 2


def test_a_text_of_any_length_is_not_even_looked_at() -> None:
    assert refused("#" * (MAX_CHARS + 1)).line is None
    assert parse("#" * MAX_CHARS) == Requirements()


def test_a_line_that_is_too_long_is_refused_without_being_quoted() -> None:
    why = refused("six\n" + "https://" * (MAX_LINE // 8) + "!")
    assert (why.line, why.reason) == (2, f"is longer than {MAX_LINE:,} characters")
    assert parse(f"six # {'a' * MAX_LINE}") == parse("six")


def test_a_reason_is_short_whatever_the_line_holds() -> None:
    assert len(refused("foo==1,=" + "x" * 10_000).reason) < 300
    assert len(refused("-z" + "x" * 10_000).reason) < 300


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
    new = parse("rich\n--pre\nflask")
    assert diff(None, new) == RequirementsDiff(added=("--pre", "flask", "rich"))
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


def test_options_show_up_in_a_diff_like_packages() -> None:
    old = parse("rich\n--index-url https://a.example\n--pre\n./x")
    new = parse("rich\n--index-url https://b.example\n-r more.txt\n./y")
    assert diff(old, new) == RequirementsDiff(
        added=("-r more.txt", "./y"),
        removed=("--pre", "./x"),
        changed=("--index-url https://b.example",),
    )
    assert moved(old, new) == ("--index-url", "--pre", "-r", "./x", "./y")


def test_options_in_another_order_are_all_shown_as_changed() -> None:
    old, new = parse("rich\n-r a\n-c b"), parse("rich\n-c b\n-r a")
    assert diff(old, new) == RequirementsDiff(changed=("-c b", "-r a"))
    assert moved(old, new) == ("-c", "-r")


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
    "tool @ git+https://hunter2@host/tool@main#egg=tool",
    "git+https://hunter2@host/tool@main#egg=tool",
    "tool @ https://host/tool.whl?X-Amz-Signature=hunter2",
    "--index-url https://someone:hunter2@host/simple",
    "--extra-index-url=https://someone%3Ahunter2@host/simple",
    '-i "https://someone:my hunter2@host/simple"',
    "-e git+https://hunter2@host/tool@main#egg=tool",
]


@pytest.mark.parametrize("line", WITH_CREDENTIALS)
def test_no_diff_shows_a_credential(line: str) -> None:
    old, new = parse("six\n"), parse(f"six\n{line}\n")
    for shown in (diff(old, new), diff(new, old), moved(old, new)):
        assert "host" in f"{shown}" or line.startswith(("tool", "-"))
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


@pytest.mark.parametrize(
    "line",
    [
        "tool = https://someone:hunter2@host/x",
        "tool @ https://someone:my hunter2@host/x",
        "tool @ https://someone-with-a-name-as-long-as-can-be:hunter2hunter2hunter2@host/x y",
        "six --hash=https://someone:hunter2@host/x",
        "--index=https://someone:hunter2@host/x",
    ],
)
def test_no_refusal_shows_a_credential(line: str) -> None:
    caught = refused(line)
    assert "hunter2" not in f"{caught} {caught.reason}"
