# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from seem_ros.errors import PromptError
from seem_ros.perception.structures.prompts import (
    Box,
    Click,
    Mask,
    Polygon,
    Prompt,
    Reference,
    Scribble,
)

NAN, INF = float("nan"), float("inf")


def test_prompts_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Click(1, 2).x = 3
    points = np.array([[1.0, 2.0], [3.0, 4.0]])
    scribble = Scribble(points)
    points[:] = 0
    assert scribble.points_xy[1, 0] == 3.0
    with pytest.raises(ValueError):
        scribble.points_xy[0, 0] = 9


@pytest.mark.parametrize("bad", [NAN, INF, -INF, None])
def test_coordinates_that_are_not_finite_numbers_are_refused(bad):
    for make in (
        lambda: Click(bad, 1),
        lambda: Box(0, 0, bad, 5),
        lambda: Scribble([[0, bad]]),
        lambda: Polygon([[0, 0], [1, bad], [2, 2]]),
        lambda: Scribble([[0, 0]], width_px=bad),
    ):
        with pytest.raises(PromptError):
            make()


def test_a_coordinate_given_as_text_is_refused_for_clicks():
    with pytest.raises(PromptError, match="finite numbers, got '7'"):
        Click("7", 1)


def test_an_empty_prompt_is_refused_and_says_what_is_allowed():
    for empty in ({}, {"text": "   \n"}, {"clicks": []}):
        with pytest.raises(PromptError, match="give text, a click, box"):
            Prompt(**empty)


def test_a_text_of_ten_thousand_characters_is_refused():
    with pytest.raises(PromptError, match="1000 characters, got 10000"):
        Prompt(text="a" * 10_000)


def test_text_may_be_in_any_script_and_its_blanks_are_tidied():
    assert Prompt(text="  die rote \n Tasse ☕ 赤いマグ ").text == "die rote Tasse ☕ 赤いマグ"


def test_a_click_outside_the_image_is_refused_with_its_place_and_the_size():
    prompt = Prompt(clicks=[Click(640, 10)])
    with pytest.raises(PromptError, match=r"\(640, 10\) is outside the image of 640x480"):
        prompt.check_image(480, 640)
    prompt.check_image(480, 641)
    with pytest.raises(PromptError):
        Prompt(clicks=[Click(-0.5, 10)]).check_image(480, 640)


def test_a_box_over_the_border_is_allowed_and_one_outside_is_not():
    Prompt(boxes=[Box(-10, -10, 30, 9999)]).check_image(480, 640)
    with pytest.raises(PromptError, match="outside"):
        Prompt(boxes=[Box(640, 0, 700, 10)]).check_image(480, 640)
    with pytest.raises(PromptError, match="x0 < x1"):
        Box(5, 5, 5, 9)


def test_a_mask_of_another_size_is_refused():
    mask = np.ones((10, 12), np.uint8)
    Prompt(masks=[Mask(mask)]).check_image(10, 12)
    with pytest.raises(PromptError, match="got 12x10"):
        Prompt(masks=[Mask(mask)]).check_image(12, 10)


def test_an_empty_mask_and_a_mask_of_another_type_are_refused():
    with pytest.raises(PromptError, match="at least one pixel"):
        Mask(np.zeros((4, 4), np.uint8))
    for bad in (np.ones((4, 4), np.float32), np.ones((4, 4, 1), np.uint8), [[1]]):
        with pytest.raises(PromptError, match="bool or uint8"):
            Mask(bad)


def test_too_many_shapes_and_too_long_outlines_are_refused():
    with pytest.raises(PromptError, match="256"):
        Prompt(clicks=[Click(1, 1)] * 257)
    with pytest.raises(PromptError, match="4096 points, got 5000"):
        Polygon(np.zeros((5000, 2)))
    with pytest.raises(PromptError, match="3 to"):
        Polygon([[0, 0], [1, 1]])


def test_only_negative_parts_are_enough_for_a_further_round_and_not_for_a_first():
    prompt = Prompt(clicks=[Click(1, 1, negative=True)])
    prompt.check_image(10, 10, refining=True)
    with pytest.raises(PromptError, match="something positive"):
        prompt.check_image(10, 10)


def test_parts_of_the_wrong_kind_are_refused():
    for bad in ({"clicks": [Box(0, 0, 1, 1)]}, {"boxes": [(0, 0, 1, 1)]}, {"clicks": 3}, {"text": 5}):
        with pytest.raises(PromptError):
            Prompt(**bad)
    with pytest.raises(PromptError, match="Reference"):
        Prompt(text="a", reference=np.zeros((4, 4, 3), np.uint8))


def test_a_reference_checks_its_own_picture():
    picture = np.zeros((20, 30, 3), np.uint8)
    assert Reference(picture, (Click(29, 19),)).shapes
    with pytest.raises(PromptError, match="outside the image of 30x20"):
        Reference(picture, (Click(30, 19),))
    with pytest.raises(PromptError, match="uint8"):
        Reference(picture.astype(np.float32))
    with pytest.raises(PromptError, match="negative"):
        Reference(picture, (Click(1, 1, negative=True),))


def test_rounds_add_up_and_a_later_text_replaces_the_earlier_one():
    first = Prompt(text="mug", clicks=[Click(1, 1)])
    both = first.joined(Prompt(text="cup", clicks=[Click(2, 2, negative=True)], boxes=[Box(0, 0, 3, 3)]))
    assert both.text == "cup" and len(both.clicks) == 2 and len(both.boxes) == 1
    assert first.joined(Prompt(clicks=[Click(2, 2)])).text == "mug"
