# SPDX-License-Identifier: Apache-2.0
"""Weights of the built-in model with fewer full convolutions out of those with more, by singular vectors alone.

- A full 3x3 convolution of the pixel decoder becomes one on fewer channels between two 1x1 ones (Tucker-2: Kim et al.,
  "Compression of Deep Convolutional Neural Networks", 2016, section 3), with the leading singular vectors of its
  input and output channels. What feeds it is linear, so the first 1x1 convolution goes into that.
- One of the mask refiner becomes depthwise filters and a mixture: per input channel, the leading singular vectors of
  its [outputs, 9] kernel.

The answers are near, not equal: `distil.py` brings them back.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from seem_ros.errors import CheckpointError
from seem_ros.model.config import ModelConfig
from seem_ros.runtime.checkpoint import lite_of

_EPS = 1e-5  # torch's batch norm


def factorised(given: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Brings a state dict of the built-in model into an architecture with fewer full convolutions.

    Args:
        given: state dict, its norms not folded. What of it is factorised already stays as it is.
        config: the architecture to come to.

    Returns:
        A state dict for `Seem(config)`; the adapters' norms have no statistics of their own yet.

    Raises:
        CheckpointError: `given` is no such state dict, or has fewer full convolutions than `config`.
    """
    if "decoder.refiner.enter.weight" not in given:
        raise CheckpointError("only weights of the built-in model can be factorised")
    state, has = {key: value.clone() for key, value in given.items()}, lite_of(given)
    part, count = config.pixel_decoder.bottleneck, config.decoder.refine_depthwise
    if (has.pixel_decoder.bottleneck and not part) or (has.decoder.refine_depthwise and not count):
        raise CheckpointError(f"weights of the model {has.name} have fewer full convolutions than {config.name}")
    if part and not has.pixel_decoder.bottleneck:
        _pyramid(state, part)
    if count and not has.decoder.refine_depthwise:
        for name, filters in (("at_8", count), ("join_8", count), ("leave", 1)):
            _separable(state, f"decoder.refiner.{name}", filters)
        _entrance(state, count)
    return state


