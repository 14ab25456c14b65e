# SPDX-License-Identifier: Apache-2.0
"""Sine position encodings."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def _sine_axis(size: int, half: int, device: torch.device | None) -> Tensor:
    """One axis of `sine_position`, [size, half]: what is kept, since the maps of a picture take 13 MB."""
    step = torch.arange(1, size + 1, dtype=torch.float32, device=device) / (size + 1e-6) * (2 * math.pi)
    i = torch.arange(half, dtype=torch.float32, device=device)
    angle = step[:, None] / 10000 ** (2 * torch.div(i, 2, rounding_mode="floor") / half)
    return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)


def sine_position(height: int, width: int, dim: int, device: torch.device | None = None) -> Tensor:
    """DETR's normalised sine encoding of a grid (Carion et al. 2020; specification section 6).

    Its temperature is 10000, its scale 2 pi.

    Args:
        height, width: grid size.
        dim: channels; the first half encodes y, the second x, sine and cosine interleaved.

    Returns:
        [1, dim, height, width] float32.
    """
    half = dim // 2
    y = _sine_axis(height, half, device)[:, None].expand(height, width, half)
    x = _sine_axis(width, half, device)[None].expand(height, width, half)
    return torch.cat((y, x), dim=-1).permute(2, 0, 1)[None]


def box_sine(boxes: Tensor, octaves: int = 8) -> Tensor:
    """Sines and cosines of normalised coordinates (positions of prompts in the built-in model).

    Args:
        boxes: [..., K] in 0..1.
        octaves: number of frequencies, geometrically spaced from pi to 80 pi.

    Returns:
        [..., K * 2 * octaves].
    """
    frequency = math.pi * 80.0 ** (torch.arange(octaves, device=boxes.device, dtype=torch.float32) / (octaves - 1))
    angle = boxes.float()[..., None] * frequency
    return torch.cat((angle.sin(), angle.cos()), -1).flatten(-2)


@lru_cache(maxsize=64)
def grid_sine(height: int, width: int, octaves: int = 8, device: torch.device | None = None) -> Tensor:
    """`box_sine` of the pixel centres of a grid.

    Returns:
        [1, 4 * octaves, height, width].
    """
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    xy = torch.stack((x[None].expand(height, width), y[:, None].expand(height, width)), -1)
    return box_sine(xy, octaves).permute(2, 0, 1)[None]
