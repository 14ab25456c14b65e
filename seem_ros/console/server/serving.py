# SPDX-License-Identifier: Apache-2.0
"""The web server's own settings, and how it ends."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn

# a page loads its files over at most 6 connections; beyond these requests are answered 503
MAX_CONNECTIONS = 100
MAX_SOCKET_MESSAGE_BYTES = 8192
# a page whose Wi-Fi went away does not say so
PING_S = 10.0


class Server(uvicorn.Server):
    """Ends in order at the first signal, and stays deaf to further ones until the process is gone.

    Whoever presses Ctrl-C in a launch gives two: one by the terminal, one by launch. uvicorn would take the second for
    impatience and break off with a traceback; what has to end takes a second at most.

    Attributes:
        ended_by: The signal that ended it, 0 = none so far.
    """

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                lifespan="on",
                ws="auto",
                ws_max_size=MAX_SOCKET_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                ws_ping_interval=PING_S,
                ws_ping_timeout=PING_S,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=15,
                timeout_graceful_shutdown=1,
                server_header=False,
                http="h11",
            )
        )
        self.ended_by = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self.ended_by = self.ended_by or number
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals as they are."""
        yield

    def install_signal_handlers(self) -> None:
        """Of uvicorn before 0.29."""
