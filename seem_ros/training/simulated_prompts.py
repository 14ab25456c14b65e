# SPDX-License-Identifier: Apache-2.0
"""Simulated user prompts: clicks, boxes, scribbles and regions drawn from truth masks, and clicks on errors."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

POINTS = 32  # points per prompt, padded; as many as the built-in model's package has


@dataclass
class DrawnPrompts:
    """Points (pixels, labels) and prior of one prompt.

    Attributes:
        points_px: [K, 2] float (x, y) pixels of the network input; labels: [K] int (+1, -1).
        kind: a `PriorKind`; box_xyxy_px: the prior box, meaningful when kind > 0.
    """

    points_px: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int8))
    kind: int = 0
    box_xyxy_px: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def box_of(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Bounding box (x0, y0, x1, y1) in pixels of a mask that is not empty; x1 and y1 are one past the last pixel."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def even(points: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the points, evenly spaced in their order."""
    if len(points) <= count:
        return points
    return points[np.linspace(0, len(points) - 1, count).round().astype(int)]


def deepest_pixel(region: np.ndarray) -> tuple[float, int, int]:
    """(distance, x, y) of the pixel farthest from the region's border (the picture's border counts)."""
    distance = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return float(distance[y, x]), int(x), int(y)


def click_block(x: int, y: int, shape: tuple[int, int]) -> np.ndarray:
    """A click is a 3x3 block of pixels (specification section 10), cut at the picture's border; [K, 2] (x, y)."""
    xs, ys = np.meshgrid(np.arange(x - 1, x + 2), np.arange(y - 1, y + 2))
    points = np.stack((xs.ravel(), ys.ravel()), 1)
    inside = (points >= 0).all(1) & (points[:, 0] < shape[1]) & (points[:, 1] < shape[0])
    return points[inside].astype(np.float32)


