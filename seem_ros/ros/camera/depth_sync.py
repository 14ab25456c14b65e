# SPDX-License-Identifier: Apache-2.0
"""Which depth image belongs to an image: the nearest stamp within a tolerance, from a short memory.

Own code instead of message_filters' approximate synchroniser, which never forgets old stamps and stalls when a bag
loops.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from seem_ros.ros.messages.images import NS_PER_S, stamp_to_ns

MAX_DEPTHS = 8
GONE_AFTER_S = 1.0


class DepthPairing:
    """The last few depth messages of a camera; thread-safe, bounded, emptied when their time goes backwards."""

    def __init__(self) -> None:
        self._depths: deque[tuple[int, Any]] = deque(maxlen=MAX_DEPTHS)
        self._lock = threading.Lock()
        self._last_arrival_s = float("-inf")
        self.jumps = 0

    def add(self, msg: Any) -> None:
        """Keep a depth message (sensor_msgs/Image)."""
        stamp_ns = stamp_to_ns(msg.header.stamp)
        with self._lock:
            if self._depths and stamp_ns < self._depths[-1][0]:
                self._depths.clear()
                self.jumps += 1
            self._depths.append((stamp_ns, msg))
            self._last_arrival_s = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether depth arrived lately; if not, nobody needs to wait for it."""
        return time.monotonic() - self._last_arrival_s < GONE_AFTER_S

    def settled(self, stamp_ns: int, tolerance_s: float) -> bool:
        """Whether waiting cannot give an image of this stamp a better partner: it is there, or time went past it."""
        with self._lock:
            if not self._depths:
                return False
            best = min(abs(stamp - stamp_ns) for stamp, _ in self._depths)
            return best <= tolerance_s * NS_PER_S or self._depths[-1][0] > stamp_ns

    def match(self, stamp_ns: int, tolerance_s: float) -> Any | None:
        """The depth message nearest to a stamp, or None beyond the tolerance."""
        with self._lock:
            if not self._depths:
                return None
            stamp, msg = min(self._depths, key=lambda item: abs(item[0] - stamp_ns))
        return msg if abs(stamp - stamp_ns) <= tolerance_s * NS_PER_S else None

    def clear(self) -> None:
        """Forget all depth."""
        with self._lock:
            self._depths.clear()
            self._last_arrival_s = float("-inf")
