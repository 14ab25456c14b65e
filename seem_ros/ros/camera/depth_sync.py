# SPDX-License-Identifier: Apache-2.0
"""Which depth image belongs to an image: the nearest stamp within a tolerance, from a short memory.

Own code instead of message_filters' approximate synchroniser, which never forgets old stamps and stalls when a bag
loops.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from seem_ros.ros.messages.images import NS_PER_S, stamp_to_ns

MAX_DEPTHS = 8
GONE_AFTER_S = 1.0
# A small step back is lateness, as for pictures.
LATE_S = 1.0
# Depth of these many messages with one and the same stamp says nothing about time.
STANDING_STILL = 3
# Without stamps the nearest arrival counts, as long as it is nearer than the pictures before and after at 5 Hz.
ARRIVAL_TOLERANCE_S = 0.2


@dataclass(frozen=True)
class _Arrived:
    stamp_ns: int
    arrived_s: float
    msg: Any


class DepthPairing:
    """The last few depth messages of a camera; thread-safe, bounded, emptied when their time goes far back.

    Where pictures or depth carry no stamps, or always the same, those that arrived together belong together.

    Attributes:
        jumps: How often time went back.
        late: Messages that came after a newer one; they are used all the same.
    """

    def __init__(self) -> None:
        self._depths: deque[_Arrived] = deque(maxlen=MAX_DEPTHS)
        self._lock = threading.Lock()
        self._last_arrival_s = float("-inf")
        self.jumps = self.late = 0

    def add(self, msg: Any, arrived_s: float | None = None) -> None:
        """Keep a depth message (sensor_msgs/Image) that arrived now, or at a monotonic time."""
        stamp_ns, arrived_s = stamp_to_ns(msg.header.stamp), time.monotonic() if arrived_s is None else arrived_s
        with self._lock:
            back_ns = max((one.stamp_ns for one in self._depths), default=stamp_ns) - stamp_ns
            if back_ns > LATE_S * NS_PER_S:
                self._depths.clear()
                self.jumps += 1
            elif back_ns > 0:
                self.late += 1
            self._depths.append(_Arrived(stamp_ns, arrived_s, msg))
            self._last_arrival_s = arrived_s

    @property
    def alive(self) -> bool:
        """Whether depth arrived lately; if not, nobody needs to wait for it."""
        return time.monotonic() - self._last_arrival_s < GONE_AFTER_S

    def settled(self, stamp_ns: int, tolerance_s: float, arrived_s: float | None = None) -> bool:
        """Whether waiting cannot give a picture a better partner: it is there, or time went past it.

        Args:
            stamp_ns: Of the picture; 0 = it has none.
            tolerance_s: Largest difference of stamps.
            arrived_s: Of the picture, monotonic; None = only stamps count.
        """
        with self._lock:
            if not self._depths:
                return False
            if arrived_s is not None and self._without_time(stamp_ns):
                newest_s = self._depths[-1].arrived_s
                return newest_s > arrived_s or arrived_s - newest_s <= tolerance_s
            best = min(abs(one.stamp_ns - stamp_ns) for one in self._depths)
            return best <= tolerance_s * NS_PER_S or max(one.stamp_ns for one in self._depths) > stamp_ns

    def match(self, stamp_ns: int, tolerance_s: float, arrived_s: float | None = None) -> Any | None:
        """The depth message that belongs to a picture, the newest of equals, or None beyond the tolerance.

        Args:
            stamp_ns, tolerance_s, arrived_s: As for `settled`.
        """
        with self._lock:
            if not self._depths:
                return None
            newest_first = list(reversed(self._depths))
            if arrived_s is not None and self._without_time(stamp_ns):
                best = min(newest_first, key=lambda one: abs(one.arrived_s - arrived_s))
                return best.msg if abs(best.arrived_s - arrived_s) <= ARRIVAL_TOLERANCE_S else None
            best = min(newest_first, key=lambda one: abs(one.stamp_ns - stamp_ns))
        return best.msg if abs(best.stamp_ns - stamp_ns) <= tolerance_s * NS_PER_S else None

    def _without_time(self, stamp_ns: int) -> bool:
        stamps = {one.stamp_ns for one in self._depths}
        return stamp_ns == 0 or 0 in stamps or (len(self._depths) >= STANDING_STILL and len(stamps) == 1)

    def clear(self) -> None:
        """Forget all depth."""
        with self._lock:
            self._depths.clear()
            self._last_arrival_s = float("-inf")
