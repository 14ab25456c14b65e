# SPDX-License-Identifier: Apache-2.0
"""What a camera's frames cost and what became of them: bounded, thread-safe, for /diagnostics and the benches."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

WINDOW = 300
STAGES = ("convert", "encode", "decode", "find", "panoptic", "messages", "overlay", "total", "latency")


class Statistics:
    """Times per stage over the last frames, and counts since the start.

    Stages: convert (message to picture), encode, decode (masks at source size included), find, panoptic, messages
    (label image and records, published), overlay, total (all of them), latency (arrival of the image to publication).
    A frame in which nothing has moved is not encoded; what is encoded within another stage does not count there again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times_s: dict[str, deque[float]] = {stage: deque(maxlen=WINDOW) for stage in STAGES}
        self._published_s: deque[float] = deque(maxlen=WINDOW)
        self._counts: Counter[str] = Counter()
        self._inner = threading.local()  # seconds of the stages inside the one that runs

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside, without the stages in there."""
        before, self._inner.seconds = getattr(self._inner, "seconds", 0.0), 0.0
        begin = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - begin
            self.took(name, seconds - self._inner.seconds)
            self._inner.seconds = before + seconds

    def took(self, name: str, seconds: float) -> None:
        """Note a duration."""
        with self._lock:
            self._times_s[name].append(seconds)

    def count(self, name: str, by: int = 1) -> None:
        """Note an event."""
        with self._lock:
            self._counts[name] += by

    def published(self) -> None:
        """A frame's results went out."""
        with self._lock:
            self._published_s.append(time.monotonic())
            self._counts["published"] += 1

    def rate_hz(self) -> float:
        """Frames published per second over the last two seconds."""
        now = time.monotonic()
        with self._lock:
            recent = [at for at in self._published_s if now - at <= 2.0]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 and recent[-1] > recent[0] else 0.0

    def counts(self) -> dict[str, int]:
        """Events so far."""
        with self._lock:
            return dict(self._counts)

    def milliseconds(self) -> dict[str, tuple[float, float, float]]:
        """Median, 95th and 99th percentile per stage that ran, in milliseconds."""
        with self._lock:
            kept = {stage: list(times) for stage, times in self._times_s.items() if times}
        found = {}
        for stage, times in kept.items():
            median, p95, p99 = 1e3 * np.percentile(times, (50, 95, 99))
            found[stage] = float(median), float(p95), float(p99)
        return found
