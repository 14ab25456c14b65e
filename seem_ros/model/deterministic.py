# SPDX-License-Identifier: Apache-2.0
"""Weights made from the names of the tensors: no download, the same on every machine, for parity tests and benches.

The rule is that of the golden fixtures: normal noise from NumPy's frozen legacy generator, seeded with the CRC-32 of
the official key, scaled so that activations stay of order one and the thresholds in the attention do not amplify
rounding.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

CONSTANTS = frozenset({"criterion.empty_weight", "dilation_kernel", "pixel_mean", "pixel_std"})

# What a key contains (first match) -> mean and deviation of a plain normal.
_PLAIN: tuple[tuple[str, float, float], ...] = (
    ("logit_scale", 5.3, 0.0),
    (".gamma_", 0.5, 0.05),
    ("token_embedding", 0.0, 1.0),
    ("positional_embedding", 0.0, 0.1),
    ("query_feat", 0.0, 1.0),
    ("query_embed", 0.0, 1.0),
    ("level_embed", 0.0, 0.3),
    ("pn_indicator", 0.0, 0.5),
    ("spatial_embed", 0.0, 1.0),
    ("spatial_featured", 0.0, 1.0),
    ("backbone.pos_embed", 0.0, 0.3),
    (".rel_pos_", 0.0, 0.1),
    ("sampling_offsets.bias", 0.0, 2.0),
)
# What the key of a matrix or kernel contains (first match) -> gain over 1 / sqrt(fan in).
_GAINS: tuple[tuple[str, float], ...] = (
    (".attn.in_proj_weight", 2.0),
    (".attn.out_proj.weight", 0.5),
    ("mlp.c_proj.weight", 0.5),
    ("multihead_attn.out_proj.weight", 0.1),
    ("self_attn.out_proj.weight", 0.3),
    ("linear2.weight", 0.5),
    ("predictor.mask_embed", 1.4),
    ("sampling_offsets.weight", 0.5),
    (".fn.dw.weight", 0.2),
    ("backbone.patch_embed.proj.weight", 2.0),
)
_CENTRED_FAN_IN = 64  # rows at least this long lose their mean, which cancels the constant part of ReLU outputs


def deterministic_array(name: str, shape: Iterable[int]) -> np.ndarray:
    """The tensor that belongs to an official key.

    Args:
        name: official state-dict key.
        shape: its shape.

    Returns:
        float32 array.
    """
    shape = tuple(int(size) for size in shape)
    noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    for part, mean, deviation in _PLAIN:
        if part in name:
            return np.asarray(mean + deviation * noise, np.float32)
    if len(shape) < 2:
        return np.asarray(1.0 + 0.1 * noise if name.endswith("weight") else 0.05 * noise, np.float32)
    rows = noise.reshape(shape[0], -1)
    fan_in = rows.shape[1]
    if fan_in >= _CENTRED_FAN_IN:
        rows = rows - rows.mean(axis=1, keepdims=True)
    gain = next((gain for part, gain in _GAINS if part in name), 1.0)
    return np.asarray((rows * (gain / np.sqrt(fan_in))).reshape(shape), np.float32)


def deterministic_state(shapes: Mapping[str, Iterable[int]]) -> dict[str, Tensor]:
    """A whole official state dict, without the constants that a model computes itself.

    Args:
        shapes: official key -> shape.
    """
    return {
        name: torch.from_numpy(deterministic_array(name, shape))
        for name, shape in shapes.items()
        if name not in CONSTANTS
    }
