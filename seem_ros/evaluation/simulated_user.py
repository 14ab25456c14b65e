# SPDX-License-Identifier: Apache-2.0
"""A simulated user who knows the truth: where they click, draw boxes and strokes, and what they say."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.number_of_clicks import SimulatedClick
from seem_ros.perception.structures.prompts import Box, Click, Prompt, Scribble


def as_click(click: SimulatedClick) -> Click:
    """A simulated click as a prompt's click, at the pixel's centre."""
    return Click(click.x + 0.5, click.y + 0.5, negative=not click.positive)


def true_box(mask: np.ndarray) -> Prompt:
    """The tightest box around a mask bool [H, W]. Raises DataError for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        raise DataError("an empty mask has no box")
    return Prompt(boxes=(Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)),))


def true_scribble(mask: np.ndarray, width_px: float = 3.0) -> Prompt:
    """A stroke along the object's long axis that stays in its inner part.

    The pixels at least half as deep inside as the deepest one (in the connected part that holds it) form the core; the
    stroke is a shortest path between two of its far ends (found by two breadth-first sweeps), so it also follows rings
    and handles. Its width is at most twice the depth of its shallowest point.

    Raises:
        DataError: the mask (bool [H, W]) is empty.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        raise DataError("an empty mask cannot be scribbled on")
    top, left = int(rows[0]), int(columns[0])
    crop = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint8), 1)
    depth = cv2.distanceTransform(crop, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    deepest = int(row), int(column)
    _, parts = cv2.connectedComponents((depth >= 0.5 * depth.max()).astype(np.uint8), connectivity=8)
    core = parts == parts[deepest]
    one_end = _sweep(core, deepest)[-1]
    path = _sweep(core, one_end)
    thin = path[:: max(1, len(path) // 12)]
    if thin[-1] != path[-1]:
        thin.append(path[-1])
    room = 2 * min(float(depth[point]) for point in path) - 1
    points = np.array([(column - 1 + left + 0.5, row - 1 + top + 0.5) for row, column in thin])
    return Prompt(scribbles=(Scribble(points, float(np.clip(room, 1.0, width_px))),))


def _sweep(core: np.ndarray, start: tuple[int, int]) -> list[tuple[int, int]]:
    """Shortest path in the core from start to the pixel farthest from it, by breadth-first search."""
    came_from: dict[tuple[int, int], tuple[int, int] | None] = {start: None}
    queue, last = deque([start]), start
    while queue:
        last = queue.popleft()
        row, column = last
        for step in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            there = (row + step[0], column + step[1])
            if core[there] and there not in came_from:
                came_from[there] = last
                queue.append(there)
    path: list[tuple[int, int]] = []
    here: tuple[int, int] | None = last
    while here is not None:
        path.append(here)
        here = came_from[here]
    return path[::-1]
