"""What of one deployment is held: harm that the isolated parse found, or that is known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count

from deployer.core.dependencies import affected
from deployer.core.model import (
    Duplicate,
    Examined,
    Live,
    Outcome,
    ParseError,
    Plan,
    Proof,
    Tree,
    Verdict,
)
from deployer.core.planning import held as rules
from deployer.core.planning.plan import ROUNDS, Discovery
from deployer.ports import Journal


class Holding:
    """Filled step by step.

    Attributes:
        held: the verdicts on what is held, by path.
        examined: what the isolated parse gave.
        duplicates: claims of one dag_id that were found in it.
        carried: what was held before, and is to be held on.
        unexamined: DAG files that it has not come to; they are held until then.
        modules: what moved under those, held with them.
        unmoved: what was held before, and did not move.
        unseen: what of all that Airflow would see now, by its live text: it is left out.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.held: dict[str, Verdict] = {}
        self.examined: tuple[Examined, ...] = ()
        self.duplicates: tuple[Duplicate, ...] = ()
        self.carried: frozenset[str] = frozenset()
        self.unexamined: frozenset[str] = frozenset()
        self.modules: frozenset[str] = frozenset()
        self.unmoved: frozenset[str] = frozenset()
        self.unseen: frozenset[str] = frozenset()

    def take(self, examined: Sequence[Examined], tip: Tree) -> str:
        """Hold what would hurt others; return what was found in a few words."""
        for result in examined:
            if result.harm:
                self.hold(result.path, result.harm, Proof.PREFLIGHT)
        duplicates = rules.duplicates(examined, self._had_by(examined, tip), self.unmoved)
        for duplicate in duplicates:
            self.hold(duplicate.path, duplicate.reason, Proof.PREFLIGHT)
        self.examined, self.duplicates = tuple(examined), duplicates
        counts = (f"{len(examined)} examined", f"{len(self.held)} held")
        return ", ".join([*counts, *rules.notes(duplicates)])

    def paths(self, tip: Tree) -> frozenset[str]:
        """Return the paths of the tip that keep their live version, or stay out."""
        held = self.carried | self.unexamined | self.modules
        return held | (self.held.keys() & tip.files.keys())

    def seen(self, tip: Tree) -> Tree:
        """Return the tip without what is left out."""
        if not self.unseen:
            return tip
        files = {path: file for path, file in tip.files.items() if path not in self.unseen}
        return replace(tip, files=files)

    @property
    def hints(self) -> dict[str, ParseError]:
        """What the isolated parse found wrong in files that go live all the same, by path."""
        return {result.path: result.error for result in self.examined if result.error}

    def hold_known(self, live: Live | None, old: Tree | None, the_plan: Plan, tip: Tree) -> None:
        """Hold what is known to hurt, and what was held and is to be held on.

        `old`: the tree of `live`, None where that is not known.
        """
        if live and old:
            self.unmoved = frozenset(live.held) - affected.differing(old.files, tip.files)
        condemned = rules.condemned(tip, self._journal.condemned())
        told = {path: why for path, why in condemned.items() if path in the_plan.dag_files}
        for path, reason in rules.unpublishable(old, the_plan).items():
            self.hold(path, reason, Proof.NONE)
        for path, reason in told.items():
            self.hold(path, reason, Proof.NONE, of=rules.DIED)
        # Of what the dag-processor died is held whether it is asked about or not.
        self.carried = frozenset(condemned) | rules.carried(live, old, the_plan, tip)

    def hold_modules(
        self,
        before: Tree | None,
        published: Tree | None,
        tip: Tree,
        held: Collection[str],
        among: Collection[str] | None = None,
    ) -> None:
        """Hold what moved under DAG files that are held, or it would go live under them.

        First, what is held and to be seen no more is left out: nothing stays for its sake.

        `before`: the tree that was deployed last, of which `held` was held; `published`: what there
        is of the tip's files in fact.

        Who needs what is held only until a file was examined waits with it: else he would be
        judged with what is live meanwhile; after very many rounds all wait. `among`: the paths that
        may be, None: all that moved.
        """
        self._leave_out(before, published, tip)
        harms = {result.path: result.harm for result in self.examined if result.harm}
        well = {result.path for result in self.examined} - harms.keys()
        for rounds in count(1):
            needing = (harms.keys() | self.unexamined) - self.unseen
            found = affected.modules(
                before,
                tip,
                needing,
                held=held,
                published=published.files if published else {},
            )
            for module, path in found.items():
                if among is not None and module not in among:
                    continue
                if path in harms:
                    self.hold(module, f"with it {path} {harms[path]}", Proof.PREFLIGHT)
                else:
                    self.modules |= {module}
            waiting = affected.stirred(tip.files, self.modules) & well - self.unexamined
            if not waiting:
                return
            self.unexamined |= waiting if rounds < ROUNDS else well

    def _leave_out(self, before: Tree | None, published: Tree | None, tip: Tree) -> None:
        """Leave out what is held and Airflow would see as it is live, but for what others import.

        It was hidden, or claims an id by its live text, now that what it needs is another.
        `before`: the tree that was deployed last; `published`: as for `hold_modules`.
        """
        held = (self.held.keys() | self.unexamined) & tip.files.keys()
        seen = affected.shown(before, tip) & held if before and held else frozenset()
        there = published.files if published else {}
        claiming = there.keys() & {one.path for one in self.duplicates}
        seen |= {path for path in claiming if there[path] == tip.files[path]}
        needed = affected.Needs(tip.files).of(tip.files, set()) if seen else set()
        self.unseen = seen - needed

    def hold(self, path: str, reason: str, proof: Proof, of: str = "Held") -> None:
        error = ParseError(of, reason)
        self.held[path] = Verdict(path, Outcome.HELD, error=error, proof=proof)

    def _had_by(self, examined: Sequence[Examined], tip: Tree) -> dict[str, frozenset[str]]:
        """Return which DAG files of the tip had the ids that are claimed now."""
        claimed = frozenset(dag_id for result in examined for dag_id in result.dag_ids)
        still = Discovery(tip)
        return {
            dag_id: frozenset(path for path in paths if still.finds(path))
            for dag_id, paths in self._journal.files_of(claimed).items()
        }
