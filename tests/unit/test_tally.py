"""What the API itself has done and costs, as scrapes are told it."""

import time

from api.scraping.tally import Tally
from common.version import VERSION


def test_the_api_s_own_cost_and_counts_are_those_of_the_moment() -> None:
    began = time.time()
    tally = Tally()
    tally.answers.update([200, 200, 404])
    tally.connections += 3
    tally.listeners += 2
    own = tally.own()
    assert (own.version, own.requests, own.connections, own.listeners) == (VERSION, {200: 2, 404: 1}, 3, 2)
    assert 0 < own.cpu_seconds <= time.process_time()
    assert (own.resident_bytes or 0) > 2**20
    assert began <= own.started_at_seconds <= time.time()
