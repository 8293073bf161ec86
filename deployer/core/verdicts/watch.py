"""Judge files by what the class's dag-processor tells of a release.

One rule: **what its listing does not hold has no DAG; else the first result that was read from
the release is the verdict.** What was deleted is gone once a listing does not hold it. There is
nothing to guess: the dag-processor names the release that the parsing process really read.

A `Watch` starts when a release has been published; each thing told folds into a new one. Pure.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from deployer.core.model import Listed, Outcome, ParseEnd, ParseError, ParseResult, Proof, Verdict
from deployer.core.verdicts import trace

MOST_WARNINGS = 20
"""Of one file: of a thousand DAGs made in a loop each may have its own."""


@dataclass(frozen=True, slots=True)
class Watch:
    """The wait for the verdicts on one release.

    Attributes:
        release: name of the published release.
        waiting: changed DAG files without a verdict yet, each with the releases that hold its
            text: `release`, and of what was carried over from earlier deployments theirs.
        leaving: deleted DAG files that Airflow may still list.
        hints: what the isolated parse found wrong, by path: a parser that dies tells no line.
        listed: a listing of the release was told.
        settled: verdicts so far, by path.
    """

    release: str
    waiting: Mapping[str, frozenset[str]]
    leaving: frozenset[str] = frozenset()
    hints: Mapping[str, ParseError] = field(default_factory=dict)
    listed: bool = False
    settled: Mapping[str, Verdict] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return self.listed and not self.waiting and not self.leaving

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts so far, by path."""
        return tuple(self.settled[path] for path in sorted(self.settled))

    def hear(self, told: Listed | ParseResult, *, waited_s: float) -> Watch:
        """Fold in one thing that was told `waited_s` after the release went live."""
        match told:
            case Listed():
                return self._look(told, waited_s) if told.release == self.release else self
            case ParseResult():
                if told.release not in self.waiting.get(told.path, ()):
                    return self
                return self._settle({told.path: self._of(told, waited_s)})
            case _ as never:
                assert_never(never)

    def give_up(self, *, waited_s: float) -> Watch:
        """Settle what is still waiting: its bound has passed."""
        late = self.waiting.keys() | self.leaving
        return self._settle({p: Verdict(p, Outcome.TIMEOUT, waited_s=waited_s) for p in late})

    def _look(self, listing: Listed, waited_s: float) -> Watch:
        def gone(path: str, outcome: Outcome) -> Verdict:
            return Verdict(path, outcome, proof=Proof.LISTING, waited_s=waited_s)

        found = {p: gone(p, Outcome.NO_DAG) for p in self.waiting if p not in listing.paths}
        found |= {p: gone(p, Outcome.DELETED) for p in self.leaving - listing.paths}
        return replace(self._settle(found), listed=True)

    def _settle(self, verdicts: Mapping[str, Verdict]) -> Watch:
        return replace(
            self,
            waiting={p: names for p, names in self.waiting.items() if p not in verdicts},
            leaving=self.leaving - verdicts.keys(),
            settled={**self.settled, **verdicts},
        )

    def _of(self, told: ParseResult, waited_s: float) -> Verdict:
        error = _error(told, self.hints.get(told.path))
        warnings = told.warnings[:MOST_WARNINGS]
        if error is not None:
            return Verdict(told.path, Outcome.BROKEN, (), error, Proof.RELEASE, waited_s, warnings)
        outcome = Outcome.PARSED if told.dag_ids else Outcome.NO_DAG
        return Verdict(told.path, outcome, told.dag_ids, None, Proof.RELEASE, waited_s, warnings)


def _error(told: ParseResult, hint: ParseError | None) -> ParseError | None:
    """Return why the file is broken, None if it is not."""
    match told.end:
        case ParseEnd.PARSED:
            # Of a zip there may be several, by the path of the module within.
            named = sorted(told.errors, key=lambda name: (name != told.path, name))
            return trace.read(told.errors[named[0]], told.path) if named else None
        case ParseEnd.DIED if hint:
            why = told.words or _death(told)
            message = "; ".join(part for part in (hint.message, why) if part)
            return ParseError(hint.type, message, hint.line, hint.trace)
        case ParseEnd.DIED:
            return ParseError("ParserDied", f"{told.words or _death(told)}, without a result")
        case ParseEnd.TIMEOUT:
            after = f"its parser was ended after {told.seconds:.0f} s"
            return ParseError("ParserTimeout", f"{after}: do less while the file is read")
        case ParseEnd.REFUSED:
            kept = "its DAGs stay as they were; Airflow's database refuses it"
            return ParseError("NotStored", f"{kept}: {told.words}")
        case _ as never:
            assert_never(never)


def _death(told: ParseResult) -> str:
    if told.code < 0:
        name = signal.strsignal(-told.code) or "unknown"
        return f"its parser crashed (signal {-told.code}, {name.lower()})"
    return f"its parser ended with exit status {told.code}"
