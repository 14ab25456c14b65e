# SPDX-License-Identifier: Apache-2.0
"""Pixel decoder of the Focal and DaViT variants: a transformer encoder on the coarsest map, then a feature pyramid.

Reference: X-Decoder / SEEM `transformer_encoder_fpn`. The built-in model uses the same class with batch norm, a
narrower stride-4 level, projected positions in it, mask features at stride 2 and bottlenecks for its 3x3 convolutions;
these are off in every official variant.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from seem_ros.model.config import PixelDecoderConfig
from seem_ros.model.layers import Attention, eager
from seem_ros.model.pixel_decoder.fused_lateral import convolved_sum, worthwhile
from seem_ros.model.position import grid_sine, sine_position


class ConvNorm(nn.Conv2d):
    """Convolution without bias, norm, optional ReLU; keys `weight` and `norm.*`."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int, norm: str, relu: bool) -> None:
        super().__init__(dim_in, dim_out, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(32, dim_out) if norm == "gn" else nn.BatchNorm2d(dim_out)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """[N, dim_in, h, w] -> [N, dim_out, h, w]."""
        return self.finish(super().forward(x))

    def finish(self, x: Tensor) -> Tensor:
        """What follows the convolution."""
        x = self.norm(x)
        return x.relu_() if self.relu else x  # in place: the stride-4 maps are the largest of all


class EncoderLayer(nn.Module):
    """Post-norm transformer layer with ReLU; the position enters queries and keys only."""

    def __init__(self, dim: int, heads: int, ffn: int) -> None:
        super().__init__()
        self.self_attn = Attention(dim, heads)
        self.linear1 = nn.Linear(dim, ffn)
        self.linear2 = nn.Linear(ffn, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        """[N, L, C] with positions [1, L, C] -> [N, L, C]."""
        placed = x + position
        x = self.norm1(x + self.self_attn(placed, self.self_attn.keys(placed), self.self_attn.values(x)))
        return self.norm2(x + self.linear2(self.linear1(x).relu()))


def bottleneck_layer(inside: int, dim_out: int, norm: str) -> nn.Sequential:
    """A 3x3 convolution on `inside` channels and a 1x1 one to `dim_out`, with norm and ReLU.

    What feeds it, 1x1 convolutions at other sizes as well, makes `inside` channels right away. Together a full 3x3
    convolution in Tucker's form: Kim et al., "Compression of Deep Convolutional Neural Networks" (2016), section 3.
    """
    return nn.Sequential(
        nn.Conv2d(inside, inside, 3, padding=1, bias=False), ConvNorm(inside, dim_out, 1, norm, relu=True)
    )


class PixelDecoderFPN(nn.Module):
    """Maps of a backbone -> three level maps (strides 32, 16, 8) and mask features (stride 4, optionally 2)."""

    def __init__(self, channels: tuple[int, ...], config: PixelDecoderConfig, fine_channels: int = 0) -> None:
        super().__init__()
        c, self.config = config.dim, config
        width = config.mask_width or c
        self.input_proj = nn.Conv2d(channels[3], c, 1)
        self.transformer = nn.Module()
        self.transformer.encoder = nn.Module()
        self.transformer.encoder.layers = nn.ModuleList(
            EncoderLayer(c, config.heads, config.ffn) for _ in range(config.layers)
        )
        self.layer_4 = ConvNorm(c, c, 3, config.norm, relu=True)
        part = config.bottleneck or 1
        for k, size in ((3, c), (2, c), (1, width)):
            inside = size // part
            self.add_module(f"adapter_{k}", ConvNorm(channels[k - 1], inside, 1, config.norm, relu=False))
            self.add_module(f"layer_{k}", self._layer(size))
            if k > 1 and config.bottleneck:
                self.add_module(f"top_{k}", nn.Conv2d(c, inside, 1, bias=False))
        self.narrow = nn.Conv2d(c, width // part, 1) if width // part != c else nn.Identity()
        self.mask_features: nn.Module = nn.Conv2d(width, config.mask_dim, 3, padding=1)
        if config.bottleneck:
            self.mask_features = nn.Sequential(
                nn.Conv2d(width, width // part, 1, bias=False),
                nn.Conv2d(width // part, width // part, 3, padding=1, bias=False),
                nn.Conv2d(width // part, config.mask_dim, 1),
            )
        self.octaves = 8
        if config.mask_position:
            self.mask_position = nn.Conv2d(4 * self.octaves, width, 1, bias=False)
        if config.fine_dim:
            self.fine_lateral = nn.Conv2d(fine_channels, config.fine_dim // part, 1)
            self.fine_top = nn.Conv2d(width, config.fine_dim // part, 1)
            self.fine_layer = self._layer(config.fine_dim)
            self.fine_features = nn.Conv2d(config.fine_dim, config.fine_dim, 1)

    def _layer(self, size: int) -> nn.Module:
        if self.config.bottleneck:
            return bottleneck_layer(size // self.config.bottleneck, size, self.config.norm)
        return ConvNorm(size, size, 3, self.config.norm, relu=True)

    def forward(self, maps: list[Tensor], fine: Tensor | None = None) -> tuple[list[Tensor], Tensor, Tensor | None]:
        """Runs the decoder.

        Args:
            maps: [N, C_i, H/s, W/s] for s = 4, 8, 16, 32.
            fine: [N, C, H/2, W/2], only read when the configuration has `fine_dim`.

        Returns:
            levels [N, dim, h, w] at strides 32, 16, 8; mask features [N, mask_dim, H/4, W/4]; fine mask features
            [N, fine_dim, H/2, W/2] or None.
        """
        levels, y = self.pyramid(maps)
        features = self.mask_features(y)
        if not self.config.fine_dim:
            return levels, features, None
        assert fine is not None, "fine_dim reads the backbone's stride-2 map"
        top = F.interpolate(self.fine_top(y), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return levels, features, self.fine_features(self.fine_layer(top + self.fine_lateral(fine)))

    def pyramid(self, maps: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Returns the three level maps and the stride-4 map that the last convolution `mask_features` reads."""
        x = self.input_proj(maps[3])
        n, c, h, w = x.shape
        position = sine_position(h, w, c, x.device).flatten(2).transpose(1, 2)
        tokens = x.flatten(2).transpose(1, 2)
        for layer in self.transformer.encoder.layers:
            tokens = layer(tokens, position)
        y = self.layer_4(tokens.transpose(1, 2).reshape(n, c, h, w))
        levels = [y]
        for k, layer, adapter in ((3, self.layer_3, self.adapter_3), (2, self.layer_2, self.adapter_2)):
            top = getattr(self, f"top_{k}")(y) if self.config.bottleneck else y
            y = self._step(maps[k - 1], top, adapter, layer)
            levels.append(y)
        y = self._step(maps[0], self.narrow(y), self.adapter_1, self.layer_1)
        if self.config.mask_position:
            y = y + self.mask_position(grid_sine(*y.shape[-2:], self.octaves, y.device).to(y.dtype))
        return levels, y

    def _step(self, lateral: Tensor, top: Tensor, adapter: ConvNorm, layer: nn.Module) -> Tensor:
        """The pyramid's next finer map [N, C, 2 h, 2 w], of a backbone's map and the coarser one [N, C, h, w]."""
        if isinstance(layer, ConvNorm) and eager() and worthwhile(lateral, adapter, layer):
            return layer.finish(convolved_sum(lateral, top, adapter, layer))
        lateral = adapter(lateral)
        return layer(lateral + F.interpolate(top, size=lateral.shape[-2:], mode="nearest"))
