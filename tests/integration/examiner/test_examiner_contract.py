"""What every examiner promises: the fake, the embedded parser, the container's."""

from __future__ import annotations

import pytest

from deployer.core.model import Examined, Tree
from deployer.errors import PreflightError
from tests.fakes.examiner import FakeExaminer
from tests.integration.examiner.world import NEW, SHA, FakeSubject, RealSubject, Subject


@pytest.fixture(
    params=[
        "fake",
        pytest.param("local", marks=pytest.mark.airflow),
        pytest.param("container", marks=pytest.mark.docker),
    ]
)
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "fake":
        return FakeSubject()
    return RealSubject(request.getfixturevalue(request.param))


def test_there_is_one_result_a_path_in_the_order_asked_for(subject: Subject) -> None:
    subject.good("dags/a/one.py", "one")
    subject.broken("dags/b/two.py")
    subject.harmful("dags/c/three.py")
    subject.empty("dags/d/four.py")
    paths = ["dags/d/four.py", "dags/b/two.py", "dags/a/one.py", "dags/c/three.py"]

    four, two, one, three = subject.examiner.examine(Tree(SHA, {}), paths)

    assert one == Examined("dags/a/one.py", ("one",))
    assert two.error is not None
    assert (two.error.type, two.error.line, two.dag_ids, two.harm) == ("NameError", 2, (), None)
    assert (three.harm, three.error) == ("ends its parser with os._exit(3)", None)
    assert four == Examined("dags/d/four.py")


def test_nothing_asked_is_nothing_answered(subject: Subject) -> None:
    assert subject.examiner.examine(Tree(SHA, {}), ()) == ()


def test_the_same_files_can_be_examined_again(subject: Subject) -> None:
    subject.good("dags/a/one.py", "one")
    subject.harmful("dags/c/three.py")
    paths = ("dags/a/one.py", "dags/c/three.py")

    first = subject.examiner.examine(Tree(SHA, {}), paths)

    assert subject.examiner.examine(Tree(SHA, {}), paths) == first


def test_what_was_built_can_import_what_runs_now_cannot(subject: Subject) -> None:
    subject.good_with_what_was_built("dags/a/one.py", "one")
    paths = ("dags/a/one.py",)

    (now,) = subject.examiner.examine(Tree(SHA, {}), paths)
    (built,) = subject.examiner.examine(Tree(SHA, {}), paths, on_built=True)

    assert now.error is not None
    assert (now.error.message, now.error.line) == (f"No module named '{NEW}'", 1)
    assert built == Examined("dags/a/one.py", ("one",))
    assert subject.examiner.examine(Tree(SHA, {}), paths) == (now,)


def test_a_parser_that_does_not_work_says_nothing_about_files() -> None:
    examiner = FakeExaminer()
    examiner.down = "no Airflow"

    with pytest.raises(PreflightError):
        examiner.examine(Tree(SHA, {}), ["dags/a/one.py"])
