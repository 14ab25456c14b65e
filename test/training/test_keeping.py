# SPDX-License-Identifier: Apache-2.0
"""Old knowledge is kept: what counts as old, and what a change of it costs."""

import numpy as np
import pytest
import torch
from torch import nn

from seem_ros.datasets.scenes.scene import Clip, Thing
from seem_ros.training.keeping import Keeping, divergence, same_masks
from seem_ros.training.prompt_sampling import Scene
from seem_ros.training.run_state import between


@pytest.fixture
def keeping():
    return Keeping(nn.Identity(), ["mug", "table"])


@pytest.fixture
def scenes():
    """A mug on the left, a widget on the right, in both frames."""
    ids = np.zeros((2, 32, 64), np.uint8)
    ids[:, 8:24, 8:24], ids[:, 8:24, 40:56] = 1, 2
    clip = Clip(np.zeros((2, 32, 64, 3), np.uint8), ids, (Thing(1, "mug"), Thing(2, "widget")))
    return [Scene.of(clip, 0)]


def test_new_is_what_the_model_had_no_name_for(keeping, scenes):
    new = keeping.is_new(scenes, (4, 8))
    assert new.shape == (2, 4, 8) and new[:, 1:3, 5:7].all() and not new[:, :, :4].any()


def test_every_frame_is_asked_for_old_names_and_clicked_on(keeping, scenes):
    rows = keeping.asks(scenes, np.random.default_rng(1))
    assert [ask.frame for row in rows for ask in row] == [0, 0, 0, 1, 1, 1]
    said = [ask.text for row in rows for ask in row if ask.text]
    assert len(said) == 4 and all("mug" in text or "table" in text for text in said)
    assert all((row[-1].geometry.labels > 0).all() for row in rows)


def test_names_of_pixels_cost_nothing_where_new_things_are():
    then = torch.randn(1, 2, 2, 3)
    new = torch.tensor([[[True, False], [False, False]]])
    now = then.clone()
    now[0, 0, 0] += torch.tensor([5.0, 0.0, 0.0])
    assert divergence(now, then, new) == pytest.approx(0, abs=1e-6)
    now[0, 1, 1] += torch.tensor([5.0, 0.0, 0.0])
    assert divergence(now, then, new) > 0.1


def test_only_names_of_old_may_not_move(keeping):
    then = torch.eye(3)
    now = torch.stack((then[0], then[1], then[0]))  # the third has moved
    assert keeping.words(now, then, ["mug", "table", "widget"], torch.tensor(1.0)) == 0
    assert keeping.words(now, then, ["mug", "widget", "table"], torch.tensor(1.0)) > 0


def test_the_former_mask_costs_least_though_it_is_unsure():
    truth = torch.tensor([[[0.5, 0.9], [0.1, 0.7]]])
    logits = torch.logit(truth).requires_grad_()
    same_masks(logits, truth, torch.ones(1)).backward()
    assert logits.grad.abs().max() < 0.02  # sharper ones are not better: the cost is flat there
    harder = torch.logit(truth) * 3
    assert same_masks(harder, truth, torch.ones(1)) > same_masks(torch.logit(truth), truth, torch.ones(1))


def test_weights_between_two_models_lie_on_the_line():
    old = {"a": torch.tensor([0.0, 10.0]), "n": torch.tensor(1)}
    new = {"a": torch.tensor([10.0, 10.0]), "n": torch.tensor(3)}
    half = between(old, new, 0.6)
    assert half["a"].tolist() == [6.0, 10.0] and half["n"] == 3 and between(old, new, 1.0)["a"].tolist() == [10.0, 10.0]
