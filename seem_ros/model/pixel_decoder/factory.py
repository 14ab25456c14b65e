# SPDX-License-Identifier: Apache-2.0
"""Which pixel decoder follows which backbone."""

from __future__ import annotations

from torch import nn

from seem_ros.errors import ModelError
from seem_ros.model.config import PixelDecoderConfig


def build_pixel_decoder(backbone: nn.Module, config: PixelDecoderConfig) -> nn.Module:
    """Make the pixel decoder that `config.kind` names, with untrained weights.

    Args:
        backbone: what it will read; its `channels` and `fine_channels` fix the sizes.
        config: kind and sizes.

    Raises:
        ModelError: the kind is unknown.
    """
    if config.kind == "fpn":
        from seem_ros.model.pixel_decoder.fpn import PixelDecoderFPN

        return PixelDecoderFPN(backbone.channels, config, backbone.fine_channels)
    if config.kind == "deform":
        from seem_ros.model.pixel_decoder.deformable import PixelDecoderDeform

        return PixelDecoderDeform(backbone.channels, config)
    raise ModelError(f"unknown pixel decoder {config.kind!r}; known are fpn and deform")
