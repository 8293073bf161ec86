"""What of a commit goes into a release, judged by name and kind."""

from __future__ import annotations

import pytest

from deployer.core.model import LeftOut
from deployer.core.tree.publishable import LINK, SUBMODULE, Entry, publishable, shown

FILE = "100644"


def entry(path: str | bytes, mode: str = FILE, blob: str = "b") -> Entry:
    return Entry(mode, blob, path.encode() if isinstance(path, str) else path)


def link(path: str, target: str) -> tuple[Entry, tuple[str, bytes]]:
    return entry(path, LINK, f"link to {target}"), (f"link to {target}", target.encode())


def test_it_is_told_where_links_lead_that_are_published() -> None:
    entries = [entry("dags/a.py"), entry("dags/b.py", LINK, "to"), entry("dags/c.py", LINK, "to")]
    assert publishable(entries, {"to": b"a.py"})[3] == dict.fromkeys(
        ("dags/b.py", "dags/c.py"), "dags/a.py"
    )


def test_a_folder_in_the_place_of_an_ignore_file_is_left_out_once() -> None:
    paths = [f"dags/a/.airflowignore/{name}" for name in ("x.txt", "in/y.txt")]
    files, left_out, *_ = publishable([entry(path) for path in paths], {})
    assert files == {}
    assert left_out == (LeftOut("dags/a/.airflowignore", "dags/a/.airflowignore must be a file"),)


def of_links(links: dict[str, str], *others: Entry) -> tuple[dict[str, str], tuple[LeftOut, ...]]:
    pairs = [link(path, target) for path, target in links.items()]
    return publishable([*others, *(e for e, _ in pairs)], dict(target for _, target in pairs))[:2]


def test_a_link_to_an_executable_file_may_be_executed_too() -> None:
    entries = [entry("dags/a/gen.sh", "100755"), entry("dags/a/run.sh", LINK, "to")]
    _, _, executable, _ = publishable(entries, {"to": b"gen.sh"})
    assert executable == {"dags/a/gen.sh", "dags/a/run.sh"}


def test_files_of_dags_and_include_and_the_requirements_are_published_as_their_blobs() -> None:
    paths = ["dags/lasse/a.py", "dags/top.py", "include/x.sql", "requirements.txt"]

    files, left_out, _, _ = publishable([entry(p, blob=p) for p in paths], {})

    assert files == {path: path for path in paths}
    assert left_out == ()


def test_an_executable_file_is_published_as_one() -> None:
    assert publishable([entry("dags/a.sh", "100755")], {}) == (
        {"dags/a.sh": "b"},
        (),
        frozenset({"dags/a.sh"}),
        {},
    )


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (b"dags/\xff.py", "not UTF-8"),
        (b"dags/amy\xff/a.py", "not UTF-8"),
        ("dags/a\nb.py", "control character"),
        ("dags/a\x1b[31m.py", "control character"),
        ("dags/a\u2028b.py", "control character"),
        ("dags/a\u202eyp.b", "control character"),
        ("dags/a\u2066b.py", "control character"),
        ("dags/../etc/x", "not one that git itself"),
        ("dags//x", "not one that git itself"),
        ("dags/.GIT/config", "not one that git itself"),
        ("dags/" + "n" * 256, "too long"),
        ("dags/" + "é" * 128, "too long"),
        ("dags/" + "n/" * 300 + "x.py", "too long"),
        ("dags/lasse/__pycache__/a.cpython-312.pyc", "compiled"),
        ("dags/lasse/a.pyc", "compiled"),
        ("dags", "dags must be a folder"),
        ("include", "include must be a folder"),
        (
            "dags/include/__init__.py",
            "it would be imported in place of everybody's dags/ or include/",
        ),
        ("dags/include.py", "it would be imported in place of everybody's"),
        ("dags/dags/__init__.py", "it would be imported in place of everybody's"),
        (
            "dags/dags.cpython-312-x86_64-linux-gnu.so",
            "it would be imported in place of everybody's",
        ),
        ("requirements.txt/x", "requirements.txt must be a file"),
    ],
)
def test_a_name_that_would_do_harm_is_left_out_with_its_reason(path: str | bytes, why: str) -> None:
    files, left_out, _, _ = publishable([entry(path)], {})

    assert files == {}
    [left] = left_out
    assert why in left.reason
    assert left.path.isprintable()
    # A commit's changed paths are spelt likewise, or nobody would find what became of them.
    assert left.path == shown(path if isinstance(path, bytes) else path.encode())


@pytest.mark.parametrize("path", ["dags/a\u00a0b/x.py", "dags/\u200d/x.py", "dags/\ue000.py"])
def test_a_published_name_is_shown_as_it_is(path: str) -> None:
    assert publishable([entry(path)], {}) == ({path: "b"}, (), frozenset(), {})
    assert shown(path.encode()) == path


