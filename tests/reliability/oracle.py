"""What must hold of a class whose texts decide, told from the texts alone.

Pure, and without the deployer's rules: each function yields a sentence for whatever is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from tests.reliability.texts_decide import (
    DAG_FILES,
    IGNORES,
    PICKY,
    REFUSED,
    SICK,
    TOP,
    Commit,
    Publication,
    Standing,
    is_hidden,
    kind_of,
    links,
    parsed,
    reached,
    seen,
)

DEPLOY = "airflow/deploy"


def folder(path: str) -> str | None:
    """Return whose file it is."""
    parts = path.split("/")
    return parts[1] if parts[0] == "dags" and len(parts) > 2 else None


def shows_harm(release: Publication) -> Iterator[str]:
    """No release shows Airflow a file that is harmful as it stands there.

    Excused is a mixture, whose file or what it needs is held at an older version: what is parsed in
    isolation is the commit, and nobody knows what the mixture does. Excused is as well what was
    harmful in the release before: a mixture made it so, and what is held stays as it is live.
    """
    for path in seen(release.texts):
        needed = reached(path, release.texts) | reached(path, release.pushed)
        mixed = any(release.texts.get(one) != release.pushed.get(one) for one in needed)
        stays = path in seen(release.before) and _hurts(path, release.before, release)
        if not (mixed or stays) and _hurts(path, release.texts, release):
            yield f"{path} is harmful, and live"


def shares_an_id(release: Publication) -> Iterator[str]:
    """No release brings together files that claim one `dag_id`; mixtures are excused here, too."""
    claims, before = (_claims(texts, release) for texts in (release.texts, release.before))
    for dag_id, paths in claims.items():
        mixed = any(
            release.texts.get(one) != release.pushed.get(one)
            for path in paths
            for one in reached(path, release.texts) | reached(path, release.pushed)
        )
        if len(paths) > 1 and not (mixed or paths <= before.get(dag_id, set())):
            yield f"{' and '.join(sorted(paths))} share {dag_id}"


def _claims(texts: Mapping[str, str], release: Publication) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in seen(texts):
        for dag_id in parsed(path, texts, release.packages).dag_ids:
            found.setdefault(dag_id, set()).add(path)
    return found


def _hurts(path: str, texts: Mapping[str, str], release: Publication) -> bool:
    return parsed(path, texts, release.packages).harm


def is_behind(now: Standing) -> Iterator[str]:
    """The tip is live, with its packages, and nothing is pending."""
    if now.live_sha != now.tip:
        yield f"the tip {now.tip[:7]} is not live, but {now.live_sha}"
    if now.pending:
        yield f"without a verdict: {', '.join(now.pending)}"
    for (sha, context), (state, words) in now.said.items():
        if state == "pending":
            yield f"{context} of {sha[:7]} is pending: {words}"
    # They may be refused for the sake of a file that would not live with them.
    picky = any(kind_of(text) in PICKY for text in now.pushed.values())
    if now.asked not in {now.packages, REFUSED, SICK} and not picky:
        yield f"{now.packages!r} runs, not {now.asked!r}"


def holds_too_much(now: Standing) -> Iterator[str]:
    """What is not live as pushed has a harmful file that needs it, or a claimed dag_id."""
    needed = {path for one in now.harmful for path in reached(one, now.pushed)}
    for path, text in now.pushed.items():
        if now.live.get(path) == text:
            continue
        if path not in needed | now.claims:
            yield f"{path} is not live, for no reason"
        if path not in DAG_FILES and path not in now.held:
            yield f"{path} is not live, and not said to be held"
    for path in now.live.keys() - now.pushed.keys():
        yield f"{path} is live, and not in the tip"


def tells_wrong(now: Standing) -> Iterator[str]:
    """The newest verdict of each DAG file is what the release really gives.

    Of claimants of one dag_id whoever had it first stays, so of each of them either is taken.
    """
    for path in DAG_FILES:
        verdict = now.verdicts.get(path)
        told = "nothing" if verdict is None else verdict.outcome.value
        if path in now.nowhere and path not in now.pushed:
            if told != "held":
                yield f"{path} leads nowhere, and is told {told}"
            continue
        if path not in now.pushed:
            continue
        if is_hidden(path, now.pushed):
            if verdict and not verdict.gone and told != "held":
                yield f"{path} is hidden, and told {told}"
        elif told not in (may_be := _outcomes(path, now)):
            yield f"{path} is told {told}, and is {' or '.join(sorted(may_be))}"


def _outcomes(path: str, now: Standing) -> set[str]:
    if path in now.nowhere:  # and what is live stays, which may be judged later
        return {"held"} | _outcomes(path, replace(now, nowhere=frozenset()))
    if path in now.harmful:
        return {"held"}
    if path in now.claims:  # and what it needs may be held, which breaks it
        is_broken = path in now.live and parsed(path, now.live, now.packages).broken
        return {"held", "broken" if is_broken else "parsed"}
    if path not in now.live:
        return {"absent"}
    result = parsed(path, now.live, now.packages)
    if result.harm:  # as a mixture, if it is live
        return {"held", "broken"}
    return {"broken"} if result.broken else {"parsed" if result.dag_ids else "no_dag"}


def colours_wrong(commit: Commit, before: Standing, now: Standing) -> Iterator[str]:
    """Of a commit, red is what is bad by it, and green the rest.

    `before` is how the class stood before it and those that were pushed together with it, `now`
    how it stands after them. Where packages moved, or were to, others' files that import packages
    may be told as well: any import of what is no file of the tree may be one.
    """
    moved = before.packages != now.packages or commit.asked != commit.asked_before
    changed = commit.changed
    there = changed & (now.pushed.keys() | now.links.keys())
    moved_or_led = changed | _linked(commit, now)
    touched = _touched(commit, moved_or_led, now) | there
    bad = {path for path in touched if now.is_bad(path)} | (moved_or_led & now.nowhere)
    folders = {folder(path) for path in changed}
    for name in sorted(one for one in folders if one):
        mine = {path for path in bad if folder(path) == name}
        yield from _colour(commit, now, f"airflow/{name}", mine, either=moved)
    own = {p for p in bad if folder(p) is None and (p in there or TOP in changed)}
    broken = {  # whose own text came with these pushes is its owner's
        path
        for path in bad
        if path in set(DAG_FILES) & before.pushed.keys()
        and (path in now.links or before.pushed[path] == now.pushed[path])
        and (folder(path) is None or folder(path) not in folders)
        and path in before.verdicts
        and before.verdicts[path].good
    }
    refused = {commit.asked} if _is_refused(commit, now) else set()
    yield from _colour(commit, now, DEPLOY, own | broken | refused, either=moved)
    known = {DEPLOY, *(f"airflow/{one}" for one in folders if one)}
    for sha, context in now.said:
        if sha == commit.sha and context not in known:
            yield f"{sha[:7]} is told {context}, where it changes nothing"


def _linked(commit: Commit, now: Standing) -> set[str]:
    """Return the links whose target the commit changed; of those to nowhere, where it did that."""
    leads = {path: now.links[path] for path in now.links.keys() - now.nowhere}
    was, led = links(commit.before), links(commit.texts)
    return {
        path
        for path, target in (was | leads).items()
        if target in commit.changed or was.get(path, target) != led.get(path, target)
    }


def _touched(commit: Commit, changed: Collection[str], now: Standing) -> set[str]:
    """Return what of the tip it reaches by what it changed, or un-hid."""
    texts = now.pushed
    ignoring = any(path.endswith(IGNORES) for path in changed)
    return {
        path
        for path in texts
        if not reached(path, texts).isdisjoint(changed)
        or (ignoring and is_hidden(path, commit.before) and not is_hidden(path, texts))
    }


def _is_refused(commit: Commit, now: Standing) -> bool:
    return commit.asked != commit.asked_before and now.asked != now.packages


def _colour(
    commit: Commit, now: Standing, context: str, causes: set[str], *, either: bool
) -> Iterator[str]:
    state, words = now.said.get((commit.sha, context), ("nothing", ""))
    which = f"{context} of {commit.sha[:7]} is {state} ({words})"
    if causes and state != "failure":
        yield f"{which}, though bad: {', '.join(sorted(causes))}"
    elif not causes and state != "success" and not (either and state == "failure"):
        yield f"{which}, though nothing is bad"


def takes_an_id(commits: Collection[Commit], before: Standing, now: Standing) -> Iterator[str]:
    """Who has a `dag_id`, and goes on claiming it, keeps it."""
    changed = {path for commit in commits for path in commit.changed}
    for path in sorted(set(seen(now.pushed)) - changed - now.nowhere):
        was, is_now = before.verdicts.get(path), now.verdicts.get(path)
        ids = set(parsed(path, now.pushed, now.packages).dag_ids)
        had = set(was.dag_ids) & ids if was and was.outcome.value == "parsed" else set()
        if had and is_now and is_now.outcome.value == "held":
            yield f"{path} has lost {had}"


def judged_anew(before: Standing, now: Standing) -> Iterator[str]:
    """Judging the same tip once more changes nothing.

    A link that leads nowhere may be told as held, or as what stays in its place.
    """
    for path in sorted(before.live.keys() | now.live.keys()):
        if before.live.get(path) != now.live.get(path):
            yield f"{path} is live in another version"
    if before.held - now.nowhere != now.held - now.nowhere:
        yield f"held are {sorted(now.held)}, not {sorted(before.held)}"
    yield from told_anew(before, now)


def told_after_rollback(before: Standing, back: Standing, now: Standing) -> Iterator[str]:
    """A rollback and its end change neither verdicts nor colours; `back`: as it stood in between.

    Excused is where a file that is harmful, or claims an id of others, or what such a one needs,
    was another one there, or none: they come back together, the other claimants too, as in one
    push, and who was there first, or which of them is to blame, is not told apart any more. So are
    other packages that run in the end: which are refused for a file's sake hangs on the way.
    """
    doubtful = before.harmful | before.claims
    needed = {one for path in doubtful for one in reached(path, before.pushed)}
    alike = all(back.live.get(path) == before.pushed.get(path) for path in needed)
    if alike and before.packages == now.packages:
        yield from told_anew(before, now)


def told_anew(before: Standing, now: Standing) -> Iterator[str]:
    """Verdicts and the tip's colours stay as they are."""
    for path in sorted(before.pushed):
        was, is_now = (s.verdicts.get(path) for s in (before, now))
        if path in set(DAG_FILES) - now.nowhere and (was and was.outcome) != (
            is_now and is_now.outcome
        ):
            yield f"{path} was told {was and was.outcome}, then {is_now and is_now.outcome}"
    for sha, context in sorted(before.said.keys() | now.said.keys()):
        was_said, is_said = (s.said.get((sha, context), ("nothing", "")) for s in (before, now))
        if sha == now.tip and was_said[0] != is_said[0]:
            yield f"{context} of the tip was {was_said}, then {is_said}"
