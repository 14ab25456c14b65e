# SPDX-License-Identifier: Apache-2.0
"""What is found is decided in one place, before anything is painted."""

import numpy as np
import pytest
from colour_backend import scene

from seem_ros.evaluation.predictors.ours import SegmenterPredictor
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Box, Click, Prompt
from seem_ros.perception.tracking.tracker import Tracker

PICTURE = scene({(30, 30): "red", (90, 60): "blue"})
PROMPTS = [
    Prompt(text="red"),
    Prompt(clicks=[Click(30, 30)]),
    Prompt(boxes=[Box(80, 50, 100, 70)]),
    Prompt(text="green"),
    Prompt(text="flibbertigibbet"),
]


def test_each_prediction_has_its_whole_mask_where_painting_shares_the_pixels_out(segmenter):
    frame = Frame(PICTURE)
    by_text, by_click, box, green, unknown = segmenter.predict(PROMPTS, frame)
    painted = segmenter.segment(PROMPTS, frame)
    assert by_text.mask.any() and (by_text.mask == by_click.mask).all()
    assert painted.answers[0].segment is painted.answers[1].segment
    assert (painted.mask(painted.answers[2].segment.value) == box.mask).all()
    assert box.mask.shape == PICTURE.shape[:2] and box.mask.dtype == np.bool_
    assert [one.found for one in (by_text, by_click, box, green, unknown)] == [True, True, True, False, False]
    assert green.asked and not unknown.asked and unknown.presence == 0.0 and not unknown.mask.any()
    assert "flibbertigibbet" in unknown.message() and "nothing was looked for" in unknown.message()


def test_segmenter_tracker_and_evaluation_agree_on_what_is_found(segmenter):
    frame = Frame(PICTURE)
    predicted = segmenter.predict(PROMPTS, frame)
    painted = segmenter.segment(PROMPTS, frame).answers
    started = Tracker(segmenter).start(PROMPTS, frame).answers
    judge = SegmenterPredictor(segmenter, "ours")
    judge.look(PICTURE)
    guessed = judge.ask(PROMPTS)
    for one, answer, target, guess in zip(predicted, painted, started, guessed, strict=True):
        assert one.found == answer.found == target.found == guess.found
        assert one.presence == answer.presence == target.presence == guess.presence
        assert one.unknown_words == answer.unknown_words == target.unknown_words == guess.unknown_words


def test_a_further_look_may_start_from_the_mask_of_an_earlier_one(segmenter, backend):
    frame = Frame(PICTURE)
    (first,) = segmenter.predict([Prompt(clicks=[Click(30, 30)])], frame)
    asked = []
    decode = backend.decode
    backend.decode = lambda features, prompts: asked.append(prompts) or decode(features, prompts)
    segmenter.predict([Prompt(clicks=[Click(31, 31)])], frame, previous=[first.memory_mask])
    assert asked[0].has_previous[0]
    np.testing.assert_array_equal(asked[0].previous_mask[0], first.memory_mask)


def test_no_prompts_are_no_predictions(segmenter):
    assert segmenter.predict([], Frame(PICTURE)) == []
    assert len(segmenter.segment([], Frame(PICTURE))) == 0


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_the_threshold_of_the_configuration_decides(backend, threshold):
    from seem_ros.perception.segmenter import Segmenter
    from seem_ros.perception.segmenter_config import SegmenterConfig

    strict = Segmenter(backend, SegmenterConfig(presence_threshold=threshold))
    (red,) = strict.predict([Prompt(text="red")], Frame(PICTURE))
    assert red.threshold == threshold and red.found == (red.presence >= threshold)
