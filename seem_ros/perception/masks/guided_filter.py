# SPDX-License-Identifier: Apache-2.0
"""Mask borders that follow the picture's edges: the guided filter, with colours as guide.

A network's masks are smooth at the scale of its strides. The guided filter (He, Sun and Tang, "Guided Image Filtering",
TPAMI 2013, section 3, equations 19 and 20 for colours) makes a mask a locally linear function of the picture, which
jumps where the picture does. As in its fast variant (He and Sun, "Fast Guided Filter", 2015) the coefficients are
computed at the network's resolution and applied at the source's.
"""

from __future__ import annotations

from math import gcd

import cv2
import numpy as np

from seem_ros.perception.masks.panoptic import sigmoid
from seem_ros.perception.masks.upsample import Patch, resized, span
from seem_ros.perception.structures.letterbox import Geometry

_SMOOTHNESS = 1e-4  # epsilon of the filter for colours in 0..1: how much colour change is an edge
_SMALLEST_RADIUS_PX = 3
_CERTAIN = 0.999
_TRUST = 4.0  # from a quarter of the variance explained, the colours decide alone


def enlarge_along_edges(
    logits: np.ndarray, geometry: Geometry, stride: int, network_rgb: np.ndarray, source_rgb: np.ndarray, radius: int
) -> Patch | None:
    """One mask's logits at source resolution, its border moved to the picture's edges nearby.

    Args:
        logits: float32 [hm, wm] at ``stride`` of the padded network input.
        geometry: Of the source image.
        stride: Network pixels per cell.
        network_rgb: uint8 [h, w, 3], the padded network input.
        source_rgb: uint8 [H, W, 3], the source image.
        radius: How far a border may move at most, network pixels; small masks move less (half of their width).

    Returns:
        The patch, None where no logit is positive.
    """
    (height, width), (content_h, content_w) = geometry.source_hw, geometry.content_hw
    cells_y, cells_x = -(-content_h // stride), -(-content_w // stride)
    positive = logits[:cells_y, :cells_x] > 0
    side_px = stride * float(np.sqrt(np.count_nonzero(positive)))
    radius = int(np.clip(side_px / 2, min(_SMALLEST_RADIUS_PX, radius), radius))
    margin = -(-radius // stride) + 1
    rows = span(np.any(positive, axis=1), cells_y, content_h // gcd(height * stride, content_h), margin)
    columns = span(np.any(positive, axis=0), cells_x, content_w // gcd(width * stride, content_w), margin)
    if rows is None or columns is None:
        return None
    piece = np.ascontiguousarray(logits[slice(*rows), slice(*columns)])
    y0, x0 = rows[0] * stride, columns[0] * stride
    near = sigmoid(cv2.resize(piece, None, fx=stride, fy=stride, interpolation=cv2.INTER_LINEAR))
    near = near[: content_h - y0, : content_w - x0]
    guide = network_rgb[y0 : y0 + near.shape[0], x0 : x0 + near.shape[1]]
    slopes, offset, explained = _coefficients(guide.astype(np.float32) / 255, near, radius)
    # where colours do not explain the mask, it stays as it is
    slopes, share = slopes * explained[..., None], offset * explained + (1 - explained) * near
    if geometry.source_hw != geometry.content_hw:
        y0, x0 = y0 * height // content_h, x0 * width // content_w
        y1 = min(-(-rows[1] * stride * height // content_h), height)
        x1 = min(-(-columns[1] * stride * width // content_w), width)
        factors = height / content_h, width / content_w
        slopes, share = (resized(planes, factors, (y1 - y0, x1 - x0)) for planes in (slopes, share))
        guide = source_rgb[y0:y1, x0:x1]
    # in whole pixels and in the picture's own type: at 1080p this is where the time goes
    coloured = cv2.multiply(slopes, guide, scale=1 / 255, dtype=cv2.CV_32F)
    share = cv2.add(share, cv2.transform(coloured, np.ones((1, 3), np.float32)), dst=share)
    share = np.clip(share, 1 - _CERTAIN, _CERTAIN)
    return Patch(x0, y0, np.log(share / (1 - share)))


def _coefficients(guide: np.ndarray, values: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smoothed coefficients of values = a . colour + b around every pixel.

    Args:
        guide: float32 [h, w, 3] in 0..1; values: float32 [h, w]; radius: of the windows, pixels.

    Returns:
        a float32 [h, w, 3]; b float32 [h, w]; how much of the values' variance the colours explain, 0..1, [h, w].
    """

    def mean(planes: np.ndarray) -> np.ndarray:
        size = (2 * radius + 1, 2 * radius + 1)
        return cv2.blur(planes, size, borderType=cv2.BORDER_REFLECT)

    r, g, b = cv2.split(guide)
    products = (r * values, g * values, b * values, r * r, r * g, r * b, g * g, g * b, b * b, values * values)
    averages = cv2.split(mean(cv2.merge((r, g, b, values, *products))))
    mean_r, mean_g, mean_b, mean_v, *of_products = averages
    mean_rv, mean_gv, mean_bv, mean_rr, mean_rg, mean_rb, mean_gg, mean_gb, mean_bb, mean_vv = of_products
    with_r, with_g, with_b = mean_rv - mean_r * mean_v, mean_gv - mean_g * mean_v, mean_bv - mean_b * mean_v
    rr, rg, rb = mean_rr - mean_r * mean_r + _SMOOTHNESS, mean_rg - mean_r * mean_g, mean_rb - mean_r * mean_b
    gg, gb = mean_gg - mean_g * mean_g + _SMOOTHNESS, mean_gb - mean_g * mean_b
    bb = mean_bb - mean_b * mean_b + _SMOOTHNESS
    # the symmetric 3x3 system (covariance + epsilon) a = covariance with the mask, by cofactors
    c00, c01, c02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c11, c12, c22 = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * c00 + rg * c01 + rb * c02
    a_r = (c00 * with_r + c01 * with_g + c02 * with_b) / determinant
    a_g = (c01 * with_r + c11 * with_g + c12 * with_b) / determinant
    a_b = (c02 * with_r + c12 * with_g + c22 * with_b) / determinant
    explained = (a_r * with_r + a_g * with_g + a_b * with_b) / (mean_vv - mean_v * mean_v + _SMOOTHNESS)
    explained = np.clip(_TRUST * explained, 0, 1)
    offset = mean_v - a_r * mean_r - a_g * mean_g - a_b * mean_b
    smooth = mean(cv2.merge((a_r, a_g, a_b, offset, explained)))
    return smooth[..., :3], smooth[..., 3], smooth[..., 4]
