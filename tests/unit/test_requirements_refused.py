"""What of a push an installer is given, what it is never given, and the line that is told."""

from __future__ import annotations

import pytest

from deployer.core.requirements.meaning import (
    MAX_CHARS,
    MAX_LINE,
    Requirements,
    parse,
    safe_requirements,
)
from deployer.errors import RequirementsRefused

A, B = "a" * 64, "b" * 64


def refused(text: str) -> RequirementsRefused:
    with pytest.raises(RequirementsRefused) as caught:
        parse(text)
    with pytest.raises(RequirementsRefused) as told:
        safe_requirements(text)
    assert told.value.line == caught.value.line
    return caught.value


INDEX = "must come from the package index or over https"
REFUSED = {
    # options, however they are spelled
    "-r base.txt": "option -r is not allowed, only packages",
    "-rbase.txt": "option -r is not allowed",
    "-r \\\n b.txt": "option -r is not allowed",
    "-r": "option -r is not allowed",
    "-r 'a": "leaves a quote or a backslash open",
    "-r a\\ # x": "leaves a quote or a backslash open",
    "--requirement base.txt": "option --requirement is not allowed",
    "--requirement=base.txt": "option --requirement is not allowed",
    "-c constraints.txt": "option -c is not allowed",
    "-c /etc/passwd": "option -c is not allowed",
    "-c https://example.org/c.txt": "option -c is not allowed",
    "-e .": "option -e is not allowed",
    "-e ./pkg -C k=v": "option -e is not allowed",
    "-e git+https://h.example/x#egg=x": "option -e is not allowed",
    "-i https://i.example": "option -i is not allowed",
    "-ihttps://i.example": "option -i is not allowed",
    "--index-url https://i.example": "option --index-url is not allowed, only packages",
    "--index-url=": "option --index-url is not allowed",
    "--pypi-url https://i.example": "option --pypi-url is not allowed",
    "--extra-index-url https://i.example": "option --extra-index-url is not allowed",
    "--extra-index-url=https://i.example": "option --extra-index-url is not allowed",
    "--extra-index=https://i.example": "option --extra-index is not allowed",
    "-f 'my wheels'": "option -f is not allowed",
    "--find-links /etc": "option --find-links is not allowed",
    "--find-links https://i.example": "option --find-links is not allowed",
    "--trusted-host i.example": "option --trusted-host is not allowed",
    "--no-index": "option --no-index is not allowed",
    "--pre": "option --pre is not allowed",
    "--pre=1": "option --pre is not allowed",
    "--pre foo": "option --pre is not allowed",
    "--pre --no-binary :all:": "option --pre is not allowed",
    "--no-binary :all:": "option --no-binary is not allowed",
    "--require-hashes": "option --require-hashes is not allowed",
    "--use-feature x": "option --use-feature is not allowed",
    "--": "option -- is not allowed",
    "-": "option - is not allowed",
    "-x": "option -x is not allowed",
    "six -r other.txt": "option -r is not allowed",
    "six --index-url https://i.example": "option --index-url is not allowed",
    "six -C k=v": "option -C is not allowed",
    "six --config-settings=a=b": "option --config-settings is not allowed",
    f"six --hash=sha256:{A} --pre": "option --pre is not allowed",
    f"six --hash=sha256:{A} rich": "more than options behind a requirement is not allowed",
    f"six --hash=sha256:{A} https://u:hunter2 b@h/x": "more than options behind a requirement",
    # hashes
    f"--hash=sha256:{A}": "--hash follows no requirement",
    f"six --hash=md5:{A}": "--hash is none of sha256, sha384 or sha512",
    "six --hash=": "--hash is none of",
    "six --hash": "--hash is none of",
    "six --hash='https://u:hunter2 b@h/x'": "--hash is none of",
    f"six --hash='sha256:{A}": "leaves a quote or a backslash open",
    f"six --hash=sha256:{A}\u00a0--hash=sha256:{B}": "--hash is none of",
    # variables, which an installer replaces by its environment
    "${X}": "environment variables are not allowed here",
    "${HOME}/pkg": "environment variables are not allowed here",
    "foo==${VERSION}": "environment variables are not allowed here",
    "foo; os_name == '${X}'": "environment variables are not allowed here",
    "foo -C k=${X}": "environment variables are not allowed here",
    "--only-binary ${X}": "environment variables are not allowed here",
    "x @ https://i.example/${GITHUB_TOKEN}": "environment variables are not allowed here",
    "https://i.example/${GITHUB_TOKEN}/x.whl": "environment variables are not allowed here",
    # places
    "./local.whl": "'./local.whl' must come from the package index or over https",
    "./pkg": INDEX,
    ".": INDEX,
    "../pkg[x]": INDEX,
    "/etc/passwd": INDEX,
    "~/pkg": INDEX,
    "lib/pkg  ; os_name=='nt'": INDEX,
    "./foo -r x": "option -r is not allowed",
    "file:pkg": INDEX,
    "FILE:///opt/pkg": INDEX,
    "git+file:///srv/x": INDEX,
    "https://example.org/x.whl": "is no requirement: an address needs the package's name before it",
    "git+https://h.example/x@v1#egg=x": INDEX,
    "http://h.example/x.whl": INDEX,
    "pkg.whl": "'pkg.whl' is no requirement but a file",
    "pkg-1.tar.gz": "'pkg-1.tar.gz' is no requirement but a file",
    "pkg.ZIP [x] ; os_name=='nt'": "is no requirement but a file",
    "pkg===1.zip": "is no requirement but a file",
    f"pkg.whl --hash=sha256:{A}": "is no requirement but a file",
    "six @ file:///tmp/six.whl": "six must come from the package index or over https",
    "six @ ./six": "six must come from the package index or over https",
    "six @ http://e.example/six.whl": "six must come from the package index or over https",
    "six @ git+https://github.com/class/six": "six must come from the package index",
    "six @ git+ssh://git@e.example/six": "six must come from the package index",
    # what is no requirement at all
    "foo>=1/2": "is no requirement: ",
    "foo bar": "'foo bar' is no requirement: Expected semicolon",
    "foo=1.0": "'foo=1.0' is no requirement: a version is asked for with '==', not '='",
    "foo [x] = 1": "a version is asked for with '==', not '='",
    "foo==1.0,bar": "is no requirement",
    "foo==1.0-": "is no requirement",
    "foo~=1": "is no requirement",
    "foo; python == '3'": "is no requirement",
    "foo;": "is no requirement",
    "foo_": "is no requirement",
    "foo~=1.0po\u017ft1": "is no requirement",
    "foo>=1,~=1.0po\u017ft1": "is no requirement",
    "foo==" + "1" * 5000: "is no requirement",
    "foo;" + "(" * 5000: "is no requirement",
    "<html>": "is no requirement",
    "<<<<<<< HEAD": "is no requirement",
    # letters and encodings
    "foo\\bar": "has a backslash that is not at its end",
    "foo \\ ": "has a backslash that is not at its end",
    "foo; os_name == '\\d'": "has a backslash that is not at its end",
    "b\ufffdr==1 # \ufffd": "holds a letter that is not UTF-8: save the file as UTF-8",
    "foo\x00": "holds the unprintable character U+0000: save the file as UTF-8",
    "foo # \x1b[2J": "holds the unprintable character U+001B: save the file as UTF-8",
    "foo # \x0b-r x": "holds the unprintable character U+000B: save the file as UTF-8",
    "foo # \u2028-r x": "holds the unprintable character U+2028: save the file as UTF-8",
    "foo # \x85-r x": "holds the unprintable character U+0085: save the file as UTF-8",
    "foo # \ud800": "holds the unprintable character U+D800: save the file as UTF-8",
    "# coding: utf-7": "declares an encoding other than UTF-8",
    "# -*- coding=latin-1 -*-": "declares an encoding other than UTF-8",
}


