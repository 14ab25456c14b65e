# SPDX-License-Identifier: Apache-2.0
"""What a target's mask may take in: an object does not become half as large again from one frame to the next.

A mask may run over into a neighbour, first of all when its object comes out from behind something, and then memory
holds it there. Two rules cut it back:

1. Neighbours. Of a mask that has grown, or whose object comes back and has not proven itself, those parts go that lie
   apart from where the object was seen, and those beside that place which looked the same then, though they were not
   the object, and have none of its colours.
2. Sudden growth. Where two objects of one colour touch there is no such sign: the mask is cut to the surroundings of
   the last one. What comes nearer grows all around, and what comes into the picture grows at its rim; what grows to one
   side only is running over, and is cut so far back that it cannot creep on from frame to frame.
"""

from __future__ import annotations

import cv2
import numpy as np

from seem_ros.perception.masks.upsample import take_away
from seem_ros.perception.tracking.motion import differences
from seem_ros.perception.tracking.target import Place, Target, TargetState

MAX_GROWTH, MAX_SIDE_GROWTH = 1.5, 1.3  # of a mask's usual area from one frame to the next: all around, to one side
REACH = 0.1  # of the object's diagonal: how far beyond its last mask it may be
SIDE_GROWTH = 1.15  # of the usual area: what a mask that grows to one side is cut to; less would cut movement off
#: Length of the mean direction of what is new, 0 = all around, 1 = one side. A disc beside a disc of its size that it
#: touches lies in directions of mean length 0.97; what a square gains when it grows around one of its corners in 0.73.
ONE_SIDE = 0.85
OWN = 0.25  # of an answer must lie where the target was: else it is another object, not one more beside the target
COLOURS = 64  # of an object are compared: more take longer and tell no more


def limit_growth(
    target: Target, mask_logits: np.ndarray, memory_mask: np.ndarray, picture: np.ndarray, unchanged_difference: float
) -> None:
    """Cuts a mask back that has run over, in place.

    The usual area does not shrink while something hides the target, so that coming out again is no growth.

    Args:
        target: Whose mask it is.
        mask_logits: float32 [hm, wm].
        memory_mask: float32 [h4, w4].
        picture: uint8 [h4, w4, 3], what the mask is of.
        unchanged_difference: Mean grey-level change below which a cell shows what it showed before, and difference of
            colour below which two are one.
    """
    target.held_back = False
    comes_back = target.state is not TargetState.TRACKED or target.unproven > 0
    if not comes_back and np.count_nonzero(mask_logits > 0) <= MAX_SIDE_GROWTH * target.area:
        return
    base = target.sure if comes_back else target.place
    if base is not None:
        _cut_neighbours(base, mask_logits, memory_mask, picture, unchanged_difference)
    _cut_sudden_growth(target, mask_logits, memory_mask)


def _cut_neighbours(
    base: Place, mask_logits: np.ndarray, memory_mask: np.ndarray, picture: np.ndarray, difference: float
) -> None:
    """Rule 1, by where the target was seen before."""
    grown = memory_mask > 0
    if base.mask.shape != grown.shape or base.picture.shape != picture.shape:
        return
    if np.count_nonzero(grown & base.mask) < OWN * np.count_nonzero(grown):
        return
    beside = grown & ~base.mask
    beside &= cv2.blur(differences(base.picture, picture).mean(axis=2), (3, 3)) < difference
    beside[beside] = ~_looks_like(base, picture[beside], difference)
    _, parts = cv2.connectedComponents(grown.view(np.uint8))
    apart = grown & ~np.isin(parts, parts[grown & base.mask])
    _cut(apart | beside, mask_logits, memory_mask)


def _looks_like(place: Place, colours: np.ndarray, difference: float) -> np.ndarray:
    """Which of some colours, uint8 [N, 3], an object has, bool [N]."""
    inner = cv2.erode(place.mask.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
    own = place.picture[inner if inner.any() else place.mask].astype(np.int16)
    own = own[:: max(1, len(own) // COLOURS)]
    apart = np.abs(colours[:, None].astype(np.int16) - own[None]).mean(axis=2)
    return apart.min(axis=1) < difference


def _cut_sudden_growth(target: Target, mask_logits: np.ndarray, memory_mask: np.ndarray) -> None:
    """Rule 2."""
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
    _cut(away > reach, mask_logits, memory_mask)


def _cut(gone: np.ndarray, *masks: np.ndarray) -> None:
    """Takes cells, bool [h4, w4], away from masks of any size, in place."""
    for logits in masks:
        there = cv2.resize(gone.view(np.uint8), logits.shape[::-1], interpolation=cv2.INTER_NEAREST).view(np.bool_)
        take_away(logits, there & (logits > 0))


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
