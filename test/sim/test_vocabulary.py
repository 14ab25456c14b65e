# SPDX-License-Identifier: Apache-2.0
"""Words of the tabletop world."""

import pytest

from seem_ros.errors import DataError
from seem_ros.sim.ground_truth import TrueInstance
from seem_ros.sim.vocabulary import COLOURS, HELD_OUT_PAIRS, SHAPES, check_object, full_name, object_names


def test_every_colour_and_shape_make_a_name():
    assert len(SHAPES) == 12 and len(COLOURS) == 10
    assert len(set(object_names())) == 120 and "red mug" in object_names()


def test_held_out_pairs_are_words_of_the_vocabulary_and_leave_every_colour_and_shape_in_training():
    assert all(colour in COLOURS and shape in SHAPES for colour, shape in HELD_OUT_PAIRS)
    assert all(sum(colour == c for c, _ in HELD_OUT_PAIRS) <= 1 for colour in COLOURS)
    assert all(sum(shape == s for _, s in HELD_OUT_PAIRS) <= 1 for shape in SHAPES)


def test_a_full_name_says_size_pattern_colour_and_shape_in_this_order():
    assert full_name("mug", "red", "small", "striped") == "small striped red mug"
    assert full_name("mug", "red", None, "plain") == "red mug"


@pytest.mark.parametrize(
    "words", [("spaceship", "red"), ("mug", "mauve"), ("mug", "red", "huge"), ("mug", "red", None, "paisley")]
)
def test_an_unknown_word_is_refused_with_the_list_of_known_ones(words):
    with pytest.raises(DataError, match=r"unknown .* (knows|allowed are)"):
        check_object(*words)


def test_unknown_stuff_is_refused():
    with pytest.raises(DataError, match="unknown stuff 'ceiling'"):
        TrueInstance.stuff(9, "ceiling")
