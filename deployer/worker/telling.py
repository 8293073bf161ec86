"""Tell the teacher what is wrong, once, and once more when it is mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from deployer.core.doctor.lines import Finding
from deployer.core.reporting.troubles import Trouble, in_checkup, in_journal, message
from deployer.errors import DeployerError, OperatorError
from deployer.ports import Clock, Journal, Messenger

log = structlog.get_logger()

LOOK_S = 30.0
QUIET_S = 300.0
"""After a message, so that a bad hour is a few of them; and after one that nobody took."""


@dataclass(frozen=True, slots=True)
class Teller:
    """The teacher's messages.

    Attributes:
        url: where the teacher sees more, None: on the command line.
    """

    journal: Journal
    messenger: Messenger
    clock: Clock
    repo: str
    url: str | None

    def look(self) -> float:
        """Tell what the journal shows; return in how many seconds to look again."""
        try:
            said, missed = self.tell()
        except DeployerError as exc:
            log.warning("teacher not told", reason=str(exc), again_in_s=QUIET_S)
            return QUIET_S
        for reason in missed:
            log.warning("an address took no message", reason=reason)
        if said:
            log.info("teacher told", of=[one.key for one in said])
        return QUIET_S if said else LOOK_S

    def tell(self, findings: Sequence[Finding] = ()) -> tuple[tuple[Trouble, ...], tuple[str, ...]]:
        """Tell what is new, by the journal and `findings` of a check-up, in one message.

        Return of what, and why some addresses did not take it.

        Raises:
            OperatorError: nobody took it; it is to be told the next time.
            JournalError
        """
        now = self.clock.now()
        wrong = in_journal(self.journal.standing(), self.journal.pulse(), now)
        failed, fine = in_checkup(findings)
        said = self.journal.take_news(wrong | failed, fine, at=now)
        if not said:
            return (), ()
        title, text = message(said, repo=self.repo, url=self.url)
        try:
            missed = self.messenger.send(title, text)
        except OperatorError:
            self.journal.news_kept(said)
            raise
        # Dying before this line tells it once more.
        self.journal.news_sent(said)
        return said, missed
