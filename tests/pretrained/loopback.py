"""A server on loopback that publishes files as those of weights are published, and fails as asked."""

import contextlib
import hashlib
import random
import re
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Of a file: larger than what is read at once.
CONTENT = random.Random(0).randbytes(3_000_001)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Server(ThreadingHTTPServer):
    """What it publishes, how it behaves, and what it was asked.

    Attributes:
        files: content by path, such as `/models/net.pth`.
        ranges: whether it sends a part of a file where one is asked for.
        lengths: whether it tells how long what it sends is.
        statuses: what it answers to the next requests instead of a file.
        cuts: at which byte of the file it ends the next answers; None: not.
        reset: whether it ends them as one that has died does.
        hub: whether it knows what a hub is.
        gate: is waited for before the end of a file is sent.
        asked: method, path and the range of every request.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.ranges, self.lengths, self.reset, self.hub = True, True, False, True
        self.statuses: list[int] = []
        self.cuts: list[int | None] = []
        self.gate: threading.Event | None = None
        self.asked: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def downloads(self) -> list[str | None]:
        """The ranges of the requests for a file itself; the hub is asked for more."""
        return [asked for method, path, asked in self.asked if method == "GET" and path in self.files]

    def go_away(self) -> None:
        """Nobody listens there any more."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, *, with_body):
        server, asked = self.server, self.headers.get("Range")
        server.asked.append((self.command, self.path, asked))
        if server.statuses:
            self._send_status(server.statuses.pop(0))
        elif "/resolve/" in self.path and not server.hub:
            self._send_file(b"<html>Sign in to the network</html>", None, with_body=with_body)
        elif "/resolve/" in self.path:
            self._hub(with_body=with_body)
        elif self.path in server.files:
            self._send_file(server.files[self.path], asked, with_body=with_body)
        else:
            self._send_status(404)

    def _send_status(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _hub(self, *, with_body):
        """What the Hugging Face hub answers of a large file: what it is, and where its bytes are."""
        path = re.sub("/resolve/[^/]+/", "/", self.path)
        if path not in self.server.files:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = self.server.files[path]
        digest = self.server.files.get(f"{path}.digest") or hashlib.sha256(content).hexdigest().encode()
        self.send_response(302)
        # As of another machine, whose answers the library reads no facts of.
        self.send_header("Location", f"{self.server.url.replace('127.0.0.1', 'localhost')}{path}")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Etag", f'"{digest.decode()}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_file(self, content, asked, *, with_body):
        server, first = self.server, 0
        if asked and server.ranges:
            first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if first >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.lengths:
            self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        if with_body:
            self._send_body(content[first:], first)

    def _send_body(self, body, first):
        server = self.server
        cut = server.cuts.pop(0) if server.cuts else None
        if cut is not None:
            self.wfile.write(body[: max(0, cut - first)])
            self.wfile.flush()
            if server.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
        elif server.gate:
            self.wfile.write(body[:-1])
            self.wfile.flush()
            # Of a test that fails it waits no longer.
            server.gate.wait(60)
            self.wfile.write(body[-1:])
        else:
            self.wfile.write(body)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server, until the end."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.go_away()
        thread.join()
