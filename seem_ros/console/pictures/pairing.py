# SPDX-License-Identifier: Apache-2.0
"""Pictures and the segments that belong to them, by stamp; the newest pair wins, older ones are forgotten."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

# a few pictures wait for the node's answer; beyond this a camera of 4K pictures would take too much memory
MAX_WAITING_BYTES = 64_000_000
MAX_WAITING = 32
# Masks are drawn on the picture that they belong to, so a picture waits for them; without an answer in this time the
# node is slower than the eye, and the picture goes out with the masks there are.
PATIENCE_S = 0.12
# masks older than this are worse than none
STALE_S = 3.0


@dataclass(frozen=True)
class Pair:
    """A picture to show.

    Attributes:
        stamp_ns: Of both.
        picture: The image message.
        segments: The segments message of the same stamp, else the last one that came, or None.
        segments_stamp_ns: Of the segments.
    """

    stamp_ns: int
    picture: Any
    segments: Any
    segments_stamp_ns: int = 0


class Pairing:
    """Thread-safe: ROS threads add, the encoder takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: OrderedDict[int, tuple[float, Any]] = OrderedDict()
        self._bytes = 0
        self._ready: Pair | None = None
        self._paired_s = float("-inf")
        self._last: tuple[float, int, Any] = (float("-inf"), 0, None)
        self._shown: tuple[int, Any] | None = None

    def add_picture(self, stamp_ns: int, message: Any, now_s: float) -> None:
        """A picture arrived at a monotonic time in seconds."""
        with self._lock:
            self._drop(stamp_ns)
            if stamp_ns == self._last[1] and self._last[2] is not None:  # its segments were quicker
                self._ready = Pair(stamp_ns, message, self._last[2], stamp_ns)
                self._paired_s = now_s
                self._drop_all()  # earlier pictures are of no use any more
                return
            self._waiting[stamp_ns] = (now_s, message)
            self._bytes += len(message.data)
            while len(self._waiting) > 1 and (self._bytes > MAX_WAITING_BYTES or len(self._waiting) > MAX_WAITING):
                self._drop(next(iter(self._waiting)))

    def add_segments(self, stamp_ns: int, message: Any, now_s: float) -> None:
        """Segments arrived; their picture is ready, and those before it are of no use any more.

        The node says once more what is in a picture where calls changed it and no other came: it is shown again then.
        """
        with self._lock:
            self._last = (now_s, stamp_ns, message)
            if stamp_ns not in self._waiting:
                if not self._waiting and self._shown is not None and self._shown[0] == stamp_ns:
                    self._ready = Pair(stamp_ns, self._shown[1], message, stamp_ns)
                return
            self._ready = Pair(stamp_ns, self._waiting[stamp_ns][1], message, stamp_ns)
            self._paired_s = now_s
            while next(iter(self._waiting)) != stamp_ns:
                self._drop(next(iter(self._waiting)))
            self._drop(stamp_ns)

    def wants_segments(self, now_s: float) -> bool:
        """Whether segments are of use: a picture waits for them, or there were none for long."""
        with self._lock:
            return bool(self._waiting) or now_s - self._last[0] >= PATIENCE_S

    def take(self, now_s: float) -> Pair | None:
        """The newest pair that was not taken yet, else the newest picture that has waited for too long."""
        with self._lock:
            if self._ready is not None:
                pair, self._ready = self._ready, None
                self._shown = pair.stamp_ns, pair.picture
                return pair
            late = [stamp for stamp, (arrived_s, _) in self._waiting.items() if now_s - arrived_s >= PATIENCE_S]
            if not late or now_s - self._paired_s < PATIENCE_S:
                return None  # pairs are coming: a picture that the node passed over is not missed
            stamp_ns = late[-1]
            arrived_s, segments_stamp_ns, segments = self._last
            if now_s - arrived_s > STALE_S:
                segments_stamp_ns, segments = 0, None
            pair = Pair(stamp_ns, self._waiting[stamp_ns][1], segments, segments_stamp_ns)
            self._shown = pair.stamp_ns, pair.picture
            for stamp in late:
                self._drop(stamp)
            return pair

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until `take` may give a picture without segments; None where none waits."""
        with self._lock:
            if not self._waiting:
                return None
            oldest_s = next(iter(self._waiting.values()))[0]
            return max(0.0, max(oldest_s, self._paired_s) + PATIENCE_S - now_s)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._drop_all()
            self._ready, self._last = None, (float("-inf"), 0, None)
            self._shown = None

    def _drop(self, stamp_ns: int) -> None:
        found = self._waiting.pop(stamp_ns, None)
        if found is not None:
            self._bytes -= len(found[1].data)

    def _drop_all(self) -> None:
        self._waiting.clear()
        self._bytes = 0
