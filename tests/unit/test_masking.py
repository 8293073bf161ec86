"""Credentials in texts that people are shown."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from deployer.errors import DeployerError, GitError, NotHealthy, RequirementsRefused
from deployer.masking import MASK, masked, printable, without


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "git+https://ghp_AAAABBBBCCCC@github.com/example/tool@main#egg=tool",
            "git+https://****@github.com/example/tool@main#egg=tool",
        ),
        (
            "tool @ https://someone:hunter2@host/tool-1.0-py3-none-any.whl",
            "tool @ https://****@host/tool-1.0-py3-none-any.whl",
        ),
        ("https://hunter2@host:8443/x", "https://****@host:8443/x"),
        ("https://:hunter2@host/x", "https://****@host/x"),
        ("https://someone:@host/x", "https://****@host/x"),
        ("HTTPS://someone:hunter2@HOST/x", "HTTPS://****@HOST/x"),
        ("https://someone%40corp:hunt%23er2@host/x", "https://****@host/x"),
        ("https://someone%3Ahunter2@host/x", "https://****@host/x"),
        ("https://someone@corp:hunter2@host/x", "https://****@host/x"),
        ("https://someone:hunter2@[::1]:80/x", "https://****@[::1]:80/x"),
        ("https://someone:hunt/er2@host/x", "https://****@host/x"),
        ("https://someone:hunt/er@hunt2@host/x", "https://****@host/x"),
        ("https://someone:hunter#2@host/x", "https://****@host/x"),
        ("https://someone:hunter?2@host/x", "https://****@host/x"),
        ("https://someone:hunt'er2@host/x", "https://****@host/x"),
        ('https://someone:"hunter2"@host/x', "https://****@host/x"),
        ("https://someone:hunt<er\\2@host/x", "https://****@host/x"),
        ("tool @ https://someone:hunter 2@host/x", "tool @ https://****@host/x"),
        ("https:/someone:hunter2@host/x", "https:/****@host/x"),
        ("git+https:hunter2@host/x", "****@host/x"),
        ("https%3A%2F%2Fsomeone%3Ahunter2%40host%2Fx", "https%3A%2F%2F****@host%2Fx"),
        ("git+ssh://git:hunter2@host/x.git@v1", "git+ssh://****@host/x.git@v1"),
        ("svn+http://someone:hunter2@host/x", "svn+http://****@host/x"),
        ("--index-url https://u:hunter2@host/simple", "--index-url https://****@host/simple"),
        ("--extra-index-url=https://hunter2@host", "--extra-index-url=https://****@host"),
        ("-ihttps://u:hunter2@host/simple", "-ihttps://****@host/simple"),
        ("--trusted-host u:hunter2@host:80", "--trusted-host ****@host:80"),
        ("--index-url //u:hunter2@host/simple", "--index-url //****@host/simple"),
        (
            "fatal: could not read from 'https://u:hunter2@host/': gone",
            "fatal: could not read from 'https://****@host/': gone",
        ),
        ("a https://hunter2@one/x b http://hunter2@two/y", "a https://****@one/x b http://****@two/y"),
        ("as uv has it: https://someone:****@host/x", "as uv has it: https://****@host/x"),
    ],
)  # fmt: skip
def test_user_information_is_masked_in_every_spelling(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert "hunt" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://host/x.whl?token=hunter2", "https://host/x.whl?token=****"),
        ("https://host/x.whl?a=1&sig=hunter2#egg=x", "https://host/x.whl?a=****&sig=****#egg=x"),
        (
            "https://s3.example/x.whl?X-Amz-Date=1;X-Amz-Signature=hunter2",
            "https://s3.example/x.whl?X-Amz-Date=****;X-Amz-Signature=****",
        ),
        ("https://host/x.whl?hunter2", "https://host/x.whl?****"),
        ("https://host/x.whl?token=hunter2==", "https://host/x.whl?token=****"),
        ("https://host/x.whl#access_token=hunter2", "https://host/x.whl#access_token=****"),
        (
            "https://host/x.whl#egg=x&subdirectory=s&sha256=ab",
            "https://host/x.whl#egg=x&subdirectory=s&sha256=ab",
        ),
        ("(https://host/x?token=hunter2) and", "(https://host/x?token=**** and"),
        ('{"event": "https://host/x?token=hunter2"}', '{"event": "https://host/x?token=****"}'),
        (r'"\"https://host/x?token=hunter2\" is"', r'"\"https://host/x?token=****\" is"'),
    ],
)
def test_of_a_query_the_names_are_left(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    "token",
    [
        "ghp_AAAABBBBCCCC",
        "ghs_0123456789abcdef",
        "github_pat_11AAAA_bbbbCCCC",
        "glpat-aaaa-bbbb_cccc",
        "pypi-AgEIcHlwaS5vcmc",
    ],
)
def test_a_token_of_a_known_form_is_masked_wherever_it_stands(token: str) -> None:
    assert masked(f"https://host/{token}/simple") == "https://host/****/simple"
    assert masked(f"git said {token}.") == "git said ****."


@pytest.mark.parametrize("before", ["\n", "\t", "\r\n"])
@pytest.mark.parametrize("written", [json.dumps, repr])
def test_a_token_is_masked_behind_a_line_break_that_is_written_as_an_escape(
    written: Callable[[str], str], before: str
) -> None:
    assert masked(written(f"of{before}ghp_AAAABBBBCCCC ")) == written(f"of{before}{MASK} ")


@pytest.mark.parametrize(
    "text",
    [
        "git+https://github.com/example/tool.git@v1.0#egg=tool",
        "https://host:8443/a@b/tool.whl",
        "pandas==2.1; python_version<'3.12' and sys_platform=='linux'",
        "apache/airflow:3.3.2@sha256:abcdef",
        "six==1.17.0 --hash=sha256:abcdef",
        "write to teacher@example.org",
        "no reason at all? None: it said nothing",
        "requirements.txt:3 you require jinja2<3 and jinja2==3.1.6",
        "https://host/x.whl#main",
    ],
)
def test_what_holds_no_credential_stays_as_it_is(text: str) -> None:
    assert masked(text) == text


def test_a_line_of_the_log_is_json_after_it_as_before() -> None:
    event = {"a": "https://host", "b": ["https://host", "me@host"], "c": "'https://u:p'w@host'"}
    shown = json.loads(masked(json.dumps(event)))
    assert shown == event | {"c": "'https://****@host'"}


def test_a_secret_that_is_known_is_masked_wherever_it_stands_the_longest_first() -> None:
    assert without(["hush", "", None, "hush-hush"], "hush-hush, hush; xhush") == "****, ****; x****"


def test_masking_twice_is_masking_once() -> None:
    once = masked("tool @ https://u:hunter2@host/x?token=hunter2#t=hunter2")
    assert masked(once) == once


@pytest.mark.parametrize(
    "piece",
    ["//a:b", "https:", ":/", "a:b ", "https://a:b?#", "%2f%2fa", "//'", "\\", "/", ":/a@", "a:"],
)
@pytest.mark.parametrize("end", ["", "@", "@h ", "?x", "#x=y"])
def test_no_text_of_a_push_takes_long(piece: str, end: str) -> None:
    text = (piece * 50_000)[:60_000] + end
    began = time.process_time()
    masked(text)
    assert time.process_time() - began < 2


def test_a_password_of_any_length_is_masked() -> None:
    assert masked(f"https://someone:{'p' * 50_000}@host/x") == "https://****@host/x"


def test_of_backslashes_in_a_row_the_last_two_may_begin_an_address() -> None:
    assert masked("\\" * 3 + "a:pass/word@host") == "\\" * 3 + "****@host"


@pytest.mark.parametrize("error", [DeployerError, GitError, NotHealthy, RequirementsRefused])
def test_no_error_holds_a_credential(error: type[DeployerError]) -> None:
    raised = error("can't have https://someone:hunter2@host/x")
    assert "hunter2" not in f"{raised} {raised!r} {vars(raised)}"
    assert "https://****@host/x" in str(raised)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é ✓\nnext", "plain é ✓\nnext"),
        ("\x1b[31mred\x07", "?[31mred?"),
        ("a\tb", "a b"),
        ("right\u202eleft", "right?left"),
    ],
)
def test_only_what_can_be_seen_is_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
