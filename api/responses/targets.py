"""The body of `targets`: the hosts as Prometheus' HTTP service discovery has it. Pure.

Each is one to be scraped from this API, `/metrics?host=`, as exporters do that answer for many: Prometheus makes of a
label `__param_host` that parameter, and drops it. What tells their series apart is `instance`, the host's own name.
"""

from collections.abc import Iterable

from msgspec import Struct


class Target(Struct, frozen=True):
    """Some addresses to be scraped, and the labels of their series."""

    targets: list[str]
    labels: dict[str, str]


def targets(hosts: Iterable[str], address: str) -> list[Target]:
    """Return a target for each host, at the address by which whoever asks has reached this API."""
    return [Target([address], {"__param_host": host, "instance": host}) for host in hosts]
