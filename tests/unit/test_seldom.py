"""What happens again and again is said at most once a minute."""

import logging

import pytest

import api.app  # noqa: F401 -- it is what keeps Tornado's lines few
from common.seldom import SELDOM_SECONDS, Seldom


def test_what_happens_again_is_said_a_minute_later_with_how_often_it_did() -> None:
    seldom = Seldom()
    times = [seldom.count("one", now) for now in (0.0, 1.0, SELDOM_SECONDS - 1, SELDOM_SECONDS, SELDOM_SECONDS + 1)]
    assert times == [1, 0, 0, 3, 0]
    assert seldom.count("other", 1.0, times=5) == 5


def test_tornado_s_log_says_each_message_seldom_whatever_is_put_into_it(caplog: pytest.LogCaptureFixture) -> None:
    tornado = logging.getLogger("tornado.general")
    for number in range(3):
        tornado.warning("malformed, for this test: %d", number)
        tornado.warning("another, for this test")
    assert [record.getMessage() for record in caplog.records] == [
        "malformed, for this test: 0",
        "another, for this test",
    ]
