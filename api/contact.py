"""How the way to one endpoint is: what libzmq says happens there, in; a state, since when and how often, out. Pure.

libzmq tries again by itself whenever no connection comes about or one is lost. It gives an endpoint up for ever,
without saying so, when the other side refuses the key, speaks something else, or breaks the protocol: whoever mends
the other side would wait in vain. So a way that is neither open nor tried again is `overdue`, and to be made anew.
"""

from typing import Literal, NamedTuple

Event = Literal["trying", "reached", "open", "rejected", "wrong_protocol", "closed"]
"""`trying`: an attempt to connect has failed, and the next is due. `reached`: somebody accepted the connection, and is
to show who it is. `open`: it is a publisher, and we are let in. `rejected`: it does not know our key. `wrong_protocol`:
it is no publisher, or has another key or none. `closed`: the connection has ended."""

ContactState = Literal["connecting", "connected", "refused", "rejected", "wrong_protocol", "lost"]

HANDSHAKE_SECONDS = 6.0
"""Whoever has not shown by then who it is speaks something else: libzmq's own limit is shorter, but does not count for
peers that it takes for its own earliest versions."""

FIRST_PAUSE_SECONDS = 1.0
LAST_PAUSE_SECONDS = 30.0
"""The pauses between attempts of ours double from the first to the last."""

_COUNTED: tuple[ContactState, ...] = ("connected", "refused", "rejected", "wrong_protocol", "lost")
_REASONS: dict[ContactState, str] = {
    "refused": "nobody listens there, or no way leads there",
    "rejected": "the collector does not know this API's public key: it belongs into its FEED_AUTHORIZED_KEYS",
    "wrong_protocol": "no collector answers there, or one that hangs, or one with another public key than is set here, "
    "or one without keys, or with keys where none is set here",
    "lost": "the connection has ended",
}


class Told(NamedTuple):
    """How the way is: for how long it has been so, why (None: it is open, or not known yet), and how often each state
    but `connecting` has come about."""

    state: ContactState
    seconds: float
    reason: str | None
    times: tuple[tuple[ContactState, int], ...]


class Contact:
    """The way to one endpoint. Times are seconds on a clock that is never set back."""

    def __init__(self, now: float) -> None:
        self.state: ContactState = "connecting"
        self._since = now
        self._times: dict[ContactState, int] = dict.fromkeys(_COUNTED, 0)
        self._pause = FIRST_PAUSE_SECONDS
        self._due_at: float | None = None
        self._was_reached = False
        self._shakes_hands = False

    def told(self, now: float) -> Told:
        """Return how the way is at this moment."""
        return Told(self.state, now - self._since, _REASONS.get(self.state), tuple(self._times.items()))

    def note(self, event: Event, now: float) -> bool:
        """Take note of what happened, and return whether the state is another now."""
        before = self.state
        match event:
            case "trying":
                self._try_again(now)
            case "reached":
                self._was_reached = self._shakes_hands = True
                self._due_at = now + HANDSHAKE_SECONDS + self._pause
            case "open":
                self._due_at, self._shakes_hands = None, False
                self._enter("connected", now)
            case "closed":
                self._close(now)
            case failed:
                self._fail(failed, now)
        return self.state != before

    def heard(self) -> None:
        """Take note that a snapshot came: the other side is well."""
        self._pause = FIRST_PAUSE_SECONDS

    def is_overdue(self, now: float) -> bool:
        """Return whether the way has to be made anew, as libzmq will not; whoever asks does it then."""
        if self._due_at is None or now < self._due_at:
            return False
        if self._shakes_hands:
            self._enter("wrong_protocol", now)
        self._due_at, self._was_reached, self._shakes_hands = None, False, False
        self._pause = min(2 * self._pause, LAST_PAUSE_SECONDS)
        return True

    def _try_again(self, now: float) -> None:
        if not self._was_reached:
            self._enter("refused", now)
        self._due_at, self._was_reached, self._shakes_hands = None, False, False

    def _close(self, now: float) -> None:
        # Who hangs up instead of showing who it is, is no publisher. What has failed already is not told twice.
        if self.state == "connected":
            self._fail("lost", now)
        elif self._shakes_hands:
            self._fail("wrong_protocol", now)

    def _fail(self, state: ContactState, now: float) -> None:
        self._due_at, self._shakes_hands = now + self._pause, False
        self._enter(state, now)

    def _enter(self, state: ContactState, now: float) -> None:
        self._times[state] += 1
        if state != self.state:
            self.state, self._since = state, now
