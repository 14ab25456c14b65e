# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from seem_ros.errors import PromptError
from seem_ros.evaluation.metrics.iou import iou
from seem_ros.evaluation.predictors.baselines import CopyFirst, FlowPropagation, GrabCut
from seem_ros.evaluation.simulated_user import true_box, true_scribble
from seem_ros.perception.structures.prompts import Click, Mask, Prompt


def scene(column=30):
    """A red disc on a textured grey wall, and its mask."""
    rng = np.random.default_rng(0)
    rgb = cv2.GaussianBlur(rng.integers(60, 160, (90, 120, 1)).astype(np.uint8), (0, 0), 2)
    rgb = np.repeat(rgb[..., None] if rgb.ndim == 2 else rgb, 3, 2)
    mask = np.zeros((90, 120), np.uint8)
    cv2.circle(mask, (column, 45), 15, 1, -1)
    speckle = rng.integers(0, 60, (90, 120)).astype(np.uint8)
    shifted = np.roll(speckle, column, 1)
    rgb[mask > 0] = np.stack([200 + shifted // 2, shifted, shifted], -1)[mask > 0]
    return rgb, mask.astype(bool)


@pytest.mark.parametrize("ask", [true_box, true_scribble, lambda mask: Prompt(clicks=(Click(30.5, 45.5),))])
def test_grabcut_finds_a_red_disc_from_a_box_a_stroke_and_a_click(ask):
    rgb, mask = scene()
    cut = GrabCut()
    cut.look(rgb)
    (guess,) = cut.ask([ask(mask)])
    assert iou(guess.mask, mask) > 0.9


def test_grabcut_answers_the_same_twice():
    rgb, mask = scene()
    cut = GrabCut()
    cut.look(rgb)
    first, second = cut.ask([true_box(mask), true_box(mask)])
    assert np.array_equal(first.mask, second.mask)


def test_a_box_over_the_whole_picture_leaves_grabcut_nothing_to_learn_and_is_answered_by_the_box():
    rgb, mask = scene()
    cut = GrabCut()
    cut.look(rgb)
    (guess,) = cut.ask([true_box(np.ones_like(mask))])
    assert guess.mask.all()


def test_grabcut_refuses_text():
    cut = GrabCut()
    cut.look(scene()[0])
    with pytest.raises(PromptError, match="click, box or stroke"):
        cut.ask([Prompt(text="the red disc")])


def test_flow_follows_a_moving_disc_and_a_copy_does_not():
    prompts = {1: Prompt(masks=(Mask(scene(30)[1]),))}
    flow, copy = FlowPropagation(), CopyFirst()
    flow.start(scene(30)[0], prompts)
    copy.start(scene(30)[0], prompts)
    for column in (32, 34, 36, 38, 40):
        rgb, mask = scene(column)
        carried, copied = flow.step(rgb)[1], copy.step(rgb)[1]
    assert iou(carried, mask) > 0.85 > 0.7 > iou(copied, mask)
