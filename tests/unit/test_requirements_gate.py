"""What of a push an installer is given, and what it is never given."""

from __future__ import annotations

import pytest

from deployer.core.requirements.gate import safe_requirements
from deployer.core.requirements.meaning import parse
from deployer.errors import RequirementsRefused


def test_comments_blank_lines_and_continuations_reach_uv_as_plain_lines() -> None:
    text = "# ours\n\npandas>=2  # for taxi\nsix==1.17.0 \\\n  --hash=sha256:ab\n"
    assert safe_requirements(text) == "pandas>=2\nsix==1.17.0 --hash sha256:ab\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-r other.txt", "option -r"),
        ("-c constraints.txt", "option -c"),
        ("-e .", "option -e"),
        ("--index-url https://packages.example", "option --index-url"),
        ("--extra-index-url=https://packages.example", "option --extra-index-url"),
        ("--find-links /etc", "option --find-links"),
        ("./local.whl", "not a requirement"),
        ("/etc/passwd", "not a requirement"),
        ("pandas=2", "is no requirement"),
        ("six @ file:///tmp/six.whl", "package index"),
        ("six @ git+https://github.com/class/six", "package index"),
        ("six @ https://host.example/${SECRET}/six.whl", "environment variables"),
        ("six -r other.txt", "needs a line of its own"),
        ("six --config-settings=a=b", "option --config-settings"),
    ],
)
def test_what_is_no_package_of_the_index_is_refused_with_its_line(line: str, said: str) -> None:
    with pytest.raises(RequirementsRefused) as caught:
        safe_requirements(f"# first\npandas\n{line}\n")
    assert said in caught.value.reason
    assert caught.value.line == 3


@pytest.mark.parametrize(
    "text", ["# six \\\n-r x\n", "six \\\n-r x\n", "six\r-r x\n", "six\x0b-r x\n"]
)
def test_an_option_cannot_hide_behind_a_line_break(text: str) -> None:
    with pytest.raises(RequirementsRefused):
        safe_requirements(text)


@pytest.mark.parametrize(
    "line",
    [
        "-r other.txt",
        "-c /etc/passwd",
        "-e git+https://h.example/x#egg=x",
        "--index-url https://i.example",
        "--extra-index-url https://i.example",
        "--find-links https://i.example",
        "--trusted-host i.example",
        "./pkg",
        "pkg.whl",
        "file:///etc",
        "git+file:///srv/x",
        "x @ file:///etc",
        "x @ ./x",
        "x @ https://i.example/${GITHUB_TOKEN}",
        "https://i.example/${GITHUB_TOKEN}/x.whl",
        "--only-binary ${X}",
        "rich -C k=${X}",
        "${X}",
    ],
)
def test_lines_that_reach_beyond_their_packages_are_refused(line: str) -> None:
    with pytest.raises(RequirementsRefused) as caught:
        safe_requirements(f"rich\n{line}\n# ${{X}}")
    assert caught.value.line == 2


@pytest.mark.parametrize(
    "line",
    ["--pre", "--no-binary :all:", "https://e.example/x.whl", "x @ git+ssh://git@e.example/x"],
)
def test_what_reaches_no_further_is_refused_as_well_if_it_is_no_package(line: str) -> None:
    with pytest.raises(RequirementsRefused):
        safe_requirements(line)


@pytest.mark.parametrize("line", ["rich==1.0; os_name == 'nt'", "x @ https://e.example/x.whl"])
def test_a_package_of_the_index_or_over_https_passes(line: str) -> None:
    assert parse(safe_requirements(line)) == parse(line)


def test_a_comment_may_hold_anything() -> None:
    assert safe_requirements("rich  # ${X} -r x") == "rich\n"


def test_the_first_line_that_is_not_allowed_is_named() -> None:
    with pytest.raises(RequirementsRefused) as caught:
        safe_requirements("z\nx @ file:x\n-r a\nw @ file:w")
    assert caught.value.line == 2


@pytest.mark.parametrize(
    "line",
    [
        "-i https://someone:hunter2@host.example/simple",
        "--extra-index-url=https://hunter2@host.example/simple",
        "-ihttps://someone:hunter2@host.example/simple",
        "git+https://hunter2@host.example/tool@main#egg=tool",
        "tool @ http://someone:hunter2@host.example/tool.whl",
        "tool @ https://someone:hunter2@host.example/tool whl",
    ],
)
def test_a_refusal_shows_no_credential_of_the_line(line: str) -> None:
    with pytest.raises(RequirementsRefused) as caught:
        safe_requirements(line)
    assert "hunter2" not in f"{caught.value} {caught.value.reason}"
