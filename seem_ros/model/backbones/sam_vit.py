# SPDX-License-Identifier: Apache-2.0
"""SAM's ViT-B and ViT-L with SEEM's four-branch neck: timm's trunk, our neck.

Reference: Li et al., "Exploring Plain Vision Transformer Backbones" (2022) and Segment Anything; SEEM
replaces the neck. The official position table is added without interpolation, so the input is always 1024 x 1024.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from seem_ros.errors import ModelError
from seem_ros.model.config import BackboneConfig

INPUT_SIDE = 1024


def _norm(dim: int) -> nn.GroupNorm:
    return nn.GroupNorm(1, dim)


class SimpleNeck(nn.Module):
    """One stride-16 map -> maps at strides 4, 8, 16, 32, each from the trunk's output alone."""

    def __init__(self, dim: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        fine, coarse = max(256, dim // 2), max(1024, 2 * dim)
        self.down_4 = nn.Sequential(
            nn.ConvTranspose2d(dim, fine, 2, 2),
            _norm(fine),
            nn.GELU(),
            nn.ConvTranspose2d(fine, fine // 2, 2, 2),
            _norm(fine // 2),
            nn.Conv2d(fine // 2, widths[0], 1),
            _norm(widths[0]),
            nn.GELU(),
        )
        self.down_8 = nn.Sequential(
            nn.ConvTranspose2d(dim, fine, 2, 2), _norm(fine), nn.Conv2d(fine, widths[1], 1), _norm(widths[1]), nn.GELU()
        )
        self.down_16 = nn.Sequential(nn.Conv2d(dim, widths[2], 1), _norm(widths[2]), nn.GELU())
        self.down_32 = nn.Sequential(
            nn.Conv2d(dim, coarse, 2, 2), _norm(coarse), nn.Conv2d(coarse, widths[3], 1), _norm(widths[3]), nn.GELU()
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """[N, dim, h, w] -> [N, widths[i], ...] at 4, 2, 1 and 1/2 times the size."""
        return [self.down_4(x), self.down_8(x), self.down_16(x), self.down_32(x)]


class SamViT(nn.Module):
    """Four maps at strides 4, 8, 16 and 32 of a 1024 x 1024 input.

    Attributes:
        channels: channels of the four maps.
        fine_channels: 0, there is no stride-2 map.
    """

    fine_channels = 0

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        from timm.models.vision_transformer_sam import VisionTransformerSAM

        self.channels = config.widths
        self.trunk = VisionTransformerSAM(
            img_size=INPUT_SIDE,
            num_classes=0,
            embed_dim=config.trunk_dim,
            depth=config.depths[0],
            num_heads=config.heads[0],
            use_abs_pos=True,
            use_rel_pos=True,
            window_size=14,
            global_attn_indexes=config.global_blocks,
            neck_chans=0,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            global_pool="",
        )
        self.trunk.neck = nn.Identity()  # timm would put a LayerNorm here that SEEM's trunk does not have
        self.neck = SimpleNeck(config.trunk_dim, config.widths)

    def forward(self, pixels: Tensor) -> tuple[list[Tensor], None]:
        """[N, 3, 1024, 1024] normalised -> (maps at strides 4, 8, 16, 32, no stride-2 map).

        Raises:
            ModelError: the input has another size; timm would silently resample the position table.
        """
        if tuple(pixels.shape[-2:]) != (INPUT_SIDE, INPUT_SIDE):
            raise ModelError(f"SAM-ViT variants read {INPUT_SIDE}x{INPUT_SIDE} pixels, got {tuple(pixels.shape[-2:])}")
        # timm's own forward resamples the position table whenever it is exported, here to the size it has already.
        tokens = self.trunk.patch_embed(pixels) + self.trunk.pos_embed
        return self.neck(self.trunk.blocks(tokens).permute(0, 3, 1, 2)), None
