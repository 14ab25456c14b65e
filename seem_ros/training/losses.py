# SPDX-License-Identifier: Apache-2.0
"""Losses of SEEM's training, and Hungarian matching for the object queries."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from seem_ros.datasets.scenes.scene import Thing
from seem_ros.training.simulated_prompts import box_of

BCE_WEIGHT, DICE_WEIGHT, BOX_WEIGHT, CLASS_WEIGHT = 8.0, 5.0, 5.0, 2.0
# Names are learnt more slowly than masks (shapes most of all), so that their losses weigh more than they are large.
NAME_WEIGHT, DENSE_WEIGHT, PRESENCE_WEIGHT = 2.0, 1.5, 2.0


def mask_loss(logits: Tensor, truth: Tensor, weight: Tensor, points: int = 0) -> Tensor:
    """Weighted binary cross entropy plus dice (Mask2Former, Cheng et al. 2022, section 3.2.2), averaged over masks.

    Args:
        logits: [M, h, w]; truth: [M, h, w] in 0..1; weight: [M], 0 = not counted.
        points: > 0 reads the loss at so many points: three quarters where the mask is least certain, the rest random.
    """
    logits, truth = logits.flatten(1).float(), truth.flatten(1)
    if points and points < logits.shape[1]:
        chosen = uncertain_points(logits, points)
        logits, truth = logits.gather(1, chosen), truth.gather(1, chosen)
    bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(1)
    p = logits.sigmoid()
    dice = 1 - (2 * (p * truth).sum(1) + 1) / (p.sum(1) + truth.sum(1) + 1)
    return ((BCE_WEIGHT * bce + DICE_WEIGHT * dice) * weight).sum() / weight.sum().clamp(min=1)


@torch.no_grad()
def uncertain_points(logits: Tensor, points: int) -> Tensor:
    """Indices [M, points]: the least certain of three times as many random candidates, and a quarter at random."""
    candidates = torch.randint(logits.shape[1], (logits.shape[0], 3 * points), device=logits.device)
    certainty = logits.gather(1, candidates).abs()
    hard = certainty.topk(points * 3 // 4, largest=False).indices
    return torch.cat((candidates.gather(1, hard), candidates[:, : points - hard.shape[1]]), 1)


def box_loss(boxes: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """L1 of (cx, cy, w, h): boxes, truth [M, 4], weight [M]."""
    return BOX_WEIGHT * ((boxes.float() - truth).abs().sum(-1) * weight).sum() / weight.sum().clamp(min=1)


def class_logits(embedding: Tensor, bank: Tensor, scale: Tensor) -> Tensor:
    """exp(scale) * cosine to the normalised bank: [..., D] x [K, D] -> [..., K]."""
    return scale.clamp(max=4.6).exp() * F.normalize(embedding.float(), dim=-1) @ bank.transpose(0, 1)


@torch.no_grad()
def match(
    logits: Tensor, classes: Tensor, boxes: Tensor, masks: Tensor, labels: Tensor, truth_boxes: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Hungarian matching of one picture's queries to its truth.

    Args:
        logits: [Q, hw] mask logits; classes: [Q, K] class log-probabilities; boxes: [Q, 4].
        masks: [T, hw]; labels: [T] (-1 = class unknown); truth_boxes: [T, 4].

    Returns:
        query indices and truth indices, equally long.
    """
    logits = logits.float()
    positive = F.softplus(-logits) @ masks.T + F.softplus(logits) @ (1 - masks).T
    p = logits.sigmoid()
    dice = 1 - (2 * p @ masks.T + 1) / (p.sum(1)[:, None] + masks.sum(1)[None] + 1)
    name = torch.where(labels[None] >= 0, -classes[:, labels.clamp(min=0)].exp(), torch.zeros(()))
    cost = BCE_WEIGHT * positive / logits.shape[1] + DICE_WEIGHT * dice + CLASS_WEIGHT * name
    cost = cost + BOX_WEIGHT * torch.cdist(boxes.float(), truth_boxes, p=1)
    return linear_sum_assignment(cost.cpu().numpy())


def halved(mask: np.ndarray) -> np.ndarray:
    """[H, W] bool -> [H/2, W/2] float32, the covered part of every 2x2 block."""
    m = mask.view(np.uint8)
    return (m[::2, ::2] + m[1::2, ::2] + m[::2, 1::2] + m[1::2, 1::2]).astype(np.float32) / 4


def normalised_box(mask: np.ndarray) -> np.ndarray:
    """(cx, cy, w, h) in 0..1 of a mask that is not empty."""
    h, w = mask.shape
    x0, y0, x1, y1 = box_of(mask > 0)
    return np.array([(x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h], np.float32)


def label_of(thing: Thing, banks: list[tuple[tuple[str, ...], Tensor]]) -> np.ndarray:
    """Index of a thing's class name in the two banks; -1 where it has no name there."""
    names = (thing.shape, f"{thing.colour} {thing.shape}" if thing.isthing else thing.shape)
    return np.array([bank.index(name) if thing.shape and name in bank else -1 for name, (bank, _) in zip(names, banks)])
