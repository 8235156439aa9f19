"""Simulated hosts of 8 GPUs, in a process of its own: `python -m tests.benchmarks.hosts COUNT FILE`.

Each has a socket and an endpoint of its own, which FILE lists, and publishes one snapshot a second, evenly spread over
the second. Ends when it is told to.
"""

import sys
import time
from pathlib import Path

import msgspec
import zmq

from api import open_files
from common import wire
from common.snapshot import Snapshot
from tests.benchmarks.snapshots import snapshot

FILES_PER_HOST = 4
INTERVAL_SECONDS = 1.0


class _Host:
    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", number: int, first: Snapshot) -> None:
        self._snapshot = msgspec.structs.replace(
            first, host=f"host-{number:04}", run_id=f"{number:016x}", interval_seconds=INTERVAL_SECONDS
        )
        self._socket = context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, 100)
        self.endpoint = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"

    def publish(self) -> None:
        """Publish the next snapshot."""
        self._snapshot = msgspec.structs.replace(
            self._snapshot, sequence=self._snapshot.sequence + 1, sampled_at_ns=time.time_ns()
        )
        frame = wire.encode(self._snapshot)
        self._socket.setsockopt(zmq.XPUB_WELCOME_MSG, frame)
        self._socket.send(frame)


def main(count: int, path: Path) -> None:
    """Publish, until the process is ended."""
    open_files.allow(FILES_PER_HOST * count + 100)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, count + 10)
    first = snapshot()
    hosts = [_Host(context, number, first) for number in range(count)]
    path.write_text("".join(f"{host.endpoint}\n" for host in hosts))
    due = time.monotonic()
    while True:
        for host in hosts:
            time.sleep(max(0.0, due - time.monotonic()))
            host.publish()
            due += INTERVAL_SECONDS / count


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
