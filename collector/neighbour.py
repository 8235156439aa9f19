"""Who publishes on an endpoint of this machine that a check finds taken: asked as a subscriber, for a moment."""

from typing import NamedTuple

import zmq
import zmq.asyncio

from collector.publisher import Locked
from common import wire
from common.endpoint import nearby
from common.snapshot import Snapshot


class Neighbour(NamedTuple):
    """Who publishes on an endpoint: its latest snapshot, None where it does not tell; whether it has our secret key."""

    snapshot: Snapshot | None
    has_our_key: bool


async def neighbour(endpoint: str, locked: Locked | None, seconds: float) -> Neighbour:
    """Ask who publishes on an endpoint of this machine, for so long at most. With keys, only one that has ours is
    known."""
    context, poller = zmq.asyncio.Context(), zmq.asyncio.Poller()
    listener = context.socket(zmq.SUB)
    listener.setsockopt(zmq.IPV6, 1)
    listener.setsockopt(zmq.MAXMSGSIZE, wire.MAX_MESSAGE_BYTES)
    if locked:
        listener.curve_secretkey = locked.secret_key
        listener.curve_publickey = listener.curve_serverkey = zmq.curve_public(locked.secret_key)
    listener.subscribe(wire.TOPIC_PREFIX)
    rejected = listener.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    poller.register(listener, zmq.POLLIN)
    poller.register(rejected, zmq.POLLIN)
    try:
        listener.connect(nearby(endpoint))
        said = dict(await poller.poll(round(seconds * 1000)))
        welcome = wire.decode(await listener.recv()) if listener in said else None
        return Neighbour(welcome, rejected in said)
    except (zmq.ZMQError, wire.WireError):  # a name that is no address to connect to; no collector
        return Neighbour(None, has_our_key=False)
    finally:
        listener.disable_monitor()
        context.destroy(linger=0)
