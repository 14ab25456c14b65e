# SPDX-License-Identifier: Apache-2.0
"""The built-in model's backbone: timm's ResNet with a deep stem, plain 3x3 blocks and narrow stages."""

from __future__ import annotations

from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn

from seem_ros.model.config import BackboneConfig


class SmallResNet(nn.Module):
    """timm ResNet that returns its stem's stride-2 map and the four stage maps.

    Attributes:
        channels: channels of the maps at strides 4, 8, 16, 32.
        fine_channels: channels of the stride-2 map.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.channels = config.widths
        self.fine_channels = 2 * config.stem_width
        self.net = ResNet(
            BasicBlock,
            config.depths,
            num_classes=0,
            global_pool="",
            stem_type="deep",
            stem_width=config.stem_width,
            channels=config.widths,
        )

    def forward(self, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
        """[N, 3, H, W] -> (maps at strides 4, 8, 16, 32; map at stride 2)."""
        net = self.net
        fine = net.act1(net.bn1(net.conv1(pixels)))
        x = net.maxpool(fine)
        maps = []
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = stage(x)
            maps.append(x)
        return maps, fine
