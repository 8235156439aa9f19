"""What the API's `--check` says of what was seen. Pure: what was seen in, findings out."""

import errno
from collections.abc import Iterator

from api.address import refusal
from api.cache import Cache
from api.connections import MOST
from api.reports import Report, reports, rivals
from api.tls import EXPIRING_DAYS, Certificate, validity
from common.finding import Finding, ok, warning, wrong

_SOURCE_TODO = "python -m collector --check on that host says more"


def certificate(loaded: Certificate, unix_seconds: float) -> Finding:
    """Say until when the certificate is valid, and for whom."""
    days, concern = loaded.days_left(unix_seconds), loaded.concern(unix_seconds)
    names = ", ".join(loaded.names) or "no name"
    if loaded.expires_at is None:
        return warning("certificate", concern)
    if days < 0:
        return wrong("certificate", concern, "renew it")
    told = f"for {names}, {validity(loaded.expires_at)}, {days:.0f} days more"
    return warning("certificate", told, "renew it") if days < EXPIRING_DAYS else ok("certificate", told)


def connections(most: int) -> Finding:
    """Say how many connections the limit of open files admits."""
    if most < MOST:
        todo = f"raise the limit of open files to {2 * MOST} (ulimit -n, minfds, LimitNOFILE)"
        return warning("connections", f"only {most} at once, as half of the open files that are allowed", todo)
    return ok("connections", f"{most} at once, as many as may be")


def refused(address: str, port: int, error: OSError) -> Finding:
    """Say why the address cannot be had."""
    todo = "see GPU_METRICS_API_ADDRESS and _PORT"
    if error.errno == errno.EADDRINUSE:
        todo = "another program has it, which sudo ss -ltnp names: end that, or set GPU_METRICS_API_PORT to another"
    return wrong("address", refusal(address, port, error), todo)


def free(address: str, port: int) -> Finding:
    """Say that the address can be had."""
    return ok("address", f"{address} port {port} is free: no API listens there now")


def taken(address: str, port: int) -> Finding:
    """Say that an API has the address, as it should while the service runs."""
    return ok("address", f"{address} port {port} is in use by an API, which answers")


def feeds(cache: Cache, now: float, waited_seconds: float) -> Iterator[Finding]:
    """Say of each endpoint what came from it."""
    heard: dict[str, list[Report]] = {}
    for report in (*reports(cache, now), *rivals(cache, now)):
        heard.setdefault(report.endpoint, []).append(report)
    for endpoint in cache.endpoints:
        if endpoint not in heard:
            yield ok(f"feed {endpoint}", "hosts that were heard elsewhere, too")
        for report in heard.get(endpoint, []):
            yield _feed(report, waited_seconds)


def _feed(report: Report, waited_seconds: float) -> Finding:
    what, snapshot = f"feed {report.endpoint}", report.snapshot
    if snapshot is None or report.age_seconds is None:
        return _unheard(what, report, waited_seconds)
    age, source = report.age_seconds, snapshot.source
    told = f"{snapshot.host}, {age:.1f} s old, number {snapshot.sequence}, {len(snapshot.gpus)} GPUs"
    if report.shown_endpoint is not None:
        todo = "give each a GPU_METRICS_HOST of its own"
        return wrong(what, f"{told}; {report.shown_endpoint} calls itself so, too", todo)
    if report.state == "stale":
        return wrong(what, f"{told}, which is stale: the collector hangs", _SOURCE_TODO)
    if source.state != "ok":
        return warning(what, f"{told}, source {source.state}: {source.error}", _SOURCE_TODO)
    return ok(what, f"{told}, source ok")


def _unheard(what: str, report: Report, waited_seconds: float) -> Finding:
    contact = report.contact
    if report.rejected:
        return wrong(what, f"{report.rejected} messages that are no snapshots", "another version, or no collector")
    if contact is not None and contact.reason:
        return wrong(what, f"{contact.state.replace('_', ' ')}: {contact.reason}")
    state = contact.state if contact else "connecting"
    return wrong(what, f"{state}, and nothing was heard within {waited_seconds:g} s", _SOURCE_TODO)
