# SPDX-License-Identifier: Apache-2.0
"""Picking the winning query, and lowering its mask outside its box (official models have no box)."""

from __future__ import annotations

import torch
from torch import Tensor


def take(values: Tensor, chosen: Tensor) -> Tensor:
    """Picks one query per element: values [N, P, Q, X], chosen [N, P] -> [N, P, 1, X]."""
    if values.shape[2] == 1:
        return values
    return torch.gather(values, 2, chosen[..., None, None].expand(-1, -1, 1, values.shape[-1]))


def box_gate(box: Tensor, height: int, width: int) -> Tensor:
    """How much a query's box lowers its mask logits outside: 3 log(1 + 2 relu(|d| / half - 1.1)) per axis.

    Args:
        box: [..., 4] (cx, cy, w, h) in 0..1.

    Returns:
        [..., height, width], 0 inside the box enlarged by a tenth.
    """

    # Both axes in one vector: places along x, then along y. 1 + 2 relu(d - 1.1) is max(2 d - 1.2, 1).
    at = torch.cat([(torch.arange(n, device=box.device, dtype=box.dtype) + 0.5) / n for n in (width, height)])
    axis = torch.arange(width + height, device=box.device) >= width
    axis = torch.stack((~axis, axis)).to(box.dtype)
    distance = (at - box[..., :2] @ axis).abs() / ((box[..., 2:] / 4).clamp(min=0.005) @ axis)
    gate = 3 * (distance - 1.2).clamp(min=1).log()
    return gate[..., None, :width] + gate[..., width:, None]
