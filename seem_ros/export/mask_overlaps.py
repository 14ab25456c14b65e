# SPDX-License-Identifier: Apache-2.0
"""How far rounding moves the masks that a user would get: clicks and boxes on what the float model is sure of.

Prompts go the product's own way, with all that it says about a click beside the point. Where the float model has no one
answer (a wall's texture) masks flip by rounding of any kind, bfloat16 included: that says more of the click than of the
rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from seem_ros.perception.masks.overlap import overlap
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Box, Click, Prompt

_SPECK = 0.002  # of the picture: what is smaller is a few cells of the mask, and their edge is all there is of them
_SAME = 0.5  # overlap from which two masks are of one thing, as everywhere in segmentation


def mask_overlaps(plain: Segmenter, rounded: Segmenter, frames: Iterable[Frame]) -> list[float]:
    """IoU of two models' masks, for a click in the middle of each thing and a box round it.

    Args:
        plain: Says what the things are: where both prompts give it the same mask.
        rounded: Is compared with it.
        frames: Pictures.

    Returns:
        Two numbers for each thing, of clicks and of boxes; none where ``plain`` is sure of nothing.
    """
    return [one for frame in frames for one in _overlaps(plain, rounded, frame)]


def _overlaps(plain: Segmenter, rounded: Segmenter, frame: Frame) -> list[float]:
    grid = itertools.product(np.linspace(0.2, 0.8, 4) * frame.width, np.linspace(0.25, 0.75, 3) * frame.height)
    found = _masks(plain, frame, [Prompt(clicks=(Click(float(x), float(y)),)) for x, y in grid])
    found = [mask for mask in found if np.count_nonzero(mask) >= _SPECK * mask.size]
    if not found:
        return []
    clicks = [Prompt(clicks=(_middle(mask),)) for mask in found]
    boxes = [Prompt(boxes=(_box(mask),)) for mask in found]
    wanted = [_masks(plain, frame, prompts) for prompts in (clicks, boxes)]
    things = [i for i, masks in enumerate(zip(*wanted, strict=True)) if overlap(*masks) >= _SAME]
    answers = [_masks(rounded, frame, prompts) for prompts in (clicks, boxes)]
    return [overlap(w[i], a[i]) for w, a in zip(wanted, answers, strict=True) for i in things]


def _masks(segmenter: Segmenter, frame: Frame, prompts: Sequence[Prompt]) -> list[np.ndarray]:
    """Masks of prompts, each on its own; empty where nothing is found."""
    return [answer.mask & answer.found for answer in segmenter.predict(prompts, frame)]


def _middle(mask: np.ndarray) -> Click:
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    return Click(float(x) + 0.5, float(y) + 0.5)


def _box(mask: np.ndarray) -> Box:
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return Box(float(x), float(y), float(x + width), float(y + height))
