# SPDX-License-Identifier: Apache-2.0
"""Reading feature maps at points, without `grid_sample` (TensorRT 10.13 to 11.1 miscompile it)."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_points(features: Tensor, points_xy: Tensor) -> Tensor:
    """Bilinear reading with `align_corners=True` (specification section 10).

    Pixel r lands on feature row r / H * (Hf - 1).

    Args:
        features: [N, h, w, C].
        points_xy: [N, K, 2] float32 in 0..1, (x, y); values outside are clamped to the border.

    Returns:
        [N, K, C].
    """
    n, h, w, c = features.shape
    x = points_xy[..., 0].clamp(0, 1) * (w - 1)
    y = points_xy[..., 1].clamp(0, 1) * (h - 1)
    left, top = x.floor(), y.floor()
    fx, fy = (x - left)[..., None].to(features.dtype), (y - top)[..., None].to(features.dtype)
    left, top = left.long(), top.long()
    right, bottom = (left + 1).clamp(max=w - 1), (top + 1).clamp(max=h - 1)
    flat = features.reshape(n, h * w, c)

    def at(row: Tensor, column: Tensor) -> Tensor:
        return torch.gather(flat, 1, (row * w + column)[..., None].expand(-1, -1, c))

    upper = at(top, left) * (1 - fx) + at(top, right) * fx
    lower = at(bottom, left) * (1 - fx) + at(bottom, right) * fx
    return upper * (1 - fy) + lower * fy
