# SPDX-License-Identifier: Apache-2.0
"""What a SEEM is made of, as plain values: one configuration per released variant and one for the built-in model.

Everything that goes beyond the official architecture is a field whose default is "off"; a field that is off adds no
parameter, so that an official state dict fits an official configuration key by key.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from seem_ros.errors import ModelError


@dataclass(frozen=True)
class BackboneConfig:
    """Image backbone with four maps at strides 4, 8, 16 and 32.

    Attributes:
        kind: "focal_dw" (FocalNet-T of SEEM), "focal" (FocalNet-L), "davit", "sam_vit", "resnet" or
            "efficientnet_lite" (timm).
        widths: channels of the four maps.
        depths: blocks per stage (sam_vit: one number, the trunk's depth; efficientnet_lite: none, its variant says).
        heads: attention heads per stage (davit) or of the trunk (sam_vit); empty elsewhere.
        down_kernel: kernel of DaViT's downsampling (2 for d3, 3 for d5).
        trunk_dim: width of the ViT trunk (sam_vit).
        global_blocks: ViT blocks with global attention (sam_vit).
        stem_width: width of the deep stem (resnet); its stride-2 map has twice as many channels.
        variant: "lite0", "lite1" or "lite2" (efficientnet_lite); empty elsewhere.
    """

    kind: str = "focal_dw"
    widths: tuple[int, ...] = (96, 192, 384, 768)
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = ()
    down_kernel: int = 2
    trunk_dim: int = 0
    global_blocks: tuple[int, ...] = ()
    stem_width: int = 0
    variant: str = ""


@dataclass(frozen=True)
class PixelDecoderConfig:
    """Pixel decoder.

    Attributes:
        kind: "fpn" (transformer encoder + FPN) or "deform" (deformable encoder).
        dim: channels of the three level maps.
        mask_dim: channels of the mask features.
        ffn: width of the feed-forward blocks.
        layers: transformer layers.
        heads: attention heads.
        norm: "gn" (official) or "bn" (folds into the convolution at export).
        mask_width: channels of the stride-4 map before the mask features; 0 = dim (official).
        mask_position: add a projected sine position to the stride-4 map.
        fine_dim: channels of additional stride-2 mask features; 0 = none (official).
        bottleneck: the 3x3 convolutions from stride 16 to the finest run on 1 / `bottleneck` of their channels, between
            1x1 ones; 0 = on all (official).
    """

    kind: str = "fpn"
    dim: int = 512
    mask_dim: int = 512
    ffn: int = 2048
    layers: int = 6
    heads: int = 8
    norm: str = "gn"
    mask_width: int = 0
    mask_position: bool = False
    fine_dim: int = 0
    bottleneck: int = 0


@dataclass(frozen=True)
class TextConfig:
    """CLIP-like text tower.

    Attributes:
        dim: width of the tower and of the joint embedding.
        layers: residual blocks.
        heads: attention heads.
        length: positions.
        vocab: size of the byte-pair vocabulary.
        token_rank: inner width of a factored token table; 0 = one full table (official).
    """

    dim: int = 512
    layers: int = 12
    heads: int = 8
    length: int = 77
    vocab: int = 49408
    token_rank: int = 0


@dataclass(frozen=True)
class DecoderConfig:
    """Query decoder.

    Attributes:
        rules: who attends to whom: a name of `seem_ros.model.query_decoder.attention_rules.RULES`.
        dim, heads, ffn: transformer sizes.
        levels: the feature level that each layer reads (0 = stride 32, 1 = 16, 2 = 8).
        object_queries: learned queries for panoptic output.
        prompt_queries: 0 = prompts copy the object queries (official); n = a prompt has n learned queries of its own.
        memory_slots: learned slots that read the image inside the previous mask.
        mask_dim: channels of the mask features.
        fine_dim: channels of the stride-2 mask features (0 = none).
        text_rows: text tokens evolve through the layers (official) or stay constant keys.
        box_head: every query predicts a box that gates its mask.
        presence_head: every query predicts whether what was asked for is there.
        prior: the prompt's geometry, its text and its reference start the query (see `query_decoder/prompt_prior.py`).
        refine_width: channels of the head that corrects masks near clicks (`query_decoder/mask_refiner.py`); 0 = none.
        refine_depthwise: depthwise filters per channel of that head's finer convolutions; 0 = full convolutions.
    """

    rules: str = "v0"
    dim: int = 512
    heads: int = 8
    ffn: int = 2048
    levels: tuple[int, ...] = (0, 1, 2, 0, 1, 2, 0, 1, 2)
    object_queries: int = 101
    prompt_queries: int = 0
    memory_slots: int = 32
    mask_dim: int = 512
    fine_dim: int = 0
    text_rows: bool = True
    box_head: bool = False
    presence_head: bool = False
    prior: bool = False
    refine_width: int = 0
    refine_depthwise: int = 0


@dataclass(frozen=True)
class ModelConfig:
    """A whole SEEM: name, parts and the rule that makes a network input of a picture."""

    name: str
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    pixel_decoder: PixelDecoderConfig = field(default_factory=PixelDecoderConfig)
    text: TextConfig = field(default_factory=TextConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    size_divisor: int = 32

    @property
    def mask_stride(self) -> int:
        """Stride of the finest mask logits that `decode` gives."""
        return 2 if self.decoder.fine_dim else 4

    def to_dict(self) -> dict[str, Any]:
        """Returns plain nested dicts, lists and numbers (for YAML)."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> ModelConfig:
        """Builds a configuration from `to_dict`'s output.

        Raises:
            ModelError: a field is unknown or a part is missing.
        """
        parts = {
            "backbone": BackboneConfig,
            "pixel_decoder": PixelDecoderConfig,
            "text": TextConfig,
            "decoder": DecoderConfig,
        }
        try:
            built = dict(values)
            for name, kind in parts.items():
                part = {k: tuple(v) if isinstance(v, list) else v for k, v in dict(values[name]).items()}
                built[name] = kind(**part)
            return ModelConfig(**built)
        except (KeyError, TypeError) as error:
            raise ModelError(f"model configuration: {error}; fields allowed are those of ModelConfig") from error


PICO = ModelConfig(
    name="pico",
    backbone=BackboneConfig(kind="resnet", widths=(48, 96, 160, 176), depths=(2, 2, 3, 2), stem_width=24),
    pixel_decoder=PixelDecoderConfig(
        dim=128, mask_dim=64, ffn=512, layers=2, heads=4, norm="bn", mask_width=64, mask_position=True, fine_dim=32
    ),
    text=TextConfig(dim=128, layers=2, heads=4, length=24, token_rank=32),
    decoder=DecoderConfig(
        rules="joint",
        dim=128,
        heads=4,
        ffn=512,
        levels=(0, 1, 2, 1, 2),
        object_queries=24,
        prompt_queries=1,
        memory_slots=4,
        mask_dim=64,
        fine_dim=32,
        text_rows=False,
        box_head=True,
        presence_head=True,
        prior=True,
    ),
)

LITE = ModelConfig(
    name="lite",
    backbone=BackboneConfig(kind="efficientnet_lite", widths=(24, 40, 112, 320), depths=(), variant="lite0"),
    pixel_decoder=PICO.pixel_decoder,
    text=PICO.text,
    decoder=replace(PICO.decoder, refine_width=24, refine_depthwise=2),
)
# With full 3x3 convolutions where masks are corrected, too, as older weights of the built-in model have them.
LITE_FULL = replace(LITE, name="lite_full", decoder=replace(LITE.decoder, refine_depthwise=0))
# With bottlenecks in place of the pyramid's full 3x3 convolutions, too.
LITE_SLIM = replace(LITE, name="lite_slim", pixel_decoder=replace(LITE.pixel_decoder, bottleneck=2))


def with_rules(config: ModelConfig, rules: str) -> ModelConfig:
    """Returns `config` with other attention rules; the state-dict layout stays the same."""
    return replace(config, decoder=replace(config.decoder, rules=rules))