@pytest.mark.parametrize(
    ("line", "reason"), REFUSED.items(), ids=[ascii(line[:40]) for line in REFUSED]
)
def test_a_line_that_is_not_allowed_or_cannot_be_read_is_refused_with_its_number(
    line: str, reason: str
) -> None:
    assert refused(line).line == 1
    assert reason in refused(line).reason
    second = refused(f"rich\r\n{line}\nflask # ${{X}}")
    assert second.line == 2
    assert reason in second.reason


@pytest.mark.parametrize(
    "text", ["# six \\\n-r x\n", "six \\\n-r x\n", "six\r-r x\n", "six\x0b-r x\n", "six\f-r x"]
)
def test_an_option_cannot_hide_behind_a_line_break(text: str) -> None:
    assert refused(text).line in {1, 2}


def test_the_first_line_that_is_not_allowed_is_named() -> None:
    assert refused("z\nx @ file:x\n-r a\nw @ file:w\nv=1").line == 2


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
    for option in ("-z", "--z", "six --hash=", f"six --hash=sha256:{A} "):
        assert len(refused(option + "x" * 10_000).reason) < 300


@pytest.mark.parametrize(
    "line",
    [
        "-i https://someone:hunter2@host.example/simple",
        "--extra-index-url=https://hunter2@host.example/simple",
        "-ihttps://someone:hunter2@host.example/simple",
        '-i "https://someone:my hunter2@host/simple"',
        "--index=https://someone:hunter2@host/x",
        "--https://someone:hunter2@host/x",
        "-e git+https://hunter2@host/tool@main#egg=tool",
        "git+https://hunter2@host.example/tool@main#egg=tool",
        "tool = https://someone:hunter2@host/x",
        "tool @ http://someone:hunter2@host.example/tool.whl",
        "tool @ git+https://hunter2@host/tool@main#egg=tool",
        "tool @ https://someone:hunter2@host.example/tool whl",
        "tool @ https://someone:my hunter2@host/x",
        "tool @ https://someone-with-a-name-as-long-as-can-be:hunter2hunter2hunter2@host/x y",
        "six --hash=https://someone:hunter2@host/x",
        f"six --hash=sha256:{A} https://someone:hunter2@host/x",
    ],
)
def test_no_refusal_shows_a_credential(line: str) -> None:
    caught = refused(line)
    assert "hunter2" not in f"{caught} {caught.reason}"


# --- what passes ------------------------------------------------------------


def test_comments_blank_lines_and_continuations_reach_uv_as_plain_lines() -> None:
    text = (
        "# ours\n\npandas>=2  # for taxi\n"
        "six==1.17.0 \\\n  --hash=sha256:ab \\\n  --hash=sha512:cd\n"
    )
    assert safe_requirements(text) == ("pandas>=2\nsix==1.17.0 --hash sha256:ab --hash sha512:cd\n")


@pytest.mark.parametrize(
    "line",
    [
        "rich==1.0; os_name == 'nt'",
        "x @ https://e.example/x.whl",
        "x @ HTTPS://e.example/x.zip",
        "foo.bar",
        "zip",
        "whl",
        "x[a.zip]",
    ],
)
def test_a_package_of_the_index_or_over_https_passes(line: str) -> None:
    read = parse(safe_requirements(line))
    assert read == parse(line)
    assert len(read.packages) == 1


def test_a_comment_may_hold_anything() -> None:
    assert safe_requirements("rich  # ${X} -r x") == "rich\n"
