# SPDX-License-Identifier: Apache-2.0
"""How fast a target's mask may grow: an object does not become half as large again from one frame to the next.

Where two objects of one colour touch, a mask may run over into the neighbour. A mask that has suddenly grown is cut to
the surroundings of the last one. What comes nearer grows all around, and what comes into the picture grows at its rim;
what grows to one side only is running over, and is cut so far back that it cannot creep on from frame to frame.
"""

from __future__ import annotations

import cv2
import numpy as np

from seem_ros.perception.masks.upsample import take_away
from seem_ros.perception.tracking.target import Place, Target

MAX_GROWTH, MAX_SIDE_GROWTH = 1.5, 1.3  # of a mask's usual area from one frame to the next: all around, to one side
REACH = 0.1  # of the object's diagonal: how far beyond its last mask it may be
SIDE_GROWTH = 1.15  # of the usual area: what a mask that grows to one side is cut to; less would cut movement off
#: Length of the mean direction of what is new, 0 = all around, 1 = one side. A disc beside a disc of its size that it
#: touches lies in directions of mean length 0.97; what a square gains when it grows around one of its corners in 0.73.
ONE_SIDE = 0.85


def limit_growth(target: Target, mask_logits: np.ndarray, memory_mask: np.ndarray) -> None:
    """Cuts a mask back that has suddenly grown, in place.

    The usual area does not shrink while something hides the target, so that coming out again is no growth.

    Args:
        target: Whose mask it is.
        mask_logits: float32 [hm, wm].
        memory_mask: float32 [h4, w4].
    """
    target.held_back = False
    place = target.place
    if place is None or place.mask.shape != memory_mask.shape:
        return
    area, grown = np.count_nonzero(mask_logits > 0), memory_mask > 0
    if area <= MAX_SIDE_GROWTH * target.area:
        return
    if np.count_nonzero(place.mask & grown) < 0.5 * np.count_nonzero(place.mask):
        return  # it is somewhere else: that is judged by the rules of association
    target.held_back = _grows_to_one_side(place, grown)
    if area <= MAX_GROWTH * target.area and not target.held_back:
        return
    away = cv2.distanceTransform((~place.mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    reach = max(1.0, REACH * place.diagonal)
    if target.held_back:
        usual = target.area * memory_mask.size / mask_logits.size
        beyond = np.sort(away[grown])[int(SIDE_GROWTH * usual) :]
        if len(beyond):
            reach = min(reach, float(beyond[0]))
    near = (away <= reach).astype(np.uint8)
    for logits in (mask_logits, memory_mask):
        allowed = cv2.resize(near, logits.shape[::-1], interpolation=cv2.INTER_NEAREST).view(np.bool_)
        take_away(logits, ~allowed & (logits > 0))


def _grows_to_one_side(place: Place, grown: np.ndarray) -> bool:
    """Whether what is new of a mask, bool [h4, w4], lies in one direction, and the object not at the picture's rim."""
    last = place.mask
    if last[[0, -1]].any() or last[:, [0, -1]].any():
        return False
    rows, columns = np.nonzero(grown & ~last)
    if not len(rows):
        return False
    middle = np.argwhere(last).mean(axis=0)
    way = np.stack((rows, columns), axis=1) - middle
    way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6)
    return float(np.linalg.norm(way.mean(axis=0))) > ONE_SIDE
