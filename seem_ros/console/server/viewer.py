# SPDX-License-Identifier: Apache-2.0
"""One open page: what it watches, and how much it takes.

A picture goes out only when the page has drawn an earlier one. So a slow page or network gets fewer pictures, never
older ones, and nothing piles up; what else there is to say is kept as the newest of each kind.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from seem_ros.console.server.hub import Hub

# One picture is drawn while the next is under way; more would only add to its age.
MAX_IN_FLIGHT = 2
MAX_MESSAGE_CHARACTERS = 2000
KEPT_ENTRIES = 100
# lists that change faster cannot be read
NEWS_PERIOD_S = 0.1
POLICY_VIOLATION = 1008


class Viewer:
    """One page.

    Args:
        hub: What all pages share.
        socket: Accepted.
    """

    def __init__(self, hub: Hub, socket: WebSocket) -> None:
        self._hub, self._socket = hub, socket
        self.node = self.camera = ""
        self._in_flight = 0
        self._shown = asyncio.Event()
        self._news = asyncio.Event()
        self._newest: dict[str, dict[str, Any]] = {}
        self._entries: list[dict[str, Any]] = []
        self._pictures: asyncio.Task[None] | None = None
        self._feed: Any = None

    @property
    def watched(self) -> tuple[str, str]:
        """Node and camera."""
        return self.node, self.camera

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message when the page is ready for it; a newer one of its type takes its place, calls are all kept."""
        if message["type"] == "call":
            self._entries.append(message)
            del self._entries[:-KEPT_ENTRIES]
        else:
            self._newest[message["type"]] = message
        self._news.set()

    def connect(self) -> None:
        """Begin to send pictures of the watched camera where that was not possible before."""
        feed = self._hub.feed(*self.watched) if self.node else None
        if feed is self._feed and (feed is None or (self._pictures is not None and not self._pictures.done())):
            return
        if self._pictures is not None:
            self._pictures.cancel()
            self._pictures = None
        self._feed = feed
        if feed is not None:
            self._pictures = asyncio.get_running_loop().create_task(self._send_pictures(feed))

    async def serve(self) -> None:
        """Until the page goes away."""
        self.tell(self._hub.graph())
        for entry in self._hub.calls.log:
            self.tell({"type": "call", "entry": entry})
        self._hub.viewers.add(self)
        telling = asyncio.get_running_loop().create_task(self._send_news())
        try:
            while True:
                await self._take(await self._socket.receive_text())
        except (WebSocketDisconnect, KeyError, RuntimeError):
            pass  # it went away, or sent bytes, which no page does
        finally:
            self._hub.viewers.discard(self)
            telling.cancel()
            if self._pictures is not None:
                self._pictures.cancel()

    async def _take(self, text: str) -> None:
        message = None
        if len(text) <= MAX_MESSAGE_CHARACTERS:
            try:
                message = json.loads(text)
            except (ValueError, RecursionError):
                pass
        if isinstance(message, dict):
            if message.get("type") == "shown":
                self._in_flight = max(0, self._in_flight - 1)
                self._shown.set()
                return
            node, camera = message.get("node"), message.get("camera")
            if message.get("type") == "watch" and isinstance(node, str) and isinstance(camera, str):
                self.node, self.camera, self._in_flight = node, camera, 0
                self.tell(self._hub.diagnostics(node))
                self.connect()
                return
        await self._socket.close(POLICY_VIOLATION, "not a message of this page")

    async def _send_pictures(self, feed: Any) -> None:
        sequence = 0
        try:
            while True:
                while self._in_flight >= MAX_IN_FLIGHT:
                    self._shown.clear()
                    await self._shown.wait()
                sequence, packed = await feed.picture_after(sequence)
                self._in_flight += 1
                await self._socket.send_bytes(packed)
        except (WebSocketDisconnect, RuntimeError):
            pass  # it went away

    async def _send_news(self) -> None:
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                messages = [*self._newest.values(), *self._entries]
                self._newest, self._entries = {}, []
                for message in messages:
                    await self._socket.send_text(json.dumps(message, separators=(",", ":")))
                await asyncio.sleep(NEWS_PERIOD_S)
        except (WebSocketDisconnect, RuntimeError):
            pass  # it went away
