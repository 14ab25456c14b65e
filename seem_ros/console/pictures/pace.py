# SPDX-License-Identifier: Apache-2.0
"""How fast pictures go out: as fast as allowed while processors idle, else within a share of one of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

#: Of one processor, for all that the console does: on two full ones this is what costs a node 4 % of its pictures.
MAX_SHARE = 0.08
#: A page that was just opened has cost much: a click on a picture that stands for long is on one that the node forgot.
_LONGEST_S = 0.5
#: Below this part of idle time somebody waits for a processor now and then: the kernel's accounts are that coarse.
_IDLE_ENOUGH = 0.1


class Idleness:
    """How much of the machine's processors was idle lately.

    Args:
        accounts: The kernel's, `/proc/stat` (proc(5)); where there are none the machine counts as idle.
        every_s: Seconds between looks; the kernel counts in hundredths.
    """

    def __init__(self, accounts: Path = Path("/proc/stat"), every_s: float = 0.5) -> None:
        self._accounts, self._every_s = accounts, every_s
        self._last = self._read()
        self._looked_s = time.monotonic()
        self._idle = 1.0

    def share(self) -> float:
        """Idle part of the time before the last look, 0 to 1."""
        if (now_s := time.monotonic()) - self._looked_s >= self._every_s:
            idle, whole = self._read()
            passed = whole - self._last[1]
            self._idle = (idle - self._last[0]) / passed if passed > 0 else 1.0
            self._last, self._looked_s = (idle, whole), now_s
        return self._idle

    def _read(self) -> tuple[int, int]:
        try:
            counts = [int(word) for word in self._accounts.read_text().split("\n", 1)[0].split()[1:9]]
            return counts[3] + counts[4], sum(counts)
        except (OSError, ValueError, IndexError):
            return 0, 0


class Pace:
    """When the next picture of a camera is due.

    Args:
        max_rate_hz: Pictures a second at most.
        idle: Idle part of the machine's processors.
        spent_s: Processor time that the console has used, seconds.
    """

    def __init__(
        self,
        max_rate_hz: float,
        idle: Callable[[], float] | None = None,
        spent_s: Callable[[], float] = time.process_time,
    ) -> None:
        self._period_s, self._spent_s = 1.0 / max_rate_hz, spent_s
        self._idle = Idleness().share if idle is None else idle
        self._spent_then_s = spent_s()
        self._due_s = time.monotonic()

    def wait_s(self) -> float:
        """Seconds until the next picture is due."""
        return max(0.0, self._due_s - time.monotonic())

    def shown(self) -> None:
        """A picture goes out now."""
        now_s, spent_s = time.monotonic(), self._spent_s()
        period_s = self._period_s
        if self._idle() < _IDLE_ENOUGH:
            wanted_s = min((spent_s - self._spent_then_s) / MAX_SHARE, _LONGEST_S)
            period_s = max(period_s, wanted_s)
        self._spent_then_s = spent_s
        # half a period of credit: a camera of just that rate, which trembles, loses no picture
        self._due_s = max(self._due_s, now_s - 0.5 * self._period_s) + period_s
