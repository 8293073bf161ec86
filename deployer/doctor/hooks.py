"""The webhook on GitHub: made or mended where the token may, else told what to click."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from deployer.core.counts import counted
from deployer.core.doctor import Ailment, NotApplicable
from deployer.core.hooks import KEPT, Delivery, amiss, body, lost, ours, to_ask_again
from deployer.errors import MayNot, OperatorError
from deployer.ports import Webhooks

SHOWN = 3


@dataclass(frozen=True, slots=True)
class OurHook:
    """The hook that should be there.

    Attributes:
        api: None without a token.
        url: where it delivers to; None without PUBLIC_URL.
        page: of the repository's webhooks on GitHub.
    """

    api: Webhooks | None
    url: str | None
    page: str

    def set_up(self, secret: str, *, anew: bool, dry_run: bool) -> str:
        """Make it, or mend what is amiss; return what was done.

        `anew`: give it the secret in any case, for GitHub shows to nobody which one it has.

        Raises:
            Ailment: what to click, where the token may not.
            OperatorError: GitHub does not answer.
        """
        url = self.url or ""
        clicks = self._clicks(url)
        if self.api is None:
            raise Ailment("without a token nothing is made", clicks)
        try:
            mine = ours(self.api.all(), url)
        except MayNot as exc:
            raise Ailment(f"the token may not see the webhooks: {exc}", clicks) from exc
        try:
            if not mine:
                if dry_run:
                    return f"would be made: {url}, json, push"
                return f"made as number {self.api.make(body(url, secret))}: {url}, json, push"
            done = [
                self._mended(number, reasons, body(url, secret), dry_run=dry_run)
                for number, reasons in ((hook.id, amiss(hook)) for hook in mine)
                if reasons or anew
            ]
        except OperatorError as exc:
            raise Ailment(f"it could not be made or mended: {exc}", clicks) from exc
        if len(mine) > 1:
            raise Ailment(
                f"{len(mine)} webhooks deliver to {url}, so each push comes more than once",
                f"delete all but one on {self.page}",
            )
        return "; ".join(done) or f"number {mine[0].id} is as it should be: {url}, json, push"

    def _mended(
        self, number: int, reasons: tuple[str, ...], to_be: dict[str, object], *, dry_run: bool
    ) -> str:
        why = ", ".join(reasons) or "the secret is to be set anew"
        if dry_run or self.api is None:
            return f"number {number} would be mended: {why}"
        self.api.mend(number, to_be)
        return f"number {number} was mended: {why}"

    def _clicks(self, url: str) -> str:
        return (
            f"on {self.page}: Add webhook (or Edit the one with this URL); Payload URL {url};"
            " Content type application/json; Secret: the first of DEPLOYER_WEBHOOK_SECRET; Enable"
            " SSL verification; Just the push event; Active. Or give the token `Webhooks: read and"
            " write` and run `deployer github` again"
        )

    def deliveries(self, now: datetime) -> str:
        """Tell whether each push of the last three days arrived.

        Raises:
            Ailment: some did not.
            NotApplicable: it can't be told.
        """
        try:
            tries = [one for _, them in self._tries(now) for one in them]
        except MayNot as exc:
            raise NotApplicable(
                f"can't be told: the token has no `Webhooks: read` ({exc})"
            ) from exc
        if missing := lost(tries, now):
            first = ", ".join(f"{one.guid} ({one.status_code})" for one in missing[:SHOWN])
            some = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            raise Ailment(
                f"{counted(missing, 'push', 'pushes')} of the last three days did not arrive:"
                f" {first}{some}",
                "see that PUBLIC_URL is reached from outside, then `deployer github --redeliver`;"
                f" what was asked for again and failed again is under Recent Deliveries on"
                f" {self.page}",
            )
        return "all pushes of the last three days arrived"

    def redeliver(self, now: datetime) -> str:
        """Ask for what did not arrive once more.

        Raises:
            Ailment: the token may not.
            NotApplicable: there is no token or no address.
            OperatorError: GitHub does not answer.
        """
        try:
            asked = self.ask_again(now)
        except MayNot as exc:
            raise Ailment(
                f"the token may not ask for deliveries again: {exc}",
                f"redeliver what failed under Recent Deliveries on {self.page}, or give the token"
                " `Webhooks: read and write`",
            ) from exc
        return f"{counted(asked, 'push', 'pushes')} asked for again"

    def ask_again(self, now: datetime) -> tuple[Delivery, ...]:
        """Ask for those again that were not yet asked for; return them.

        Raises:
            NotApplicable: there is no token or no address.
            MayNot, OperatorError
        """
        asked = []
        for hook, tries in self._tries(now):
            for delivery in to_ask_again(tries, now):
                self._seen().ask_again(hook, delivery.id)  # dying here: the rest is next time's
                asked.append(delivery)
        return tuple(asked)

    def _tries(self, now: datetime) -> list[tuple[int, tuple[Delivery, ...]]]:
        api = self._seen()
        mine = ours(api.all(), self.url or "")
        if not mine:
            raise OperatorError(f"no webhook delivers to {self.url}: `deployer github` makes it")
        return [(hook.id, api.deliveries(hook.id, now - KEPT)) for hook in mine]

    def _seen(self) -> Webhooks:
        if self.api is None or self.url is None:
            missing = "PUBLIC_URL" if self.url is None else "GITHUB_TOKEN"
            raise NotApplicable(f"can't be told without {missing}")
        return self.api
