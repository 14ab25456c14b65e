# SPDX-License-Identifier: Apache-2.0
"""Notices when most pictures of a best-effort camera get lost on their way, by the gaps between their stamps."""

from __future__ import annotations

from collections import deque
from statistics import median

# Below this a picture fits into Fast DDS's default shared memory segment of 512 KiB; larger ones get lost in it.
LARGE_BYTES = 500_000
# How much longer than the shortest gap ever seen the usual one has to be: a camera that halves its rate in the dark
# does not count.
TIMES_LONGER = 3.0
FOR_S = 5.0


class StarvationWatch:
    """Tells once that a camera's pictures hardly arrive."""

    def __init__(self) -> None:
        self._gaps_ns: deque[tuple[float, int]] = deque()
        self._shortest_ns: int | None = None
        self._last_ns = 0
        self._since_s: float | None = None
        self._told = False

    def note(self, stamp_ns: int, size_bytes: int, now_s: float) -> bool:
        """A picture of a best-effort camera arrived; whether to warn now.

        Args:
            stamp_ns: Of the picture.
            size_bytes: Of its data.
            now_s: Monotonic.
        """
        gap_ns, self._last_ns = stamp_ns - self._last_ns, stamp_ns
        if size_bytes < LARGE_BYTES or gap_ns <= 0 or gap_ns == stamp_ns or self._told:
            return False
        self._shortest_ns = min(gap_ns, self._shortest_ns or gap_ns)
        self._gaps_ns.append((now_s, gap_ns))
        while self._gaps_ns[0][0] < now_s - FOR_S:
            self._gaps_ns.popleft()
        if gap_ns < TIMES_LONGER * self._shortest_ns:  # only a long gap can show it; of a well camera there are none
            return False
        if median(gap for _, gap in self._gaps_ns) < TIMES_LONGER * self._shortest_ns:
            self._since_s = None
            return False
        self._since_s = now_s if self._since_s is None else self._since_s
        self._told = now_s - self._since_s >= FOR_S
        return self._told