def _pyramid(slim: dict[str, Tensor], part: int) -> None:
    start = "pixel_decoder"
    for level in (3, 2, 1):
        into = _bottleneck(slim, f"{start}.layer_{level}", part)
        _reduce_adapter(slim, f"{start}.adapter_{level}", into)
        if level == 1:  # its coarser map came through a 1x1 convolution already
            _reduce(slim, f"{start}.narrow", into)
        else:
            slim[f"{start}.top_{level}.weight"] = into[:, :, None, None]
    into = _bottleneck(slim, f"{start}.fine_layer", part)
    for name in ("fine_top", "fine_lateral"):
        _reduce(slim, f"{start}.{name}", into)
    name = f"{start}.mask_features"
    weight = slim.pop(f"{name}.weight")
    into, slim[f"{name}.1.weight"], slim[f"{name}.2.weight"] = tucker(weight, weight.shape[1] // part)
    slim[f"{name}.0.weight"] = into[:, :, None, None]
    slim[f"{name}.2.bias"] = slim.pop(f"{name}.bias")


def _bottleneck(slim: dict[str, Tensor], name: str, part: int) -> Tensor:
    """A convolution with a norm as `pixel_decoder.fpn.bottleneck_layer`; returns what must feed it, [rank, inputs]."""
    weight = slim.pop(f"{name}.weight")
    into, slim[f"{name}.0.weight"], slim[f"{name}.1.weight"] = tucker(weight, weight.shape[0] // part)
    for key in [key for key in slim if key.startswith(f"{name}.norm.")]:
        slim[key.replace(".norm.", ".1.norm.")] = slim.pop(key)
    return into


def tucker(weight: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tucker-2 of a kernel by its leading singular vectors.

    Args:
        weight: [O, I, 3, 3].
        rank: of both channel axes.

    Returns:
        Into [rank, I], core [rank, rank, 3, 3] and out [O, rank, 1, 1]; out . core . into is nearly `weight`.
    """
    outputs = torch.linalg.svd(weight.flatten(1), full_matrices=False)[0][:, :rank]
    inputs = torch.linalg.svd(weight.transpose(0, 1).flatten(1), full_matrices=False)[0][:, :rank]
    core = torch.einsum("oiyx,or,is->rsyx", weight, outputs, inputs)
    return inputs.T.contiguous(), core, outputs[:, :, None, None].contiguous()


def depthwise(weight: Tensor, count: int) -> tuple[list[Tensor], Tensor]:
    """Depthwise filters and their mixture of a kernel [O, I, 3, 3].

    Returns:
        `count` filters [I, 1, 3, 3] and the mixture [O, count * I].
    """
    # One small matrix [O, 9] per input channel.
    outputs, strength, taps = torch.linalg.svd(weight.transpose(0, 1).flatten(2), full_matrices=False)
    root = strength.sqrt()
    filters = [(taps[:, r] * root[:, r, None]).reshape(-1, 1, 3, 3) for r in range(count)]
    mixture = torch.cat([(outputs[:, :, r] * root[:, r, None]).T for r in range(count)], 1)
    return filters, mixture


def _reduce(slim: dict[str, Tensor], name: str, into: Tensor) -> None:
    """A 1x1 convolution with bias, followed by `into`."""
    slim[f"{name}.weight"] = (into @ slim[f"{name}.weight"].flatten(1))[:, :, None, None]
    slim[f"{name}.bias"] = into @ slim[f"{name}.bias"]


def _reduce_adapter(slim: dict[str, Tensor], name: str, into: Tensor) -> None:
    """A 1x1 convolution with a norm, followed by `into`; its norm passes on what it gets, plus a bias."""
    norm = f"{name}.norm"
    scale = slim[f"{norm}.weight"] / (slim[f"{norm}.running_var"] + _EPS).sqrt()
    shift = slim[f"{norm}.bias"] - slim[f"{norm}.running_mean"] * scale
    slim[f"{name}.weight"] = (into @ (scale[:, None] * slim[f"{name}.weight"].flatten(1)))[:, :, None, None]
    rank = len(into)
    slim[f"{norm}.weight"], slim[f"{norm}.bias"] = torch.ones(rank), into @ shift
    slim[f"{norm}.running_mean"], slim[f"{norm}.running_var"] = torch.zeros(rank), torch.full((rank,), 1 - _EPS)


def _spread(slim: dict[str, Tensor], name: str, weight: Tensor, count: int) -> Tensor:
    """Writes a kernel's depthwise filters; returns their mixture [O, count * I]."""
    filters, mixture = depthwise(weight, count)
    slim.update({f"{name}.spread.filters.{i}.weight": kernel for i, kernel in enumerate(filters)})
    return mixture


def _separable(slim: dict[str, Tensor], name: str, count: int) -> None:
    slim[f"{name}.mix.weight"] = _spread(slim, name, slim.pop(f"{name}.weight"), count)[:, :, None, None]
    slim[f"{name}.mix.bias"] = slim.pop(f"{name}.bias")


def _entrance(slim: dict[str, Tensor], count: int) -> None:
    """The refiner's first convolution: of its features depthwise, where the query's shift meets the sums of taps."""
    start = "decoder.refiner"
    weight = slim[f"{start}.enter.weight"]
    width = weight.shape[0]
    features = weight[:, :width]
    slim[f"{start}.mix"] = _spread(slim, start, features, count)
    sums = features.sum((2, 3))
    for part in ("weight", "bias"):
        scale, shift = slim[f"{start}.film.{part}"].chunk(2)
        slim[f"{start}.film.{part}"] = torch.cat((scale, sums @ shift))
    slim[f"{start}.enter.weight"] = weight[:, width:].contiguous()
