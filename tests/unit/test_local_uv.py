"""What uv is given of a push, and what is made of its answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.edges.local_uv import (
    added,
    install_args,
    reason_of,
    refusal,
    safe_requirements,
    uv_environment,
)
from deployer.errors import RequirementsRefused

NOT_FOUND = """\
Using Python 3.11.7 environment at: v
error: No solution found when resolving dependencies
  cause: Because nosuch-zz was not found in the package registry and you require nosuch-zz, \
we can conclude that your requirements are unsatisfiable.
"""
TREE = """\
  x No solution found when resolving dependencies:
  ╰─▶ Because there is no version of pandas==99.1 and you require
      pandas==99.1, we can conclude that your requirements are
      unsatisfiable.

      hint: something else
"""
CONFLICT = """\
error: No solution found when resolving dependencies
  cause: Because you require jinja2<3 and jinja2==3.1.6, we can conclude that your requirements \
are unsatisfiable.
"""


def test_comments_blank_lines_and_continuations_reach_uv_as_plain_lines() -> None:
    text = "# ours\n\npandas>=2  # for taxi\nsix==1.17.0 \\\n  --hash=sha256:ab\n"
    assert safe_requirements(text) == "pandas>=2\nsix==1.17.0   --hash=sha256:ab\n"


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
        ("six @ file:///tmp/six.whl", "package index"),
        ("six @ git+https://github.com/class/six", "package index"),
        ("six @ https://host.example/${SECRET}/six.whl", "environment variables"),
        ("six -r other.txt", "not a requirement"),
        ("six --config-settings=a=b", "not a requirement"),
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
    ("said", "reason"),
    [
        (NOT_FOUND, "nosuch-zz was not found in the package registry and you require nosuch-zz"),
        (TREE, "there is no version of pandas==99.1 and you require pandas==99.1"),
        (CONFLICT, "you require jinja2<3 and jinja2==3.1.6"),
        ("error: something new", "something new"),
        ("", "uv gave no reason"),
    ],
)
def test_uvs_complaint_is_cut_to_the_sentence_that_says_why(said: str, reason: str) -> None:
    assert reason_of(said) == reason


def test_a_refusal_names_the_line_of_the_package_that_is_required() -> None:
    assert refusal("six\n# why\nNoSuch_zz>=1\n", NOT_FOUND).line == 3


def test_a_refusal_about_no_line_of_the_text_has_none() -> None:
    assert refusal("six\n", NOT_FOUND).line is None


def test_what_uv_adds_is_read_from_its_list() -> None:
    assert added("Would install 2 packages\n + cowsay==6.1\n + six==1.17.0\n - old==1\n") == (
        "cowsay==6.1",
        "six==1.17.0",
    )


def test_only_wheels_are_installed_and_airflows_pins_hold() -> None:
    args = install_args(Path("/env/bin/python"), Path("/r.txt"), Path("/pins.txt"), dry_run=True)
    assert args == (
        *("pip", "install", "--python", "/env/bin/python"),
        *("--only-binary", ":all:", "--constraint", "/pins.txt"),
        *("--dry-run", "--requirement", "/r.txt"),
    )


def test_uv_sees_no_secret_of_the_deployer() -> None:
    outer = {"DEPLOYER_GITHUB_TOKEN": "t", "PATH": "/bin", "UV_OFFLINE": "1", "AWS_SECRET": "s"}
    assert uv_environment(outer) == {"PATH": "/bin", "UV_OFFLINE": "1"}
