# SPDX-License-Identifier: Apache-2.0
"""Calls of the node's services for the page, and the log of them."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

import cv2
import numpy as np

import seem_ros.srv
from seem_ros.console.client.link import RosLink
from seem_ros.console.client.message_values import call_line, fill, to_plain
from seem_ros.errors import FrameError, PromptError, SeemError

KEPT_CALLS = 200
# A reference is looked at for as long as its dialogue is open; 8 of at most 8 MB bound the memory.
KEPT_PICTURES = 8
MAX_SIDE_PX = 4096
# more at once only wait for each other at the node, which itself lets 4 wait by default
MAX_CALLS_AT_ONCE = 8
_FORMATS = {b"\xff\xd8\xff": "jpeg", b"\x89PN": "png", b"RIF": "webp"}


class PictureStore:
    """Pictures that the page has sent for a reference; the oldest goes when there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[bytes, str]] = OrderedDict()
        self._numbers = itertools.count(1)

    def add(self, data: bytes) -> dict[str, Any]:
        """Keep a picture.

        Returns:
            Its id and size in pixels.

        Raises:
            FrameError: It is no JPEG, PNG or WebP, cannot be read, or is too large.
        """
        kind = _FORMATS.get(data[:3])
        if kind is None:
            raise FrameError("a picture must be JPEG, PNG or WebP")
        try:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            picture = None
        if picture is None:
            raise FrameError(f"this {kind} picture cannot be read")
        height, width = picture.shape[:2]
        if max(height, width) > MAX_SIDE_PX:
            raise FrameError(f"a picture may have {MAX_SIDE_PX} pixels a side, got {width}x{height}")
        name = f"picture-{next(self._numbers)}"
        self._kept[name] = (data, kind)
        while len(self._kept) > KEPT_PICTURES:
            self._kept.popitem(last=False)
        return {"picture": name, "width": width, "height": height}

    def get(self, name: str) -> tuple[bytes, str]:
        """Bytes and format.

        Raises:
            PromptError: It is not kept (any more).
        """
        if name not in self._kept:
            raise PromptError("the reference picture is not kept any more; send it again")
        return self._kept[name]


class Calls:
    """Makes the page's calls and remembers them.

    Args:
        link: The ROS side.
        pictures: What a request may refer to.
        on_call: Told about each finished call.
    """

    def __init__(self, link: RosLink, pictures: PictureStore, on_call: Callable[[dict[str, Any]], None]) -> None:
        self._link, self._pictures, self._on_call = link, pictures, on_call
        self._numbers = itertools.count(1)
        self._running = 0
        self.log: deque[dict[str, Any]] = deque(maxlen=KEPT_CALLS)

    async def call(self, node: str, service: str, request: dict[str, Any]) -> dict[str, Any]:
        """Call a service of a node.

        Args:
            node: Fully qualified name of a node that is there.
            service: Name of its service, without the node's.
            request: Plain values.

        Returns:
            What the log keeps, and ``answer``.

        Raises:
            SeemError: There is no such node or service, the request does not fit, or too many calls run.
        """
        found = next((one for one in self._link.nodes() if one.name == node), None)
        if found is None:
            raise PromptError(f"there is no segmentation node {node[:80]!r}")
        kind_name = dict(found.services).get(service)
        if kind_name is None or not kind_name.startswith("seem_ros/srv/"):
            ours = ", ".join(name for name, kind in found.services if kind.startswith("seem_ros/srv/"))
            raise PromptError(f"{node} has no service {service[:40]!r} for the console; there are: {ours}")
        kind = getattr(seem_ros.srv, kind_name.rsplit("/", 1)[1], None)
        if kind is None:
            raise PromptError(f"{node} is of another version: {kind_name} is not known here")
        message = fill(kind.Request(), request, self._pictures.get)
        line = call_line(f"{node}/{service}", kind_name, request)
        return await self.run(line, service, self._link.call(kind, f"{node}/{service}", message))

    async def run(self, line: str, what: str, answering: Any) -> dict[str, Any]:
        """Wait for an answer, and note it.

        Args:
            line: The shell line of the call.
            what: Its short name.
            answering: Gives the response message, or raises.

        Raises:
            SeemError: Too many calls run.
        """
        if self._running >= MAX_CALLS_AT_ONCE:
            answering.close()
            raise SeemError(f"{MAX_CALLS_AT_ONCE} calls are waiting already; wait until one is answered")
        self._running += 1
        begin, answer = time.monotonic(), None
        try:
            response = await answering
            answer = to_plain(response)
            good, message = bool(getattr(response, "success", True)), str(getattr(response, "message", ""))
        except SeemError as error:
            good, message = False, str(error)
        finally:
            self._running -= 1
        entry = {
            "number": next(self._numbers),
            "time": datetime.now().strftime("%H:%M:%S"),
            "service": what,
            "line": line,
            "success": good,
            "message": message,
            "took_ms": round((time.monotonic() - begin) * 1e3),
        }
        self.log.append(entry)
        self._on_call(entry)
        return {**entry, "answer": answer}
