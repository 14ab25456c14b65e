# SPDX-License-Identifier: Apache-2.0
"""Rounds on plain arrays: pictures without a stamp are told apart all the same."""

import numpy as np
import pytest
from colour_backend import scene

from seem_ros.errors import TargetError
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.perception.tracking.tracker import Tracker

HERE, THERE = (20, 30), (60, 30)


def picture(at, **others):
    """A new array with a red thing, and others by their colours."""
    return scene({at: "red", **{place: name for name, place in others.items()}})


def where(segments, target_id=1):
    segment = segments.by_target(target_id)
    return None if segment is None else tuple(round(value + 0.5) for value in segment.centroid_xy_px)


@pytest.fixture
def tracker(segmenter):
    """It followed a red thing through arrays, and something blue is now where it was clicked at."""
    tracker = Tracker(segmenter)
    tracker.start([Prompt(clicks=[Click(*HERE)])], picture(HERE))
    for x in range(24, 64, 4):
        tracker.step(picture((x, 30)))
    tracker.step(picture(THERE, blue=HERE))
    return tracker


def test_clicks_on_an_earlier_array_do_not_count_in_a_later_one(tracker):
    result = tracker.refine(1, Prompt(clicks=[Click(*THERE)]), picture(THERE, blue=HERE))
    assert result.answers[0].prompt.clicks == (Click(*THERE),) and where(result.segments) == THERE


def test_clicks_on_one_array_count_together_though_it_is_given_as_a_copy(tracker):
    further = Click(62, 32)
    for click in (Click(*THERE), further):
        result = tracker.refine(1, Prompt(clicks=[click]), np.array(picture(THERE, blue=HERE)))
    assert result.answers[0].prompt.clicks == (Click(*THERE), further) and where(result.segments) == THERE


def test_what_lies_in_another_array_where_a_target_was_is_not_that_target(segmenter):
    tracker = Tracker(segmenter)
    tracker.start([Prompt(clicks=[Click(*HERE)])], picture(HERE))
    assert tracker.start([Prompt(clicks=[Click(*HERE)])], picture(THERE, blue=HERE)).target_ids == (2,)
    assert tracker.start([Prompt(clicks=[Click(*HERE)])], picture(THERE, blue=HERE)).target_ids == (2,)


def test_taking_a_round_back_on_a_later_array_follows_the_target_into_it(tracker):
    tracker.refine(1, Prompt(clicks=[Click(*HERE)]), picture(THERE, blue=HERE))
    assert where(tracker.step(picture((64, 30), blue=HERE))) == HERE
    assert where(tracker.undo(1, picture((64, 30), blue=HERE)).segments) == (64, 30)


def test_a_target_is_shown_only_in_the_array_it_was_last_seen_in(tracker):
    assert where(tracker.show(1, picture(THERE, blue=HERE))) == THERE
    with pytest.raises(TargetError, match="target 1 is not seen in this picture"):
        tracker.show(1, picture(HERE))


def test_clicks_on_frames_with_stamps_count_together_by_their_stamps(segmenter):
    tracker = Tracker(segmenter)
    first, second = (Frame(picture(HERE), stamp_ns=stamp_ns) for stamp_ns in (1, 2))
    tracker.start([Prompt(clicks=[Click(*HERE)])], first)
    assert len(tracker.refine(1, Prompt(clicks=[Click(22, 32)]), first).answers[0].prompt.clicks) == 2
    assert len(tracker.refine(1, Prompt(clicks=[Click(22, 32)]), second).answers[0].prompt.clicks) == 1
