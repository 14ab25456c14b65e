# SPDX-License-Identifier: Apache-2.0
"""Where a target's last mask lies in a new picture when the camera moves: carried by the optical flow between the two.

A mask as memory tells the model where to look. When a camera turns quickly the last one lies beside the object, and the
model answers with what is there now. Carried along, it lies on the object again. What the flow says is only asked with,
never shown: the model decides what it sees. Before a camera that stands still masks stay where they are: what moves
there may be an arm in front of the object, and its flow would take the mask along.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from seem_ros.perception.prompting.rasterize import region_extent
from seem_ros.perception.tracking.target import Place

SCALE = 2  # of the small pictures, for the flow: its patches of 8 pixels would be as large as many objects
FINEST = 1  # the flow's finest level, 0 = all pixels; one step finer than the preset's, for things of a few cells
STILL = 3  # of 255: the camera stands still where three quarters of the picture changed by less; cheaper than the flow
MOST = 75  # percent
TURNS = 0.25  # cells that half of the picture moves by, from which it is the camera that moves
QUICK = 2.0  # cells: what the search does not surely reach from where things were


@dataclass(frozen=True, eq=False)
class _Carry:
    """How an earlier picture lies in a new one.

    Attributes:
        source: For every cell of the new picture its x and y in the earlier one, float32 [h4, w4] each.
        moved, stayed: How far the new picture is from the earlier one so moved, and from that as it was, uint8
            [h4, w4, 3].
    """

    source: tuple[np.ndarray, np.ndarray]
    moved: np.ndarray
    stayed: np.ndarray


class PictureMotion:
    """How a camera moved from earlier pictures to this one; computed once per earlier picture, whoever was seen in it.

    Args:
        picture: uint8 [h4, w4, 3], the new small picture.
    """

    def __init__(self, picture: np.ndarray) -> None:
        self._picture = picture
        self._carries: list[tuple[np.ndarray, _Carry | None]] = []

    def moved(self, place: Place) -> Place:
        """A place of an earlier picture as it lies in this one, mask, logits and box; its ``picture`` stays.

        Args:
            place: Where an object was.

        Returns:
            The place itself where the camera stands still, the pictures do not fit together, it has left the picture,
            or the flow explains this picture no better there than none.
        """
        carry = self._carry(place.picture)
        if carry is None or not place.mask.any():
            return place
        logits = _carried(place.mask_logits, carry.source)
        mask = logits > 0
        if not mask.any() or carry.moved[mask].mean() > carry.stayed[place.mask].mean():
            return place
        way = region_extent(mask) - region_extent(place.mask)
        return replace(place, mask_logits=logits, mask=mask, box=place.box + way)

    def _carry(self, before: np.ndarray) -> _Carry | None:
        for known, carry in self._carries:
            if known is before:
                return carry
        self._carries.append((before, self._compared(before)))
        return self._carries[-1][1]

    def _compared(self, before: np.ndarray) -> _Carry | None:
        """How an earlier picture lies in this one; None where the camera stood still or they do not fit."""
        if before.shape != self._picture.shape:
            return None
        stayed = cv2.absdiff(before, self._picture)
        if np.percentile(stayed, MOST) < STILL:
            return None
        now, then = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (self._picture, before))
        shift = camera_shift(now, then)
        starts = [(0.0, 0.0), shift] if np.hypot(*shift) > QUICK else [(0.0, 0.0)]
        carries = [
            _Carry(source, cv2.absdiff(_carried(before, source), self._picture), stayed)
            for source in _searched(now, then, starts)
        ]
        best = min(carries, key=lambda one: one.moved.mean())
        return best if np.median(np.hypot(*np.subtract(best.source, _cells(now.shape)))) >= TURNS else None


def _searched(
    now: np.ndarray, then: np.ndarray, starts_xy: Sequence[tuple[float, float]]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Dense inverse search (Kroeger et al., ECCV 2016) in two grey pictures, from one shift, cells, for all, each."""
    height, width = now.shape
    first, second = (cv2.resize(grey, (SCALE * width, SCALE * height)) for grey in (now, then))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(FINEST)
    columns, rows = _cells(now.shape)
    for start_xy in starts_xy:
        start = np.full((*first.shape, 2), np.multiply(start_xy, SCALE), np.float32)
        flow = cv2.resize(search.calc(first, second, start), (width, height), interpolation=cv2.INTER_AREA) / SCALE
        yield columns + flow[..., 0], rows + flow[..., 1]


def _cells(size_hw: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Every cell's x and y, float32 [h, w] each."""
    columns, rows = np.meshgrid(np.arange(size_hw[1], dtype=np.float32), np.arange(size_hw[0], dtype=np.float32))
    return columns, rows


def camera_shift(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The shift x, y, cells, from one grey picture to another: phase correlation (Kuglin and Hines, 1975)."""
    window = cv2.createHanningWindow(first.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(first.astype(np.float32), second.astype(np.float32), window)
    return x, y


def differences(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """How far every cell of a picture is from what an earlier one shows there, grey levels.

    The camera's shift between the two is taken out where that explains them better than no shift at all.

    Args:
        before, now: uint8 [h4, w4, 3].

    Returns:
        uint8 [h4, w4, 3].
    """
    dx, dy = camera_shift(*(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (before, now)))
    options = [before]
    if np.hypot(dx, dy) >= 0.5:
        shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        options.append(cv2.warpAffine(before, shift, before.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))
    return min((cv2.absdiff(option, now) for option in options), key=lambda error: float(np.median(error)))


def _carried(values: np.ndarray, source: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Values [h4, w4, ...] of the earlier picture where they lie by now."""
    return cv2.remap(values, *source, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
