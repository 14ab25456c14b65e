# SPDX-License-Identifier: Apache-2.0
"""The tight box around what is seen of an object, turned as the object lies."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import cv2
import numpy as np

from seem_ros.perception.structures.rigid_transform import quaternion_of

# a few wrong points at the outline must not stretch the box: the extent is taken between these percentiles
_LOW_PERCENTILE, _HIGH_PERCENTILE = 2.0, 98.0
MIN_POINTS = 12
_MAX_POINTS = 1024  # more say nothing new about the percentiles
# only points that are outermost in one of so many directions can touch a tight box
_DIRECTIONS = 64
_MAX_TURNS = 12  # descents that are still under way after so many turns gain less than a millimetre
_THINNEST_M = 0.002  # noise of a depth camera: thinner boxes are compared by their faces' area


@dataclass(frozen=True)
class OrientedBox:
    """A box of any orientation.

    What the camera does not see is not in it: the far side of an object is missing, so the side along the line of sight
    is too short by what is hidden, and the centre is too near by half of that.

    Attributes:
        centre_m: Its middle (x, y, z) in the frame of the points, metres.
        size_m: Its sides along its own axes, metres.
        quaternion_xyzw: Its axes in the frame of the points; of all namings of the axes the one turned least.
    """

    centre_m: tuple[float, float, float]
    size_m: tuple[float, float, float]
    quaternion_xyzw: tuple[float, float, float, float]


def fit_oriented_box(points_m: np.ndarray) -> OrientedBox | None:
    """The smallest box found around points, between percentiles 2 and 98 along its sides.

    Each start (the frame's own axes, and the axes along which the points spread) is turned about one of its axes after
    another to the smallest rectangle around the points seen along that axis, as long as the volume falls.

    Args:
        points_m: float [N, 3], metres, in any frame.

    Returns:
        None below 12 points.
    """
    if len(points_m) < MIN_POINTS:
        return None
    if len(points_m) > _MAX_POINTS:
        points_m = points_m[spread_evenly(len(points_m), _MAX_POINTS)]
    middle = points_m.mean(axis=0)
    points = np.asarray(points_m - middle, np.float64)
    spread = np.linalg.svd(points.T @ points)[0]
    outer = _outermost(_within(points, spread))
    if np.linalg.det(spread) < 0:
        spread[:, 2] *= -1
    _, best = min((_descend(outer, start) for start in (np.eye(3), spread.T)), key=lambda found: found[0])
    axes = _least_turned(best)
    low, high = bulk(points @ axes.T)
    centre = middle + axes.T @ ((low + high) / 2)
    x, y, z, w = _floats(quaternion_of(axes.T))
    return OrientedBox(_three(centre), _three(high - low), (x, y, z, w))


def spread_evenly(count: int, wanted: int) -> np.ndarray:
    """Which of many things in a row to take: one of each of as many stretches as are wanted, the same every time.

    Every n-th is not even: pixels of a mask come row by row, and where n shares a factor with a row's length whole
    columns are never taken.

    Args:
        count: How many there are.
        wanted: How many to take, at most ``count`` and 4096.

    Returns:
        int64 [wanted], ascending.
    """
    starts = np.arange(wanted + 1) * count // wanted
    return starts[:-1] + (_SHIFTS[:wanted] * np.diff(starts)).astype(np.int64)


def bulk(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between which coordinates nearly all points lie: percentiles 2 and 98 along each axis, float64 [3] each.

    What np.percentile gives, in a fifth of its time: it is asked for thrice per target and picture.

    Args:
        points: float [N, 3], N >= 1.
    """
    ordered = np.sort(points.T, axis=1)
    at = (ordered.shape[1] - 1) * np.array((_LOW_PERCENTILE, _HIGH_PERCENTILE)) / 100
    below = at.astype(int)
    above = np.minimum(below + 1, ordered.shape[1] - 1)
    low, high = (ordered[:, below] * (1 - at % 1) + ordered[:, above] * (at % 1)).T
    return low, high


def _within(points: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The points without those beyond the percentiles along the axes of spread (columns), by a margin of a tenth."""
    along = points @ spread
    low, high = bulk(along)
    margin = 0.1 * (high - low)
    kept = points[((along >= low - margin) & (along <= high + margin)).all(axis=1)]
    return kept if len(kept) >= MIN_POINTS else points


def _half_sphere(count: int) -> np.ndarray:
    """Directions float64 [count, 3] on a spiral, evenly spread."""
    index = np.arange(count) + 0.5
    height, turn = 1 - index / count, np.pi * (1 + 5**0.5) * index
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)


def _namings() -> np.ndarray:
    """The 24 ways to name and sign three axes that stay right-handed, float64 [24, 3, 3]."""
    every = (
        np.eye(3)[list(order)] * np.array(signs)[:, None]
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    )
    return np.stack([named for named in every if np.linalg.det(named) > 0])


def _shifts() -> np.ndarray:
    """Where in its stretch one is taken, as a part of the stretch: float64 [4096], drawn once."""
    drawn = np.random.default_rng(0).random(4096)
    drawn.setflags(write=False)
    return drawn


_SHIFTS = _shifts()
_HALF_SPHERE = _half_sphere(_DIRECTIONS)
_NAMINGS = _namings()


def _outermost(points: np.ndarray) -> np.ndarray:
    """The points that are last in one of many directions, spread evenly over the half sphere, or in its opposite."""
    along = _HALF_SPHERE @ points.T
    return points[np.unique(np.concatenate([along.argmax(axis=1), along.argmin(axis=1)]))]


def _descend(points: np.ndarray, axes: np.ndarray) -> tuple[float, np.ndarray]:
    """Axes (rows), turned about one after another to a box that no single turn makes smaller, and that box's volume."""
    axes, along = axes.copy(), points @ axes.T  # the points along the axes turn with them
    sides = np.maximum(along.max(axis=0) - along.min(axis=0), _THINNEST_M)
    idle = 0
    for turn in range(_MAX_TURNS):
        about = 2 - turn % 3
        pair = [(about + 1) % 3, (about + 2) % 3]
        _, rectangle, degrees = cv2.minAreaRect(along[:, pair].astype(np.float32))
        seen = np.maximum(rectangle, _THINNEST_M)
        if seen[0] * seen[1] < sides[pair[0]] * sides[pair[1]] * (1 - 1e-4):
            cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
            turned = np.array([[cosine, sine], [-sine, cosine]])
            axes[pair], along[:, pair], sides[pair] = turned @ axes[pair], along[:, pair] @ turned.T, seen
            idle = 0
        else:
            idle += 1
            if idle == 3:
                break
    return float(sides.prod()), axes


def _least_turned(axes: np.ndarray) -> np.ndarray:
    """The same box's axes (rows), named and signed so that they are turned least from the frame's."""
    named = _NAMINGS @ axes
    return named[np.trace(named, axis1=1, axis2=2).argmax()]


def _three(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = _floats(values)
    return x, y, z


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
