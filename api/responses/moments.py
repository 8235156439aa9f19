"""How a time is written."""

from datetime import UTC, datetime


def timestamp(sampled_at_ns: int) -> str:
    """Return Unix nanoseconds as UTC with six decimals and no offset."""
    seconds, nanoseconds = divmod(sampled_at_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000, tzinfo=None)
    return moment.isoformat(timespec="microseconds")
