"""Contexts that GitHub takes and tells apart, whatever a folder is called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.core.reporting.contexts import DEPLOY, of_folders

LONG = "n" * 249

names = st.one_of(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(["deploy", "Deploy", LONG, LONG.upper(), "maria", "Maria", "\N{COW}", "?"]),
)


def context(folder: str) -> str:
    (name,) = of_folders([folder])
    return name


@pytest.mark.parametrize("folder", ["lasse", "Lasse", "josé", "two words", "n" * 247, "deploys"])
def test_a_folder_keeps_its_name_if_github_takes_it(folder: str) -> None:
    assert context(folder) == f"airflow/{folder}"


def test_folders_that_differ_in_case_alone_share_a_context() -> None:
    assert of_folders(["maria", "lasse", "Maria"]) == {
        "airflow/Maria": ("Maria", "maria"),
        "airflow/lasse": ("lasse",),
    }


@pytest.mark.parametrize("folder", ["deploy", "Deploy", "DEPLOY", "deploy "])
def test_the_context_of_the_commit_itself_is_no_folders(folder: str) -> None:
    assert re.fullmatch(r"airflow/deploy~[0-9a-f]{12}", context(folder), re.IGNORECASE)


def test_a_long_name_is_cut_and_stays_apart_from_another_that_begins_alike() -> None:
    first, second = context(f"{LONG}a"), context(f"{LONG}b")
    assert len(first) == len(second) == 255
    assert first.startswith("airflow/nnnn")
    assert first != second


def test_four_byte_letters_are_replaced_and_names_stay_apart() -> None:
    cow, pig = context("\N{COW}s"), context("\N{PIG}s")
    assert cow.startswith("airflow/?s~")
    assert cow != pig


def test_a_folder_can_t_be_named_after_the_context_of_another() -> None:
    respelt = context("deploy").removeprefix("airflow/")
    assert len(of_folders(["deploy", respelt, respelt.upper()])) == 2


def test_a_respelt_context_is_the_same_for_each_case_of_its_letters() -> None:
    assert context("Deploy").casefold() == context("deploy").casefold()


@given(st.sets(names, max_size=6))
def test_whatever_folders_are_called_github_takes_and_tells_their_contexts_apart(
    folders: set[str],
) -> None:
    contexts = of_folders(folders)
    assert {folder for same in contexts.values() for folder in same} == folders
    assert len({name.lower() for name in contexts}) == len(contexts)
    assert all(len({folder.casefold() for folder in same}) == 1 for same in contexts.values())
    for name in contexts:
        assert len(name) <= 255
        assert name.casefold() != DEPLOY
        assert all(letter <= "\uffff" for letter in name)
        assert name == name.strip()
