"""What happens again and again is said at most once a minute."""

import logging

import pytest

from common.seldom import SELDOM_SECONDS, SeldomFilter
from tests.fakes import Clock


def test_a_foreign_logger_says_each_message_once_a_minute_whatever_is_put_into_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    logger, seldom = logging.getLogger("foreign"), SeldomFilter(clock)
    logger.addFilter(seldom)
    try:
        for clock.now in (0.0, 1.0, SELDOM_SECONDS):
            logger.warning("malformed: %s", clock.now)
            logger.warning("another")
    finally:
        logger.removeFilter(seldom)
    said = ["malformed: 0.0", "another", f"malformed: {SELDOM_SECONDS}", "another"]
    assert [record.getMessage() for record in caplog.records] == said
