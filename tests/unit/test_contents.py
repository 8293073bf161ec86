"""What the contents of a tree's files decide, be it a commit or a working copy."""

from __future__ import annotations

import pytest

from deployer.core.model import COMPOSE_FILE, ROSTER, Facts, File, LeftOut, Tree
from deployer.core.tree import contents, ignores, limits
from deployer.core.tree.contents import Read
from deployer.core.tree.limits import NOTHING, TooMuch, Weight
from deployer.core.tree.publishable import EXECUTABLE, LINK, SUBMODULE, Entry

SHA = "a" * 40


def whole(
    files: dict[str, bytes],
    *more: Entry,
    too_much: TooMuch = NOTHING,
    trees: dict[str, str] | None = None,
) -> Tree:
    return contents.tree(
        SHA,
        [*(file(path) for path in files), *more],
        size=lambda path: len(files[path]),
        says=lambda path, kind: contents.read(kind, files[path]),
        too_much=too_much,
        folders=trees or {},
    )


def file(path: str, mode: str = "100644") -> Entry:
    return Entry(mode, path, path.encode())


@pytest.mark.parametrize(
    ("path", "alike"),
    [
        ("dags/a/x.py", "include/y.py"),
        ("dags/a/x.sql", "dags/a/.py"),
        ("dags/.airflowignore", "dags/a/b/.airflowignore"),
        ("include/.airflowignore", "include/x.txt"),
        ("dags/a/requirements.txt", "include/x.txt"),
    ],
)
def test_files_that_are_read_alike_are_of_one_kind(path: str, alike: str) -> None:
    assert contents.kind(path) == contents.kind(alike)


def test_a_files_text_says_what_it_is_without_being_run() -> None:
    tree = whole({"dags/a/x.py": b"from airflow.sdk import dag\n"})
    assert tree.files["dags/a/x.py"].facts.may_hold_dag
    assert tree.sha == SHA


def test_a_file_may_be_executed_if_it_is_said_so() -> None:
    tree = contents.tree(
        SHA,
        [file("dags/a/x.sh", EXECUTABLE), file("dags/a/y")],
        size=lambda _: 4,
        says=lambda _, kind: contents.read(kind, b"date"),
    )
    assert {path: file.executable for path, file in tree.files.items()} == {
        "dags/a/x.sh": True,
        "dags/a/y": False,
    }


def test_requirements_are_a_text_and_no_file_and_a_bad_byte_spoils_its_line_alone() -> None:
    tree = whole({"requirements.txt": b"\xef\xbb\xbfpandas\n\xff\n"})
    assert tree.requirements == "pandas\n\ufffd\n"
    assert tree.files == {}


def encoded(text: str, encoding: str) -> bytes:
    return ("\ufeff" + text).encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("kind", ["requirements.txt", COMPOSE_FILE, ROSTER])
def test_a_text_that_says_that_it_is_utf_16_is_read_as_that(kind: str, encoding: str) -> None:
    """As PowerShell's `>` writes it."""
    assert contents.read(kind, encoded("pandas # é\r\n", encoding)).text == "pandas # é\r\n"


@pytest.mark.parametrize(
    "content",
    [
        *(encoded("from airflow.sdk import dag\n", f"utf-{form}") for form in ("16-le", "16-be")),
        *("from airflow.sdk import dag\n".encode(f"utf-{form}") for form in ("16-le", "16-be")),
        *(encoded("from airflow.sdk import dag\n", f"utf-{form}") for form in ("32-le", "32-be")),
        *("from airflow.sdk import dag\n".encode(f"utf-{form}") for form in ("32-le", "32-be")),
    ],
)
@pytest.mark.parametrize("path", ["dags/a/x.py", "dags/a/.airflowignore"])
def test_what_airflow_would_read_as_utf_8_and_is_not_is_left_out_with_its_encoding(
    path: str, content: bytes
) -> None:
    form = "UTF-32" if len(content) > 100 else "UTF-16"
    reason = f"the file is {form}, which Airflow can't read: save it as UTF-8"
    assert whole({path: content}).left_out == (LeftOut(path, reason),)


def test_a_python_file_that_names_its_encoding_is_a_file() -> None:
    tree = whole({"dags/a/x.py": "# coding: latin-1\nimport airflow.dag # é\n".encode("latin-1")})
    assert tree.files["dags/a/x.py"].facts.imports == {(0, "airflow.dag")}
    assert tree.left_out == ()


def test_data_may_be_in_any_encoding() -> None:
    assert not whole({"dags/a/x.csv": encoded("a;b", "utf-16-le")}).left_out


@pytest.mark.parametrize("path", ["dags/a/x.py", "dags/a/x.csv", "requirements.txt"])
def test_a_pointer_of_git_lfs_is_left_out(path: str) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
    reason = "the file is a Git LFS pointer; LFS is not fetched: commit the file itself"
    assert whole({path: pointer}).left_out == (LeftOut(path, reason),)


def test_an_ignore_file_is_a_file_and_a_text() -> None:
    tree = whole({"dags/a/.airflowignore": b"draft_*\n"})
    assert tree.ignores == {"dags/a/.airflowignore": "draft_*\n"}
    assert tree.files == {"dags/a/.airflowignore": File("dags/a/.airflowignore", Facts())}


