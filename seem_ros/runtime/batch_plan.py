# SPDX-License-Identifier: Apache-2.0
"""Any number of prompts on graphs that exist for a few prompt counts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

_CALL_COST = 0.5  # of one prompt: what another call costs beyond its rows


@lru_cache(maxsize=256)
def plan_calls(count: int, buckets: tuple[int, ...]) -> tuple[int, ...]:
    """Which graphs to call for ``count`` prompts, largest first, so that rows and calls together cost least.

    Args:
        count: Prompts to answer.
        buckets: Prompt counts with a graph, ascending.

    Returns:
        Bucket sizes whose sum is at least ``count``; empty for no prompts.
    """
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for n in range(1, count + 1):
        options: list[tuple[float, tuple[int, ...]]] = []
        for bucket in buckets:
            cost, calls = best[max(0, n - bucket)]
            options.append((cost + bucket + _CALL_COST, (bucket, *calls)))
        best.append(min(options, key=lambda o: (o[0], len(o[1]))))
    return tuple(sorted(best[count][1], reverse=True))


def spans(count: int, calls: Sequence[int]) -> list[tuple[int, int, int]]:
    """Start, stop and bucket of every call of a plan."""
    found, start = [], 0
    for bucket in calls:
        stop = min(count, start + bucket)
        found.append((start, stop, bucket))
        start = stop
    return found
