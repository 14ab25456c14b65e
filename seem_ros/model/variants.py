# SPDX-License-Identifier: Apache-2.0
"""The released SEEM variants by name, as data.

``<backbone>_<rules>``: the rules v0, v1 and demo share one state-dict layout, and demo runs v0's weights.
"""

from __future__ import annotations

from seem_ros.errors import ModelError
from seem_ros.model.config import LITE, PICO, BackboneConfig, DecoderConfig, ModelConfig, PixelDecoderConfig
from seem_ros.model.seem import Seem

BACKBONES: dict[str, BackboneConfig] = {
    "focalt": BackboneConfig("focal_dw", (96, 192, 384, 768), (2, 2, 6, 2)),
    "focall": BackboneConfig("focal", (192, 384, 768, 1536), (2, 2, 18, 2)),
    "davitd3": BackboneConfig("davit", (128, 256, 512, 1024), (1, 1, 9, 1), heads=(4, 8, 16, 32), down_kernel=2),
    "davitd5": BackboneConfig("davit", (256, 512, 1024, 2048), (1, 1, 9, 1), heads=(8, 16, 32, 64), down_kernel=3),
    "samvitb": BackboneConfig(
        "sam_vit", (128, 256, 512, 1024), (12,), heads=(12,), trunk_dim=768, global_blocks=(2, 5, 8, 11)
    ),
    "samvitl": BackboneConfig(
        "sam_vit", (128, 256, 512, 1024), (24,), heads=(16,), trunk_dim=1024, global_blocks=(5, 11, 17, 23)
    ),
}
RULES_OF: dict[str, tuple[str, ...]] = {
    name: ("v0", "v1", "demo") if name.startswith("focal") else ("v1",) for name in BACKBONES
}
OFFICIAL = tuple(f"{backbone}_{rules}" for backbone, every in RULES_OF.items() for rules in every)


def official_config(backbone: str, rules: str) -> ModelConfig:
    """Configuration of one official variant.

    Args:
        backbone: a key of `BACKBONES`.
        rules: "v0", "v1" or "demo"; any backbone may run any of them, whatever was released.

    Raises:
        ModelError: unknown backbone or rules.
    """
    if backbone not in BACKBONES:
        raise ModelError(f"unknown backbone {backbone!r}; known are {', '.join(BACKBONES)}")
    if rules not in ("v0", "v1", "demo"):
        raise ModelError(f"unknown rules {rules!r}; official models have v0, v1 or demo")
    sam = backbone.startswith("sam")
    return ModelConfig(
        name=f"{backbone}_{rules}",
        backbone=BACKBONES[backbone],
        pixel_decoder=PixelDecoderConfig(kind="deform" if sam else "fpn"),
        decoder=DecoderConfig(rules=rules),
        size_divisor=1024 if sam else 32,
    )


def model_config(name: str) -> ModelConfig:
    """Configuration by name: one of `OFFICIAL`, ``builtin`` (or its own name, ``lite``), or the older ``pico``.

    Raises:
        ModelError: the name is unknown; the message lists the known ones.
    """
    if name in ("builtin", LITE.name):
        return LITE
    if name == PICO.name:
        return PICO
    if name not in OFFICIAL:
        raise ModelError(f"unknown model {name!r}; known are {', '.join((*OFFICIAL, 'builtin', PICO.name))}")
    return official_config(*name.split("_"))


def build_model(name: str) -> Seem:
    """Make a model by name, with untrained weights, in evaluation mode.

    Raises:
        ModelError: the name is unknown.
    """
    return Seem(model_config(name)).eval()
