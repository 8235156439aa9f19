"""How the way to an endpoint is, as what libzmq says of it is put together; the sequences are libzmq's own."""

import pytest

from api.contact import HANDSHAKE_SECONDS, LAST_PAUSE_SECONDS, Contact, Event

REFUSED: list[Event] = ["trying"]
NO_PUBLISHER: list[Event] = ["reached", "wrong_protocol", "closed", "trying"]
GIVEN_UP: list[Event] = ["reached", "wrong_protocol", "closed"]


def after(*events: Event, now: float = 0.0) -> Contact:
    contact = Contact(0.0)
    for event in events:
        contact.note(event, now)
    return contact


@pytest.mark.parametrize(
    ("events", "state", "times"),
    [
        ([], "connecting", 0),
        (["reached"], "connecting", 0),
        (["reached", "open"], "connected", 1),
        (REFUSED * 3, "refused", 3),
        (["reached", "rejected", "closed"], "rejected", 1),
        (NO_PUBLISHER * 3, "wrong_protocol", 3),
        (["reached", "closed"], "wrong_protocol", 1),
        ([*NO_PUBLISHER, *REFUSED], "refused", 1),
        (["reached", "open", "closed"], "lost", 1),
        (["reached", "open", "closed", "trying"], "lost", 1),
        (["reached", "open", "closed", "trying", "trying"], "refused", 1),
        (["reached", "open", "closed", "trying", "reached", "open"], "connected", 2),
    ],
)
def test_what_happens_is_told_as_a_state_and_how_often(events: list[Event], state: str, times: int) -> None:
    told = after(*events).told(0.0)
    assert told.state == state
    assert dict(told.times).get(told.state, 0) == times
    assert (told.reason is None) == (state in ("connecting", "connected"))


def test_a_state_lasts_from_when_it_first_came_about() -> None:
    contact = after(*REFUSED, now=5.0)
    contact.note("trying", 7.0)
    assert contact.told(15.0).seconds == 10.0
    assert contact.note("reached", 16.0) is False
    assert contact.note("open", 16.0) is True
    assert contact.told(20.0).seconds == 4.0


@pytest.mark.parametrize(
    "events", [REFUSED, NO_PUBLISHER, ["reached", "open"], ["reached", "open", "closed", "trying"]]
)
def test_what_libzmq_tries_again_is_left_to_it(events: list[Event]) -> None:
    assert not after(*events).is_overdue(1e6)


@pytest.mark.parametrize(
    "events", [GIVEN_UP, ["reached", "rejected"], ["reached", "closed"], ["reached", "open", "closed"]]
)
def test_what_libzmq_has_given_up_is_made_anew_after_pauses_that_double(events: list[Event]) -> None:
    contact, now, pauses = Contact(0.0), 0.0, []
    for _ in range(7):
        for event in events:
            contact.note(event, now)
        began = now
        while not contact.is_overdue(now):
            now += 0.5
        pauses.append(now - began)
        assert not contact.is_overdue(now + 1e6)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, LAST_PAUSE_SECONDS, LAST_PAUSE_SECONDS]
    contact.heard()
    contact.note("reached", now)
    contact.note("closed", now)
    assert contact.is_overdue(now + 1.0)


def test_who_accepts_a_connection_and_says_nothing_is_no_publisher() -> None:
    contact = after("reached")
    assert not contact.is_overdue(HANDSHAKE_SECONDS)
    assert contact.is_overdue(HANDSHAKE_SECONDS + 1.0)
    assert contact.told(7.0).state == "wrong_protocol"
