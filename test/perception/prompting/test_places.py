# SPDX-License-Identifier: Apache-2.0
"""Which of several a text means by its place in the picture."""

import numpy as np
import pytest

from seem_ros.perception.prompting.places import PictureSide, split_place


@pytest.mark.parametrize(
    ("text", "what", "side"),
    [
        ("the left mug", "the mug", "left"),
        ("Left mug", "mug", "left"),
        ("leftmost red mug", "red mug", "left"),
        ("the mug on the left", "the mug", "left"),
        ("the mug on the right side.", "the mug", "right"),
        ("the mug that is on the far right", "the mug", "right"),
        ("a box at the top", "a box", "top"),
        ("the upper box", "the box", "top"),
        ("the lowest box", "the box", "bottom"),
        ("the bottom left box", "the box", "bottom left"),
    ],
)
def test_a_place_is_taken_off_the_text(text, what, side):
    assert split_place(text) == (what, PictureSide(tuple(side.split())))


@pytest.mark.parametrize(
    "text", ["the mug", "the left", "left", "the red top", "top hat", "the right", "something left over", "upper"]
)
def test_a_text_without_a_place_stays_as_it_is(text):
    assert split_place(text) == (text, None)


def test_the_middle_farthest_to_a_side_is_chosen():
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 2:6, 2:6] = masks[1, 14:18, 10:14] = masks[2, 8:12, 24:28] = True
    chosen = {
        side: PictureSide(tuple(side.split())).farthest(masks) for side in ("left", "right", "top", "bottom left")
    }
    assert chosen == {"left": 0, "right": 2, "top": 0, "bottom left": 1}


def test_a_place_can_be_said_of_another_name():
    assert split_place(PictureSide(("left",)).of("the dog")) == ("the dog", PictureSide(("left",)))
    assert split_place(PictureSide(("bottom",)).of("dog")) == ("dog", PictureSide(("bottom",)))
