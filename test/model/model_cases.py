# SPDX-License-Identifier: Apache-2.0
"""A small model with the official architecture, and prompts for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from seem_ros.model.config import BackboneConfig, DecoderConfig, ModelConfig, PixelDecoderConfig, TextConfig
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors

DATA = Path(__file__).parent / "data"
DIM = 32
HW = (64, 96)


def small_config(rules: str = "v0") -> ModelConfig:
    """The official architecture with few channels."""
    return ModelConfig(
        name=f"small_{rules}",
        backbone=BackboneConfig("focal_dw", (8, 16, 32, 64), (1, 1, 1, 1)),
        pixel_decoder=PixelDecoderConfig(dim=DIM, mask_dim=DIM, ffn=64, layers=1, heads=4),
        text=TextConfig(dim=DIM, layers=2, heads=4),
        decoder=DecoderConfig(rules=rules, dim=DIM, heads=4, ffn=64, mask_dim=DIM),
    )


def prompts(count: int, points: int = 6, text: int = 5, references: int = 3, seed: int = 0) -> PromptTensors:
    """`count` different prompts of clicks on a picture of size HW; texts and references are off."""
    generator = torch.Generator().manual_seed(seed)
    out = PromptTensors.empty(
        1,
        count,
        points=points,
        text=text,
        references=references,
        dim=DIM,
        text_dim=DIM,
        mask_dim=DIM,
        mask_hw=(HW[0] // 4, HW[1] // 4),
    )
    out.points_xy[:] = torch.rand(out.points_xy.shape, generator=generator)
    out.points_label[:, :, :4] = 1
    out.points_label[:, :, 4] = -1
    out.text_tokens[:] = torch.randn(out.text_tokens.shape, generator=generator)
    out.text_embedding[:] = torch.randn(out.text_embedding.shape, generator=generator)
    out.reference_tokens[:] = torch.randn(out.reference_tokens.shape, generator=generator)
    out.reference_embedding[:] = torch.randn(out.reference_embedding.shape, generator=generator)
    return out


def select(batch: PromptTensors, rows: list[int]) -> PromptTensors:
    """Some prompts of a batch, in the given order."""
    return replace(batch, **{name: getattr(batch, name)[:, rows] for name in vars(batch)})
