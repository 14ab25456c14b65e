# SPDX-License-Identifier: Apache-2.0
"""Which of several a text means by its place in the picture."""

import numpy as np
import pytest

from seem_ros.perception.prompting.places import Beside, PictureSide, is_name, split_place


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
        ("the mug that's on the right", "the mug", "right"),
        ("the mug that\u2019s on the left", "the mug", "left"),
        ("the mug to my left", "the mug", "left"),
        ("the mug in the bottom right", "the mug", "bottom right"),
        ("the mug at the upper left corner of the picture", "the mug", "top left"),
        ("the mug on the right-hand side", "the mug", "right"),
    ],
)
def test_a_place_is_taken_off_the_text(text, what, side):
    assert split_place(text) == (what, PictureSide(tuple(side.split())))


@pytest.mark.parametrize(
    ("text", "what", "relation", "landmark"),
    [
        ("the red mug on the table", "the red mug", "on", "the table"),
        ("The mug that is next to the red box.", "the mug", "next to", "the red box"),
        ("the mug, lying on top of a box, please", "the mug", "on top of", "a box"),
        ("a cup to the left of the bowl", "a cup", "to the left of", "the bowl"),
        ("the mug on the right side of the bowl", "the mug", "on the right side of", "the bowl"),
        ("the bolt in the tray by the window", "the bolt", "by", "the window"),
        ("a person wearing a hat", "a person", "wearing", "a hat"),
        ("the broom that's leaning against the wall", "the broom", "against", "the wall"),
        ("the mug closest to the robot arm", "the mug", "closest to", "the robot arm"),
        ("the mug right next to the box", "the mug", "next to", "the box"),
        ("the mug right of the box", "the mug", "right of", "the box"),
    ],
)
def test_another_thing_that_it_is_beside_is_taken_off_the_text(text, what, relation, landmark):
    assert split_place(text) == (what, Beside(relation, landmark))
    assert split_place(Beside(relation, landmark).of("the dog")) == ("the dog", Beside(relation, landmark))


@pytest.mark.parametrize("text", ["the left mug on the table", "the mug on the table on the left"])
def test_of_several_places_the_side_of_the_picture_counts(text):
    assert split_place(text) == ("the mug", PictureSide(("left",)))


def test_a_name_with_such_a_word_in_it_is_known_as_one():
    assert is_name("The bolt in tray", ["nut", "bolt in tray"]) and is_name("bolt in tray", ["Bolt in  tray"])
    assert not is_name("the bolt in a tray", ["bolt in tray"]) and not is_name("the bolt", [])


@pytest.mark.parametrize(
    "text",
    [
        "the mug",
        "on the table",
        "mug on",
        "standing lamp",
        "the left",
        "left",
        "the red top",
        "top hat",
        "the right",
        "something left over",
        "upper",
    ],
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


def test_the_nearest_to_another_thing_is_chosen_and_on_the_side_that_was_said():
    masks, box = np.zeros((3, 20, 60), bool), np.zeros((20, 60), bool)
    box[5:15, 25:32] = True
    masks[0, 8:12, 1:5] = masks[1, 8:12, 14:18] = masks[2, 8:12, 36:40] = True

    def chosen(relation):
        return Beside(relation, "the box").nearest(masks, box)

    assert (chosen("next to"), chosen("left of"), chosen("to the right of")) == (2, 1, 2)
    assert Beside("to the right of", "the box").nearest(masks[:2], box) == 1  # nothing is: then the nearest
    box[:] = True
    assert chosen("on") == 0  # of several on one table the first, which fits the name best


def test_a_place_can_be_said_of_another_name():
    assert split_place(PictureSide(("left",)).of("the dog")) == ("the dog", PictureSide(("left",)))
    assert split_place(PictureSide(("bottom",)).of("dog")) == ("dog", PictureSide(("bottom",)))
