# SPDX-License-Identifier: Apache-2.0
"""Following with the built-in model on the recorded tabletop, where an arm hides things for a while."""

import numpy as np
import pytest

from seem_ros import Frame, Segmenter
from seem_ros.datasets.recorded_clip import RecordedClip, find_clip
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.perception.tracking.tracker import Tracker

CYLINDER = 2  # in the clip's truth


@pytest.fixture(scope="module")
def segmenter():
    with Segmenter.load("builtin", backend="onnxruntime") as loaded:
        yield loaded


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_cylinder_that_the_arm_hid_comes_back_without_the_one_beside_it_that_looks_the_same(segmenter, every):
    clip, tracker = RecordedClip(find_clip("tabletop")), Tracker(segmenter)
    shots = {index: clip.read(index) for index in range(0, 61, every)}
    tracker.start([Prompt(clicks=[Click(86, 108)])], Frame(shots[0].rgb, stamp_ns=0))
    overlaps = {}
    for index, shot in shots.items():
        segment = tracker.step(Frame(shot.rgb, stamp_ns=index * 50_000_000))
        seen, true = segment.mask(1) if segment.by_target(1) else np.zeros(shot.ids.shape, bool), shot.ids == CYLINDER
        if index >= 40:  # it is hidden from picture 30 to 33
            overlaps[index] = np.count_nonzero(seen & true) / np.count_nonzero(seen | true)
    assert min(overlaps.values()) > 0.8, overlaps
