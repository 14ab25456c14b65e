# SPDX-License-Identifier: Apache-2.0
"""Deep pixels (16 bits, floating point) to 8 bits, by what the picture holds.

A 12-bit sensor fills the lowest sixteenth of a 16-bit pixel and a thermal camera a narrow band somewhere in it: taking
the upper byte makes both black. So the range between two percentiles is spread, and followed slowly, so that a still
scene with noise stays as bright as it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# Of the pixels, half a percent at either end may be hot pixels or glints.
_PERCENTILES = (0.5, 99.5)
# Beyond the percentiles: what is brighter or darker than nearly all keeps its shades, and new objects have room.
_MARGIN = 0.1
# Of the range: percentiles of a noisy still scene move by less than this, and the scale stands still.
_DEAD_BAND = 0.06
# Of the difference per picture: one step of it at the edge of the dead band moves grey levels by 255 * 0.06 * 0.1 < 2.
_RATE = 0.1
# Of the range: a larger difference is another scene, not a change in this one.
_OTHER_SCENE = 0.5
# Pixels looked at; percentiles of more are no steadier.
_SAMPLES = 20_000
# Least range that is spread, in counts: below it a covered lens would become a picture of its noise.
_LEAST_COUNTS = 64.0
# A picture that reaches this high and this far uses its 16 bits, and its upper byte is its 8-bit version.
_FULL_HIGH, _FULL_WIDTH = 0x8000, 0x4000


@dataclass(frozen=True)
class GreyScale:
    """The linear way from deep pixel values to 8 bits.

    Attributes:
        low: Value that becomes 0.
        high: Value that becomes 255; above ``low``.
        upper_byte: 16-bit pixels fill their range: their upper byte is taken; ``low`` and ``high`` only describe it.
    """

    low: float
    high: float
    upper_byte: bool = False

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """The pixels (uint16 or floating point, any shape) as uint8; NaN becomes 0."""
        if self.upper_byte:
            return (pixels >> 8).astype(np.uint8)
        if pixels.dtype == np.uint16:
            return self._of(np.arange(65536, dtype=np.float32))[pixels]
        return self._of(pixels)

    def _of(self, values: np.ndarray) -> np.ndarray:
        grey = (values - np.float32(self.low)) * np.float32(255.0 / (self.high - self.low))
        return np.clip(np.nan_to_num(grey, nan=0.0) + 0.5, 0, 255).astype(np.uint8)

    def __str__(self) -> str:
        return "upper byte of 16 bits" if self.upper_byte else f"values {self.low:.6g} to {self.high:.6g}"


def measure(pixels: np.ndarray, before: GreyScale | None = None) -> GreyScale:
    """The scale for a picture, near to the one of the picture before.

    Args:
        pixels: uint16 or floating point [H, W] or [H, W, C].
        before: Of the camera's last picture; None = there is none.
    """
    flat = pixels.reshape(-1)
    sample = flat[:: max(1, len(flat) // _SAMPLES)]
    deep_integer = pixels.dtype == np.uint16
    if not deep_integer:
        sample = sample[np.isfinite(sample)]
    if not len(sample):
        return before or GreyScale(0.0, 1.0)
    low, high = (float(value) for value in np.percentile(sample, _PERCENTILES))
    if deep_integer and _fills_16_bits(low, high, before):
        return GreyScale(0.0, 65535.0, upper_byte=True)
    least = _LEAST_COUNTS if deep_integer else max(1e-3 * abs(high), 1e-6)
    margin = _MARGIN * max(high - low, least)
    low, high = low - margin, high + margin
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    if deep_integer:
        low = max(low, 0.0)
    return _followed(before, GreyScale(low, high))


def _fills_16_bits(low: float, high: float, before: GreyScale | None) -> bool:
    # half of either bound once it is so: a scene at the edge must not flicker between two scales
    ease = 0.5 if before is not None and before.upper_byte else 1.0
    return high >= _FULL_HIGH * ease and high - low >= _FULL_WIDTH * ease


def _followed(before: GreyScale | None, now: GreyScale) -> GreyScale:
    if before is None or before.upper_byte:
        return now
    off = max(abs(now.low - before.low), abs(now.high - before.high)) / (before.high - before.low)
    if off <= _DEAD_BAND:
        return before
    if off > _OTHER_SCENE or not math.isfinite(off):
        return now
    return GreyScale(
        before.low + _RATE * (now.low - before.low),
        before.high + _RATE * (now.high - before.high),
    )
