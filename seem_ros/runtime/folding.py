# SPDX-License-Identifier: Apache-2.0
"""Batch norms merged into convolutions, for inference."""
from __future__ import annotations

import torch
from torch import nn


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """Merges every batch norm into the convolution before it, in place; exact up to rounding, for inference only.

    Works on `nn.Sequential` neighbours, on timm's conv-then-norm attributes, and on convolutions that own their `norm`.
    """
    for parent in list(model.modules()):
        previous: nn.Conv2d | None = parent if isinstance(parent, nn.Conv2d) else None
        for name, child in list(parent.named_children()):
            fits = previous is not None and isinstance(child, nn.BatchNorm2d)
            if fits and previous.out_channels == child.num_features:
                _fold(previous, child)
                rest = [getattr(child, part, None) for part in ("drop", "act")]  # timm's norm+activation modules
                kept = [m for m in rest if isinstance(m, nn.Module) and not isinstance(m, nn.Identity)]
                setattr(parent, name, nn.Sequential(*kept) if kept else nn.Identity())
                previous = None
            else:
                previous = _last_convolution(child, previous)
    return model


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
