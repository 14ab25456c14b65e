# SPDX-License-Identifier: Apache-2.0
"""Where a target's last mask lies in a new picture when the camera moves: carried by the optical flow between the two.

A mask as memory tells the model where to look. When a camera turns quickly the last one lies beside the object, and the
model answers with what is there now. Carried along, it lies on the object again. What the flow says is only asked with,
never shown: the model decides what it sees. Before a camera that stands still masks stay where they are: what moves
there may be an arm in front of the object, and its flow would take the mask along.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from seem_ros.perception.tracking.target import Place

SCALE = 2  # of the small pictures, for the flow: its patches of 8 pixels would be as large as many objects
FINEST = 1  # the flow's finest level, 0 = all pixels; one step finer than the preset's, for things of a few cells
STILL = 3  # of 255: the camera stands still where three quarters of the picture changed by less; cheaper than the flow
MOST = 75  # percent
TURNS = 0.25  # cells that half of the picture moves by, from which it is the camera that moves
QUICK = 2.0  # cells: what the search does not surely reach from where things were


class PictureMotion:
    """How a camera moved from earlier pictures to this one; the flow is computed once per earlier picture.

    Args:
        picture: uint8 [h4, w4, 3], the new small picture.
    """

    def __init__(self, picture: np.ndarray) -> None:
        self._picture = picture
        self._sources: list[tuple[np.ndarray, tuple[np.ndarray, np.ndarray] | None]] = []

    def moved(self, place: Place) -> Place:
        """A place of an earlier picture as it lies in this one, mask, logits and box; its ``picture`` stays.

        Args:
            place: Where an object was.

        Returns:
            The place itself where the camera stands still, the pictures do not fit together, it has left the picture,
            or the flow explains this picture no better there than none.
        """
        source = self._source(place.picture)
        if source is None or not place.mask.any():
            return place
        logits = _carried(place.mask_logits, source)
        mask = logits > 0
        if not mask.any():
            return place
        stayed = cv2.absdiff(place.picture, self._picture)[place.mask].mean()
        if cv2.absdiff(_carried(place.picture, source), self._picture)[mask].mean() > stayed:
            return place
        return replace(place, mask_logits=logits, mask=mask, box=place.box + _extent(mask) - _extent(place.mask))

    def _source(self, before: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """For every cell of this picture its x and y in an earlier one, float32 [h4, w4] each; None = the same."""
        for known, source in self._sources:
            if known is before:
                return source
        self._sources.append((before, self._flow(before)))
        return self._sources[-1][1]

    def _flow(self, before: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Where everything was in an earlier picture, searched from there and from where a quick camera had it."""
        if before.shape != self._picture.shape:
            return None
        if np.percentile(cv2.absdiff(before, self._picture), MOST) < STILL:
            return None
        now, then = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (self._picture, before))
        sources = [_searched(now, then, (0.0, 0.0))]
        shift = _camera_shift(now, then)
        if np.hypot(*shift) > QUICK:
            sources.append(_searched(now, then, shift))
        best = min(sources, key=lambda source: cv2.absdiff(_carried(before, source), self._picture).mean())
        return best if np.median(np.hypot(*np.subtract(best, _cells(before.shape[:2])))) >= TURNS else None


def _searched(now: np.ndarray, then: np.ndarray, start_xy: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Dense inverse search (Kroeger et al., ECCV 2016) in two grey pictures, from one shift, cells, for all."""
    height, width = now.shape
    first, second = (cv2.resize(grey, (SCALE * width, SCALE * height)) for grey in (now, then))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(FINEST)
    start = np.full((*first.shape, 2), np.multiply(start_xy, SCALE), np.float32)
    flow = cv2.resize(search.calc(first, second, start), (width, height), interpolation=cv2.INTER_AREA) / SCALE
    columns, rows = _cells((height, width))
    return columns + flow[..., 0], rows + flow[..., 1]


def _cells(size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Every cell's x and y, float32 [h, w] each."""
    columns, rows = np.meshgrid(np.arange(size_hw[1], dtype=np.float32), np.arange(size_hw[0], dtype=np.float32))
    return columns, rows


def _camera_shift(now: np.ndarray, then: np.ndarray) -> tuple[float, float]:
    """The shift x, y, cells, from one grey picture to an earlier one: phase correlation (Kuglin and Hines, 1975)."""
    window = cv2.createHanningWindow(now.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(now.astype(np.float32), then.astype(np.float32), window)
    return x, y


def _carried(values: np.ndarray, source: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Values [h4, w4, ...] of the earlier picture where they lie by now."""
    return cv2.remap(values, *source, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _extent(mask: np.ndarray) -> np.ndarray:
    """x0, y0, x1, y1 of a mask bool [h, w] that is not empty, one past the last cell, float64."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
