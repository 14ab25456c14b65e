# SPDX-License-Identifier: Apache-2.0
"""Where a segment is and how large, in metres, from aligned depth."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from seem_ros.errors import FrameError
from seem_ros.perception.structures.frame import Frame, Intrinsics
from seem_ros.perception.structures.oriented_box import bulk, fit_oriented_box, spread_evenly
from seem_ros.perception.structures.rigid_transform import RigidTransform
from seem_ros.perception.structures.segments import Segments

MIN_PIXELS = 12
_MAX_SAMPLES = 4096
_DEVIATIONS = 4.0

Vector = tuple[float, float, float]


def surface_points(
    mask: np.ndarray, depth_m: np.ndarray, intrinsics: Intrinsics, origin_xy: tuple[int, int] = (0, 0)
) -> np.ndarray | None:
    """Points on the visible surface of what a mask shows.

    Pixels of the outline often carry the depth of what is behind ("flying pixels"), so one pixel of it is left out
    where enough remain, and depths far from the median (4 x 1.4826 median absolute deviations, at least 1 cm) are
    dropped.

    Args:
        mask: bool [h, w].
        depth_m: float32 [h, w], metres along the optical axis; NaN, infinite or <= 0 is invalid.
        intrinsics: Of the whole image.
        origin_xy: Column and row of the arrays' first pixel in the whole image.

    Returns:
        float64 [N, 3] in the camera's optical frame, metres; None below 12 valid pixels.

    Raises:
        FrameError: The arrays differ in size.
    """
    if mask.shape != depth_m.shape:
        raise FrameError(f"mask and depth must have one size, got {mask.shape} and {depth_m.shape}")
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).view(np.bool_)
    for region in (inner, mask):
        rows, columns = np.nonzero(region)
        z = depth_m[rows, columns].astype(np.float64)
        valid = np.isfinite(z) & (z > 0)
        if valid.sum() >= MIN_PIXELS:
            break
    else:
        return None
    rows, columns, z = rows[valid], columns[valid], z[valid]
    if len(z) > _MAX_SAMPLES:
        some = spread_evenly(len(z), _MAX_SAMPLES)
        rows, columns, z = rows[some], columns[some], z[some]
    middle = np.median(z)
    near = np.abs(z - middle) <= max(_DEVIATIONS * 1.4826 * np.median(np.abs(z - middle)), 0.01)
    rows, columns, z = rows[near], columns[near], z[near]
    ray_x, ray_y = intrinsics.rays(columns + origin_xy[0], rows + origin_xy[1])
    x, y = ray_x * z, ray_y * z
    return np.stack([x, y, z], axis=1)


def locate(
    mask: np.ndarray, depth_m: np.ndarray, intrinsics: Intrinsics, origin_xy: tuple[int, int] = (0, 0)
) -> tuple[Vector, Vector] | None:
    """Position and size of what a mask shows: of its visible surface, between percentiles 2 and 98 of its points.

    Arguments are those of `surface_points`.

    Returns:
        Centre (x, y, z) and extent (x, y, z) in the camera's optical frame, metres; None below 12 valid pixels.

    Raises:
        FrameError: The arrays differ in size.
    """
    points = surface_points(mask, depth_m, intrinsics, origin_xy)
    return None if points is None else _extent(points, in_optical_frame=True)


def _extent(points: np.ndarray, in_optical_frame: bool) -> tuple[Vector, Vector]:
    """Centre and extent along the axes; along the optical axis the centre is where most of the surface is."""
    low, high = bulk(points)
    centre = (low + high) / 2
    if in_optical_frame:
        centre[2] = np.median(points[:, 2])
    x, y, z = (float(v) for v in centre)
    width, height, length = (float(v) for v in high - low)
    return (x, y, z), (width, height, length)


def add_positions(
    segments: Segments, depth_m: np.ndarray, intrinsics: Intrinsics, transform: RigidTransform | None = None
) -> Segments:
    """The same segments with positions and sizes where depth says, and oriented boxes for targets.

    Args:
        segments: Of the picture.
        depth_m: float32 [H, W] of the picture's size.
        intrinsics: Of the picture.
        transform: From the camera's optical frame to the frame that positions are wanted in; None = the optical frame.

    Raises:
        FrameError: Depth has another size.
    """
    if depth_m.shape != segments.labels.shape:
        raise FrameError(f"depth must have the image's size {segments.labels.shape}, got {depth_m.shape}")
    placed = []
    for segment in segments:
        x0, y0, x1, y1 = segment.box_xyxy_px
        mask = segments.labels[y0:y1, x0:x1] == segment.value
        points = surface_points(mask, depth_m[y0:y1, x0:x1], intrinsics, (x0, y0))
        if points is None:
            placed.append(segment)
            continue
        if transform is not None:
            points = transform.apply(points)
        position_m, size_m = _extent(points, in_optical_frame=transform is None)
        box = fit_oriented_box(points) if segment.target_id else None
        placed.append(replace(segment, position_m=position_m, size_m=size_m, oriented_box=box))
    return segments.with_segments(tuple(placed))


def with_depth(segments: Segments, frame: Frame) -> Segments:
    """Adds positions where the frame has depth, intrinsics and, if another frame is wanted, the way to it."""
    segments = replace(segments, position_frame=frame.position_frame)
    if frame.depth_m is None or frame.intrinsics is None or not len(segments):
        return segments
    if frame.target_frame and frame.target_from_camera is None:
        return segments
    return add_positions(segments, frame.depth_m, frame.intrinsics, frame.target_from_camera)
