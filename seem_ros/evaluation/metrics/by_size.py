# SPDX-License-Identifier: Apache-2.0
"""Results by object size: an average hides that small things fail."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

# Shares of the picture's area. In a 256x192 picture these are about 200 and 600 pixels; unlike COCO's absolute 32^2
# and 96^2 pixels they mean the same at every resolution.
SMALL_BELOW = 0.004
LARGE_FROM = 0.012
STRATA = ("small", "medium", "large")


def size_stratum(truth: np.ndarray) -> str:
    """ "small", "medium" or "large" for a bool [H, W] mask, by its share of the picture."""
    share = np.count_nonzero(truth) / truth.size
    return "small" if share < SMALL_BELOW else "medium" if share < LARGE_FROM else "large"


class SizedMean:
    """A mean of values, overall and per object size."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = defaultdict(list)

    def add(self, value: float, truth: np.ndarray) -> None:
        """Count a value for the object with this true mask (bool [H, W])."""
        self._values[size_stratum(truth)].append(float(value))

    @property
    def values(self) -> list[float]:
        """All values, grouped by size."""
        return [value for name in STRATA for value in self._values[name]]

    def summary(self) -> dict[str, float]:
        """ "all", and each stratum that occurs, with counts ("n", "n_small", ...); NaN overall when empty."""
        values = self.values
        result: dict[str, float] = {"all": float(np.mean(values)) if values else float("nan"), "n": len(values)}
        for name in STRATA:
            if self._values[name]:
                result |= {name: float(np.mean(self._values[name])), f"n_{name}": len(self._values[name])}
        return result
