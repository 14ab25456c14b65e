# SPDX-License-Identifier: Apache-2.0
"""DaViT d3 and d5: timm's network, raw stage outputs.

Reference: Ding et al., "DaViT: Dual Attention Vision Transformers" (2022). timm's `channel_attn_v2` is the form SEEM
uses: the query is scaled by tokens^-0.5, so the network depends on the resolution.
"""

from __future__ import annotations

from torch import Tensor, nn

from seem_ros.model.config import BackboneConfig


class DaViT(nn.Module):
    """Four maps at strides 4, 8, 16 and 32.

    Attributes:
        channels: channels of the four maps.
        fine_channels: 0, there is no stride-2 map.
    """

    fine_channels = 0

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        from timm.models.davit import DaVit

        self.channels = config.widths
        net = DaVit(
            num_classes=0,
            global_pool="",
            depths=config.depths,
            embed_dims=config.widths,
            num_heads=config.heads,
            window_size=7,
            down_kernel_size=config.down_kernel,
            channel_attn_v2=True,
            named_blocks=True,
            norm_eps=1e-5,
        )
        self.stem = net.stem
        self.stages = net.stages  # the classifier's norm stays behind: it has no official weights

    def forward(self, pixels: Tensor) -> tuple[list[Tensor], None]:
        """[N, 3, H, W] normalised -> ([N, channels[i], H / s, W / s] for s = 4, 8, 16, 32, no stride-2 map)."""
        x = self.stem(pixels)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps, None
