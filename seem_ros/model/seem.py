# SPDX-License-Identifier: Apache-2.0
"""The whole model: image encoder, text encoder and query decoder."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from seem_ros.model.config import ModelConfig
from seem_ros.model.decoder import Decoded, ImageTensors, QueryDecoder, QueryState
from seem_ros.model.prompt_tensors import PromptTensors

PIXEL_MEAN = (123.675, 116.280, 103.530)
PIXEL_STD = (58.395, 57.120, 57.375)


class Seem(nn.Module):
    """SEEM. Encode a picture once, a text once, then decode any number of prompts.

    Attributes:
        config: what it is made of.
        backbone, pixel_decoder, text_encoder, decoder: its parts.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        from seem_ros.model.backbones import build_backbone
        from seem_ros.model.pixel_decoders import build_pixel_decoder
        from seem_ros.model.text import TextEncoder

        self.config = config
        self.backbone = build_backbone(config.backbone)
        self.pixel_decoder = build_pixel_decoder(self.backbone, config.pixel_decoder)
        self.text_encoder = TextEncoder(config.text)
        self.decoder = QueryDecoder(config.decoder, config.text.dim)
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN)[:, None, None], persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD)[:, None, None], persistent=False)

    def normalise(self, rgb: Tensor) -> Tensor:
        """[N, 3, H, W] RGB in 0..255 (float or uint8) -> normalised float; pad afterwards, with zeros."""
        return (rgb.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_std

    def encode_image(self, pixels: Tensor) -> ImageTensors:
        """Encodes N normalised pictures [N, 3, H, W], H and W multiples of the size divisor."""
        maps = self.backbone(pixels)
        maps, fine = maps if isinstance(maps, tuple) else (maps, None)
        return self.decoder.prepare(*self.pixel_decoder(maps, fine))

    def encode_text(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids [N, L] -> token features [N, L, D] and pooled embeddings [N, D] (not normalised)."""
        return self.text_encoder(ids)

    def decode(self, image: ImageTensors, prompts: PromptTensors, query_indices: Tensor | None = None) -> Decoded:
        """Answers prompts; see `QueryDecoder.decode`."""
        return self.decoder.decode(image, prompts, query_indices)

    def decode_objects(self, image: ImageTensors) -> list[QueryState]:
        """Runs the object queries; see `QueryDecoder.decode_objects`."""
        return self.decoder.decode_objects(image)
