# SPDX-License-Identifier: Apache-2.0
"""Image backbones: each gives four maps at strides 4, 8, 16 and 32, and some one more at stride 2."""

from __future__ import annotations

from torch import nn

from seem_ros.errors import ModelError
from seem_ros.model.config import BackboneConfig


def build_backbone(config: BackboneConfig) -> nn.Module:
    """Make the backbone that `config.kind` names, with untrained weights.

    Returns:
        A module with `channels` (of the four maps), `fine_channels` (0 without a stride-2 map) and
        ``forward(pixels [N, 3, H, W]) -> (maps, fine map or None)``.

    Raises:
        ModelError: the kind is unknown.
    """
    # timm takes seconds to import, and a FocalNet does not need it.
    if config.kind in ("focal_dw", "focal"):
        from seem_ros.model.backbones.focalnet import FocalNet

        return FocalNet(config)
    if config.kind == "davit":
        from seem_ros.model.backbones.davit import DaViT

        return DaViT(config)
    if config.kind == "sam_vit":
        from seem_ros.model.backbones.sam_vit import SamViT

        return SamViT(config)
    if config.kind == "resnet":
        from seem_ros.model.backbones.resnet import SmallResNet

        return SmallResNet(config)
    if config.kind == "efficientnet_lite":
        from seem_ros.model.backbones.efficientnet_lite import EfficientNetLite

        return EfficientNetLite(config)
    known = "focal_dw, focal, davit, sam_vit, resnet and efficientnet_lite"
    raise ModelError(f"unknown backbone {config.kind!r}; known are {known}")
