# SPDX-License-Identifier: Apache-2.0
"""Where clicks contradict the model's mask, colours decide."""

import numpy as np
import pytest

from seem_ros.perception.masks.grabcut import obeyed
from seem_ros.perception.structures.encoded_frame import EncodedFrame
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.letterbox import fit
from seem_ros.perception.structures.prompts import Box, Click, Prompt, Scribble
from seem_ros.runtime.postprocess_config import PostprocessConfig

NET, STRIDE = (96, 128), 2
RULES = PostprocessConfig(edge_radius=12, click_tolerance_px=1.5, box_agreement=0.8)
RED = (slice(30, 60), slice(30, 60))


def no_encoder():
    raise AssertionError("nothing here needs the model")


def scene(scale=1):
    """A red square on a grey ground, and a mask that runs over as far again to the right."""
    rgb = np.full((96, 128, 3), 120, np.uint8)
    rgb[RED] = (200, 30, 30)
    rgb = np.clip(rgb + np.random.default_rng(0).normal(0, 4, rgb.shape), 0, 255).astype(np.uint8)
    logits = np.full((48, 64), -6.0, np.float32)
    logits[15:30, 15:45] = 6.0
    rgb = np.repeat(np.repeat(rgb, scale, 0), scale, 1)
    geometry = fit(rgb.shape[:2], NET)
    return EncodedFrame(Frame(rgb), geometry, no_encoder, geometry.shrink(rgb)), logits


def ask(clicks, scale=1):
    encoded, logits = scene(scale)
    return obeyed(logits, Prompt(clicks=tuple(clicks)), encoded, STRIDE, RULES)


@pytest.mark.parametrize("scale", [1, 4])
def test_a_negative_click_takes_away_all_that_the_mask_ran_over(scale):
    better = ask([Click(45 * scale, 45 * scale), Click(75 * scale, 45 * scale, negative=True)], scale)
    assert (better[16:29, 16:29] > 0).mean() > 0.95 and not (better[:, 32:] > 0).any()


def test_a_positive_click_outside_brings_the_rest_of_the_object():
    encoded, logits = scene()
    logits[:, 22:] = -6.0
    better = obeyed(logits, Prompt(clicks=(Click(35, 45), Click(55, 45))), encoded, STRIDE, RULES)
    assert (better[16:29, 16:29] > 0).mean() > 0.95 and not (better[:, 32:] > 0).any()


def test_clicks_that_agree_change_nothing():
    assert ask([Click(45, 45), Click(10, 10, negative=True)]) is None


def test_negative_clicks_alone_change_nothing():
    assert ask([Click(75, 45, negative=True)]) is None


def test_an_empty_mask_stays_empty():
    encoded, logits = scene()
    assert obeyed(np.full_like(logits, -6.0), Prompt(clicks=(Click(45, 45),)), encoded, STRIDE, RULES) is None


def test_a_click_on_the_pictures_last_pixel_is_no_error():
    assert ask([Click(45, 45), Click(127.9, 95.9, negative=True)]) is None


def boxed(box, logits=None, **more):
    encoded, own = scene()
    return obeyed(own if logits is None else logits, Prompt(boxes=(box,), **more), encoded, STRIDE, RULES)


def test_a_mask_that_does_not_fill_its_box_gives_way_to_colours():
    better = boxed(Box(29, 29, 61, 61))
    assert (better[16:29, 16:29] > 0).mean() > 0.95 and not (better[:, 32:] > 0).any()


def test_a_box_without_an_answer_gets_what_stands_out_in_it():
    better = boxed(Box(29, 29, 61, 61), np.full((48, 64), -6.0, np.float32))
    assert (better[16:29, 16:29] > 0).mean() > 0.95 and not (better[:, 32:] > 0).any()


def test_a_mask_that_fills_its_box_stays():
    assert boxed(Box(29, 29, 90, 61)) is None


def test_a_box_is_a_place_to_look_in_where_words_say_what_is_meant():
    assert boxed(Box(5, 5, 120, 90), text="the red square") is None


def test_colours_that_fit_a_box_no_better_change_nothing():
    assert boxed(Box(2, 2, 20, 92)) is None, "there is nothing but ground in it"


def test_a_box_over_the_whole_picture_is_no_error():
    assert boxed(Box(0, 0, 128, 96)) is None


