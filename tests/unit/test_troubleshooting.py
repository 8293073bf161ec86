"""docs/troubleshooting.md against the code: no text of a status is missing, none is stale."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deployer.core.model import Ending, Outcome, ParseError, State, Verdict
from deployer.core.precheck import REMEDIES
from deployer.core.reporting.commit_status import Commit, final
from deployer.core.tree.limits import PER_COMMIT, PER_FOLDER
from deployer.edges.compose.proving import CHECKS
from deployer.edges.parser.protocol import Answer, End, Limits, harm
from tests.pages import spans
from tests.unit.status_texts import VARIES, error_names, texts

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "troubleshooting.md").read_text()
OTHERS_WORDS = ("## Read it first", "## Your file does not parse", "## Your file breaks")
"""Sections that show what Python, Airflow and the class's policy say."""
FROM_OTHERS = {
    "requirements.txt:3 … you require … are unsatisfiable",  # uv
    "requirements.txt:3 you require pydantic<2 and pydantic==2.14.3 (Airflow's own pin)",  # uv
    "requirements.txt:3 … to end in a supported file extension",  # uv
    "No space left on device: …; the release before stays live",  # the kernel
    "Is a directory: …; the release before stays live",  # likewise
    "docker compose … failed: …",  # a command's name, and what it said
    "live; 1 file broken, in … s",
    "live: no DAG file to parse, in … s",
    "live: …; maria/weather.py:3 …",  # these are put together from parts
    "breaks maria/b.py:2 …",
    "waits for bc0a4e2: packages change",
    "packages change: …",
    "frozen: …",
    "rolled back to abc1234: exam week",
    "live: …; changes maria's folder",
}


def pattern(text: str, variable: str) -> re.Pattern[str]:
    """Return what matches a text, anything standing where `variable` does."""
    return re.compile(".*".join(map(re.escape, text.split(variable))))


def shows(span: str, text: str) -> bool:
    """Tell whether `span` of the page is the text of the code, perhaps cut or an example."""
    words = re.findall(r"[A-Za-z']{2,}", span)
    return len(words) > 1 and bool(
        pattern(span, "…").fullmatch(text) or pattern(text, VARIES).search(span)
    )


def sections() -> list[str]:
    return re.split(r"^(?=## )", PAGE, flags=re.MULTILINE)


def test_each_text_of_the_code_is_on_the_page() -> None:
    shown = spans(PAGE)
    missing = {
        text: module
        for text, module in texts().items()
        if not any(shows(span, text) for span in shown)
    }
    assert missing == {}, "give these a line in docs/troubleshooting.md"


def test_the_page_shows_no_text_that_the_code_does_not_have() -> None:
    known = texts()
    first_cells = re.findall(
        r"^\| (`.+?`) \|",
        "".join(part for part in sections() if not part.startswith(OTHERS_WORDS)),
        flags=re.MULTILINE,
    )
    assert len(first_cells) > 80
    stale = {
        span
        for cell in first_cells
        for span in spans(cell)
        if not any(shows(span, text) for text in known)
    }
    assert stale - FROM_OTHERS == set()


@pytest.mark.parametrize("end", sorted(set(End) - {End.REPORTED, End.HARMFUL, End.SETUP}))
def test_each_harm_of_a_held_file_is_on_the_page(end: End) -> None:
    said = harm(Answer("dags/a/x.py", end, code=11, what="KeyboardInterrupt"), Limits())
    assert any(shows(span, said) for span in spans(PAGE)), said


@pytest.mark.parametrize("check", CHECKS.values())
def test_each_check_of_new_packages_is_on_the_page(check: str) -> None:
    assert f"installs, but {check} fails: …" in spans(PAGE)


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - {Outcome.PARSED, Outcome.DELETED}))
def test_the_status_of_each_outcome_but_the_good_ones_is_on_the_page(outcome: Outcome) -> None:
    error = None
    if outcome is Outcome.HELD:
        error = ParseError("Held", "crashes its parser (signal 11, segmentation fault)")
    if outcome is Outcome.BROKEN:
        error = ParseError("NameError", "name 'dag' is not defined", line=4)
    verdict = Verdict("dags/anna/hello.py", outcome, error=error, waited_s=90.0)
    ending = Ending("a" * 40, State.BROKEN, 1.0, (verdict,))
    *_, status = final(Commit("a" * 40, (verdict.path,)), ending)
    assert any(pattern(span, "…").fullmatch(status.description) for span in spans(PAGE)), (
        status.description
    )


@pytest.mark.parametrize("error", REMEDIES)
def test_each_error_that_deployer_check_can_mend_is_on_the_page(error: str) -> None:
    assert f" {error}: " in PAGE


def test_the_limits_that_the_page_names_are_those_of_the_code() -> None:
    assert f"longer than {Limits().wall_s:g} s" in PAGE


@pytest.mark.parametrize("page", ["troubleshooting.md", "students.md", "operations.md"])
def test_the_size_that_a_page_allows_a_folder_is_that_of_the_code(page: str) -> None:
    text = " ".join((DOCS / page).read_text().split())
    assert f"{PER_FOLDER.files:,} files, {PER_FOLDER.folders:,} folders" in text
    assert f"{PER_FOLDER.size // 1_000_000} MB" in text
    assert f"{PER_FOLDER.python // 1_000_000} MB of Python" in text


@pytest.mark.parametrize("page", ["troubleshooting.md", "operations.md"])
def test_the_size_that_a_page_allows_a_commit_is_that_of_the_code(page: str) -> None:
    text = " ".join((DOCS / page).read_text().split())
    most = f"{PER_COMMIT.files:,} files, {PER_COMMIT.folders:,} folders"
    assert re.search(f"{most},? (or )?{PER_COMMIT.size // 1_000_000:,} MB", text)
    assert f"{PER_COMMIT.python // 1_000_000} MB of Python" in text


def test_the_collector_sees_what_it_should() -> None:
    """A guard: it finds texts of all kinds, also those in pieces and behind a name."""
    found = texts()
    assert {"RequirementsRefused", "GitError", "AirflowUnreachable"} <= error_names()
    assert {
        f"{VARIES} is no requirement: {VARIES}",
        "the link leads out of the repository",
        f"the file is larger than {VARIES} MB",
        f"is not healthy after {VARIES} s: {VARIES}",
        "Airflow does not call it healthy",
    } <= found.keys()


def test_a_text_in_other_words_is_not_on_the_page() -> None:
    assert not any(shows(span, "starts a dragon that eats its parse") for span in spans(PAGE))


@pytest.mark.parametrize("page", ["../README.md", *sorted(path.name for path in DOCS.glob("*.md"))])
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        if "://" in name:
            continue
        file = (DOCS / page).parent / name if name else DOCS / page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), flags=re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, f"{page}: {target}"


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
