# SPDX-License-Identifier: Apache-2.0
"""Reading weight files: official PyTorch checkpoints and safetensors, strictly, and without ever unpickling objects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from seem_ros.errors import CheckpointError
from seem_ros.model.config import ModelConfig
from seem_ros.model.deterministic import deterministic_state
from seem_ros.model.official_keys import from_official, official_shapes
from seem_ros.model.seem import Seem
from seem_ros.model.unfilled import unfilled
from seem_ros.model.variants import BACKBONES, RULES_OF, model_config, official_config

# Tensors an official file may hold that no inference needs.
_IGNORED = re.compile(r"criterion\..*|dilation_kernel")
_SAFETENSORS_SUFFIXES = (".safetensors",)


def load_checkpoint(path: str | Path, rules: str | None = None) -> Seem:
    """Make the model whose weights a file holds.

    The backbone is recognised from names and shapes. The rules v0, v1 and demo share one layout, so they come from the
    file's name (``seem_focalt_v1.pt``) or from `rules`.

    Args:
        path: official ``.pt`` checkpoint or the same tensors as ``.safetensors``; a ``model.`` prefix on all names is
            tolerated, as are the training-only ``criterion.*`` and ``dilation_kernel``.
        rules: "v0", "v1" or "demo"; overrides the file's name (demo runs v0's weights).

    Returns:
        The model in evaluation mode, float32, its parameters without gradients.

    Raises:
        CheckpointError: the file is missing, truncated, not a checkpoint, holds objects other than tensors, lacks or
            exceeds the variant's tensors, or holds a tensor of wrong shape or with NaN or infinity. The message names
            the file and the first offending key.
    """
    path = Path(path)
    state = read_state(path)
    backbone = recognise_backbone(state, path)
    return filled_model(official_config(backbone, _rules(path, backbone, rules)), state, path)


def read_state(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, by name, without the tolerated prefix and extras.

    Raises:
        CheckpointError: see `load_checkpoint`.
    """
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; `python -m seem_ros.tools.weights` says how to get a checkpoint")
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty")
    state = _read_safetensors(path) if path.suffix in _SAFETENSORS_SUFFIXES else _read_torch(path)
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError(f"{path} holds a {type(state).__name__}, expected a dictionary of named tensors")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: entry {key!r} is a {type(value).__name__}, expected a tensor; only plain state dicts are read"
            )
    if all(key.startswith("model.") for key in state):
        state = {key.removeprefix("model."): value for key, value in state.items()}
    return {key: value for key, value in state.items() if not _IGNORED.fullmatch(key)}


def recognise_backbone(state: Mapping[str, Tensor], path: Path) -> str:
    """Which official backbone a state dict has: a key of `BACKBONES`.

    Raises:
        CheckpointError: none of them.
    """
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    for name, config in BACKBONES.items():
        if config.kind == "sam_vit":
            stem = shapes.get("backbone.patch_embed.proj.weight") == (config.trunk_dim, 3, 16, 16)
        elif config.kind == "davit":
            stem = shapes.get("backbone.convs.0.proj.weight") == (config.widths[0], 3, 7, 7)
        else:
            stem = shapes.get("backbone.patch_embed.proj.weight") == (config.widths[0], 3, 7, 7)
        if stem:
            return name
    first = next(iter(state), "nothing")
    raise CheckpointError(
        f"{path} is not an official SEEM checkpoint: no known backbone's first convolution is in it "
        f"(its first key is {first!r}); known backbones are {', '.join(BACKBONES)}"
    )


def filled_model(config: ModelConfig, state: Mapping[str, Tensor], path: str | Path) -> Seem:
    """Make a model straight from official tensors: every key used, none missing, nothing initialised in vain.

    Args:
        config: the variant.
        state: official key -> tensor. The model takes float32 tensors over without a copy, which halves the peak memory
            of loading: do not write into them afterwards.
        path: named in errors.

    Returns:
        The model in evaluation mode, float32.

    Raises:
        CheckpointError: see `load_checkpoint`.
    """
    with unfilled():
        model = Seem(config)
    names = list(model.state_dict())
    check_state(config.name, official_shapes(model.state_dict()), state, path)
    tensors = from_official(state, names)
    model.load_state_dict({name: tensors[name].to(torch.float32) for name in names}, assign=True)
    model.make_constants()
    return model.requires_grad_(False).eval()


def deterministic_model(name: str) -> Seem:
    """An official variant with the weights of `deterministic.py`: no file needed.

    Raises:
        ModelError: the name is unknown.
    """
    config = model_config(name)
    with unfilled():
        shapes = official_shapes(Seem(config).state_dict())
    return filled_model(config, deterministic_state(shapes), "deterministic weights")


def check_state(
    model: str, expected: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor], path: str | Path
) -> None:
    """Refuse a state dict that is not exactly a model's.

    Raises:
        CheckpointError: names the file and the first offending key.
    """
    for key, shape in expected.items():
        if key not in state:
            raise CheckpointError(
                f"{path}: key {key!r} is missing (a {model} needs {len(expected)} tensors, the file has {len(state)})"
            )
        tensor = state[key]
        if tuple(tensor.shape) != shape:
            raise CheckpointError(
                f"{path}: key {key!r} has shape {tuple(tensor.shape)}, expected {shape} for a {model}"
            )
        if not tensor.is_floating_point():
            raise CheckpointError(f"{path}: key {key!r} holds {tensor.dtype}, expected floating point numbers")
        if tensor.numel() and not torch.stack(tensor.aminmax()).isfinite().all():  # no mask as large as the tensor
            raise CheckpointError(f"{path}: key {key!r} holds NaN or infinity")
    for key in state:
        if key not in expected:
            raise CheckpointError(f"{path}: key {key!r} is not part of a {model}")


def _rules(path: Path, backbone: str, rules: str | None) -> str:
    if rules is not None:
        if rules not in ("v0", "v1", "demo"):
            raise CheckpointError(f"{path}: rules must be v0, v1 or demo, got {rules!r}")
        return rules
    named = re.search(r"(?:^|[_\-.])(v0|v1|demo)(?=[_\-.]|$)", path.name)
    if named:
        return named.group(1)
    if len(RULES_OF[backbone]) == 1:
        return RULES_OF[backbone][0]
    raise CheckpointError(
        f"{path}: a {backbone} checkpoint runs under the rules v0, v1 or demo, which look alike "
        "inside the file: name the file like seem_focalt_v1.pt, or give the rules"
    )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is truncated or not a safetensors file: {error}") from error


def _read_torch(path: Path) -> object:
    import pickle

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _is_zip(path) or "Weights only load failed" in str(error):
            found = re.search(r"(?:GLOBAL|class|function) ([\w.]+)", str(error))
            what = f" ({found.group(1)})" if found else ""
            raise CheckpointError(
                f"{path} holds Python objects{what}, which are never unpickled; only plain "
                "tensors are read. If it is no checkpoint at all, download it again"
            ) from error
        raise CheckpointError(f"{path} is truncated or not a PyTorch checkpoint: {error}") from error
    except Exception as error:  # one flipped bit makes torch's reader raise TypeError, AssertionError and others
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is truncated or not a PyTorch checkpoint: {reason}") from error


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"
