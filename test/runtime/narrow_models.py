# SPDX-License-Identifier: Apache-2.0
"""Official architectures, narrowed, with deterministic weights."""

from __future__ import annotations

from dataclasses import replace

import torch

from seem_ros.model.deterministic import deterministic_array
from seem_ros.model.seem import Seem
from seem_ros.model.variants import model_config


def narrow_model(variant: str) -> Seem:
    """``focalt_v0`` with one block a stage, or ``samvitb_v1`` with one block of windows and one that sees all."""
    config = model_config(variant)
    sam = variant.startswith("sam")
    backbone = {"widths": (16, 24, 32, 40), "depths": (1, 1, 1, 1)}
    if sam:
        backbone = {"widths": (8, 8, 16, 16), "depths": (2,), "heads": (1,), "trunk_dim": 16, "global_blocks": (1,)}
    config = replace(
        config,
        backbone=replace(config.backbone, **backbone),
        pixel_decoder=replace(config.pixel_decoder, dim=32, mask_dim=32, ffn=64, layers=1, heads=2 if sam else 4),
        text=replace(config.text, dim=32, layers=1, heads=4, length=16),
        decoder=replace(
            config.decoder, dim=32, heads=4, ffn=64, levels=(0, 1, 2), object_queries=101, memory_slots=4, mask_dim=32
        ),
    )
    model = Seem(config).eval()
    state = {
        k: torch.from_numpy(deterministic_array(k, tuple(v.shape))) if v.is_floating_point() else v
        for k, v in model.state_dict().items()
    }
    model.load_state_dict(state)
    return model
