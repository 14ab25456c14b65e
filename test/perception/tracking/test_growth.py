# SPDX-License-Identifier: Apache-2.0
"""What a mask may take in from one picture to the next, and when a target comes back."""

import numpy as np
import pytest
from colour_backend import scene

from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.perception.tracking.association import make_place
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.perception.tracking.growth import limit_growth
from seem_ros.perception.tracking.target import Target, TargetState
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


RED, BLUE, GREY = (200, 30, 30), (30, 30, 200), (90, 90, 90)
OBJECT, BESIDE, APART = (slice(4, 12), slice(4, 12)), (slice(4, 12), slice(12, 20)), (slice(20, 28), slice(24, 32))


def picture(*areas):
    painted = np.full((32, 48, 3), 128, np.uint8)
    for where, colour in areas:
        painted[where] = colour
    return painted


def logits(*areas):
    drawn = np.full((32, 48), -5.0, np.float32)
    for where in areas:
        drawn[where] = 5.0
    return drawn


def out_of_sight(seen_in, mask):
    """A target that was last seen in a picture, beyond doubt."""
    place = make_place(mask, mask, seen_in, seen_in.shape[:2])
    return Target(
        1, 1, Prompt(clicks=[Click(1, 1)]), 0, reference=None, state=TargetState.OCCLUDED, place=place, sure=place,
        area=float(np.count_nonzero(mask > 0)),
    )  # fmt: skip


def cut(target, mask, now):
    """The mask, bool [32, 48], as the tracker believes it."""
    fine, coarse = mask.copy(), mask.copy()
    limit_growth(target, fine, coarse, now, TrackerConfig().unchanged_difference)
    assert np.array_equal(fine > 0, coarse > 0)
    return coarse > 0


def test_what_comes_back_has_nothing_of_the_other_colour_that_stood_beside_it():
    before = picture((OBJECT, RED), (BESIDE, BLUE))
    target = out_of_sight(before, logits(OBJECT))
    found = cut(target, logits(OBJECT, BESIDE), before)
    assert np.array_equal(found, logits(OBJECT) > 0)


def test_what_comes_back_has_no_second_part_where_it_never_was():
    before = picture((OBJECT, RED), (APART, RED))
    target = out_of_sight(before, logits(OBJECT))
    assert np.array_equal(cut(target, logits(OBJECT, APART), before), logits(OBJECT) > 0)


def test_what_comes_back_in_two_parts_of_where_it_was_keeps_both():
    before = picture((OBJECT, RED))
    parts = logits((slice(4, 7), slice(4, 12)), (slice(9, 12), slice(4, 12)))
    assert np.array_equal(cut(out_of_sight(before, logits(OBJECT)), parts, before), parts > 0)


def test_a_part_that_something_had_covered_is_no_neighbour():
    before, now = picture((OBJECT, RED), (BESIDE, GREY)), picture((OBJECT, RED), (BESIDE, BLUE))
    target = out_of_sight(before, logits(OBJECT))
    target.area = 128.0
    assert np.array_equal(cut(target, logits(OBJECT, BESIDE), now), logits(OBJECT, BESIDE) > 0)


def test_what_comes_back_elsewhere_is_whole():
    before, now = picture((OBJECT, RED), (APART, BLUE)), picture((OBJECT, GREY), (APART, BLUE))
    assert np.array_equal(cut(out_of_sight(before, logits(OBJECT)), logits(APART), now), logits(APART) > 0)


def test_a_target_in_sight_does_not_run_over_into_another_colour():
    before = picture((OBJECT, RED), (BESIDE, BLUE))
    target = out_of_sight(before, logits(OBJECT))
    target.state = TargetState.TRACKED
    assert np.array_equal(cut(target, logits(OBJECT, BESIDE), before), logits(OBJECT) > 0)
