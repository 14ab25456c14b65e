# SPDX-License-Identifier: Apache-2.0
"""Reading feature maps at points, without `grid_sample` (TensorRT 10.13 to 11.1 miscompile it)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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
    last = points_xy.new_tensor([w - 1, h - 1])
    at = points_xy.clamp(0.0, 1.0) * last
    low = at.floor()
    corner = points_xy.new_tensor([[0, 0], [1, 0], [0, 1], [1, 1]])
    share = ((1 - corner) - (at - low)[..., None, :]).abs()
    share = (share[..., 0] * share[..., 1]).to(features.dtype)
    place = torch.minimum(low[..., None, :] + corner, last)
    row = (place[..., 1] * w + place[..., 0]).to(torch.int32)
    if n > 1:
        row = row + torch.arange(n, dtype=torch.int32, device=row.device)[:, None, None] * (h * w)
    # Whole rows: runtimes read them several times faster than a gather with one index per channel.
    return (share[..., None, :] @ F.embedding(row, features.reshape(n * h * w, c)))[..., 0, :]
