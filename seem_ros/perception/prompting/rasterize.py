# SPDX-License-Identifier: Apache-2.0
"""Shapes to boolean regions on the network's input, and regions to the points a model samples.

Specification section 10: SEEM turns every prompt that is not text into positive and negative boolean masks on the
network's input; a click is a block of 3x3 pixels; the pixel of column c and row r is the point (c / W, r / H) of the
PADDED input; at most so many points are kept.
"""

from __future__ import annotations

import cv2
import numpy as np

from seem_ros.perception.structures.letterbox import Geometry
from seem_ros.perception.structures.prompts import Box, Click, Mask, Polygon, Scribble, Shape, bounds
from seem_ros.runtime.interface import PriorKind

_FILL_POINTS = 1024  # of more corners fillPoly's time grows with their square: 4 ms for 1024, 290 ms for 4096
_FARTHEST_PX = 1 << 24  # corners farther away would not fit fillPoly's 32 bits
_GOLDEN = 0.6180339887498949  # 1 / golden ratio: its multiples modulo 1 are spread most evenly


def _draw(canvas: np.ndarray, shape: Shape, geometry: Geometry) -> None:
    """Sets the shape's pixels of ``canvas`` (uint8 [h, w] of the content size) to 1."""
    height, width = canvas.shape
    if isinstance(shape, Mask):
        if shape.mask.shape == canvas.shape:
            canvas |= shape.mask.astype(np.uint8)
            return
        whole = shape.mask.astype(np.uint8) * 255  # in bytes: a mask may have 67 million pixels
        share = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
        inside = share >= 128
        if not inside.any():  # thinner than a network pixel: keep where most of it is
            inside = share >= share.max()
        canvas |= inside.astype(np.uint8)
    elif isinstance(shape, Click):
        # the centre of the clicked source pixel decides, so that an integer coordinate means that pixel
        x, y = geometry.to_network((np.floor(shape.x) + 0.5, np.floor(shape.y) + 0.5))
        column, row = int(x), int(y)
        canvas[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = 1
    elif isinstance(shape, Scribble):
        points = geometry.to_network(np.floor(shape.points_xy) + 0.5)
        thickness = max(1, round(shape.width_px * geometry.scale_xy[0]))
        pixels = np.floor(points).astype(np.int32)
        if len(pixels) == 1:
            cv2.circle(canvas, tuple(int(v) for v in pixels[0]), thickness // 2, 1, -1)
        else:
            cv2.polylines(canvas, [pixels.reshape(-1, 1, 2)], False, 1, thickness)
    elif isinstance(shape, Box):
        x0, y0, x1, y1 = clipped_bounds(shape, geometry)
        # pixel centres inside; a box thinner than a pixel still marks the pixel it lies in
        column0, row0 = min(int(np.ceil(x0 - 0.5)), width - 1), min(int(np.ceil(y0 - 0.5)), height - 1)
        column1, row1 = int(np.ceil(x1 - 0.5)), int(np.ceil(y1 - 0.5))
        canvas[row0 : max(row1, row0 + 1), column0 : max(column1, column0 + 1)] = 1
    else:
        # fillPoly takes integer pixels whose centres are the corners; 4 fractional bits keep the outline's place
        points = np.rint((geometry.to_network(shape.points_xy) - 0.5) * 16)
        near = bool(np.abs(points).max() < _FARTHEST_PX * 16)
        outline = [points.astype(np.int32).reshape(-1, 1, 2)] if near else []
        if near and len(points) <= _FILL_POINTS:
            cv2.fillPoly(canvas, outline, 1, lineType=cv2.LINE_8, shift=4)
            return
        canvas |= _inside(geometry.to_network(shape.points_xy), canvas.shape)
        cv2.polylines(canvas, outline, True, 1, 1, cv2.LINE_8, shift=4)


def _inside(points_xy: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """The pixels whose centres lie inside a polygon by the even-odd rule, as fillPoly has it without the outline.

    Works for any finite corner, in time that grows with the corners and not with their square.

    Args:
        points_xy: float64 [N, 2], continuous pixels.
        size_hw: Of the result.

    Returns:
        uint8 [h, w].
    """
    height, width = size_hw
    following = np.roll(points_xy, -1, axis=0)
    down = (points_xy[:, 1] > following[:, 1])[:, None]
    top, bottom = np.where(down, following, points_xy), np.where(down, points_xy, following)
    first, last = (np.clip(np.ceil(y - 0.5), 0, height).astype(np.int64) for y in (top[:, 1], bottom[:, 1]))
    crossing = last > first  # edges that cross the centre of a row
    top, bottom, first, rows = top[crossing], bottom[crossing], first[crossing], (last - first)[crossing]
    edge = np.repeat(np.arange(len(rows)), rows)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(rows) - rows, rows) + first[edge]
    slope = (bottom[:, 0] - top[:, 0]) / (bottom[:, 1] - top[:, 1])
    x = top[edge, 0] + (row + 0.5 - top[edge, 1]) * slope[edge]
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    flips = np.bincount(row * (width + 1) + column, minlength=height * (width + 1)).reshape(height, width + 1)
    return (np.cumsum(flips, axis=1)[:, :width] & 1).astype(np.uint8)


def clipped_bounds(shape: Box | Polygon, geometry: Geometry) -> tuple[float, float, float, float]:
    """Extent (x0, y0, x1, y1) of a box or polygon inside the image, continuous network pixels."""
    x0, y0, x1, y1 = bounds(shape)
    height, width = geometry.source_hw
    low = geometry.to_network((min(max(x0, 0), width), min(max(y0, 0), height)))
    high = geometry.to_network((min(max(x1, 0), width), min(max(y1, 0), height)))
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def draw_regions(shapes: tuple[Shape, ...], geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """The positive and the negative region of all shapes.

    Args:
        shapes: Of the source image; they have passed ``check_shapes``.
        geometry: Of the source image.

    Returns:
        Two bool [h, w] arrays of ``geometry.content_hw``; where both want a pixel the negative one has it, since it is
        the correction.
    """
    positive = np.zeros(geometry.content_hw, np.uint8)
    negative = np.zeros(geometry.content_hw, np.uint8)
    for shape in shapes:
        _draw(negative if shape.negative else positive, shape, geometry)
    if positive.any() and negative.any():
        kept = positive & (1 - negative)
        positive = kept if kept.any() else positive
    return positive.astype(np.bool_), negative.astype(np.bool_)


def thin(count: int, limit: int) -> np.ndarray:
    """Which ``limit`` of ``count`` pixels in raster order are kept: sorted int64 indices.

    The official models cut at random. Here pixel k is kept if k times the golden ratio, modulo 1, is among the
    smallest: repeatable, evenly spread, and not in step with the rows of a rectangle as every n-th pixel would be.
    """
    if count <= limit:
        return np.arange(count)
    order = np.arange(count) * _GOLDEN % 1.0
    return np.sort(np.argpartition(order, limit - 1)[:limit]) if limit > 0 else np.arange(0)


def sample_points(
    positive: np.ndarray, negative: np.ndarray, network_hw: tuple[int, int], limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points of two regions, at most ``limit`` together.

    Each sign may use half of the slots, and what the other leaves free.

    Args:
        positive, negative: bool [h, w] regions at network size (padding may be missing).
        network_hw: Height and width of the padded network input, pixels.
        limit: Point slots of the model.

    Returns:
        float32 [N, 2] (x / W, y / H), positives first, and int8 [N] +1 or -1.
    """
    found = [np.flatnonzero(region) for region in (positive, negative)]
    half = limit // 2
    share = [min(len(found[0]), max(limit - half, limit - len(found[1])))]
    share.append(min(len(found[1]), limit - share[0]))
    points, labels = [], []
    for flat, count, sign, region in zip(found, share, (1, -1), (positive, negative), strict=True):
        flat = flat[thin(len(flat), count)]
        rows, columns = np.divmod(flat, region.shape[1])
        points.append(np.stack([columns / network_hw[1], rows / network_hw[0]], axis=1))
        labels.append(np.full(len(flat), sign))
    return np.concatenate(points).astype(np.float32), np.concatenate(labels).astype(np.int8)


def region_extent(region: np.ndarray) -> np.ndarray:
    """x0, y0, x1, y1 of a region bool [h, w] that is not empty, one past the last cell, float64 [4]."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)


def region_box(region: np.ndarray, network_hw: tuple[int, int]) -> np.ndarray:
    """Extent of a region that is not empty: float32 [4] (centre x, centre y, width, height), of the padded input."""
    x0, y0, x1, y1 = region_extent(region) / (*network_hw[::-1], *network_hw[::-1])
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], np.float32)


def prior(shapes: tuple[Shape, ...], positive: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, int]:
    """The prompt's own geometry as a box, for models that use one.

    A box says most about the extent, then a region; clicks only say where. So boxes win over regions over clicks.

    Returns:
        float32 [4] (centre x, centre y, width, height) normalised to the padded input, and its `PriorKind`.
    """
    shapes = tuple(shape for shape in shapes if not shape.negative)
    if not shapes or not positive.any():
        return np.zeros(4, np.float32), PriorKind.NONE
    boxes = [clipped_bounds(shape, geometry) for shape in shapes if isinstance(shape, Box)]
    if boxes:
        height, width = geometry.network_hw
        x0, y0 = min(b[0] for b in boxes) / width, min(b[1] for b in boxes) / height
        x1, y1 = max(b[2] for b in boxes) / width, max(b[3] for b in boxes) / height
        return np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], np.float32), PriorKind.BOX
    kind = PriorKind.CLICK if all(isinstance(shape, Click) for shape in shapes) else PriorKind.REGION
    return region_box(positive, geometry.network_hw), kind
