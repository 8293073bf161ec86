"""What GitHub lets the token do; the webhook, made or mended where it may, else what to click.

A status is posted to a commit that can't exist: GitHub refuses a token without the right
(403, or 404 where it hides a private repository from it) and says 422, "No commit found for
SHA", to one that has it. Nothing is written either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from deployer.core.counts import counted
from deployer.core.doctor import Ailment, NotApplicable
from deployer.core.hooks import KEPT, Delivery, amiss, body, lost, ours, to_ask_again
from deployer.doctor.world import World
from deployer.errors import MayNot, OperatorError
from deployer.ports import Webhooks
from deployer.ports.doctor import ServerAnswer

NO_COMMIT: Final = "0" * 40
SOON: Final = timedelta(days=7)
SHOWN: Final = 3
"""Deliveries that did not arrive."""

_MADE: Final = (
    "make a fine-grained token for {repo} with `Commit statuses: write` (and `Contents: read` for"
    " a private repository), set DEPLOYER_GITHUB_TOKEN and restart the worker"
)
AWAY: Final = (
    "see that this machine reaches it (proxy, firewall, name service) and DEPLOYER_GITHUB_API_URL;"
    " statuses wait in the outbox meanwhile"
)
_LATER: Final = "wait; if it lasts, look at GitHub's status page. Statuses wait in the outbox"


def _asked(world: World) -> tuple[ServerAnswer, datetime]:
    """Return what GitHub says to a status that can't be, and when.

    Without a token, what it says to anybody.

    Raises:
        OperatorError: it does not answer.
    """
    if world.settings.github_token is None:
        return world.github.ask("HEAD", "/"), world.now()
    said = "Asked by `deployer doctor`."
    body = {"state": "pending", "context": "airflow/doctor", "description": said}
    path = f"/repos/{world.settings.github_repo}/statuses/{NO_COMMIT}"
    return world.github.ask("POST", path, body), world.now()


def token(world: World) -> str:
    """Tell whether the token may post commit statuses, and for how long.

    Raises:
        Ailment, OperatorError
    """
    repo = world.settings.github_repo
    make = _MADE.format(repo=repo)
    if world.settings.github_token is None:
        raise Ailment(
            "there is no token: commit statuses stay in the outbox, nobody is told on GitHub",
            f"{make}; where systemd hands it to the worker as a credential, run doctor with"
            " DEPLOYER_GITHUB_TOKEN_FILE",
        )
    answer, now = world.once(_asked)
    code = answer.status
    if code == HTTPStatus.UNPROCESSABLE_ENTITY:
        return _standing(repo, answer, now)
    if _limited(answer):
        raise Ailment(f"GitHub lets this token wait ({code}): too many requests", _LATER)
    if code == HTTPStatus.UNAUTHORIZED:
        raise Ailment("GitHub does not know the token (401): it has expired or is misspelt", make)
    if answer.moved:
        raise Ailment(
            f"{repo} has moved ({code})", "set DEPLOYER_GITHUB_REPO to its new name and restart"
        )
    if code in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
        raise _refused(world, repo, answer)
    raise Ailment(f"GitHub answered {code}", _LATER)


def failed_deliveries(world: World) -> str:
    return world.hook.deliveries(world.now())


def redelivered(world: World) -> str:
    return world.hook.redeliver(world.now())


def ahead(world: World) -> timedelta:
    """Return how far this machine's clock is ahead of GitHub's; to the second.

    Raises:
        Ailment: the answer has no date. OperatorError: there is none.
    """
    answer, now = world.once(_asked)
    # RFC 9110, 6.6.1: an origin server with a clock sends `Date` with every answer below 500.
    try:
        return now - parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError, TypeError) as exc:
        raise Ailment("GitHub's answer has no date", AWAY) from exc


def _refused(world: World, repo: str, refusal: ServerAnswer) -> Ailment:
    """Find out what the token lacks: the repository, or the right to write statuses."""
    if world.github.ask("GET", f"/repos/{repo}").status == HTTPStatus.OK:
        needed = refusal.headers.get("x-accepted-github-permissions")
        return Ailment(
            f"the token sees {repo} but may not write its commit statuses"
            f" ({refusal.status}{f'; needed: {needed}' if needed else ''})",
            "give it `Commit statuses: write` in its settings on GitHub (a classic token: scope"
            " repo:status, of an account that may write to the repository)",
        )
    return Ailment(
        f"GitHub shows the token no repository {repo} ({refusal.status})",
        "see that DEPLOYER_GITHUB_REPO is spelt right and that the token was made for it, with"
        " `Commit statuses: write`; an organisation may have to approve it first",
    )


def _limited(answer: ServerAnswer) -> bool:
    """Tell whether this is a rate limit: a missing right brings neither header."""
    # https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
    return answer.status in {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS} and (
        answer.status == HTTPStatus.TOO_MANY_REQUESTS
        or "retry-after" in answer.headers
        or answer.headers.get("x-ratelimit-remaining") == "0"
    )


def _standing(repo: str, answer: ServerAnswer, now: datetime) -> str:
    """Say until when a token that has the right is good."""
    may = f"may write commit statuses of {repo}"
    expires = _expiry(answer.headers)
    if expires is None:
        return may
    if expires - now < SOON:
        raise Ailment(f"the token expires {expires:%Y-%m-%d %H:%M} UTC", _MADE.format(repo=repo))
    return f"{may}, expires {expires:%Y-%m-%d}"


def _expiry(headers: Mapping[str, str]) -> datetime | None:
    # 2026-05-01 12:00:00 UTC, or with an offset; no such header: it never expires, or an App's.
    text = headers.get("github-authentication-token-expiration", "").replace("UTC", "+0000")
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z").astimezone(UTC)
    except ValueError:
        return None


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
            done = []
            for hook in mine:
                reasons = amiss(hook) or (("the secret is to be set anew",) if anew else ())
                if reasons and not dry_run:
                    self.api.mend(hook.id, body(url, secret))
                if reasons:
                    verb = "would be" if dry_run else "was"
                    done.append(f"number {hook.id} {verb} mended: {', '.join(reasons)}")
        except OperatorError as exc:
            raise Ailment(f"it could not be made or mended: {exc}", clicks) from exc
        if len(mine) > 1:
            raise Ailment(
                f"{len(mine)} webhooks deliver to {url}, so each push comes more than once",
                f"delete all but one on {self.page}",
            )
        return "; ".join(done) or f"number {mine[0].id} is as it should be: {url}, json, push"

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
            OperatorError: GitHub does not answer, or has no webhook of ours.
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
            OperatorError: GitHub does not answer, or has no webhook of ours.
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
            MayNot
            OperatorError: GitHub does not answer, or has no webhook of ours.
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
