# SPDX-License-Identifier: Apache-2.0
"""Losses against values worked by hand."""

import math

import pytest
import torch

from seem_ros.training.losses import BCE_WEIGHT, BOX_WEIGHT, DICE_WEIGHT, box_loss, mask_loss, match


def test_a_mask_of_zeros_costs_log_two_and_half_a_dice():
    logits, truth = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    dice = 1 - (2 * 1.0 + 1) / (2 + 2 + 1)
    assert mask_loss(logits, truth, torch.ones(1)).item() == pytest.approx(
        BCE_WEIGHT * math.log(2) + DICE_WEIGHT * dice, abs=1e-5
    )


def test_masks_without_weight_do_not_count():
    logits, truth = torch.randn(3, 4, 4), torch.rand(3, 4, 4)
    alone = mask_loss(logits[:1], truth[:1], torch.ones(1))
    among = mask_loss(logits, truth, torch.tensor([1.0, 0.0, 0.0]))
    assert among.item() == pytest.approx(alone.item(), rel=1e-5)
    assert mask_loss(logits, truth, torch.zeros(3)).item() == 0


def test_sampled_points_estimate_a_perfect_mask_as_perfect():
    truth = torch.zeros(1, 32, 32)
    truth[:, :16] = 1
    assert mask_loss((truth - 0.5) * 60, truth, torch.ones(1), points=64).item() < 0.2


def test_boxes_cost_their_distance():
    assert box_loss(
        torch.tensor([[0.5, 0.5, 0.2, 0.2]]), torch.tensor([[0.6, 0.5, 0.2, 0.3]]), torch.ones(1)
    ).item() == pytest.approx(0.2 * BOX_WEIGHT, abs=1e-5)


def test_matching_gives_every_truth_the_query_that_draws_it():
    masks = torch.zeros(2, 16)
    masks[0, :8], masks[1, 8:] = 1, 1
    logits = torch.stack((masks[1], torch.full((16,), 0.5), masks[0])) * 10 - 5
    classes = torch.full((3, 4), -math.log(4))
    boxes = torch.full((3, 4), 0.5)
    queries, targets = match(logits, classes, boxes, masks, torch.tensor([0, -1]), torch.full((2, 4), 0.5))
    assert dict(zip(targets.tolist(), queries.tolist())) == {0: 2, 1: 0}
