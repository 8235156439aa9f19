"""What the API has done and costs, counted by the server and told to whoever scrapes it."""

import time
from collections import Counter

from api.prometheus import Own
from common.cost import own_cpu_seconds, own_resident_bytes
from common.version import VERSION


class Tally:
    """Counts since the process started."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        """By HTTP status."""

        self.connections = 0
        self.listeners = 0
        self._started_at_seconds = time.time()

    def own(self) -> Own:
        """Return what is true at this moment."""
        return Own(
            version=VERSION,
            requests=dict(self.answers),
            cpu_seconds=own_cpu_seconds(),
            resident_bytes=own_resident_bytes(),
            connections=self.connections,
            listeners=self.listeners,
            started_at_seconds=self._started_at_seconds,
        )