def test_an_ignore_file_that_airflow_could_not_read_is_left_out() -> None:
    (left,) = whole({"dags/a/.airflowignore": b"[z-a]\n"}).left_out
    assert left.path == "dags/a/.airflowignore"
    assert "is not a valid pattern" in left.reason


@pytest.mark.parametrize("text", [b"*.py\n", b"*/\n", b"lasse/\n**\n", b"*\n!lasse/\n"])
def test_an_ignore_file_that_hides_everybodys_dags_is_left_out(text: bytes) -> None:
    tree = whole({"dags/.airflowignore": text, "dags/lasse/x.py": b"from airflow.sdk import dag\n"})
    assert tree.left_out == (
        LeftOut("dags/.airflowignore", "it would hide everybody's DAGs: name your folder in it"),
    )
    assert set(tree.files) == {"dags/lasse/x.py"}
    assert tree.ignores == {}


@pytest.mark.parametrize("text", [b"lasse/\n", b"draft_*\n", b"*/\n!*/\n", b""])
def test_an_ignore_file_that_hides_some_is_a_file(text: bytes) -> None:
    assert whole({"dags/.airflowignore": text}).ignores == {"dags/.airflowignore": text.decode()}


def test_the_ignore_files_of_a_folder_hold_so_many_patterns_in_all_and_those_of_others_count_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ignores, "MOST_PATTERNS", 2)
    tree = whole(
        {
            "dags/a/.airflowignore": b"x\n",
            "dags/a/b/.airflowignore": b"y\n",
            "dags/a/c/.airflowignore": b"z\n",
            "dags/d/.airflowignore": b"x\ny\n",
        }
    )
    assert [left.path for left in tree.left_out] == ["dags/a/c/.airflowignore"]
    assert tree.left_out[0].reason.startswith("more than 2 patterns in a folder")


@pytest.mark.parametrize("line", [b"!", b"[z-a]", b"six==1.17.0 \\", b"*/"])
def test_a_line_of_requirements_is_no_pattern(line: bytes) -> None:
    assert whole({"requirements.txt": line}).requirements == line.decode()


def test_in_ones_own_folder_everything_may_be_hidden() -> None:
    assert whole({"dags/lasse/.airflowignore": b"*\n"}).left_out == ()


def test_what_is_left_out_by_name_and_by_content_stands_together_in_order() -> None:
    submodules = [file(path, SUBMODULE) for path in ("dags/b", "dags/0")]
    tree = whole({"dags/a/.airflowignore": b"\xff"}, *submodules)
    assert [left.path for left in tree.left_out] == ["dags/0", "dags/a/.airflowignore", "dags/b"]


def test_a_file_past_the_bound_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MAX_FILE_MB", 1)
    tree = whole({"dags/a/big.csv": b"x" * 1_000_001, "dags/a/fits.csv": b"x" * 1_000_000})
    assert tree.left_out == (LeftOut("dags/a/big.csv", "the file is larger than 1 MB"),)
    assert set(tree.files) == {"dags/a/fits.csv"}


def test_a_link_is_its_target_and_a_compose_file_its_text() -> None:
    assert contents.read(LINK, b"../x.py") == Read(target=b"../x.py")
    assert contents.read(COMPOSE_FILE, b"services: {}\n") == Read(text="services: {}\n")


# --- what is too much


def test_a_folder_that_is_too_much_is_left_out_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PER_FOLDER", Weight(files=2, folders=2, size=10, python=10))
    files = {"dags/a/x.py": b"1", "dags/a/y.py": b"1", "dags/ab/z.py": b"22"}
    compiled = [file("dags/a/__pycache__/x.pyc"), file("dags/ab/x.pyc")]

    tree = whole(files, *compiled, trees={"dags/a": "t"})

    assert set(tree.files) == {"dags/ab/z.py"}
    assert [(item.path, item.blob) for item in tree.left_out] == [
        ("dags/a/", "t"),
        ("dags/ab/x.pyc", "dags/ab/x.pyc"),
    ]


def test_a_file_that_is_left_out_for_its_size_does_not_count_for_its_folder() -> None:
    assert contents.too_large(600_000_000) == Read(refused="the file is larger than 50 MB")
    tree = contents.tree(
        SHA,
        [file("dags/a/x.csv")],
        size=lambda _: 600_000_000,
        says=lambda *_: Read(refused="the file is larger than 50 MB"),
    )
    assert tree.left_out == (LeftOut("dags/a/x.csv", "the file is larger than 50 MB"),)


def test_nothing_of_a_commit_that_is_too_much_is_published() -> None:
    refused = TooMuch(refused="too much")
    tree = whole({"dags/x.py": b"1"}, file("dags/x.pyc"), too_much=refused)
    assert tree == Tree(SHA, {}, refused="too much")


def test_what_many_links_lead_to_is_read_once_as_each_link_is() -> None:
    seen = []

    def read(blob: str, kind: str) -> Read:
        seen.append((blob, kind))
        return contents.read(kind, b"real.py" if kind == LINK else b"1")

    links = [Entry(LINK, "link", f"dags/a/{name}.py".encode()) for name in "xyz"]
    tree = contents.tree(SHA, [file("dags/a/real.py"), *links], size=lambda _: 1, says=read)
    assert {path: it.blob for path, it in tree.files.items()} == dict.fromkeys(
        [f"dags/a/{name}.py" for name in ("real", *"xyz")], "dags/a/real.py"
    )
    assert seen == [("link", LINK), ("dags/a/real.py", "any.py")]
