# SPDX-License-Identifier: Apache-2.0
"""Pixel decoder of the SAM-ViT variants: a deformable transformer over three maps, then one pyramid level.

Reference: Zhu et al., "Deformable DETR" (2021), in the form of SEEM's `transformer_encoder_deform`. Sampling is
written with gathers instead of `grid_sample`, because it is exported and TensorRT 10.13 to 11.1 miscompile that
operator.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seem_ros.model.config import PixelDecoderConfig
from seem_ros.model.pixel_decoder.fpn import ConvNorm
from seem_ros.model.position import sine_position

LEVELS = 3
POINTS = 4
FFN = 1024  # whatever an official configuration says: the encoder never receives its value


class DeformableAttention(nn.Module):
    """Every position reads 4 learned places on each of the 3 levels, per head."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.sampling_offsets = nn.Linear(dim, heads * LEVELS * POINTS * 2)
        self.attention_weights = nn.Linear(dim, heads * LEVELS * POINTS)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        nn.init.zeros_(self.sampling_offsets.weight)
        angle = torch.arange(heads) * (2 * math.pi / heads)
        ray = torch.stack((angle.cos(), angle.sin()), -1)
        ray = ray / ray.abs().amax(-1, keepdim=True)
        rays = ray[:, None, None] * torch.arange(1, POINTS + 1)[:, None]
        self.sampling_offsets.bias.data.copy_(rays.expand(heads, LEVELS, POINTS, 2).flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)

    def forward(self, query: Tensor, source: Tensor, centres: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """Read the levels.

        Args:
            query: [N, S, C] source plus position.
            source: [N, S, C], the three levels' positions one after another.
            centres: [S, 2] (x, y) of every position in 0..1.
            sizes: (height, width) of the levels.

        Returns:
            [N, S, C].
        """
        n, s = query.shape[:2]
        table = self.value_proj(source).reshape(n * s * self.heads, -1)  # a row per picture, position and head
        offsets = self.sampling_offsets(query).reshape(n, s, self.heads, LEVELS, POINTS, 2)
        weights = self.attention_weights(query).reshape(n, s, self.heads, LEVELS * POINTS).softmax(-1)
        weights = weights.reshape(n, s, self.heads, LEVELS, POINTS, 1)
        picture = torch.arange(n, dtype=torch.int32, device=query.device)[:, None, None, None, None] * s
        head = torch.arange(self.heads, dtype=torch.int32, device=query.device)[:, None, None]
        total, start = torch.zeros((), dtype=table.dtype, device=table.device), 0
        for level, (h, w) in enumerate(sizes):
            # A place in pixels of this level: the centre plus an offset that is already in its pixels.
            x = centres[:, 0, None, None] * w + offsets[:, :, :, level, :, 0] - 0.5
            y = centres[:, 1, None, None] * h + offsets[:, :, :, level, :, 1] - 0.5
            place, share = bilinear_corners(x, y, h, w)
            rows = (place + start + picture) * self.heads + head
            shares = (share * weights[:, :, :, level]).to(table.dtype)[..., None]
            start += h * w
            for point in range(POINTS):  # one at a time: all of a level would take 700 MB
                read = F.embedding(rows[:, :, :, point], table)
                total = total + (read * shares[:, :, :, point]).sum(-2)
        return self.output_proj(total.flatten(-2))


def bilinear_corners(x: Tensor, y: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Which four pixels a bilinear reading takes, and how much of each; what is outside the map counts as zero.

    Whole rows are read at such places (`F.embedding`): runtimes do that several times faster than a gather with one
    index per channel.

    Args:
        x, y: [...] pixel indices, 0 = centre of the first pixel.

    Returns:
        Places [..., 4] int32 in row-major order, and shares [..., 4].
    """
    left, top = x.floor(), y.floor()
    column = torch.stack((left, left + 1, left, left + 1), -1)
    row = torch.stack((top, top, top + 1, top + 1), -1)
    share = (1 - (x[..., None] - column).abs()) * (1 - (y[..., None] - row).abs())
    inside = (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
    place = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).to(torch.int32)
    return place, share * inside


class DeformableLayer(nn.Module):
    """Post-norm layer with ReLU."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.self_attn = DeformableAttention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, FFN)
        self.linear2 = nn.Linear(FFN, dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, x: Tensor, position: Tensor, centres: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """[N, S, C] -> the same shape; arguments as `DeformableAttention.forward`."""
        x = self.norm1(x + self.self_attn(x + position, x, centres, sizes))
        return self.norm2(x + self.linear2(self.linear1(x).relu()))


class PixelDecoderDeform(nn.Module):
    """Maps of a backbone -> three level maps (strides 32, 16, 8) and mask features (stride 4)."""

    def __init__(self, channels: tuple[int, ...], config: PixelDecoderConfig) -> None:
        super().__init__()
        c, self.config = config.dim, config
        self.input_proj = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels[k], c, 1), nn.GroupNorm(32, c)) for k in (3, 2, 1)
        )
        self.transformer = nn.Module()
        self.transformer.level_embed = nn.Parameter(torch.empty(LEVELS, c))
        nn.init.normal_(self.transformer.level_embed)
        self.transformer.encoder = nn.Module()
        self.transformer.encoder.layers = nn.ModuleList(DeformableLayer(c, config.heads) for _ in range(config.layers))
        self.adapter_1 = ConvNorm(channels[0], c, 1, config.norm, relu=False)
        self.layer_1 = ConvNorm(c, c, 3, config.norm, relu=True)
        self.mask_features = nn.Conv2d(c, config.mask_dim, 1)

    def forward(self, maps: list[Tensor], fine: None = None) -> tuple[list[Tensor], Tensor, None]:
        """Maps [N, C_i, H/s, W/s] for s = 4, 8, 16, 32 -> levels at strides 32, 16, 8; mask features
        [N, mask_dim, H/4, W/4]; no mask features at stride 2.
        """
        levels, y = self.pyramid(maps)
        return levels, self.mask_features(y), None

    def pyramid(self, maps: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Returns the three level maps and the stride-4 map that the last convolution `mask_features` reads."""
        sources, positions, centres, sizes = [], [], [], []
        for level, project in enumerate(self.input_proj):
            x = project(maps[3 - level])
            n, c, h, w = x.shape
            sizes.append((h, w))
            sources.append(x.flatten(2).transpose(1, 2))
            position = sine_position(h, w, c, x.device).flatten(2).transpose(1, 2).to(x.dtype)
            positions.append(position + self.transformer.level_embed[level])
            centres.append(_pixel_centres(h, w, x))
        tokens, position, centre = torch.cat(sources, 1), torch.cat(positions, 1), torch.cat(centres, 0)
        for layer in self.transformer.encoder.layers:
            tokens = layer(tokens, position, centre, sizes)
        pieces = tokens.split([h * w for h, w in sizes], dim=1)
        levels = [p.transpose(1, 2).reshape(n, -1, h, w) for p, (h, w) in zip(pieces, sizes)]
        lateral = self.adapter_1(maps[0])
        top = F.interpolate(levels[2], size=lateral.shape[-2:], mode="bilinear", align_corners=False)
        return levels, self.layer_1(lateral + top)


def _pixel_centres(height: int, width: int, like: Tensor) -> Tensor:
    """[height * width, 2] (x, y) of a grid's pixel centres in 0..1."""
    y = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
    x = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
    return torch.stack((x[None].expand(height, width), y[:, None].expand(height, width)), -1).flatten(0, 1)
