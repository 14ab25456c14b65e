# SPDX-License-Identifier: Apache-2.0
"""Any number of prompts on graphs that exist for a few prompt counts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

# On the built-in model and two cores: what a call costs beyond its rows, in prompts, and how much longer calls beside
# each other take.
_CALL_COST = 1.5
_BESIDE = 1.2


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


def plan_at_once(count: int, buckets: tuple[int, ...], at_once: int) -> tuple[tuple[int, ...], ...]:
    """The calls of each of several workers that answer prompts at the same time, so that the last is done soonest.

    Args:
        count: Prompts to answer.
        buckets: Prompt counts with a graph, ascending.
        at_once: Workers, at least 1; no more are used than help.

    Returns:
        For each worker its calls, as `plan_calls` gives them; empty for no prompts.
    """
    best: tuple[tuple[int, ...], ...] = ()
    least = float("inf")
    for workers in range(1, min(at_once, count) + 1):
        shares = [count // workers + (k < count % workers) for k in range(workers)]
        plans = tuple(plan_calls(share, buckets) for share in shares)
        longest = max(sum(calls) + _CALL_COST * len(calls) for calls in plans) * (_BESIDE if workers > 1 else 1.0)
        if longest < least:
            best, least = plans, longest
    return best


def spans(count: int, calls: Sequence[int]) -> list[tuple[int, int, int]]:
    """Start, stop and bucket of every call of a plan."""
    found, start = [], 0
    for bucket in calls:
        stop = min(count, start + bucket)
        found.append((start, stop, bucket))
        start = stop
    return found
