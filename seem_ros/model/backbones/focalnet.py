# SPDX-License-Identifier: Apache-2.0
"""FocalNet in the two forms that SEEM's weights come in.

Reference: Yang et al., "Focal Modulation Networks" (2022), with the switches of SEEM's configurations: overlapping
stem and downsampling, scaled modulator, layer scale, norms after each branch, one more LayerNorm on every map that
leaves. timm has only the L form, so one class here serves both; the state-dict names are the official ones.

=====================  ===========================  =======================
                       "focal_dw" (T)               "focal" (L)
=====================  ===========================  =======================
depthwise residuals    before both branches         none
norms                  on the sum x + branch        on the branch
stem padding           3                            2
focal levels           3 (kernels 3, 5, 7)          4 (kernels 3, 5, 7, 9)
=====================  ===========================  =======================
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seem_ros.model.config import BackboneConfig
from seem_ros.model.layers import eager

LAYER_SCALE_INIT = 1e-4
ROWS = 2400  # of a map that an MLP takes at a time, where nothing is traced


class PatchEmbed(nn.Module):
    """Strided convolution, then LayerNorm over the channels; the stem and the downsampling between stages."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(dim_in, dim_out, kernel, stride, padding)
        self.norm = nn.LayerNorm(dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """[N, dim_in, H, W] -> [N, H / stride, W / stride, dim_out]."""
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class FocalModulation(nn.Module):
    """What takes the place of self attention: queries modulated by gated context of growing reach."""

    def __init__(self, dim: int, levels: int) -> None:
        super().__init__()
        self.dim, self.levels = dim, levels
        self.f = nn.Linear(dim, 2 * dim + levels + 1)
        self.h = nn.Conv2d(dim, dim, 1)
        self.proj = nn.Linear(dim, dim)
        self.focal_layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(dim, dim, 3 + 2 * level, padding=1 + level, groups=dim, bias=False), nn.GELU())
            for level in range(levels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, H, W, C] -> the same shape."""
        query, context, gates = self.f(x).split((self.dim, self.dim, self.levels + 1), dim=-1)
        context, gates = context.permute(0, 3, 1, 2), gates.permute(0, 3, 1, 2)
        gates = (gates / (self.levels + 1)).unbind(1)  # scaled modulator: the few gates, not the wide sum
        context = self.focal_layers[0](context)
        total = context * gates[0][:, None]
        for layer, gate in zip(self.focal_layers[1:], gates[1:]):
            context = layer(context)
            total = total.addcmul_(context, gate[:, None])
        everywhere = F.gelu(context.mean(dim=(2, 3), keepdim=True))
        total = total.addcmul_(everywhere, gates[-1][:, None])
        return self.proj(self.h(total).permute(0, 2, 3, 1).mul(query))


class Mlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        if not eager():
            return self.fc2(F.gelu(self.fc1(x)))
        # Some rows at a time: the hidden layer of a whole stride-4 map would leave the caches and cost new pages.
        out = torch.empty_like(x)
        for rows, result in zip(x.flatten(0, -2).split(ROWS), out.flatten(0, -2).split(ROWS)):
            result.copy_(self.fc2(F.gelu(self.fc1(rows))))
        return out


class FocalBlock(nn.Module):
    """Modulation and MLP, each a scaled residual branch; see the table above for the two forms."""

    def __init__(self, dim: int, levels: int, depthwise: bool) -> None:
        super().__init__()
        self.depthwise = depthwise
        if depthwise:
            self.dw1 = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
            self.dw2 = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.modulation = FocalModulation(dim, levels)
        self.mlp = Mlp(dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.gamma_1 = nn.Parameter(torch.full((dim,), LAYER_SCALE_INIT))
        self.gamma_2 = nn.Parameter(torch.full((dim,), LAYER_SCALE_INIT))

    def forward(self, x: Tensor) -> Tensor:
        """[N, H, W, C] -> the same shape."""
        if self.depthwise:
            x = self.dw1(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).add_(x)
            x = self.norm1(torch.addcmul(x, self.gamma_1, self.modulation(x)))
            x = self.dw2(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).add_(x)
            return self.norm2(torch.addcmul(x, self.gamma_2, self.mlp(x)))
        x = torch.addcmul(x, self.gamma_1, self.norm1(self.modulation(x)))
        return torch.addcmul(x, self.gamma_2, self.norm2(self.mlp(x)))


class FocalStage(nn.Module):
    """Blocks of one resolution and, except in the last stage, the downsampling to the next."""

    def __init__(self, dim: int, depth: int, levels: int, depthwise: bool, dim_next: int | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(FocalBlock(dim, levels, depthwise) for _ in range(depth))
        self.downsample = PatchEmbed(dim, dim_next, 3, 2, 1) if dim_next else None


class FocalNet(nn.Module):
    """Four maps at strides 4, 8, 16 and 32.

    Attributes:
        channels: channels of the four maps.
        fine_channels: 0, there is no stride-2 map.
    """

    fine_channels = 0

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.channels = config.widths
        depthwise = config.kind == "focal_dw"
        levels = 3 if depthwise else 4
        self.patch_embed = PatchEmbed(3, config.widths[0], 7, 4, 3 if depthwise else 2)
        following = (*config.widths[1:], None)
        self.layers = nn.ModuleList(
            FocalStage(dim, depth, levels, depthwise, dim_next)
            for dim, depth, dim_next in zip(config.widths, config.depths, following)
        )
        for i, dim in enumerate(config.widths):
            self.add_module(f"norm{i}", nn.LayerNorm(dim))

    def forward(self, pixels: Tensor) -> tuple[list[Tensor], None]:
        """Compute the maps.

        Args:
            pixels: [N, 3, H, W] normalised; H and W multiples of 32.

        Returns:
            [N, channels[i], H / s, W / s] for s = 4, 8, 16, 32, and no stride-2 map.
        """
        x = self.patch_embed(pixels)
        maps = []
        for i, stage in enumerate(self.layers):
            for block in stage.blocks:
                x = block(x)
            maps.append(getattr(self, f"norm{i}")(x).permute(0, 3, 1, 2))
            if stage.downsample is not None:  # reads the map before its outgoing LayerNorm
                x = stage.downsample(x.permute(0, 3, 1, 2))
        return maps, None