def _random_pixel(region: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    pixels = np.flatnonzero(region)
    y, x = divmod(int(pixels[rng.integers(len(pixels))]), region.shape[1])
    return x, y


def pick_click(region: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Half of the time the middle of a region, else a random pixel of its inside."""
    if rng.random() < 0.5:
        return deepest_pixel(region)[1:]
    inside = cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8))
    return _random_pixel(inside if inside.any() else region, rng)


def from_clicks(
    positive: list[tuple[int, int]], negative: list[tuple[int, int]], shape: tuple[int, int]
) -> DrawnPrompts:
    """Clicks as points; the prior box spans the positive ones."""
    blocks = [click_block(x, y, shape) for x, y in positive] + [click_block(x, y, shape) for x, y in negative]
    signs = [np.full(len(b), 1 if i < len(positive) else -1, np.int8) for i, b in enumerate(blocks)]
    points, labels = np.concatenate(blocks), np.concatenate(signs)
    if len(points) > POINTS:
        keep = even(np.arange(len(points)), POINTS)
        points, labels = points[keep], labels[keep]
    if not positive:
        return DrawnPrompts(points, labels)
    xy = np.asarray(positive, np.float32)
    low, high = xy.min(0) - 1, xy.max(0) + 2
    return DrawnPrompts(points, labels, 1, (low[0], low[1], high[0], high[1]))


def clicks(
    mask: np.ndarray, others: np.ndarray, rng: np.random.Generator, positive: int, negative: int
) -> DrawnPrompts:
    """Clicks in the object, and negative ones on its neighbours or the surroundings."""
    good = [pick_click(mask, rng) for _ in range(positive)]
    bad = []
    for _ in range(negative):
        near = cv2.dilate(mask.astype(np.uint8), np.ones((15, 15), np.uint8)).astype(bool) & ~mask
        near = near & others if (near & others).any() and rng.random() < 0.6 else near
        if near.any():
            bad.append(_random_pixel(near, rng))
    return from_clicks(good, bad, mask.shape)


def box(mask: np.ndarray, rng: np.random.Generator) -> DrawnPrompts:
    """The truth box, half of the time off by up to 8 % of its size a side."""
    x0, y0, x1, y1 = box_of(mask)
    if rng.random() < 0.5:
        dx, dy = 0.08 * (x1 - x0), 0.08 * (y1 - y0)
        x0, x1 = x0 + rng.uniform(-dx, dx), x1 + rng.uniform(-dx, dx)
        y0, y1 = y0 + rng.uniform(-dy, dy), y1 + rng.uniform(-dy, dy)
    h, w = mask.shape
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(max(x1, x0 + 2), w), min(max(y1, y0 + 2), h)
    xs = np.arange(int(x0), max(int(x1), int(x0) + 1))
    ys = np.arange(int(y0), max(int(y1), int(y0) + 1))
    grid = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2).astype(np.float32)
    points = even(grid, POINTS)
    return DrawnPrompts(points, np.ones(len(points), np.int8), 3, (x0, y0, x1, y1))


def scribble(mask: np.ndarray, rng: np.random.Generator) -> DrawnPrompts:
    """A polyline through two to four inner points, kept where it stays in the object."""
    corners = np.array([pick_click(mask, rng) for _ in range(int(rng.integers(2, 5)))])
    canvas = np.zeros(mask.shape, np.uint8)
    cv2.polylines(canvas, [corners.astype(np.int32)], False, 1, thickness=int(rng.integers(1, 5)))
    return region(canvas.astype(bool) & mask)


def rough_region(mask: np.ndarray, rng: np.random.Generator) -> DrawnPrompts:
    """A polygon or mask as a user draws it: a little too large or too small."""
    size = int(rng.integers(1, 4))
    kernel = np.ones((2 * size + 1, 2 * size + 1), np.uint8)
    drawn = (cv2.dilate if rng.random() < 0.5 else cv2.erode)(mask.astype(np.uint8), kernel).astype(bool)
    return region(drawn if drawn.any() else mask)


def region(drawn: np.ndarray) -> DrawnPrompts:
    """A drawn region that is not empty as points."""
    ys, xs = np.nonzero(drawn)
    points = even(np.stack((xs, ys), 1).astype(np.float32), POINTS)
    return DrawnPrompts(points, np.ones(len(points), np.int8), 2, box_of(drawn))


def click_on_error(truth: np.ndarray, predicted: np.ndarray) -> tuple[int, int, bool] | None:
    """The standard next click: centre of the largest error region; None when there is no error.

    Returns:
        (x, y, positive).
    """
    missed, wrong = truth & ~predicted, predicted & ~truth
    best = None
    for error, positive in ((missed, True), (wrong, False)):
        if error.any():
            depth, x, y = deepest_pixel(error)
            if best is None or depth > best[0]:
                best = (depth, x, y, positive)
    return None if best is None else best[1:]


def add_click(geometry: DrawnPrompts, click: tuple[int, int, bool], shape: tuple[int, int]) -> DrawnPrompts:
    """The same prompt with one click more; earlier points are thinned when there are too many."""
    x, y, positive = click
    block = click_block(x, y, shape)
    room = POINTS - len(block)
    keep = even(np.arange(len(geometry.points_px)), room)
    points = np.concatenate((geometry.points_px[keep], block))
    labels = np.concatenate((geometry.labels[keep], np.full(len(block), 1 if positive else -1, np.int8)))
    return DrawnPrompts(points, labels, geometry.kind, geometry.box_xyxy_px)


def disturbed_mask(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A previous mask as a tracker would have it: shifted, grown or shrunk, or with a part missing."""
    h, w = mask.shape
    dx, dy = rng.normal(0, 3, 2)
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    out = cv2.warpAffine(mask.astype(np.uint8), matrix, (w, h), flags=cv2.INTER_NEAREST)
    size = int(rng.integers(0, 3))
    if size:
        kernel = np.ones((2 * size + 1, 2 * size + 1), np.uint8)
        out = (cv2.dilate if rng.random() < 0.5 else cv2.erode)(out, kernel)
    if rng.random() < 0.15 and out.any():
        x0, _y0, x1, _y1 = (int(v) for v in box_of(out > 0))
        cut = int(rng.integers(x0, x1))
        out[:, cut:] = 0
    return out.astype(bool) if out.any() else mask
