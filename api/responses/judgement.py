"""How a choice of hosts is as a whole: one word, the worst that holds, and the first message that says why."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from api.responses.errors import Error
from api.selection import Chosen, Selection

Status = Literal["ok", "degraded", "unavailable", "stalled", "stale"]
_FROM_BEST_TO_WORST: tuple[Status, ...] = ("ok", "degraded", "unavailable", "stalled", "stale")
_NO_REASON = "no reason given"


class Finding(NamedTuple):
    """What is not as it should be: how bad it is, and what it is."""

    status: Status
    message: str


class Judgement(NamedTuple):
    """The worst status of all findings, and why; None if all is well."""

    status: Status
    error: Error | None


def findings(chosen: Chosen) -> list[Finding]:
    """Return what is not as it should be with one host."""
    snapshot = chosen.snapshot
    reason = snapshot.source.error or _NO_REASON
    if chosen.is_stale:
        said = f"{snapshot.host}: no fresh snapshot; this one is shown because max_age admits it"
        return [Finding("stale", said)]
    if snapshot.source.state != "ok":
        return [Finding(snapshot.source.state, f"{snapshot.host}: {reason}")]
    messages = [f"{snapshot.host}: two collectors publish under this name"] if chosen.has_rival else []
    messages += [
        f"{snapshot.host}: gpu-{gpu.index} is {gpu.state}: {gpu.error or _NO_REASON}"
        for gpu in snapshot.gpus
        if gpu.state != "ok"
    ]
    return [Finding("degraded", message) for message in messages]


def judge(selection: Selection) -> Judgement:
    """Judge all that was selected. A host without a driver only degrades the whole where others have GPUs to show."""
    found = [finding for chosen in selection.chosen for finding in findings(chosen)]
    if not is_without_gpus(selection):
        found = [Finding("degraded", message) if of == "unavailable" else Finding(of, message) for of, message in found]
    found += [Finding("degraded", f"{name}: left out, nothing fresh was heard") for name in selection.missing]
    return worst(found)


def worst(found: Iterable[Finding]) -> Judgement:
    """Return the worst status among the findings, and the first message that says why with how many others do."""
    found = list(found)
    status: Status = max((finding.status for finding in found), key=_FROM_BEST_TO_WORST.index, default="ok")
    messages = [finding.message for finding in found if finding.status == status]
    more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
    return Judgement(status, Error(status, messages[0] + more) if messages else None)


def is_without_gpus(selection: Selection) -> bool:
    """Return whether a host has no driver that answers, and no other has a GPU to show."""
    snapshots = [chosen.snapshot for chosen in selection.chosen]
    others = (snapshot for snapshot in snapshots if snapshot.source.state != "unavailable")
    return any(snapshot.source.state == "unavailable" for snapshot in snapshots) and not any(s.gpus for s in others)
