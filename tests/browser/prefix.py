"""A reverse proxy that serves an API below a prefix, as one in front of many services does."""

import contextlib
import http.client
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.processes import PATIENCE_SECONDS

_HOP_BY_HOP = {"connection", "transfer-encoding"}


class Prefixed:
    """The proxy, on a port of its own, for as long as it is entered. `asked` is every request's path and headers."""

    def __init__(self, prefix: str, port: int) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._sockets: list[socket.socket] = []
        asked, sockets = self.asked, self._sockets

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, dict(self.headers)))
                sockets.append(self.connection)
                if self.path.startswith(f"{prefix}/"):
                    _hand_on(self, self.path.removeprefix(prefix), port)
                else:
                    self.send_error(404)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Who still reads the stream at the end is not waited for.
        self._server.daemon_threads, self._server.block_on_close = True, False
        self.port = self._server.server_address[1]

    def cut(self) -> None:
        """Cut all connections to browsers."""
        for one in self._sockets:
            with contextlib.suppress(OSError):  # most are closed already
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def _hand_on(handler: BaseHTTPRequestHandler, target: str, port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", target, headers=dict(handler.headers))
        answer = connection.getresponse()
        handler.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                handler.send_header(name, value)
        handler.end_headers()
        while piece := answer.read1(65536):
            handler.wfile.write(piece)
            handler.wfile.flush()
    except OSError:
        pass  # one of the two has gone
    finally:
        connection.close()
