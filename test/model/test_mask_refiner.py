# SPDX-License-Identifier: Apache-2.0
"""The head that corrects masks near clicks."""

import pytest
import torch

from seem_ros.model.query_decoder.mask_refiner import MaskRefiner
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors

SIZES = {"points": 4, "text": 1, "references": 1, "dim": 16, "text_dim": 16, "mask_dim": 8, "mask_hw": (24, 32)}


@pytest.fixture(params=[0, 2], ids=["full", "depthwise"])
def refiner(request):
    torch.manual_seed(0)
    refiner = MaskRefiner(16, 8, 12, request.param)
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
        return refiner(coarse, hidden, refiner.picture(features), prompts)[0, 0]


def test_an_untrained_head_corrects_nothing():
    for depthwise in (0, 2):
        assert not corrected(MaskRefiner(16, 8, 12, depthwise), prompt((0.5, 0.5, 1))).any()


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


def test_depthwise_filters_made_once_for_all_prompts_answer_as_if_each_prompt_had_scaled_the_features_first():
    torch.manual_seed(0)
    refiner = MaskRefiner(16, 8, 12, 2).eval()
    hidden, features = torch.randn(1, 3, 16), torch.randn(1, 8, 24, 32)
    maps = torch.randn(1, 3, 8, 24, 32)
    with torch.no_grad():
        given = refiner._entered(hidden, refiner.picture(features), maps)
        scale, shift = refiner.film(hidden[0])[..., None, None].chunk(2, 1)
        spread = refiner.spread(refiner.lateral(features) * (1 + scale))
        wanted = torch.einsum("oc,pchw->pohw", refiner.mix, spread) + shift + refiner.enter(maps[0])
    torch.testing.assert_close(given, wanted, atol=1e-5, rtol=1e-4)
