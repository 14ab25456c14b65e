# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from colour_backend import scene

from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.perception.tracking.tracker import Tracker

MS = 1_000_000


@pytest.fixture
def tracker(segmenter):
    return Tracker(segmenter)


def test_a_neighbour_of_its_colour_that_comes_to_touch_a_target_is_not_crept_into(tracker):
    alone, touching = {(40, 48): "red"}, {(40, 48): "red", (72, 48): "red"}
    pictures = [scene(blobs, size=32) for blobs in [alone] * 2 + [touching] * 40]
    frames = [Frame(picture, stamp_ns=i * 33 * MS) for i, picture in enumerate(pictures)]
    tracker.start([Prompt(clicks=[Click(40, 48)])], frames[0])
    areas = [np.count_nonzero(tracker.step(frame).mask(1)) for frame in frames[1:]]
    assert max(areas) < 1.4 * areas[0], "the two together are twice as large"


def test_a_target_that_comes_nearer_quickly_keeps_its_whole_mask(tracker):
    sizes = [round(24 * 1.07**i / 4) * 4 for i in range(20)]
    frames = [Frame(scene({(64, 48): "red"}, size), stamp_ns=i * 100 * MS) for i, size in enumerate(sizes)]
    tracker.start([Prompt(clicks=[Click(64, 48)])], frames[0])
    for frame, size in zip(frames, sizes, strict=True):
        assert np.count_nonzero(tracker.step(frame).mask(1)) > 0.85 * size**2
