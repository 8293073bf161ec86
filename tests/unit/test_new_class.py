"""What a class's own repository begins with: texts in, texts out."""

from __future__ import annotations

import pytest

from deployer.core.new_class import beginning

OURS = {
    "dags/class_demo/hello.py": b"hello",
    "dags/lasse/taxi_pipeline.py": b"taxi",
    "dags/maria/weather.py": b"weather",
    "include/taxi/tasks.py": b"\xff\x00",
    ".github/CODEOWNERS": b"# who\n\n*  @teacher\n"
    b"/dags/class_demo/  @teacher\n/dags/lasse/  @lasse\n",
    "roster.yaml": b"teachers: [TEACHERS]\n",
    "README.md": b"install './WHEEL[check]' [rules](docs/pipelines.md) [there](docs/doctor.md)\n",
    "docs/pipelines.md": b"lasse_taxi [a](#a) [b](../README.md#x) [c](https://x.org) "
    b"[d](no.md#e)\n",
}


def begun(*teachers: str) -> dict[str, bytes]:
    return beginning(OURS, wheel=("d-1-py3-none-any.whl", b"PK"), teachers=teachers)


def test_only_the_example_has_a_folder_and_the_pipeline_to_copy_is_in_it() -> None:
    dags = {path: text for path, text in begun().items() if path.startswith("dags/")}
    assert dags == {
        "dags/class_demo/hello.py": b"hello",
        "dags/class_demo/taxi_pipeline.py": b"taxi",
    }


def test_what_is_no_text_stays_as_it_is() -> None:
    assert begun()["include/taxi/tasks.py"] == b"\xff\x00"


def test_the_deployer_itself_comes_along_and_the_readme_names_it() -> None:
    assert begun()["tools/d-1-py3-none-any.whl"] == b"PK"
    assert b"'./tools/d-1-py3-none-any.whl[check]'" in begun()["README.md"]


def test_a_page_links_to_what_is_there_and_says_the_rest_in_words() -> None:
    assert begun()["README.md"].endswith(b"[rules](docs/pipelines.md) there\n")
    page = begun()["docs/pipelines.md"].decode()
    assert page == "class_demo_taxi [a](#a) [b](../README.md#x) [c](https://x.org) d\n"


@pytest.mark.parametrize(
    ("teachers", "owners", "roster"),
    [
        (
            ("frauke", "jan-o"),
            "# who\n\n*  @frauke @jan-o\n/dags/class_demo/  @frauke @jan-o\n",
            "teachers: [frauke, jan-o]\n",
        ),
        ((), "# who\n\n# *  @teacher\n# /dags/class_demo/  @teacher\n", "teachers: []\n"),
    ],
)
def test_teachers_own_what_is_nobodys_and_no_stranger_is_called_one(
    teachers: tuple[str, ...], owners: str, roster: str
) -> None:
    files = begun(*teachers)
    assert files[".github/CODEOWNERS"].decode() == owners
    assert files["roster.yaml"].decode() == roster
