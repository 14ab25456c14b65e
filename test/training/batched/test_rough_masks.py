# SPDX-License-Identifier: Apache-2.0
"""Masks as hands draw them and as trackers remember them."""

import pytest
import torch

from seem_ros.training.batched.prompt_rounds import disturbed
from seem_ros.training.batched.simulated_pointing import resized


def block(count, height=20, width=30):
    mask = torch.zeros(count, 112, 144, dtype=torch.bool)
    mask[:, 40 : 40 + height, 50 : 50 + width] = True
    return mask


@pytest.mark.parametrize("radius", [-2, -1, 0, 1, 2, 4, 6])
def test_a_mask_grows_or_shrinks_by_its_radius_on_every_side(radius):
    (out,) = resized(block(1), torch.tensor([radius]), most=6)
    expected = torch.zeros_like(out)
    expected[40 - radius : 60 + radius, 50 - radius : 80 + radius] = True
    assert torch.equal(out, expected)


def test_a_mask_that_would_vanish_stays():
    assert torch.equal(resized(block(1, 2, 2), torch.tensor([-2])), block(1, 2, 2))


def test_what_is_outside_of_the_picture_is_no_mask():
    corner = torch.zeros(1, 10, 10, dtype=torch.bool)
    corner[0, :6, :6] = True
    (out,) = resized(corner, torch.tensor([-2]))
    assert out.nonzero().min() == 2 and out.sum() == 4


def test_remembered_masks_lack_a_side_or_have_it_twice_now_and_then():
    torch.manual_seed(0)
    masks = block(700)
    size = masks[0].sum()
    sizes = disturbed(masks).flatten(1).sum(1)
    # growing by two cells makes 1.36 of it, shrinking by two 0.69
    assert 0.04 < (sizes < 0.6 * size).float().mean() < 0.15
    assert 0.08 < (sizes > 1.45 * size).float().mean() < 0.2
    assert sizes.float().mean() == pytest.approx(size.item(), rel=0.15)
