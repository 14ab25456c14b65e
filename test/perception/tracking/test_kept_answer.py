# SPDX-License-Identifier: Apache-2.0
"""What lies still before a camera that stands still is not asked for in every frame."""

from dataclasses import replace

import numpy as np
import pytest
from colour_backend import scene

from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.tracker import Tracker

RED, BLUE = (30, 40), (100, 60)
STEP_NS = 33_000_000


@pytest.fixture
def tracker(segmenter):
    """It follows what is at RED and at BLUE."""
    tracker = Tracker(segmenter)
    first = Frame(picture(), stamp_ns=0)
    tracker.start([Prompt(clicks=[Click(*RED)]), Prompt(clicks=[Click(*BLUE)])], first)
    return tracker


def picture(red_xy=RED, others=(), noise=0.0, seed=0):
    rgb = scene({red_xy: "red", BLUE: "blue", **dict(others)}).astype(float)
    return (rgb + np.random.default_rng(seed).normal(0, noise, rgb.shape)).clip(0, 255).astype(np.uint8)


def step(tracker, backend, pictures, start=1):
    """Per picture how many targets were asked for, 0 where the model did not run; all of them are seen."""
    asked = []
    for i, rgb in enumerate(pictures, start):
        backend.batch_sizes.clear()
        segments = tracker.step(Frame(rgb, stamp_ns=i * STEP_NS))
        assert {segment.target_id for segment in segments} == {1, 2}
        asked.append(sum(backend.batch_sizes))
    return asked


def test_targets_that_lie_still_are_asked_for_now_and_then_and_the_picture_is_not_encoded_between(tracker, backend):
    encoded = backend.encoded
    asked = step(tracker, backend, [picture(noise=3.0, seed=seed) for seed in range(34)])
    assert asked == ([2] + [0] * 15) * 2 + [2, 0]
    assert backend.encoded - encoded == 3
    assert [one.frames_tracked for one in tracker.targets()] == [35, 35]


def test_only_what_moves_is_asked_for_and_its_answer_is_the_new_one(tracker, backend):
    asked = step(tracker, backend, [picture((30 + 2 * i, 40)) for i in range(5)])
    assert asked == [2, 1, 1, 1, 1]
    box = next(one.box_xyxy_px for one in tracker.targets() if one.target_id == 1)
    assert (box[0] + box[2]) / 2 == 38


def test_what_comes_near_a_target_has_it_asked_for(tracker, backend):
    far, near = {(64, 20): "green"}, {(RED[0] + 20, RED[1]): "green"}
    assert step(tracker, backend, [picture(), picture(others=far), picture(others=near)]) == [2, 0, 1]


def test_a_slow_change_adds_up(tracker, backend):
    fading = [picture() - np.uint8(i) for i in range(12)]
    asked = step(tracker, backend, fading)
    assert asked[:7] == [2, 0, 0, 0, 0, 0, 2] and asked[7:] == [0, 0, 0, 0, 0]


def test_what_was_asked_before_a_prompt_does_not_answer_after_it(tracker, backend):
    assert step(tracker, backend, [picture()] * 3) == [2, 0, 0]
    tracker.refine(1, Prompt(clicks=[Click(RED[0] + 2, RED[1])]), Frame(picture(), stamp_ns=3 * STEP_NS))
    assert step(tracker, backend, [picture()] * 2, start=4) == [1, 0]


@pytest.mark.parametrize("off", [{"still_difference": 0.0}, {"still_frames": 0}])
def test_it_can_be_switched_off(tracker, backend, off):
    tracker.config = replace(tracker.config, **off)
    assert step(tracker, backend, [picture()] * 4) == [2, 2, 2, 2]


def test_the_answers_are_those_of_a_tracker_that_asks_in_every_frame(segmenter):
    pictures = [picture((30 + max(0, i - 8), 40), noise=3.0, seed=i) for i in range(24)]
    masks = []
    for difference in (0.0, TrackerConfig().still_difference):
        tracker = Tracker(segmenter, TrackerConfig(still_difference=difference))
        tracker.start([Prompt(clicks=[Click(*RED)]), Prompt(clicks=[Click(*BLUE)])], Frame(pictures[0], stamp_ns=0))
        masks.append([tracker.step(Frame(rgb, stamp_ns=i * STEP_NS)).labels for i, rgb in enumerate(pictures, 1)])
    assert all((one == other).all() for one, other in zip(*masks, strict=True))


def test_many_targets_that_lie_still_are_asked_for_in_turns(segmenter, backend):
    places = [(10 + 20 * i, 10 + 18 * k) for k in range(5) for i in range(6)]
    rgb, tracker = scene(dict.fromkeys(places, "red"), size=8), Tracker(segmenter)
    tracker.start([Prompt(clicks=[Click(*place)]) for place in places[:20]], Frame(rgb, stamp_ns=0))
    tracker.start([Prompt(clicks=[Click(*place)]) for place in places[20:]], Frame(rgb, stamp_ns=0))
    asked = []
    for i in range(1, 60):
        backend.batch_sizes.clear()
        assert len(tracker.step(Frame(rgb, stamp_ns=i * STEP_NS))) == 30
        asked.append(sum(backend.batch_sizes))
    assert asked[0] == 30 and max(asked[1:]) <= 16
    assert sum(asked[1:33]) == 2 * 30, "each is asked for once in 16 frames"
