# SPDX-License-Identifier: Apache-2.0
"""From a weight file to a torch model and its spec. Needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seem_ros.errors import CheckpointError, PackageError
from seem_ros.model.checkpoints import load_checkpoint, read_state
from seem_ros.model.config import LITE, LITE_FULL, LITE_SLIM, PICO, ModelConfig
from seem_ros.model.seem import Seem
from seem_ros.runtime.backends.batch_norm_folding import unfold_batch_norms
from seem_ros.runtime.package import Package
from seem_ros.runtime.spec import ModelSpec

_PICO_MARK = "decoder.prompt_feat.weight"  # official decoders have no queries of their own for prompts
_LITE_MARK = "backbone.conv_stem.weight"
_OFFICIAL_HW = (480, 640)
# Of our own architectures: network input and point slots that their training read; more slots would never be filled as
# it knows them.
_OWN = {PICO.name: ((256, 320), 16)} | {one.name: ((288, 384), 32) for one in (LITE, LITE_FULL, LITE_SLIM)}


def open_checkpoint(
    path: str | Path, input_hw: tuple[int, int] | None = None, rules: str | None = None, **fields: Any
) -> tuple[Seem, ModelSpec]:
    """Reads an official checkpoint or training weights of our own architectures.

    Args:
        path: Weight file, ``.pt`` or ``.safetensors``.
        input_hw: Height and width of the network input, pixels; default the model's usual size.
        rules: ``v0``, ``v1`` or ``demo`` where the file's name does not say.
        **fields: Fields of the spec to set.

    Returns:
        The model in evaluation mode and its spec.

    Raises:
        CheckpointError: The file cannot be used.
        ModelError: The size does not fit.
    """
    path = Path(path)
    state = read_state(path)
    if _PICO_MARK not in state:
        model = load_checkpoint(path, rules)
        divisor = model.config.size_divisor
        usual = _OFFICIAL_HW if all(side % divisor == 0 for side in _OFFICIAL_HW) else (divisor, divisor)
        values: dict[str, Any] = {"logit_scale": model.text_encoder.logit_scale.item()}
        return model, ModelSpec.of_config(model.config, input_hw or usual, **{**values, **fields})
    config = lite_of(state) if _LITE_MARK in state else PICO
    model = Seem(config)
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        first = next((line.strip() for line in str(error).splitlines()[1:]), str(error))
        raise CheckpointError(f"{path} does not fit the model {config.name}: {first}") from error
    usual, points = _OWN[config.name]
    values = {
        "max_points": points,
        "max_references": 8,
        "text_length": 16,
        "logit_scale": model.text_encoder.logit_scale.item(),
    }
    return model.eval(), ModelSpec.of_config(config, input_hw or usual, **{**values, **fields})


def lite_of(state: Mapping[str, Tensor]) -> ModelConfig:
    """Which of the built-in model's architectures a state dict of it has."""
    if "pixel_decoder.layer_1.0.weight" in state:
        return LITE_SLIM
    return LITE if "decoder.refiner.mix" in state else LITE_FULL


def trainable_model(package: Package) -> Seem:
    """A package's model as it was before its norms were folded: what training goes on from.

    A package from before norms were kept gets norms that change nothing: the same answers, for training with frozen
    norms.

    Raises:
        PackageError: The files do not fit the architecture.
    """
    model = Seem(ModelConfig.from_dict(dict(package.architecture)))
    norms = _read_tensors(package, package.norms) if package.norms else None
    try:
        model.load_state_dict(unfold_batch_norms(read_weights(package), model, norms), strict=True)
    except (KeyError, RuntimeError) as error:
        raise PackageError(f"{package.folder}: weights and norms do not fit the architecture: {error}") from error
    return model


def read_weights(package: Package) -> dict[str, Tensor]:
    """A package's weights in float32, its norms folded, without the constants of its graphs.

    Raises:
        PackageError: The file cannot be read.
    """
    return {k: v for k, v in _read_tensors(package, package.weights).items() if not k.startswith("graph.")}


def is_in_halves(package: Package) -> bool:
    """Whether a package stores its matrices in float16.

    Raises:
        PackageError: The file cannot be read.
    """
    return any(tensor.dtype == torch.float16 for tensor in _stored(package, package.weights).values())


def _read_tensors(package: Package, name: str) -> dict[str, Tensor]:
    return {k: v.float() if v.is_floating_point() else v for k, v in _stored(package, name).items()}


def _stored(package: Package, name: str) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return load_file(str(package.path(name)))
    except Exception as error:  # safetensors has one exception type of its own, raised from native code
        raise PackageError(f"{package.path(name)} cannot be read: {error}") from error
