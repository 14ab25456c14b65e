# SPDX-License-Identifier: Apache-2.0
"""Batch norms merged into convolutions for inference, and taken out again to train on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_DEAD_SCALE = 1e-8  # a channel scaled by less than this answers its bias alone, whatever its weights are


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """Merges every batch norm into the convolution before it, in place; exact up to rounding, for inference only.

    Works on `nn.Sequential` neighbours, on timm's conv-then-norm attributes, and on convolutions that own their `norm`.
    """
    modules = dict(model.named_modules())
    for convolution, norm in norm_pairs(model):
        parent, _, name = norm.rpartition(".")
        child = modules[norm]
        _fold(modules[convolution], child)
        rest = [getattr(child, part, None) for part in ("drop", "act")]  # timm's norm+activation modules
        kept = [m for m in rest if isinstance(m, nn.Module) and not isinstance(m, nn.Identity)]
        setattr(modules[parent], name, nn.Sequential(*kept) if kept else nn.Identity())
    return model


def norm_pairs(model: nn.Module) -> list[tuple[str, str]]:
    """Names of every convolution and of the batch norm that folds into it."""
    names = {module: name for name, module in model.named_modules()}
    pairs = []
    for parent in model.modules():
        previous: nn.Conv2d | None = parent if isinstance(parent, nn.Conv2d) else None
        for child in parent.children():
            norm = child if isinstance(child, nn.BatchNorm2d) else None
            if norm is not None and previous is not None and previous.out_channels == norm.num_features:
                pairs.append((names[previous], names[child]))
                previous = None
            else:
                previous = _last_convolution(child, previous)
    return pairs


def norm_state(model: nn.Module) -> dict[str, Tensor]:
    """What folding would take away: weight, bias, mean and variance of every batch norm, by state-dict name."""
    state = model.state_dict()
    parts = ("weight", "bias", "running_mean", "running_var")
    return {
        f"{norm}.{part}": state[f"{norm}.{part}"].detach().clone() for _, norm in norm_pairs(model) for part in parts
    }


def unfold_batch_norms(
    folded: Mapping[str, Tensor], model: nn.Module, norms: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """The state dict that `fold_batch_norms` made `folded` of, exact up to rounding.

    Args:
        folded: State dict of the folded model.
        model: The architecture with its norms; only read.
        norms: What `norm_state` gave before folding. Without it, norms are made that change nothing while they keep
            their statistics: the same answers, to be trained with frozen norms.

    Raises:
        KeyError: A tensor is missing.
    """
    own, state = model.state_dict(), dict(folded)
    modules = dict(model.named_modules())
    for convolution, norm in norm_pairs(model):
        weight, bias = state[f"{convolution}.weight"], state[f"{convolution}.bias"]
        eps = modules[norm].eps
        if norms is None:
            neutral = {
                "weight": torch.ones_like(bias),
                "bias": bias,
                "running_mean": torch.zeros_like(bias),
                "running_var": torch.full_like(bias, 1 - eps),
            }
            found = {f"{norm}.{part}": tensor for part, tensor in neutral.items()}
        else:
            found = {k: norms[k] for k in (f"{norm}.{p}" for p in ("weight", "bias", "running_mean", "running_var"))}
        scale = found[f"{norm}.weight"] / (found[f"{norm}.running_var"] + eps).sqrt()
        divisor = torch.where(scale.abs() < _DEAD_SCALE, torch.ones_like(scale), scale)
        state[f"{convolution}.weight"] = weight / divisor[:, None, None, None]
        if f"{convolution}.bias" in own:
            state[f"{convolution}.bias"] = (bias - found[f"{norm}.bias"]) / divisor + found[f"{norm}.running_mean"]
        else:
            del state[f"{convolution}.bias"]
        state.update(found)
        state[f"{norm}.num_batches_tracked"] = own[f"{norm}.num_batches_tracked"].clone()
    return state


def _last_convolution(module: nn.Module, before: nn.Conv2d | None) -> nn.Conv2d | None:
    """The convolution whose output a norm after ``module`` would see, or None."""
    if isinstance(module, nn.Identity):
        return before
    if isinstance(module, nn.Sequential) and len(module):
        return _last_convolution(module[-1], None)
    return module if isinstance(module, nn.Conv2d) else None


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    with torch.no_grad():
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        bias = torch.zeros_like(norm.running_mean) if convolution.bias is None else convolution.bias
        convolution.weight.mul_(scale[:, None, None, None])
        convolution.bias = nn.Parameter((bias - norm.running_mean) * scale + norm.bias)
