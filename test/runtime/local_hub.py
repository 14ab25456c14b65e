# SPDX-License-Identifier: Apache-2.0
"""A model hub on this machine: answers as the public one does, counts, and breaks off where a test wants it to."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LocalHub:
    """Serves one file of a repository, by way of a redirect to where it lies.

    Args:
        path: ``owner/name/resolve/main/file``.
        content: Of the file.

    Attributes:
        ranges: First byte of every GET of the content, in order.
        sent_bytes: Of the content, all GETs together.
        break_after: Bytes after which the next GETs break off, one entry each; None lets one through.
        digest: What the hub says the sha256 is; None = nothing.
        knows_ranges: Whether it can go on in the middle.
        gate: While it is clear, GETs stop after the first quarter and wait.
    """

    def __init__(self, path: str, content: bytes) -> None:
        self.path, self.content = f"/{path}", content
        self.named_bytes: int | None = None  # what it says of the size; None = the truth
        self.ranges: list[int] = []
        self.sent_bytes = 0
        self.break_after: list[int | None] = []
        self.digest: str | None = hashlib.sha256(content).hexdigest()
        self.knows_ranges = True
        self.gate = threading.Event()
        self.gate.set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_HEAD(self) -> None:
                hub.head(self)

            def do_GET(self) -> None:
                if self.path.startswith("/cdn/"):
                    hub.get(self)
                else:
                    hub.head(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def head(self, request: BaseHTTPRequestHandler) -> None:
        """What the hub knows of the file, and where it lies."""
        size = str(self.named_bytes or len(self.content))
        if request.path.startswith("/cdn/"):
            request.send_response(200)
            request.send_header("Content-Length", size)
            request.end_headers()
            return
        if request.path != self.path:
            request.send_error(404)
            return
        request.send_response(302)
        request.send_header("Location", "/cdn/blob")
        if self.digest is not None:
            request.send_header("X-Linked-Etag", f'"{self.digest}"')
        request.send_header("X-Linked-Size", size)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def get(self, request: BaseHTTPRequestHandler) -> None:
        """The content, or as much of it as the test lets through."""
        wanted = request.headers.get("Range", "")
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.knows_ranges else 0
        self.ranges.append(first)
        limit = self.break_after.pop(0) if self.break_after else None
        rest = self.content[first:]
        request.send_response(206 if first else 200)
        request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        pieces = [rest[: len(rest) // 4], rest[len(rest) // 4 :]] if limit is None else [rest[:limit]]
        try:
            for number, piece in enumerate(pieces):
                if number:
                    self.gate.wait(120)
                self.sent_bytes += len(piece)  # before: whoever has read the last byte may look at once
                request.wfile.write(piece)
                request.wfile.flush()
        except OSError:
            pass  # nobody reads any more
        request.close_connection = True

    def close(self) -> None:
        """Take it off the net."""
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
