# SPDX-License-Identifier: Apache-2.0
"""Prompt messages to prompts, part by part and in composition."""

import numpy as np
import pytest
from std_msgs.msg import Header

from seem_ros import msg as messages
from seem_ros.errors import PromptError
from seem_ros.ros.messages.images import array_to_image, array_to_jpeg
from seem_ros.ros.messages.prompts import prompt_from_message, prompts_from_messages

PICTURE = np.full((20, 30, 3), 120, np.uint8)
MASK = np.zeros((20, 30), np.uint8)
MASK[3:6, 4:9] = 200


def pixels(*points):
    return [messages.Pixel(x=float(x), y=float(y)) for x, y in points]


def test_a_composition_keeps_every_part_and_its_sign():
    prompt = prompt_from_message(
        messages.Prompt(
            text="the red mug",
            clicks=[messages.Click(x=1.5, y=2.0), messages.Click(x=3.0, y=4.0, negative=True)],
            boxes=[messages.Box(x0=1.0, y0=2.0, x1=8.0, y1=9.0)],
            scribbles=[messages.Scribble(points=pixels((1, 1), (5, 5)), negative=True)],
            polygons=[messages.Polygon(points=pixels((0, 0), (5, 0), (5, 5)))],
            mask=array_to_image(MASK, Header()),
            mask_negative=True,
            reference=messages.Reference(
                image=array_to_image(PICTURE, Header()), clicks=[messages.Click(x=2.0, y=2.0)]
            ),
        )
    )
    assert prompt.text == "the red mug"
    assert [click.negative for click in prompt.clicks] == [False, True]
    assert prompt.boxes[0].x1 == 8
    assert (prompt.scribbles[0].width_px, prompt.scribbles[0].negative) == (5.0, True)
    assert prompt.polygons[0].points_xy.shape == (3, 2)
    assert prompt.masks[0].mask.sum() == 15 and prompt.masks[0].negative
    np.testing.assert_array_equal(prompt.reference.image, PICTURE)


def test_a_reference_may_be_compressed_and_needs_a_region():
    packed = array_to_jpeg(PICTURE, Header(), 95)
    box = messages.Box(x0=1.0, y0=1.0, x1=5.0, y1=5.0)
    prompt = prompt_from_message(messages.Prompt(reference=messages.Reference(compressed_image=packed, boxes=[box])))
    assert prompt.reference.image.shape == PICTURE.shape
    for reference, words in (
        (messages.Reference(compressed_image=packed), "no region"),
        (messages.Reference(boxes=[box]), "no picture"),
        (messages.Reference(compressed_image=packed, image=array_to_image(PICTURE, Header()), boxes=[box]), "both"),
    ):
        with pytest.raises(PromptError, match=words):
            prompt_from_message(messages.Prompt(reference=reference))


def test_the_first_bad_prompt_is_named_by_its_index():
    good = messages.Prompt(text="mug")
    with pytest.raises(PromptError, match=r"prompts\[1\]: an empty prompt"):
        prompts_from_messages([good, messages.Prompt()])
    with pytest.raises(PromptError, match="at most 64 prompts"):
        prompts_from_messages([good] * 65)