VOTE = PostprocessConfig(edge_radius=12, click_tolerance_px=1.5, box_vote=0.9)


def voted(box, columns, **more):
    """The scene asked with a box, where the model's mask covers the square's rows and these columns of its cells."""
    encoded, logits = scene()
    logits[:] = -6.0
    logits[15:30, columns] = 6.0
    return obeyed(logits, Prompt(boxes=(box,), **more), encoded, STRIDE, VOTE)


@pytest.mark.parametrize("columns", [slice(15, 24), slice(15, 45)], ids=["a part", "more than the box"])
def test_a_mask_that_colours_put_right_fills_its_box_after_the_vote(columns):
    better = voted(Box(30, 30, 60, 60), columns)
    assert (better[16:29, 16:29] > 0).mean() > 0.95
    assert not (better[:, 32:] > 0).any() and not (better[:14] > 0).any()


def test_colours_that_mean_something_else_than_the_model_are_not_voted_for():
    assert voted(Box(30, 30, 60, 60), slice(15, 18)) is None, "the model means a fifth of the square"


def test_a_vote_that_does_not_fill_the_box_is_not_taken():
    assert voted(Box(10, 10, 100, 90), slice(15, 30)) is None


def test_a_click_or_a_word_beside_the_box_is_not_voted_down():
    assert voted(Box(30, 30, 60, 60), slice(15, 24), clicks=(Click(40, 45),)) is None
    assert voted(Box(30, 30, 60, 60), slice(15, 24), text="the left half") is None


def test_a_click_in_a_box_decides_which_part_is_meant():
    encoded, logits = scene()
    encoded.network_rgb[70:90, 30:60] = (30, 30, 200)
    better = obeyed(logits, Prompt(boxes=(Box(28, 28, 62, 92),), clicks=(Click(45, 80),)), encoded, STRIDE, RULES)
    assert (better[36:44, 16:29] > 0).mean() > 0.9 and not (better[15:30] > 0).any()


def test_a_stroke_that_the_mask_leaves_out_is_taken_in_and_one_that_spills_a_little_is_not():
    encoded, logits = scene()
    logits[:, 22:] = -6.0
    better = obeyed(logits, Prompt(scribbles=(Scribble([(35, 45), (57, 45)]),)), encoded, STRIDE, RULES)
    assert (better[16:29, 16:29] > 0).mean() > 0.95
    assert obeyed(logits, Prompt(scribbles=(Scribble([(31, 45), (44, 45)]),)), encoded, STRIDE, RULES) is None


def test_a_model_without_these_rules_is_not_corrected():
    assert PostprocessConfig().click_tolerance_px is None
    rules = PostprocessConfig.from_mapping({"edge_radius": 12.0, "click_tolerance_px": 1.5})
    assert rules == PostprocessConfig(edge_radius=12, click_tolerance_px=1.5, box_agreement=0.0)
    encoded, logits = scene()
    assert obeyed(logits, Prompt(boxes=(Box(29, 29, 61, 61),)), encoded, STRIDE, rules) is None


def test_a_model_that_does_not_follow_edges_is_corrected_too():
    encoded, logits = scene()
    rules = PostprocessConfig(click_tolerance_px=1.5)
    prompt = Prompt(clicks=(Click(45, 45), Click(75, 45, negative=True)))
    better = obeyed(logits, prompt, encoded, STRIDE, rules)
    assert (better[16:29, 16:29] > 0).mean() > 0.95 and not (better[:, 32:] > 0).any()


def test_the_same_question_gets_the_same_answer():
    encoded, logits = scene()
    blocks = np.random.default_rng(1).normal(100, 50, (24, 32, 3))  # colours that GrabCut divides by chance
    blocks[6:16, 6:16] += (60, 0, -40)
    rgb = np.clip(blocks.repeat(4, 0).repeat(4, 1), 0, 255).astype(np.uint8)
    spotted = EncodedFrame(Frame(rgb), encoded.geometry, no_encoder, rgb)
    prompt = Prompt(clicks=(Click(45, 45), Click(75, 45, negative=True)))
    answers = [obeyed(logits, prompt, spotted, STRIDE, RULES) for _ in range(8)]
    assert answers[0] is not None and all(np.array_equal(answers[0], other) for other in answers[1:])
