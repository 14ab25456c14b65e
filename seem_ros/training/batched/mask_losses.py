# SPDX-License-Identifier: Apache-2.0
"""Losses of many masks at once, and the assignment of object queries to things, all on the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seem_ros.training.losses import BCE_WEIGHT, DICE_WEIGHT


def masks_of(stack: Tensor, frame: Tensor, layer: Tensor, target: Tensor) -> Tensor:
    """Covered part [M, H/2, W/2] of every 2x2 block by the wanted ids; stack [N, 2, H, W] uint8."""
    wanted = stack[frame, layer] == target[:, None, None]
    part = wanted.to(torch.bfloat16)
    return F.avg_pool2d(part[:, None], 2)[:, 0] * (target > 0)[:, None, None]


def mask_loss(logits: Tensor, truth: Tensor, weight: Tensor, focus: Tensor | None = None) -> Tensor:
    """Weighted cross entropy plus dice, averaged over masks.

    Args:
        logits: [M, h, w]; truth: [M, h, w] in 0..1; weight: [M], 0 = not counted.
        focus: [M, h, w] weight of every pixel's cross entropy before the mask's own doubts are added; None = all alike.
            As Mask2Former's sampling at uncertain points (Cheng et al. 2022, section 3.2.2), without sorting.
    """
    logits, truth = logits.flatten(1).float(), truth.flatten(1).float()
    p = logits.sigmoid()
    dice = 1 - (2 * (p * truth).sum(1) + 1) / (p.sum(1) + truth.sum(1) + 1)
    bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    if focus is None:
        bce = bce.mean(1)
    else:
        doubt = focus.flatten(1).float() + 0.5 * (-logits.detach().abs()).exp()
        bce = (bce * doubt).sum(1) / doubt.sum(1)
    return ((BCE_WEIGHT * bce + DICE_WEIGHT * dice) * weight).sum() / weight.sum().clamp(min=1)


@torch.no_grad()
def edges(truth: Tensor) -> Tensor:
    """[M, h, w] weight of pixels: 1 within two pixels of a mask's edge, 0.1 elsewhere."""
    around = F.avg_pool2d(truth[:, None].float(), 5, 1, 2, count_include_pad=False)[:, 0]
    return torch.where((around > 0.01) & (around < 0.99), 1.0, 0.1)


def greedy(cost: Tensor) -> Tensor:
    """One-to-one assignment by ascending cost: cost [N, Q, T] (inf = never) -> query of every truth [N, T], -1 = none.

    Not optimal as the Hungarian method is, but on the device, and equal where no two truths want one query.
    """
    n, q, t = cost.shape
    cost = cost.clone()
    out = torch.full((n, t), -1, dtype=torch.long, device=cost.device)
    rows = torch.arange(n, device=cost.device)
    for _ in range(min(q, t)):
        best, flat = cost.flatten(1).min(1)
        query, truth = flat // t, flat % t
        fine = torch.isfinite(best)
        out[rows, truth] = torch.where(fine, query, out[rows, truth])
        cost[rows, query] = float("inf")
        cost[rows, :, truth] = float("inf")
    return out
