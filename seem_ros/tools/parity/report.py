# SPDX-License-Identifier: Apache-2.0
"""Comparisons and their verdict.

The network decides by hard thresholds (attention masks, argmax), so a difference is judged by its distribution and
not by its largest value alone. Tolerances are for mask logits of standard deviation 12 and grow with a tensor's own
deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

MEDIAN = 1e-4
QUANTILE = 1e-3  # of the 99.9 % quantile
QUANTILE_LARGE = 5e-3  # the same for backbones larger than FocalNet-T
LARGEST = 2e-3
FLIP_MEDIAN = 1e-3  # where one attention threshold fell the other way, a few queries move, the rest stays
FLIP_LARGEST = 0.6
FLIP_SHARE = 0.05
SAME_PIXELS = 0.999
SAME_PANOPTIC = 0.995
LOGIT_DEVIATION = 12.0


@dataclass
class Line:
    """One comparison."""

    name: str
    ok: bool
    text: str
    largest: float = 0.0
    relative: float = 0.0
    pixels: float | None = None
    same_query: bool | None = None


@dataclass
class ParityReport:
    """All comparisons of one fixture.

    Attributes:
        fixture: its name.
        large: whether the larger backbones' tolerance applies.
        lines: the comparisons.
        notes: what was not compared, and why.
    """

    fixture: str
    large: bool = False
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def close(self, name: str, ours: np.ndarray, golden: np.ndarray) -> None:
        """Numbers that must agree up to rounding."""
        ours, golden = np.asarray(ours, np.float64), np.asarray(golden, np.float64)
        if ours.shape != golden.shape:
            self.lines.append(Line(name, False, f"shape {ours.shape} instead of {golden.shape}"))
            return
        if golden.size == 0:
            self.lines.append(Line(name, True, "empty"))
            return
        difference = np.abs(ours - golden)
        if not np.isfinite(difference).all():
            self.lines.append(Line(name, False, "not finite", float("inf"), float("inf")))
            return
        median, quantile, largest = np.median(difference), np.quantile(difference, 0.999), difference.max()
        scale = max(1.0, golden.std() / LOGIT_DEVIATION)
        limit = QUANTILE_LARGE if self.large else QUANTILE
        ok = median <= MEDIAN * scale and quantile <= limit * scale and largest <= max(LARGEST, limit) * scale
        flipped = False
        if not ok:
            moved = (difference > LARGEST * scale).mean()
            flipped = bool(median <= FLIP_MEDIAN * scale and largest <= FLIP_LARGEST * scale and moved <= FLIP_SHARE)
        text = f"median {median:.1e}  99.9% {quantile:.1e}  max {largest:.1e}" + ("  (threshold flip)" * flipped)
        relative = largest / max(np.abs(golden).max(), 1e-12)
        self.lines.append(Line(name, ok or flipped, text, float(largest), float(relative)))

    def same(self, name: str, ours: object, golden: object, query: bool = False) -> None:
        """Discrete values that must be equal: the chosen query, classes, token ids."""
        ok = bool(np.array_equal(np.asarray(ours), np.asarray(golden)))
        text = "equal" if ok else f"{_short(ours)} instead of {_short(golden)}"
        self.lines.append(Line(name, ok, text, same_query=ok if query else None))

    def mask(self, name: str, ours: np.ndarray, golden: np.ndarray, share: float = SAME_PIXELS) -> None:
        """Label or binary maps that must agree on nearly all pixels."""
        if ours.shape != golden.shape:
            self.lines.append(Line(name, False, f"shape {ours.shape} instead of {golden.shape}"))
            return
        equal = float((ours == golden).mean())
        self.lines.append(Line(name, equal >= share, f"{equal:.3%} of the pixels equal", pixels=equal))

    @property
    def ok(self) -> bool:
        """Whether everything is within the tolerances, and something was compared."""
        return bool(self.lines) and all(line.ok for line in self.lines)

    def summary(self) -> str:
        """The fixture in one line."""
        queries = [line.same_query for line in self.lines if line.same_query is not None]
        pixels = [line.pixels for line in self.lines if line.pixels is not None]
        flips = sum("threshold flip" in line.text for line in self.lines)
        parts = [
            f"{'ok  ' if self.ok else 'FAIL'} {self.fixture:32s}",
            f"max abs {max((line.largest for line in self.lines), default=0):.1e}",
            f"max rel {max((line.relative for line in self.lines), default=0):.1e}",
            f"same query {sum(queries)}/{len(queries)}" if queries else "same query -",
            f"worst mask {min(pixels):.3%}" if pixels else "worst mask -",
            f"{sum(line.ok for line in self.lines)}/{len(self.lines)} checks",
        ]
        if flips:
            parts.append(f"{flips} with a threshold flip")
        return "  ".join(parts)


def _short(values: object) -> str:
    text = np.array2string(np.asarray(values), threshold=6, separator=",")
    return text if len(text) < 80 else text[:77] + "..."
