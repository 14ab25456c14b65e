# SPDX-License-Identifier: Apache-2.0
"""Where clicks contradict the model's mask, colours decide."""

import numpy as np
import pytest

from seem_ros.perception.encoded import EncodedFrame
from seem_ros.perception.frames import Frame
from seem_ros.perception.geometry import fit
from seem_ros.perception.obeying import obeyed
from seem_ros.perception.prompts import Click

NET, STRIDE = (96, 128), 2
RED = (slice(30, 60), slice(30, 60))


def scene(scale=1):
    """A red square on a grey ground, and a mask that runs over as far again to the right."""
    rgb = np.full((96, 128, 3), 120, np.uint8)
    rgb[RED] = (200, 30, 30)
    rgb = np.clip(rgb + np.random.default_rng(0).normal(0, 4, rgb.shape), 0, 255).astype(np.uint8)
    logits = np.full((48, 64), -6.0, np.float32)
    logits[15:30, 15:45] = 6.0
    rgb = np.repeat(np.repeat(rgb, scale, 0), scale, 1)
    geometry = fit(rgb.shape[:2], NET)
    return EncodedFrame(Frame(rgb), geometry, None, geometry.shrink(rgb)), logits


def ask(clicks, scale=1):
    encoded, logits = scene(scale)
    return obeyed(logits, clicks, encoded, STRIDE, radius=12, tolerance_px=1.5)


@pytest.mark.parametrize("scale", [1, 4])
def test_a_negative_click_takes_away_all_that_the_mask_ran_over(scale):
    better = ask([Click(45 * scale, 45 * scale), Click(75 * scale, 45 * scale, negative=True)], scale)
    assert (better[16:29, 16:29] > 0).mean() > 0.95 and not (better[:, 32:] > 0).any()


def test_a_positive_click_outside_brings_the_rest_of_the_object():
    encoded, logits = scene()
    logits[:, 22:] = -6.0
    better = obeyed(logits, [Click(35, 45), Click(55, 45)], encoded, STRIDE, 12, 1.5)
    assert (better[16:29, 16:29] > 0).mean() > 0.95 and not (better[:, 32:] > 0).any()


def test_clicks_that_agree_change_nothing():
    assert ask([Click(45, 45), Click(10, 10, negative=True)]) is None


def test_negative_clicks_alone_change_nothing():
    assert ask([Click(75, 45, negative=True)]) is None


def test_an_empty_mask_stays_empty():
    encoded, logits = scene()
    assert obeyed(np.full_like(logits, -6.0), [Click(45, 45)], encoded, STRIDE, 12, 1.5) is None


def test_a_click_on_the_pictures_last_pixel_is_no_error():
    assert ask([Click(45, 45), Click(127.9, 95.9, negative=True)]) is None
