"""`deployer check`: parse a working copy's files in isolation, before anybody pushes them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from deployer.core import precheck
from deployer.core.dependencies.affected import stands_alone
from deployer.core.model import REQUIREMENTS, Tree, Verdict
from deployer.errors import PusherError, WrongPlace
from deployer.ports import Examiner
from deployer.ports.repository import Trial, WorkingCopy


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found.

    Attributes:
        verdicts: by path; of files that a push would not publish at all, too.
        packages: what `requirements.txt` adds to Airflow's own; None: it was not tried.
        unseen: places that were asked for and hold nothing that Airflow would look at.
    """

    verdicts: tuple[Verdict, ...]
    unseen: tuple[str, ...] = ()
    packages: tuple[str, ...] | None = None


def check(
    copy: WorkingCopy, examiner: Examiner, places: Sequence[str], trial: Trial | None = None
) -> Checked:
    """Judge what a push of `places`, paths of the repository, would have judged; none: all.

    All DAG files are, with packages of `trial` that install.

    For a dag_id that two files claim, the other files count as well. To parse all of them for
    that takes long; parsed are those that have one of the ids in their text.

    Raises:
        WrongPlace: nothing of one of `places` would be published.
        PusherError: nothing at all would be.
        PreflightError, DiskError
    """
    tree = copy.tree()
    if tree.refused:
        raise PusherError(tree.refused)
    everything = precheck.dag_files(tree)
    whole = not places or (trial and trial.python)
    gone = {path for path in copy.gone(tree) if precheck.within(path, places)}
    moved = _moved(tree, places, gone)
    files = everything if whole else precheck.dag_files(tree, moved, gone)
    examined = [
        one
        for one in examiner.examine(tree, files)
        if whole
        or precheck.within(one.path, places)
        or not stands_alone(one.path, tree.files[one.path], one.error)
    ]
    ids = {dag_id for one in examined for dag_id in one.dag_ids}
    suspects = copy.mention(tree, sorted(set(everything) - set(files)), ids) if ids else []
    beside = examiner.examine(tree, suspects)
    verdicts = precheck.judged(examined, beside=beside, requirements=tree.requirements)
    packages = (trial.verdict,) if trial else precheck.packages(tree)
    aside = (*precheck.left_out(tree), *packages)
    asked_for = [v for v in aside if precheck.within(v.path, places or ("",))]
    found = sorted((*verdicts, *asked_for), key=lambda verdict: verdict.path)
    return Checked(
        tuple(found),
        tuple(p for p in places if not any(precheck.within(v.path, (p,)) for v in found)),
        trial.added if trial else None,
    )


def _moved(tree: Tree, places: Sequence[str], gone: Collection[str]) -> frozenset[str]:
    published = [*tree.files, *(item.path for item in tree.left_out), *gone]
    published += [REQUIREMENTS] if tree.requirements is not None else []
    for place in places:
        if not any(precheck.within(path, (place,)) for path in published):
            raise WrongPlace(
                f"a push would publish nothing of {place}: only what is in dags/ and include/, and "
                "requirements.txt, counts, and not what git ignores"
            )
    return frozenset(path for path in tree.files if precheck.within(path, places))
