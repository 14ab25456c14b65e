# SPDX-License-Identifier: Apache-2.0
"""The head that corrects masks near clicks."""

import pytest
import torch

from seem_ros.model.query_decoder.mask_refiner import MaskRefiner
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors

SIZES = {"points": 4, "text": 1, "references": 1, "dim": 16, "text_dim": 16, "mask_dim": 8, "mask_hw": (24, 32)}


@pytest.fixture
def refiner():
    torch.manual_seed(0)
    refiner = MaskRefiner(16, 8, 12)
    torch.nn.init.normal_(refiner.delta.weight)
    return refiner.eval()


def prompt(*clicks):
    """One picture, one prompt; clicks are (x, y, label) with x and y in 0..1."""
    prompts = PromptTensors.empty(1, 1, **SIZES)
    for k, (x, y, label) in enumerate(clicks):
        prompts.points_xy[0, 0, k] = torch.tensor([x, y])
        prompts.points_label[0, 0, k] = label
    return prompts


def corrected(refiner, prompts):
    coarse, hidden, features = torch.zeros(1, 1, 24, 32), torch.zeros(1, 1, 16), torch.zeros(1, 8, 24, 32)
    with torch.no_grad():
        return refiner(coarse, hidden, features, prompts)[0, 0]


def test_an_untrained_head_corrects_nothing():
    assert not corrected(MaskRefiner(16, 8, 12), prompt((0.5, 0.5, 1))).any()


def test_a_click_changes_the_mask_most_around_it(refiner):
    change = (corrected(refiner, prompt((0.25, 0.25, 1))) - corrected(refiner, prompt())).abs()
    assert change[2:10, 4:12].mean() > 3 * change[14:, 20:].mean()


def test_both_signs_are_told_apart(refiner):
    one, other = (corrected(refiner, prompt((0.5, 0.5, sign))) for sign in (1, -1))
    assert (one - other).abs().max() > 0.01


def test_unused_points_say_nothing(refiner):
    padded = prompt((0.3, 0.7, 1))
    padded.points_xy[0, 0, 1:] = 0.9
    assert torch.equal(corrected(refiner, padded), corrected(refiner, prompt((0.3, 0.7, 1))))
