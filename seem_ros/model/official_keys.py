# SPDX-License-Identifier: Apache-2.0
"""Names of the official state dict for our modules.

Most of our modules carry the official names; what timm and transformers provide carries theirs. One direction is
written down (ours to official), the other follows from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_PREDICTOR = "sem_seg_head.predictor."
_LANGUAGE = _PREDICTOR + "lang_encoder."
_TOWER = _LANGUAGE + "lang_encoder."
_BLOCK = r"text_encoder\.tower\.encoder\.layers\.(\d+)\."

# (our name as a pattern, the official one), applied in order until one fits; a third of a fused matrix is named
# "<name>#<part>".
_TEXT = (
    (r"text_encoder\.(lang_proj|logit_scale)", _LANGUAGE + r"\1"),
    (r"text_encoder\.tower\.embeddings\.token_embedding\.weight", _TOWER + "token_embedding.weight"),
    (r"text_encoder\.tower\.embeddings\.position_embedding\.weight", _TOWER + "positional_embedding"),
    (r"text_encoder\.tower\.final_layer_norm\.(.*)", _TOWER + r"ln_final.\1"),
    (_BLOCK + r"self_attn\.q_proj\.(.*)", _TOWER + r"resblocks.\1.attn.in_proj_\2#0"),
    (_BLOCK + r"self_attn\.k_proj\.(.*)", _TOWER + r"resblocks.\1.attn.in_proj_\2#1"),
    (_BLOCK + r"self_attn\.v_proj\.(.*)", _TOWER + r"resblocks.\1.attn.in_proj_\2#2"),
    (_BLOCK + r"self_attn\.out_proj\.(.*)", _TOWER + r"resblocks.\1.attn.out_proj.\2"),
    (_BLOCK + r"layer_norm(\d)\.(.*)", _TOWER + r"resblocks.\1.ln_\2.\3"),
    (_BLOCK + r"mlp\.fc1\.(.*)", _TOWER + r"resblocks.\1.mlp.c_fc.\2"),
    (_BLOCK + r"mlp\.fc2\.(.*)", _TOWER + r"resblocks.\1.mlp.c_proj.\2"),
)
_DAVIT = (
    (r"backbone\.stem\.conv\.(.*)", r"backbone.convs.0.proj.\1"),
    (r"backbone\.stem\.norm\.(.*)", r"backbone.convs.0.norm.\1"),
    (r"backbone\.stages\.(\d+)\.downsample\.conv\.(.*)", r"backbone.convs.\1.proj.\2"),
    (r"backbone\.stages\.(\d+)\.downsample\.norm\.(.*)", r"backbone.convs.\1.norm.\2"),
    (
        r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.(\w+)_block\.cpe(\d)\.proj\.(.*)",
        r"backbone.blocks.\1.\2.\3_block.conv\4.fn.dw.\5",
    ),
    (
        r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.spatial_block\.norm1\.(.*)",
        r"backbone.blocks.\1.\2.spatial_block.window_attn.norm.\3",
    ),
    (
        r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.spatial_block\.attn\.(.*)",
        r"backbone.blocks.\1.\2.spatial_block.window_attn.fn.\3",
    ),
    (
        r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.channel_block\.norm1\.(.*)",
        r"backbone.blocks.\1.\2.channel_block.channel_attn.norm.\3",
    ),
    (
        r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.channel_block\.attn\.(.*)",
        r"backbone.blocks.\1.\2.channel_block.channel_attn.fn.\3",
    ),
    (
        r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.(\w+)_block\.norm2\.(.*)",
        r"backbone.blocks.\1.\2.\3_block.ffn.norm.\4",
    ),
    (
        r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.(\w+)_block\.mlp\.(.*)",
        r"backbone.blocks.\1.\2.\3_block.ffn.fn.net.\4",
    ),
)
_SAM = (
    (r"backbone\.trunk\.(blocks\.\d+\.mlp\.)fc(\d)\.(.*)", r"backbone.\1lin\2.\3"),
    (r"backbone\.trunk\.(.*)", r"backbone.\1"),
)
_SAME_NAMES = (
    (r"(backbone\..*)", r"\1"),
    (r"pixel_decoder\.(.*)", r"sem_seg_head.pixel_decoder.\1"),
    (r"decoder\.(.*)", _PREDICTOR + r"\1"),
)


def official_name(name: str) -> tuple[str, int | None]:
    """Official key of one of our tensors.

    Returns:
        The key, and which third of its first axis ours is (None: all of it).
    """
    for pattern, replacement in (*_TEXT, *_DAVIT, *_SAM, *_SAME_NAMES):
        match = re.fullmatch(pattern, name)
        if match:
            official, _, part = match.expand(replacement).partition("#")
            return official, int(part) if part else None
    return name, None


def official_shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Official keys and shapes for a state dict of ours, in our order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in state.items():
        official, part = official_name(name)
        shapes[official] = tuple(tensor.shape) if part is None else (3 * tensor.shape[0], *tensor.shape[1:])
    return shapes


def to_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of ours under the official names, so that the official code reads it."""
    parts: dict[str, dict[int, Tensor]] = {}
    for name, tensor in state.items():
        official, part = official_name(name)
        parts.setdefault(official, {})[part or 0] = tensor
    return {name: some[0] if len(some) == 1 else torch.cat([some[i] for i in range(3)]) for name, some in parts.items()}


def from_official(official: Mapping[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    """Tensors for our `names` out of a state dict that has the official keys (no copies).

    Raises:
        KeyError: a key is missing.
    """
    out = {}
    for name in names:
        key, part = official_name(name)
        out[name] = official[key] if part is None else official[key].chunk(3)[part]
    return out