def test_names_of_other_scripts_and_with_spaces_are_published() -> None:
    paths = [
        "dags/åse/løn.py",
        "dags/李/数据.py",
        "dags/a b/'c\".py",
        "dags/-x/--y.py",
        "dags/🚕.py",
        "dags/include/x.py",
        "dags/include.sql",
        "dags/lasse/include/__init__.py",
    ]

    files, left_out, _, _ = publishable([entry(path) for path in paths], {})

    assert sorted(files) == sorted(paths)
    assert left_out == ()


def test_a_submodule_is_left_out() -> None:
    files, [left], _, _ = publishable([entry("dags/lib", SUBMODULE)], {})

    assert files == {}
    assert "submodules" in left.reason


def test_a_link_to_a_file_of_the_commit_comes_out_as_that_file() -> None:
    files, left_out = of_links(
        {"dags/amy/x.py": "../lib/./x.py", "include/y.py": "../dags/lib/x.py"},
        entry("dags/lib/x.py", blob="text"),
    )

    assert files == {"dags/amy/x.py": "text", "dags/lib/x.py": "text", "include/y.py": "text"}
    assert left_out == ()


def test_a_link_through_links_comes_out_as_the_file_at_their_end() -> None:
    files, _ = of_links(
        {"dags/a.py": "b.py", "dags/b.py": "shared/c.py", "dags/shared": "../include/lib"},
        entry("include/lib/c.py", blob="text"),
    )

    assert files["dags/a.py"] == files["dags/b.py"] == "text"
    assert "dags/shared" not in files


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/etc/passwd", "out of the repository"),
        ("../../../etc/passwd", "out of the repository"),
        ("../../README.md", "nothing"),
        ("missing.py", "nothing"),
        ("real.py/x", "nothing"),
        ("real.py/", "nothing"),
        ("x.py", "itself"),
        ("loop.py", "itself"),
        (".", "folder"),
        ("../../dags", "folder"),
        ("../..", "folder"),
        ("", "folder"),
        ("../../requirements.txt", "not published"),
        ("__pycache__/real.pyc", "not published"),
        ("module", "not published"),
    ],
)
def test_a_link_to_anything_but_a_published_file_is_left_out(target: str, why: str) -> None:
    files, left_out = of_links(
        {"dags/amy/x.py": target, "dags/amy/loop.py": "x.py"},
        entry("dags/amy/real.py"),
        entry("dags/amy/__pycache__/real.pyc"),
        entry("dags/amy/module", SUBMODULE),
        entry("requirements.txt"),
    )

    assert "dags/amy/x.py" not in files
    assert [left.reason for left in left_out if left.path == "dags/amy/x.py" and why in left.reason]


def test_a_name_that_a_handmade_commit_holds_twice_is_published_once() -> None:
    files, [left], _, _ = publishable(
        [entry("dags/a.py", blob="1"), entry("dags/a.py", blob="2")], {}
    )

    assert files == {"dags/a.py": "1"}
    assert "twice" in left.reason


def test_a_name_that_a_handmade_commit_holds_as_file_and_folder_is_a_folder() -> None:
    files, [left], _, _ = publishable([entry("dags/a"), entry("dags/a/b.py")], {})

    assert list(files) == ["dags/a/b.py"]
    assert left.path == "dags/a"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"dags/\xffx.py", r"dags/\xffx.py"),
        (b"dags/a\nb", r"dags/a\nb"),
        ("dags/é".encode(), "dags/é"),
    ],
)
def test_any_path_is_shown_on_one_line(path: bytes, text: str) -> None:
    assert shown(path) == text


# --- links over links --------------------------------------------------------


def over_others(count: int) -> list[tuple[Entry, tuple[str, bytes]]]:
    """Return links of which each leads to the next."""
    return [link(f"dags/a/l{n}.py", f"l{n + 1}.py") for n in range(count)]


@pytest.mark.parametrize(
    ("links", "first"),
    [
        (over_others(10), "dags/a/l10.py"),
        (over_others(11), "the link leads back to itself"),
        ([link("dags/a/l0.py", "../a/" * 98 + "l10.py")], "dags/a/l10.py"),
        (
            [link("dags/a/l0.py", "../a/" * 100 + "l10.py")],
            "the path of the link is longer than 512 bytes",
        ),
    ],
)
def test_a_link_leads_over_ten_others_and_by_a_way_no_longer_than_a_path(
    links: list[tuple[Entry, tuple[str, bytes]]], first: str
) -> None:
    entries = [*(made for made, _ in links), entry("dags/a/l10.py"), entry("dags/a/l11.py")]
    _, left_out, _, found = publishable(entries, dict(text for _, text in links))
    told = {item.path: item.reason for item in left_out} | found
    assert told["dags/a/l0.py"] == first
