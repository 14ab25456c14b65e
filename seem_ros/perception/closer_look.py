# SPDX-License-Identifier: Apache-2.0
"""A second look at a small thing from nearer: what is pointed at surely is cut out, asked about again, and both agree.

The network sees a picture at one size, in which a small thing has few pixels. A box, or several clicks, say where it is
and how large, so a window around it can be looked at by itself; the mean of both masks' logits is better than either
one alone (figures: models/lite.card.yaml). One click says nothing about the size, and stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from seem_ros.perception.prompting.rasterize import region_extent
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.letterbox import Geometry
from seem_ros.perception.structures.prompts import Prompt

MARGIN = 2.0  # the window's side against the thing's: less cuts off what it is told from
FEWEST_CLICKS = 3
# A window of fewer pixels than that part of the network's input is blown up so much that nothing new is seen.
_LEAST_SHARE = 0.5
_SURE = 12.0  # logits beyond this are as sure as it gets, and would outvote the other look


@dataclass(frozen=True)
class Window:
    """A part of a picture, whole source pixels.

    Attributes:
        x0, y0: First column and row.
        x1, y1: Last column and row + 1.
    """

    x0: int
    y0: int
    x1: int
    y1: int

    def cut(self, frame: Frame) -> Frame:
        """The part as a picture of its own."""
        return Frame(np.ascontiguousarray(frame.rgb[self.y0 : self.y1, self.x0 : self.x1]))

    def inside(self, prompt: Prompt) -> Prompt:
        """A prompt of clicks and boxes on the picture, on the part."""
        clicks = tuple(replace(one, x=one.x - self.x0, y=one.y - self.y0) for one in prompt.clicks)
        boxes = tuple(
            replace(one, x0=one.x0 - self.x0, y0=one.y0 - self.y0, x1=one.x1 - self.x0, y1=one.y1 - self.y0)
            for one in prompt.boxes
        )
        return replace(prompt, clicks=clicks, boxes=boxes)


def window_of(prompt: Prompt, logits: np.ndarray, geometry: Geometry, stride: int, least_gain: float) -> Window | None:
    """The part of a picture that is worth a closer look.

    Args:
        prompt: What was asked.
        logits: float32 [hm, wm], the mask of the first look.
        geometry: Of the picture.
        stride: The model's mask stride, pixels of the network's picture.
        least_gain: How many times larger the thing must be seen.

    Returns:
        None where the prompt does not say surely where and how large the thing is, or it is large enough already.
    """
    is_sure = bool(prompt.boxes) or len(prompt.clicks) >= FEWEST_CLICKS
    if not is_sure or not prompt.has_only((*prompt.clicks, *prompt.boxes)):
        return None
    mask = logits > 0
    if not mask.any():
        return None
    corners = [
        *geometry.to_source(region_extent(mask).reshape(2, 2) * stride),
        *((one.x, one.y) for one in prompt.clicks),
        *(corner for one in prompt.boxes for corner in ((one.x0, one.y0), (one.x1, one.y1))),
    ]
    (left, top), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
    (height, width), (network_h, network_w) = geometry.source_hw, geometry.network_hw
    aspect = network_w / network_h
    wide = max(max(right - left, (bottom - top) * aspect) * MARGIN, network_w * _LEAST_SHARE)
    if max(width, height * aspect) < least_gain * wide:
        return None
    wide, tall = min(wide, width), min(wide / aspect, height)
    x0 = round(float(np.clip((left + right - wide) / 2, 0, width - wide)))
    y0 = round(float(np.clip((top + bottom - tall) / 2, 0, height - tall)))
    return Window(x0, y0, round(x0 + wide), round(y0 + tall))


def agreed(
    first: np.ndarray, closer: np.ndarray, window: Window, geometry: Geometry, nearer: Geometry, stride: int
) -> np.ndarray:
    """What both looks say together.

    Args:
        first: float32 [hm, wm] logits on the picture's grid.
        closer: float32 [hm, wm] logits on the window's grid.
        window: Of the closer look.
        geometry: Of the picture.
        nearer: Of the window.
        stride: The model's mask stride, pixels of the network's picture.

    Returns:
        float32 [hm, wm] on the picture's grid; outside the window the closer look says no.
    """
    # the middle of cell c of the picture, in cells of the window: from cells to source pixels and back
    zoom = np.array(nearer.scale_xy) / geometry.scale_xy
    shift = (0.5 * stride / np.array(geometry.scale_xy) - (window.x0, window.y0)) * nearer.scale_xy / stride - 0.5
    seen = np.clip(closer, -_SURE, _SURE)
    cells = max(round(float(zoom.mean())), 1)
    if cells > 1:  # each cell of the picture stands for so many of the window's
        seen = cv2.blur(seen, (cells, cells))
    matrix = np.array([[zoom[0], 0, shift[0]], [0, zoom[1], shift[1]]], np.float32)
    moved = cv2.warpAffine(
        seen, matrix, first.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=-_SURE
    )
    return (np.clip(first, -_SURE, _SURE) + moved) / 2
