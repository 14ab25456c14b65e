# SPDX-License-Identifier: Apache-2.0
"""The whole model: image encoder, text encoder and query decoder."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from seem_ros.errors import ModelError
from seem_ros.model.config import ModelConfig, with_rules
from seem_ros.model.layers import traced
from seem_ros.model.query_decoder.attention_rules import RULES
from seem_ros.model.query_decoder.decoder import QueryDecoder
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors
from seem_ros.model.query_decoder.tensors import Decoded, ImageTensors, OfficialCall, QueryState
from seem_ros.model.unfilled import unfilled

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
        from seem_ros.model.pixel_decoder.factory import build_pixel_decoder
        from seem_ros.model.text.encoder import TextEncoder

        self.config = config
        self.backbone = build_backbone(config.backbone)
        self.pixel_decoder = build_pixel_decoder(self.backbone, config.pixel_decoder)
        self.text_encoder = TextEncoder(config.text)
        self.decoder = QueryDecoder(config.decoder, config.text.dim, self.pixel_decoder.mask_features)
        self.make_constants()

    def make_constants(self) -> None:
        """Sets the buffers that no state dict holds (again, for a model that was built without storage)."""
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN)[:, None, None], persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD)[:, None, None], persistent=False)

    def with_rules(self, rules: str) -> Seem:
        """The same weights under other attention rules ("v0", "v1", "demo"), sharing their storage.

        Raises:
            ModelError: the rules are unknown.
        """
        if rules not in RULES:
            raise ModelError(f"unknown rules {rules!r}; known are {', '.join(RULES)}")
        config = with_rules(self.config, rules)
        if "_" in config.name:  # official variants are named <backbone>_<rules>
            config = replace(config, name=f"{config.name.split('_')[0]}_{rules}")
        with unfilled():
            other = Seem(config)
        other.load_state_dict(self.state_dict(), assign=True)
        other.make_constants()
        return other.requires_grad_(False).to(self.pixel_mean.device).train(self.training)

    def normalise(self, rgb: Tensor, channels_last: bool = False) -> Tensor:
        """RGB in 0..255 (float or uint8) -> normalised float; pad afterwards, with zeros.

        Args:
            rgb: [N, 3, H, W], or [N, H, W, 3] with `channels_last`; the result has the same shape.
        """
        mean, std = self.pixel_mean, self.pixel_std
        if channels_last:
            mean, std = mean.flatten(), std.flatten()
        return (rgb.to(mean.dtype) - mean) / std

    def encode_image(self, pixels: Tensor, fold: bool | None = None) -> ImageTensors:
        """Encodes pictures.

        Args:
            pixels: [N, 3, H, W] normalised, H and W multiples of the size divisor.
            fold: do not make the mask features but fold their convolution into what reads them (`mask_features.py`):
                the same answers up to rounding. Default: wherever the model has no finer masks that need them.

        Raises:
            ModelError: the tensor is not a batch of RGB pictures, the size does not fit, or there is no one convolution
                to fold.
        """
        if pixels.dim() != 4 or pixels.shape[1] != 3 or not pixels.is_floating_point():
            raise ModelError(f"pixels must be floating point [N, 3, H, W], got {pixels.dtype} {tuple(pixels.shape)}")
        height, width = pixels.shape[-2:]
        divisor = self.config.size_divisor
        if height % divisor or width % divisor or not height or not width:
            raise ModelError(
                f"{self.config.name} reads pictures padded to multiples of {divisor}, got {height}x{width}"
            )
        maps, fine = self.backbone(pixels)
        one = isinstance(self.pixel_decoder.mask_features, nn.Conv2d)
        if fold and not one:
            raise ModelError(f"{self.config.name} makes its mask features in several steps, which cannot be folded")
        if fold is None:
            fold = one and not self.config.decoder.fine_dim
        if fold:
            levels, source = self.pixel_decoder.pyramid(maps)
            del maps, fine  # a tenth of what the rest needs at most
            return self.decoder.prepare(levels, None, None, source)
        return self.decoder.prepare(*self.pixel_decoder(maps, fine))

    def encode_text(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids [N, L] -> token features [N, L, D] and pooled embeddings [N, D] (not normalised)."""
        return self.text_encoder(ids)

    def decode(self, image: ImageTensors, prompts: PromptTensors, official: OfficialCall | None = None) -> Decoded:
        """Answers prompts; see `QueryDecoder.decode`.

        Raises:
            PromptError: a prompt cannot be used (`PromptTensors.check`).
        """
        if not traced():
            prompts.check()
        return self.decoder.decode(image, prompts, official)

    def decode_objects(self, image: ImageTensors) -> list[QueryState]:
        """Runs the object queries; see `QueryDecoder.decode_objects`."""
        return self.decoder.decode_objects(image)
